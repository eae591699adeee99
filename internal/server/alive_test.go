package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// quick makes a server's loops show often that they move, and says so of one that does not for a short while.
func quick(s *Server) { s.beat, s.still = 5*time.Millisecond, 200*time.Millisecond }

// until asks for a health check again and again, of which nothing else tells, until it answers so.
func until(t *testing.T, s *Server, name, path string, status int, words string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		r := get(t, s, path)
		if r.Code == status && strings.Contains(r.Body.String(), words) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s = %d %q; want %d and %q", name, path, r.Code, r.Body, status, words)
		}
	}
}

// TestLoopThatAcceptsIsSeen: the loop shows by itself that it moves, while nobody comes and while there is no room; when it
// cannot go on the process is not alive, until it can.
func TestLoopThatAcceptsIsSeen(t *testing.T) {
	working, goOn := make(chan struct{}), make(chan struct{})
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		close(working)
		<-goOn
	}}))
	quick(s)
	addr, _ := serve(t, s, Listening{Most: 1})
	<-s.entrances.begun
	gate := s.main().gate
	moves := func(when string) {
		t.Helper()
		for range 3 {
			last := gate.moved.Load()
			for end := time.Now().Add(20 * time.Second); gate.moved.Load() == last; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s the loop does not show that it moves", when)
				}
			}
		}
	}
	moves("while nobody comes")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := http.Get("http://" + addr + "/alpha/x"); err == nil { // takes the only place
			resp.Body.Close()
		}
	}()
	<-working
	gate.hall.mu.Lock() // as something would that never comes back
	second, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	until(t, s, "a loop that cannot go on", "/-/livez", 503, "not alive: nothing has been accepted at "+addr)
	gate.hall.mu.Unlock()
	until(t, s, "once it can", "/-/livez", 200, "ok")
	moves("while there is no room")
	second.Close()
	close(goOn)
	<-ended
}

// main is the listener of Serve; nil before there is one.
func (s *Server) main() *entrance {
	s.entrances.mu.Lock()
	defer s.entrances.mu.Unlock()
	return s.entrances.main
}

// TestWriterThatIsStuck: it makes the process one that is not alive. A disk that is slow does not: it is told by readyz.
func TestWriterThatIsStuck(t *testing.T) {
	s, _ := start(t, Settings{})
	w := s.parts.Pond.(*water)
	w.stuck = errors.New("the writer of catalog.db has not moved for 6s")
	until(t, s, "stuck", "/-/livez", 503, "not alive: the writer of catalog.db has not moved for 6s")
	w.stuck = nil
	w.stats.Writing.Since = 12 * time.Second
	until(t, s, "slow", "/-/livez", 200, "ok")
	s.figures.Store(nil) // a stale figure
	until(t, s, "slow", "/-/readyz?verbose", 200, "degraded catalog    the disk has been busy with one write for 12s")
}

// TestLastAnswers: a client whose connection is idle when the server stops is answered once more, and told that it was the last
// time; what comes to the address then is not accepted.
func TestLastAnswers(t *testing.T) {
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one"}))
	l := listen(t)
	kept, err := l.File() // whoever started the server has the socket too
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	addr := l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, Listening{Linger: time.Hour}) }()
	client := &http.Client{Transport: &http.Transport{}}
	ask := func() (closes bool) {
		t.Helper()
		resp, err := client.Get("http://" + addr + "/alpha/x")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || !strings.HasPrefix(string(body), "one /x") {
			t.Fatalf("GET /alpha/x = %s %q, %v", resp.Status, body, err)
		}
		return resp.Close
	}
	if ask() {
		t.Error("before the stop the answer says that it is the last")
	}
	stop()
	for !s.leaving.Load() {
		time.Sleep(time.Millisecond)
	}
	if !ask() {
		t.Error("after the stop the answer on an open connection does not say that it is the last")
	}
	if err := <-done; err != nil { // it has waited for that request, and for nothing else
		t.Errorf("Serve: %v", err)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the socket that somebody else has too: %v; want a connection that waits", err)
	}
	c.Close()
}
