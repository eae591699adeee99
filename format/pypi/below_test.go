package pypi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestPublishedBelow: what is published in a repository that this one reads through to is described by what was published, though
// an upstream has a file of that name; and all files of a version that was yanked there are yanked, later ones too.
func TestPublishedBelow(t *testing.T) {
	h := formattest.New(t, ecosystem())
	inner, outer := h.Config("inner", h.Up), h.Config("r")
	inner.Union, inner.Options = true, map[string]string{"json": "../pypi/"}
	outer.Upstreams = []repo.Upstream{{Sibling: "inner"}}
	h.Configure(repo.Settings{}, inner, outer)
	put(h.Up, "alpha", old)
	h.Up.Put(jsonAPI, faulty.Object{Type: "application/json", Body: upstreamJSON(old)})
	h.Up.Put("/pypi/alpha/1.0.0/json", faulty.Object{Type: "application/json", Body: upstreamJSON(old)})

	ours := formattest.Release{Version: "1.0.0", Variant: 5}
	in := h.Pond.Repository("inner").For(repo.Caller{Actor: millpond.Actor{Name: "ci"}, Rights: rights(nil)})
	publish := func(name string, body []byte) {
		t.Helper()
		if _, err := (Format{}).PublishFile(t.Context(), in, format.PublishedFile{Name: name, Size: int64(len(body)), Body: bytes.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	publish(wheelName("alpha", ours), wheel("alpha", ours))
	type file struct {
		CommentText string `json:"comment_text"`
		Digests     map[string]string
	}
	var d struct {
		Info     struct{ Version, Summary string }
		URLs     []file
		Releases map[string][]file
	}
	want := millpond.SHA256(wheel("alpha", ours)).Hex()
	for _, path := range []string{"/pypi/alpha/json", "/pypi/alpha/1.0.0/json"} {
		r := h.Good(path, h.Get(path), nil)
		if err := json.Unmarshal(r.Body, &d); err != nil {
			t.Fatal(err)
		}
		files := d.Releases["1.0.0"]
		if d.Info.Version == "1.0.0" {
			files = d.URLs
		}
		if len(files) != 1 || files[0].Digests["sha256"] != want || files[0].CommentText != "" || d.Info.Summary == "about 1.0.0" {
			t.Errorf("%s: got %s, want one file of 1.0.0 with the sha256 %s, and nothing of the upstream's", path, r.Body, want)
		}
	}

	err := in.Amend(t.Context(), format.Amendment{Package: "alpha", Version: "1.0.0", Verb: "yank", Edit: func(now *format.Hosting) error {
		v := now.Version("1.0.0")
		v.Yanked, v.YankedWhy = true, "it is broken"
		for i := range v.Files {
			v.Files[i].Yanked, v.Files[i].YankedWhy = true, "it is broken"
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	name, body := aSdist("alpha", "1.0.0")
	publish(name, body)
	h.Pass(time.Minute)
	var p jsonPage
	r := h.Good("page", h.Do("GET", "/r"+alphas, http.Header{"Accept": {typeJSON}}), nil)
	if err := json.Unmarshal(r.Body, &p); err != nil {
		t.Fatal(err)
	}
	yanked := 0
	for _, f := range p.Files {
		if strings.Contains(f.Filename, "1.0.0") && fmt.Sprint(f.Yanked) == "it is broken" {
			yanked++
		}
	}
	if yanked != 2 {
		t.Errorf("%d files of 1.0.0 are yanked, want 2: %s", yanked, r.Body)
	}
}

// naming notes the names of the documents that are derived.
type naming struct {
	format.Repo
	names map[string]bool
}

func (n naming) Derive(ctx context.Context, d format.Derivation, write func(io.Writer) error) (*millpond.Content, error) {
	n.names[d.Name] = true
	return n.Repo.Derive(ctx, d, write)
}

// TestFewDocumentsForManyHosts: each client finds its own address in a document of the JSON API, and whoever invents host names
// does not fill the disk: of documents with one name the last is kept.
func TestFewDocumentsForManyHosts(t *testing.T) {
	h := house(t)
	h.Up.Put(jsonAPI, faulty.Object{Type: "application/json", Body: upstreamJSON(newest)})
	n := naming{h.Pond.Repository("r").For(repo.Caller{}), map[string]bool{}}
	ask := func(host string) {
		t.Helper()
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", jsonAPI, nil)
		r.Host = host
		Format{}.Handler(n).ServeHTTP(w, r.WithContext(repo.WithTrace(r.Context(), &repo.Trace{})))
		if want := "http://" + host + "/packages/r/alpha/"; w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Fatalf("%s: got %d %.200q, want 200 and %q", host, w.Code, w.Body, want)
		}
	}
	for range 2 {
		for i := range 40 {
			ask(fmt.Sprintf("h%d.example", i))
		}
	}
	if len(n.names) > 8 {
		t.Errorf("for 40 hosts documents of %d names were derived, want 8 at most", len(n.names))
	}
}
