package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"millpond"
	"millpond/repo"
)

// tunnelled is a house whose listener apt has a tunnel to files.example, which is a server of the test's; dialled is who was
// connected to.
func tunnelled(t *testing.T, s Settings) (h *house, at map[string]string, stop func() error, dialled func() []string) {
	t.Helper()
	h = newHouse(t)
	files := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s of %s", r.URL.Path, r.Host)
	}))
	t.Cleanup(files.Close)
	var mu sync.Mutex
	var all []string
	h.server.parts.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if all = append(all, address); address != "files.example:443" {
			return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: address + " cannot be reached"}
		}
		return new(net.Dialer).DialContext(ctx, "tcp", files.Listener.Addr().String())
	}
	to := []string{"files.example", "gone.example"}
	h.reconfigured(s, repo.Config{Name: "apt", Format: told{proxy: true}, Public: true, Listen: "apt", Tunnels: to},
		repo.Config{Name: "priv", Format: told{proxy: true}, Listen: "priv", Tunnels: to})
	var list []Door
	at = map[string]string{}
	for _, name := range []string{"apt", "priv"} {
		l := listen(t)
		at[name] = l.Addr().String()
		list = append(list, Door{Address: name, Listener: l})
	}
	h.server.Open(list)
	at["shared"], stop = serve(t, h.server, Listening{})
	return h, at, stop, func() []string {
		mu.Lock()
		defer mu.Unlock()
		out := all
		all = nil
		return out
	}
}

// through opens a tunnel, and speaks TLS through it.
func through(t *testing.T, addr, more string) *tls.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "CONNECT Files.Example.:443 HTTP/1.1\r\nHost: files.example:443\r\n%s\r\n", more)
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), &http.Request{Method: "CONNECT"}) // which reads no byte too many: none is sent yet
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("CONNECT: got %v, %v, want 200", resp, err)
	}
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true})
}

func ask(t *testing.T, c net.Conn, path string) string {
	t.Helper()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: files.example\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("through the tunnel: %v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestTunnel: a client is passed through to hosts that the configuration names, and to no other host or port, and nobody is
// asked for those.
func TestTunnel(t *testing.T) {
	h, at, stop, dialled := tunnelled(t, Settings{})
	token := h.user("reader", "reader priv")
	for name, c := range map[string]net.Conn{
		"to everybody's":  through(t, at["apt"], "Proxy-Authorization: "+basicAuth("x", token)+"\r\n"),
		"with a password": through(t, at["priv"], "Proxy-Authorization: "+basicAuth("x", token)+"\r\n"),
	} {
		for _, path := range []string{"/a", "/b"} {
			if got, want := ask(t, c, path), path+" of files.example"; got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
	if got := dialled(); len(got) != 2 {
		t.Errorf("two tunnels connected to %q", got)
	}
	for _, c := range []struct {
		name, door, to, more string
		status               int
		want                 string
		dials                int
	}{
		{"another host", "apt", "evil.example:443", "", 403, "no tunnel leads to \"evil.example:443\"", 0},
		{"another port", "apt", "files.example:22", "", 403, "no tunnel leads to", 0},
		{"a host below it", "apt", "x.files.example:443", "", 403, "no tunnel leads to", 0},
		{"loopback", "apt", "127.0.0.1:443", "", 403, "no tunnel leads to", 0},
		{"an address", "apt", "[::1]:443", "", 403, "http://" + at["apt"] + "/ where the client wants", 0},
		{"without a credential", "priv", "files.example:443", "", 407, "wants a credential", 0},
		{"the other host's credential", "priv", "files.example:443", "Authorization: Bearer " + token + "\r\n", 407, "wants a credential", 0},
		{"without the right", "priv", "files.example:443", "Proxy-Authorization: Bearer " + h.user("nobody", "reader other-*") + "\r\n", 403, "may not read it", 0},
		{"the shared listener", "shared", "files.example:443", "", 501, "TLS is not tunnelled", 0},
		{"a host that is away", "apt", "gone.example:443", "", 503, "gone.example:443 cannot be reached", 1},
	} {
		status, _, body := exchangeRaw(t, at[c.door], "CONNECT "+c.to+" HTTP/1.1\r\nHost: "+c.to+"\r\n"+c.more+"\r\n")
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %q, want %d and %q", c.name, status, body, c.status, c.want)
		}
		if got := dialled(); len(got) != c.dials {
			t.Errorf("%s: connected to %q", c.name, got)
		}
	}

	// Stopping does not wait for them: nobody can tell when they would be over.
	last := through(t, at["apt"], "")
	ask(t, last, "/a")
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if n, err := last.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("after the stop the tunnel gives %d bytes, %v, want it cut", n, err)
	}
	if n := len(h.server.tunnels.open); n > 0 {
		t.Errorf("%d tunnels are left", n)
	}
}

// TestTunnelsAreBounded: there are only so many at once, none where the pond is offline, and those that ended make room.
func TestTunnelsAreBounded(t *testing.T) {
	h, at, _, dialled := tunnelled(t, Settings{})
	const request = "CONNECT files.example:443 HTTP/1.1\r\nHost: files.example:443\r\n\r\n"
	all := make([]*tunnel, mostTunnels)
	for i := range all {
		all[i] = &tunnel{}
		if err := h.server.tunnels.add(all[i]); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			defer h.server.tunnels.remove(all[i]) // a stop waits for them
		}
	}
	if status, header, body := exchangeRaw(t, at["apt"], request); status != 429 || !strings.Contains(body, "no more can be") || header.Get("Retry-After") == "" || len(dialled()) > 0 {
		t.Errorf("one more: %d %q, want 429 and no connection", status, body)
	}
	h.server.tunnels.remove(all[0])
	c := through(t, at["apt"], "")
	ask(t, c, "/a")
	dialled()
	h.reconfigured(Settings{Offline: true}, repo.Config{Name: "apt", Format: told{proxy: true}, Public: true, Listen: "apt", Tunnels: []string{"files.example"}})
	if status, _, body := exchangeRaw(t, at["apt"], request); status != 503 || !strings.Contains(body, "offline") || len(dialled()) > 0 {
		t.Errorf("offline: %d %q, want 503 and no connection", status, body)
	}
}
