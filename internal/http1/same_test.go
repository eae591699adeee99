package http1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// a page is a handler of which every kind of answer can be had. What it is asked for is in the path: words, in order.
func page(file string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for word := range strings.SplitSeq(strings.Trim(r.URL.Path, "/"), "/") {
			name, value, _ := strings.Cut(word, "=")
			n := 0
			fmt.Sscan(value, &n)
			switch name {
			case "type":
				h.Set("Content-Type", value)
			case "untyped":
				h["Content-Type"] = nil
			case "encoding":
				h.Set("Content-Encoding", value)
			case "length":
				h.Set("Content-Length", value)
			case "declare":
				if d, ok := w.(interface{ DeclareLength(string) }); ok {
					d.DeclareLength(value)
				} else {
					h.Set("Content-Length", value)
				}
			case "header":
				key, value, _ := strings.Cut(value, ":")
				h[key] = append(h[key], value)
			case "connection":
				h.Set("Connection", value)
			case "status":
				w.WriteHeader(n)
			case "late":
				h.Set("X-Late", "1")
			case "write":
				got, err := w.Write(bytes.Repeat([]byte("b"), n))
				h.Set("X-Said", fmt.Sprint(got, err))
			case "html":
				io.WriteString(w, "<html><body>"+strings.Repeat("x", n))
			case "flush":
				http.NewResponseController(w).Flush()
			case "file":
				f, err := os.Open(file)
				if err != nil {
					panic(err)
				}
				w.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: f, N: int64(n)})
				f.Close()
			case "part":
				sendPart(w, file, int64(n))
			case "read":
				w.(io.ReaderFrom).ReadFrom(strings.NewReader(strings.Repeat("r", n)))
			case "echo":
				body, err := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %s %s %s %v %d %v %v %q %v\n", r.Method, r.URL, r.RequestURI, r.Host, r.Close, r.ContentLength, r.TransferEncoding, r.Proto, body, err)
				r.Header.Write(w)
			case "abort":
				panic(http.ErrAbortHandler)
			case "panic":
				panic("for the test")
			case "hijack":
				c, both, err := http.NewResponseController(w).Hijack()
				if err != nil {
					panic(err)
				}
				rest, _ := both.ReadString('\n')
				fmt.Fprintf(c, "taken over with %q", rest)
				c.Close()
			}
		}
	}
}

// sendPart sends n bytes from the middle of a file, by SendFile as far as that can be.
func sendPart(w http.ResponseWriter, file string, n int64) {
	f, err := os.Open(file)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	off := int64(3)
	if to, ok := w.(*response); ok {
		sent, err := to.SendFile(f, off, n)
		if !errors.Is(err, errors.ErrUnsupported) {
			return
		}
		off, n = off+sent, n-sent
	}
	part := make([]byte, n)
	if _, err := f.ReadAt(part, off); err != nil {
		panic(err)
	}
	w.Write(part)
}

// fileSize is how long the file is that page sends.
const fileSize = 300_000

// A pair is a server of this package and one of net/http, with one handler.
type pair struct{ ours, theirs string }

func newPair(t testing.TB) pair {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), fileSize/10), 0o600); err != nil {
		t.Fatal(err)
	}
	made := func() *http.Server {
		return &http.Server{Handler: page(file), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, WriteTimeout: time.Minute}
	}
	return pair{ours: serve(t, New(made())), theirs: serve(t, made())}
}

// serve runs a server until the test ends, and returns its address.
func serve(t testing.TB, s interface {
	Serve(net.Listener) error
	Close() error
}) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

var dates = regexp.MustCompile(`\r\nDate: [^\r]*\r\n`)

// say sends bytes to a server and returns all that it answers, until it ends the connection.
func say(t testing.TB, addr string, pieces ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	for i, p := range pieces {
		if i > 0 {
			time.Sleep(5 * time.Millisecond) // it comes in a piece of its own, most times
		}
		io.WriteString(c, p)
	}
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Errorf("%q: no end of the answer after %q", pieces, got)
	}
	return whole(dates.ReplaceAllString(string(got), "\r\nDate: D\r\n"))
}

// whole joins the chunks of bodies that come in chunks: where one ends is nobody's business.
func whole(answers string) string {
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	head, rest, ok := strings.Cut(answers, chunked)
	if !ok {
		return answers
	}
	var body strings.Builder
	for {
		size, after, ok := strings.Cut(rest, "\r\n")
		n, err := strconv.ParseInt(size, 16, 64)
		if !ok || err != nil || int(n)+2 > len(after) {
			return head + chunked + body.String() + "no end:" + rest
		}
		body.WriteString(after[:n])
		if rest = after[n+2:]; n == 0 {
			return head + chunked + body.String() + whole(rest)
		}
	}
}

// differ are two answers from where they differ.
func differ(ours, theirs string) string {
	i := 0
	for i < len(ours) && i < len(theirs) && ours[i] == theirs[i] {
		i++
	}
	return fmt.Sprintf("\n  from byte %d on %.300q\n  want          %.300q", i, ours[max(0, i-50):], theirs[max(0, i-50):])
}

// get is a request that keeps the connection, and last one that ends it.
func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

const last = "GET /write=1/type=end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// TestSame holds this package's answers to those of net/http, byte by byte.
func TestSame(t *testing.T) {
	p := newPair(t)
	answers := []string{
		"/", "/status=200", "/status=204", "/status=304/type=a", "/type=a/length=7/status=304", "/status=404/html=3", "/status=299/write=1",
		"/write=1", "/write=0", "/write=2048", "/write=2049", "/write=1024/write=1024", "/write=1024/write=1025", "/write=5000/write=5000", "/write=100000",
		"/html=1", "/html=3000", "/untyped/html=1", "/encoding=gzip/html=1", "/type=a/b/html=2", "/type=text:plain/html=2/late",
		"/length=5/type=a/write=5", "/length=5/write=3/write=2", "/length=5/type=a/write=6", "/length=5/type=a/write=3", "/length=0",
		"/length=100000/type=a/write=100000", "/length=9000/type=a/write=4500/write=4500", "/length=8100/type=a/write=8100",
		"/declare=5/type=a/write=5", "/declare=5/write=3/write=2", "/declare=5/type=a/write=6", "/declare=5/type=a/write=3", "/declare=0",
		"/declare=3409/header=A:1/header=B:2/header=D:3/type=a/write=3409", "/declare=9000/type=a/write=4500/write=4500", "/declare=7/type=a/status=304",
		"/declare=300000/type=a/file=300000", "/declare=20/type=a/write=10/file=10", "/declare=10/type=a/file=5", "/status=200/declare=3/write=4",
		"/flush", "/type=a/write=1/flush/write=1", "/type=a/length=2/write=1/flush/write=1", "/html=1/flush",
		"/type=a/length=300000/file=300000", "/type=a/length=10/file=10", "/type=a/file=10", "/file=10", "/type=a/length=5/file=10", "/type=a/length=20/write=10/file=10", "/type=a/length=10/file=5", "/type=a/length=0/file=0", "/file=0",
		"/type=a/length=299000/part=299000", "/type=a/length=10/part=10", "/type=a/length=20/write=5/part=10/write=5", "/type=a/length=9000/part=4000/part=5000",
		"/type=a/part=10", "/type=a/part=5000", "/part=10", "/length=10/part=10", "/type=a/length=5/part=10", "/type=a/length=10/part=5", "/type=a/length=0/part=0", "/status=204/part=3",
		"/type=a/length=3000/read=3000", "/type=a/read=30000", "/read=3",
		"/header=X-Request-Id:1/header=Vary:2/header=Age:3/header=Etag:4/header=X-A:5/header=Accept-Ranges:6/header=Allow:7/header=Cache-Status:8/header=Zero:9",
		"/header=X-A:1/header=X-A:2/header=X-B:%0d%0aX-C:3/html=1", "/header=Bad%20Name:1", "/header=X-A:%20a%20", "/header=Date:never", "/header=x-low:1/header=X-Up:2",
		"/connection=close/write=3", "/connection=keep-alive/write=3",
		"/status=500", "/status=204/write=1", "/abort", "/write=10/abort", "/type=a/length=20/write=10/flush/abort", "/write=10/flush/abort", "/write=5000/abort", "/panic", "/status=200/panic",
	}
	for _, path := range answers {
		for _, method := range []string{"GET", "HEAD"} {
			request := method + strings.TrimPrefix(get(path), "GET") + last
			ours, theirs := say(t, p.ours, request), say(t, p.theirs, request)
			if same := ours == theirs; !same && !(strings.Contains(path, "/abort") && strings.HasPrefix(theirs, ours)) { // cut a little earlier is as good
				t.Errorf("%s %s: %s", method, path, differ(ours, theirs))
			}
		}
	}
}

// TestSameRequests asks in all ways that are right, doubtful and wrong. Those that are not plain are net/http's to answer, so
// that what is looked for is one that this package took to be plain and understood otherwise.
func TestSameRequests(t *testing.T) {
	p := newPair(t)
	const echo = "GET /echo HTTP/1.1\r\n"
	for _, pieces := range [][]string{
		{echo + "Host: a\r\nUser-Agent: x\r\naccept: b\r\nACCEPT: c\r\nx-y_z: d\r\n\r\n"},
		{echo + "Host: a\r\n", "X: 1\r\n", "\r\n"}, {"G", "E", "T", " /echo HTTP/1.1\r\nHost: a\r\n\r", "\n"},
		{get("/echo") + get("/echo?2") + get("/echo?3")}, {get("/echo") + "GET /ec", "ho?2 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET http://b:80/echo?x=%2f HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET http:///echo HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET HTTP://user:x@b/echo HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET mailto:echo HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET //b/echo HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET /echo#f HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET /echo/%zz HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET /%65cho/%2f HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET echo HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET * HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET /echo/ä HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET /echo/\x01 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET /echo  HTTP/1.1\r\nHost: a\r\n\r\n"}, {"GET /echo HTTP/1.1 \r\nHost: a\r\n\r\n"}, {"GET\t/echo HTTP/1.1\r\nHost: a\r\n\r\n"}, {" GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"}, {"get /echo HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET /echo HTTP/1.0\r\nHost: a\r\n\r\n"}, {"GET /echo HTTP/1.2\r\nHost: a\r\n\r\n"}, {"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n"}, {"GET /echo http/1.1\r\nHost: a\r\n\r\n"}, {"GET /echo\r\nHost: a\r\n\r\n"}, {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{echo + "\r\n"}, {echo + "Host:\r\n\r\n"}, {echo + "Host: a\r\nHost: b\r\n\r\n"}, {echo + "Host: a b\r\n\r\n"}, {echo + "Host: a/b\r\n\r\n"}, {echo + "Host: [::1]:80\r\n\r\n"}, {echo + "Host: ä\r\n\r\n"}, {echo + "hOST: a\r\n\r\n"},
		{echo + "Host: a\r\nX\r\n\r\n"}, {echo + "Host: a\r\nX : 1\r\n\r\n"}, {echo + "Host: a\r\n X: 1\r\n\r\n"}, {echo + "Host: a\r\nX: 1\r\n 2\r\n\r\n"}, {echo + "Host: a\r\n: 1\r\n\r\n"}, {echo + "Host: a\r\nX: a\x00b\r\n\r\n"}, {echo + "Host: a\r\nX: a\x7fb\r\n\r\n"}, {echo + "Host: a\r\nX: a\tb\r\n\r\n"}, {echo + "Host: a\r\nX: \xe4\r\n\r\n"}, {echo + "Host: a\r\nX: a\rb\r\n\r\n"}, {echo + "Host: a\r\nX: 1\nY: 2\r\n\r\n"}, {echo + "Host: a\r\nX(: 1\r\n\r\n"}, {echo + "Host: a\r\nX:1\r\n\r\n"}, {echo + "Host: a\r\nX:\r\n\r\n"}, {echo + "Host: a\r\nX: \t 1 \t\r\n\r\n"},
		{echo + " Host: a\r\n\r\n"}, {"GET /echo HTTP/1.1\nHost: a\n\n"}, {"\r\n" + get("/echo")}, {"\r\n\r\n" + get("/echo")}, {get("/echo") + "\r\n" + get("/echo")},
		{echo + "Host: a\r\nConnection: Close\r\n\r\n" + get("/echo")}, {echo + "Host: a\r\nConnection: Keep-Alive\r\n\r\n"}, {echo + "Host: a\r\nConnection: keep-alive, close\r\n\r\n" + get("/echo")}, {echo + "Host: a\r\nConnection: x\r\nConnection: close\r\n\r\n" + get("/echo")}, {echo + "Host: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n" + get("/echo")}, {echo + "Host: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"},
		{echo + "Host: a\r\nPragma: no-cache\r\n\r\n"}, {echo + "Host: a\r\nPragma: no-cache\r\nCache-Control: max-age=0\r\n\r\n"}, {echo + "Host: a\r\nPragma: x\r\n\r\n"},
		{echo + "Host: a\r\nContent-Length: 3\r\n\r\nabc" + get("/echo")}, {echo + "Host: a\r\nContent-Length: 0\r\n\r\n" + get("/echo")}, {echo + "Host: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"}, {echo + "Host: a\r\nContent-Length: +3\r\n\r\nabc"}, {echo + "Host: a\r\ncontent-length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get("/echo")},
		{echo + "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get("/echo")}, {echo + "Host: a\r\nTransfer-Encoding: x\r\n\r\n"}, {echo + "Host: a\r\nTransfer-Encoding : chunked\r\n\r\n"}, {echo + "Host: a\r\nTrailer: x\r\n\r\n"}, {echo + "Host: a\r\nTE: trailers\r\n\r\n"}, {echo + "Host: a\r\nExpect: 100-continue\r\n\r\n"}, {echo + "Host: a\r\nExpect: x\r\n\r\n"},
		{"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/echo")}, {get("/echo") + "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r", "\nabc" + get("/echo")}, {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"}, {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{echo + "Host: a\r\nX: " + strings.Repeat("x", mostHeader-40) + "\r\n\r\n"}, {echo + "Host: a\r\nX: " + strings.Repeat("x", 3*mostHeader) + "\r\n\r\n"}, {get("/echo") + echo + "Host: a\r\nX: " + strings.Repeat("x", mostHeader-100) + "\r\n\r\n" + get("/echo")}, {echo + "Host: a\r\n" + strings.Repeat("X: y\r\n", 600) + "\r\n" + get("/echo")}, {echo + "Host: a\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n"},
		{strings.Repeat(get("/write=3"), 300)}, {get("/hijack") + "the rest\n"}, {get("/echo") + get("/hijack"), "the rest\n"},
		{""}, {"GET"}, {echo + "Host: a\r\n"}, {get("/echo") + "GET /"},
	} {
		if ours, theirs := say(t, p.ours, pieces...), say(t, p.theirs, pieces...); ours != theirs {
			t.Errorf("%.300q: %s", pieces, differ(ours, theirs))
		}
	}
}

// FuzzSame looks for a request that this package understands otherwise than net/http.
func FuzzSame(f *testing.F) {
	for _, seed := range []string{get("/echo"), get("/echo") + get("/echo"), "GET /echo HTTP/1.1\r\nHost: a\r\nA:b\r\nConnection: close\r\n\r\n", "GET http://a/echo HTTP/1.1\r\nHost: b\r\nPragma: no-cache\r\n\r\n", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na"} {
		f.Add([]byte(seed))
	}
	p := newPair(f)
	f.Fuzz(func(t *testing.T, request []byte) {
		// net/http has no word for who leaves after less than four bytes of a further request.
		if ours, theirs := say(t, p.ours, string(request)), say(t, p.theirs, string(request)); ours != theirs && !(theirs != "" && strings.HasPrefix(ours, theirs+"HTTP/1.1 400 ")) {
			t.Errorf("%q: %s", request, differ(ours, theirs))
		}
	})
}

// TestPlainIsPlain: the requests of the clients of this world are plain, or all of this is for nothing.
func TestPlainIsPlain(t *testing.T) {
	for client, header := range map[string]string{
		"pip":  "User-Agent: pip/24.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: application/vnd.pypi.simple.v1+json\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n",
		"npm":  "user-agent: npm/10\r\naccept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*\r\naccept-encoding: gzip,deflate\r\nConnection: keep-alive\r\n",
		"apt":  "User-Agent: Debian APT-HTTP/1.3 (2.6.1)\r\nIf-Modified-Since: Sat, 10 Aug 2024 09:00:00 GMT\r\n",
		"mvn":  "Cache-control: no-cache\r\nPragma: no-cache\r\nUser-Agent: Apache-Maven/3.9\r\nConnection: Keep-Alive\r\nAccept-Encoding: gzip,deflate\r\n",
		"go":   "User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n",
		"curl": "User-Agent: curl/8\r\nAccept: */*\r\nAuthorization: Basic abc=\r\nRange: bytes=0-\r\n",
	} {
		r := parse([]byte("GET /x HTTP/1.1\r\nHost: a.example:8080\r\n"+header+"\r\n"), "")
		if r == nil {
			t.Errorf("%s: not plain", client)
		}
	}
}

// TestFollowsItsContext: a handler that asks learns that its client has left; one that has not asked costs no goroutine; and
// what the client sends meanwhile is not lost.
func TestFollowsItsContext(t *testing.T) {
	reached, left := make(chan context.Context), make(chan error)
	s := New(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/waits":
			ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
			defer cancel()
			reached <- ctx
			<-ctx.Done()
			left <- ctx.Err()
		case "/asks":
			r.Context().Done()
			reached <- r.Context()
			<-left
		default:
			reached <- r.Context()
		}
	})})
	addr := serve(t, s)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}

	c := dial()
	io.WriteString(c, get("/waits"))
	<-reached
	c.Close()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("of a client that left the context says %v", err)
	}

	c = dial()
	io.WriteString(c, get("/asks"))
	ctx := <-reached
	if ctx.Value(http.LocalAddrContextKey).(net.Addr).String() != addr || ctx.Err() != nil {
		t.Errorf("the context has %v, %v", ctx.Value(http.LocalAddrContextKey), ctx.Err())
	}
	io.WriteString(c, get("/next")) // which who looks for the client's leaving reads
	left <- nil
	next := <-reached
	if ctx.Err() == nil {
		t.Error("the context of an answered request goes on")
	}
	if next.Done(); next.Err() == nil { // it has been answered, or will be
		<-next.Done()
	}
	c.(*net.TCPConn).CloseWrite()
	if got, _ := io.ReadAll(c); strings.Count(string(got), "HTTP/1.1 200 OK") != 2 {
		t.Errorf("two requests were answered with %q", got)
	}
}

// TestTimes: who sends nothing, or half a header, or nothing more, is not waited for.
func TestTimes(t *testing.T) {
	s := New(&http.Server{Handler: page(""), ReadHeaderTimeout: 30 * time.Millisecond, IdleTimeout: 60 * time.Millisecond, WriteTimeout: time.Minute})
	addr := serve(t, s)
	for what, sent := range map[string]string{"nothing": "", "half a header": "GET /", "half of a second": get("/") + "GET /", "nothing more": get("/"), "half a body": "POST / HT"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, sent)
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("who sent %s: %v; want an end of the connection", what, err)
		}
		c.Close()
	}
}

// TestShutdown: idle connections end, new ones may still say what they want, and answers under way are finished.
func TestShutdown(t *testing.T) {
	reached, on := make(chan bool), make(chan bool)
	s := New(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			reached <- true
			<-on
		}
		io.WriteString(w, "answer")
	})})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	dial := func(first string) net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, first)
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	idle := dial(get("/"))
	if _, err := io.ReadAtLeast(idle, make([]byte, 500), 100); err != nil {
		t.Fatal(err)
	}
	working, other := dial(get("/wait")), dial("POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	<-reached
	<-reached
	fresh := dial("")
	for n := 0; n < 4; { // they have been accepted
		s.mu.Lock()
		n = len(s.conns) + 1 // one is net/http's
		s.mu.Unlock()
	}
	ended := make(chan error)
	go func() { ended <- s.Shutdown(t.Context()) }()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	if rest, err := io.ReadAll(idle); err != nil || strings.HasPrefix(string(rest), "HTTP") {
		t.Errorf("the idle connection read %q, %v; want its end", rest, err)
	}
	select {
	case err := <-ended:
		t.Fatalf("Shutdown returned %v with answers under way", err)
	default:
	}
	io.WriteString(fresh, get("/"))
	close(on)
	for name, c := range map[string]net.Conn{"working": working, "net/http's": other, "new": fresh} {
		if got, err := io.ReadAll(c); err != nil || !strings.Contains(string(got), "Connection: close\r\n") && name != "working" && name != "net/http's" || !strings.HasSuffix(string(got), "answer") {
			t.Errorf("the %s connection read %q, %v; want an answer, and its end", name, got, err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestDateIsThatOfTheAnswer: the text that answers of one second share is not that of the next, or of the one before.
func TestDateIsThatOfTheAnswer(t *testing.T) {
	s := New(&http.Server{})
	at := time.Date(2026, 5, 3, 23, 59, 59, 999e6, time.FixedZone("", 3600))
	for _, d := range []time.Duration{0, 0, time.Millisecond, time.Hour, -time.Hour} {
		now := at.Add(d)
		if got, want := s.date(now), now.UTC().Format(http.TimeFormat); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
