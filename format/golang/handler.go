package golang

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// What answers say of themselves.
const (
	typeInfo = "application/json"
	typeText = "text/plain; charset=utf-8"
	typeZip  = "application/zip"
	typeTile = "application/octet-stream"
	maxAge   = "max-age=60" // of what moves
)

type handler struct {
	repo format.Repo
	held bool // repo has no upstreams: the client asked for what is held
}

// Handler speaks the GOPROXY protocol.
func (Format) Handler(r format.Repo) http.Handler { return handler{repo: r} }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := Parse(r.URL.EscapedPath())
	allowed := []string{http.MethodGet, http.MethodHead}
	if p.Kind == Upload {
		allowed = []string{http.MethodPut}
	}
	if !slices.Contains(allowed, r.Method) {
		allow := strings.Join(allowed, ", ")
		w.Header().Set("Allow", allow)
		err := &millpond.Error{Kind: millpond.Unsupported, Why: "here only these are answered: " + allow}
		format.Fail(w, r, h.repo.Now(), err, format.Failure{Status: http.StatusMethodNotAllowed, Type: typeText, Body: err.Why + "\n"})
		return
	}
	if p.Kind == Upload {
		if err := h.putUpload(w, r); err != nil {
			h.failUpload(w, r, err)
		}
		return
	}
	if p.Cached || strings.EqualFold(r.Header.Get("Disable-Module-Fetch"), "true") {
		h.repo, h.held = h.repo.Held(), true
	}
	if err == nil {
		err = h.serve(w, r, p)
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

func (h handler) serve(w http.ResponseWriter, r *http.Request, p Path) error {
	switch p.Kind {
	case Info, Mod, Zip:
		return h.getFile(w, r, p)
	case List:
		return h.getList(w, r, p)
	case Latest:
		return h.getLatest(w, r, p)
	case Query:
		return h.getQuery(w, r, p)
	case Index:
		return h.getIndex(w, r)
	case SumSupported:
		return h.getSupported(w, r, p)
	case SumLatest:
		return h.getSumLatest(w, r, p)
	case SumLookup:
		return h.getLookup(w, r, p)
	}
	return h.getTile(w, r, p)
}

func head(w http.ResponseWriter, contentType, cache string) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = []string{contentType}, []string{cache}
}

func (h handler) getFile(w http.ResponseWriter, r *http.Request, p Path) error {
	c, err := format.Find(r, h.repo, p.Key())
	if err != nil {
		return err
	}
	contentType := typeZip
	switch p.Kind {
	case Info:
		contentType = typeInfo
		h.ahead(r.Context(), p)
	case Mod:
		contentType = typeText
	}
	head(w, contentType, format.Immutable(h.repo))
	return format.Serve(w, r, c)
}

// ahead starts the siblings of an .info, if the option ahead wants them.
func (h handler) ahead(ctx context.Context, p Path) {
	mod, zip := p, p
	mod.Kind, zip.Kind = Mod, Zip
	switch h.repo.Option("ahead") {
	case "mod":
		h.repo.Ahead(ctx, mod.Key())
	case "all":
		h.repo.Ahead(ctx, mod.Key(), zip.Key())
	}
}

func (h handler) getList(w http.ResponseWriter, r *http.Request, p Path) error {
	stamp, _, err := h.repo.Stamp(r.Context(), p.Module)
	if err != nil {
		return err
	}
	d := format.Derivation{Name: "list/" + p.Module, Stamp: stamp, Type: typeText}
	if h.held {
		d.Name = "held/" + d.Name
	}
	w.Header()["Cache-Control"] = []string{maxAge}
	err = format.ServeDerived(w, r, h.repo, d, func(out io.Writer) error {
		// Others may wait for this list when its first reader has left. The repository ends what it asks for.
		v, err := h.view(context.WithoutCancel(r.Context()), p.Module)
		if err != nil {
			return err
		}
		if v.unread {
			return errUnread
		}
		_, err = io.WriteString(out, v.list())
		return err
	})
	if !errors.Is(err, errUnread) {
		return err
	}
	v, err := h.view(r.Context(), p.Module)
	if err != nil {
		return err
	}
	list := []byte(v.list())
	head(w, typeText, maxAge)
	return format.Serve(w, r, &millpond.Content{
		ReadSeekCloser: struct {
			*bytes.Reader
			io.Closer
		}{bytes.NewReader(list), io.NopCloser(nil)},
		Size: int64(len(list)), Digest: millpond.SHA256(list),
	})
}

// errUnread keeps a list from being derived that lacks what could not be read for the moment.
var errUnread = errors.New("the retractions of a hidden version cannot be read now")

func (h handler) getLatest(w http.ResponseWriter, r *http.Request, p Path) error {
	v, err := h.view(r.Context(), p.Module)
	if err != nil {
		return err
	}
	version := v.latest()
	if version == "" {
		ref, err := h.repo.Ref(r.Context(), p.Module, "latest")
		if err == nil {
			version = ref.Target
		} else if version = v.newestPseudo(); version == "" || !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Offline) {
			return err
		}
	}
	return h.getPicked(w, r, p.Module, version)
}

func (h handler) getQuery(w http.ResponseWriter, r *http.Request, p Path) error {
	ref, err := h.repo.Ref(r.Context(), p.Module, p.Version)
	if err != nil {
		return err
	}
	return h.getPicked(w, r, p.Module, ref.Target)
}

// getPicked answers with the .info of the version that a mutable name means now.
func (h handler) getPicked(w http.ResponseWriter, r *http.Request, path, version string) error {
	c, err := format.Find(r, h.repo, Path{Kind: Info, Module: path, Version: version}.Key())
	if err != nil {
		return err
	}
	head(w, typeInfo, maxAge)
	return format.Serve(w, r, c)
}
