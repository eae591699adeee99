package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// S41: a request that two servers on the way could read as different ones is refused, and nothing behind it on that connection
// is taken for a request.
func TestS41Smuggling(t *testing.T) {
	var asked atomic.Int64
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "smuggled") {
			asked.Add(1)
		}
		io.Copy(io.Discard, r.Body)
	}}))
	addr, _ := serve(t, s, Listening{})
	const smuggled = "GET /alpha/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	for name, header := range map[string]string{
		"a blank before the colon":    "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"a control character":         "Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"a coding that is none":       "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"two codings":                 "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"two lengths in one":          "Content-Length: 0, 5\r\n\r\n",
		"two lengths":                 "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
		"a length with a sign":        "Content-Length: +5\r\n\r\nxxxxx",
		"a length in hexadecimal":     "Content-Length: 0x5\r\n\r\nxxxxx",
		"a length that is too long":   "Content-Length: 18446744073709551621\r\n\r\nxxxxx",
		"a chunk that is too long":    "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nxxxxx\r\n0\r\n\r\n",
		"a chunk with a sign":         "Transfer-Encoding: chunked\r\n\r\n+5\r\nxxxxx\r\n0\r\n\r\n",
		"a chunk that ends elsewhere": "Transfer-Encoding: chunked\r\n\r\n5\r\nxxxxxyy0\r\n\r\n",
		"a name with a line feed":     "X\n: y\r\nContent-Length: 0\r\n\r\n",
		"no colon":                    "Content-Length 5\r\n\r\n",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "POST /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"+header+smuggled+smuggled); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		all, err := io.ReadAll(c)
		if n := asked.Swap(0); n > 0 {
			t.Errorf("%s: what stands behind it was taken for a request: %q", name, all)
		}
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: the connection stays open; it said %q", name, all)
		}
		c.Close()
	}
}

// S02: what stands in the body of a GET decides nothing, and is no request of its own.
func TestS02BodyOnGet(t *testing.T) {
	var asked atomic.Int64
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.EscapedPath())
	}}))
	addr, _ := serve(t, s, Listening{})
	const inside = "GET /alpha/evil HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	for name, q := range map[string]string{
		"a length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(inside), inside),
		"chunks":   fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(inside), inside),
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		asked.Store(0)
		if _, err := io.WriteString(c, "GET /alpha/good HTTP/1.1\r\nHost: 127.0.0.1\r\n"+q+"GET /alpha/next HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		for _, want := range []string{"GET /good", "GET /next"} {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, want, err)
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != 200 || string(body) != want {
				t.Errorf("%s: got %d %q, want %q", name, resp.StatusCode, body, want)
			}
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("%s: %d requests were answered, want 2", name, n)
		}
	}
}

// S41: of a client of HTTP/2 that begins requests and takes them back at once never more are under way than a connection may
// have, and one whose headers never end is cut off. Another client is answered meanwhile.
func TestS41HTTP2Floods(t *testing.T) {
	a, err := OpenAuthority(t.TempDir(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var now, most atomic.Int64
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if strings.Contains(r.URL.Path, "slow") {
			<-r.Context().Done()
		}
	}}))
	addr, _ := serve(t, s, Listening{TLS: a.Config()})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	connect := func() (*tls.Conn, *http2.Framer) {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
			t.Fatal(err)
		}
		f := http2.NewFramer(c, c)
		if err := f.WriteSettings(); err != nil {
			t.Fatal(err)
		}
		return c, f
	}
	headers := func() []byte {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", addr}, {":path", "/alpha/slow"}} {
			e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
		}
		return b.Bytes()
	}
	alive := func(what string) {
		t.Helper()
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get("https://" + addr + "/alpha/x")
		if err != nil {
			t.Fatalf("%s: another client: %v", what, err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: another client: %d", what, resp.StatusCode)
		}
	}
	c, f := connect()
	go io.Copy(io.Discard, c)
	block := headers()
	for id := uint32(1); id < 10_001; id += 2 {
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true}) != nil ||
			f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	alive("requests that are taken back")
	if n := most.Load(); n > 250 {
		t.Errorf("%d requests were under way at once, want 250 at most", n)
	}

	_, f = connect()
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers()}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: "x-more", Value: strings.Repeat("a", 4000), Sensitive: true})
	for range 20_000 {
		if f.WriteContinuation(1, false, b.Bytes()) != nil {
			break
		}
	}
	for { // until the server ends the connection
		_, err := f.ReadFrame()
		if _, ok := err.(http2.StreamError); ok || err == nil {
			continue
		}
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Error("headers without end: the connection is not cut")
		}
		break
	}
	alive("headers without end")
}
