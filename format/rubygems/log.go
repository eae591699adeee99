package rubygems

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"maps"
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
	// small is how many names are gone through whenever something has changed.
	small = 5000
	// instant is how far apart two changes of a record must be to have different times for certain.
	instant = 2 * time.Second
	// mostSums is how many infos' digests are remembered.
	mostSums = 1 << 16
)

// A log is the text of versions: a base, and lines appended in the order in which this pond learnt of them, hosted and
// upstream alike. So clients fetch its tail, whoever of the two has grown.
type log struct {
	mu     sync.Mutex // guards all but snap and sums
	stamp  string     // of the names at the last walk
	walked time.Time
	rows   map[string]row
	snap   *snapshot // the newest; nil before the first walk. Guarded by mu; a snapshot itself never changes

	sumsMu sync.Mutex // guards sums
	sums   map[string]sum
}

// A row is what the log says of a name.
type row struct {
	versions string // joined with commas
	md5      string
	note     string    // what the upstream's list said when the row was made; "" of what is hosted
	changed  time.Time // of what is hosted
	viewed   time.Time // when the row was made of the reader's view
	until    time.Time // when a hidden version comes into sight; zero if none will
	ours     bool      // made of the reader's view, which the upstream's list knows nothing of
}

func newLog() *log { return &log{sums: map[string]sum{}} }

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

// touch appends what a name's info now is, if the log says otherwise.
func (l *log) touch(now time.Time, name string, r row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.snap == nil {
		return
	}
	old, ok := l.rows[name]
	if !ok {
		return // a name that no list has: the next walk finds it if it is hosted
	}
	r.ours, r.note, r.changed = true, old.note, old.changed
	l.rows[name] = r
	if line := change(name, old, r); line != "" {
		l.snap = l.snap.append(now, line)
	}
}

// change is the line that makes one row of another; "" if they are the same to a client.
func change(name string, old, now row) string {
	if old.md5 == now.md5 && old.versions == now.versions {
		return ""
	}
	had, has := elements(old.versions), elements(now.versions)
	var delta []string
	for _, v := range had {
		if !slices.Contains(has, v) {
			delta = append(delta, "-"+v)
		}
	}
	for _, v := range has {
		if !slices.Contains(had, v) {
			delta = append(delta, v)
		}
	}
	if len(delta) == 0 {
		if len(has) == 0 {
			return ""
		}
		delta = has[len(has)-1:] // only its line has changed
	}
	return name + " " + strings.Join(delta, ",") + " " + now.md5 + "\n"
}

func elements(versions string) []string {
	if versions == "" {
		return nil
	}
	return strings.Split(versions, ",")
}

// current is the log brought up to date.
func (l *log) current(ctx context.Context, repo format.Repo) (*snapshot, error) {
	stamp, _, err := repo.Stamp(ctx, "")
	l.mu.Lock()
	defer l.mu.Unlock()
	now := repo.Now()
	switch {
	case err != nil && l.snap != nil && !millpond.Is(err, millpond.Unauthenticated) && !millpond.Is(err, millpond.Denied):
		return l.snap, nil // what is known goes on being told
	case err != nil:
		return nil, err
	case l.snap == nil:
		err = l.rebuild(ctx, repo, now)
	case stamp == l.stamp && !l.due(now):
		return l.snap, nil
	default:
		err = l.update(ctx, repo, now, stamp)
	}
	if err != nil {
		return nil, err
	}
	if now.Sub(l.walked) == 0 {
		l.stamp = stamp
	}
	return l.snap, nil
}

// due reports whether a hold has ended.
func (l *log) due(now time.Time) bool {
	for _, r := range l.rows {
		if !r.until.IsZero() && !now.Before(r.until) {
			return true
		}
	}
	return false
}

// viewed is the row of a name as the reader sees it; ok is false if there is nothing of it to see.
func viewed(ctx context.Context, repo format.Repo, name string) (r row, ok bool, err error) {
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
	return row{versions: strings.Join(listed(text), ","), md5: sumOf(text).md5, until: until(p), viewed: repo.Now(), ours: true}, true, nil
}

// stands reports whether the row tells of a record that changed then, and last.
func (r row) stands(changed time.Time) bool {
	return r.changed.Equal(changed) && r.viewed.Sub(changed) > instant
}

// hosted are the names that something is hosted of, and when it last changed.
func hosted(ctx context.Context, repo format.Repo) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	for rec, err := range repo.Records(ctx, "") {
		if err != nil {
			return nil, err
		}
		if _, ok := out[rec.Name]; !ok {
			out[rec.Name] = rec.Changed
		}
	}
	return out, nil
}

// rebuild begins a new text: clients fetch it whole.
func (l *log) rebuild(ctx context.Context, repo format.Repo, now time.Time) error {
	ours, err := hosted(ctx, repo)
	if err != nil {
		return err
	}
	rows := map[string]row{}
	var text strings.Builder
	text.WriteString("created_at: " + now.UTC().Format(time.RFC3339) + "\n---\n")
	for c, err := range repo.Names(ctx) {
		if err != nil {
			return err
		}
		r := l.rows[c.Name]
		changed, isOurs := ours[c.Name]
		switch {
		case !isOurs && c.Note != "" && !(r.ours && r.note == c.Note):
			versions, sum, _ := strings.Cut(c.Note, " ")
			r = row{versions: versions, md5: sum, note: c.Note}
		case !r.ours || isOurs && !r.stands(changed) || !r.until.IsZero():
			var ok bool
			if r, ok, err = viewed(ctx, repo, c.Name); err != nil {
				return err
			} else if !ok {
				continue
			}
			r.note, r.changed = c.Note, changed
		}
		rows[c.Name] = r
		if r.versions != "" {
			text.WriteString(c.Name + " " + r.versions + " " + r.md5 + "\n")
		}
	}
	l.rows, l.walked = rows, now
	l.snap = begin(now, text.String())
	return nil
}

// update appends what is new: of what is hosted at once, of all other names every few seconds.
func (l *log) update(ctx context.Context, repo format.Repo, now time.Time, stamp string) error {
	ours, err := hosted(ctx, repo)
	if err != nil {
		return err
	}
	var lines strings.Builder
	set := func(name string, old, r row) {
		l.rows[name] = r
		lines.WriteString(change(name, old, r))
	}
	view := func(name, note string, changed time.Time) (gone bool, err error) {
		r, ok, err := viewed(ctx, repo, name)
		if err != nil {
			return false, err
		}
		old, was := l.rows[name]
		if !ok {
			return was, nil
		}
		r.note, r.changed = note, changed
		set(name, old, r)
		return false, nil
	}
	gone := false
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		if old, ok := l.rows[name]; ok && old.stands(ours[name]) {
			continue
		}
		g, err := view(name, l.rows[name].note, ours[name])
		if err != nil {
			return err
		}
		gone = gone || g
	}
	for name, r := range l.rows {
		if !r.until.IsZero() && !now.Before(r.until) {
			g, err := view(name, r.note, r.changed)
			if err != nil {
				return err
			}
			gone = gone || g
		}
	}
	if (len(l.rows) < small || now.Sub(l.walked) >= walkEvery) && stamp != l.stamp {
		seen := make(map[string]struct{}, len(l.rows))
		for c, err := range repo.Names(ctx) {
			if err != nil {
				return err
			}
			seen[c.Name] = struct{}{}
			old, was := l.rows[c.Name]
			_, isOurs := ours[c.Name]
			switch {
			case isOurs || was && old.note == c.Note:
				continue
			case c.Note == "" || old.ours:
				g, err := view(c.Name, c.Note, time.Time{})
				if err != nil {
					return err
				}
				gone = gone || g
			default:
				versions, sum, _ := strings.Cut(c.Note, " ")
				set(c.Name, old, row{versions: versions, md5: sum, note: c.Note})
			}
		}
		for name := range l.rows {
			if _, ok := seen[name]; !ok {
				gone = true
			}
		}
		l.walked = now
	}
	if gone { // the text cannot say that a name is not there
		return l.rebuild(ctx, repo, now)
	}
	if lines.Len() > 0 {
		l.snap = l.snap.append(now, lines.String())
		if len(l.snap.text) > 2*l.snap.of.base+1<<20 {
			return l.rebuild(ctx, repo, now)
		}
	}
	return nil
}

// A snapshot is the log at one moment. It never changes: what is appended makes another one, over the same memory.
type snapshot struct {
	text     []byte
	md5, sha string
	modified time.Time
	of       *generation
}

// A generation is a base and all that was appended to it.
type generation struct {
	base     int
	mu       sync.Mutex // guards all below
	five     hash.Hash
	two      hash.Hash
	lengths  map[string]int // of its snapshots, by md5
	gz       packer
	gzOf     *snapshot
	gzPacked []byte
}

func begin(now time.Time, text string) *snapshot {
	b := make([]byte, 0, len(text)+len(text)/4+4096)
	g := &generation{base: len(text), five: md5.New(), two: sha256.New(), lengths: map[string]int{}}
	return (&snapshot{text: b, of: g}).append(now, text)
}

func (s *snapshot) append(now time.Time, lines string) *snapshot {
	g := s.of
	g.mu.Lock()
	defer g.mu.Unlock()
	g.five.Write([]byte(lines))
	g.two.Write([]byte(lines))
	n := &snapshot{
		text: append(s.text, lines...), of: g, modified: now,
		md5: hex.EncodeToString(g.five.Sum(nil)), sha: base64.StdEncoding.EncodeToString(g.two.Sum(nil)),
	}
	g.lengths[n.md5] = len(n.text)
	return n
}

// length is how long the text was when it had this md5.
func (g *generation) length(md5 string) (int, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, ok := g.lengths[md5]
	return n, ok
}
