package npm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"millpond"
	"millpond/format"
)

// A handler speaks the protocol for one repository.
type handler struct {
	repo  format.Repo
	held  format.Repo // the same without upstreams
	cache []string    // Cache-Control of what can change
}

// Handler implements format.Format.
func (Format) Handler(repo format.Repo) http.Handler {
	h := &handler{repo: repo, held: repo.Held()}
	// Under a max-age npm and bun would ask nothing meanwhile, and see no publish, block or takedown.
	control := "max-age=0, stale-while-revalidate=60, stale-if-error=2592000"
	if !repo.Public() {
		control = "private, " + control
	}
	h.cache = []string{control}
	return h
}

var varyForm = []string{"Accept, Accept-Encoding"} // never changed

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := Parse(r.URL.EscapedPath())
	if err == nil {
		err = h.route(w, r, p)
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

func (h *handler) route(w http.ResponseWriter, r *http.Request, p Path) error {
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch p.Kind {
	case Bulk, Audit, QuickAudit:
		if r.Method != http.MethodPost {
			return &millpond.Error{Kind: millpond.Unsupported, Why: "an audit is a POST"}
		}
		return h.postAudit(w, r, p)
	case Login, WebLogin, WebDone, Logout, WhoAmI, Tokens, TokenByKey, Profile, Exchange:
		return h.account(w, r, p)
	case Access, Member:
		if !reading {
			return errNoAccess
		}
	case Unknown:
		return notOffered
	}
	if !reading {
		return h.write(w, r, p)
	}
	switch p.Kind {
	case Packument:
		return h.getPackument(w, r, p)
	case Manifest:
		return h.getManifest(w, r, p)
	case Tarball:
		return h.getTarball(w, r, p)
	case Tags:
		return h.getTags(w, r, p)
	case Tag:
		return h.getTag(w, r, p)
	case Search:
		return h.getSearch(w, r)
	case Keys:
		return h.getKeys(w, r)
	case Attestations:
		return h.getAttestations(w, r, p)
	case Access:
		return h.getAccess(w, r, p)
	case Member:
		return h.getMember(w, r, p)
	case Ping:
		return h.writeJSON(w, r, []byte("{}"))
	}
	return otherMethod // paths that are only ever written to
}

func (h *handler) write(w http.ResponseWriter, r *http.Request, p Path) error {
	put, del := r.Method == http.MethodPut, r.Method == http.MethodDelete
	switch {
	case p.Kind == Packument && put:
		return h.put(w, r, p)
	case p.Kind == Revision && put:
		return h.putRevision(w, r, p)
	case p.Kind == Revision && del:
		return h.deleteRevision(w, r, p)
	case p.Kind == FileRevision && del:
		return h.deleteFile(w, r, p)
	case (p.Kind == Tags || p.Kind == Tag) && (put || r.Method == http.MethodPost):
		return h.putTags(w, r, p)
	case p.Kind == Tag && del:
		return h.deleteTag(w, r, p)
	}
	return otherMethod
}

// otherMethod is what a path is answered that has no such method.
var otherMethod = &millpond.Error{Kind: millpond.Unsupported, Why: "this registry has no such method there"}

// notOffered answers what no pond has. Clients take the 404 as that: pnpm publishes without stages.
var notOffered = &millpond.Error{Kind: millpond.NotFound, Why: "this registry does not offer that"}

// getPackument answers with one of the two forms, derived once for each stamp, encoding and base address.
func (h *handler) getPackument(w http.ResponseWriter, r *http.Request, p Path) error {
	if r.URL.RawQuery != "" && r.URL.Query().Get("write") == "true" {
		return h.getForEdit(w, r, p)
	}
	form, media := "full ", "application/json"
	if abbreviated(r.Header) {
		form, media = "abbreviated ", "application/vnd.npm.install-v1+json"
	}
	write := (*writer).full
	if form != "full " {
		write = (*writer).abbreviated
	}
	header := w.Header()
	header["Vary"] = varyForm
	header["Cache-Control"] = h.cache
	header["Content-Type"] = []string{media}
	base := baseOf(h.repo, r)
	return h.derived(w, r, p.Package, format.Derivation{Name: form + format.Slot(base) + " " + p.Package, Type: media}, base,
		func(ctx context.Context, v *view, to io.Writer) error {
			out, err := newWriter(ctx, h.repo, v, base)
			if err != nil {
				return err
			}
			defer out.close()
			return write(out, to)
		})
}

// getTags answers with the dist-tags.
func (h *handler) getTags(w http.ResponseWriter, r *http.Request, p Path) error {
	w.Header()["Cache-Control"] = h.cache
	return h.derived(w, r, p.Package, format.Derivation{Name: "tags " + p.Package, Type: "application/json"}, "",
		func(ctx context.Context, v *view, to io.Writer) error {
			tags := make(map[string]string, len(v.tags))
			for _, tag := range v.tags {
				tags[tag.Name] = tag.Target
			}
			return json.NewEncoder(to).Encode(tags)
		})
}

// errMoved is what a derivation ends in whose package has changed since its stamp was asked for.
var errMoved = errors.New("the package has changed meanwhile")

// derived answers with a document made of a package's view.
func (h *handler) derived(w http.ResponseWriter, r *http.Request, name string, d format.Derivation, base string,
	write func(context.Context, *view, io.Writer) error) error {
	h.notice(w, r, name)
	for try := 0; ; try++ {
		stamp, _, err := h.repo.Stamp(r.Context(), name)
		if err != nil {
			return err
		}
		d.Stamp = stamp
		if base != "" {
			d.Stamp += " " + base
		}
		err = format.ServeDerived(w, r, h.repo, d, func(to io.Writer) error {
			// Others wait for this document, so it is finished though its first reader leaves; it ends by itself.
			ctx := context.WithoutCancel(r.Context())
			p, err := h.repo.Package(ctx, name)
			if err != nil {
				return err
			}
			if p.Stamp != stamp {
				return errMoved
			}
			if empty(p) {
				return unpublished(name)
			}
			return write(ctx, newView(p), to)
		})
		if try == 2 || !errors.Is(err, errMoved) {
			return err
		}
	}
}

// empty reports whether a package was published here and nothing of it is left.
func empty(p *millpond.Package) bool { return len(p.Versions) == 0 && len(p.Hidden) == 0 && hosts(p) }

// baseOf is the repository's address as the client knows it.
func baseOf(repo format.Repo, r *http.Request) string {
	u := repo.Base(r)
	if u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		return u.Scheme + "://" + u.Host + u.EscapedPath()
	}
	return u.String()
}

// getManifest answers with one version's manifest: npm does not ask for it, corepack and others do.
func (h *handler) getManifest(w http.ResponseWriter, r *http.Request, p Path) error {
	pkg, err := h.repo.Package(r.Context(), p.Package)
	if err != nil {
		return err
	}
	v := newView(pkg)
	one := v.find(p.Spec)
	if one == nil {
		why := fmt.Sprintf("%s has no version %s", p.Package, p.Spec)
		if reason := v.why(p.Spec); reason != "" {
			why = fmt.Sprintf("%s@%s is not served: %s", p.Package, p.Spec, reason)
		}
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: p.Package, Version: p.Spec}, Why: why}
	}
	body, err := manifest(r.Context(), h.repo, v, one, baseOf(h.repo, r))
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = h.cache
	return h.writeJSON(w, r, body)
}

// getTag answers with the version that a tag points at, as a JSON string.
func (h *handler) getTag(w http.ResponseWriter, r *http.Request, p Path) error {
	pkg, err := h.repo.Package(r.Context(), p.Package)
	if err != nil {
		return err
	}
	target := newView(pkg).tag(p.Tag)
	if target == "" {
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: p.Package}, Why: fmt.Sprintf("%s has no tag %s", p.Package, p.Tag)}
	}
	w.Header()["Cache-Control"] = h.cache
	return h.writeJSON(w, r, appendQuoted(nil, target))
}

// writeJSON answers with a small document. Without a Cache-Control of its own it is not kept.
func (h *handler) writeJSON(w http.ResponseWriter, r *http.Request, body []byte) error {
	header := w.Header()
	header["Content-Type"] = []string{"application/json"}
	if len(header["Cache-Control"]) == 0 {
		header["Cache-Control"] = []string{"no-store"}
	}
	return format.Serve(w, r, &millpond.Content{
		ReadSeekCloser: whole{bytes.NewReader(body)}, Size: int64(len(body)), Digest: millpond.SHA256(body),
	})
}

type whole struct{ *bytes.Reader }

func (whole) Close() error { return nil }
