package format

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"millpond"
)

// Immutable is the Cache-Control of what is named by its digest or can never change.
func Immutable(repo Repo) string {
	if repo.Public() {
		return "public, max-age=31536000, immutable"
	}
	return "private, max-age=31536000, immutable"
}

const (
	// nearby is how far ahead of the bytes that have arrived a range may begin and still be answered as they grow.
	nearby = 8 << 20
	// patience is how long a range further ahead, or one that lies in the last bytes of its own reply, is waited for before
	// the whole body is given instead.
	patience = 10 * time.Second
	// lastBytes of every reply from a growing body wait until all of it is verified: what a client has whole is right.
	lastBytes = 64 << 10
)

// Serve answers a GET or HEAD with the content and closes it: entity tag, conditions, one byte range (several are answered
// with the whole body), redirect. The caller sets Content-Type, Cache-Control and Vary first; the content's own Type wins
// where it has one. A body that fails after the first byte ends the connection, so that no client takes it as whole.
func Serve(w http.ResponseWriter, r *http.Request, c *millpond.Content) error {
	if c.ReadSeekCloser != nil {
		defer c.Close()
	}
	h := w.Header()
	if c.Location != "" {
		h.Set("Location", c.Location)
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusFound)
		return nil
	}
	if c.Type != "" {
		h.Set("Content-Type", c.Type)
	}
	said := new(struct{ tag, modified, length [1]string }) // one allocation for all
	tag := c.Tag()
	if tag != "" {
		said.tag[0] = tag
		h["Etag"] = said.tag[:]
	}
	if !c.Modified.IsZero() {
		said.modified[0] = httpDate(c.Modified)
		h["Last-Modified"] = said.modified[:]
	}
	if c.Encoding != "" {
		h.Set("Content-Encoding", c.Encoding)
	}
	if notModified(r, tag, c.Modified) {
		delete(h, "Content-Type")
		delete(h, "Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if c.Encoding == "" {
		h["Accept-Ranges"] = acceptRanges
	}
	off, n, status, err := chooseRange(r, c, tag)
	if err != nil {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", c.Size))
		return err
	}
	if status == http.StatusPartialContent {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, c.Size))
	}
	if n >= 0 {
		said.length[0] = strconv.FormatInt(n, 10)
		h["Content-Length"] = said.length[:]
	}
	if r.Method == http.MethodHead || c.ReadSeekCloser == nil {
		w.WriteHeader(status)
		return nil
	}
	if c.Growing {
		// Who waits for bytes does not see its client leave.
		defer context.AfterFunc(r.Context(), func() { c.Close() })()
	}
	if off > 0 {
		if _, err := c.Seek(off, io.SeekStart); err != nil {
			return err
		}
	}
	w.WriteHeader(status)
	var last int64
	if status == http.StatusPartialContent && c.Growing {
		last = min(n, lastBytes) // of a whole body the reader itself keeps them back
	}
	err = send(w, c, off, n-last)
	if err == nil && last > 0 {
		http.NewResponseController(w).Flush() // a writer that cannot sends it later
		if err = sealed(r.Context(), c); err == nil {
			err = send(w, c, off+n-last, last)
		}
	}
	if err == nil {
		return nil
	}
	// The header has gone out: only a cut connection tells the client.
	if c.Damaged != nil && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EIO)) {
		c.Damaged(err)
	}
	Report(w, err)
	panic(http.ErrAbortHandler)
}

// httpDate is a time as http.TimeFormat has it, without that being read anew each time.
func httpDate(t time.Time) string {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 1000 || year > 9999 {
		return t.Format(http.TimeFormat)
	}
	hour, minute, second := t.Clock()
	two := func(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
	var buf [len(http.TimeFormat)]byte
	b := append(append(buf[:0], t.Weekday().String()[:3]...), ", "...)
	b = append(append(append(two(b, day), ' '), month.String()[:3]...), ' ')
	b = append(two(two(b, year/100), year%100), ' ')
	b = append(two(append(two(append(two(b, hour), ':'), minute), ':'), second), " GMT"...)
	return string(b)
}

// send copies the n bytes from off on, where c stands (all, if n is negative).
func send(w http.ResponseWriter, c *millpond.Content, off, n int64) error {
	var copied int64
	var err error
	if body, ok := inMemory(c); ok && off+n == c.Size {
		copied, err = body.WriteTo(w)
	} else if n < 0 {
		_, err = io.Copy(w, c.ReadSeekCloser)
		return err
	} else {
		copied, err = io.Copy(w, &io.LimitedReader{R: c.ReadSeekCloser, N: n})
	}
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// inMemory is a body that writes itself, in one piece and without a buffer between. A file does not: it leaves by sendfile,
// which the ReadFrom of w sees to.
func inMemory(c *millpond.Content) (io.WriterTo, bool) {
	if _, isFile := c.ReadSeekCloser.(syscall.Conn); isFile || c.Growing {
		return nil, false
	}
	body, ok := c.ReadSeekCloser.(io.WriterTo)
	return body, ok
}

// sealed waits until all of a growing body is verified, and says what is wrong with it if it never will be.
func sealed(ctx context.Context, c *millpond.Content) error {
	body, ok := c.ReadSeekCloser.(millpond.Arriving)
	if !ok || body.Await(ctx, c.Size) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := body.Read(make([]byte, 1)); err != nil && err != io.EOF {
		return err
	}
	return io.ErrUnexpectedEOF
}

var acceptRanges = []string{"bytes"} // never changed

// notModified evaluates If-None-Match, and If-Modified-Since where there is no tag to compare (RFC 9110, 13.2.2).
func notModified(r *http.Request, tag string, modified time.Time) bool {
	if inm := r.Header["If-None-Match"]; len(inm) > 0 {
		return Matches(strings.Join(inm, ","), tag)
	}
	ims := r.Header.Get("If-Modified-Since")
	if ims == "" || modified.IsZero() {
		return false
	}
	t, err := http.ParseTime(ims)
	return err == nil && !modified.Truncate(time.Second).After(t)
}

// Matches reports whether an If-None-Match names an entity tag; "" is no tag.
func Matches(condition, tag string) bool {
	if tag == "" {
		return false
	}
	tag = strings.TrimPrefix(tag, "W/") // If-None-Match compares weakly
	for one := range strings.SplitSeq(condition, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// chooseRange decides which bytes to send. Only one range of a body of known length is honoured; a server may ignore
// Range, and does so here whenever it would otherwise have to wait or to guess.
func chooseRange(r *http.Request, c *millpond.Content, tag string) (off, n int64, status int, err error) {
	whole := func() (int64, int64, int, error) { return 0, c.Size, http.StatusOK, nil }
	spec := r.Header.Get("Range")
	if spec == "" || c.Size < 0 || c.Encoding != "" || r.Method != http.MethodGet {
		return whole()
	}
	if cond := r.Header.Get("If-Range"); cond != "" {
		date, err := http.ParseTime(cond)
		sameDate := err == nil && !c.Modified.IsZero() && date.Equal(c.Modified.Truncate(time.Second))
		if !sameDate && (tag == "" || cond != tag) {
			return whole()
		}
	}
	off, n, ok := parseRange(spec, c.Size)
	if !ok {
		return whole()
	}
	if n == 0 {
		return 0, 0, 0, &millpond.Error{Kind: millpond.Range, Why: fmt.Sprintf("no bytes %s in a file of %d", spec, c.Size)}
	}
	if body, growing := c.ReadSeekCloser.(millpond.Arriving); growing && c.Growing {
		until := off
		if n <= lastBytes {
			until = c.Size // nothing of it may leave before the seal
		} else if off <= body.Arrived()+nearby {
			until = 0
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if until > 0 && !body.Await(ctx, until) {
			return whole()
		}
	}
	return off, n, http.StatusPartialContent, nil
}

// parseRange reads "bytes=a-b", "bytes=a-" or "bytes=-n". It reports false for several ranges and for what is not a range;
// n is 0 if the range lies outside the body.
func parseRange(spec string, size int64) (off, n int64, ok bool) {
	spec, ok = strings.CutPrefix(spec, "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return 0, 0, false
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return 0, 0, false
	}
	number := func(s string) (int64, bool) {
		v, err := strconv.ParseUint(s, 10, 63)
		return int64(v), err == nil
	}
	if first == "" {
		suffix, ok := number(last)
		if !ok {
			return 0, 0, false
		}
		suffix = min(suffix, size)
		return size - suffix, suffix, true
	}
	off, ok = number(first)
	if !ok {
		return 0, 0, false
	}
	end := size - 1
	if last != "" {
		if end, ok = number(last); !ok || end < off {
			return 0, 0, false
		}
		end = min(end, size-1)
	}
	if off >= size {
		return 0, 0, true
	}
	return off, end - off + 1, true
}

// Find is what a GET opens and a HEAD asks the facts of.
func Find(r *http.Request, repo Repo, k millpond.Key) (*millpond.Content, error) {
	if r.Method == http.MethodHead {
		return repo.Stat(r.Context(), k)
	}
	return repo.Open(r.Context(), k)
}

// ServeDerived answers with a derived document in the best encoding that the client takes. The caller sets Cache-Control
// first, and Vary if it chose the document by more than Accept-Encoding.
func ServeDerived(w http.ResponseWriter, r *http.Request, repo Repo, d Derivation, write func(io.Writer) error) error {
	d.Encoding = Encoding(r)
	if tags := r.Header["If-None-Match"]; len(tags) > 0 {
		d.Have = strings.Join(tags, ",")
	}
	c, err := repo.Derive(r.Context(), d, write)
	if err != nil {
		return err
	}
	h := w.Header()
	if len(h["Vary"]) == 0 {
		h["Vary"] = varyEncoding
	}
	if len(h["Content-Type"]) == 0 {
		h.Set("Content-Type", d.Type)
	}
	return Serve(w, r, c)
}

var varyEncoding = []string{"Accept-Encoding"} // never changed

// Encoding is the best of zstd, gzip and "" (identity) that the client accepts.
func Encoding(r *http.Request) string {
	accept := r.Header.Get("Accept-Encoding")
	switch accept { // what nearly all clients send
	case "":
		return ""
	case "gzip", "gzip, deflate", "gzip,deflate", "gzip, deflate, br":
		return "gzip"
	}
	best, bestQ := "", 0.0
	for one := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(one, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			q, _ = strconv.ParseFloat(v, 64)
		}
		if (name == "gzip" || name == "zstd") && q > 0 && (q > bestQ || q == bestQ && name == "zstd") {
			best, bestQ = name, q
		}
	}
	return best
}

// A Failure is how an ecosystem answers an error.
type Failure struct {
	Status int    // 0 is the kind's own
	Type   string // Content-Type of Body
	Body   string
	Cache  string // Cache-Control; "" is no-store
	// Phrase is the reason phrase, for clients that print nothing else; "" is the status's usual one. With one the rest of
	// the request's body is dropped and the connection closed, and HTTP/2 shows none.
	Phrase string
	// MostRetry bounds Retry-After, for clients that sleep as long as they are told; 0 leaves it.
	MostRetry time.Duration
}

// Fail answers with an error in the ecosystem's own words and reports it to the request's log line. now is the repository's
// clock, for Retry-After.
func Fail(w http.ResponseWriter, r *http.Request, now time.Time, err error, f Failure) {
	Report(w, err)
	kind := millpond.KindOf(err)
	if f.Status == 0 {
		f.Status = kind.Status()
	}
	h := w.Header()
	for _, name := range []string{"Etag", "Last-Modified", "Content-Encoding", "Accept-Ranges", "Content-Length"} {
		delete(h, name)
	}
	if f.Cache == "" {
		f.Cache = "no-store"
	}
	h.Set("Cache-Control", f.Cache)
	h.Set("Content-Type", f.Type)
	h.Set("X-Content-Type-Options", "nosniff")
	if wait := retryAfter(kind, now, err); wait > 0 {
		if f.MostRetry > 0 {
			wait = min(wait, f.MostRetry)
		}
		h.Set("Retry-After", strconv.Itoa(int(wait.Round(time.Second)/time.Second)))
	}
	h.Set("Content-Length", strconv.Itoa(len(f.Body)))
	if f.Phrase != "" && sendPhrase(w, r, f) {
		return
	}
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		io.WriteString(w, f.Body) // the client that has left is told nothing
	}
}

// retryAfter is when to ask again: as the error says, else 2 s for what may soon be well, else never.
func retryAfter(kind millpond.Kind, now time.Time, err error) time.Duration {
	if e, ok := errors.AsType[*millpond.Error](err); ok && !e.After.IsZero() {
		return max(e.After.Sub(now), time.Second)
	}
	switch kind {
	case millpond.Throttled, millpond.BadUpstream, millpond.Offline, millpond.Corrupt, millpond.Full:
		return 2 * time.Second
	}
	return 0
}

// Words are the Why and Hint of an error as a client may be shown them. The words of an internal error stay in the log.
func Words(err error) (why, hint string) {
	e, ok := errors.AsType[*millpond.Error](err)
	if !ok || e.Kind == millpond.Internal {
		return "internal error; the log of the pond says more", ""
	}
	why, hint = e.Why, e.Hint
	if why == "" {
		why = e.Kind.String()
		if k := e.Key.String(); k != "" {
			why = k + ": " + why
		}
	}
	if hint == "" && !e.After.IsZero() && e.Kind == millpond.Blocked {
		hint = "served from " + e.After.UTC().Format("2 Jan 2006 15:04 UTC")
	}
	return why, hint
}

// Report gives an error to the request's log line. A ResponseWriter that keeps one has a method Failed(error).
func Report(w http.ResponseWriter, err error) {
	if f, ok := w.(interface{ Failed(error) }); ok {
		f.Failed(err)
	}
}

// Note gives words for those who run the pond: to the request's log line, and for a while to who asks how the repository is. A
// ResponseWriter that keeps them has a method Noted(string).
func Note(w http.ResponseWriter, words string) {
	if n, ok := w.(interface{ Noted(string) }); ok {
		n.Noted(words)
	}
}
