package faulty

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Request is one that came in.
type Request struct {
	Method, Path, Query string // the path as it was sent
	Header              http.Header
	Host                string
	Proto               string
}

// Requests are those that came in for a path, oldest first; all, if the path is "".
func (s *Server) Requests(path string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path == "" {
		return slices.Clone(s.requests)
	}
	var rs []Request
	for _, r := range s.requests {
		if r.Path == path {
			rs = append(rs, r)
		}
	}
	return rs
}

// Count is how many requests came in; an empty method or path is any.
func (s *Server) Count(method, path string) int {
	n := 0
	for _, r := range s.Requests(path) {
		if method == "" || r.Method == method {
			n++
		}
	}
	return n
}

// Want fails the test unless exactly n requests came in for a path; for any, if the path is "".
func (s *Server) Want(t testing.TB, path string, n int) {
	t.Helper()
	if got := s.Count("", path); got != n {
		var b strings.Builder
		for _, r := range s.Requests(path) {
			fmt.Fprintf(&b, "\n\t%s %s Range %q If-None-Match %q", r.Method, r.Path, r.Header.Get("Range"), r.Header.Get("If-None-Match"))
		}
		t.Errorf("upstream was asked %d times for %q, want %d:%s", got, path, n, b.String())
	}
}

// Forget drops the record of requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.sent, s.accepted = nil, 0, 0
}

// Sent is how many bytes of bodies were sent.
func (s *Server) Sent() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// Connections is how many connections were accepted.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// A Gate holds back an answer.
type Gate struct {
	// Reached is closed when an answer has sent all that is before the gate.
	Reached <-chan struct{}

	path    string
	at      int64
	reached chan struct{}
	open    chan struct{}
	arrive  sync.Once
	pass    sync.Once
}

// Open lets all answers pass, now and later.
func (g *Gate) Open() { g.pass.Do(func() { close(g.open) }) }

// Gate holds all answers to requests of a path when they have sent the bytes of the object before an offset. At 0 the
// header is sent and held with the rest.
func (s *Server) Gate(path string, at int64) *Gate {
	g := &Gate{path: path, at: at, reached: make(chan struct{}), open: make(chan struct{})}
	g.Reached = g.reached
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates[path] = append(s.gates[path], g)
	return g
}

// Noise is n bytes that look random and are the same for the same seed, without needing the memory.
func Noise(seed uint64, n int64) io.ReaderAt { return io.NewSectionReader(noise(seed), 0, n) }

type noise uint64

func (s noise) ReadAt(p []byte, off int64) (int, error) {
	var word [8]byte
	for i := 0; i < len(p); {
		x := uint64(s) + uint64(off/8+1)*0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		if off%8 == 0 && len(p)-i >= 8 {
			binary.LittleEndian.PutUint64(p[i:], x^x>>31)
			i, off = i+8, off+8
			continue
		}
		binary.LittleEndian.PutUint64(word[:], x^x>>31)
		k := copy(p[i:], word[off%8:])
		i, off = i+k, off+int64(k)
	}
	return len(p), nil
}

func tagOf(b []byte) string { return fmt.Sprintf(`"%x"`, sha256.Sum256(b))[:18] + `"` }
