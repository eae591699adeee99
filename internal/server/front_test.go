package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond/internal/auth"
)

// TestWhoAFrontServerHides: one on this machine that does not say for whom it asks makes nobody a program of this machine.
func TestWhoAFrontServerHides(t *testing.T) {
	secret := public("secret", echo{name: "one"})
	secret.config.Public = false
	s, _ := start(t, Settings{Metrics: true, PublicURL: &url.URL{Scheme: "https", Host: "pond.example", Path: "/"}}, secret)
	for name, c := range map[string]struct {
		host string
		want int
	}{"by the public name": {"pond.example", 403}, "by its own": {"127.0.0.1:8080", 200}} {
		for _, path := range []string{"/-/metrics", "/-/api/stats"} {
			if w := get(t, s, path, host(c.host)); w.Code != c.want {
				t.Errorf("GET %s from this machine %s = %d %s, want %d", path, name, w.Code, w.Body, c.want)
			}
		}
	}
}

// TestCanaryFindsAFrontServerThatHidesItsClients: one that asks as a program of this machine would is told of, and nobody counts as
// one until it is mended.
func TestCanaryFindsAFrontServerThatHidesItsClients(t *testing.T) {
	secret := public("secret", echo{name: "one"})
	secret.config.Public = false
	s, _ := start(t, Settings{})
	s.parts.Pond = newHouse(t).pond
	s.instance = []string{s.parts.Pond.Instance()}
	addr, _ := serve(t, s, Listening{})
	var says bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: addr})
			if says {
				p.SetXForwarded()
			}
		}}).ServeHTTP(w, r)
	}))
	defer front.Close()
	at, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.wayOut = http.ProxyURL(at) // its public address is nobody's
	if err := s.Configure(Settings{PublicURL: &url.URL{Scheme: "http", Host: "pond.example", Path: "/"}, Metrics: true}, []Repository{secret}); err != nil {
		t.Fatal(err)
	}
	for _, now := range []struct {
		says   bool
		status int
		words  string
	}{{true, 200, "ok       canary"}, {false, 403, "degraded canary     public_url leads here by way of a front server that does not say for whom it asks"}, {true, 200, "ok       canary"}} {
		says = now.says
		s.sendCanary(t.Context())
		resp, err := http.Get("http://" + addr + "/-/metrics")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if b := get(t, s, "/-/readyz?verbose").Body.String(); resp.StatusCode != now.status || !strings.Contains(b, now.words) {
			t.Errorf("a front server that says for whom it asks: %t: metrics from here %d, %s\nwant %d, %s", now.says, resp.StatusCode, b, now.status, now.words)
		}
	}
}

// TestHopsWithPorts: X-Forwarded-For as different front servers write it.
func TestHopsWithPorts(t *testing.T) {
	s := &Settings{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for field, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "192.0.2.7:4711": "192.0.2.7", "2001:db8::7": "2001:db8::7", "[2001:db8::7]:4711": "2001:db8::7", "[2001:db8::7]": "2001:db8::7",
		"::ffff:192.0.2.7": "192.0.2.7", "198.51.100.1, 192.0.2.7:80, 10.0.0.9:80": "192.0.2.7", "unknown": "10.0.0.1", "192.0.2.7, unknown": "10.0.0.1", "": "10.0.0.1",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:5"
		r.Header.Set("X-Forwarded-For", field)
		var p peer
		if err := s.peer(&p, r); err != nil || p.addr.String() != want {
			t.Errorf("X-Forwarded-For %q: %s, %v; want %s", field, p.addr, err, want)
		}
	}
}

// S36: the cookie of a login over plain http counts on the way that nobody can read, and nowhere else: any neighbour of the pond's name
// could set it, and have a browser act in the neighbour's own login.
func TestS36CookieOfANeighbour(t *testing.T) {
	h := newHouse(t)
	session, err := h.auth.LogIn(t.Context(), "192.0.2.7", "root", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	plain, safe := auth.PlainCookieName+"="+session.Cookie, auth.CookieName+"="+session.Cookie
	for _, c := range []struct {
		name, cookie, want string
		change             []func(*http.Request)
	}{
		{"a neighbour's, over https", plain, "", []func(*http.Request){overTLS}},
		{"the pond's own, beside it", "x=1; " + plain + "; " + safe, "root", []func(*http.Request){overTLS}},
		{"in a line of its own", safe, "root", []func(*http.Request){overTLS, header("Cookie", plain)}},
		{"over plain http, from elsewhere", plain, "", nil},
		{"over plain http, on this machine", plain, "root", []func(*http.Request){host("localhost:8080"), from("127.0.0.1:5")}},
	} {
		w := h.send("", "GET", "/-/api/whoami", nil, append(c.change, header("Cookie", c.cookie))...)
		if want := `"name": "` + c.want + `"`; w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", c.name, w.Code, w.Body, want)
		}
	}
}

// TestFollowersDoNotHoldUpTheStop: who follows the record of changes is told all that there is, and that it ends.
func TestFollowersDoNotHoldUpTheStop(t *testing.T) {
	h := newHouse(t)
	addr, stop := serve(t, h.server, Listening{Drain: 2 * time.Second}) // which a stop that waits for who follows would take
	r, err := http.NewRequest("GET", "http://"+addr+"/-/api/events?follow=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + h.admin}, "Accept": {"application/x-ndjson"}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := stop(); err != nil {
		t.Errorf("the stop, with somebody who follows: %v", err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), `"verb":"setup"`) {
		t.Errorf("who follows got %q, %v; want all that there is, and a clean end", b, err)
	}
}

// S10: a page that leads a name of its own to loopback says that it came through the front server, which it can.
func TestS10PageThatPosesAsTheFrontServer(t *testing.T) {
	place := public("alpha", echo{name: "one"})
	place.config.Hosts = []string{"alpha.example"}
	s, _ := start(t, Settings{Loopback: true, PublicURL: &url.URL{Scheme: "https", Host: "pond.example", Path: "/"}, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, place)
	for _, c := range []struct {
		host, said string
		want       int
	}{
		{"evil.example", "", 400}, {"evil.example", "localhost", 400}, {"evil.example", "pond.example", 400}, {"evil.example", "alpha.example", 400},
		{"pond.example", "", 200}, {"127.0.0.1:8080", "pond.example", 200}, {"127.0.0.1:8080", "alpha.example", 200}, {"alpha.example", "", 200}, {"localhost", "evil.example", 400},
	} {
		change := []func(*http.Request){host(c.host)}
		if c.said != "" {
			change = append(change, header("X-Forwarded-Host", c.said))
		}
		if w := get(t, s, "/alpha/x", change...); w.Code != c.want {
			t.Errorf("Host %s, X-Forwarded-Host %q = %d %s, want %d", c.host, c.said, w.Code, w.Body, c.want)
		}
	}
	for _, field := range passedOn {
		if w := get(t, s, "/-/api/check", method("POST"), header(field, "localhost")); w.Code != 403 {
			t.Errorf("what came through a front server, which says so by %s alone, may check: %d", field, w.Code)
		}
	}
}
