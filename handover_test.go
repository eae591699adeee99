package millpond_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A supervisor has the pond's socket, hands it to each process, and hears how they are.
type supervisor struct {
	*victim
	says *net.UnixConn
}

// supervised is a victim whose socket the test keeps.
func supervised(t *testing.T) *supervisor {
	s := &supervisor{victim: newVictim(t)}
	l, err := net.Listen("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if s.socket, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	l.Close() // a copy
	t.Cleanup(func() { s.socket.Close() })
	s.manager = s.path("notify")
	if s.says, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.manager, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.says.Close() })
	return s
}

// hears waits until a process says so.
func (s *supervisor) hears(words string) {
	s.t.Helper()
	b := make([]byte, 4096)
	s.says.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for {
		n, err := s.says.Read(b)
		if err != nil {
			s.t.Fatalf("in vain waited to hear %q: %v; the pond said:\n%s", words, err, s.log())
		}
		if strings.Contains(string(b[:n]), words) {
			return
		}
	}
}

// stop tells a process to stop, and ended waits until it has, in good order.
func (s *supervisor) stop() (ended func()) {
	s.t.Helper()
	process, over := s.process, s.ended
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		<-over
		if code := process.ProcessState.ExitCode(); code != 0 {
			s.t.Errorf("a process that was told to stop ended with %d, want 0; the pond said:\n%s", code, s.log())
		}
	}
}

// P06: a hundred clients read and publish without a pause while one process takes the pond over from another: once after it has
// ended, and once started while it still served. None of more than ten thousand requests fails.
//
// The clients are net/http's as it comes: most keep their connections, some open one for each request, and one that finds its
// connection closed before any of the answer has come sends a request without a body once more by itself, as pip, npm and go do.
// A publish is sent once.
func TestP06HandOver(t *testing.T) {
	t.Parallel()
	s := supervised(t)
	s.setUp()
	s.hears("READY=1")
	var held []string
	for _, file := range s.files {
		if len(s.cold[file].body) > 50_000 {
			continue
		}
		held = append(held, file)
		s.served(s.cold[file].name, file, s.cold[file].body)
	}
	var asked, published, failed atomic.Int64
	const enough = 10_000
	over := make(chan struct{})
	var clients sync.WaitGroup
	run := func(i int, client *http.Client, send func(*http.Client, int) error) {
		clients.Go(func() {
			defer client.CloseIdleConnections()
			for n := i; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				asked.Add(1)
				if err := send(client, n); err != nil {
					if failed.Add(1) < 10 {
						t.Errorf("client %d, request %d: %v", i, n, err)
					}
				}
			}
		})
	}
	for i := range 100 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%5 == 0}}
		if i%20 != 1 {
			run(i, client, func(c *http.Client, n int) error {
				file := held[n%len(held)]
				if n%4 == 0 {
					return s.answers(c, "GET", "/pypi/simple/"+s.cold[file].name+"/", nil, func(page []byte) bool { return bytes.Contains(page, []byte(file)) })
				}
				return s.answers(c, "GET", "/pypi/packages/"+s.cold[file].name+"/-/"+file, nil, func(b []byte) bool { return bytes.Equal(b, s.cold[file].body) })
			})
			continue
		}
		run(i, client, func(c *http.Client, n int) error {
			file, body, _, err := wheel(good{name: fmt.Sprintf("ours-%d", i), version: fmt.Sprintf("1.%d", n), size: 1000})
			if err != nil {
				return err
			}
			published.Add(1)
			return s.answers(c, "POST", "/-/api/repositories/pypi/publish/"+file, body, func([]byte) bool { return true })
		})
	}
	reached := func(n int64) {
		s.lookUntil(fmt.Sprintf("%d requests were sent", n), func() bool { return asked.Load() >= n })
	}
	reached(enough / 4)
	s.stop()()
	s.begin()
	s.hears("READY=1")
	reached(asked.Load() + enough/4)

	process, over2 := s.process, s.ended
	s.begin()
	s.hears("STATUS=waits: the data directory")
	reached(asked.Load() + enough/20) // the old one serves on meanwhile
	s.process, process = process, s.process
	s.ended, over2 = over2, s.ended
	ended := s.stop()
	s.process, s.ended = process, over2
	s.hears("READY=1")
	ended()
	reached(max(enough, asked.Load()+enough/4))
	close(over)
	clients.Wait()
	if n := failed.Load(); n > 0 {
		said := s.log()
		t.Errorf("%d of %d requests failed, want none; at last the pond said:\n%s", n, asked.Load(), said[max(0, len(said)-4000):])
	}
	t.Logf("%d requests, %d of them published", asked.Load(), published.Load())
	s.stop()()
	s.hears("STOPPING=1")
}

// answers sends one request, which must be answered with 200 and what is right.
func (s *supervisor) answers(c *http.Client, method, path string, body []byte, right func([]byte) bool) error {
	req, err := http.NewRequest(method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if method == "POST" {
		req.Header.Set("Authorization", "Bearer "+s.publisher)
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !right(got) {
		return fmt.Errorf("%s %s: %d, %d bytes %.200q, %v", method, path, resp.StatusCode, len(got), got, err)
	}
	return nil
}
