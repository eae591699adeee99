package rubygems

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"millpond"
	"millpond/format"
)

type handler struct {
	repo format.Repo
	log  *log
}

// Handler speaks the protocols of gem and Bundler.
func (Format) Handler(r format.Repo) http.Handler {
	h := handler{repo: r}
	fresh := func() any { return newLog() }
	if s, ok := r.(format.Sharer); ok {
		h.log = s.Shared("log of names", fresh).(*log)
	} else {
		h.log = newLog()
	}
	return h
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := Parse(r.URL.EscapedPath())
	if err == nil {
		err = h.route(w, r, p)
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

func (h handler) route(w http.ResponseWriter, r *http.Request, p Path) error {
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case p.Kind == Push && r.Method == http.MethodPost:
		return h.push(w, r)
	case p.Kind == Yank && r.Method == http.MethodDelete:
		return h.yank(w, r)
	case p.Kind == Key && (r.Method == http.MethodPost || r.Method == http.MethodPut):
		return h.postKey(w, r)
	case p.Kind == Key && reading:
		return &millpond.Error{Kind: millpond.Gone, Why: "keys are made by POST"}
	case p.Kind == Owners && (r.Method == http.MethodPost || r.Method == http.MethodDelete):
		return h.changeOwners(w, r, p)
	case !reading || p.Kind == Push || p.Kind == Yank:
		return &millpond.Error{Kind: millpond.NotFound, Why: "this repository of gems has no such call"}
	}
	switch p.Kind {
	case Root:
		return h.text(w, r, []byte("millpond\n"))
	case Versions:
		return h.getVersions(w, r)
	case Names:
		return h.getNames(w, r)
	case Info:
		return h.getInfo(w, r, p.Package)
	case Specs:
		return h.getSpecs(w, r, p.File)
	case Quick:
		return h.getFile(w, r, p, quickFile)
	case Gem:
		return h.getFile(w, r, p, gemFile)
	case Owners:
		return h.getOwners(w, r, p)
	case Profile:
		return h.getProfile(w, r)
	case Search:
		return h.getSearch(w, r)
	}
	return h.getJSON(w, r, p)
}

const typeBinary = "application/octet-stream"

// getFile answers with a gem or a quick spec. Which gem a file is of its name does not say: what it may mean is tried, the
// longest name first, and if any of it is ours no upstream hears of the others.
func (h handler) getFile(w http.ResponseWriter, r *http.Request, p Path, file func(name, version string) string) error {
	repo := h.repo
	keys := splits(p.File)
	for _, k := range keys {
		if len(keys) > 1 && repo.Claimed(k.Package) {
			repo = repo.Held()
			break
		}
	}
	var first error
	for _, k := range keys {
		k.File = file(k.Package, k.Version)
		c, err := format.Find(r, repo, k)
		if err == nil {
			header := w.Header()
			header["Content-Type"] = []string{typeBinary}
			header["Cache-Control"] = []string{format.Immutable(h.repo)}
			return format.Serve(w, r, c)
		}
		if first == nil || millpond.Is(first, millpond.NotFound) {
			first = err
		}
		if !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Offline) {
			break
		}
	}
	return first
}

type whole struct{ *bytes.Reader }

func (whole) Close() error { return nil }

var _ io.WriterTo = whole{}

// text answers with a small text.
func (h handler) text(w http.ResponseWriter, r *http.Request, body []byte) error {
	header := w.Header()
	if len(header["Content-Type"]) == 0 {
		header["Content-Type"] = []string{typeText}
	}
	if len(header["Cache-Control"]) == 0 {
		header["Cache-Control"] = []string{"no-store"}
	}
	return format.Serve(w, r, &millpond.Content{
		ReadSeekCloser: whole{bytes.NewReader(body)}, Size: int64(len(body)), Digest: millpond.SHA256(body),
	})
}

// moves is the Cache-Control of what can change: caches ask each time, and keep it for when nobody answers.
func (h handler) moves() string {
	if h.repo.Public() {
		return "max-age=0, stale-if-error=2592000"
	}
	return "private, max-age=0, stale-if-error=2592000"
}

// sum is a digest of the text of an info, remembered under the stamp that it was made of.
type sum struct {
	stamp string
	md5   string
	sha   string
}

// day is the midnight before a time.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
