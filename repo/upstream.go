package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
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
	merge    bool // union
	ours     bool // may hear of claimed names
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
			return l.readListing(ctx, s, kept, name)
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
	if err := l.reconcile(ctx, before, pkg, seen); err != nil {
		return nil, err
	}
	return encodeListing(pkg), nil
}

// reconcile carries over from the last listing what the upstream cannot know: when this pond first saw each version, which
// bytes are held under a name that it now gives other digests, and the held files that it no longer lists.
func (l *upstream) reconcile(ctx context.Context, before, pkg *millpond.Package, seen time.Time) error {
	for i := range pkg.Versions {
		pkg.Versions[i].Seen = seen
	}
	if before == nil {
		return nil
	}
	held, err := l.holdings(ctx, pkg.Name)
	if err != nil {
		return err
	}
	index := make(map[string]int, len(pkg.Versions))
	for i := range pkg.Versions {
		index[pkg.Versions[i].Name] = i
	}
	for i := range before.Versions {
		old := &before.Versions[i]
		at, listed := index[old.Name]
		if !listed && l.format.Info().Moving {
			continue
		}
		if !listed {
			if gone := keepHeld(old.Name, old.Files, held); len(gone) > 0 {
				if err := l.vanished(ctx, pkg.Name, old, gone, held); err != nil {
					return err
				}
				v := *old
				v.Files = gone
				pkg.Versions = append(pkg.Versions, v)
			}
			continue
		}
		v := &pkg.Versions[at]
		v.Seen = old.Seen
		if v.Published.IsZero() && v.Partial {
			v.Published = old.Published
		}
		if err := l.reconcileFiles(ctx, pkg.Name, old, v, held, seen); err != nil {
			return err
		}
	}
	return nil
}

// reconcileFiles does for the files of one version what reconcile does for versions.
func (l *upstream) reconcileFiles(ctx context.Context, pkg string, old, v *millpond.Version, held map[[2]string]*catalog.Holding, seen time.Time) error {
	var was map[string]*millpond.File
	if len(old.Files) > 0 {
		was = make(map[string]*millpond.File, len(old.Files))
		for i := range old.Files {
			was[old.Files[i].Name] = &old.Files[i]
		}
	}
	for i := range v.Files {
		f := &v.Files[i]
		o := was[f.Name]
		delete(was, f.Name)
		if o == nil {
			if len(old.Files) > 0 {
				f.Seen = seen
			}
			continue
		}
		f.Seen = o.Seen
		if sameDigests(o.Digests, f.Digests) {
			f.Corrupt = o.Corrupt
			continue
		}
		if len(o.Digests) == 0 || len(f.Digests) == 0 {
			continue
		}
		h := held[[2]string{v.Name, f.Name}]
		l.pond.event(ctx, millpond.Event{
			Verb: "replaced", Repository: l.repo.config.Name, Layer: l.name,
			Key:    millpond.Key{Package: pkg, Version: v.Name, File: f.Name},
			Detail: detail("was", o.Digests[0].String(), "is", f.Digests[0].String(), "kept", h != nil && !h.Blob.IsZero()),
		})
		if h != nil && !h.Blob.IsZero() {
			f.Digests, f.Size = o.Digests, o.Size // the first bytes stay
		} else {
			f.Seen = seen
		}
	}
	var rest []millpond.File
	for i := range old.Files {
		if _, missing := was[old.Files[i].Name]; missing {
			rest = append(rest, old.Files[i])
		}
	}
	if gone := keepHeld(v.Name, rest, held); len(gone) > 0 {
		if err := l.vanished(ctx, pkg, old, gone, held); err != nil {
			return err
		}
		v.Files = append(v.Files, gone...)
	}
	return nil
}

// keepHeld returns those files whose bytes are held, marked as vanished.
func keepHeld(version string, files []millpond.File, held map[[2]string]*catalog.Holding) []millpond.File {
	var gone []millpond.File
	for _, f := range files {
		if h := held[[2]string{version, f.Name}]; h != nil && !h.Blob.IsZero() {
			f.Vanished = true
			gone = append(gone, f)
		}
	}
	return gone
}

// vanished marks the holdings of files that the upstream no longer has, so that they are not evicted, and tells.
func (l *upstream) vanished(ctx context.Context, pkg string, old *millpond.Version, gone []millpond.File, held map[[2]string]*catalog.Holding) error {
	told := false
	for _, f := range gone {
		h := held[[2]string{old.Name, f.Name}]
		if h.Keep {
			continue
		}
		kept := *h
		kept.Keep = true
		if err := l.pond.catalog.PutHolding(ctx, &kept); err != nil {
			return err
		}
		told = true
	}
	if told {
		l.pond.event(ctx, millpond.Event{
			Verb: "vanished", Repository: l.repo.config.Name, Layer: l.name, Key: millpond.Key{Package: pkg, Version: old.Name},
		})
	}
	return nil
}

// keepAll keeps what is held of a package from being evicted: its upstream has it no more.
func (l *upstream) keepAll(ctx context.Context, pkg string) error {
	held, err := l.holdings(ctx, pkg)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.Keep || h.Blob.IsZero() {
			continue
		}
		h.Keep = true
		if err := l.pond.catalog.PutHolding(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

func sameDigests(a, b []millpond.Digest) bool {
	// Two publishers' lists agree if no algorithm that both name differs.
	for _, x := range a {
		for _, y := range b {
			if x.Algorithm() == y.Algorithm() && x != y {
				return false
			}
		}
	}
	return true
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

// lasts is how long a ref is served without asking its upstream.
func (r *Repository) lasts(name string) time.Duration {
	if r.info.Lasts != nil {
		if d := r.info.Lasts(r.option, name); d > 0 {
			return d
		}
	}
	return r.fresh()
}

func (l *upstream) ref(ctx context.Context, pkg, name string, asking bool) (millpond.Ref, error) {
	r, err := l.ask(ctx, inquiry{
		Question: catalog.Question{Kind: "ref", Package: pkg, Name: name},
		fresh:    l.repo.lasts(name),
		read: func(ctx context.Context, s *session, kept *catalog.Answer) ([]byte, error) {
			ref, err := l.format.Source(s).Ref(ctx, pkg, name)
			if err != nil || kept == nil || l.repo.info.Previous == nil {
				return []byte(ref.Target), err
			}
			return movedTo(ref.Target, kept.Record), nil
		},
	}, asking)
	if err != nil {
		return millpond.Ref{}, err
	}
	target, _, _ := strings.Cut(string(r.Record), "\n")
	return millpond.Ref{Name: name, Target: target, Layer: l.name, Checked: r.Checked}, nil
}

// mostTargets is how many targets of a ref are remembered: a line of its record each, the last one first.
const mostTargets = 20

// movedTo is the record of a ref that points at target now.
func movedTo(target string, before []byte) []byte {
	all := strings.Split(string(before), "\n")
	all = slices.DeleteFunc(all, func(old string) bool { return old == target })
	all = append([]string{target}, all...)
	return []byte(strings.Join(all[:min(len(all), mostTargets)], "\n"))
}

// former are the targets that a ref had before, the last one first.
func (l *upstream) former(ctx context.Context, pkg, name string) ([]string, error) {
	a, err := l.pond.catalog.Answer(ctx, catalog.Question{Layer: l.id, Kind: "ref", Package: pkg, Name: name})
	if err != nil || a.Absent {
		return nil, others(err)
	}
	return strings.Split(string(a.Record), "\n")[1:], nil
}

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
	r, err := l.ask(ctx, inquiry{
		Question: catalog.Question{Kind: "names"},
		fresh:    max(l.repo.fresh(), 10*time.Minute), // politeness: it is tens of megabytes
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
	if err != nil {
		return nil, err
	}
	if r.stale == nil {
		l.lastList.Store(r.Answer)
	}
	return l.listOf(ctx, r.Answer), nil
}

func (l *upstream) listOf(ctx context.Context, a *catalog.Answer) *nameList {
	list := &nameList{fresh: a.Fresh}
	for _, d := range a.Documents {
		list.id += d.Text.Short()
	}
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
