package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millpond/internal/http1"
)

// A Door is a listener of a repository's own, where that repository is the root.
type Door struct {
	Address  string // as the repository's Config.Listen has it: which repository it is, the configuration says
	Listener *net.TCPListener
	Plain    bool // it speaks plain http though the server has TLS
}

// A door is a Door, as its requests know it.
type door struct {
	address  string
	port     string
	loopback bool
}

func newDoor(d Door) *door {
	out := &door{address: d.Address}
	if at, ok := d.Listener.Addr().(*net.TCPAddr); ok {
		out.port, out.loopback = fmt.Sprint(at.Port), at.IP.IsLoopback()
	}
	return out
}

// An entrance is a listener that is being served.
type entrance struct {
	http *http1.Server
	gate *gate
	done chan struct{} // closed when it accepts no more
	shut atomic.Bool   // its listener was closed, and its connections were not
}

// entrances are all listeners of a running server.
type entrances struct {
	mu     sync.Mutex // guards what follows; never held across I/O
	hall   *hall      // nil before the server runs
	how    Listening
	main   *entrance
	doors  map[string]*entrance
	early  []Door        // opened before the server runs
	begun  chan struct{} // closed when it does
	ended  bool
	failed chan error     // of a listener that ended though nobody wanted it to
	ending sync.WaitGroup // of doors that were closed
}

// Open makes these the listeners by which the server is reached besides that of Serve. One whose address is open already
// stays as it is, and its Listener may be nil; one that is not named is closed, and its requests under way may end. The
// listeners are the server's from then on.
func (s *Server) Open(doors []Door) {
	e := &s.entrances
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		for _, d := range doors {
			if d.Listener != nil {
				d.Listener.Close()
			}
		}
		return
	}
	if e.hall == nil {
		e.wait(doors)
		return
	}
	stay := map[string]bool{}
	for _, d := range doors {
		stay[d.Address] = true
		if e.doors[d.Address] == nil {
			how := e.how
			if d.Plain {
				how.TLS = nil
			}
			at := newDoor(d)
			e.doors[d.Address] = s.enter(d.Listener, how, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, at) }))
		}
	}
	for address, one := range e.doors {
		if stay[address] {
			continue
		}
		delete(e.doors, address)
		e.ending.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), e.how.Drain) // Serve waits for it
			defer cancel()
			if err := one.end(ctx); err != nil {
				s.parts.Log.Warn("requests to a listener that was closed were cut", "listen", address)
			}
		})
	}
}

// wait keeps doors until the server runs.
func (e *entrances) wait(doors []Door) {
	doors = slices.Clone(doors)
	for _, old := range e.early {
		i := slices.IndexFunc(doors, func(d Door) bool { return d.Address == old.Address })
		if i < 0 {
			old.Listener.Close() // nobody has come through it
			continue
		}
		doors[i].Listener = old.Listener
	}
	e.early = doors
}

// isOpen reports whether a listener of a repository's own is being served.
func (s *Server) isOpen(address string) bool {
	s.entrances.mu.Lock()
	defer s.entrances.mu.Unlock()
	return s.entrances.doors[address] != nil
}

// enter serves a listener, until end is called.
func (s *Server) enter(l *net.TCPListener, o Listening, h http.Handler) *entrance {
	e := &s.entrances
	g := newGate(l, e.hall)
	one := &entrance{gate: g, done: make(chan struct{}), http: http1.New(&http.Server{
		Handler:           h,
		ReadHeaderTimeout: s.headers,
		IdleTimeout:       120 * time.Second,
		WriteTimeout:      s.patience, // from the request's header; every chunk that leaves moves it on
		MaxHeaderBytes:    64 << 10,
		ConnState:         g.state,
		ErrorLog:          slog.NewLogLogger(s.parts.Log.Handler(), slog.LevelDebug), // handshakes that fail, and the like
		TLSConfig:         o.TLS,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	})}
	if o.TLS != nil {
		one.http.TLSConfig = o.TLS.Clone() // which the http.Server changes
	}
	go func() { // ends with the listener, and is waited for by end
		defer close(one.done)
		var err error
		if o.TLS != nil {
			err = one.http.ServeTLS(g, "", "")
		} else {
			err = one.http.Serve(g)
		}
		if !errors.Is(err, http.ErrServerClosed) && !one.shut.Load() {
			select {
			case e.failed <- fmt.Errorf("listen on %s: %w", l.Addr(), err):
			default: // one is enough to stop the server
			}
		}
	}()
	return one
}

// leave stops accepting: what comes waits in the kernel's queue, if somebody else has the socket too.
func (e *entrance) leave() {
	e.shut.Store(true)
	e.gate.Close()
	<-e.done
}

// end stops accepting and lets requests under way end. If they do not before ctx does they are cut, which is the error.
func (e *entrance) end(ctx context.Context) error {
	err := e.http.Shutdown(ctx)
	if err != nil {
		e.http.Close()
	}
	<-e.done
	return err
}

// Listening is how a Server is reached.
type Listening struct {
	TLS *tls.Config // nil is plain http
	// Most is how many connections are open at once; 0 is what the machine's memory and descriptors allow.
	Most int
	// Notice is how long the server goes on as usual after it has said that it is not ready, so that a front server can
	// look elsewhere.
	Notice time.Duration
	// Linger is how long connections that are idle when no more are accepted may still bring a request, whose answer is their
	// last. A client that is told so goes elsewhere; one whose connection is closed while it sends cannot know what became of
	// its request. 0 closes them at once.
	Linger time.Duration
	// Drain is how long requests under way may take to end; 0 is 30 s.
	Drain time.Duration
}

// Serve answers what comes to the listener, and to those of Open, until ctx ends. Then it says that it is not ready, stops
// accepting, lets requests under way end, for Linger those that come on open connections too, and returns nil; if they did not end in time they are cut, and the error says how
// it went.
func (s *Server) Serve(ctx context.Context, l *net.TCPListener, o Listening) error {
	if o.Most == 0 {
		o.Most = mostConnections()
	}
	if o.Drain == 0 {
		o.Drain = 30 * time.Second
	}
	e := &s.entrances
	e.mu.Lock()
	e.hall, e.how, e.doors, e.failed = newHall(o.Most, s.metrics.open), o, map[string]*entrance{}, make(chan error, 1)
	e.hall.slack, e.hall.every = s.patience/8, s.beat
	e.main = s.enter(l, o, s)
	early := e.early
	close(e.begun)
	e.mu.Unlock()
	s.Open(early)
	err := s.untilEnd(ctx, o)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain) // ctx has ended; the timeout ends this one
	defer cancel()
	return errors.Join(err, s.endAll(drain))
}

// untilEnd waits for the end of ctx, and what is to come after it, or for a listener that fails.
func (s *Server) untilEnd(ctx context.Context, o Listening) error {
	select {
	case err := <-s.entrances.failed:
		return err
	case <-ctx.Done():
	}
	s.SetReady("stopping")
	if o.Notice > 0 {
		select {
		case <-time.After(o.Notice):
		case err := <-s.entrances.failed:
			return err
		}
	}
	return nil
}

// all are the entrances that are being served.
func (e *entrances) all() []*entrance {
	var all []*entrance
	if e.main != nil {
		all = append(all, e.main)
	}
	for _, one := range e.doors {
		all = append(all, one)
	}
	return all
}

// linger closes the listeners, and gives the connections that are open time for one more request.
func (s *Server) linger(ctx context.Context, all []*entrance) {
	h := s.entrances.hall
	if s.entrances.how.Linger <= 0 {
		return
	}
	s.leaving.Store(true)
	for _, one := range all {
		one.leave()
	}
	end := time.NewTimer(s.entrances.how.Linger)
	defer end.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for len(h.slots) > 0 {
		select {
		case <-end.C:
			return
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// endAll ends every entrance, all at once.
func (s *Server) endAll(ctx context.Context) error {
	e := &s.entrances
	e.mu.Lock()
	e.ended = true
	s.tunnels.end()
	s.depart()
	all := e.all()
	e.mu.Unlock()
	s.linger(ctx, all)
	var wait sync.WaitGroup
	var cut atomic.Bool
	for _, one := range all {
		wait.Go(func() {
			if one.end(ctx) != nil {
				cut.Store(true)
			}
		})
	}
	wait.Wait()
	e.ending.Wait()
	s.tunnels.going.Wait()
	if cut.Load() {
		return fmt.Errorf("requests still under way after %s were cut", e.how.Drain)
	}
	return nil
}
