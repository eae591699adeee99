package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"millpond"
)

const documentLimit = 128 << 20

// buffers are what bodies are copied through.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

const bufferSize = 256 << 10

// Get reads a document. NotFound on 404, 410 and 451; Throttled on 429; BadUpstream on everything else that is not a
// document, with what happened in Why.
func (u *Upstream) Get(ctx context.Context, r Request) (*Document, error) {
	if !u.e.enlist() {
		return nil, stopping()
	}
	defer u.e.work.Done()
	if u.dir != "" {
		return u.getLocal(ctx, r)
	}
	if err := u.ill(r.URL); err != nil {
		return nil, err
	}
	ctx, end := u.both(ctx)
	defer end()
	leave, err := u.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	began := time.Now()
	for tries := 1; ; tries++ {
		d, err := u.get(ctx, r)
		if err == nil {
			return d, nil
		}
		if f, ok := errors.AsType[*failure](err); ok && f.again { // a 304 to nothing: ask for the whole, once
			r.ETag, r.Modified, r.Fresh = "", "", true
			tries--
			continue
		}
		if err := u.retry(ctx, err, tries, began); err != nil {
			return nil, err
		}
	}
}

// get is one try.
func (u *Upstream) get(ctx context.Context, r Request) (*Document, error) {
	h := http.Header{"Accept-Encoding": {"zstd, gzip"}}
	h.Set("Accept", orAny(r.Accept))
	if r.ETag != "" {
		h.Set("If-None-Match", r.ETag)
	}
	if r.Modified != "" {
		h.Set("If-Modified-Since", r.Modified)
	}
	if r.Fresh {
		h.Set("Cache-Control", "no-cache")
		h.Set("Pragma", "no-cache")
	}
	q := question{method: http.MethodGet, url: r.URL, header: h, follow: true, scope: r.Scope}
	if r.Head {
		q.method = http.MethodHead
	}
	a, err := u.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	defer a.close()
	switch {
	case r.Head && a.StatusCode == http.StatusOK:
		at := *a.url
		return &Document{Size: a.ContentLength, URL: &at, ETag: a.Header.Get("Etag"), Modified: a.Header.Get("Last-Modified"),
			Type: a.Header.Get("Content-Type"), Header: a.Header}, nil
	case a.StatusCode == http.StatusNotModified && (r.ETag != "" || r.Modified != ""):
		return &Document{NotModified: true, Header: a.Header}, nil
	case a.StatusCode == http.StatusNotModified && !r.Fresh:
		return nil, &failure{kind: millpond.BadUpstream, what: "answered 304 to an unconditional question", again: true}
	case a.StatusCode != http.StatusOK:
		return nil, refused(a.Response, u.e.now())
	}
	coding, err := codingOf(a.Header)
	if err != nil {
		return nil, &failure{kind: millpond.BadUpstream, what: err.Error()}
	}
	limit := orDefault(r.Limit, documentLimit)
	tooLong := &failure{kind: millpond.BadUpstream, what: fmt.Sprintf("sent a document of more than %s", sizeText(limit))}
	if coding == "" && a.ContentLength > limit {
		return nil, tooLong
	}
	s := newSpool(u.e.ctx, u.e.Blobs)
	if coding == "" {
		s.expect(a.ContentLength)
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	n, err := plain(a.body, coding, limit, s, buf[:])
	if err == nil {
		err = s.end()
		if err != nil {
			err = &sinkError{err}
		}
	}
	if err == nil && n == 0 && !(r.Empty && framed(a.Response)) {
		err = &failure{kind: millpond.BadUpstream, what: "answered 200 with nothing"}
	}
	if err == nil {
		return document(s, a), nil
	}
	s.close()
	sink, ours := errors.AsType[*sinkError](err)
	_, judged := errors.AsType[*failure](err)
	switch {
	case ours:
		return nil, sink.err
	case judged:
		return nil, err
	case ctx.Err() != nil:
		return nil, canceled(ctx)
	case err == errLimit:
		return nil, tooLong
	case err == errDense:
		return nil, &failure{kind: millpond.BadUpstream,
			what: fmt.Sprintf("sent a document that unpacks to more than %d times its size", ratioLimit)}
	case errors.Is(err, errPacked):
		return nil, &failure{kind: millpond.BadUpstream, what: "sent a document that cannot be unpacked", retries: 1, err: err}
	}
	return nil, a.broke(u, err)
}

func document(s *spool, a *answer) *Document {
	at := *a.url
	return &Document{ReaderAt: s.reader, Size: s.size, Text: s.digest(), URL: &at, ETag: a.Header.Get("Etag"),
		Modified: a.Header.Get("Last-Modified"), Type: a.Header.Get("Content-Type"), Header: a.Header, Wire: a.body.wire,
		spool: s}
}

// framed reports whether the end of a body is told apart from a connection that broke off.
func framed(r *http.Response) bool {
	return r.ContentLength >= 0 || len(r.TransferEncoding) > 0 || r.ProtoMajor >= 2
}

func orAny(accept string) string {
	if accept == "" {
		return "*/*"
	}
	return accept
}

// sizeText is a number of bytes as people write it.
func sizeText(n int64) string {
	for _, unit := range []struct {
		n    int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.n {
			return fmt.Sprintf("%.4g %s", float64(n)/float64(unit.n), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
