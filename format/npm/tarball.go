package npm

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// getTarball answers with a version's file, whichever of its two spellings is asked for, and with no packument asked for
// before: lock files reach files so.
func (h *handler) getTarball(w http.ResponseWriter, r *http.Request, p Path) error {
	k := millpond.Key{Package: p.Package, File: p.File}
	c, err := h.open(r, k)
	if millpond.Is(err, millpond.NotFound) {
		if other, ok := h.otherSpelling(r.Context(), p); ok {
			k = other
			c, err = h.open(r, k)
		}
	}
	if err != nil {
		return err
	}
	if err := h.agreed(r, k, c); err != nil {
		if c.ReadSeekCloser != nil {
			c.Close()
		}
		if !millpond.Is(err, millpond.Conflict) {
			return err
		}
		// The client may have read of a change that is not known here yet.
		if err := h.repo.Refresh(r.Context(), k.Package); err != nil {
			return err
		}
		if c, err = h.open(r, k); err != nil {
			return err
		}
		if err := h.agreed(r, k, c); err != nil {
			if c.ReadSeekCloser != nil {
				c.Close()
			}
			return err
		}
	}
	header := w.Header()
	header["Content-Type"] = []string{"application/octet-stream"}
	header["Cache-Control"] = []string{format.Immutable(h.repo)}
	return format.Serve(w, r, c)
}

func (h *handler) open(r *http.Request, k millpond.Key) (*millpond.Content, error) {
	if r.Method == http.MethodHead {
		return h.repo.Stat(r.Context(), k)
	}
	return h.repo.Open(r.Context(), k)
}

// otherSpelling finds the file that <name>-<version>.tgz means where the upstream calls it something else.
func (h *handler) otherSpelling(ctx context.Context, p Path) (millpond.Key, bool) {
	version := versionOf(p.Package, p.File)
	if version == "" {
		return millpond.Key{}, false
	}
	pkg, err := h.repo.Package(ctx, p.Package)
	if err != nil {
		return millpond.Key{}, false
	}
	for _, v := range pkg.Versions {
		if f := mainFile(&v); v.Name == version && f != nil && f.Name != p.File {
			return millpond.Key{Package: p.Package, Version: version, File: f.Name}, true
		}
	}
	for _, hidden := range pkg.Hidden { // it is refused by its own name, in the rule's words
		v := hidden.Version
		if f := mainFile(&v); v.Name == version && f != nil && f.Name != p.File {
			return millpond.Key{Package: p.Package, Version: version, File: f.Name}, true
		}
	}
	return millpond.Key{}, false
}

// agreed refuses a file before its first byte where that spares the client a long wait: npm asks six times in 140 s for
// bytes that are not those it expects. It also refuses the files of versions that the registry took down.
func (h *handler) agreed(r *http.Request, k millpond.Key, c *millpond.Content) error {
	known, err := h.known(r.Context(), k.Package)
	switch millpond.KindOf(err) {
	case millpond.NotFound, millpond.Offline, millpond.BadUpstream, millpond.Throttled: // the file is there all the same
	default:
		if err != nil {
			return err
		}
	}
	listed := find(known, k)
	if listed == nil && known != nil && takenDown(known) && !listedElsewhere(r.Context(), h.repo, k) {
		return &millpond.Error{
			Kind: millpond.Blocked, Key: k,
			Why:  fmt.Sprintf("the registry took %s down and left only a security placeholder; the versions before it are not served", k.Package),
			Hint: "find out who has installed it",
		}
	}
	header := r.Header["Pacote-Integrity"]
	if len(header) == 0 {
		return nil
	}
	expected := parseIntegrity(strings.Join(header, " "))
	if len(expected) == 0 {
		return nil
	}
	if listed == nil {
		pkg, err := h.repo.Package(r.Context(), k.Package)
		if err != nil {
			return nil // the file is there; what the records say of it is not to be had
		}
		listed = find(pkg, k)
	}
	var digests []millpond.Digest
	if listed != nil {
		digests = listed.Digests
	}
	if !c.Digest.IsZero() && !has(digests, c.Digest.Algorithm()) {
		digests = append(digests[:len(digests):len(digests)], c.Digest)
	}
	if want, got, differ := disagree(expected, digests); differ {
		return &millpond.Error{
			Kind: millpond.Conflict, Key: k,
			Why:  fmt.Sprintf("%s is wanted with %s and has %s here", k, integrityOf(want), integrityOf(got)),
			Hint: "if the lock file is right, the upstream has changed a version that it had published",
		}
	}
	return nil
}

// known is what is known of a package: what the file was found in, so that it is not put together again for each.
func (h *handler) known(ctx context.Context, name string) (*millpond.Package, error) {
	if repo, ok := h.repo.(format.LastKnower); ok {
		return repo.LastKnown(ctx, name)
	}
	return h.held.Package(ctx, name)
}

// find is the record of a file; nil if the package does not list it. Of several layers' files of one name it is that of the
// first, which is what is opened by that name.
func find(p *millpond.Package, k millpond.Key) (found *millpond.File) {
	if p == nil {
		return nil
	}
	first := len(p.Parts)
	for i := range p.Versions {
		v := &p.Versions[i]
		if k.Version != "" && v.Name != k.Version {
			continue
		}
		f := v.File(k.File)
		if f == nil {
			continue
		}
		rank := slices.IndexFunc(p.Parts, func(one millpond.Part) bool { return one.Layer == v.Layer })
		if found == nil || rank >= 0 && rank < first {
			found = f
			if rank >= 0 {
				first = rank
			}
		}
	}
	return found
}

// takenDown reports whether a layer's registry has left nothing but its security placeholder.
func takenDown(p *millpond.Package) bool {
	for i := range p.Parts {
		if m, ok := decodePackumentMeta(p.Parts[i].Meta); ok && m.holder {
			return true
		}
	}
	return false
}

// listedElsewhere reports whether the file is in the listing after all: one that is on its way is not held yet.
func listedElsewhere(ctx context.Context, repo format.Repo, k millpond.Key) bool {
	p, err := repo.Package(ctx, k.Package)
	return err == nil && find(p, k) != nil
}
