package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"millpond"
	"millpond/internal/auth"
)

// logRequest writes the one line of a request. Control characters are escaped by the handler; no query is written, for a
// query may hold a secret.
func (s *Server) logRequest(x *response, r *http.Request, took time.Duration) {
	h := s.parts.Access
	kind, words := x.outcome()
	level := slog.LevelInfo
	if x.err != nil && x.status >= 500 {
		level = slog.LevelWarn
		if kind == millpond.Internal {
			level = slog.LevelError
		}
	}
	if h == nil {
		if level == slog.LevelError {
			s.parts.Log.Error("request failed", "id", x.ex.id[0], "path", auth.Hide(r.URL.EscapedPath()), "error", auth.Hide(words))
		}
		return
	}
	ctx := context.Background() // the request's may have ended; the handler waits for nothing
	if !h.Enabled(ctx, level) {
		return
	}
	a := x.attrs[:0]
	text := func(key, value string) {
		if value != "" {
			a = append(a, slog.String(key, auth.Hide(value)))
		}
	}
	t := &x.ex.trace
	text("id", x.ex.id[0])
	if tp := r.Header["Traceparent"]; len(tp) == 1 && len(tp[0]) <= 64 {
		text("traceparent", tp[0])
	}
	if client := x.caller.Client; client != "" {
		text("client", client)
	} else if x.peer.addr.IsValid() { // refused before it was asked who it is
		text("client", x.peer.addr.String())
	}
	text("actor", x.caller.Name)
	text("token", x.caller.Token)
	text("method", r.Method)
	switch {
	case x.peer.proxied:
		text("host", r.URL.Host)
	case x.at != nil:
		text("host", x.peer.host)
	}
	text("path", r.URL.EscapedPath())
	if x.mount != nil {
		text("format", x.mount.info.Name)
		text("repository", x.mount.name)
		text("package", t.Package)
		text("version", t.Version)
		text("file", t.File)
		text("layer", t.Layer)
		text("digest", t.Digest)
		text("result", t.Result)
		text("verdict", t.Verdict)
		if t.Upstream > 0 {
			a = append(a, slog.Int64("upstream_ms", t.Upstream.Milliseconds()))
		}
	}
	a = append(a, slog.Int("status", x.status), slog.Int64("bytes", x.bytes), slog.Int64("us", took.Microseconds()))
	if x.aborted {
		a = append(a, slog.Bool("cut", true))
	}
	if x.err != nil {
		text("kind", kind.String())
		text("error", words)
	}
	text("note", x.note)
	text("agent", r.UserAgent())
	rec := slog.NewRecord(x.start, level, "request", 0)
	rec.AddAttrs(slog.Attr{Value: slog.GroupValue(a...)}) // a group without a name is as if its members stood there
	h.Handle(ctx, rec)                                    // a log that cannot be written fails no request
}

// outcome is the kind and the words of what went wrong, if anything did.
func (x *response) outcome() (millpond.Kind, string) {
	if x.err == nil {
		return 0, ""
	}
	kind := millpond.KindOf(x.err)
	if errors.Is(x.err, io.ErrShortWrite) {
		kind = millpond.Canceled
	}
	return kind, x.err.Error()
}

// Lines is a buffered writer of log lines: whole lines only, at most a second old. It is safe for use by many goroutines.
type Lines struct {
	mu sync.Mutex // guards w; held across a write of the buffer, so a blocked terminal blocks who logs
	w  *bufio.Writer
	to io.Writer
}

// NewLines buffers lines for w. Run flushes them.
func NewLines(w io.Writer) *Lines { return &Lines{w: bufio.NewWriterSize(w, 64<<10), to: w} }

// Write takes one line, or several whole ones.
func (l *Lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(b) > l.w.Available() && l.w.Buffered() > 0 {
		l.flush()
	}
	n, err := l.w.Write(b)
	if err != nil {
		l.flush()
	}
	return n, err
}

// Flush writes out what is buffered.
func (l *Lines) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
}

// flush drops what cannot be written: bufio keeps an error for ever, and a disk that was full has room again.
func (l *Lines) flush() {
	if err := l.w.Flush(); err != nil {
		l.w.Reset(l.to)
	}
}

// Run flushes each second until ctx ends, and then once more.
func (l *Lines) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.Flush()
		case <-ctx.Done():
			l.Flush()
			return
		}
	}
}
