package repo

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/catalog"
	"millpond/format"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

type derivedKey struct {
	repository, name, stamp, encoding string
}

func (k derivedKey) cacheKey() cacheKey { return cacheKey{k.repository, k.name, k.stamp, k.encoding} }

// A derived is a document that was computed from records, as memory keeps it.
type derived struct {
	content millpond.Content // without a body
	body    []byte           // nil if it is too large
}

// derivations coalesces the writing of documents: one per document and encoding is under way.
type derivations struct {
	mu      sync.Mutex // guards running; never held across I/O
	running map[derivedKey]*derivation
	large   chan struct{} // a place for each large document being written
}

type derivation struct {
	done chan struct{}
	d    *derived
	err  error
}

// Derive implements format.Tools.
func (b *bound) Derive(ctx context.Context, d format.Derivation, write func(io.Writer) error) (*millpond.Content, error) {
	switch d.Encoding {
	case "", "gzip", "zstd":
	default:
		return nil, fmt.Errorf("derive %s: no encoding %q", d.Name, d.Encoding)
	}
	p := b.pond
	key := derivedKey{b.config.Name, d.Name, d.Stamp, d.Encoding}
	if got, ok := p.derived.GetIfPresent(key); ok {
		if d.Have != "" && format.Matches(d.Have, got.content.Tag()) {
			c := got.content
			return &c, nil
		}
		if c, err := p.openDerived(ctx, got); err == nil {
			return c, nil
		}
		p.derived.Invalidate(key) // its bytes are gone: write it anew
	}
	for {
		run, first := p.deriving.join(key)
		if first {
			// The reader that came first writes for all who wait, so it is not stopped when its client leaves.
			p.deriving.run(key, run, func() (*derived, error) {
				look := &leakFinder{addresses: b.config.addressesOf()}
				got, err := p.write(context.WithoutCancel(ctx), key, d, func(w io.Writer) error {
					look.Writer = w
					return write(look)
				})
				if look.found {
					p.leaked(ctx, key.repository, key.name)
				}
				return got, err
			})
		} else {
			select {
			case <-run.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if millpond.Is(run.err, millpond.Canceled) && ctx.Err() == nil {
				continue // what it wrote from was read for the one who left
			}
		}
		if run.err != nil {
			return nil, run.err
		}
		return p.openDerived(ctx, run.d)
	}
}

// join finds the writing of a document that is under way, or notes that the caller begins it.
func (ds *derivations) join(key derivedKey) (run *derivation, first bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if run = ds.running[key]; run == nil {
		run, first = &derivation{done: make(chan struct{}), err: errUnwritten}, true
		ds.running[key] = run
	}
	return run, first
}

var errUnwritten = &millpond.Error{Kind: millpond.Internal, Why: "the document could not be written"}

// run writes a document for all who joined.
func (ds *derivations) run(key derivedKey, run *derivation, write func() (*derived, error)) {
	defer func() { // also when writing panics: nobody may wait for ever
		ds.mu.Lock()
		delete(ds.running, key)
		ds.mu.Unlock()
		close(run.done)
	}()
	run.d, run.err = write()
}

func (p *Pond) openDerived(ctx context.Context, d *derived) (*millpond.Content, error) {
	c := d.content
	if d.body != nil {
		c.ReadSeekCloser = newMemory(d.body)
		return &c, nil
	}
	return &c, p.openBlob(ctx, &c)
}

// write finds the document on disk, or writes it: into memory while it is small, else into the store.
func (p *Pond) write(ctx context.Context, key derivedKey, as format.Derivation, write func(io.Writer) error) (*derived, error) {
	kind := as.Type
	name := key.name
	if as.Keep > 0 {
		name += "\x00" + key.stamp // one of a family
	}
	if kept, err := p.catalog.Derived(ctx, key.repository, name, key.stamp, key.encoding); err == nil {
		d := &derived{content: millpond.Content{Size: kept.Size, Digest: kept.Blob, Type: kept.Type, Encoding: key.encoding, Modified: kept.Modified}}
		if _, err := p.blobs.Stat(ctx, kept.Blob); err == nil {
			p.derived.Set(key, d)
			return d, nil
		}
	} else if !millpond.Is(err, millpond.NotFound) {
		return nil, err
	}
	out := &spill{pond: p, ctx: ctx}
	defer out.discard()
	if err := encode(out, key.encoding, write); err != nil {
		return nil, err
	}
	modified, ok := p.stamps.GetIfPresent(key.stamp)
	if !ok {
		modified = p.now().Truncate(time.Second)
	}
	d := &derived{content: millpond.Content{Size: out.size, Type: kind, Encoding: key.encoding, Modified: modified}}
	if out.w == nil && as.Keep > 0 && out.full == nil {
		if err := out.begin(); err != nil { // it is to outlive this process
			return nil, err
		}
	}
	if out.w == nil {
		d.body = append([]byte{}, out.small...) // not nil, though the document be empty
		d.content.Digest = millpond.SHA256(d.body)
		p.derived.Set(key, d)
		return d, nil
	}
	digest, err := out.w.Commit(ctx)
	if unkeepable(err) {
		p.unkept(ctx, "derived document "+key.name, err)
		if d.body, err = out.whole(); err == nil {
			d.content.Digest = millpond.SHA256(d.body)
			p.derived.Set(key, d)
			return d, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keep derived document %s: %w", key.name, err)
	}
	d.content.Digest = digest
	err = p.catalog.PutDerived(ctx, &catalog.Derived{
		Repository: key.repository, Name: name, Stamp: key.stamp, Encoding: key.encoding,
		Type: kind, Blob: digest, Size: out.size, Modified: modified, Keep: as.Keep, Linger: as.Linger,
	})
	if err := p.spare(ctx, "derived document "+key.name, err); err != nil {
		return nil, err
	}
	p.derived.Set(key, d)
	return d, nil
}

// Forms implements format.Historian.
func (b *bound) Forms(ctx context.Context, name string) ([]format.Form, error) {
	family, err := b.pond.catalog.Family(ctx, b.config.Name, name)
	if err != nil {
		return nil, err
	}
	forms := make([]format.Form, len(family))
	for i := range family {
		forms[i] = format.Form{Stamp: family[i].Stamp, Made: family[i].Modified}
	}
	return forms, nil
}

// Readership implements format.Historian.
func (b *bound) Readership() string {
	scope := b.rights().Scope(millpond.VerbRead, b.config.Name)
	if scope == "*" {
		return "all"
	}
	return millpond.SHA256([]byte(scope)).Short()
}

// encode runs write through the encoding's compressor.
func encode(out io.Writer, encoding string, write func(io.Writer) error) error {
	switch encoding {
	case "gzip":
		z := &gzipped{out: out, room: shortTexts.Get().(*[]byte)}
		z.text = *z.room
		defer z.done()
		if err := write(z); err != nil {
			return err
		}
		return z.close()
	case "zstd":
		z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			return err
		}
		if err := write(z); err != nil {
			z.Close()
			return err
		}
		return z.Close()
	}
	return write(out)
}

// A gzipped packs a document: a long one fast, for what a second of work saves is a hundredth of it, and others well.
type gzipped struct {
	out  io.Writer
	room *[]byte // that text is in
	text []byte  // of a document that may yet be short
	z    *kgzip.Writer
	pool *sync.Pool // that z goes back to
}

const (
	longText = 1 << 20
	fastGzip = 2
)

// Packers cost about a megabyte to make and nothing to use again. The pools hold no state that a caller could see.
var (
	fastPackers, goodPackers = packers(fastGzip), packers(kgzip.DefaultCompression)
	shortTexts               = sync.Pool{New: func() any { return new([]byte) }} // of documents of up to longText
)

func packers(level int) *sync.Pool {
	return &sync.Pool{New: func() any {
		z, err := kgzip.NewWriterLevel(nil, level)
		if err != nil {
			panic(err) // there is no such level
		}
		return z
	}}
}

// Write implements io.Writer.
func (g *gzipped) Write(b []byte) (int, error) {
	if g.z == nil {
		if len(g.text)+len(b) <= longText {
			g.text = append(g.text, b...)
			return len(b), nil
		}
		if err := g.begin(fastPackers); err != nil {
			return 0, err
		}
	}
	return g.z.Write(b)
}

func (g *gzipped) begin(from *sync.Pool) error {
	g.z, g.pool = from.Get().(*kgzip.Writer), from
	g.z.Reset(g.out)
	_, err := g.z.Write(g.text)
	return err
}

func (g *gzipped) close() error {
	if g.z == nil {
		if err := g.begin(goodPackers); err != nil {
			return err
		}
	}
	return g.z.Close()
}

// done gives back what a document was packed with.
func (g *gzipped) done() {
	if g.z != nil {
		g.z.Reset(nil) // lets go of the document
		g.pool.Put(g.z)
	}
	*g.room = g.text[:0]
	shortTexts.Put(g.room)
}

// A spill collects a document in memory, and in the store once it is too large for that; in memory again where the store
// takes no more.
type spill struct {
	pond  *Pond
	ctx   context.Context
	small []byte
	w     blob.Writer // nil while memory has it all
	full  error       // why the store took no more
	large bool        // this one has a place among the large documents
	size  int64
}

// spillMost is the largest document that memory takes in place of a full store.
const spillMost = 64 << 20

// Write implements io.Writer.
func (s *spill) Write(b []byte) (int, error) {
	s.size += int64(len(b))
	if s.w == nil && s.size > hotSize && s.full == nil {
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	if s.w != nil {
		n, err := s.w.Write(b)
		if !unkeepable(err) {
			return n, err
		}
		s.size -= int64(len(b) - n) // whole reads what was taken
		if err := s.fallBack(err); err != nil {
			return n, err
		}
		s.size += int64(len(b) - n)
		s.small = append(s.small, b[n:]...)
		return len(b), nil
	}
	if s.size > spillMost {
		return 0, s.full
	}
	s.small = append(s.small, b...)
	return len(b), nil
}

// begin goes on in the store.
func (s *spill) begin() error {
	s.pond.deriving.large <- struct{}{} // large documents are written two at a time
	s.large = true
	w, err := s.pond.blobs.Create(s.ctx)
	if unkeepable(err) {
		s.pond.unkept(s.ctx, "a derived document", err)
		s.full = err
		return nil
	}
	if err != nil {
		return err
	}
	s.w = w
	if _, err := w.Write(s.small); unkeepable(err) {
		small := s.small
		s.drop(err)
		s.small = small
		return nil
	} else if err != nil {
		return err
	}
	s.small = nil
	return nil
}

// fallBack goes on in memory.
func (s *spill) fallBack(full error) error {
	b, err := s.whole()
	if err != nil {
		return err
	}
	s.drop(full)
	s.small = b
	return nil
}

func (s *spill) drop(full error) {
	s.pond.unkept(s.ctx, "a derived document", full)
	s.full = full
	s.w.Discard() // what cannot be removed is tidied up later
	s.w.Close()
	s.w = nil
}

// whole reads back what the store's writer has.
func (s *spill) whole() ([]byte, error) {
	if s.size > spillMost {
		return nil, &millpond.Error{Kind: millpond.Full, Why: "there is no room for a document of so many bytes"}
	}
	b := make([]byte, s.size)
	if n, err := s.w.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	return b, nil
}

// discard ends the use of the store: what was not committed is dropped.
func (s *spill) discard() {
	if s.large {
		<-s.pond.deriving.large
	}
	if s.w == nil {
		return
	}
	s.w.Discard() // after Commit there is nothing left to drop
	s.w.Close()
}
