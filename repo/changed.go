package repo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"millpond"
	"millpond/catalog"
)

// mostChanges is how many changes of what is hosted a repository remembers the names of.
const mostChanges = 4096

// changes are the names of what was changed here last.
type changes struct {
	life  int64      // no other repository's, also of the same name
	mu    sync.Mutex // guards what follows
	from  int64      // how many were forgotten
	names []string   // those after them
}

func (c *changes) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.names) >= mostChanges {
		half := len(c.names) / 2
		c.from += int64(half)
		c.names = slices.Clone(c.names[half:])
	}
	c.names = append(c.names, name)
}

// all says that any name may have changed.
func (c *changes) all() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from += int64(len(c.names)) + 1
	c.names = nil
}

// since are the names of the changes after so many; ok is false if some are forgotten.
func (c *changes) since(n int64) (names []string, next int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next = c.from + int64(len(c.names))
	if n < c.from || n > next {
		return nil, next, false
	}
	return slices.Clone(c.names[n-c.from:]), next, true
}

// Changed implements format.Observer. A mark is a count for this repository and one for each below, and which life of the
// repository they are of.
func (b *bound) Changed(mark string) (names []string, next string, ok bool) {
	all := b.family(nil)
	marks := strings.Split(mark, " ")
	ok = len(marks) == len(all)
	var counts []string
	for i, r := range all {
		var life, n int64
		if ok {
			if _, err := fmt.Sscanf(marks[i], "%d.%d", &life, &n); err != nil || life != r.changes.life {
				ok = false
			}
		}
		of, count, known := r.changes.since(n)
		ok = ok && known
		names = append(names, of...)
		counts = append(counts, fmt.Sprintf("%d.%d", r.changes.life, count))
	}
	if !ok {
		names = nil
	}
	slices.Sort(names)
	return slices.Compact(names), strings.Join(counts, " "), ok
}

// family is the repository and those below it, each once.
func (r *Repository) family(known []*Repository) []*Repository {
	if slices.Contains(known, r) {
		return known
	}
	known = append(known, r)
	for _, l := range r.layers {
		if s, ok := l.(*sibling); ok {
			known = s.repo.family(known)
		}
	}
	return known
}

// Below implements format.Observer.
func (b *bound) Below(ctx context.Context) (string, error) {
	if err := b.readable(""); err != nil {
		return "", err
	}
	stamp, _, err := b.namesStampOf(ctx, b.layers)
	return stamp, err
}

// remembered is the question whose answer is a text that a handler wants to find again.
func (b *bound) remembered(name string) (q catalog.Question, ok bool) {
	ok = !b.heldOnly && b.rights().Scope(millpond.VerbRead, b.config.Name) == "*"
	return catalog.Question{Layer: b.config.Name, Kind: "state", Name: name}, ok // layers of upstreams have a slash
}

// Recall implements format.Observer.
func (b *bound) Recall(ctx context.Context, name string) ([]byte, error) {
	q, ok := b.remembered(name)
	if !ok {
		return nil, nil
	}
	a, err := b.pond.catalog.Answer(ctx, q)
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return a.Record, nil
}

// Remember implements format.Observer.
func (b *bound) Remember(ctx context.Context, name string, text []byte) error {
	if len(text) > 1<<20 {
		return fmt.Errorf("remember %s: %d bytes are too many", name, len(text))
	}
	q, ok := b.remembered(name)
	if !ok {
		return nil
	}
	now := b.pond.now()
	err := b.pond.catalog.PutAnswer(ctx, &catalog.Answer{Question: q, Record: text, Checked: now, Changed: now})
	return b.pond.spare(ctx, "what a handler remembers", err)
}
