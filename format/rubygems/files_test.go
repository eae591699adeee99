package rubygems

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// darwin is a version whose files' names can be read as those of another gem, "nokogiri-1.16.0-arm64-darwin" 23.
var darwin = formattest.Release{Version: "1.16.0-arm64-darwin-23"}

const (
	darwinFile  = "/gems/nokogiri-1.16.0-arm64-darwin-23.gem"
	darwinQuick = "/quick/Marshal.4.8/nokogiri-1.16.0-arm64-darwin-23.gemspec.rz"
)

// TestKnownFilesAskNobodyElse: what is listed is opened as what it is, and no upstream is asked for what its name could mean
// besides, whether it is well or ill.
func TestKnownFilesAskNobodyElse(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putGem(h.Up, "nokogiri", darwin)
	h.Good("info", h.Get("/info/nokogiri"), nil)
	h.Good("cold", h.Get(darwinFile), gemBytes("nokogiri", darwin))
	h.Good("cold quick spec", h.Get(darwinQuick), nil)
	if n := h.Up.Count("GET", root+"info/nokogiri-1.16.0-arm64-darwin"); n != 0 {
		t.Errorf("the upstream was asked %d times for a gem that nobody wants", n)
	}
	h.Pass(2 * time.Minute)
	for _, ill := range []string{"always 500", "always 429"} {
		h.Up.Order("*", ill)
		h.Good("held, "+ill, h.Get(darwinFile), gemBytes("nokogiri", darwin))
		h.Good("held quick spec, "+ill, h.Get(darwinQuick), nil)
	}
	h.Restart()
	h.Good("held, after a start", h.Get(darwinFile), gemBytes("nokogiri", darwin))
}

// TestFilesOfTwoReadings: a file that no listing is known of is looked for under every name, and a rule or a right that is
// about one of them does not keep the other back.
func TestFilesOfTwoReadings(t *testing.T) {
	rules := formattest.Rules(t, map[string]any{"allow": []any{"nokogiri"}})
	for name, narrow := range map[string]func(*repo.Config){"no rules": func(*repo.Config) {}, "only that gem is allowed": rules} {
		h := formattest.New(t, ecosystem, narrow)
		putGem(h.Up, "nokogiri", darwin)
		h.Good(name, h.Get(darwinFile), gemBytes("nokogiri", darwin))
	}
	h := formattest.New(t, ecosystem)
	putGem(h.Up, "nokogiri", darwin)
	reader := repo.Caller{Actor: millpond.Actor{Name: "reader"}, Rights: formattest.Rights{{Verbs: []millpond.Verb{millpond.VerbRead}, Names: []string{"nokogiri"}}}}
	w := httptest.NewRecorder()
	Format{}.Handler(h.Pond.Repository("r").For(reader)).ServeHTTP(w, httptest.NewRequest("GET", darwinFile, nil))
	if w.Code != http.StatusOK {
		t.Errorf("a reader of that gem alone: got %d %q, want 200", w.Code, w.Body)
	}
	for readings, most := range map[int]int{mostReadings: mostMeant, mostReadings + 1: 0} {
		h.Up.Forget()
		h.Want("many readings", h.Get("/gems/a"+strings.Repeat("-1", readings)+".gem"), http.StatusNotFound)
		if n := len(h.Up.Requests("")); n > most {
			t.Errorf("a name of %d readings made %d requests to the upstream; want %d at most", readings, n, most)
		}
	}
}

// TestFilesThatAreOurs: an upstream's gem whose file has the name of one that was published, here or below, never takes its
// place.
func TestFilesThatAreOurs(t *testing.T) {
	for name, where := range map[string]string{"here": "r", "in a repository below": "inner"} {
		t.Run(name, func(t *testing.T) {
			h := formattest.New(t, ecosystem)
			outer := h.Config("r", h.Up)
			outer.Upstreams = append([]repo.Upstream{{Sibling: "inner"}}, outer.Upstreams...)
			h.Configure(repo.Settings{}, h.Config("inner"), outer)
			evil := formattest.Release{Version: "23", Variant: 7}
			putGem(h.Up, "nokogiri-1.16.0-arm64-darwin", evil)
			h.Good("the other gem's info", h.Get("/info/nokogiri-1.16.0-arm64-darwin"), nil)
			owner := repo.Caller{Actor: millpond.Actor{Name: "owner"}, Rights: formattest.Rights{{Verbs: millpond.Verbs()}}}
			gem := gemBytes("nokogiri", darwin)
			if _, err := (Format{}).PublishFile(t.Context(), h.Pond.Repository(where).For(owner), format.PublishedFile{Size: int64(len(gem)), Body: bytes.NewReader(gem)}); err != nil {
				t.Fatal(err)
			}
			h.Good("ours", h.Get(darwinFile), gem)
			if n := h.Up.Count("GET", root+"gems/nokogiri-1.16.0-arm64-darwin-23.gem"); n != 0 {
				t.Errorf("the upstream was asked for the file %d times", n)
			}
			// One that was not published: nobody is asked for it.
			putGem(h.Up, "nokogiri-1.17.0-arm64-darwin", evil)
			if got := h.Get("/gems/nokogiri-1.17.0-arm64-darwin-23.gem"); got.Status == http.StatusOK {
				t.Errorf("a file that was never published: got %s", got)
			}
			if n := h.Up.Count("GET", root+"info/nokogiri-1.17.0-arm64-darwin"); n != 0 {
				t.Errorf("the upstream heard of a name that is ours %d times", n)
			}
		})
	}
}

// TestSearchFarAway: a page beyond all pages is empty.
func TestSearchFarAway(t *testing.T) {
	h := formattest.New(t, ecosystem)
	push(t, h, "widget", "1.0.0")
	for _, page := range []string{"2", "101", "307445734561825862", "9223372036854775807"} {
		h.Good("page "+page, h.Get("/api/v1/search.json?query=widget&page="+page), []byte("[]"))
	}
}
