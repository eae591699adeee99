package takedown_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millpond/internal/takedown"
	"millpond/repo"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestParse(t *testing.T) {
	span := func(s ...repo.Span) []repo.AdviceOf {
		return []repo.AdviceOf{{Ecosystem: "npm", Package: "x", Spans: s}}
	}
	about := func(rest string) string {
		return `{"id": "MAL-1", "summary": "Harm", "affected": [{"package": {"ecosystem": "npm", "name": "x"}` + rest + `}]}`
	}
	ranged := func(events string) string {
		return about(`, "ranges": [{"type": "SEMVER", "events": [` + events + `]}]`)
	}
	for _, c := range []struct {
		name, text string
		want       []repo.AdviceOf // nil wants an error
	}{
		{"every version", ranged(`{"introduced": "0"}`), span(repo.Span{})},
		{"nothing said of versions", about(``), span()},
		{"fixed", ranged(`{"introduced": "1.2"}, {"fixed": "1.4"}`), span(repo.Span{From: "1.2", Before: "1.4"})},
		{"last affected", ranged(`{"introduced": "0"}, {"last_affected": "1.4"}`), span(repo.Span{Through: "1.4"})},
		{"the wrong way round", ranged(`{"fixed": "1.4"}, {"introduced": "0"}`), span(repo.Span{Before: "1.4"})},
		{"several", ranged(`{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}`), span(repo.Span{Before: "1"}, repo.Span{From: "2"})},
		{"a version that begins with 0", ranged(`{"introduced": "0.1.0"}`), span(repo.Span{From: "0.1.0"})},
		{"versions", about(`, "versions": ["1.0", "1.1"]`), span(repo.Span{Version: "1.0"}, repo.Span{Version: "1.1"})},
		{"versions and a range", about(`, "versions": ["1.0"], "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "3"}]}]`), span(repo.Span{Version: "1.0"}, repo.Span{From: "3"})},
		{"commits only", about(`, "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]`), []repo.AdviceOf{}},
		{"commits and versions", about(`, "versions": ["1"], "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]`), span(repo.Span{Version: "1"})},
		{"no package", `{"id": "MAL-1", "summary": "Harm", "affected": [{"ranges": []}]}`, []repo.AdviceOf{}},
		{"a range without a beginning", ranged(`{"fixed": "1"}`), nil},
		{"two beginnings", ranged(`{"introduced": "1"}, {"introduced": "2"}`), nil},
		{"no id", `{"affected": []}`, nil},
		{"a page", `<html>`, nil},
		{"a list", `[]`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := takedown.Parse([]byte(c.text))
			if (err == nil) != (c.want != nil) {
				t.Fatalf("%s: got %+v, %v", c.text, a, err)
			}
			if err == nil && (len(a.Affected) != len(c.want) || len(c.want) > 0 && !reflect.DeepEqual(a.Affected, c.want) || a.Why != "MAL-1: Harm") {
				t.Errorf("%s: got %+v; want %+v, and the words", c.text, a, c.want)
			}
		})
	}
	a, err := takedown.Parse([]byte(`{"id": "MAL-2", "withdrawn": "2026-01-02T03:04:05Z", "details": "It\tsteals  ` + strings.Repeat("k", 300) + `\nand more"}`))
	if err != nil || !a.Withdrawn || !strings.HasPrefix(a.Why, "MAL-2: It steals kkk") || len(a.Why) > 250 || strings.Contains(a.Why, "and more") {
		t.Errorf("withdrawn, with details: got %+v, %v", a, err)
	}
}

// A taker notes what it was told.
type taker struct {
	told  []string
	feeds []string
}

func (p *taker) TakeAdvice(_ context.Context, feed string, records iter.Seq2[*repo.Advice, error]) (out repo.Advised, err error) {
	for r, err := range records {
		if err != nil {
			return out, err
		}
		p.told = append(p.told, r.ID)
		out.Taken++
	}
	p.feeds = append(p.feeds, feed)
	return out, nil
}

func (p *taker) want(t *testing.T, what string, ids ...string) {
	t.Helper()
	slices.Sort(p.told)
	if !slices.Equal(p.told, ids) {
		t.Errorf("%s: the pond was told of %q; want %q", what, p.told, ids)
	}
	p.told = nil
}

func record(id string) string {
	return fmt.Sprintf(`{"id": %q, "affected": [{"package": {"ecosystem": "npm", "name": "x"}}]}`, id)
}

func look(t *testing.T, f *takedown.Feed, unread int, ill string) {
	t.Helper()
	_, words, err := f.Look(t.Context())
	if len(words) != unread || (err == nil) != (ill == "") || err != nil && !strings.Contains(err.Error(), ill) {
		t.Errorf("look: %q not read, %v; want %d, and %q", words, err, unread, ill)
	}
}

func TestFeedInADirectory(t *testing.T) {
	dir, pond := t.TempDir(), &taker{}
	f := &takedown.Feed{Name: "osv", At: dir, Pond: pond, Log: slog.New(slog.DiscardHandler)}
	look(t, f, 0, "")
	pond.want(t, "an empty directory")
	put := func(name, text string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	put("npm/MAL-1.json", record("MAL-1"))
	put("npm/GHSA-1.json", record("GHSA-1"))
	put("npm/half.json", record("MAL-9")[:20])
	put("npm/notes.txt", record("MAL-8"))
	look(t, f, 1, "")
	pond.want(t, "files", "MAL-1")
	look(t, f, 0, "")
	pond.want(t, "nothing has changed")
	put("npm/half.json", record("MAL-9"))
	look(t, f, 0, "")
	pond.want(t, "a file is whole now", "MAL-1", "MAL-9")
	if pond.feeds[0] != "feed osv" {
		t.Errorf("the actor is %q", pond.feeds[0])
	}
	must(t, os.RemoveAll(dir))
	look(t, f, 0, "no such file")
	pond.want(t, "the directory is gone")
}

// A directory that is named by a link is looked at as what it is.
func TestFeedInALinkedDirectory(t *testing.T) {
	dir, link, pond := t.TempDir(), filepath.Join(t.TempDir(), "osv"), &taker{}
	must(t, os.Symlink(dir, link))
	f := &takedown.Feed{Name: "osv", At: link, Pond: pond, Log: slog.New(slog.DiscardHandler)}
	must(t, os.WriteFile(filepath.Join(dir, "MAL-1.json"), []byte(record("MAL-1")), 0o644))
	look(t, f, 0, "")
	pond.want(t, "at first", "MAL-1")
	must(t, os.WriteFile(filepath.Join(dir, "MAL-2.json"), []byte(record("MAL-2")), 0o644))
	look(t, f, 0, "")
	pond.want(t, "one record more", "MAL-1", "MAL-2")
	look(t, f, 0, "")
	pond.want(t, "nothing has changed")
}

func zipped(t *testing.T, records ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, r := range records {
		w, err := z.Create(fmt.Sprintf("%d.json", i))
		must(t, err)
		_, err = w.Write([]byte(r))
		must(t, err)
	}
	must(t, z.Close())
	return b.Bytes()
}

// A feed that is ill changes nothing: whatever is wrong with its answer, the pond is told of no record of it.
func TestFeedAtAURL(t *testing.T) {
	var body []byte
	status, tag, asked := 200, `"1"`, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.Header.Get("Authorization") != "Bearer abc" {
			t.Errorf("asked with %q", r.Header)
		}
		w.Header().Set("Etag", tag)
		if tag != "" && r.Header.Get("If-None-Match") == tag && status == 200 {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.WriteHeader(status)
		w.Write(body)
	}))
	defer server.Close()
	pond := &taker{}
	f := &takedown.Feed{Name: "osv", At: server.URL + "/all.zip", Token: "abc", IDs: []string{"MAL-*", "OWN-1"}, Pond: pond, Client: http.DefaultClient,
		Scratch: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	body = zipped(t, record("MAL-1"), record("OWN-1"), record("OWN-2"))
	look(t, f, 0, "")
	pond.want(t, "a zip", "MAL-1", "OWN-1")
	look(t, f, 0, "")
	pond.want(t, "not modified")

	good := zipped(t, record("MAL-1"), record("MAL-2"))
	tag = ""
	for _, c := range []struct {
		name   string
		status int
		body   []byte
		ill    string
	}{
		{"an error", 500, good, "500"},
		{"a page in place of it", 200, []byte("<html>try later</html>"), "neither a zip nor an advisory"},
		{"nothing", 200, nil, "neither a zip nor an advisory"},
		{"a zip that was cut", 200, good[:len(good)-10], "zip"},
		{"a list that was cut", 200, []byte("[" + record("MAL-1") + ","), "neither a zip nor an advisory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body = c.status, c.body
			look(t, f, 0, c.ill)
			pond.want(t, c.name)
		})
	}
	// The directory of the zip is whole, and the bytes of its second record are not.
	compressed := zipped(t, record("MAL-1"), strings.Repeat(" ", 100)+record("MAL-2"))
	second := bytes.Index(compressed[10:], []byte("PK\x03\x04")) + 10
	compressed[second+40] ^= 0xff
	status, body = 200, compressed
	_, _, err := f.Look(t.Context())
	if err == nil {
		t.Error("a zip with a damaged record was taken")
	}
	pond.want(t, "a damaged record")

	body = []byte("[" + record("MAL-1") + "," + record("MAL-3") + "]")
	look(t, f, 0, "")
	pond.want(t, "well again, as a list", "MAL-1", "MAL-3")
	body = []byte(record("MAL-4"))
	look(t, f, 0, "")
	pond.want(t, "one record", "MAL-4")
	if left, err := os.ReadDir(f.Scratch); err != nil || len(left) > 0 {
		t.Errorf("left in scratch: %v, %v", left, err)
	}
}
