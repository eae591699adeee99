package repo

import (
	"context"
	"errors"
	"fmt"

	"millpond"
)

const (
	// hotSize is the largest body that memory keeps when it is first asked for, and warmSize when it is asked for again: to
	// that size a body costs less to write than its file to open and to send.
	hotSize  = 64 << 10
	warmSize = 256 << 10
)

// Open implements format.Reader.
func (b *bound) Open(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	return b.read(ctx, k, opening{asking: b.scope(known) != held})
}

// Stat implements format.Reader.
func (b *bound) Stat(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	return b.read(ctx, k, opening{asking: b.scope(known) != held, stat: true})
}

func (b *bound) read(ctx context.Context, k millpond.Key, o opening) (*millpond.Content, error) {
	if err := b.readable(k.Package); err != nil {
		return nil, err
	}
	t := TraceOf(ctx)
	t.repo, t.taken = b.Repository, b.pond.down() // before anything is judged
	c, err := b.readOnce(ctx, k, o)
	if errors.Is(err, errDamaged) {
		c, err = b.readOnce(ctx, k, o) // it was set aside: this one fetches it
	}
	if err != nil {
		return nil, b.deletedHere(ctx, k, err)
	}
	t.bytes = c.Digest
	if t := b.pond.takenDownBytes(c.Digest); t != nil {
		if c.ReadSeekCloser != nil {
			c.Close()
		}
		return nil, t.blocked(k)
	}
	return c, nil
}

// deletedHere is err, or that the file was deleted here, where the format has its readers told that.
func (b *bound) deletedHere(ctx context.Context, k millpond.Key, err error) error {
	if !b.info.Tombstones || !millpond.Is(err, millpond.NotFound) || k.Version == "" {
		return err
	}
	v, e := b.hosted.version(ctx, k.Package, k.Version)
	if millpond.Is(e, millpond.NotFound) {
		return err
	}
	if e != nil {
		return e
	}
	at, by := v.Deleted, v.DeletedBy
	for i := range v.HostedFiles {
		if f := &v.HostedFiles[i]; f.Name == k.File && at.IsZero() {
			at, by = f.Deleted, ""
		}
	}
	if at.IsZero() {
		return err
	}
	if by != "" {
		by = " by " + by
	}
	return &millpond.Error{Kind: millpond.Gone, Key: k, Why: fmt.Sprintf("%s of %s was deleted on %s%s", k.File, k.Package, day(at), by)}
}

// errDamaged says that held bytes could not be read, before any of them left.
var errDamaged = &millpond.Error{Kind: millpond.Unready, Why: "the held bytes are damaged"}

func (b *bound) readOnce(ctx context.Context, k millpond.Key, o opening) (*millpond.Content, error) {
	t := TraceOf(ctx)
	t.Package, t.Version, t.File = k.Package, k.Version, k.File
	if c := b.fromMemory(ctx, k); c != nil {
		return c, nil
	}
	if err := b.nameVerdict(k.Package); err != nil {
		return nil, err
	}
	if t := b.takenDown(k); t != nil {
		return nil, t.blocked(k)
	}
	o.mode = b.mode(k.Package)
	layers := b.layersFor(k.Package)
	h, err := b.hosted.record(ctx, k.Package)
	if err != nil {
		return nil, err
	}
	if h != nil {
		if k.Version == "" && !b.judgedInVersions(ctx, k) {
			if c, err := b.hosted.open(ctx, k, nil, o); !millpond.Is(err, millpond.NotFound) {
				return c, err // a file that belongs to no version
			}
		}
		own, err := b.hosted.has(ctx, k)
		if err != nil {
			return nil, err
		}
		if own || b.hides(h) {
			return b.readListed(ctx, k, o)
		}
	}
	if len(layers) == 0 && h == nil {
		return nil, b.unknown(k.Package)
	}
	located, err := b.located(ctx, layers, k)
	if err != nil {
		return nil, err
	}
	if located {
		if layers, err = b.inside(ctx, layers, k.Package); err != nil {
			return nil, err
		}
		return b.readLocated(ctx, layers, k, o)
	}
	return b.readListed(ctx, k, o)
}

// judgedInVersions reports whether a file that is asked for by its name alone is part of hosted versions which rules judge.
func (b *bound) judgedInVersions(ctx context.Context, k millpond.Key) bool {
	if b.policy == nil {
		return false
	}
	v, err := b.Repository.view(ctx, k.Package, known)
	if err != nil {
		return false
	}
	_, found := v.place(k)
	return found
}

// located reports whether files of this format are found from their names.
func (b *bound) located(ctx context.Context, layers []layer, k millpond.Key) (bool, error) {
	for _, l := range layers {
		_, err := l.locate(ctx, k)
		if millpond.Is(err, millpond.Unsupported) {
			continue
		}
		// NotFound is that layer's own word: another one may have the file.
		return others(err) == nil, others(err)
	}
	return false, nil
}

// below are the layers under the hosted one that have a word in a name: none, where what is hosted hides them.
func (b *bound) below(ctx context.Context, pkg string) ([]layer, error) {
	h, err := b.hosted.record(ctx, pkg)
	if err != nil || h != nil && b.hides(h) {
		return nil, err
	}
	return b.inside(ctx, b.layersFor(pkg), pkg)
}

// inside are the layers that may be asked for a name: siblings only, if one of them hosts it.
func (b *bound) inside(ctx context.Context, layers []layer, pkg string) ([]layer, error) {
	below, err := b.hostsBelow(ctx, pkg)
	if err != nil || !below {
		return layers, err
	}
	var ours []layer
	for _, l := range layers {
		if _, ok := l.(*sibling); ok {
			ours = append(ours, l)
		}
	}
	return ours, nil
}

// readListed opens a file that its package's listing names.
func (b *bound) readListed(ctx context.Context, k millpond.Key, o opening) (*millpond.Content, error) {
	of := b.generation(k.Package) // before anything is looked up: what changes meanwhile is not remembered
	v, at, err := b.find(ctx, k, o)
	if millpond.Is(err, millpond.NotFound) {
		return b.readUnlisted(ctx, k, o, err)
	}
	if err != nil {
		return nil, err
	}
	version := &v.all.Versions[at.version]
	f := &version.Files[at.file]
	asked := k
	k.Version = version.Name
	TraceOf(ctx).Version = k.Version
	if v.all.Blocked != "" {
		return nil, &millpond.Error{Kind: millpond.Blocked, Key: k, Why: v.all.Blocked}
	}
	if err := v.verdict(k); err != nil {
		other := v.otherPlace(asked, f)
		if other == nil {
			return nil, err
		}
		k.Version, version = other.Name, other
	}
	l := b.layer(layerOf(version.Layer))
	if l == nil {
		return nil, fmt.Errorf("%s is of a layer that is gone: %s", k, version.Layer)
	}
	o.listed = true
	c, err := l.open(ctx, k, f, o)
	if err != nil {
		return nil, err
	}
	if !o.stat {
		return b.toMemory(asked, c, of, &hotFile{layer: l.layerName(), stamp: v.stamp, judged: v.built, until: v.until})
	}
	return c, nil
}

// readUnlisted opens a file that is held although no listing names it any more: its whole package is gone upstream. What a
// sibling hides is refused in its words. The answer is absent where there is nothing of either.
func (b *bound) readUnlisted(ctx context.Context, k millpond.Key, o opening, absent error) (*millpond.Content, error) {
	below, err := b.below(ctx, k.Package)
	if err != nil {
		return nil, err
	}
	for _, l := range below {
		up, ok := l.(*upstream)
		if !ok {
			c, err := l.open(ctx, k, nil, opening{asking: o.asking, stat: true})
			if millpond.Is(err, millpond.Blocked) {
				return nil, err
			}
			if err != nil || b.policy != nil && k.Version == "" {
				continue
			}
			f := &millpond.File{Name: k.File, Size: c.Size, Type: c.Type, Vanished: true, Published: c.Modified}
			if _, err := b.judgeUntil(ctx, l, k, f, o); err != nil {
				return nil, err
			}
			return l.open(ctx, k, f, o)
		}
		held, err := up.holdings(ctx, k.Package)
		if err != nil {
			return nil, err
		}
		for _, h := range held {
			if h.Blob.IsZero() || h.Key.File != k.File || k.Version != "" && h.Key.Version != k.Version {
				continue
			}
			f := &millpond.File{Name: h.Key.File, Size: h.Size, Digests: h.Digests, Type: h.Type, Vanished: true, Published: h.Modified}
			if _, err := b.judgeUntil(ctx, l, h.Key, f, o); err != nil {
				return nil, err
			}
			o.asking = false // there is nobody to ask
			return up.open(ctx, h.Key, f, o)
		}
	}
	return nil, absent
}

// find looks a file up in the package's listing, which is read again, once, if it is not there.
func (b *bound) find(ctx context.Context, k millpond.Key, o opening) (*view, place, error) {
	if !o.asking {
		v, err := b.Repository.view(ctx, k.Package, held)
		if err != nil {
			return nil, place{}, err
		}
		if at, ok := v.place(k); ok {
			return v, at, nil
		}
		if below, err := b.below(ctx, k.Package); err != nil || len(below) == 0 {
			return nil, place{}, firstError(err, b.noFile(k)) // nobody would be asked in any case
		}
		return nil, place{}, &millpond.Error{Kind: millpond.Offline, Key: k,
			Why:  fmt.Sprintf("%s of %s is not held here, and nobody is asked: the pond is offline", k.File, k.Package),
			Hint: "ask again when it is online, or fetch it there first"}
	}
	v, err := b.Repository.view(ctx, k.Package, known)
	if err != nil {
		return nil, place{}, err
	}
	if at, ok := v.place(k); ok {
		return v, at, nil
	}
	below, err := b.below(ctx, k.Package)
	if err != nil {
		return nil, place{}, err
	}
	for _, l := range below {
		if _, err := l.again(ctx, k.Package); err != nil && !millpond.Is(err, millpond.NotFound) {
			return nil, place{}, err
		}
	}
	if v, err = b.Repository.view(ctx, k.Package, fresh); err != nil {
		return nil, place{}, err
	}
	if at, ok := v.place(k); ok {
		return v, at, nil
	}
	if v.stale != nil { // the upstream is ill: it may well have the file
		return nil, place{}, v.stale
	}
	return nil, place{}, b.noFile(k)
}

func (b *bound) noFile(k millpond.Key) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("no file %s of %s in %s", k.File, k.Package, b.config.Name)}
}

// others are all errors but that there is no such thing.
func others(err error) error {
	if millpond.Is(err, millpond.NotFound) {
		return nil
	}
	return err
}

// readLocated opens a file whose place follows from its name. Layers are asked in order; a version that is held from one
// layer is asked of that one only, so that its files are never mixed.
func (b *bound) readLocated(ctx context.Context, layers []layer, k millpond.Key, o opening) (*millpond.Content, error) {
	of, asked := b.generation(k.Package), k
	home := -1
	if len(layers) > 1 {
		for i, l := range layers {
			has, err := l.has(ctx, k)
			if err != nil {
				return nil, err
			}
			if has {
				home = i
				break
			}
		}
	}
	var last error
	for i, l := range layers {
		if home >= 0 && i != home {
			continue
		}
		f, err := l.locate(ctx, k)
		if millpond.Is(err, millpond.Unsupported) {
			f, err = &millpond.File{Name: k.File, Size: -1}, nil // a sibling that only hosts
		}
		if millpond.Is(err, millpond.NotFound) {
			last = err
			continue
		}
		if err != nil {
			return nil, err
		}
		k := k
		if f.Name != "" {
			k.File = f.Name // several names may lead to one file
		}
		until, err := b.judgeIn(ctx, l, k, f, o)
		if err != nil {
			return nil, err
		}
		if _, ok := l.(*sibling); ok {
			k = asked // it judges by itself
		}
		c, err := l.open(ctx, k, f, o)
		if err == nil {
			if !o.stat {
				return b.toMemory(asked, c, of, &hotFile{layer: l.layerName(), judged: b.pond.now(), until: until})
			}
			return c, nil
		}
		if last = err; !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Gone) {
			return nil, err
		}
	}
	return nil, last
}
