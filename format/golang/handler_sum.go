package golang

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"millpond"
	"millpond/format"
)

// getSupported says yes for each configured database, though it be down: the answer decides for the client's whole run.
func (h handler) getSupported(w http.ResponseWriter, r *http.Request, p Path) error {
	d, err := findDatabase(h.repo.Option("sumdb"), p.Database)
	if err != nil {
		return err
	}
	if d.URL == "" {
		// Reading the head finds out the way to the database before the look-ups come. Whether it can be read is no matter.
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if doc, err := h.repo.Document(ctx, Path{Kind: SumLatest, Database: d.Name}.Key()); err == nil {
			doc.Close()
		}
	}
	head(w, typeText, maxAge)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h handler) getSumLatest(w http.ResponseWriter, r *http.Request, p Path) error {
	if _, err := findDatabase(h.repo.Option("sumdb"), p.Database); err != nil {
		return err
	}
	doc, err := h.repo.Document(r.Context(), p.Key())
	if err != nil {
		return err
	}
	head(w, typeText, maxAge)
	return format.Serve(w, r, &millpond.Content{
		ReadSeekCloser: struct {
			*io.SectionReader
			io.Closer
		}{doc.Reader(), doc},
		Size: doc.Size, Digest: doc.Digest, Modified: doc.Modified,
	})
}

// getLookup keeps the names of private modules from the database: a look-up alone would tell it.
func (h handler) getLookup(w http.ResponseWriter, r *http.Request, p Path) error {
	if _, err := findDatabase(h.repo.Option("sumdb"), p.Database); err != nil {
		return err
	}
	private := h.repo.Claimed(p.Module) || unsummed(h.repo.Option("no_sum"), p.Module)
	if !private {
		var err error
		if private, err = h.hosts(r.Context(), p.Module, p.Version); err != nil {
			return err
		}
	}
	if private {
		return &millpond.Error{
			Kind: millpond.Denied,
			Why:  p.Module + " is private: no checksum database hears of it",
			Hint: "go env -w GONOSUMDB=" + p.Module,
		}
	}
	return h.getSum(w, r, p, typeText)
}

// hosts reports whether a version was published here, or would have to be: where what is hosted hides the upstreams, no other
// version of the module is served.
func (h handler) hosts(ctx context.Context, path, version string) (bool, error) {
	p, err := h.repo.Held().Package(ctx, path)
	switch {
	case err == nil:
	case millpond.Is(err, millpond.Gone):
		return true, nil
	case millpond.Is(err, millpond.Denied), millpond.Is(err, millpond.Unauthenticated):
		return false, err // it may be hosted all the same
	case millpond.Is(err, millpond.Canceled), millpond.Is(err, millpond.Internal):
		return false, err
	default:
		return false, nil
	}
	hosted := slices.ContainsFunc(p.Parts, func(part millpond.Part) bool { return format.IsHosted(part.Layer) })
	if !hosted || len(p.Parts) == 1 {
		return hosted, nil
	}
	v := p.Version(version)
	return v != nil && format.IsHosted(v.Layer), nil
}

func (h handler) getTile(w http.ResponseWriter, r *http.Request, p Path) error {
	if _, err := findDatabase(h.repo.Option("sumdb"), p.Database); err != nil {
		return err
	}
	return h.getSum(w, r, p, typeTile)
}

func (h handler) getSum(w http.ResponseWriter, r *http.Request, p Path, contentType string) error {
	c, err := format.Find(r, h.repo, p.Key())
	if err != nil {
		return err
	}
	head(w, contentType, format.Immutable(h.repo))
	return format.Serve(w, r, c)
}
