package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"millpond"
	"millpond/blob"
)

// This file is what a flight does with its bytes: into the store while it takes them, past it when it does not, and the
// judgement at the end.

// begin goes on with what an earlier download left, or begins a blob.
func (f *flight) begin(ctx context.Context) {
	f.e.mu.Lock()
	l, ok := f.e.left[f.file.ID]
	delete(f.e.left, f.file.ID)
	f.e.mu.Unlock()
	if !ok || f.file.Get != nil || f.file.Drop || f.u.dir != "" || f.file.Size >= 0 && l.Size >= 0 && f.file.Size != l.Size {
		f.create(ctx)
		return
	}
	w, err := f.e.Blobs.Resume(ctx, l.Writer)
	if err != nil {
		f.create(ctx)
		return
	}
	f.declare(w)
	head := make([]byte, min(headBytes, w.Size()))
	_, err = w.ReadAt(head, 0)
	if err != nil && err != io.EOF || w.Size() < headBytes || l.Size >= 0 && w.Size() > l.Size ||
		f.file.Sniff != nil && f.file.Sniff(head) != nil {
		w.Discard()
		w.Close()
		f.create(ctx)
		return
	}
	f.use.Lock()
	defer f.use.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.w, f.tag, f.head = w, l.ETag, head
	f.size, f.arrived, f.sniffed, f.resumed = l.Size, w.Size(), true, true
	f.doubted, f.hold = true, true
	if f.alone() {
		f.prime(w.Size())
	}
}

// vouch shows readers what an earlier download had: the upstream has the same object still.
func (f *flight) vouch() {
	if !f.doubted {
		return
	}
	f.doubted = false
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hold = f.coding != ""
	f.wake()
}

// create begins a blob. A store that takes none is no reason to send readers away: they are served past it.
func (f *flight) create(ctx context.Context) {
	w, err := f.e.Blobs.Create(ctx)
	f.use.Lock()
	defer f.use.Unlock()
	if err != nil {
		f.spill(nil, err)
		return
	}
	f.declare(w)
	f.w = w
	if f.alone() {
		f.prime(0)
	}
}

// declare tells the store what Commit will ask for.
func (f *flight) declare(w blob.Writer) {
	d, ok := w.(blob.Declarer)
	if !ok || f.file.Drop {
		return
	}
	var algorithms []string
	for _, want := range f.file.Want {
		algorithms = append(algorithms, want.Algorithm())
	}
	d.Declare(algorithms...)
}

// expect tells the store how much is to come.
func (f *flight) expect(total int64) {
	f.use.Lock()
	defer f.use.Unlock()
	h, ok := f.w.(blob.Hint)
	if !ok || f.tl != nil || total < 0 {
		return
	}
	if err := h.Expect(total - f.arrived); err != nil {
		f.spill(f.w, err)
	}
}

// spill goes on without the store: what w has stays readable, the rest goes to memory. It is called with use held.
func (f *flight) spill(w blob.Writer, err error) {
	f.e.log.Warn("a download is not kept", "upstream", f.u.settings.Name, "file", f.name(), "err", err)
	f.w = w
	from := int64(0)
	if w != nil {
		from = w.Size()
	}
	if f.sums == nil {
		f.prime(from)
	}
	f.tl = &tail{e: f.e, from: from, base: from, end: from}
}

// alone reports whether the store's own check at Commit does not do: the digests are needed before it, or it never comes.
func (f *flight) alone() bool { return f.file.Drop || f.file.Verify != nil && len(f.file.Want) > 0 }

// prime begins the flight's own sums, with the first n bytes of the blob. It is called with use held.
func (f *flight) prime(n int64) {
	f.sums = map[string]hash.Hash{}
	for _, d := range f.file.Want {
		if h := d.Hash(); h != nil && f.sums[d.Algorithm()] == nil {
			f.sums[d.Algorithm()] = h
			if n > 0 {
				io.Copy(h, io.NewSectionReader(f.w, 0, n)) // a read that fails makes a wrong sum, which is refused
			}
		}
	}
}

// take adds bytes.
func (f *flight) take(p []byte) error {
	switch n := f.arrived + int64(len(p)); {
	case n > f.file.Limit:
		return f.tooLarge()
	case f.size >= 0 && n > f.size && f.file.Size >= 0:
		return f.otherSize(n)
	case f.size >= 0 && n > f.size:
		return &failure{kind: millpond.BadUpstream, what: "sends more of " + f.name() + " than it announced"}
	}
	if need := headBytes - len(f.head); need > 0 {
		f.head = append(f.head, p[:min(need, len(p))]...)
	}
	if err := f.put(p); err != nil {
		return err
	}
	if !f.sniffed && len(f.head) == headBytes {
		if err := f.sniff(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.arrived += int64(len(p))
	f.wake()
	f.mu.Unlock()
	if f.tl != nil {
		return f.settle()
	}
	return nil
}

// put stores bytes.
func (f *flight) put(p []byte) error {
	rest := p
	if f.tl == nil {
		n, err := f.w.Write(p)
		if err == nil {
			f.sum(p)
			return nil
		}
		f.use.Lock()
		if f.sums != nil {
			f.sum(p[:n])
		}
		f.spill(f.w, err)
		f.use.Unlock()
		if f.tl.from != f.arrived+int64(n) {
			return fmt.Errorf("a store took %d bytes and holds %d more: %w", n, f.tl.from-f.arrived, err)
		}
		rest = p[n:]
	}
	f.sum(rest)
	return f.tl.append(rest)
}

func (f *flight) sum(p []byte) {
	for _, h := range f.sums {
		h.Write(p)
	}
}

// sniff judges the head.
func (f *flight) sniff() error {
	if f.file.Sniff != nil {
		if err := f.file.Sniff(f.head); err != nil {
			if f.coding != "" && !f.raw {
				f.raw = true // packed by nature, and labelled so
				return f.otherObject("sent " + f.name() + " in a packing that hides it")
			}
			return err
		}
	}
	f.mu.Lock()
	f.sniffed = true
	f.mu.Unlock()
	return nil
}

// restart forgets the bytes: they are of an object that is no more, or were wrong. Readers who have seen some are lost.
func (f *flight) restart(ctx context.Context) {
	f.use.Lock()
	f.mu.Lock()
	for b := range f.bodies {
		if b.took {
			b.lost = changedUnder(f.u.settings.Name, f.name())
		}
	}
	w := f.w
	f.w = nil
	if f.tl != nil {
		f.tl.drop()
		f.tl = nil
	}
	f.gen++
	f.arrived, f.sniffed, f.hold, f.passed = 0, false, false, false
	f.head, f.sums, f.tag, f.coding, f.doubted = nil, nil, "", "", false
	f.wake()
	f.mu.Unlock()
	f.use.Unlock()
	discard(w)
	f.create(ctx)
}

func discard(w blob.Writer) {
	if w != nil {
		w.Discard() // what cannot be removed now is tidied up later
		w.Close()
	}
}

// finish judges the whole and seals it.
func (f *flight) finish(ctx context.Context) (millpond.Digest, error) {
	var none millpond.Digest
	switch {
	case f.file.Size >= 0 && f.arrived != f.file.Size:
		return none, f.otherSize(f.arrived)
	case f.arrived == 0 && f.file.Size != 0 && !f.judged():
		return none, &failure{kind: millpond.BadUpstream, what: "answered 200 with nothing"}
	}
	if !f.sniffed {
		if err := f.sniff(); err != nil {
			return none, err
		}
	}
	if f.sums != nil {
		for _, want := range f.file.Want {
			h := f.sums[want.Algorithm()]
			if h == nil {
				continue
			}
			if got, err := millpond.NewDigest(want.Algorithm(), h.Sum(nil)); err != nil || got != want {
				return none, f.otherBytes(err)
			}
		}
	}
	if f.file.Verify != nil {
		if err := f.verify(ctx); err != nil {
			return none, err
		}
	}
	if f.file.Drop || f.tl != nil {
		return none, nil
	}
	var want []millpond.Digest
	for _, d := range f.file.Want {
		if d.Hash() != nil {
			want = append(want, d)
		}
	}
	sealed, err := f.w.Commit(ctx, want...)
	switch {
	case millpond.Is(err, millpond.Corrupt):
		return none, f.otherBytes(err)
	case err != nil:
		return none, f.unsealed(err)
	}
	f.sealed = true
	if f.file.Sealed != nil {
		err := f.file.Sealed(ctx, Sealed{Blob: sealed, Size: f.arrived, Type: f.kind, URL: f.url, Wire: f.wire,
			Duration: time.Since(f.began)})
		if err != nil {
			return none, err
		}
	}
	return sealed, nil
}

// unsealed is for bytes that are all there but could not be made durable: their readers get them if they are right.
func (f *flight) unsealed(err error) error {
	f.use.Lock()
	defer f.use.Unlock()
	f.spill(f.w, err)
	for _, want := range f.file.Want {
		h := f.sums[want.Algorithm()]
		if h == nil {
			continue
		}
		if got, err := millpond.NewDigest(want.Algorithm(), h.Sum(nil)); err != nil || got != want {
			return f.otherBytes(err)
		}
	}
	return nil
}

func (f *flight) verify(ctx context.Context) error {
	f.use.RLock()
	defer f.use.RUnlock()
	if f.tl != nil && f.tl.base > f.tl.from {
		return errors.New("fetch: the bytes to verify are no longer there")
	}
	return f.file.Verify(ctx, readerAt(f.readAt), f.arrived)
}

type readerAt func(p []byte, off int64) (int, error)

// ReadAt reads on over the seam between store and memory.
func (r readerAt) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r(p[n:], off+int64(n))
		n += k
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

func (f *flight) otherBytes(err error) error {
	return &millpond.Error{Kind: millpond.Corrupt, Why: fmt.Sprintf("%s gave bytes of %s that are not the declared ones; nothing was kept",
		f.u.settings.Name, f.name()), Err: err}
}
