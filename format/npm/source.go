package npm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// The documents of a package, beside its packument, that a repository can be asked for.
const (
	docKeys         = "keys"         // of no package: the keys that signatures are made with
	docAttestations = "attestations" // of a version
)

// A source reads one upstream.
type source struct {
	format.NoSource
	remote format.Remote
}

// Package reads the full packument. The abbreviated one lacks what holds need, and is derived.
func (s source) Package(ctx context.Context, name string) (*millpond.Package, error) {
	if !inScope(s.remote.Option(optScope), name) {
		return nil, &millpond.Error{
			Kind: millpond.NotFound, Key: millpond.Key{Package: name},
			Why: fmt.Sprintf("%s is asked about %s only", s.remote.Name(), s.remote.Option(optScope)),
		}
	}
	limit, err := limitOf(s.remote.Option(optLimit))
	if err != nil {
		return nil, err
	}
	doc, err := s.remote.Document(ctx, format.Request{
		URL:    Path{Kind: Packument, Package: name}.String(),
		Accept: "application/json",
		Limit:  limit,
	})
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	if doc.Unchanged {
		return nil, format.Unchanged
	}
	p, err := readPackument(ctx, name, doc.Reader(), doc.Size, doc.URL)
	if _, ours := errors.AsType[*millpond.Error](err); err != nil && !ours && ctx.Err() == nil {
		return nil, &millpond.Error{
			Kind: millpond.BadUpstream, Key: millpond.Key{Package: name},
			Why: fmt.Sprintf("what %s gave for %s %v", s.remote.Name(), name, err),
		}
	}
	return p, err
}

// limitOf reads a number of MiB. A smaller one than 128 would take packages away that exist.
func limitOf(option string) (int64, error) {
	if option == "" {
		return 256 << 20, nil
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSuffix(option, "MiB"), " "), 10, 32)
	if err != nil || n < 128 {
		return 0, &millpond.Error{Kind: millpond.Internal, Why: fmt.Sprintf("%s: %q is not a number of MiB from 128 on", optLimit, option)}
	}
	return n << 20, nil
}

// inScope reports whether an upstream is asked about a name: "@acme @tools" are the only scopes it is asked about, "!@acme"
// is one that it is not asked about.
func inScope(scopes, name string) bool {
	if scopes == "" {
		return true
	}
	scope, _, scoped := strings.Cut(name, "/")
	only := false
	for one := range strings.FieldsFuncSeq(scopes, func(c rune) bool { return c == ' ' || c == ',' }) {
		except, not := strings.CutPrefix(one, "!")
		switch {
		case scoped && not && except == scope:
			return false
		case scoped && one == scope:
			return true
		}
		only = only || !not
	}
	return !only
}

// Document reads the keys, or the attestations of a version.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	var p Path
	switch k.File {
	case docKeys:
		p = Path{Kind: Keys}
	case docAttestations:
		if !inScope(s.remote.Option(optScope), k.Package) {
			return nil, &millpond.Error{Kind: millpond.NotFound, Key: k}
		}
		p = Path{Kind: Attestations, Package: k.Package, Spec: k.Version}
	default:
		return s.NoSource.Document(ctx, k)
	}
	return s.remote.Document(ctx, format.Request{URL: p.String(), Accept: "application/json", Limit: 16 << 20})
}

// Newer reports whether a listing may replace the kept one: a registry's copies lag behind each other, and time.modified
// tells. A listing that does not say when it was modified is taken.
func (s source) Newer(kept, got *millpond.Package) bool {
	before, after := modified(kept), modified(got)
	return before == "" || after == "" || after >= before // one spelling of dates: see writeTime
}

func modified(p *millpond.Package) string {
	if len(p.Parts) == 0 {
		return ""
	}
	m, _ := decodePackumentMeta(p.Parts[0].Meta)
	return m.modified
}

// Sniff refuses what is no gzip: an error page is no tarball.
func (s source) Sniff(k millpond.Key, head []byte) error {
	if len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b {
		return nil
	}
	return &millpond.Error{
		Kind: millpond.BadUpstream, Key: k,
		Why: fmt.Sprintf("what %s gave for %s is not a tarball: it begins with %.16q", s.remote.Name(), k, head),
	}
}
