package golang

import (
	"io"
	"net/http"

	"millpond"
	"millpond/format"
)

// getSupported answers for the database without asking it: the answer decides for the client's whole run.
func (h handler) getSupported(w http.ResponseWriter, p Path) error {
	if _, err := findDatabase(h.repo.Option("sumdb"), p.Database); err != nil {
		return err
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
	if h.repo.Claimed(p.Module) || unsummed(h.repo.Option("no_sum"), p.Module) {
		return &millpond.Error{
			Kind: millpond.Denied,
			Why:  p.Module + " is private: no checksum database hears of it",
			Hint: "go env -w GONOSUMDB=" + p.Module,
		}
	}
	return h.getSum(w, r, p, typeText)
}

func (h handler) getTile(w http.ResponseWriter, r *http.Request, p Path) error {
	if _, err := findDatabase(h.repo.Option("sumdb"), p.Database); err != nil {
		return err
	}
	return h.getSum(w, r, p, typeTile)
}

func (h handler) getSum(w http.ResponseWriter, r *http.Request, p Path, contentType string) error {
	c, err := h.repo.Open(r.Context(), p.Key())
	if err != nil {
		return err
	}
	head(w, contentType, format.Immutable(h.repo))
	return format.Serve(w, r, c)
}
