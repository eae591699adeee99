// Package faulty is an upstream that misbehaves on order, for tests of everything that reads from one.
//
// A Server on loopback answers with the objects put into it, as a good server does: with length, entity tag, conditions
// and ranges. Order tells it what to do instead with the requests of a path, one verb for each request:
//
//	s := faulty.New(t)
//	s.Put("/f.tgz", faulty.Object{Body: tgz, ETag: `"1"`})
//	s.Order("/f.tgz", "cut 1000", "ok", "500 x3", "always lie")
//
// cuts the first answer after 1,000 bytes, gives the second as it is, answers the next three with 500, and flips a bit in
// all others. The verbs; N is a number of bytes of the body, D a duration like 50ms:
//
//	ok                 nothing out of order
//	cut N              close the connection after N bytes, though the length said more or the chunks have no end
//	close N            announce no length, and close the connection in good order after N bytes
//	extra N            send N bytes more than the length announced
//	reset N            reset the connection after N bytes
//	stall N            send nothing more after N bytes, and leave the connection open
//	drip N D           send N bytes each D
//	slow D             wait before the header
//	hang               send no header at all
//	refuse             reset the connection before the header; Refuse is for the whole server
//	STATUS [SECONDS]   answer with a status, and a Retry-After
//	redirect URL       answer 302; a URL without a host is one of this server
//	html-200           answer with a page of html, as a captive portal does
//	listing            answer with a directory listing
//	empty-200          answer 200 with nothing
//	304-bare           answer 304, whatever was asked
//	206-plain          answer 206 with the first half, whatever was asked
//	gzip-body          send the body with Content-Encoding: gzip, whatever was asked
//	zstd-body          the same with zstd
//	gzip-label         say Content-Encoding: gzip of a body that is sent as it is
//	lie                flip the lowest bit of the middle byte
//	no-range           ignore a Range
//	replace            from now on the object has other bytes of the same length, and another tag
//	change-mid-resume  replace, but let a request without Range pass first
//	swap               put in place all that was staged, and answer with what was there
//	back               answer with the object that was there before the last Put
//	vanish             the object is gone from now on
//	big N              answer with N bytes of text, without a length
//	bomb N             answer with N zeros, packed by gzip
//	loop               answer as the very pond would that asks
//
// Any verb takes " xN" behind it, for N requests, and "always " before it, for all requests from then on.
package faulty

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// An Object is what a path answers.
type Object struct {
	Body     []byte
	At       io.ReaderAt // instead of Body, for large ones; Size then says how large
	Size     int64
	Type     string // Content-Type; "" is application/octet-stream
	ETag     string // quoted, as it is sent
	Modified time.Time
	Header   http.Header // further headers
	Chunked  bool        // announce no length
	NoRange  bool        // ignore Range
}

func (o *Object) size() int64 {
	if o.At != nil {
		return o.Size
	}
	return int64(len(o.Body))
}

func (o *Object) at() io.ReaderAt {
	if o.At != nil {
		return o.At
	}
	return bytes.NewReader(o.Body)
}

// A Server is an upstream. All its methods may be called by many goroutines.
type Server struct {
	URL string // "http://127.0.0.1:4711", without a slash at its end
	CA  []byte // the PEM of the authority behind a TLS server

	http *http.Server
	addr string
	stop chan struct{} // closed by Close
	tls  bool

	mu       sync.Mutex // guards the fields below
	listener net.Listener
	conns    map[net.Conn]bool
	accepted int
	objects  map[string]Object
	before   map[string]Object // what the last Put replaced
	staged   map[string]Object
	handlers map[string]http.Handler
	orders   map[string][]verb
	gates    map[string][]*Gate
	requests []Request
	sent     int64
	serving  sync.WaitGroup
	inside   sync.WaitGroup // of answers
	end      sync.Once
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server { return NewTLS(t, Plain) }

// NewTLS starts a server with that kind of certificate, which ends with the test.
func NewTLS(t testing.TB, kind TLS) *Server {
	t.Helper()
	s, err := Start(kind)
	if err != nil {
		t.Fatalf("start a faulty server: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(kind TLS) (*Server, error) {
	s := &Server{stop: make(chan struct{}), conns: map[net.Conn]bool{}, objects: map[string]Object{},
		before: map[string]Object{}, staged: map[string]Object{}, handlers: map[string]http.Handler{},
		orders: map[string][]verb{}, gates: map[string][]*Gate{}}
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: log.New(io.Discard, "", 0), ConnState: s.connState}
	s.URL = "http://"
	if kind != Plain {
		config, ca, err := certificate(kind)
		if err != nil {
			return nil, err
		}
		s.http.TLSConfig, s.CA, s.tls, s.URL = config, ca, true, "https://"
		if kind != HTTP2 {
			s.http.Protocols = new(http.Protocols)
			s.http.Protocols.SetHTTP1(true)
		}
	}
	l, err := Listen()
	if err != nil {
		return nil, err
	}
	s.addr = l.Addr().String()
	s.URL += s.addr
	s.accept(l)
	return s, nil
}

// Listen takes a port of loopback that no other program takes while it is closed for a while: it is none of those that
// the system gives to the clients' ends of connections, and to whoever asks for any.
func Listen() (l net.Listener, err error) {
	const first, last = 10000, 32000
	for range 200 {
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first))); err == nil {
			return l, nil
		}
	}
	return nil, err
}

func (s *Server) accept(l net.Listener) {
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	s.serving.Go(func() {
		if s.tls {
			s.http.ServeTLS(l, "", "")
		} else {
			s.http.Serve(l)
		}
	})
}

func (s *Server) connState(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[c] = true
		s.accepted++
	case http.StateClosed:
		delete(s.conns, c)
	}
}

// Close ends the server and all its answers.
func (s *Server) Close() {
	s.end.Do(func() {
		close(s.stop)
		s.Refuse()
		s.http.Close()
		s.serving.Wait()
		s.inside.Wait()
	})
}

// Refuse lets connections be refused until Accept, and closes those there are.
func (s *Server) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
}

// Accept takes connections again.
func (s *Server) Accept() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.accept(l)
	return nil
}

// Put places an object at a path, which begins with a slash and is as a client sends it, escapes and all. A path with a
// query is for requests with that query; the others answer whatever the query is.
func (s *Server) Put(path string, o Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(path, o)
}

func (s *Server) put(path string, o Object) {
	if old, ok := s.objects[path]; ok {
		s.before[path] = old
	}
	s.objects[path] = o
}

// Stage prepares an object that the verb swap puts in place.
func (s *Server) Stage(path string, o Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged[path] = o
}

// Remove takes an object away.
func (s *Server) Remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, path)
}

// Handle lets a path be answered by a handler. Verbs that act before the answer apply to it too.
func (s *Server) Handle(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[path] = h
}

// Order replaces the orders of a path. The path "*" is for every path without orders of its own. It panics on a verb that
// does not exist.
func (s *Server) Order(path string, verbs ...string) {
	parsed, err := parseVerbs(verbs)
	if err != nil {
		panic("faulty: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[path] = parsed
}

// Command is Put, Order and the rest for a script: "put PATH FILE [TYPE]", "order PATH VERB…", "remove PATH", "refuse",
// "accept", "count METHOD PATH N".
func (s *Server) Command(args ...string) error {
	switch {
	case len(args) >= 3 && args[0] == "put":
		b, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		o := Object{Body: b, ETag: tagOf(b)}
		if len(args) > 3 {
			o.Type = args[3]
		}
		s.Put(args[1], o)
	case len(args) >= 2 && args[0] == "order":
		if _, err := parseVerbs(args[2:]); err != nil {
			return err
		}
		s.Order(args[1], args[2:]...)
	case len(args) == 2 && args[0] == "remove":
		s.Remove(args[1])
	case len(args) == 1 && args[0] == "refuse":
		s.Refuse()
	case len(args) == 1 && args[0] == "accept":
		return s.Accept()
	case len(args) == 4 && args[0] == "count":
		if got := fmt.Sprint(s.Count(args[1], args[2])); got != args[3] {
			return fmt.Errorf("%s %s was asked %s times, not %s", args[1], args[2], got, args[3])
		}
	default:
		return fmt.Errorf("no command %q", strings.Join(args, " "))
	}
	return nil
}
