package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"millpond"
)

// Delete removes a blob. After a power cut it may be there again.
func (s *Store) Delete(ctx context.Context, d millpond.Digest) error {
	return s.remove(ctx, d, func(name string) error { return s.dir.Remove(name) })
}

// wrongClock is how far in the future a blob was sealed if the clock was wrong then.
const wrongClock = time.Hour

// DeleteOlder removes a blob unless it was sealed at or after before. One that was sealed in the future is as one sealed now.
func (s *Store) DeleteOlder(ctx context.Context, d millpond.Digest, before time.Time) error {
	return s.remove(ctx, d, func(name string) error {
		info, err := s.dir.Stat(name)
		if err != nil {
			return err
		}
		if !info.ModTime().Truncate(time.Second).Before(before) {
			if info.ModTime().After(s.now().Add(wrongClock)) {
				// The clock was wrong then: how old it is nobody knows, and it would stay until that day comes.
				if err := s.dir.Chtimes(name, s.now()); err != nil {
					return err
				}
			}
			return &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("blob %s was sealed again", d)}
		}
		return s.dir.Remove(name)
	})
}

// SetAside moves a blob to the directory of damaged ones. What was there of the same name goes.
func (s *Store) SetAside(ctx context.Context, d millpond.Digest) error {
	return s.remove(ctx, d, func(name string) error {
		dir, err := s.dir.OpenDir(blobs + "/" + d.Hex()[:2])
		if err != nil {
			return err
		}
		defer dir.Close()
		if err := s.dir.Rename(name, damaged+"/"+d.Hex()); err != nil {
			return err
		}
		if err := dir.Sync(); err != nil { // a power cut would bring the damaged blob back
			s.stop(err)
		}
		return nil
	})
}

// remove calls f with the name of a blob while nobody seals or removes it.
func (s *Store) remove(ctx context.Context, d millpond.Digest, f func(name string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name, ok := file(d)
	if !ok {
		return absent(d)
	}
	shard := s.shard(d)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	err := f(name)
	if errors.Is(err, fs.ErrNotExist) {
		return absent(d)
	}
	return fault("remove blob "+d.String(), err)
}

// Tidy removes unfinished blobs that were last written before a time, but those that stay, and names that a crash left of
// sealed ones.
func (s *Store) Tidy(ctx context.Context, before time.Time, stays func(id string) bool) error {
	names, err := s.dir.List(incoming)
	if err != nil {
		return fault("tidy", err)
	}
	for _, id := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		least := before
		if stays != nil && stays(id) {
			least = time.Time{}
		}
		if err := s.tidy(id, least); err != nil {
			return fault("tidy", err)
		}
	}
	return nil
}

func (s *Store) tidy(id string, before time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing[id] {
		return nil
	}
	name := incoming + "/" + id
	info, err := s.dir.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if links(info) < 2 && !info.ModTime().Before(before) {
		return nil
	}
	delete(s.sums, id)
	return s.dir.Remove(name)
}
