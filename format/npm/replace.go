package npm

import (
	"slices"
	"strings"

	"millpond"
)

// A replacement is a string of a manifest that the pond changes.
type replacement struct {
	cut
	with string
}

// manifest writes one version's manifest with the pond's addresses.
func (w *writer) manifest(p *part, m *shownMember) error {
	all, err := w.replacements(p, m)
	if err != nil {
		return err
	}
	at := m.value.from
	for _, r := range all {
		if err := p.text.copy(w.out, cut{at, r.from}); err != nil {
			return err
		}
		w.quote(r.with)
		at = r.to
	}
	return p.text.copy(w.out, cut{at, m.value.to})
}

// replacements are the strings of a manifest that are other here than upstream, in order: addresses, and the hashes of a
// version whose first bytes are held though its upstream has changed it.
func (w *writer) replacements(p *part, m *shownMember) ([]replacement, error) {
	all := make([]replacement, 0, 4)
	if f := mainFile(m.version); f != nil {
		if !m.tarball.empty() && (!w.keep || p.rows) {
			all = append(all, replacement{m.tarball, w.base + tarballPath(w.view.pkg.Name, f.Name)})
		}
		if m.check != 0 && m.check != checkOf(f.Digests) {
			more, err := hashes(p.text, m, f.Digests)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	if !m.attestations.empty() {
		at := Path{Kind: Attestations, Package: w.view.pkg.Name, Spec: m.version.Name}
		all = append(all, replacement{m.attestations, w.base + at.String()})
	}
	slices.SortFunc(all, func(a, b replacement) int { return int(a.from - b.from) })
	return all, nil
}

// hashes are the strings that declare a file's bytes, with the given digests in their place.
func hashes(t *text, m *shownMember, ds []millpond.Digest) ([]replacement, error) {
	var integrity []string
	shasum := ""
	for i, d := range ds { // strongest first
		if i == 0 || d.Strong() {
			integrity = append(integrity, integrityOf(d))
		}
		if d.Algorithm() == "sha1" {
			shasum = d.Hex()
		}
	}
	found := map[string]cut{}
	walk := newWalker(t.reader(m.value), m.value.from)
	_, err := walk.object(func(n name) error {
		if string(n.text) != "dist" {
			return walk.skip()
		}
		clear(found) // of two, the last counts
		if !walk.isObject() {
			return walk.skip()
		}
		_, err := walk.object(func(n name) (err error) {
			word := string(n.text)
			if word != "integrity" && word != "shasum" {
				return walk.skip()
			}
			_, found[word], err = walk.str()
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []replacement
	if at := found["integrity"]; !at.empty() {
		all = append(all, replacement{at, strings.Join(integrity, " ")})
	}
	if at := found["shasum"]; !at.empty() {
		all = append(all, replacement{at, shasum})
	}
	return all, nil
}
