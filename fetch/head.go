package fetch

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
)

// A Head is what an upstream says of a file without giving its bytes.
type Head struct {
	Size     int64    // -1 if it does not say
	URL      *url.URL // after redirects
	ETag     string
	Modified string // Last-Modified as sent
	Type     string // Content-Type as sent
	Header   http.Header
}

// Head asks about a file, of which URL, Accept and Scope count. An upstream that answers no HEAD is asked for the first byte;
// so is one that wants tokens, at once: it keeps bytes behind redirects that are signed for GET. Errors are those of Get.
func (u *Upstream) Head(ctx context.Context, of File) (*Head, error) {
	if !u.e.enlist() {
		return nil, stopping()
	}
	defer u.e.work.Done()
	if u.dir != "" {
		return u.headLocal(of.URL)
	}
	if err := u.ill(of.URL); err != nil {
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
	method := http.MethodHead
	if of.Scope != "" {
		method = http.MethodGet
	}
	for tries := 1; ; tries++ {
		h, err := u.head(ctx, method, of)
		if err == nil {
			return h, nil
		}
		if f, ok := errors.AsType[*failure](err); ok && f.again {
			method = http.MethodGet
			tries--
			continue
		}
		if err := u.retry(ctx, err, tries, began); err != nil {
			return nil, err
		}
	}
}

// head is one try.
func (u *Upstream) head(ctx context.Context, method string, of File) (*Head, error) {
	h := http.Header{"Accept": {orAny(of.Accept)}, "Accept-Encoding": {"identity"}}
	if method == http.MethodGet {
		h.Set("Range", "bytes=0-0")
	}
	a, err := u.ask(ctx, question{method: method, url: of.URL, header: h, follow: true, any: true, scope: of.Scope})
	if err != nil {
		return nil, err
	}
	defer a.close()
	out := &Head{
		Size: a.ContentLength, URL: a.url, ETag: a.Header.Get("ETag"), Modified: a.Header.Get("Last-Modified"),
		Type: a.Header.Get("Content-Type"), Header: a.Header,
	}
	switch {
	case method == http.MethodHead && (a.StatusCode == http.StatusMethodNotAllowed || a.StatusCode == http.StatusNotImplemented):
		return nil, &failure{kind: millpond.BadUpstream, what: "answers no HEAD", again: true}
	case method == http.MethodGet && a.StatusCode == http.StatusPartialContent:
		out.Size = wholeSize(a.Header.Get("Content-Range"))
		a.drain()
		return out, nil
	case method == http.MethodGet && a.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		out.Size = wholeSize(a.Header.Get("Content-Range")) // an empty file has no first byte
		return out, nil
	case a.StatusCode != http.StatusOK:
		return nil, refused(a.Response, u.e.now())
	case a.Header.Get("Content-Encoding") != "" && a.Header.Get("Content-Encoding") != "identity":
		out.Size = -1 // of what is packed
	}
	return out, nil
}

// wholeSize is the size that a Content-Range gives to the whole; -1 if it gives none.
func wholeSize(contentRange string) int64 {
	_, text, _ := strings.Cut(contentRange, "/")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// headLocal answers from a directory.
func (u *Upstream) headLocal(at string) (*Head, error) {
	f, info, to, err := u.openLocal(at)
	if err != nil {
		return nil, err
	}
	modified := info.ModTime().UTC()
	return &Head{
		Size: info.Size(), URL: to, Modified: modified.Format(http.TimeFormat), Header: http.Header{},
		ETag: `"` + strconv.FormatInt(info.Size(), 36) + "-" + strconv.FormatInt(modified.UnixNano(), 36) + `"`,
	}, f.Close()
}
