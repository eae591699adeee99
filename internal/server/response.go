package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// A response is the one http.ResponseWriter between net/http and a format. It notes what was answered, adds what the trace
// of the request says to the header, and moves the write deadline on for as long as the client takes bytes. Held files
// still leave by sendfile: ReadFrom passes them through.
type response struct {
	http.ResponseWriter
	server  *Server
	ex      *exchange
	at      *root  // where the repository is the root that the request came to; else nil
	mount   *mount // nil for the pond's own routes
	route   string // the prefix of the pond's own route; "" for a mount
	json    bool   // errors are told as the API tells them
	peer    peer
	caller  repo.Caller
	request *http.Request

	identified bool          // the caller's credential was good, if there was one
	repository string        // that the request is for, as far as that is known; "" if it is none
	missing    millpond.Verb // that the server has refused the request for want of

	start, first time.Time // of the request, and of its answer's header
	moved        time.Time // when the write deadline was last moved on
	status       int
	bytes        int64
	counted      int64 // the length that was said, where it is left to net/http to say it; else 0
	err          error
	note         string // for the log
	cut          error  // why the rest of the answer may not be sent
	aborted      bool
	quiet        bool          // it is the pond's own, which nobody is told of
	attrs        [26]slog.Attr // of the log line; here because a response is used again
}

func (x *response) begin(s *Server, w http.ResponseWriter, r *http.Request, ex *exchange) {
	now := time.Now()
	*x = response{ResponseWriter: w, server: s, ex: ex, request: r, start: now, moved: now}
}

// Failed notes why the request failed, for the log.
func (x *response) Failed(err error) { x.err = err }

// Noted implements what format.Note asks for.
func (x *response) Noted(words string) {
	x.note = words
	if x.mount != nil {
		x.server.notes.Store(x.mount.name, note{words, time.Now()})
	}
}

// A note is what a format said of how its repository is used.
type note struct {
	words string
	at    time.Time
}

// noteStands is how long a note is told.
const noteStands = 10 * time.Minute

// noteOf is what was noted of a repository lately; "" if nothing was.
func (s *Server) noteOf(repository string, now time.Time) string {
	if n, ok := s.notes.Load(repository); ok && now.Sub(n.(note).at) < noteStands {
		return n.(note).words
	}
	return ""
}

// Answered notes what went out on a connection that was taken over, for the log.
func (x *response) Answered(status int, bytes int64) {
	x.status, x.first, x.bytes = status, time.Now(), bytes
}

// Unwrap lets http.ResponseController reach what is below.
func (x *response) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Flush sends what is buffered.
func (x *response) Flush() {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if f, ok := x.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// WriteHeader sends the header, with what the trace says of the answer.
func (x *response) WriteHeader(status int) {
	if status >= 100 && status < 200 {
		x.ResponseWriter.WriteHeader(status)
		return
	}
	if x.status != 0 {
		return
	}
	x.first = time.Now()
	x.moveDeadline(x.first)
	if status == http.StatusOK && x.request.Method == http.MethodGet {
		x.readLength()
	}
	if status == http.StatusUnauthorized {
		status = x.challenge()
	}
	if x.mount != nil {
		h := x.Header()
		writeCacheStatus(h, &x.ex.trace, status, x.first)
		if most := x.server.table.Load().settings.SharedMaxAge; most > 0 {
			limitShared(h, most)
		}
		if t := h["Content-Type"]; len(t) != 1 || !inert[t[0]] {
			h["Content-Security-Policy"] = cspBytes
		}
	}
	x.status = status
	x.ResponseWriter.WriteHeader(status)
}

// countedByHTTP is how long a body may be whose length net/http finds out itself (its bufferBeforeChunkingSize).
const countedByHTTP = 2048

// A declarer is told the length of a body apart from the header: a connection that this house reads itself.
type declarer interface{ DeclareLength(length string) }

// readLength looks at the length that was said of an answer. One that net/http would say all the same, or that a declarer takes,
// is taken out of the header: a map of up to eight fields is one piece of memory, of nine it is seven, and most answers have nine.
func (x *response) readLength() {
	h := x.Header()
	length := h["Content-Length"]
	if len(length) != 1 || len(h["Transfer-Encoding"]) > 0 || len(h["Trailer"]) > 0 {
		return
	}
	switch n, err := strconv.ParseInt(length[0], 10, 64); {
	case err != nil || n <= 0:
	case n <= countedByHTTP:
		delete(h, "Content-Length")
		x.counted = n
	default:
		if d, ok := x.ResponseWriter.(declarer); ok {
			d.DeclareLength(length[0])
			delete(h, "Content-Length")
		}
	}
}

// inert are types of which a browser runs nothing, as long as it may not guess another (X-Content-Type-Options): they need
// no policy. Every field of a header costs as much as finding what it is about, so answers have those that do something.
var inert = map[string]bool{
	"application/json":                                     true,
	"application/octet-stream":                             true,
	"application/vnd.npm.install-v1+json":                  true,
	"application/vnd.pypi.simple.v1+json":                  true,
	"application/zip":                                      true,
	"text/plain":                                           true,
	"text/plain; charset=utf-8":                            true,
	"application/vnd.docker.distribution.manifest.v2+json": true,
	"application/vnd.oci.image.index.v1+json":              true,
	"application/vnd.oci.image.manifest.v1+json":           true,
}

// challenge asks the client who it is, and returns the status that does so: a client that takes the pond for a proxy has its
// credential for the pond in another field than for the host that it asks for.
func (x *response) challenge() int {
	h := x.Header()
	if x.peer.proxied {
		h.Del("Www-Authenticate")
		h.Set("Proxy-Authenticate", challenge)
		return http.StatusProxyAuthRequired
	}
	if len(h["Www-Authenticate"]) == 0 {
		h.Set("Www-Authenticate", challenge)
	}
	return http.StatusUnauthorized
}

func (x *response) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	sent := 0
	for {
		if err := x.withdrawn(); err != nil {
			return sent, err
		}
		x.moveDeadline(time.Now())
		n, err := x.ResponseWriter.Write(b[sent:min(len(b), sent+piece)])
		sent += n
		x.bytes += int64(n)
		if err != nil || sent == len(b) {
			return sent, err
		}
	}
}

// withdrawn cuts an answer whose bytes were taken down after it began.
func (x *response) withdrawn() error {
	if x.status != http.StatusOK && x.status != http.StatusPartialContent {
		return nil // that is no answer with a file's bytes
	}
	err := x.ex.trace.Withdrawn()
	if err != nil {
		x.aborted, x.cut = true, err
	}
	if x.cut != nil {
		return x.cut
	}
	return nil
}

// moveDeadline gives the client more time, if a good part of what it had is used up.
func (x *response) moveDeadline(now time.Time) {
	if now.Sub(x.moved) < x.server.patience/4 {
		return
	}
	x.moved = now
	if d, ok := x.ResponseWriter.(interface{ SetWriteDeadline(time.Time) error }); ok {
		d.SetWriteDeadline(now.Add(x.server.patience)) // a writer without deadlines is a test's
	}
}

const (
	// chunk is how much of a file is given to the kernel before the deadline moves on: what it sent in time counts for itself.
	chunk = 4 << 20
	// slowest is the rate, in bytes a second, below which a client counts as dead.
	slowest = 1 << 10
)

// refuseSpoken answers an error as the format does whose repository was asked for, or whose clients ask for one that is not
// there; false if none does.
func (s *Server) refuseSpoken(x *response, r *http.Request, err error) bool {
	if x.json {
		return false // the pond's own calls have words of their own
	}
	t := s.table.Load()
	name, _, _ := strings.Cut(strings.TrimPrefix(t.inner(r.URL), "/"), "/")
	m := t.mounts[name]
	if x.at != nil {
		m = x.at.mount
	}
	for _, one := range t.order {
		f, ok := one.config.Format.(format.Refuser)
		if ok && (m == nil || m.info.Name == one.info.Name) {
			return f.Refuse(x, r, time.Now(), plain(err))
		}
	}
	return false
}

// fail answers with an error in plain words.
func (s *Server) fail(x *response, r *http.Request, err error) {
	if s.refuseRooted(x, r, err) || s.refuseSpoken(x, r, err) {
		return
	}
	if millpond.Is(err, millpond.Unauthenticated) && len(x.Header()["Www-Authenticate"]) == 0 {
		x.Header().Set("Www-Authenticate", challenge)
	}
	if x.json {
		s.failJSON(x, r, err)
		return
	}
	f := format.Failure{Type: plainText}
	why, hint := format.Words(err)
	if e, ok := errors.AsType[*refusal](err); ok {
		why, hint, f.Status = e.why, "", e.status
		if e.challenge != "" {
			x.Header().Set("Www-Authenticate", e.challenge)
		}
		err = plain(e)
	}
	f.Body = why + "\n"
	if hint != "" {
		f.Body += hint + "\n"
	}
	if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody && !s.table.Load().isOwn(r.URL) {
		// Who publishes to a repository may send all of a file before it reads a byte, and show no more than this line.
		if f.Phrase = why; hint != "" {
			f.Phrase += "; " + hint
		}
	}
	if r.Method == http.MethodConnect { // whose answer has no body that a client would read
		if f.Phrase = why; millpond.Is(err, millpond.Unauthenticated) || f.Status == http.StatusUnauthorized {
			f.Status = x.challenge()
		}
	}
	format.Fail(x, r, time.Now(), err, f)
}

// finish ends every request, however its handler ended. It is deferred.
func (s *Server) finish(x *response, r *http.Request) {
	cause := recover()
	if cause != nil {
		x.aborted = true
		if cause != http.ErrAbortHandler {
			x.err = fmt.Errorf("panic: %v", cause)
			s.parts.Log.Error("a handler panicked", "id", x.ex.id[0], "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			if x.status == 0 {
				x.aborted = false
				s.fail(x, r, &millpond.Error{Kind: millpond.Internal, Err: x.err})
			}
		}
	}
	if x.status == 0 && !x.aborted {
		x.WriteHeader(http.StatusOK) // as net/http would
	}
	if x.cut != nil {
		x.err = x.cut
	}
	if x.counted > 0 && x.bytes != x.counted && !x.aborted {
		x.aborted, x.err = true, fmt.Errorf("%w: %d bytes of %d were written", io.ErrShortWrite, x.bytes, x.counted)
	}
	took := time.Since(x.start)
	if !x.quiet {
		s.metrics.count(x, r.Method, took)
		s.refused(x)
		s.logRequest(x, r, took)
	}
	aborted := x.aborted
	*x = response{}
	if aborted {
		panic(http.ErrAbortHandler) // the connection is cut, so that no client takes what it has as whole
	}
	s.pool.Put(x)
}

// quote is a stranger's word as it can be shown: bounded, and without control characters.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(s, "?"))
}
