package rubygems

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/format"
)

const (
	// walkEvery is how often many names are gone through, at most. What is hosted is looked at each time.
	walkEvery = 10 * time.Second
	// small is how many bytes of the log are gone through whenever something has changed.
	small = 256 << 10
	// instant is how far apart two changes of a record must be to have different times for certain.
	instant = 2 * time.Second
	// mostSums is how many infos' digests are remembered.
	mostSums = 1 << 16
	// compactAfter is how old a text must be to be begun anew because it has doubled, and mostGrown how many times its base
	// it may be long before that.
	compactAfter = 30 * 24 * time.Hour
	mostGrown    = 8
)

// A log is the text of versions: a base, and lines appended in the order in which this pond learnt of them, hosted and
// upstream alike. So clients fetch its tail, whoever of the two has grown. The text is all that it knows of a name that is in
// the base and nowhere else; of others there is a row. Remembered, it outlives the pond.
type log struct {
	mu      sync.Mutex // guards all down to saved
	snap    *snapshot  // the newest; nil before the first look. A snapshot itself never changes
	rows    map[string]row
	mark    string    // of what is hosted
	below   string    // the stamp of everything else at the last walk
	walked  time.Time // when that was
	walking bool      // somebody gathers names
	next    time.Time // when a hidden version comes into sight next; zero if none will
	turn    int64     // counts the rows that were set
	saved   saved

	sumsMu sync.Mutex // guards what follows
	sums   map[string]sum
	specs  map[string]indexed  // by the name of a legacy index
	moved  map[string]struct{} // names whose info was asked for, and of which the upstream's list says something else since
}

// A row is what the log says of a name.
type row struct {
	said   string    // its versions, joined with commas, a space, and the md5 of its info; "" if nothing was
	note   string    // the md5 that the upstream's list had when the row was made; "" if it says nothing, as of what is hosted
	viewed time.Time // when the row was made of the reader's view; zero if the upstream's list is all it was made of
	until  time.Time // when a hidden version comes into sight; zero if none will
	turn   int64     // the log's when it was set
}

func newLog() *log {
	return &log{sums: map[string]sum{}, specs: map[string]indexed{}, moved: map[string]struct{}{}}
}

func (l *log) sum(name, stamp string) (sum, bool) {
	l.sumsMu.Lock()
	defer l.sumsMu.Unlock()
	s, ok := l.sums[name]
	return s, ok && s.stamp == stamp
}

func (l *log) keep(name string, s sum) {
	l.sumsMu.Lock()
	defer l.sumsMu.Unlock()
	if len(l.sums) >= mostSums {
		clear(l.sums) // they are made anew
	}
	l.sums[name] = s
}

// rank is 0 of a name that somebody has asked about, or that the log has; else 1.
func (l *log) rank(name string) int {
	l.sumsMu.Lock()
	_, asked := l.sums[name]
	l.sumsMu.Unlock()
	if !asked && l.mu.TryLock() { // it may be held while upstreams are asked: no download waits for that
		if l.snap != nil {
			_, asked = l.row(name)
		}
		l.mu.Unlock()
	}
	if asked {
		return 0
	}
	return 1
}

// move notes that an upstream's list says something new of a name. If its info was asked for, it is to be read anew: the log
// says already which md5 it has.
func (l *log) move(name string) {
	l.sumsMu.Lock()
	defer l.sumsMu.Unlock()
	if _, ok := l.sums[name]; ok {
		l.moved[name] = struct{}{}
	}
}

// hasMoved reports, once, whether a name has moved.
func (l *log) hasMoved(name string) bool {
	l.sumsMu.Lock()
	defer l.sumsMu.Unlock()
	_, ok := l.moved[name]
	delete(l.moved, name)
	return ok
}

// row is what the log says of a name; ok is false if it says nothing. l.mu is held.
func (l *log) row(name string) (r row, ok bool) {
	if r, ok = l.rows[name]; ok {
		return r, true
	}
	if line := l.snap.base(name); line != nil {
		said := string(line[len(name)+1:])
		return row{said: said, note: noteSum(said)}, true
	}
	return row{}, false
}

// keeps reports whether a row says what a remembered text does not.
func (r row) keeps() bool { return !r.viewed.IsZero() && (r.note != "" || !r.until.IsZero()) }

// noteSum is the md5 at the end of what a list says of a name: it changes whenever any of it does.
func noteSum(note string) string { return note[strings.LastIndexByte(note, ' ')+1:] }

// touch appends what a name's info now is, if the log says otherwise.
func (l *log) touch(now time.Time, name string, r row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snap == nil {
		return
	}
	old, ok := l.row(name)
	if !ok {
		return // a name that no list has: the next walk finds it if it is hosted
	}
	line := change(name, old.said, r.said)
	if _, known := l.rows[name]; !known && line == "" && r.until.IsZero() {
		return // the base says so
	}
	if line == "" {
		r.said = old.said
	}
	r.note, r.viewed = old.note, now
	l.put(name, r)
	if line != "" {
		l.snap = l.snap.append(now, line)
	}
}

// put sets a row. l.mu is held.
func (l *log) put(name string, r row) {
	l.turn++
	r.turn = l.turn
	l.rows[name] = r
	l.saved.views = l.saved.views && !r.keeps()
	if !r.until.IsZero() && (l.next.IsZero() || r.until.Before(l.next)) {
		l.next = r.until
	}
}

// change is the line that makes what is said of a name another; "" if they are the same to a client.
func change(name, old, now string) string {
	if old == now {
		return ""
	}
	versions, sum, _ := strings.Cut(now, " ")
	before, beforeSum, _ := strings.Cut(old, " ")
	had, has := elements(before), elements(versions)
	hadAll, hasAll := setOf(had), setOf(has)
	var delta []string
	for _, v := range had {
		if !hasAll[v] {
			delta = append(delta, "-"+v)
		}
	}
	for _, v := range has {
		if !hadAll[v] {
			delta = append(delta, v)
		}
	}
	if len(delta) == 0 {
		if len(has) == 0 || sum == beforeSum {
			return ""
		}
		delta = has[len(has)-1:] // only its line has changed
	}
	return name + " " + strings.Join(delta, ",") + " " + sum + "\n"
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, one := range list {
		set[one] = true
	}
	return set
}

func elements(versions string) []string {
	if versions == "" {
		return nil
	}
	return strings.Split(versions, ",")
}

// blind is an Observer for a Repo that is none: whatever changes, all may have, and nothing is remembered.
type blind struct{ format.Repo }

func (blind) Changed(string) ([]string, string, bool) { return nil, "", false }
func (b blind) Below(ctx context.Context) (string, error) {
	stamp, _, err := b.Stamp(ctx, "")
	return stamp, err
}
func (blind) Recall(context.Context, string) ([]byte, error) { return nil, nil }
func (blind) Remember(context.Context, string, []byte) error { return nil }

func observer(repo format.Repo) format.Observer {
	if o, ok := repo.(format.Observer); ok {
		return o
	}
	return blind{repo}
}

// current is the log brought up to date: of what is hosted at once, of all other names every few seconds.
func (l *log) current(ctx context.Context, repo format.Repo) (*snapshot, error) {
	seen := observer(repo)
	below, err := seen.Below(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := repo.Now()
	if err != nil {
		if l.snap != nil && !millpond.Is(err, millpond.Unauthenticated) && !millpond.Is(err, millpond.Denied) {
			return l.snap, nil // what is known goes on being told
		}
		return nil, err
	}
	if l.snap == nil {
		if err := l.recall(ctx, repo, seen); err != nil {
			return nil, err
		}
	}
	if l.snap == nil {
		err = l.rebuild(ctx, repo, now, below)
	} else {
		if err = l.update(ctx, repo, now); err == nil && below != l.below && !l.walking && (len(l.snap.text) < small || now.Sub(l.walked) >= walkEvery) {
			err = l.walk(ctx, repo, now, below)
		}
		if errors.Is(err, errGone) {
			err = l.rebuild(ctx, repo, now, below)
		}
	}
	if err != nil {
		return nil, err
	}
	if g := l.snap.of; len(l.snap.text) > 2*g.base+1<<20 && (now.Sub(g.began) >= compactAfter || len(l.snap.text) > mostGrown*(g.base+1<<20)) {
		if err := l.rebuild(ctx, repo, now, below); err != nil {
			return nil, err
		}
	}
	return l.snap, l.save(ctx, seen)
}

// A told is a name and what the log says of it.
type told struct{ name, said string }

// all are the names of which a version is to be seen, sorted. l.mu is not held.
func (l *log) all() []told {
	l.mu.Lock()
	s := l.snap
	more := make([]told, 0, len(l.rows))
	for name, r := range l.rows {
		more = append(more, told{name, r.said})
	}
	l.mu.Unlock()
	slices.SortFunc(more, func(a, b told) int { return strings.Compare(a.name, b.name) })
	var out []told
	add := func(t told) {
		if t.said != "" && t.said[0] != ' ' {
			out = append(out, t)
		}
	}
	if s != nil {
		for line := range strings.Lines(string(s.text[s.of.head:s.of.base])) {
			name, said, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			for len(more) > 0 && more[0].name < name {
				add(more[0])
				more = more[1:]
			}
			if len(more) > 0 && more[0].name == name {
				continue
			}
			add(told{name, said})
		}
	}
	for _, t := range more {
		add(t)
	}
	return out
}
