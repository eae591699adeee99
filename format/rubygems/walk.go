package rubygems

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// errGone is what an update ends in when a name has vanished: the text cannot say that.
var errGone = errors.New("a name is gone") // never changed

// viewed is the row of a name as the reader sees it; ok is false if there is nothing of it to see.
func viewed(ctx context.Context, repo format.Repo, name string) (r row, ok bool, err error) {
	now := repo.Now()
	p, err := repo.Package(ctx, name)
	if err != nil {
		switch millpond.KindOf(err) {
		case millpond.NotFound, millpond.Gone, millpond.Blocked, millpond.Offline, millpond.BadUpstream, millpond.Throttled:
			return row{}, false, nil
		}
		return row{}, false, err
	}
	text, err := infoText(p)
	if err != nil {
		return row{}, false, err
	}
	return row{said: saidOf(text), until: until(p), viewed: now}, true, nil
}

// saidOf is what the log says of a gem with that info.
func saidOf(info []byte) string { return note(listed(info), sumOf(info).md5) }

// view sets the row of a name anew, as the reader sees it. l.mu is held.
func (l *log) view(ctx context.Context, repo format.Repo, name, note string, lines *strings.Builder) error {
	r, ok, err := viewed(ctx, repo, name)
	if err != nil {
		return err
	}
	return l.set(name, note, r, ok, lines)
}

// set is what is left of view once the name was looked at.
func (l *log) set(name, note string, r row, ok bool, lines *strings.Builder) error {
	old, was := l.row(name)
	if !ok {
		if was {
			return errGone
		}
		return nil
	}
	r.note = note
	line := change(name, old.said, r.said)
	if line == "" && was {
		r.said = old.said // in another order, perhaps
	}
	if r.until.IsZero() && noteSum(r.said) == note {
		r.viewed = time.Time{} // no more than the list says
	}
	lines.WriteString(line)
	l.put(name, r)
	return nil
}

// update appends what is new of what is hosted, and which holds have ended. l.mu is held.
func (l *log) update(ctx context.Context, repo format.Repo, now time.Time) error {
	names, mark, ok := observer(repo).Changed(l.mark)
	if !ok {
		var err error
		if names, err = l.unsure(ctx, repo); err != nil {
			return err
		}
	}
	var lines strings.Builder
	for _, name := range names {
		r, _ := l.row(name)
		if err := l.view(ctx, repo, name, r.note, &lines); err != nil {
			return err
		}
	}
	if !l.next.IsZero() && !now.Before(l.next) {
		for name, r := range l.rows {
			if !r.until.IsZero() && !now.Before(r.until) {
				if err := l.view(ctx, repo, name, r.note, &lines); err != nil {
					return err
				}
			}
		}
		l.next = time.Time{}
		for _, r := range l.rows {
			if !r.until.IsZero() && (l.next.IsZero() || r.until.Before(l.next)) {
				l.next = r.until
			}
		}
	}
	l.append(now, lines.String())
	l.mark = mark
	return nil
}

func (l *log) append(now time.Time, lines string) {
	if lines != "" {
		l.snap = l.snap.append(now, lines)
	}
}

// unsure are the names of what is hosted that may have changed since the log last looked. What is hosted no more the next
// walk finds, which is due. l.mu is held.
func (l *log) unsure(ctx context.Context, repo format.Repo) ([]string, error) {
	var names []string
	for rec, err := range repo.Records(ctx, "") {
		if err != nil {
			return nil, err
		}
		r, known := l.row(rec.Name)
		if known && r.viewed.IsZero() && rec.Changed.Add(instant).Before(l.saved.recalled) {
			l.put(rec.Name, row{said: r.said, viewed: l.saved.recalled}) // as it was remembered
		} else if !known || !rec.Changed.Add(instant).Before(r.viewed) {
			names = append(names, rec.Name)
		}
	}
	l.below = ""
	return names, nil
}

// gather are all names. It may take a while.
func gather(ctx context.Context, repo format.Repo) ([]format.Change, error) {
	var out []format.Change
	for c, err := range repo.Names(ctx) {
		if err != nil {
			return nil, err
		}
		out = append(out, format.Change{Name: c.Name, Note: c.Note})
	}
	return out, nil
}

// unlocked runs f while others may use the log. l.mu is held before and after.
func (l *log) unlocked(f func() error) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	return f()
}

// walk appends what is new of all names. l.mu is held, but for as long as others are asked.
func (l *log) walk(ctx context.Context, repo format.Repo, now time.Time, below string) error {
	l.walking = true
	defer func() { l.walking = false }()
	began := l.turn
	var names []format.Change
	err := l.unlocked(func() (err error) {
		names, err = gather(ctx, repo)
		return err
	})
	if err != nil {
		return err
	}
	var lines strings.Builder
	look, gone := l.compare(names, began, &lines)
	l.append(now, lines.String())
	if gone {
		return errGone
	}
	rows := make([]row, len(look))
	there := make([]bool, len(look))
	err = l.unlocked(func() (err error) {
		for i, c := range look {
			if err = repo.Refresh(ctx, c.Name); err == nil { // what the list says of it is new
				rows[i], there[i], err = viewed(ctx, repo, c.Name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	lines.Reset()
	for i, c := range look {
		if l.rows[c.Name].turn > began {
			continue // somebody has looked since
		}
		if err := l.set(c.Name, noteSum(c.Note), rows[i], there[i], &lines); err != nil {
			return err
		}
	}
	l.append(now, lines.String())
	l.below, l.walked = below, now
	return nil
}

// compare brings the rows up to what the names say, and returns those that want to be looked at. gone says that a name which
// the log has is no more. Rows set after the turn began are newer than the names. l.mu is held.
func (l *log) compare(names []format.Change, began int64, lines *strings.Builder) (look []format.Change, gone bool) {
	s := l.snap
	rest := s.text[s.of.head:s.of.base]
	seen := make(map[string]struct{}, len(l.rows))
	for _, c := range names {
		var said []byte // in the base
		for len(rest) > 0 {
			end := bytes.IndexByte(rest, '\n')
			name, of, _ := bytes.Cut(rest[:end], []byte(" "))
			if string(name) > c.Name {
				break
			}
			rest = rest[end+1:]
			if string(name) == c.Name {
				said = of
				break
			}
			if _, ok := l.rows[string(name)]; !ok {
				gone = true
			}
		}
		r, known := l.rows[c.Name]
		if known {
			seen[c.Name] = struct{}{}
		}
		switch {
		case known && (r.note == noteSum(c.Note) || r.turn > began):
		case !known && c.Note != "" && string(said) == c.Note:
		case known && r.until.IsZero() && noteSum(r.said) == noteSum(c.Note):
			l.put(c.Name, row{said: r.said, note: noteSum(c.Note)}) // its info was asked for before the list was
		case c.Note == "" || known && !r.viewed.IsZero():
			look = append(look, c)
		default:
			if !known {
				r.said = string(said)
			}
			if line := change(c.Name, r.said, c.Note); line != "" || !known {
				lines.WriteString(line)
				l.put(c.Name, row{said: c.Note, note: noteSum(c.Note)})
				l.move(c.Name)
			}
		}
	}
	for len(rest) > 0 && !gone {
		end := bytes.IndexByte(rest, '\n')
		name, _, _ := bytes.Cut(rest[:end], []byte(" "))
		_, known := l.rows[string(name)]
		gone, rest = !known, rest[end+1:]
	}
	for name, r := range l.rows {
		if _, ok := seen[name]; !ok && r.turn <= began {
			gone = true
		}
	}
	return look, gone
}

// rebuild begins a new text: clients fetch it whole. l.mu is held.
func (l *log) rebuild(ctx context.Context, repo format.Repo, now time.Time, below string) error {
	changed, mark, ok := observer(repo).Changed(l.mark)
	for _, name := range changed {
		delete(l.rows, name)
	}
	if !ok {
		l.rows = nil
	}
	rows := map[string]row{}
	var text bytes.Buffer
	text.WriteString("created_at: " + now.UTC().Format(time.RFC3339) + "\n---\n")
	for c, err := range repo.Names(ctx) {
		if err != nil {
			return err
		}
		r, known := l.rows[c.Name]
		fits := known && r.note == noteSum(c.Note) && (r.until.IsZero() || now.Before(r.until))
		switch {
		case known && fits && !r.viewed.IsZero():
			rows[c.Name] = r
		case c.Note != "" && (!known || r.viewed.IsZero()):
			r = row{said: c.Note}
		default:
			if r, ok, err = viewed(ctx, repo, c.Name); err != nil {
				return err
			} else if !ok {
				continue
			}
			r.note = noteSum(c.Note)
			rows[c.Name] = r
		}
		if r.said != "" && r.said[0] != ' ' {
			text.WriteString(c.Name + " " + r.said + "\n")
		}
	}
	l.snap = begin(now, append(make([]byte, 0, text.Len()+text.Len()/32+64<<10), text.Bytes()...))
	l.rows, l.mark, l.below, l.walked, l.saved, l.next = map[string]row{}, mark, below, now, saved{}, time.Time{}
	for name, r := range rows {
		l.put(name, r)
	}
	return nil
}
