package repo

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// lists asks layers for their names. A layer that cannot list is legal: what is held of it is shown then.
func (b *bound) lists(ctx context.Context, layers []layer) ([]*nameList, error) {
	var lists []*nameList
	for _, l := range layers {
		list, err := l.names(ctx, b.scope(fresh) != held)
		switch {
		case err == nil:
			list.each, list.joins = labelled(l, b.heard(l, list.each)), l.union()
			lists = append(lists, list)
		case millpond.Is(err, millpond.Unsupported), millpond.Is(err, millpond.NotFound), millpond.Is(err, millpond.Offline):
			if up, ok := l.(*upstream); ok {
				lists = append(lists, &nameList{id: up.name + " held", fresh: b.pond.now().Add(time.Minute), each: b.heard(l, up.heldNames(ctx))})
			}
		default:
			return nil, err
		}
	}
	return lists, nil
}

// heldNames yields the names that anything is held of.
func (l *upstream) heldNames(ctx context.Context) iter.Seq2[format.Change, error] {
	return func(yield func(format.Change, error) bool) {
		last := ""
		for h, err := range l.pond.catalog.Held(ctx, l.id, "") {
			if err != nil {
				yield(format.Change{}, err)
				return
			}
			if h.Key.Package == last || h.Blob.IsZero() {
				continue
			}
			last = h.Key.Package
			if !yield(format.Change{Name: last, Time: h.Modified}, nil) {
				return
			}
		}
	}
}

func (b *bound) namesStamp(ctx context.Context) (string, time.Time, error) {
	return b.namesStampOf(ctx, b.all())
}

func (b *bound) namesStampOf(ctx context.Context, layers []layer) (string, time.Time, error) {
	lists, err := b.lists(ctx, layers)
	if err != nil {
		return "", time.Time{}, err
	}
	id := sha256.New()
	until := b.pond.now().Add(b.fresh())
	fmt.Fprintf(id, "%s\n%q\n", b.policy.ID(), b.claimTexts())
	fmt.Fprintf(id, "for %s\n", b.rights().Scope(millpond.VerbRead, b.config.Name))
	for i, list := range lists {
		fmt.Fprintf(id, "%d %s\n", i, list.id)
		if list.fresh.Before(until) {
			until = list.fresh
		}
		if strings.HasSuffix(list.id, " held") {
			for c, err := range list.each {
				if err != nil {
					return "", time.Time{}, err
				}
				fmt.Fprintln(id, c.Name)
			}
		}
	}
	return hex.EncodeToString(id.Sum(nil)[:16]), until, nil
}

// Names implements format.Reader. The names of all layers are brought together in one compact sorted table.
func (b *bound) Names(ctx context.Context) iter.Seq2[format.Change, error] {
	return func(yield func(format.Change, error) bool) {
		rights := b.rights()
		everything := rights.Scope(millpond.VerbRead, b.config.Name) == "*"
		err := b.readable("")
		var lists []*nameList
		if err == nil {
			lists, err = b.lists(ctx, b.all())
		}
		if err != nil {
			yield(format.Change{}, err)
			return
		}
		table := nameTable{layers: []string{""}}
		for i, list := range lists {
			for c, err := range list.each {
				if err != nil {
					yield(format.Change{}, err)
					return
				}
				if i > 0 && b.claimed(c.Name) || b.nameVerdict(c.Name) != nil || !everything && !rights.May(millpond.VerbRead, b.config.Name, c.Name) {
					continue
				}
				table.add(i, c, list.joins)
				for _, below := range c.Below {
					table.add(i, format.Change{Name: c.Name, Cursor: below.Cursor, Layer: below.Layer}, list.joins)
				}
			}
		}
		table.each(yield)
	}
}

// Records implements format.Reader.
func (b *bound) Records(ctx context.Context, prefix string) iter.Seq2[format.Record, error] {
	return func(yield func(format.Record, error) bool) {
		all, err := b.hosted.records(ctx, prefix)
		if err != nil {
			yield(format.Record{}, err)
			return
		}
		for _, one := range all {
			if b.readable(one.Name) != nil || b.nameVerdict(one.Name) != nil {
				continue
			}
			if !yield(one, nil) {
				return
			}
		}
		for _, l := range b.layers {
			s, ok := l.(*sibling)
			if !ok {
				continue
			}
			for one, err := range s.as(false).Records(ctx, prefix) {
				if err == nil && (b.readable(one.Name) != nil || b.nameVerdict(one.Name) != nil) {
					continue
				}
				if !yield(one, err) || err != nil {
					return
				}
			}
		}
	}
}

func (r *Repository) claimTexts() []string {
	var out []string
	for _, c := range r.pond.claimsOf(r) {
		out = append(out, c.repository+" "+c.text+" "+c.merge)
	}
	return out
}

// A nameTable is many names in one piece of memory: a registry lists close to a million.
type nameTable struct {
	text   []byte
	rows   []nameRow
	layers []string // their names; rows say which
}

type nameRow struct {
	at                    uint32
	name, display, cursor uint16
	layer                 uint16 // whose row counts
	label                 uint16 // its name, in layers
	joins                 bool   // what it says counts though a layer above has the name
	note                  uint32
}

func (t *nameTable) add(layer int, c format.Change, joins bool) {
	const most = 1<<16 - 1
	const mostNote = 16 << 20
	if len(c.Name) > most || len(c.Display) > most || len(c.Cursor) > most || len(c.Note) > mostNote || len(t.text) > 1<<32-3*most-mostNote {
		return // no ecosystem has such names, and no registry so many
	}
	label := slices.Index(t.layers, c.Layer) // there are few
	if label < 0 {
		label, t.layers = len(t.layers), append(t.layers, c.Layer)
	}
	t.rows = append(t.rows, nameRow{uint32(len(t.text)), uint16(len(c.Name)), uint16(len(c.Display)), uint16(len(c.Cursor)), uint16(layer), uint16(label), joins, uint32(len(c.Note))})
	t.text = append(append(append(append(t.text, c.Name...), c.Display...), c.Cursor...), c.Note...)
}

func (t *nameTable) name(r nameRow) []byte { return t.text[r.at : r.at+uint32(r.name)] }

// each yields the names sorted, each as the first layer that has it spells it.
func (t *nameTable) each(yield func(format.Change, error) bool) {
	slices.SortFunc(t.rows, func(a, b nameRow) int {
		if c := strings.Compare(string(t.name(a)), string(t.name(b))); c != 0 {
			return c
		}
		return cmp.Compare(a.at, b.at) // as they came
	})
	for i := 0; i < len(t.rows); {
		r := t.rows[i]
		name := t.name(r)
		rest := t.text[r.at+uint32(r.name):]
		c := format.Change{Name: string(name), Display: string(rest[:r.display]), Cursor: t.cursor(r), Layer: t.layers[r.label]}
		rest = rest[uint32(r.display)+uint32(r.cursor):]
		c.Note = string(rest[:r.note])
		for i++; i < len(t.rows) && bytes.Equal(t.name(t.rows[i]), name); i++ {
			if below := t.rows[i]; below.cursor > 0 && (below.joins || below.layer == r.layer) {
				c.Below = append(c.Below, format.Cursor{Layer: t.layers[below.label], Cursor: t.cursor(below)})
			}
		}
		if !yield(c, nil) {
			return
		}
	}
}

func (t *nameTable) cursor(r nameRow) string {
	return string(t.text[r.at+uint32(r.name)+uint32(r.display):][:r.cursor])
}

// labelled says of each name whose list it stands in.
func labelled(l layer, all iter.Seq2[format.Change, error]) iter.Seq2[format.Change, error] {
	name := l.layerName()
	_, below := l.(*sibling)
	return func(yield func(format.Change, error) bool) {
		for c, err := range all {
			if c.Layer != "" || below {
				c.Layer = name + "/" + c.Layer
			} else {
				c.Layer = name
			}
			for i := range c.Below {
				c.Below[i].Layer = name + "/" + c.Below[i].Layer
			}
			if !yield(c, err) {
				return
			}
		}
	}
}
