package npm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// A writer writes one package's documents from its view and the kept documents of its layers.
type writer struct {
	ctx   context.Context
	repo  format.Repo
	view  *view
	base  string // of the repository, its path ends in "/"
	keep  bool   // addresses of files stay the upstream's
	parts []part // those that have a document, first layer first
	out   *bufio.Writer
	buf   []byte // scratch
}

// A part is one layer's kept document.
type part struct {
	layer   string
	meta    packumentMeta
	text    *text
	doc     *format.Document
	members []shownMember // in the order of the document
	rows    bool          // put together from what was published
}

type shownMember struct {
	version *millpond.Version
	member
}

// newWriter opens the kept documents. The caller closes it.
func newWriter(ctx context.Context, repo format.Repo, v *view, base string) (*writer, error) {
	w := &writer{ctx: ctx, repo: repo, view: v, base: base, keep: repo.Option(optLockfile) == "keep"}
	hosted := map[string]map[string]member{} // by layer and version
	for i := range v.pkg.Parts {
		one := &v.pkg.Parts[i]
		if format.IsHosted(one.Layer) {
			p, members, err := w.rows(ctx, *one)
			if err != nil {
				w.close()
				return nil, err
			}
			w.parts = append(w.parts, *p)
			hosted[one.Layer] = members
			continue
		}
		meta, ok := decodePackumentMeta(one.Meta)
		if !ok || one.Document.IsZero() {
			continue
		}
		doc, err := repo.Kept(ctx, *one)
		if err != nil {
			w.close()
			return nil, fmt.Errorf("document of %s: %w", v.pkg.Name, err)
		}
		w.parts = append(w.parts, part{layer: one.Layer, meta: meta, doc: doc, text: newText(doc)})
	}
	if len(w.parts) == 0 {
		return nil, fmt.Errorf("nothing is kept of the packument of %s", v.pkg.Name)
	}
	for _, one := range v.shown {
		p := w.part(one.Layer)
		m, ok := hosted[one.Layer][one.Name]
		if !ok {
			m, ok = decodeMember(one.Meta)
		}
		if p == nil || !ok {
			w.close()
			return nil, fmt.Errorf("%s %s: its place in the packument is not known", v.pkg.Name, one.Name)
		}
		p.members = append(p.members, shownMember{one, m})
	}
	for i := range w.parts {
		slices.SortFunc(w.parts[i].members, func(a, b shownMember) int { return int(a.key - b.key) })
	}
	return w, nil
}

func (w *writer) close() {
	for i := range w.parts {
		w.parts[i].doc.Close()
	}
}

func (w *writer) part(layer string) *part {
	for i := range w.parts {
		if w.parts[i].layer == layer {
			return &w.parts[i]
		}
	}
	return nil
}

// An edit puts something in the place of a range.
type edit struct {
	cut
	write func() error // nil leaves the range out
}

// full writes the full packument: the first layer's text, and in it other addresses, tags, times and versions.
func (w *writer) full(to io.Writer) error {
	w.out = bufio.NewWriterSize(to, 64<<10)
	first := &w.parts[0]
	edits := []edit{}
	for _, c := range first.meta.drop {
		edits = append(edits, edit{cut: c})
	}
	var missing []func() error
	for _, one := range []struct {
		name  string
		where cut
		write func() error
		must  bool
	}{
		{"dist-tags", first.meta.tags, w.tags, true},
		{"versions", first.meta.versions, w.versions, true},
		{"time", first.meta.time, w.times, w.hasTimes()},
		{"policyRestrictions", first.meta.policy, w.policy, len(w.view.gone) > 0},
	} {
		switch {
		case !one.where.empty():
			edits = append(edits, edit{one.where, one.write})
		case one.must:
			missing = append(missing, func() error {
				w.out.WriteByte(',')
				w.quote(one.name)
				w.out.WriteByte(':')
				return one.write()
			})
		}
	}
	edits = append(edits, edit{cut{first.meta.root.to - 1, first.meta.root.to - 1}, func() error {
		for _, write := range missing {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	}})
	slices.SortFunc(edits, func(a, b edit) int { return int(a.from - b.from) })
	at := first.meta.root.from
	for _, e := range edits {
		if err := first.text.copy(w.out, cut{at, e.from}); err != nil {
			return err
		}
		if e.write != nil {
			if err := e.write(); err != nil {
				return err
			}
		}
		at = e.to
	}
	if err := first.text.copy(w.out, cut{at, first.meta.root.to}); err != nil {
		return err
	}
	return w.out.Flush()
}

// versions writes the value of "versions": the members that are shown, each as its layer wrote it but for addresses.
func (w *writer) versions() error {
	w.out.WriteByte('{')
	any := false
	for i := range w.parts {
		p := &w.parts[i]
		for j := range p.members {
			if err := w.ctx.Err(); err != nil {
				return err
			}
			m := &p.members[j]
			if err := w.lead(p, m, any); err != nil {
				return err
			}
			any = true
			if err := p.text.copy(w.out, cut{m.key, m.value.from}); err != nil {
				return err
			}
			if err := w.manifest(p, m); err != nil {
				return err
			}
		}
	}
	if first := &w.parts[0]; first.meta.last > 0 {
		if err := first.text.copy(w.out, cut{first.meta.last, first.meta.versions.to - 1}); err != nil {
			return err
		}
	}
	return w.out.WriteByte('}')
}

// lead writes what stands before a member: its own spaces, and a comma if it is not the first.
func (w *writer) lead(p *part, m *shownMember, comma bool) error {
	if m.lead > 1<<10 {
		m.lead = 0
	}
	spaces := make([]byte, 0, 16)
	for at := m.key - m.lead; at < m.key; {
		b, err := p.text.from(at, m.key-at)
		if err != nil {
			return err
		}
		spaces = append(spaces, b...)
		at += int64(len(b))
	}
	before, after, had := strings.Cut(string(spaces), ",")
	if !had {
		before, after = "", before
	}
	if comma {
		before += ","
	} else {
		before = ""
	}
	w.out.WriteString(before)
	_, err := w.out.WriteString(after)
	return err
}

// quote writes a JSON string.
func (w *writer) quote(s string) {
	w.buf = appendQuoted(w.buf[:0], s)
	w.out.Write(w.buf) // the next write or Flush returns its error
}

// tags writes the value of "dist-tags".
func (w *writer) tags() error {
	w.out.WriteByte('{')
	for i, tag := range w.view.tags {
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.quote(tag.Name)
		w.out.WriteByte(':')
		w.quote(tag.Target)
	}
	return w.out.WriteByte('}')
}

func (w *writer) hasTimes() bool {
	return slices.ContainsFunc(w.parts, func(p part) bool { return !p.meta.time.empty() })
}

// newest is the latest publish that is shown.
func (w *writer) newest() string {
	var newest string
	for _, one := range w.view.shown {
		if !one.Published.IsZero() {
			newest = max(newest, writeTime(one.Published))
		}
	}
	return newest
}

// modified is when the package last changed, as readers may know it: never before the newest publish that they see.
func (w *writer) modified() string { return max(w.parts[0].meta.modified, w.newest()) }

// times writes the value of "time": each version's from its own layer, the rest from the first, less what is hidden.
func (w *writer) times() error {
	hidden := make(map[string]bool, len(w.view.gone))
	for i := range w.view.gone {
		hidden[w.view.gone[i].Version.Name] = true
	}
	w.out.WriteByte('{')
	any := false
	for i := range w.parts {
		p := &w.parts[i]
		if p.meta.time.empty() {
			continue
		}
		walk := newWalker(p.text.reader(p.meta.time), p.meta.time.from)
		if !walk.isObject() {
			continue
		}
		_, err := walk.object(func(n name) error {
			word := string(n.text)
			raw, _, err := walk.value()
			if err != nil {
				return err
			}
			shown := w.view.by[word]
			switch {
			case shown != nil && shown.Layer != p.layer, shown == nil && (i > 0 || hidden[word]):
				return nil
			}
			if any {
				w.out.WriteByte(',')
			}
			any = true
			w.quote(word)
			w.out.WriteByte(':')
			if word == "modified" && raw.Kind() == '"' {
				if newest := w.modified(); newest > w.parts[0].meta.modified {
					w.quote(newest)
					return nil
				}
			}
			w.out.Write(utc(walk, raw))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return w.out.WriteByte('}')
}

// utc is a date in the one spelling that all clients read; what is no date, or is spelled so already, stays.
func utc(walk *walker, raw []byte) []byte {
	if raw[0] != '"' || len(raw) > 2 && raw[len(raw)-2] == 'Z' {
		return raw
	}
	if t, ok := readTime(string(walk.unquote(raw))); ok {
		return appendQuoted(nil, writeTime(t))
	}
	return raw
}
