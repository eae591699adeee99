package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"millpond"
	"millpond/blob/disk/durable"
)

// Commit seals the blob. After an error other than Corrupt it can be called again, unless the store has stopped.
func (w *Writer) Commit(ctx context.Context, want ...millpond.Digest) (millpond.Digest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.sealed.IsZero() {
		return w.sealed, nil
	}
	if w.closed {
		return millpond.Digest{}, fs.ErrClosed
	}
	if w.ended {
		return millpond.Digest{}, errEnded
	}
	if err := errors.Join(ctx.Err(), w.s.Stopped()); err != nil {
		return millpond.Digest{}, err
	}
	d, err := w.judge(ctx, want)
	if wrong, ok := errors.AsType[*millpond.Error](err); ok && wrong.Kind == millpond.Corrupt {
		wrong.Why, wrong.Err = wrong.Why+"; nothing was kept", w.discard()
	}
	if err != nil {
		return millpond.Digest{}, err
	}
	if err := w.seal(d); err != nil {
		return millpond.Digest{}, fault("seal blob "+d.String(), err)
	}
	w.sealed, w.ended = d, true
	w.release()
	_ = w.s.dir.Remove(w.name()) // the blob is safe under its own name; Tidy will find this one
	return d, nil
}

// Check is as blob.Checker says.
func (w *Writer) Check(ctx context.Context, want ...millpond.Digest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	_, err := w.judge(ctx, want)
	return err
}

// judge compares the bytes with the digests in want, and returns their sha256.
func (w *Writer) judge(ctx context.Context, want []millpond.Digest) (millpond.Digest, error) {
	for _, d := range want {
		if !w.sums.add(d.Algorithm()) {
			return millpond.Digest{}, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("a store cannot compute %q", d)}
		}
	}
	if err := w.sums.catchUp(ctx, w.f, w.Size()); err != nil {
		return millpond.Digest{}, fault("read what was written", err)
	}
	for _, d := range want {
		if got := w.sums.digest(d.Algorithm()); got != d {
			return millpond.Digest{}, &millpond.Error{
				Kind: millpond.Corrupt,
				Why:  fmt.Sprintf("the bytes have %s, not %s as declared", got, d),
			}
		}
	}
	return w.sums.digest("sha256"), nil
}

// seal gives the file the name of a blob, durably.
func (w *Writer) seal(d millpond.Digest) error {
	s := w.s
	dir, err := s.openShard(d)
	if err != nil {
		return err
	}
	defer dir.Close()
	name, _ := file(d)
	held, err := s.touch(d, name, w.Size())
	if err != nil {
		return err
	}
	if !held {
		if err := w.harden(); err != nil {
			return err
		}
		if err := s.link(d, w.name(), name, w.Size()); err != nil {
			return err
		}
	}
	// Also where the blob was held: whoever linked it may have died before it was durable.
	return s.sync(dir)
}

// harden makes the bytes durable. The file is not written again.
func (w *Writer) harden() error {
	w.hard = true
	w.endPlacing()
	if w.ragged || w.reach.Load() > w.Size() {
		if err := w.f.Truncate(w.Size()); err != nil {
			return err
		}
		w.ragged = false
		w.reach.Store(0)
	}
	if err := w.f.Chmod(0o444); err != nil {
		return err
	}
	if err := w.s.dir.Chtimes(w.name(), w.s.now()); err != nil {
		return err
	}
	return w.s.sync(w.f)
}

func (s *Store) shard(d millpond.Digest) *shard {
	var i int
	fmt.Sscanf(d.Hex()[:2], "%x", &i)
	return &s.shards[i]
}

// openShard opens the directory that d belongs in, and makes it if it is missing.
func (s *Store) openShard(d millpond.Digest) (*durable.File, error) {
	shard, name := s.shard(d), d.Hex()[:2]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if !shard.made {
		if err := s.make(blobs, name); err != nil {
			return nil, err
		}
		shard.made = true
	}
	return s.dir.OpenDir(blobs + "/" + name)
}

// touch reports whether a blob of that size is held, and if so moves the time when it was sealed.
func (s *Store) touch(d millpond.Digest, name string, size int64) (bool, error) {
	shard := s.shard(d)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	info, err := s.dir.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() != size {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.dir.Chtimes(name, s.now())
}

// link gives an unfinished blob its name. A blob that is held already stays, unless it has another size: it is damaged
// then, for our bytes have just been hashed.
func (s *Store) link(d millpond.Digest, from, name string, size int64) error {
	shard := s.shard(d)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	err := s.dir.Link(from, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := s.dir.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() == size {
		return s.dir.Chtimes(name, s.now())
	}
	if err := s.dir.Rename(name, damaged+"/"+d.Hex()); err != nil {
		return err
	}
	return s.dir.Link(from, name)
}
