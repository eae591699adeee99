package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"time"

	"millpond"
	"millpond/blob/seekable"
	"millpond/catalog"
	"millpond/fetch"
	"millpond/format"
)

// A session is the Remote of one inquiry: it remembers which documents the answer rests on, and keeps them only if the
// answer is taken.
type session struct {
	layer *upstream
	kept  []catalog.Document // what the last answer rested on
	got   []gotten
	again bool // ask caches on the way to ask the origin
	local bool // ask nobody: documents are the kept ones
	open  []io.Closer
	fresh time.Duration // how long the upstream says that its word is good; 0 if it says nothing
}

// A gotten is a document that this session has read: new, or the kept one confirmed.
type gotten struct {
	catalog.Document
	fetched *fetch.Document // nil if the kept one was confirmed
}

func (l *upstream) session(context.Context) *session { return &session{layer: l} }

// Close closes what the session has open.
func (s *session) Close() error {
	s.close()
	return nil
}

func (s *session) close() {
	for _, c := range s.open {
		c.Close()
	}
}

// keep seals the documents that were read and returns what to remember of them.
func (s *session) keep(ctx context.Context) ([]catalog.Document, error) {
	docs := make([]catalog.Document, len(s.got))
	for i := range s.got {
		if err := s.keepOne(ctx, &s.got[i]); err != nil {
			return nil, err
		}
		docs[i] = s.got[i].Document
	}
	return docs, nil
}

// retagged are the kept documents with the tags and dates that came with the same texts now; ok is false if all are as they
// were. Without them each later question would bring a whole text again.
func (s *session) retagged(kept []catalog.Document) (docs []catalog.Document, ok bool) {
	docs = slices.Clone(kept)
	for i := range docs {
		for j := range s.got {
			now := &s.got[j].Document
			if k := &docs[i]; now.URL == k.URL && now.Accept == k.Accept && now.Text == k.Text && (now.ETag != k.ETag || now.Modified != k.Modified) {
				k.ETag, k.Modified, ok = now.ETag, now.Modified, true
			}
		}
	}
	return docs, ok
}

// keepOne seals a document that was read. Where the store takes nothing, memory keeps it for a while: what can be read is
// served though it cannot be kept.
func (s *session) keepOne(ctx context.Context, g *gotten) error {
	if g.fetched == nil || !g.Blob.IsZero() {
		return nil
	}
	blob, err := g.fetched.Keep(ctx)
	if unkeepable(err) {
		s.layer.pond.unkept(ctx, "a document of "+s.layer.name, err)
		blob, err = s.layer.pond.loose.add(g.fetched, g.fetched.Size)
	}
	if err != nil {
		return fmt.Errorf("keep document of %s: %w", s.layer.name, err)
	}
	g.Blob = blob
	return nil
}

// document keeps the n-th document read and returns the digest of its kept form.
func (s *session) document(ctx context.Context, n int) (millpond.Digest, error) {
	if n >= len(s.got) {
		return millpond.Digest{}, nil
	}
	err := s.keepOne(ctx, &s.got[n])
	return s.got[n].Blob, err
}

// Name implements format.Remote.
func (s *session) Name() string { return s.layer.name }

// URL implements format.Remote.
func (s *session) URL() *url.URL {
	u := *s.layer.settings.URL
	return &u
}

// Option implements format.Remote.
func (s *session) Option(name string) string {
	if v, ok := s.layer.options[name]; ok {
		return v
	}
	return s.layer.repo.option(name)
}

// Now implements format.Remote.
func (s *session) Now() time.Time { return s.layer.pond.now() }

// Document implements format.Remote.
func (s *session) Document(ctx context.Context, r format.Request) (*format.Document, error) {
	ref, err := url.Parse(r.URL)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: s.layer.name + " names a document by an address that cannot be read", Err: err}
	}
	abs := s.layer.settings.URL.ResolveReference(ref).String()
	var kept *catalog.Document
	for i := range s.kept {
		if k := &s.kept[i]; k.URL == abs && k.Accept == r.Accept {
			kept = k
		}
	}
	if s.local {
		if kept == nil {
			return nil, s.layer.offline(catalog.Question{Package: redacted(abs)})
		}
		return s.reopen(ctx, kept)
	}
	if s.layer.pond.offline() {
		return nil, s.layer.offline(catalog.Question{Package: redacted(abs)})
	}
	if err := s.layer.gentle.wait(ctx, s.layer.pond.now(), r.Every); err != nil {
		return nil, err
	}
	ask := fetch.Request{URL: abs, Accept: r.Accept, Limit: r.Limit, Fresh: r.Fresh || s.again, Empty: r.Empty, Head: r.Head, Scope: r.Scope}
	if r.Head {
		return s.head(ctx, ask)
	}
	var old *format.Document
	if kept != nil {
		// Conditions are worth asking only while the body that they are about is really here.
		if old, err = s.reopen(ctx, kept); err == nil {
			ask.ETag, ask.Modified = kept.ETag, kept.Modified
		}
	}
	doc, err := s.layer.up.Get(ctx, ask)
	if err != nil {
		return nil, err
	}
	s.open = append(s.open, doc)
	if doc.NotModified && old == nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: s.layer.name + " says that a document has not changed which nobody had"}
	}
	if doc.NotModified || old != nil && doc.Text == kept.Text {
		same := *kept
		if !doc.NotModified {
			same.ETag, same.Modified = doc.ETag, doc.Modified
		}
		s.got = append(s.got, gotten{Document: same})
		old.Unchanged = true
		old.Header = doc.Header
		return old, nil
	}
	modified, _ := time.Parse(time.RFC1123, doc.Modified) // a date that cannot be read is no date
	s.got = append(s.got, gotten{fetched: doc, Document: catalog.Document{
		URL: abs, Accept: r.Accept, Final: doc.URL.String(), ETag: doc.ETag, Modified: doc.Modified, Type: doc.Type,
		Text: doc.Text, Size: doc.Size,
	}})
	return &format.Document{
		ReaderAt: doc.ReaderAt, Closer: nothing{}, Size: doc.Size, Digest: doc.Text, Type: doc.Type, URL: doc.URL,
		Modified: modified, Layer: s.layer.name, Header: doc.Header, Before: old,
	}, nil
}

// head asks for a document's header alone.
func (s *session) head(ctx context.Context, ask fetch.Request) (*format.Document, error) {
	doc, err := s.layer.up.Get(ctx, ask)
	if err != nil {
		return nil, err
	}
	if err := doc.Close(); err != nil {
		return nil, err
	}
	modified, _ := time.Parse(time.RFC1123, doc.Modified) // a date that cannot be read is no date
	return &format.Document{Closer: nothing{}, Size: doc.Size, Type: doc.Type, URL: doc.URL, Modified: modified, Layer: s.layer.name, Header: doc.Header}, nil
}

// reopen opens a kept document.
func (s *session) reopen(ctx context.Context, k *catalog.Document) (*format.Document, error) {
	d, err := s.layer.pond.kept(ctx, k.Blob)
	if err != nil {
		return nil, err
	}
	s.open = append(s.open, d.Closer)
	d.Closer = nothing{}
	final, err := url.Parse(k.Final)
	if err != nil {
		return nil, err
	}
	d.Digest, d.Type, d.URL, d.Layer, d.Unchanged = k.Text, k.Type, final, s.layer.name, s.local
	d.Modified, _ = time.Parse(time.RFC1123, k.Modified)
	return d, nil
}

// nothing is the Closer of a document whose session closes it.
type nothing struct{}

func (nothing) Close() error { return nil }

// kept opens a document by the digest of its kept form.
func (p *Pond) kept(ctx context.Context, d millpond.Digest) (*format.Document, error) {
	if d.IsZero() {
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: "no document is kept"}
	}
	if b, ok := p.loose.get(d); ok {
		r, err := seekable.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return nil, err
		}
		return &format.Document{ReaderAt: r, Closer: nothing{}, Size: r.Size()}, nil
	}
	info, err := p.blobs.Stat(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("open kept document: %w", err)
	}
	at := &blobAt{ctx: ctx, pond: p, digest: d}
	if err := at.begin(); err != nil {
		return nil, err
	}
	r, err := seekable.NewReader(at, info.Size)
	if err != nil {
		at.Close()
		return nil, p.judgeKept(d, fmt.Errorf("open kept document %s: %w", d.Short(), err))
	}
	return &format.Document{ReaderAt: watched{r, p, d}, Closer: at, Size: r.Size()}, nil
}

// watched sets a kept document aside when it turns out to be damaged while it is read.
type watched struct {
	io.ReaderAt
	pond   *Pond
	digest millpond.Digest
}

func (w watched) ReadAt(b []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(b, off)
	return n, w.pond.judgeKept(w.digest, err)
}

// judgeKept sees whether an error of a kept document is damage, and what to say of it then: it is not that there is no such
// package.
func (p *Pond) judgeKept(d millpond.Digest, err error) error {
	if !millpond.Is(err, millpond.Corrupt) && !errors.Is(err, syscall.EIO) {
		return err
	}
	p.damaged(d, err)
	return lostDocument(err)
}

func lostDocument(err error) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Why: "what was kept of the index is damaged; it is read anew", Err: err}
}

// A blobAt reads a blob at any offset: through the file where the store is on disk, else by ranges.
type blobAt struct {
	ctx    context.Context
	pond   *Pond
	digest millpond.Digest
	body   io.ReadCloser
	at     io.ReaderAt // nil if the body cannot be read at an offset
}

func (b *blobAt) begin() error {
	body, err := b.pond.blobs.Open(b.ctx, b.digest, 0, -1)
	if err != nil {
		return err
	}
	b.body = body
	b.at, _ = body.(io.ReaderAt)
	return nil
}

func (b *blobAt) ReadAt(p []byte, off int64) (int, error) {
	if b.at != nil {
		return b.at.ReadAt(p, off)
	}
	body, err := b.pond.blobs.Open(b.ctx, b.digest, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

func (b *blobAt) Close() error { return b.body.Close() }

// Fresh implements format.Fresher.
func (s *session) Fresh(d time.Duration) { s.fresh = d }

// freshFor is how long the answer of an inquiry needs no asking.
func (s *session) freshFor(q inquiry) time.Duration {
	if s.layer.repo.config.Fresh > 0 {
		return q.fresh
	}
	return firstPositive(s.fresh, q.fresh)
}

// Head implements format.Prober.
func (s *session) Head(ctx context.Context, at string) (*format.Facts, error) {
	ref, err := url.Parse(at)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: s.layer.name + " names a file by an address that cannot be read", Err: err}
	}
	abs := s.layer.settings.URL.ResolveReference(ref).String()
	if s.local || s.layer.pond.offline() {
		return nil, s.layer.offline(catalog.Question{Package: redacted(abs)})
	}
	h, err := s.layer.up.Head(ctx, fetch.File{URL: abs})
	if err != nil {
		return nil, err
	}
	modified, _ := http.ParseTime(h.Modified) // a date that cannot be read is no date
	return &format.Facts{Size: h.Size, URL: h.URL, Tag: h.ETag, Modified: modified, Type: h.Type, Header: h.Header}, nil
}

// Open implements format.Remote.
func (s *session) Open(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	src := s.layer.format.Source(s)
	f, err := src.File(ctx, k)
	if err != nil {
		return nil, err
	}
	return s.layer.open(ctx, k, f, opening{asking: !s.local})
}

// State implements format.Remote.
func (s *session) State(ctx context.Context, name string) ([]byte, error) {
	a, err := s.layer.pond.catalog.Answer(ctx, catalog.Question{Layer: s.layer.id, Kind: "state", Name: name})
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return a.Record, nil
}

// SetState implements format.Remote.
func (s *session) SetState(ctx context.Context, name string, state []byte) error {
	now := s.layer.pond.now()
	return s.layer.pond.catalog.PutAnswer(ctx, &catalog.Answer{
		Question: catalog.Question{Layer: s.layer.id, Kind: "state", Name: name}, Record: state, Checked: now, Changed: now,
	})
}
