package faulty

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// serve answers one request, in order or out of it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.inside.Add(1)
	defer s.inside.Done()
	path := r.URL.EscapedPath()
	s.mu.Lock()
	s.requests = append(s.requests, Request{Method: r.Method, Path: path, Query: r.URL.RawQuery, Header: r.Header.Clone(),
		Host: r.Host, Proto: r.Proto})
	v := s.next(path, r)
	key := path
	if _, ok := s.objects[path+"?"+r.URL.RawQuery]; ok {
		key = path + "?" + r.URL.RawQuery
	}
	o, found := s.objects[key]
	switch v.name {
	case "replace", "change-mid-resume":
		o = other(o)
		s.objects[key] = o
	case "back":
		if old, ok := s.before[key]; ok {
			o = old
		}
	case "vanish":
		delete(s.objects, key)
		found = false
	case "swap": // not after the answer: who has read it to its end may ask again before
		for path, o := range s.staged {
			s.put(path, o)
		}
		clear(s.staged)
	}
	handler := s.handlers[path]
	s.mu.Unlock()

	if s.instead(w, r, v) {
		return
	}
	if v.name == "slow" && !s.wait(r, v.d) {
		return
	}
	switch {
	case handler != nil:
		handler.ServeHTTP(w, r)
	case !found:
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		s.answer(w, r, o, v)
	}
}

// next is the order for this request. It is called with mu held.
func (s *Server) next(path string, r *http.Request) verb {
	if _, own := s.orders[path]; !own {
		path = "*"
	}
	orders := s.orders[path]
	if len(orders) == 0 {
		return verb{name: "ok"}
	}
	v := orders[0]
	if v.name == "change-mid-resume" && r.Header.Get("Range") == "" {
		return verb{name: "ok"}
	}
	if !v.always {
		s.orders[path] = orders[1:]
	}
	return v
}

// wait sleeps, unless the client leaves or the server ends before.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.stop:
	}
	return false
}

// instead answers without looking at an object. It reports whether it did.
func (s *Server) instead(w http.ResponseWriter, r *http.Request, v verb) bool {
	h := w.Header()
	switch v.name {
	case "status":
		if v.text != "" {
			h.Set("Retry-After", v.text)
		}
		w.WriteHeader(v.status)
		if v.status != http.StatusNoContent && v.status != http.StatusNotModified {
			fmt.Fprintf(w, "%d\n", v.status)
		}
	case "hang":
		s.wait(r, time.Hour)
		panic(http.ErrAbortHandler)
	case "refuse":
		s.reset(w)
	case "redirect":
		h.Set("Location", v.text)
		w.WriteHeader(http.StatusFound)
	case "html-200":
		h.Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!DOCTYPE html><title>Sign in</title><h1>Please sign in to this network</h1>\n")
	case "listing":
		h.Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<html><head><title>Index of /</title></head><body><a href=\"../\">../</a></body></html>\n")
	case "empty-200":
		w.WriteHeader(http.StatusOK)
	case "304-bare":
		w.WriteHeader(http.StatusNotModified)
	case "big":
		h.Set("Content-Type", "text/plain")
		s.copy(w, io.LimitReader(lines{}, v.n), v.n)
	case "bomb":
		h.Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.CopyN(z, zeros{}, v.n)
		z.Close()
	default:
		return false
	}
	return true
}

// answer gives an object, out of order in the ways that need one.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, o Object, v verb) {
	h := w.Header()
	for name, values := range o.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	h.Set("Content-Type", "application/octet-stream")
	if o.Type != "" {
		h.Set("Content-Type", o.Type)
	}
	if o.ETag != "" {
		h["Etag"] = []string{o.ETag}
	}
	if !o.Modified.IsZero() {
		h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	}
	if v.name == "loop" {
		_, id, _ := strings.Cut(r.Header.Get("Cdn-Loop"), "id=")
		id, _, _ = strings.Cut(id, ",")
		h.Set("Millpond-Instance", strings.TrimSpace(id))
	}
	if inm := r.Header.Get("If-None-Match"); inm != "" && inm == o.ETag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if ims, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil && r.Header.Get("If-None-Match") == "" &&
		!o.Modified.IsZero() && !o.Modified.Truncate(time.Second).After(ims) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, from, size := o.at(), int64(0), o.size()
	to, status := size, http.StatusOK
	switch v.name {
	case "lie":
		body = flipped{body, size / 2}
	case "gzip-body", "zstd-body":
		packed := pack(v.name, io.NewSectionReader(body, 0, size))
		body, size, to = bytes.NewReader(packed), int64(len(packed)), int64(len(packed))
		h.Set("Content-Encoding", strings.TrimSuffix(v.name, "-body"))
	case "gzip-label":
		h.Set("Content-Encoding", "gzip")
	case "206-plain":
		to, status = size/2, http.StatusPartialContent
	}
	if !o.NoRange && v.name != "no-range" {
		h.Set("Accept-Ranges", "bytes")
		if a, b, ok := wanted(r, o); ok && a >= size {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		} else if ok {
			from, to, status = a, min(b+1, size), http.StatusPartialContent
		}
	}
	if status == http.StatusPartialContent {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, size))
	}
	s.send(w, r, v, status, body, from, to, o.Chunked)
}

// wanted is the range that a request asks for, if it is to be honoured.
func wanted(r *http.Request, o Object) (from, to int64, ok bool) {
	spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if cond := r.Header.Get("If-Range"); !ok || cond != "" && cond != o.ETag {
		return 0, 0, false
	}
	first, last, _ := strings.Cut(spec, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if last == "" {
		return from, 1<<62 - 1, true
	}
	to, err = strconv.ParseInt(last, 10, 64)
	return from, to, err == nil
}

// send sends bytes from an offset to another, as a verb will have it.
func (s *Server) send(w http.ResponseWriter, r *http.Request, v verb, status int, body io.ReaderAt, from, to int64, chunked bool) {
	h := w.Header()
	length := to - from
	var out io.Writer = w
	var raw net.Conn
	if v.name == "close" || v.name == "extra" {
		if raw = s.hijack(w); raw == nil {
			panic(http.ErrAbortHandler)
		}
		defer raw.Close()
		if v.name == "extra" {
			h.Set("Content-Length", strconv.FormatInt(length, 10))
		}
		fmt.Fprintf(raw, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
		h.Write(raw)
		io.WriteString(raw, "\r\n")
		out = raw
	} else {
		if !chunked {
			h.Set("Content-Length", strconv.FormatInt(length, 10))
		}
		w.WriteHeader(status)
	}
	if r.Method == http.MethodHead {
		return
	}
	flush := func() {
		if raw == nil {
			http.NewResponseController(w).Flush()
		}
	}
	end := to
	switch v.name {
	case "cut", "close", "reset", "stall":
		end = min(from+v.n, to)
	}
	piece := int64(64 << 10)
	if v.name == "drip" {
		piece = max(v.n, 1)
	}
	for at := from; at < end || at == from; {
		for _, g := range s.gatesAt(r.URL.EscapedPath(), at) {
			flush()
			if !s.hold(r, g) {
				panic(http.ErrAbortHandler)
			}
		}
		n := min(piece, end-at)
		for _, g := range s.gatesBetween(r.URL.EscapedPath(), at, at+n) {
			n = min(n, g.at-at)
		}
		if n == 0 {
			break
		}
		if s.copy(out, io.NewSectionReader(body, at, n), n) != nil {
			panic(http.ErrAbortHandler) // the client has left
		}
		at += n
		if v.name == "drip" {
			flush()
			if !s.wait(r, v.d) {
				panic(http.ErrAbortHandler)
			}
		}
	}
	flush()
	switch v.name {
	case "cut":
		panic(http.ErrAbortHandler)
	case "reset":
		s.reset(w)
	case "stall":
		s.wait(r, time.Hour)
		panic(http.ErrAbortHandler)
	case "extra":
		io.CopyN(raw, lines{}, v.n)
		raw.SetReadDeadline(time.Now().Add(2 * time.Second))
		io.Copy(io.Discard, raw) // until the client has noticed
	}
}

func (s *Server) copy(w io.Writer, r io.Reader, n int64) error {
	sent, err := io.CopyN(w, r, n)
	s.mu.Lock()
	s.sent += sent
	s.mu.Unlock()
	return err
}

func (s *Server) gatesAt(path string, at int64) (gs []*Gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.gates[path] {
		if g.at == at {
			gs = append(gs, g)
		}
	}
	return gs
}

func (s *Server) gatesBetween(path string, from, to int64) (gs []*Gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.gates[path] {
		if g.at > from && g.at < to {
			gs = append(gs, g)
		}
	}
	return gs
}

func (s *Server) hold(r *http.Request, g *Gate) bool {
	g.arrive.Do(func() { close(g.reached) })
	select {
	case <-g.open:
		return true
	case <-r.Context().Done():
	case <-s.stop:
	}
	return false
}

// hijack takes the connection over; nil if it is not ours alone.
func (s *Server) hijack(w http.ResponseWriter) net.Conn {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	return c
}

// reset ends the connection with a reset.
func (s *Server) reset(w http.ResponseWriter) {
	c := s.hijack(w)
	if c == nil {
		panic(http.ErrAbortHandler)
	}
	under := c
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		under = t.NetConn()
	}
	if t, ok := under.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	under.Close()
}

// other is an object with other bytes of the same length.
func other(o Object) Object {
	if o.At != nil {
		o.At = inverted{o.At}
	} else {
		b := bytes.Clone(o.Body)
		for i := range b {
			b[i] ^= 0x5a
		}
		o.Body = b
	}
	if o.ETag != "" {
		o.ETag = strings.TrimSuffix(o.ETag, `"`) + `-other"`
	}
	if !o.Modified.IsZero() {
		o.Modified = o.Modified.Add(time.Hour)
	}
	return o
}

type inverted struct{ r io.ReaderAt }

func (i inverted) ReadAt(p []byte, off int64) (int, error) {
	n, err := i.r.ReadAt(p, off)
	for k := range p[:n] {
		p[k] ^= 0x5a
	}
	return n, err
}

type flipped struct {
	r  io.ReaderAt
	at int64
}

func (f flipped) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.r.ReadAt(p, off)
	if f.at >= off && f.at < off+int64(n) {
		p[f.at-off] ^= 1
	}
	return n, err
}

func pack(verb string, r io.Reader) []byte {
	var b bytes.Buffer
	var z io.WriteCloser = gzip.NewWriter(&b)
	if verb == "zstd-body" {
		enc, err := zstd.NewWriter(&b)
		if err != nil {
			panic(err) // there are no options to be wrong
		}
		z = enc
	}
	io.Copy(z, r) // memory takes all
	z.Close()
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

type lines struct{}

func (lines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
		if i%64 == 63 {
			p[i] = '\n'
		}
	}
	return len(p), nil
}
