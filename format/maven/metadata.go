package maven

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// getMetadata answers with what there is to say of a directory as a group, as an artifact and as a SNAPSHOT, in one document.
func (h handler) getMetadata(w http.ResponseWriter, r *http.Request, p Path) error {
	stamp, err := h.stampOf(r.Context(), p)
	if err != nil {
		return err
	}
	d := format.Derivation{Name: p.metadataDocument(), Stamp: stamp, Type: typeXML}
	write := func(out io.Writer) error {
		// Others may wait for this document when its first reader has left. The repository ends what it asks for.
		m, err := h.compose(context.WithoutCancel(r.Context()), p)
		if err != nil {
			return err
		}
		return m.write(out)
	}
	w.Header()["Cache-Control"] = []string{maxAge}
	if p.Sum == "" {
		return format.ServeDerived(w, r, h.repo, d, write)
	}
	d.Name, d.Type = d.Name+"."+p.Sum, typeText
	return format.ServeDerived(w, r, h.repo, d, func(out io.Writer) error {
		sum := millpond.NewHash(p.Sum)
		if err := write(sum); err != nil {
			return err
		}
		_, err := io.WriteString(out, hex.EncodeToString(sum.Sum(nil)))
		return err
	})
}

// metadataDocument is the name of the document of a directory.
func (p Path) metadataDocument() string {
	const begin, end = "metadata/", metadataName
	var b strings.Builder
	b.Grow(len(begin) + lengthOf(p.Dir) + len(end))
	b.WriteString(begin)
	for _, word := range p.Dir {
		b.WriteString(word)
		b.WriteByte('/')
	}
	b.WriteString(end)
	return b.String()
}

// stampOf changes whenever the document of a directory does. NotFound if nothing is known of it.
func (h handler) stampOf(ctx context.Context, p Path) (string, error) {
	var absent error
	stamp := ""
	add := func(one string, _ time.Time, err error) error {
		switch {
		case err == nil:
			stamp += one
		case millpond.Is(err, millpond.NotFound):
			absent = err
		default:
			return err
		}
		return nil
	}
	if pkg, base, ok := p.Snapshot(); ok {
		one, fresh, err := h.repo.Held().Stamp(ctx, pkg)
		if millpond.Is(err, millpond.Offline) {
			err = &millpond.Error{Kind: millpond.NotFound} // nothing is held of it
		}
		if err := add(one, fresh, err); err != nil {
			return "", err
		}
		if !h.repo.Claimed(pkg) {
			if err := add(h.repo.Stamp(ctx, pkg+":"+base)); err != nil {
				return "", err
			}
		}
	} else if err := add(h.repo.Stamp(ctx, p.Package())); err != nil {
		return "", err
	}
	plugins, err := h.plugins(ctx, p)
	if err != nil {
		return "", err
	}
	if len(plugins) > 0 {
		sum := sha256.New()
		for _, one := range plugins {
			fmt.Fprintf(sum, "%q %q %q\n", one.Prefix, one.Artifact, one.Name)
		}
		stamp += hex.EncodeToString(sum.Sum(nil)[:8])
	}
	if stamp == "" {
		if absent == nil {
			absent = &millpond.Error{Kind: millpond.NotFound, Why: "nothing is known of " + strings.Join(p.Dir, "/")}
		}
		return "", absent
	}
	return stamp, nil
}

// compose makes the document of a directory.
func (h handler) compose(ctx context.Context, p Path) (*metadata, error) {
	m := &metadata{}
	var hidden error
	if _, _, ok := p.Snapshot(); ok {
		b, err := h.builds(ctx, p)
		switch {
		case err == nil:
			m = b.metadata()
		case !millpond.Is(err, millpond.NotFound):
			return nil, err
		}
	} else {
		view, err := h.repo.Package(ctx, p.Package())
		switch {
		case err == nil:
			if err := m.addVersions(view); err != nil {
				return nil, err
			}
			if n, ok := nameOf(view.Name); ok && len(m.Versions) > 0 {
				m.Group, m.Artifact = n.group, n.artifact
			}
			for _, one := range view.Hidden {
				hidden = &millpond.Error{Kind: millpond.Blocked, Key: millpond.Key{Package: view.Name, Version: one.Version.Name}, Why: one.Why, After: one.After}
				break // the newest
			}
		case !millpond.Is(err, millpond.NotFound):
			return nil, err
		}
	}
	plugins, err := h.plugins(ctx, p)
	if err != nil {
		return nil, err
	}
	m.Plugins = merged(append(plugins, m.Plugins...))
	switch {
	case len(m.Versions) > 0 || len(m.Plugins) > 0 || m.Stamp != "" || len(m.Builds) > 0:
		return m, nil
	case hidden != nil:
		return nil, hidden
	}
	return nil, &millpond.Error{Kind: millpond.NotFound, Why: "nothing is listed of " + strings.Join(p.Dir, "/")}
}

// addVersions adds what a view shows of an artifact, oldest version first: the builds of a SNAPSHOT are one version there.
func (m *metadata) addVersions(view *millpond.Package) error {
	for i := range view.Parts {
		var meta partMeta
		if len(view.Parts[i].Meta) == 0 || view.Parts[i].Layer == "" {
			continue
		}
		if err := json.Unmarshal(view.Parts[i].Meta, &meta); err != nil {
			return fmt.Errorf("the record of %s: %w", view.Name, err)
		}
		m.Updated = max(m.Updated, meta.Updated)
		m.Plugins = append(m.Plugins, meta.Plugins...)
	}
	m.Versions = make([]string, 0, len(view.Versions))
	var published time.Time
	sorted := true
	for i := range slices.Backward(view.Versions) {
		v := &view.Versions[i]
		if v.Yanked {
			continue
		}
		if len(v.Files) > 0 && v.Published.After(published) { // it is hosted
			published = v.Published
		}
		name := v.Name
		if b, ok := buildOf(name); ok {
			name, sorted = b.base, false
		}
		m.Versions = append(m.Versions, name)
	}
	if !sorted {
		slices.SortFunc(m.Versions, Format{}.Compare)
		m.Versions = slices.Compact(m.Versions)
	}
	if !published.IsZero() {
		m.Updated = max(m.Updated, published.UTC().Format(dateLayout))
	}
	if n := len(m.Versions); n > 0 {
		m.Latest = m.Versions[n-1]
	}
	for _, name := range slices.Backward(m.Versions) {
		if !isSnapshot(name) {
			m.Release = name
			break
		}
	}
	return nil
}

// A packageMeta is what is kept of a hosted package besides its versions.
type packageMeta struct {
	Plugin *plugin `json:"plugin,omitempty"`
}

// plugins are those that are hosted of the group that the directory is.
func (h handler) plugins(ctx context.Context, p Path) ([]plugin, error) {
	var group strings.Builder
	group.Grow(lengthOf(p.Dir))
	for i, word := range p.Dir {
		if strings.IndexByte(word, '.') >= 0 {
			return nil, nil
		}
		if i > 0 {
			group.WriteByte('.')
		}
		group.WriteString(word)
	}
	group.WriteByte(':')
	var out []plugin
	for one, err := range h.repo.Records(ctx, group.String()) {
		if err != nil {
			return nil, err
		}
		var meta packageMeta
		if len(one.Meta) == 0 || json.Unmarshal(one.Meta, &meta) != nil || meta.Plugin == nil {
			continue
		}
		if _, _, err := h.repo.Held().Stamp(ctx, one.Name); err != nil {
			continue // all of it was deleted, or this reader may not see it
		}
		out = append(out, *meta.Plugin)
	}
	return out, nil
}

// merged are plugins sorted by prefix, the first of each that says the same.
func merged(all []plugin) []plugin {
	slices.SortStableFunc(all, func(a, b plugin) int {
		if c := strings.Compare(a.Prefix, b.Prefix); c != 0 {
			return c
		}
		return strings.Compare(a.Artifact, b.Artifact)
	})
	return slices.CompactFunc(all, func(a, b plugin) bool { return a.Prefix == b.Prefix && a.Artifact == b.Artifact })
}
