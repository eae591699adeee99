package rubygems

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
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

// getFile answers with a gem or a quick spec. Which gem a file is of its name does not say: if what it may mean is not known,
// all of it is tried, names that are known and long ones first; and if any of it is ours no upstream hears of the others.
func (h handler) getFile(w http.ResponseWriter, r *http.Request, p Path, file func(name, version string) string) error {
	repo, keys := h.repo, splits(p.File)
	if len(keys) > mostReadings {
		return errPath
	}
	if len(keys) > 1 {
		var ours bool
		if keys, ours = h.meant(r.Context(), keys); ours {
			repo = repo.Held()
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
		if kind := millpond.KindOf(err); kind == millpond.Canceled || kind == millpond.Internal {
			return err
		}
	}
	return first
}

const (
	// mostReadings is how many gems a file's name may mean: no gem is called so that it is more than a few.
	mostReadings = 16
	// mostMeant is how many are tried of which nothing is held: each costs a question to the upstreams.
	mostMeant = 8
)

// meant are those of the keys that a file's name can mean, by what is held here: one alone if something is held of that very
// version, first of all one that was published. ours says that one of the names is claimed, or hosted here or
// below.
func (h handler) meant(ctx context.Context, keys []millpond.Key) (left []millpond.Key, ours bool) {
	held := h.repo.Held()
	for _, k := range keys {
		ours = ours || h.repo.Claimed(k.Package)
		pkg, err := held.Package(ctx, k.Package)
		if err != nil {
			ours = ours || millpond.Is(err, millpond.Gone)
			continue
		}
		ours = ours || slices.ContainsFunc(pkg.Parts, func(one millpond.Part) bool { return format.IsHosted(one.Layer) })
		v := pkg.Version(k.Version)
		for i := range pkg.Hidden {
			if v == nil && pkg.Hidden[i].Version.Name == k.Version {
				v = &pkg.Hidden[i].Version
			}
		}
		if v != nil && format.IsHosted(v.Layer) {
			return []millpond.Key{k}, true
		}
		if v != nil && len(left) == 0 {
			left = []millpond.Key{k}
		}
	}
	if len(left) > 0 {
		return left, ours
	}
	slices.SortStableFunc(keys, func(a, b millpond.Key) int { return h.log.rank(a.Package) - h.log.rank(b.Package) })
	return keys[:min(len(keys), mostMeant)], ours
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
