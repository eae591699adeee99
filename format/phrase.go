package format

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// mostDrained is how much of a refused request's body is read and dropped, so that a client that is still sending comes
	// to read the answer.
	mostDrained = 64 << 20
	// drainTime bounds that.
	drainTime = 30 * time.Second
	// longestPhrase bounds a reason phrase.
	longestPhrase = 300
)

// sendPhrase answers with a reason phrase of the format's own, for clients that print nothing else, and closes the
// connection. It reports false, having sent nothing, where that cannot be: HTTP/2 has no reason phrase, and a test's writer
// no connection. The header is that of w.
func sendPhrase(w http.ResponseWriter, r *http.Request, f Failure) bool {
	if r.ProtoMajor != 1 || r.ProtoMinor == 0 {
		return false
	}
	drain(w, r)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(drainTime)) // what cannot be set is not bounded, and the client's to end
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %03d %s\r\n", f.Status, phrase(f.Phrase))
	h := w.Header()
	h.Set("Connection", "close")
	if h.Get("Date") == "" {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	h.Write(&b) // which replaces line breaks in values; memory does not fail
	b.WriteString("\r\n")
	if r.Method != http.MethodHead {
		b.WriteString(f.Body)
	}
	buffered.Write(b.Bytes())
	buffered.Flush() // the client that has left is told nothing
	if noted, ok := w.(interface{ Answered(status int, bytes int64) }); ok {
		noted.Answered(f.Status, int64(len(f.Body)))
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		// A client that sends on would be told of a reset before it has read the answer.
		conn.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
	}
	return true
}

// drain reads and drops what a client still sends. A client that waits for leave to send is not given it.
func drain(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || r.Header.Get("Expect") != "" {
		return
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime))
	io.CopyN(io.Discard, r.Body, mostDrained) // its end is as good as any other
}

// phrase is one line of what a status line may hold.
func phrase(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = s[:i]
	}
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
	return s[:min(len(s), longestPhrase)]
}
