package repo

import (
	"context"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/catalog"
)

const (
	grace    = 24 * time.Hour   // how long a blob that nothing names is left alone
	unused   = 24 * time.Hour   // how long an unfinished blob is kept for Resume
	lookEach = 10 * time.Second // how often the disk is looked at
)

// used notes that a blob was read. It is written down once a minute, not once a read.
func (p *Pond) used(d millpond.Digest, size int64) {
	now := p.now()
	p.mu.Lock()
	p.uses[d] = catalog.Use{Blob: d, Size: size, At: now}
	p.mu.Unlock()
}

func (p *Pond) flushUses(ctx context.Context) error {
	p.mu.Lock()
	uses := make([]catalog.Use, 0, len(p.uses))
	for _, u := range p.uses {
		uses = append(uses, u)
	}
	clear(p.uses)
	p.mu.Unlock()
	if len(uses) == 0 {
		return nil
	}
	return p.catalog.Used(ctx, uses)
}

// Run does the pond's own work (eviction, sweep, polls, flushing of uses) until ctx ends.
func (p *Pond) Run(ctx context.Context) error {
	if err := p.takeUpDue(ctx); err != nil {
		p.log.WarnContext(ctx, "what is to be looked through cannot be found", "error", err)
	}
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	sweep := time.NewTimer(2 * time.Minute) // soon after the start, then daily
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-minute.C:
			p.polling()
			if err = p.flushUses(ctx); err == nil {
				_, err = p.Evict(ctx)
			}
		case <-sweep.C:
			next := 24 * time.Hour
			if _, err = p.Sweep(ctx); err != nil {
				next = time.Hour
			}
			sweep.Reset(next)
		}
		if err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "the pond's own work failed; it is tried again", "error", err)
		}
	}
}

// low reports whether the disk has so little room that fills are passed through and not kept.
func (p *Pond) low() bool {
	now := p.now().Unix()
	// A clock that was set back is a reason to look too.
	if last := p.looked.Load(); (now < last || now-last >= int64(lookEach/time.Second)) && p.looked.CompareAndSwap(last, now) {
		room, err := p.blobs.Room(p.life)
		if err == nil {
			low := room.Free >= 0 && room.Free < p.lowMark(room)
			if p.lowDisk.Swap(low) != low {
				p.log.Warn("disk room", "low", low, "free", room.Free)
			}
		}
	}
	return p.lowDisk.Load()
}

// lowMark is the free space below which fills are not kept. A small disk has some room all the same.
func (p *Pond) lowMark(room blob.Room) int64 {
	if set := p.settings().LowFree; set > 0 {
		return set
	}
	return min(max(room.Total/20, 4<<30), room.Total/4)
}

// Evict deletes the bytes that were least recently used, while more is kept than the settings allow or the disk is low,
// and returns how many bytes went. Only what its upstream still has goes: it is fetched again when it is asked for. What was
// taken down stays: it is evidence.
func (p *Pond) Evict(ctx context.Context) (int64, error) {
	want, err := p.excess(ctx)
	if err != nil || want <= 0 {
		return 0, err
	}
	if err := p.flushUses(ctx); err != nil {
		return 0, err
	}
	var gone int64
	var victims []catalog.Use
	for u, err := range p.catalog.Oldest(ctx) {
		if err != nil {
			return gone, err
		}
		p.mu.Lock()
		_, recent := p.uses[u.Blob] // since the flush
		p.mu.Unlock()
		if recent {
			continue
		}
		stays, err := p.holdsEvidence(ctx, u.Blob)
		if err != nil {
			return gone, err
		}
		if stays {
			continue
		}
		victims = append(victims, u)
		if gone += u.Size; gone >= want {
			break
		}
	}
	gone = 0
	for _, u := range victims {
		// The record first: a record without its blob is a refetch, a blob without a record is swept. What is sealed anew
		// in between has a new record, and stays.
		since := p.now().Truncate(time.Second)
		if p.fromFuture(ctx, u.Blob) {
			continue // it would not go now, and is not to be forgotten: it goes next time
		}
		if err := p.catalog.LoseBlob(ctx, u.Blob); err != nil {
			return gone, err
		}
		p.forgetBlob(u.Blob)
		switch err := p.sweepUnnamed(ctx, u.Blob, since); {
		case err == nil:
			gone += u.Size
			p.jobs.mu.Lock()
			p.jobs.evicted, p.jobs.freed = p.jobs.evicted+1, p.jobs.freed+u.Size
			p.jobs.mu.Unlock()
		case !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Conflict):
			return gone, err
		}
	}
	p.log.InfoContext(ctx, "evicted", "blobs", len(victims), "bytes", gone)
	return gone, nil
}

// fromFuture reports whether a blob was sealed by a clock that was wrong, hours from now, and makes it one sealed now: it would
// count as young until that day.
func (p *Pond) fromFuture(ctx context.Context, d millpond.Digest) bool {
	s, ok := p.blobs.(blob.Sweeper)
	info, err := p.blobs.Stat(ctx, d)
	if !ok || err != nil || !info.Sealed.After(p.now().Add(time.Hour)) {
		return false
	}
	err = s.DeleteOlder(ctx, d, time.Time{}) // which deletes nothing
	return millpond.Is(err, millpond.Conflict)
}

// excess is how many bytes must go.
func (p *Pond) excess(ctx context.Context) (int64, error) {
	var want int64
	if most := p.settings().MaxBytes; most > 0 {
		t, err := p.catalog.Totals(ctx)
		if err != nil {
			return 0, err
		}
		want = t.HeldBytes - most
	}
	room, err := p.blobs.Room(ctx)
	if err != nil {
		return 0, err
	}
	if room.Free >= 0 {
		want = max(want, p.lowMark(room)-room.Free)
	}
	return want, nil
}

// Sweep deletes blobs that no record names and that are a day old, and returns how many.
func (p *Pond) Sweep(ctx context.Context) (int, error) {
	now := p.now()
	stays, err := p.resumable(ctx)
	if err == nil {
		err = p.blobs.Tidy(ctx, now.Add(-unused), stays)
	}
	if err != nil {
		return 0, err
	}
	if err := p.retain(ctx); err != nil {
		return 0, err
	}
	if err := p.purge(ctx, now); err != nil {
		return 0, err
	}
	if err := p.forgetAbsences(ctx, now); err != nil {
		return 0, err
	}
	swept, orphans := 0, int64(0)
	young := map[millpond.Digest]int64{} // of the batch: their sizes
	batch := make([]millpond.Digest, 0, 500)
	flush := func() error {
		named, err := p.catalog.Named(ctx, batch)
		if err != nil {
			return err
		}
		for _, d := range batch {
			if named[d] {
				continue
			}
			if size, ok := young[d]; ok {
				orphans += size
				continue
			}
			switch err := p.sweepUnnamed(ctx, d, now.Add(-grace)); millpond.KindOf(err) {
			default:
				if err != nil {
					return err
				}
				swept++
			case millpond.NotFound, millpond.Conflict:
			}
		}
		batch = batch[:0]
		clear(young)
		return nil
	}
	for d, err := range p.blobs.List(ctx, millpond.Digest{}) {
		if err != nil {
			return swept, err
		}
		info, err := p.blobs.Stat(ctx, d)
		if err != nil {
			continue // just deleted
		}
		if !info.Sealed.Before(now.Add(-grace)) && !(info.Sealed.After(now.Add(time.Hour)) && p.fromFuture(ctx, d)) {
			young[d] = info.Size
		}
		if batch = append(batch, d); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return swept, err
			}
		}
	}
	if err := flush(); err != nil {
		return swept, err
	}
	p.jobs.mu.Lock()
	p.jobs.orphans = orphans
	p.jobs.mu.Unlock()
	p.did(ctx, jobSweep)
	p.log.InfoContext(ctx, "swept", "blobs", swept)
	return swept, nil
}

// forgetAbsences lets go of what upstreams said long ago not to have, and nobody turns to any more: clients ask for names without
// end.
func (p *Pond) forgetAbsences(ctx context.Context, now time.Time) error {
	for _, r := range p.Repositories() {
		for _, one := range r.layers {
			if l, ok := one.(*upstream); ok {
				if _, err := p.catalog.DropAbsences(ctx, l.id, now.Add(-max(unused, r.absent(), r.info.OldAbsence))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sweepUnnamed deletes a blob if nothing names it now: Conflict if something does. Nobody who has seen the blob and is about
// to name it is between the two.
func (p *Pond) sweepUnnamed(ctx context.Context, d millpond.Digest, before time.Time) error {
	p.naming.Lock()
	defer p.naming.Unlock()
	named, err := p.catalog.Named(ctx, []millpond.Digest{d})
	if err != nil {
		return err
	}
	if named[d] {
		return &millpond.Error{Kind: millpond.Conflict, Why: "blob " + d.Short() + " was named meanwhile"}
	}
	if p.takenDownBytes(d) != nil {
		return &millpond.Error{Kind: millpond.Conflict, Why: "blob " + d.Short() + " is evidence"}
	}
	return p.sweepOne(ctx, d, before)
}

func (p *Pond) sweepOne(ctx context.Context, d millpond.Digest, before time.Time) error {
	if s, ok := p.blobs.(blob.Sweeper); ok {
		return s.DeleteOlder(ctx, d, before)
	}
	return p.blobs.Delete(ctx, d)
}
