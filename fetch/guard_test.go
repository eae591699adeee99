package fetch

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

func TestS09Addresses(t *testing.T) {
	const (
		open     = "public"  // for everybody
		operator = "private" // for who the operator names
		nobody   = "never"
	)
	g, err := newGuard(Settings{URL: mustParse("https://upstream.example/"), AllowAddresses: []string{"198.18.7.0/24", "fe80::/10"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"8.8.8.8": open, "1.1.1.1": open, "2606:4700::1111": open, "::ffff:8.8.8.8": open, "198.18.7.7": open,
		"10.1.2.3": operator, "172.16.0.1": operator, "192.168.1.1": operator, "127.0.0.1": operator, "::1": operator,
		"fd12::1": operator, "100.64.0.1": operator, "198.18.0.1": operator, "203.0.113.9": open,
		"::ffff:10.0.0.1": operator, "64:ff9b::8.8.8.8": operator, "64:ff9b::10.0.0.1": operator, "2002:a00:1::": operator,
		"2001:0:1::f5ff:fffe": operator, "2001:db8::1": operator, "::10.0.0.1": operator, "2606:4700::5efe:a00:1": operator,
		"64:ff9b:1::7f00:1": operator, "3fff::1": operator, "4000::1": operator, "192.88.99.1": operator,
		"0.0.0.0": nobody, "0.1.2.3": nobody, "::": nobody, "169.254.169.254": nobody, "169.254.1.1": nobody,
		"fe80::1": nobody, "fe80::1%eth0": nobody, "224.0.0.1": nobody, "ff02::1": nobody, "240.0.0.1": nobody,
		"255.255.255.255": nobody, "100.100.100.200": nobody, "168.63.129.16": nobody, "fd00:ec2::254": nobody,
		"::ffff:169.254.169.254": nobody, "64:ff9b::a9fe:a9fe": nobody, "2002:a9fe:a9fe::": nobody,
		"::ffff:0.0.0.0": nobody, "2001:0:1:2:3:4:5601:5601": nobody, "2606:4700::5efe:a9fe:a9fe": nobody,
	} {
		a := netip.MustParseAddr(addr)
		got := nobody
		switch {
		case g.judge(a, false) == nil:
			got = open
		case g.judge(a, true) == nil:
			got = operator
		}
		if got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
	}
}

func TestS09Spellings(t *testing.T) {
	g, err := newGuard(Settings{URL: mustParse("https://upstream.example/")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "[::1]",
		"[::ffff:127.0.0.1]", "[fe80::1%25eth0]", "localhost", "LOCALHOST.", "x.localhost", "169.254.169.254.", "10.0.0.1"} {
		u, err := url.Parse("https://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		if err := g.check(u); err == nil {
			t.Errorf("%s may be asked", host)
		}
	}
	for _, host := range []string{"files.example", "8.8.8.8", "upstream.example", "a1.example", "x0.example:8443"} {
		if err := g.check(mustParse("https://" + host + "/")); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// names is a name server on loopback that answers every question for an IPv4 address with the next of its addresses.
func names(t *testing.T, addrs ...[4]byte) *net.Resolver { return resolver(t, false, addrs...) }

// resolver answers as names says, and with ::1 who asks for addresses of IPv6, if six.
func resolver(t *testing.T, six bool, addrs ...[4]byte) *net.Resolver {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := buf[:n]
			end := 12
			for end < n && q[end] != 0 {
				end += int(q[end]) + 1
			}
			end += 5 // the last label, type and class
			kind := q[end-3]
			answer := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
			if kind == 1 && len(addrs) > 0 {
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				answer = append(answer, addrs[0][:]...)
				if len(addrs) > 1 {
					addrs = addrs[1:]
				}
			}
			if kind == 28 && six {
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 0, 0, 16)
				answer = append(answer, net.IPv6loopback...)
			}
			pc.WriteTo(answer, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestS10NamesThatChangeTheirMind(t *testing.T) {
	r := newRig(t, func(_ *Engine, s *Settings) { s.Also = []string{"*"} })
	r.up.guard.dialer.Resolver = names(t, [4]byte{127, 0, 0, 1})
	b := noise(100)
	r.srv.Put("/f", faulty.Object{Body: b})
	port := mustParse(r.srv.URL).Port()
	r.srv.Order("/f", "always redirect https://files.example:"+port+"/f")
	r.bad(r.file("/f", b), millpond.BadUpstream, "up leads to 127.0.0.1, which is not a public address")
	r.srv.Want(t, "", 1)
	// The breaker must not hold it against the upstream itself.
	if s := r.up.State(); s.Open {
		t.Errorf("state %+v", s)
	}
}

func TestS09TheOperatorMayNamePrivateAddresses(t *testing.T) {
	r := newRig(t)
	b := noise(100)
	r.srv.Put("/f", faulty.Object{Body: b})
	r.good(r.file("/f", b), b) // loopback, for the operator named it
	other := faulty.New(t)
	other.Put("/f", faulty.Object{Body: b})
	f := r.file("/f", b)
	f.ID, f.URL = "other", other.URL+"/f"
	r.bad(f, millpond.BadUpstream, "another origin and not https")

	allowed := newRig(t, func(_ *Engine, s *Settings) {
		s.Also, s.AllowAddresses = []string{other.URL}, []string{"127.0.0.0/8"}
	})
	allowed.good(f, b)
	listed := newRig(t, func(_ *Engine, s *Settings) { s.Also = []string{other.URL} })
	listed.bad(f, millpond.BadUpstream, "127.0.0.1, which is not a public address")
	f.ID, f.URL = "unlisted", "https://unlisted.example/f"
	allowed.bad(f, millpond.BadUpstream, "none of the origins in its also setting")
}

func TestF10Redirects(t *testing.T) {
	b := noise(100)
	r := newRig(t)
	r.srv.Put("/5", faulty.Object{Body: b})
	for i := range 5 {
		r.srv.Order(fmt.Sprintf("/%d", i), fmt.Sprintf("always redirect /%d", i+1))
	}
	r.srv.Order("/start", "always redirect /0")
	f := r.file("/0", b)
	var sealed Sealed
	f.Sealed = func(_ context.Context, s Sealed) error { sealed = s; return nil }
	r.good(f, b)
	if got := sealed.URL.Path; got != "/5" {
		t.Errorf("sealed from %q, want where the redirects end", got)
	}
	r.bad(r.file("/start", b), millpond.BadUpstream, "up redirects without end")
}

func TestS12CredentialsStayWithTheirOrigin(t *testing.T) {
	secret := func(_ *Engine, s *Settings) {
		s.Header = http.Header{"X-Api-Key": {"hush"}, "Private-Token": {"hush"}}
	}
	for _, tt := range []struct {
		name string
		set  func(*Settings)
		want string
	}{
		{"basic", func(s *Settings) { s.Username, s.Password = "ci", "hush" }, "Basic Y2k6aHVzaA=="},
		{"bearer", func(s *Settings) { s.Token = "hush" }, "Bearer hush"},
		{"in the URL", func(s *Settings) { s.URL.User = url.UserPassword("ci", "hush") }, "Basic Y2k6aHVzaA=="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			other := faulty.New(t) // another port is another origin
			b := noise(100)
			other.Put("/f", faulty.Object{Body: b})
			r := newRig(t, secret, func(_ *Engine, s *Settings) {
				tt.set(s)
				s.Also, s.AllowAddresses = []string{other.URL}, []string{"127.0.0.0/8"}
			})
			r.srv.Order("/f", "redirect "+other.URL+"/f?signature=x")
			r.good(r.file("/f", b), b)
			h := r.srv.Requests("/f")[0].Header
			if h.Get("Authorization") != tt.want || h.Get("X-Api-Key") != "hush" || h.Get("Private-Token") != "hush" {
				t.Errorf("its own origin got %v", h)
			}
			for _, q := range other.Requests("") {
				for name, values := range q.Header {
					if strings.Contains(strings.Join(values, " "), "hush") || name == "Authorization" {
						t.Errorf("another origin got %s: %v", name, values)
					}
				}
			}
			if s := r.up.State(); strings.Contains(fmt.Sprintf("%+v", s), "hush") {
				t.Errorf("the state tells a secret: %+v", s)
			}
		})
	}
}

func TestS13NoDowngrade(t *testing.T) {
	plain := faulty.New(t)
	plain.Put("/f", faulty.Object{Body: noise(10)})
	r := newRigOn(t, faulty.NewTLS(t, faulty.Good), func(_ *Engine, s *Settings) {
		s.Also, s.AllowAddresses = []string{plain.URL, "*"}, []string{"127.0.0.0/8"}
	})
	r.srv.Order("/f", "redirect "+plain.URL+"/f")
	r.bad(r.file("/f", nil), millpond.BadUpstream, "redirects from https to http")
	f := r.file("/f", nil)
	f.URL = plain.URL + "/f"
	r.bad(f, millpond.BadUpstream, "another origin")
	plain.Want(t, "", 0)
}

func TestF11Certificates(t *testing.T) {
	b := noise(100)
	for _, tt := range []struct {
		kind  faulty.TLS
		words string // "" is good
	}{
		{faulty.Good, ""},
		{faulty.HTTP2, ""},
		{faulty.Expired, "expired"},
		{faulty.WrongName, "for another name than 127.0.0.1"},
		{faulty.SelfSigned, "self-signed"},
	} {
		t.Run(fmt.Sprint(tt.kind, tt.words), func(t *testing.T) {
			r := newRigOn(t, faulty.NewTLS(t, tt.kind))
			r.srv.Put("/f", faulty.Object{Body: b})
			if tt.words != "" {
				r.bad(r.file("/f", b), millpond.BadUpstream, tt.words)
				r.srv.Want(t, "", 0)
				return
			}
			r.good(r.file("/f", b), b)
			if proto := r.srv.Requests("/f")[0].Proto; (tt.kind == faulty.HTTP2) != (proto == "HTTP/2.0") {
				t.Errorf("spoke %s", proto)
			}
		})
	}
	t.Run("unknown authority", func(t *testing.T) {
		r := newRigOn(t, faulty.NewTLS(t, faulty.Good), func(_ *Engine, s *Settings) { s.CA = nil })
		r.bad(r.file("/f", b), millpond.BadUpstream, "unknown authority")
	})
	t.Run("not verified", func(t *testing.T) {
		r := newRigOn(t, faulty.NewTLS(t, faulty.Expired), func(_ *Engine, s *Settings) { s.Insecure = true })
		r.srv.Put("/f", faulty.Object{Body: b})
		r.good(r.file("/f", b), b)
	})
	t.Run("no TLS", func(t *testing.T) {
		r := newRig(t, func(_ *Engine, s *Settings) { s.URL.Scheme = "https" })
		f := r.file("/f", b)
		f.URL = strings.Replace(f.URL, "http:", "https:", 1)
		r.bad(f, millpond.BadUpstream, "TLS")
	})
}

func TestHTTP2Faults(t *testing.T) {
	r, b := newRigOn(t, faulty.NewTLS(t, faulty.HTTP2)), noise(3<<20)
	r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`, Chunked: true})
	r.srv.Order("/f", "cut 2000000", "500", "cut 500000")
	r.good(r.file("/f", b), b)
	r.srv.Want(t, "/f", 4)

	silent := newRigOn(t, faulty.NewTLS(t, faulty.HTTP2), func(_ *Engine, s *Settings) {
		s.FirstByte, s.Idle = 100*time.Millisecond, 100*time.Millisecond
	})
	silent.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`})
	silent.srv.Order("/f", "hang", "stall 1500000")
	silent.bad(silent.file("/f", b), millpond.BadUpstream, "up did not answer in time")
	silent.good(silent.file("/f", b), b)
}

func TestProxy(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		asked = append(asked, p.In.URL.String())
		p.SetURL(p.In.URL)
		p.Out.URL.Path = p.In.URL.Path
	}})
	defer proxy.Close()
	r := newRig(t, func(_ *Engine, s *Settings) { s.Proxy = mustParse(proxy.URL) })
	b := noise(100)
	r.srv.Put("/f", faulty.Object{Body: b})
	r.good(r.file("/f", b), b)
	if len(asked) != 1 || asked[0] != r.srv.URL+"/f" {
		t.Errorf("the proxy was asked for %q", asked)
	}
	for _, to := range []string{"https://127.0.0.1:1/", "https://0x7f.1/", "https://localhost/"} {
		r.srv.Order("/f", "redirect "+to)
		f := r.file("/f", b)
		f.ID = to
		r.bad(f, millpond.BadUpstream, "up points to")
	}
	if len(asked) != 4 {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

func TestRelay(t *testing.T) {
	r := newRig(t, func(_ *Engine, s *Settings) { s.Token = "mine" })
	r.srv.Handle("/audit", func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s", q.Method, b)
	})
	ask := func(limit int64) (*http.Response, string, error) {
		q, err := http.NewRequestWithContext(t.Context(), "POST", r.srv.URL+"/audit", strings.NewReader(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("Authorization", "Bearer theirs")
		q.Header.Set("Cookie", "theirs")
		resp, err := r.up.Relay(t.Context(), q, limit)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer resp.Body.Close() // twice is no harm
		b, err := io.ReadAll(resp.Body)
		return resp, string(b), err
	}
	resp, got, err := ask(12)
	if err != nil || resp.StatusCode != http.StatusTeapot || got != `POST {"a":1}` {
		t.Errorf("got %d %q, %v", resp.StatusCode, got, err)
	}
	if h := r.srv.Requests("/audit")[0].Header; h.Get("Authorization") != "Bearer mine" || h.Get("Cookie") != "" ||
		h.Get("Content-Type") != "application/json" {
		t.Errorf("the upstream got %v", h)
	}
	_, _, err = ask(11)
	wantError(t, err, millpond.BadUpstream, "answered with more than it may")
	r.srv.Order("/audit", "500", "429 1")
	if resp, _, err := ask(100); err != nil || resp.StatusCode != 500 {
		t.Errorf("got %v, %v; want the 500 as it is", resp, err)
	}
	if resp, _, err := ask(100); err != nil || resp.StatusCode != 429 {
		t.Errorf("got %v, %v; want the 429 as it is", resp, err)
	}
	r.srv.Want(t, "/audit", 4)
	r.clock.pass(time.Minute)
	r.srv.Order("/audit", "refuse")
	q, _ := http.NewRequest("POST", r.srv.URL+"/audit", strings.NewReader("x"))
	_, err = r.up.Relay(t.Context(), q, 10)
	wantError(t, err, millpond.BadUpstream, "connection")
	r.srv.Order("/audit", "redirect /else")
	_, err = r.up.Relay(t.Context(), q, 10)
	wantError(t, err, millpond.BadUpstream, "redirect, which is not followed")
}
