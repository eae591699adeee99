package rubygems

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"millpond/format"
)

// chunk is how much of the text is remembered as one: what is appended writes the last one anew.
const chunk = 128 << 10

// saved says how much of the log is remembered.
type saved struct {
	snap     *snapshot // the newest that is; nil if none is
	views    bool      // and all rows that the text does not tell
	recalled time.Time // when what was found at the start was written; zero if nothing was
}

// A memory is the head of what is remembered: whatever does not fit to it is not believed.
type memory struct {
	Length, Base int
	MD5          string
	Began        time.Time
	Modified     time.Time
	Views        []viewMemory
}

// A viewMemory is a row that the text does not tell.
type viewMemory struct {
	Name, Note string
	Until      time.Time `json:",omitzero"`
}

func chunkName(i int) string { return fmt.Sprintf("log of names %d", i) }

const headName = "log of names"

// save remembers what is new. l.mu is held.
func (l *log) save(ctx context.Context, to format.Observer) error {
	s := l.snap
	if l.saved.snap == s && l.saved.views {
		return nil
	}
	m := memory{Length: len(s.text), Base: s.of.base, MD5: s.md5, Began: s.of.began, Modified: s.modified}
	for name, r := range l.rows {
		if r.keeps() {
			m.Views = append(m.Views, viewMemory{name, r.note, r.until})
		}
	}
	head, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(head) > 1<<20 {
		head = nil // after a start clients fetch it whole
	}
	ctx = context.WithoutCancel(ctx) // a few writes: half of them are of no use
	from := 0
	if old := l.saved.snap; old != nil && old.of == s.of {
		from = len(old.text) / chunk
	}
	for i := from; i*chunk < len(s.text) && head != nil; i++ {
		if err := to.Remember(ctx, chunkName(i), s.text[i*chunk:min((i+1)*chunk, len(s.text))]); err != nil {
			return err
		}
	}
	if err := to.Remember(ctx, headName, head); err != nil {
		return err
	}
	l.saved.snap, l.saved.views = s, true
	return nil
}

// recall takes up the text that was remembered, if it is whole. l.mu is held.
func (l *log) recall(ctx context.Context, repo format.Repo, from format.Observer) error {
	l.rows = map[string]row{}
	head, err := from.Recall(ctx, headName)
	if err != nil || len(head) == 0 {
		return err
	}
	var m memory
	if json.Unmarshal(head, &m) != nil || m.Base <= 0 || m.Base > m.Length {
		return nil // of another release
	}
	var text []byte
	for i := 0; len(text) < m.Length; i++ {
		b, err := from.Recall(ctx, chunkName(i))
		if err != nil || len(b) == 0 {
			return err
		}
		text = append(text, b...)
	}
	text = text[:m.Length]
	head, _, _ = bytes.Cut(text[:m.Base], []byte("---\n"))
	if sumOf(text).md5 != m.MD5 || len(head)+4 > m.Base {
		return nil // half of it was written
	}
	s := begin(m.Began, text[:m.Base:m.Base])
	if more := string(text[m.Base:]); more != "" {
		s = s.append(m.Modified, more)
	}
	s.modified = m.Modified
	l.snap = s
	l.saved = saved{snap: s, views: true, recalled: m.Modified}
	l.replay(string(text[m.Base:]))
	for _, v := range m.Views {
		r, _ := l.row(v.Name)
		l.put(v.Name, row{said: r.said, note: v.Note, until: v.Until, viewed: m.Modified})
	}
	l.saved.views = true // what was put is what is remembered
	return nil
}

// replay makes rows of what was appended.
func (l *log) replay(tail string) {
	for line := range strings.Lines(tail) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		delta, sum, _ := strings.Cut(rest, " ")
		r, _ := l.row(name)
		versions, _, _ := strings.Cut(r.said, " ")
		l.put(name, row{said: note(add(elements(versions), elements(delta)), sum), note: sum})
	}
}
