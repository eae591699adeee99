package npm

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// kept are the members of a manifest that the abbreviated form has, in the order it has them. libc is among them though
// npm's own registry leaves it out: without it clients ask a second time.
var kept = [...]string{ // never changed
	"name", "version", "deprecated", "dependencies", "optionalDependencies", "devDependencies", "bundleDependencies",
	"bundledDependencies", "peerDependencies", "peerDependenciesMeta", "acceptDependencies", "bin", "directories", "dist",
	"engines", "os", "cpu", "libc", "funding", "_hasShrinkwrap",
}

const distField = 13 // place of dist in kept

func fieldOf(name []byte) int {
	for i := range kept {
		if string(name) == kept[i] {
			return i
		}
	}
	return -1
}

// abbreviated writes the abbreviated packument: of each manifest only what installing needs. With the times in it, which
// npm's own registry leaves out, clients that mind a version's age need no second document.
func (w *writer) abbreviated(to io.Writer) error {
	w.out = bufio.NewWriterSize(to, 64<<10)
	w.out.WriteString(`{"name":`)
	w.quote(w.view.pkg.Name)
	if modified := w.modified(); modified != "" {
		w.out.WriteString(`,"modified":`)
		w.quote(modified)
	}
	w.out.WriteString(`,"dist-tags":`)
	if err := w.tags(); err != nil {
		return err
	}
	if w.hasTimes() {
		w.out.WriteString(`,"time":`)
		if err := w.times(); err != nil {
			return err
		}
	}
	w.out.WriteString(`,"versions":{`)
	a := abbreviator{walk: newWalker(strings.NewReader(""), 0)}
	any := false
	for i := range w.parts {
		p := &w.parts[i]
		for j := range p.members {
			if err := w.ctx.Err(); err != nil {
				return err
			}
			m := &p.members[j]
			if any {
				w.out.WriteByte(',')
			}
			any = true
			w.quote(m.version.Name)
			w.out.WriteByte(':')
			if err := a.write(w, p, m); err != nil {
				return err
			}
		}
	}
	w.out.WriteByte('}')
	if len(w.view.gone) > 0 || !w.parts[0].meta.policy.empty() {
		w.out.WriteString(`,"policyRestrictions":`)
		if err := w.policy(); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return w.out.Flush()
}

// An abbreviator filters one manifest after another. It keeps no more than one in memory.
type abbreviator struct {
	walk    *walker
	values  []byte
	fields  [len(kept)]cut // in values; empty if the manifest has none
	install bool           // a script runs when it is installed
}

func (a *abbreviator) write(w *writer, p *part, m *shownMember) error {
	a.walk.reset(p.text.reader(m.value), m.value.from)
	a.values, a.install = a.values[:0], false
	clear(a.fields[:])
	_, err := a.walk.object(func(n name) error { return a.field(n, w, p, m) })
	if err != nil {
		return err
	}
	sep := byte('{')
	for i, c := range a.fields {
		if c.empty() {
			continue
		}
		w.out.WriteByte(sep)
		sep = ','
		w.quote(kept[i])
		w.out.WriteByte(':')
		w.out.Write(a.values[c.from:c.to])
	}
	if a.install {
		w.out.WriteByte(sep)
		sep = ','
		w.out.WriteString(`"hasInstallScript":true`)
	}
	if sep == '{' {
		w.out.WriteByte('{')
	}
	return w.out.WriteByte('}')
}

// field reads one member of the manifest; of one that comes twice the last counts.
func (a *abbreviator) field(n name, w *writer, p *part, m *shownMember) error {
	i := fieldOf(n.text)
	switch {
	case i == distField:
		raw, where, err := a.walk.value()
		if err != nil {
			return err
		}
		from := int64(len(a.values))
		at := where.from
		all, err := w.replacements(p, m)
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.from < at || r.to > where.to {
				continue // of an earlier dist
			}
			a.values = append(a.values, raw[at-where.from:r.from-where.from]...)
			a.values = appendQuoted(a.values, r.with)
			at = r.to
		}
		a.values = append(a.values, raw[at-where.from:]...)
		a.fields[i] = cut{from, int64(len(a.values))}
		return nil
	case i >= 0:
		raw, _, err := a.walk.value()
		if err != nil {
			return err
		}
		from := int64(len(a.values))
		a.values = append(a.values, raw...)
		a.fields[i] = cut{from, int64(len(a.values))}
		return nil
	case string(n.text) == "hasInstallScript":
		raw, _, err := a.walk.value()
		a.install = a.install || string(raw) == "true"
		return err
	case string(n.text) == "scripts" && a.walk.isObject():
		_, err := a.walk.object(func(n name) error {
			install := slices.Contains(installScripts[:], string(n.text))
			text, _, err := a.walk.str()
			a.install = a.install || install && len(text) > 0
			return err
		})
		return err
	}
	return a.walk.skip()
}

var installScripts = [...]string{"preinstall", "install", "postinstall"} // never changed

// appendQuoted appends a JSON string.
func appendQuoted(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // an error tells of what was no Unicode and is replaced
	return b
}
