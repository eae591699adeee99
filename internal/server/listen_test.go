package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l.(*net.TCPListener)
}

// serve runs the server on loopback until the test ends, or stop is called; stop returns what Serve did.
func serve(t testing.TB, s *Server, o Listening) (addr string, stop func() error) {
	t.Helper()
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, o) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String(), stop
}

// file makes a file of n random bytes, and a format that serves it as a held blob.
func file(t *testing.T, n int64) (string, [32]byte, echo) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "blob")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.Reader, n); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name, [32]byte(h.Sum(nil)), echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			format.Report(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := format.Serve(w, r, &millpond.Content{ReadSeekCloser: f, Size: n}); err != nil {
			format.Report(w, err)
		}
	}}
}

// TestHeldFileLeavesBySendfile looks at what net/http is asked to do below the middleware: a body that is copied through
// a buffer would arrive by Write.
func TestHeldFileLeavesBySendfile(t *testing.T) {
	const size = 9<<20 + 17 // more than two chunks
	_, sum, f := file(t, size)
	s, log := start(t, Settings{}, public("alpha", f))
	l := listen(t)
	counted := &countedListener{TCPListener: l}
	idle := make(chan struct{}, 1) // the handler has ended: what it sent is counted
	h := &http.Server{Handler: s, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			idle <- struct{}{}
		}
	}}
	go h.Serve(counted)
	defer h.Close()
	for _, c := range []struct {
		name, byteRange string
		want            int64
	}{{"whole", "", size}, {"range", "bytes=100-5000000", 4999901}} {
		counted.byFile.Store(0)
		req, _ := http.NewRequest("GET", "http://"+l.Addr().String()+"/alpha/x", nil)
		if c.byteRange != "" {
			req.Header.Set("Range", c.byteRange)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got := sha256.New()
		n, err := io.Copy(got, resp.Body)
		resp.Body.Close()
		<-idle
		if err != nil || n != c.want {
			t.Errorf("%s: read %d bytes, %v; want %d", c.name, n, err, c.want)
		}
		if c.byteRange == "" && [32]byte(got.Sum(nil)) != sum {
			t.Errorf("%s: other bytes arrived", c.name)
		}
		// net/http copies the first 512 bytes itself, with the header.
		if by := counted.byFile.Load(); by < c.want-4096 {
			t.Errorf("%s: %d of %d bytes were given to the connection as a file; the rest was copied", c.name, by, c.want)
		}
	}
	if !strings.Contains(log.String(), fmt.Sprintf(`"bytes":%d`, size)) {
		t.Errorf("the log does not count the bytes that left by sendfile: %s", log)
	}
}

// A countedListener's connections count what they are asked to send from a file.
type countedListener struct {
	*net.TCPListener
	byFile atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return &countedConn{c, l}, nil
}

type countedConn struct {
	*net.TCPConn
	l *countedListener
}

func (c *countedConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			c.l.byFile.Add(n)
		}
	}
	return n, err
}

// TestGateConnIsATCPConn is what sendfile needs of the connections of the real listener.
func TestGateConnIsATCPConn(t *testing.T) {
	var c net.Conn = &conn{}
	if _, ok := c.(io.ReaderFrom); !ok {
		t.Error("connections of the gate have no ReadFrom: files would be copied")
	}
}

func TestBodyOverTLSAndHTTP2(t *testing.T) {
	const size = 5<<20 + 3
	_, sum, f := file(t, size)
	a, err := OpenAuthority(t.TempDir(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, Settings{}, public("alpha", f))
	addr, _ := serve(t, s, Listening{TLS: a.Config()})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	for _, h2 := range []bool{true, false} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: h2}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get("https://" + addr + "/alpha/x")
		if err != nil {
			t.Fatalf("h2=%t: %v", h2, err)
		}
		got := sha256.New()
		_, err = io.Copy(got, resp.Body)
		resp.Body.Close()
		if want := map[bool]int{true: 2, false: 1}[h2]; err != nil || resp.ProtoMajor != want || [32]byte(got.Sum(nil)) != sum {
			t.Errorf("h2=%t: HTTP/%d, %v, same bytes %t; want HTTP/%d and the same bytes", h2, resp.ProtoMajor, err, [32]byte(got.Sum(nil)) == sum, want)
		}
	}
}

// TestDeadClientIsCutAndSlowOneLives: one client takes nothing of a body larger than the kernel's buffers, the other takes
// it slowly, but for longer in all than a client may be silent.
func TestDeadClientIsCutAndSlowOneLives(t *testing.T) {
	const size = 32 << 20
	_, sum, f := file(t, size)
	s, _ := start(t, Settings{}, public("alpha", f))
	s.patience = 300 * time.Millisecond
	ended := make(chan error, 2)
	p := s.table.Load().order[0]
	inner := p.handler
	p.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause != nil {
				ended <- errors.New("cut")
				panic(cause)
			}
			ended <- nil
		}()
		inner.ServeHTTP(w, r)
	})
	addr, _ := serve(t, s, Listening{})
	ask := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).SetReadBuffer(64 << 10)
		fmt.Fprintf(c, "GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		return c
	}

	dead := ask()
	defer dead.Close()
	if err := <-ended; err == nil {
		t.Errorf("the client that took nothing was sent %d bytes to the end", size)
	}

	slow := ask()
	defer slow.Close()
	begun := time.Now()
	resp, err := http.ReadResponse(bufio.NewReaderSize(slow, 64<<10), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := sha256.New()
	pace := time.NewTicker(40 * time.Millisecond) // 32 steps of 1 MiB: more than four times the patience
	defer pace.Stop()
	for err == nil {
		<-pace.C
		_, err = io.CopyN(got, resp.Body, 1<<20)
	}
	if err != io.EOF || [32]byte(got.Sum(nil)) != sum {
		t.Errorf("the slow client got %v after %s, the right bytes: %t; want all of them", err, time.Since(begun), [32]byte(got.Sum(nil)) == sum)
	}
	if err := <-ended; err != nil {
		t.Errorf("the slow client was cut")
	}
}

// TestSlowClientTakesOneLargeWrite: a client lives that takes what its handler gave in one piece, such as an index in memory, in
// several times as long as it may be silent; with TLS as without.
func TestSlowClientTakesOneLargeWrite(t *testing.T) {
	const size, patience = 12 << 20, time.Second
	a, err := OpenAuthority(t.TempDir(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	for name, c := range map[string]struct {
		listening Listening
		over      func(net.Conn) net.Conn
	}{
		"clear": {Listening{}, func(c net.Conn) net.Conn { return c }},
		"TLS": {Listening{TLS: a.Config()}, func(c net.Conn) net.Conn {
			return tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
				w.Write(make([]byte, size))
			}}))
			s.patience = patience
			addr, _ := serve(t, s, c.listening)
			tcp, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer tcp.Close()
			tcp.(*net.TCPConn).SetReadBuffer(64 << 10)
			conn := c.over(tcp)
			fmt.Fprintf(conn, "GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got int64
			pace := time.NewTicker(patience / 10) // 48 steps: nearly five times the patience
			defer pace.Stop()
			for err == nil {
				<-pace.C
				var n int64
				n, err = io.CopyN(io.Discard, resp.Body, size/48)
				got += n
			}
			if err != io.EOF || got != size {
				t.Errorf("the client got %d bytes of %d, %v", got, size, err)
			}
		})
	}
}

// TestStopLetsRequestsEnd: a request under way when the server is told to stop is answered whole, the server is unready
// meanwhile, and nobody new is let in.
func TestStopLetsRequestsEnd(t *testing.T) {
	working, goOn := make(chan struct{}), make(chan struct{})
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		close(working)
		<-goOn
		io.WriteString(w, "whole")
	}}))
	addr, stop := serve(t, s, Listening{})
	type result struct {
		body string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		resp, err := http.Get("http://" + addr + "/alpha/x")
		if err != nil {
			results <- result{err: err}
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		results <- result{string(b), err}
	}()
	<-working
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for get(t, s, "/-/readyz").Code == 200 {
		// until stop has begun: unready comes first
	}
	close(goOn)
	if r := <-results; r.err != nil || r.body != "whole" {
		t.Errorf("the request under way got %q, %v; want it whole", r.body, r.err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("somebody was let in after the stop")
	}
}

func TestStopCutsWhatDoesNotEnd(t *testing.T) {
	working := make(chan struct{})
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		close(working)
		<-r.Context().Done()
	}}))
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, Listening{Drain: time.Millisecond}) }()
	go http.Get("http://" + l.Addr().String() + "/alpha/x") // its error is the cut
	<-working
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "were cut") {
		t.Errorf("Serve = %v, want the words that requests were cut", err)
	}
}

// TestGateMakesRoom: with room for two, a third client takes the place of one who is idle.
func TestGateMakesRoom(t *testing.T) {
	s, _ := start(t, Settings{Metrics: true}, public("alpha", echo{name: "one"}))
	addr, _ := serve(t, s, Listening{Most: 2})
	ask := func(c net.Conn) error {
		fmt.Fprintf(c, "GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	for i := range 20 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() // all stay open and idle on the client's side
		if err := ask(c); err != nil {
			t.Fatalf("client %d of 20, with room for 2: %v", i, err)
		}
	}
	if open := strings.Contains(get(t, s, "/-/metrics").Body.String(), "millpond_connections 2"); !open {
		t.Errorf("after 20 idle clients the open connections are not 2:\n%s", ours(get(t, s, "/-/metrics").Body.String()))
	}
}

// TestClientsThatNeverAskAreCut is F23: connections that send a byte of a header and then nothing are closed, and meanwhile others
// are served though every place is taken. With -long they are 5,000.
func TestClientsThatNeverAskAreCut(t *testing.T) {
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one"}))
	s.headers = 50 * time.Millisecond
	clients, places := 12, 4
	if *long {
		clients, places = 5000, 1000
	}
	addr, _ := serve(t, s, Listening{Most: places})
	var lame []net.Conn
	for range clients {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /alpha/x HTT")
		lame = append(lame, c)
	}
	resp, err := http.Get("http://" + addr + "/alpha/x")
	if err != nil {
		t.Fatalf("behind %d clients that never ask, with room for %d: %v", clients, places, err)
	}
	resp.Body.Close()
	for i, c := range lame {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("client %d, which never asked, is still connected", i)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one"}))
	addr, _ := serve(t, s, Listening{})
	for name, req := range map[string]string{
		"64 KiB path":           "GET /alpha/" + strings.Repeat("a", 70<<10) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"huge header":           "GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + strings.Repeat("a", 70<<10) + "\r\n\r\n",
		"two lengths":           "POST /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"length and odd coding": "POST /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nTransfer-Encoding: xchunked\r\n\r\nx",
		"no host":               "GET /alpha/x HTTP/1.1\r\n\r\n",
		"control in path":       "GET /alpha/\x01x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(c, req) // the server may answer before it has read all
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s: %v, want a 4xx", name, err)
		} else if resp.StatusCode < 400 || resp.StatusCode >= 500 && resp.StatusCode != 501 {
			t.Errorf("%s: %d, want it refused", name, resp.StatusCode)
		}
		c.Close()
	}
}

func TestLimits(t *testing.T) {
	root := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("a/memory.max", "268435456\n")
	put("a/b/memory.max", "max\n")
	put("memory/docker/x/memory.limit_in_bytes", "536870912\n")
	put("memory/memory.limit_in_bytes", "9223372036854771712\n")
	for _, c := range []struct {
		name, group string
		want        int64
	}{
		{"version 2, limit of the parent", "0::/a/b\n", 268435456},
		{"version 2, none", "0::/c\n", 0},
		{"version 1", "5:cpu:/x\n4:memory:/docker/x\n", 536870912},
		{"version 1, none", "4:memory:/\n", 0},
		{"nonsense", "nonsense", 0},
	} {
		if got := memoryLimit(root, c.group); got != c.want {
			t.Errorf("%s: memoryLimit(%q) = %d, want %d", c.name, c.group, got, c.want)
		}
	}
	for _, c := range []struct{ memory, descriptors, want int64 }{
		{256 << 20, 1 << 20, 3276}, {64 << 30, 1 << 20, 16384}, {0, 128, 64}, {0, 0, 16384}, {1 << 20, 10, 16},
	} {
		if got := connectionsFor(c.memory, c.descriptors); got != int(c.want) {
			t.Errorf("connectionsFor(%d, %d) = %d, want %d", c.memory, c.descriptors, got, c.want)
		}
	}
}

func TestLinesAreWholeAndSurviveAFullDisk(t *testing.T) {
	w := &fullDisk{}
	l := NewLines(w)
	w.full = true
	fmt.Fprintln(l, "lost")
	l.Flush()
	w.full = false
	line := strings.Repeat("x", 40<<10) + "\n"
	l.Write([]byte(line))
	l.Write([]byte(line))
	l.Flush()
	if got, want := w.String(), line+line; got != want {
		t.Errorf("after the disk had room again, %d bytes were written, want %d", len(got), len(want))
	}
	for i, n := range w.writes {
		if n != len(line) {
			t.Errorf("write %d had %d bytes: lines were split", i, n)
		}
	}
}

type fullDisk struct {
	bytes.Buffer
	full   bool
	writes []int
}

func (w *fullDisk) Write(b []byte) (int, error) {
	if w.full {
		return 0, errors.New("no space left on device")
	}
	w.writes = append(w.writes, len(b))
	return w.Buffer.Write(b)
}

// TestStopGivesNotice: whoever stops says so first, and answers as before while a front server looks elsewhere.
func TestStopGivesNotice(t *testing.T) {
	_, _, f := file(t, 10)
	s, _ := start(t, Settings{}, public("alpha", f))
	s.SetReady("")
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, Listening{Notice: time.Hour}) }()
	status := func(path string) int {
		t.Helper()
		resp, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := status("/-/readyz"); got != http.StatusOK {
		t.Errorf("before: readyz answers %d, want 200", got)
	}
	cancel()
	for range 1000 {
		if status("/-/readyz") != http.StatusOK {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if ready, file := status("/-/readyz"), status("/alpha/x"); ready != http.StatusServiceUnavailable || file != http.StatusOK {
		t.Errorf("during the notice: readyz answers %d and a file %d, want 503 and 200", ready, file)
	}
	l.Close()
	if err := <-done; err == nil {
		t.Error("the listener is gone, and Serve returned no error")
	}
}
