package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/fetch"
	"millpond/format"
)

// An upstream is the layer of a URL.
type upstream struct {
	pond     *Pond
	repo     *Repository
	format   format.Format
	id       string // of its records: repository/name
	name     string
	settings fetch.Settings
	options  map[string]string
	up       *fetch.Upstream
	merge    bool          // union
	poll     time.Duration // how often its list of names is looked through; 0 is never
	ours     bool          // may hear of claimed names
	flights  *flights
	corrupt  *failures
	refresh  *failures
	anew     *failures // what was asked for again because a client wanted it
	lastList atomic.Pointer[catalog.Answer]
	gentle   gentle
}

func (l *upstream) layerName() string  { return l.name }
func (l *upstream) union() bool        { return l.merge }
func (l *upstream) state() fetch.State { return l.up.State() }

func (l *upstream) slow() time.Duration {
	if d := l.format.Info().Slow; d > 0 {
		return d
	}
	return slow
}

// listing asks for the package's listing: kept and fresh, or read anew.
func (l *upstream) listing(ctx context.Context, name string, asking bool) (*listing, error) {
	got, err := l.listed(ctx, name, asking)
	if err != nil || !asking || got.stale != nil || l.pond.hasDocument(ctx, got.pkg) {
		return got, err
	}
	// Its document is lost: that is read anew before somebody needs it.
	if err := l.expire(ctx, name); err != nil {
		return nil, err
	}
	return l.listed(ctx, name, true)
}

// hasDocument reports whether the document that a listing was read from is still here.
func (p *Pond) hasDocument(ctx context.Context, pkg *millpond.Package) bool {
	if len(pkg.Parts) == 0 || pkg.Parts[0].Document.IsZero() {
		return true
	}
	if _, ok := p.loose.get(pkg.Parts[0].Document); ok {
		return true
	}
	_, err := p.blobs.Stat(ctx, pkg.Parts[0].Document)
	return !millpond.Is(err, millpond.NotFound)
}

// expire makes a kept listing one to ask for again.
func (l *upstream) expire(ctx context.Context, name string) error {
	q := catalog.Question{Layer: l.id, Kind: "package", Package: name}
	a, err := l.pond.catalog.Answer(ctx, q)
	if millpond.Is(err, millpond.NotFound) || err == nil && a.Absent {
		return nil
	}
	if err == nil && !a.Doubt.IsZero() {
		return nil // it is asked for each minute, and to confirm it would begin the doubt anew
	}
	if err == nil {
		err = l.pond.catalog.Confirm(ctx, q, a.Checked, time.Time{})
	}
	return l.pond.spare(ctx, "that the listing of "+name+" is old", err)
}

func (l *upstream) listed(ctx context.Context, name string, asking bool) (*listing, error) {
	r, err := l.ask(ctx, inquiry{
		Question: catalog.Question{Kind: "package", Package: name},
		fresh:    l.repo.fresh(),
		read: func(ctx context.Context, s *session, kept *catalog.Answer) ([]byte, error) {
			record, err := l.readListing(ctx, s, kept, name)
			collect(textOf(record))
			return record, err
		},
		accepted: func() uint64 { return l.pond.forgetViewsIn(l.repo, name) },
	}, asking)
	if err != nil {
		return nil, err
	}
	pkg, id, err := l.decoded(r.Answer)
	if err != nil {
		return nil, err
	}
	return &listing{bump: r.bump, pkg: pkg, id: id, changed: r.Changed, checked: r.Checked, fresh: r.Fresh, stale: r.stale}, nil
}

// again refreshes a listing in which something was missed, at most every ten seconds a package.
func (l *upstream) again(ctx context.Context, name string) (*listing, error) {
	now := l.pond.now()
	if l.refresh.recent(name, now) == nil {
		l.refresh.remember(name, now, 10*time.Second, errRefreshed)
		q := catalog.Question{Layer: l.id, Kind: "package", Package: name}
		if a, err := l.pond.catalog.Answer(ctx, q); err == nil && now.Sub(a.Checked) > time.Second {
			if err := l.expire(ctx, name); err != nil {
				return nil, err
			}
		}
	}
	return l.listing(ctx, name, true)
}

// decoded reads the record of a listing, or returns the one read last.
func (l *upstream) decoded(a *catalog.Answer) (*millpond.Package, string, error) {
	sum := sha256.Sum256(a.Record)
	pkg, err := decodeListing(a.Record, l.name)
	if err != nil {
		return nil, "", fmt.Errorf("listing of %s from %s: %w", a.Package, l.name, err)
	}
	return pkg, hex.EncodeToString(sum[:8]), nil
}

// readListing reads the upstream's listing and brings it together with what was known before.
func (l *upstream) readListing(ctx context.Context, s *session, kept *catalog.Answer, name string) ([]byte, error) {
	var before *millpond.Package
	seen := l.pond.now()
	if kept != nil {
		if kept.Checked.After(seen) {
			seen = kept.Checked // what is new now was not there then, whatever a clock that was set back says
		}
		var err error
		if before, err = decodeListing(kept.Record, l.name); err != nil {
			before, s.kept = nil, nil // of another release: read it anew
		}
	}
	src := l.format.Source(s)
	if next, ok := src.(format.Successor); ok {
		return l.succeed(ctx, s, next, before, name)
	}
	pkg, err := src.Package(ctx, name)
	if err != nil {
		return nil, err
	}
	if n, ok := src.(format.Newer); ok && before != nil && !n.Newer(before, pkg) && !s.again {
		// A lagging copy: ask once more past the caches, then stay with what is kept.
		s.again, s.got = true, nil
		if pkg, err = src.Package(ctx, name); err != nil {
			return nil, err
		}
		if !n.Newer(before, pkg) {
			return nil, &millpond.Error{
				Kind: millpond.BadUpstream, Key: millpond.Key{Package: name},
				Why: fmt.Sprintf("%s gave an older index of %s than it did before; the newer one is kept", l.name, name),
			}
		}
	}
	if len(pkg.Parts) == 0 {
		pkg.Parts = make([]millpond.Part, 1)
	}
	if pkg.Parts[0].Document, err = s.document(ctx, 0); err != nil {
		return nil, err
	}
	pkg.Name = name
	if before, err = l.rejoin(ctx, before, pkg); err != nil {
		return nil, err
	}
	if err := l.reconcile(ctx, before, pkg, seen); err != nil {
		return nil, err
	}
	if err := l.miss(ctx, before, pkg); err != nil {
		return nil, err
	}
	collect(roomFor(pkg))
	return encodeListing(pkg), nil
}

// holdings are the records of a package's files, by version and file.
func (l *upstream) holdings(ctx context.Context, pkg string) (map[[2]string]*catalog.Holding, error) {
	held := map[[2]string]*catalog.Holding{}
	for h, err := range l.pond.catalog.Held(ctx, l.id, pkg) {
		if err != nil {
			return nil, err
		}
		held[[2]string{h.Key.Version, h.Key.File}] = h
	}
	return held, nil
}

func (l *upstream) holds(ctx context.Context, pkg string) (map[[2]string]bool, error) {
	all, err := l.holdings(ctx, pkg)
	if err != nil {
		return nil, err
	}
	held := make(map[[2]string]bool, len(all))
	for k, h := range all {
		if !h.Blob.IsZero() {
			held[k] = true
		}
	}
	return held, nil
}

func (l *upstream) has(ctx context.Context, k millpond.Key) (bool, error) {
	for h, err := range l.pond.catalog.Held(ctx, l.id, k.Package) {
		if err != nil {
			return false, err
		}
		if h.Key.Version == k.Version && !h.Blob.IsZero() {
			return true, nil
		}
	}
	return false, nil
}

func (l *upstream) locate(ctx context.Context, k millpond.Key) (*millpond.File, error) {
	s := l.session(ctx)
	defer s.close()
	return l.format.Source(s).File(ctx, k)
}

func (l *upstream) describe(ctx context.Context, pkg, version string, asking bool) (*millpond.Version, error) {
	r, err := l.ask(ctx, inquiry{
		Question: catalog.Question{Kind: "version", Package: pkg, Name: version},
		fresh:    100 * 365 * 24 * time.Hour, // a version never changes
		read: func(ctx context.Context, s *session, kept *catalog.Answer) ([]byte, error) {
			v, err := l.format.Source(s).Version(ctx, pkg, version)
			if err != nil {
				return nil, err
			}
			v.Seen = l.pond.now()
			return encodeVersion(v), nil
		},
	}, asking)
	if err != nil {
		return nil, err
	}
	return decodeVersion(r.Record, l.name)
}

// mostTargets is how many targets of a ref are remembered: a line of its record each, the last one first.
const mostTargets = 20

func (l *upstream) document(ctx context.Context, k millpond.Key, asking bool) (*format.Document, error) {
	r, err := l.ask(ctx, inquiry{
		// NUL stands in no name that a format parses, so two keys never make one question.
		Question: catalog.Question{Kind: "document", Package: k.Package, Name: k.Version + "\x00" + k.File},
		fresh:    l.repo.fresh(),
		read: func(ctx context.Context, s *session, kept *catalog.Answer) ([]byte, error) {
			d, err := l.format.Source(s).Document(ctx, k)
			if err != nil {
				return nil, err
			}
			return nil, d.Close()
		},
	}, asking)
	if err != nil {
		return nil, err
	}
	if len(r.Documents) == 0 {
		return nil, fmt.Errorf("document %s of %s: the answer rests on no document", k, l.name)
	}
	s := l.session(ctx)
	var d *format.Document
	for i := range r.Documents {
		one, e := s.reopen(ctx, &r.Documents[i])
		if err = e; err != nil {
			break
		}
		if one.Unchanged = false; i == 0 {
			d = one
		} else {
			d.More = append(d.More, one)
		}
	}
	if err != nil {
		s.close()
		// The kept body is gone: the next asker reads it anew.
		l.pond.catalog.Confirm(ctx, r.Question, r.Checked, time.Time{})
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: "the kept document is damaged; it will be read anew", Err: err}
	}
	d.Closer = s
	return d, nil
}

// names are those that the upstream lists. The words about the list are remembered: many ask whether it has changed.
func (l *upstream) names(ctx context.Context, asking bool) (*nameList, error) {
	last := l.lastList.Load()
	if now := l.pond.now(); last != nil && stands(now, last.Checked, last.Fresh) && !TraceOf(ctx).Anew {
		return l.listOf(ctx, last), nil
	}
	r, err := l.list(ctx, asking)
	if err != nil {
		return nil, err
	}
	if r.stale == nil {
		l.lastList.Store(r.Answer)
	}
	return l.listOf(ctx, r.Answer), nil
}

// list is the upstream's list of all names, kept and fresh, or read anew.
func (l *upstream) list(ctx context.Context, asking bool) (*reply, error) {
	fresh := max(l.repo.fresh(), leastPoll)
	if l.poll > 0 {
		fresh = max(l.poll, leastPoll)
	}
	return l.ask(ctx, inquiry{
		Question: catalog.Question{Kind: "names"},
		fresh:    fresh,
		read: func(ctx context.Context, s *session, kept *catalog.Answer) ([]byte, error) {
			n := 0
			for _, err := range l.format.Source(s).Changes(ctx, "") {
				if err != nil {
					return nil, err
				}
				n++
			}
			return fmt.Appendf(nil, "%d", n), nil
		},
	}, asking)
}

// listID names the texts that a list was read from.
func listID(a *catalog.Answer) (id string) {
	for _, d := range a.Documents {
		id += d.Text.Short()
	}
	return id
}

func (l *upstream) listOf(ctx context.Context, a *catalog.Answer) *nameList {
	list := &nameList{fresh: a.Fresh, id: listID(a)}
	list.each = func(yield func(format.Change, error) bool) {
		s := l.session(ctx)
		defer s.close()
		s.local, s.kept = true, a.Documents
		for c, err := range l.format.Source(s).Changes(ctx, "") {
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
	return list
}
