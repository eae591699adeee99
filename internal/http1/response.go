package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// counted is the longest body whose length is counted if the handler has not said it, as in net/http.
	counted = 2 << 10
	// gathered is how much is gathered before it is sent: copying so much costs less than another system call.
	gathered = 8 << 10
	// keeps is the largest buffer that stays for the next answer.
	keeps = 2 * gathered
)

// A response answers one request of a conn.
type response struct {
	conn    *conn
	ctx     *requestContext
	request *http.Request
	header  http.Header
	out     []byte    // what was not sent yet
	held    []byte    // the body so far, while neither its length nor that it comes in chunks is known
	status  int       // 0 before WriteHeader
	length  int64     // of the body, as the handler said; negative if it did not
	told    [1]string // of the length, by DeclareLength
	written int64     // of the body
	begun   bool      // the header has left, or is all in out
	chunked bool
	typed   bool // the header has a Content-Type, or is to have none
	closes  bool // the connection ends with this answer
	saidSo  bool // the header says so already
	failed  error
}

func newResponse(c *conn, r *http.Request, ctx *requestContext) *response {
	return &response{conn: c, ctx: ctx, request: r, header: http.Header{}, out: c.out[:0], held: c.held[:0], length: -1, closes: r.Close}
}

// end gives the buffers back. Who still has the response can do nothing with it.
func (x *response) end() {
	x.conn.out, x.conn.held = x.out[:0], x.held[:0]
	if cap(x.out) > keeps {
		x.conn.out = nil
	}
	x.out, x.held, x.failed = nil, nil, errEnded
}

var errEnded = errors.New("http1: the request has ended")

// Header is that of the answer. After WriteHeader it changes nothing.
func (x *response) Header() http.Header { return x.header }

// DeclareLength says how long the body will be, as a Content-Length in the header does, which counts if there is one. It has no
// place in the header's map, where a ninth field costs as much as the eight before it.
func (x *response) DeclareLength(length string) { x.told[0] = length }

// hasBody reports whether an answer with this status has one (RFC 9110, 6.4.1).
func hasBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// WriteHeader writes status and fields, but for the two that say how long the body is.
func (x *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("http1: no status: %d", status))
	}
	if x.status != 0 || status < 200 && status != http.StatusSwitchingProtocols || x.failed != nil || x.conn.handed {
		return
	}
	x.status = status
	b := append(x.out, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = append(append(b, "status code "...), b[len(b)-4:len(b)-1]...)
	}
	b = append(b, "\r\n"...)
	var room [16]field
	for _, f := range x.fields(room[:0]) {
		b = x.appendFields(b, f)
	}
	if _, dated := x.header["Date"]; !dated {
		b = append(append(append(b, "Date: "...), x.conn.server.date(time.Now())...), "\r\n"...)
	}
	if x.conn.server.ending.Load() {
		x.closes = true
	}
	x.out = b
}

// A field is one of an answer's header, with all its values.
type field struct {
	name   string
	values []string
}

// usual are the fields that most answers have, sorted: to look for each costs less than to sort what there is.
var usual = [...]string{
	"Accept-Ranges", "Cache-Control", "Cache-Status", "Content-Length", "Content-Security-Policy", "Content-Type", "Etag",
	"Last-Modified", "Vary", "X-Content-Type-Options", "X-Request-Id",
}

// fields appends the header's fields to all, sorted by name.
func (x *response) fields(all []field) []field {
	left := len(x.header)
	for _, name := range usual {
		values, ok := x.header[name]
		if ok {
			left--
		}
		if name == "Content-Length" && values == nil && x.told[0] != "" {
			values, ok = x.told[:], true
		}
		if ok {
			all = append(all, field{name, values})
		}
	}
	if left == 0 {
		return all
	}
	for name, values := range x.header {
		if _, is := slices.BinarySearch(usual[:], name); is || !isToken(name) {
			continue // it is there already, or is none, as trailers are; there are none
		}
		at, _ := slices.BinarySearchFunc(all, name, func(f field, name string) int { return strings.Compare(f.name, name) })
		all = slices.Insert(all, at, field{name, values})
	}
	return all
}

// appendFields appends a field as often as it has values, and learns what it says of the answer.
func (x *response) appendFields(b []byte, f field) []byte {
	switch f.name {
	case "Content-Length":
		if len(f.values) == 0 || !x.declare(f.values[0]) {
			return b
		}
	case "Transfer-Encoding":
		return b // is this package's to choose
	case "Connection":
		if len(f.values) > 0 && strings.EqualFold(f.values[0], "close") {
			x.closes, x.saidSo = true, true
		}
	case "Content-Type":
		x.typed = true
		if x.status == http.StatusNotModified {
			return b
		}
	case "Content-Encoding":
		if len(f.values) > 0 && f.values[0] != "" {
			x.typed = true // what is compressed does not show what it is
		}
	}
	for _, v := range f.values {
		b = appendField(b, f.name, v)
	}
	return b
}

// declare takes what the handler says of the body's length, and reports whether it is one, and to be told.
func (x *response) declare(value string) bool {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || !hasBody(x.status) {
		return false
	}
	x.length = n
	return true
}

// appendField appends a field. A line break in its value becomes a space: nobody begins another field, or the body, with it.
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	if n := len(value); n > 0 && (value[0] <= ' ' || value[n-1] <= ' ') {
		value = strings.Trim(value, " \t\r\n")
	}
	at := len(b)
	b = append(b, value...)
	if strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, '\n') >= 0 {
		for i := range b[at:] {
			if b[at+i] == '\r' || b[at+i] == '\n' {
				b[at+i] = ' '
			}
		}
	}
	return append(b, "\r\n"...)
}

// beginBody ends the header. body is how the body begins.
func (x *response) beginBody(body []byte) {
	if x.begun {
		return
	}
	x.begun = true
	if hasBody(x.status) {
		x.chunked = x.length < 0 && x.request.Method != http.MethodHead
		if !x.typed && len(body) > 0 {
			x.out = appendField(x.out, "Content-Type", http.DetectContentType(body))
		}
	}
	if x.closes && !x.saidSo {
		x.out = append(x.out, "Connection: close\r\n"...)
	}
	if x.chunked {
		x.out = append(x.out, "Transfer-Encoding: chunked\r\n"...)
	}
	x.out = append(x.out, "\r\n"...)
}

// Write sends a part of the body.
func (x *response) Write(b []byte) (int, error) {
	if err := x.mayWrite(int64(len(b))); err != nil || len(b) == 0 {
		return 0, err
	}
	x.written += int64(len(b))
	if !x.begun {
		if x.length < 0 && len(x.held)+len(b) <= counted {
			x.held = append(x.held, b...)
			return len(b), nil
		}
		first := b
		if len(x.held) > 0 {
			first = x.held
		}
		x.beginBody(first)
		if len(x.held) > 0 {
			x.put(x.held)
			x.held = x.held[:0]
		}
	}
	x.put(b)
	if x.failed != nil {
		return 0, x.failed
	}
	return len(b), nil
}

// mayWrite says why no so many bytes more of the body may be written.
func (x *response) mayWrite(n int64) error {
	if x.failed != nil {
		return x.failed
	}
	if x.conn.handed {
		return http.ErrHijacked
	}
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if n > 0 && !hasBody(x.status) {
		return http.ErrBodyNotAllowed
	}
	if x.length >= 0 && n > x.length-x.written {
		return http.ErrContentLength
	}
	return nil
}

// put sends or gathers bytes of the body.
func (x *response) put(b []byte) {
	if x.request.Method == http.MethodHead || x.failed != nil {
		return
	}
	if x.chunked {
		x.out = strconv.AppendInt(x.out, int64(len(b)), 16)
		x.out = append(x.out, "\r\n"...)
	}
	x.gather(b)
	if x.chunked {
		x.out = append(x.out, "\r\n"...)
	}
}

func (x *response) gather(b []byte) {
	if len(x.out)+len(b) <= gathered {
		x.out = append(x.out, b...)
		return
	}
	if len(x.out) == 0 {
		_, x.failed = x.conn.Conn.Write(b)
		return
	}
	both := net.Buffers{x.out, b}
	_, x.failed = both.WriteTo(x.conn.Conn)
	x.out = x.out[:0]
}

// Flush sends what is gathered.
func (x *response) Flush() { x.FlushError() }

// FlushError is Flush, and says what is wrong.
func (x *response) FlushError() error {
	if err := x.mayWrite(0); err != nil {
		return err
	}
	if !x.begun {
		x.beginBody(x.held)
		if len(x.held) > 0 {
			x.put(x.held)
			x.held = x.held[:0]
		}
	}
	x.send()
	return x.failed
}

func (x *response) send() {
	if len(x.out) > 0 && x.failed == nil {
		_, x.failed = x.conn.Conn.Write(x.out)
		x.out = x.out[:0]
	}
}

// count says how long a body is that is all held, if the handler did not.
func (x *response) count() {
	if x.length >= 0 || !hasBody(x.status) || x.request.Method == http.MethodHead && len(x.held) == 0 {
		return
	}
	x.length = int64(len(x.held))
	x.out = append(x.out, "Content-Length: "...)
	x.out = strconv.AppendInt(x.out, x.length, 10)
	x.out = append(x.out, "\r\n"...)
}

// finish ends the answer, and reports whether the connection can have another.
func (x *response) finish() bool {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if !x.begun {
		x.count()
		x.beginBody(x.held)
		x.put(x.held)
	}
	if x.chunked {
		x.out = append(x.out, "0\r\n\r\n"...)
	}
	x.send()
	short := x.length >= 0 && x.written != x.length && x.request.Method != http.MethodHead
	return x.failed == nil && !x.closes && !short
}

// SetWriteDeadline bounds what follows.
func (x *response) SetWriteDeadline(t time.Time) error {
	if x.failed == errEnded {
		return errEnded
	}
	return x.conn.Conn.SetWriteDeadline(t)
}

// SetReadDeadline does nothing: there is no body to read.
func (x *response) SetReadDeadline(time.Time) error { return nil }

// Hijack gives the connection to the caller, with what was read of it already.
func (x *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := x.conn
	if x.failed == errEnded {
		return nil, nil, errEnded
	}
	if !x.ctx.hijack() {
		return nil, nil, http.ErrHijacked
	}
	c.Conn.SetDeadline(time.Time{}) // of a connection that has ended: the next use says so
	c.tell(http.StateHijacked)
	unread := bytes.NewReader(bytes.Clone(c.in[c.start:c.end]))
	return c.Conn, bufio.NewReadWriter(bufio.NewReader(io.MultiReader(unread, c.Conn)), bufio.NewWriter(c.Conn)), nil
}
