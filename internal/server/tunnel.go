package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/fetch"
)

const (
	mostTunnels = 64              // at once
	tunnelIdle  = 2 * time.Minute // after which one that carries nothing is cut
)

// tunnels are the connections that are passed through at this moment.
type tunnels struct {
	mu    sync.Mutex // guards open, what is in it, and ended; never held across I/O
	open  map[*tunnel]bool
	ended bool
	going sync.WaitGroup // of those in open
}

// A tunnel is a client's connection and the one to the host that it asked for; nil while they are not there.
type tunnel struct{ client, host net.Conn }

// add makes room for one more, or says why there is none.
func (a *tunnels) add(t *tunnel) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return &millpond.Error{Kind: millpond.Unready, Why: "the pond is stopping"}
	}
	if len(a.open) >= mostTunnels {
		return &millpond.Error{Kind: millpond.Throttled, Why: fmt.Sprintf("%d tunnels are open, and no more can be", mostTunnels)}
	}
	if a.open == nil {
		a.open = map[*tunnel]bool{}
	}
	a.open[t] = true
	a.going.Add(1)
	return nil
}

func (a *tunnels) remove(t *tunnel) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, t)
	a.going.Done()
}

// end cuts them all, and lets no more begin: nobody can tell when one of them would be over.
func (a *tunnels) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	for t := range a.open {
		if t.client != nil {
			t.client.Close() // what cannot be closed is closed already
			t.host.Close()
		}
	}
}

// connect passes a connection through to a host that the repository's configuration names, at the port of https: the pond can
// neither verify nor keep what goes through. It refuses every other host, asking nobody.
func (s *Server) connect(x *response, r *http.Request, t *table) error {
	p := &x.peer
	if p.door != nil {
		x.at = t.doors[p.door.address]
	}
	if x.at == nil || !x.at.mount.info.Proxy || len(x.at.mount.config.Tunnels) == 0 {
		return t.noTunnel(*p)
	}
	m := x.at.mount
	p.proxied, p.here, x.repository = true, localAddress(r), m.name
	if err := s.identify(x, r, t, false); err != nil {
		return err
	}
	if !mayRead(&x.caller, &m.config) {
		x.missing = millpond.VerbRead
		return t.unknown(m.name, &x.caller)
	}
	name, port, err := net.SplitHostPort(r.URL.Host)
	to := strings.ToLower(strings.TrimSuffix(name, "."))
	if err != nil || port != "443" || !slices.Contains(m.config.Tunnels, to) {
		return &millpond.Error{Kind: millpond.Denied, Why: "no tunnel leads to " + quote(r.URL.Host) + ": " + m.name + " has tunnels to " + strings.Join(m.config.Tunnels, ", ") + ", port 443",
			Hint: "name " + x.at.address(*p).String() + " where the client wants its repository's address, or ask for http://"}
	}
	if t.settings.Offline {
		return &millpond.Error{Kind: millpond.Offline, Why: "the pond is offline, and what goes through a tunnel is not kept"}
	}
	one := &tunnel{}
	if err := s.tunnels.add(one); err != nil {
		return err
	}
	defer s.tunnels.remove(one)
	dial := s.parts.Dial
	if dial == nil {
		dial = fetch.Tunnel
	}
	host, err := dial(r.Context(), net.JoinHostPort(to, port))
	if err != nil {
		return err
	}
	defer host.Close()
	client, buffered, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		return &millpond.Error{Kind: millpond.Unsupported, Why: "a tunnel wants HTTP/1.1", Err: err}
	}
	defer client.Close()
	s.tunnels.mu.Lock()
	one.client, one.host = client, host
	ended := s.tunnels.ended
	s.tunnels.mu.Unlock()
	x.Answered(http.StatusOK, 0)
	if ended {
		return nil
	}
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return nil // the client has left
	}
	x.bytes = pass(client, buffered, host)
	return nil
}

// pass copies both ways until both have ended, or nothing came for a while. It returns how much went to the client, of which
// read is what can be read.
func pass(client net.Conn, read io.Reader, host net.Conn) int64 {
	idle := time.AfterFunc(tunnelIdle, func() { client.Close(); host.Close() })
	defer idle.Stop()
	one := func(to net.Conn, from io.Reader) int64 {
		n, err := io.Copy(alive{to, idle}, from)
		half, ok := to.(interface{ CloseWrite() error })
		if err != nil || !ok || half.CloseWrite() != nil {
			to.Close()
		}
		return n
	}
	var up sync.WaitGroup
	up.Go(func() { one(host, read) })
	down := one(client, host)
	up.Wait()
	return down
}

// An alive notes that a tunnel carries something.
type alive struct {
	io.Writer
	idle *time.Timer
}

// Write implements io.Writer.
func (a alive) Write(b []byte) (int, error) {
	a.idle.Reset(tunnelIdle)
	return a.Writer.Write(b)
}
