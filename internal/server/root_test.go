package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// told is a format whose handler answers with what the house tells it of a request's address.
type told struct {
	echo
	proxy bool
}

func (f told) Info() format.Info {
	f.echo.name = "told"
	info := f.echo.Info()
	info.Proxy, info.Roots = f.proxy, []string{"/packages/"}
	return info
}

// Exchanges implements format.Exchanger.
func (told) Exchanges() []format.Exchange {
	return []format.Exchange{{Methods: "GET HEAD", Path: "/_/told/{word}/audience", About: "What tokens are made for.",
		Serve: func(w http.ResponseWriter, r *http.Request, d format.Desk, args []string) {
			fmt.Fprintf(w, "%s is for %q", args[0], d.Audience())
		}}}
}

func (f told) Handler(r format.Repo) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.IsAbs() && req.URL.Host != "upstream.example" {
			format.Fail(w, req, r.Now(), &millpond.Error{Kind: millpond.Denied}, format.Failure{Body: req.URL.Host + " is none of ours"})
			return
		}
		fmt.Fprintf(w, "%s for %s base=%s root=%s packages=%s", req.URL, req.Host, r.Base(req), r.Root(req), format.PlaceOf(r, req, "/packages/"))
		for _, field := range []string{"Cookie", "Proxy-Authorization", "Proxy-Connection"} {
			if v := req.Header.Get(field); v != "" {
				fmt.Fprintf(w, " %s=%s", field, v)
			}
		}
	})
}

// reconfigured is a house with other repositories.
func (h *house) reconfigured(s Settings, configs ...repo.Config) {
	h.t.Helper()
	public := ""
	if s.PublicURL != nil {
		public = s.PublicURL.String()
	}
	if err := h.pond.Configure(h.t.Context(), repo.Settings{PublicURL: public}, configs); err != nil {
		h.t.Fatal(err)
	}
	var list []Repository
	for _, one := range h.pond.Repositories() {
		list = append(list, one)
	}
	if err := h.server.Configure(s, list); err != nil {
		h.t.Fatal(err)
	}
}

func TestARepositoryIsTheRootOfItsHost(t *testing.T) {
	h := newHouse(t)
	public, _ := url.Parse("https://pond.example:8443/pond/")
	h.reconfigured(Settings{PublicURL: public, Loopback: true, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		repo.Config{Name: "one", Format: told{}, Public: true, Hosts: []string{"one.example"}},
		repo.Config{Name: "two", Format: told{}, Hosts: []string{"two.example"}})
	const at = " base=https://one.example:8443/ root=https://one.example:8443/ packages=https://one.example:8443/packages/"
	for _, c := range []struct {
		name, host, path string
		status           int
		want             string
	}{
		{"below the pond", "pond.example", "/one/x", 200, "/x for pond.example base=https://pond.example:8443/pond/one/ root=https://pond.example:8443/pond/ packages=https://pond.example:8443/pond/packages/one/"},
		{"root of its host", "one.example", "/", 200, "/ for one.example" + at},
		{"any spelling of the host", "ONE.example.:8443", "/a%2fb/./c?q=1", 200, "/a%2fb/./c?q=1 for ONE.example.:8443" + at},
		{"a repository's name is a path like any", "one.example", "/one/x", 200, "/one/x for one.example" + at},
		{"a place of the format's is the format's", "one.example", "/packages/x", 200, "/packages/x for one.example" + at},
		{"words of a format under /-/", "one.example", "/-/npm/v1/x", 200, "/-/npm/v1/x for one.example" + at},
		{"the pond's calls are elsewhere", "one.example", "/-/api/status", 200, "/-/api/status for one.example" + at},
		{"so are its pages", "one.example", "/-/login", 200, "/-/login for one.example" + at},
		{"health", "one.example", "/-/livez", 200, "ok\n"},
		{"what clients insist on at the root of a host", "one.example", "/_/told/x%2fy/audience", 200, `x/y is for "millpond:pond.example"`},
		{"what clients of another format insist on", "one.example", "/_/oidc/audience", 200, "/_/oidc/audience for one.example"},
		{"at the pond's own root", "pond.example", "/_/told/x/audience", 200, `x is for "millpond:pond.example"`},
		{"one that not everybody may read", "two.example", "/x", 401, ""},
		{"another name of nobody's", "three.example", "/one/x", 400, "three.example"},
	} {
		w := h.send("", "GET", c.path, nil, host(c.host))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: GET %s of %s = %d %q, want %d and %q", c.name, c.path, c.host, w.Code, w.Body, c.status, c.want)
		}
	}
	if w := h.send("", "GET", "/x", nil, host("127.0.0.1:8080"), from("127.0.0.1:5"), header("X-Forwarded-Host", "one.example"), header("X-Forwarded-For", "192.0.2.9")); w.Code != 200 || !strings.Contains(w.Body.String(), at) {
		t.Errorf("behind a front server that is trusted = %d %q, want the host's repository", w.Code, w.Body)
	}
	if w := h.send("", "GET", "/x", nil, host("one.example"), header("Cookie", "millpond=x")); strings.Contains(w.Body.String(), "Cookie") {
		t.Errorf("a cookie reached the format: %q", w.Body)
	}
	var list []RepositoryDocument
	h.ask("", "GET", "/pond/-/api/repositories", nil, 200, &list)
	if len(list) != 1 || list[0].URL != "https://pond.example:8443/pond/one/" || list[0].Own != "https://one.example:8443/" {
		t.Errorf("repositories as they are shown: %+v, want one with both addresses", list)
	}
	if w := h.send("", "GET", "/", nil); !strings.Contains(w.Body.String(), "use https://one.example:8443/") {
		t.Errorf("the landing page sets clients up with another address:\n%s", w.Body)
	}
}

func TestRootsThatCannotBe(t *testing.T) {
	public := &url.URL{Scheme: "https", Host: "pond.example:8443", Path: "/"}
	one := repo.Config{Name: "one", Format: told{}, Hosts: []string{"one.example"}, Listen: ":1"}
	for _, c := range []struct {
		name   string
		public *url.URL
		other  repo.Config
		want   string
	}{
		{"no public_url", nil, repo.Config{}, "needs a public_url"},
		{"the pond's own", public, repo.Config{Name: "two", Format: told{}, Hosts: []string{"pond.example"}}, "the pond's own"},
		{"a port", public, repo.Config{Name: "two", Format: told{}, Hosts: []string{"two.example:80"}}, "without a port"},
		{"capitals", public, repo.Config{Name: "two", Format: told{}, Hosts: []string{"Two.example"}}, "lower case"},
		{"twice", public, repo.Config{Name: "two", Format: told{}, Hosts: []string{"one.example"}}, "one and two cannot both have the host"},
		{"listener twice", public, repo.Config{Name: "two", Format: told{}, Listen: ":1"}, "one and two cannot both listen"},
	} {
		configs := []repo.Config{one}
		if c.other.Name != "" {
			configs = append(configs, c.other)
		}
		if err := CheckMounts(c.public, configs); !millpond.Is(err, millpond.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want Invalid with %q", c.name, err, c.want)
		}
	}
	if err := CheckMounts(public, []repo.Config{one}); err != nil {
		t.Errorf("a host and a listener: %v, want no error", err)
	}
}

// exchangeRaw sends a request as it stands, and reads the answer.
func exchangeRaw(t *testing.T, addr, request string) (int, http.Header, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// opened serves a house on a listener that all repositories share, and opens doors.
func (h *house) opened(doors ...string) (shared string, at map[string]string) {
	h.t.Helper()
	at = map[string]string{}
	var list []Door
	for _, name := range doors {
		l := listen(h.t)
		at[name] = l.Addr().String()
		list = append(list, Door{Address: name, Listener: l})
	}
	h.server.Open(list)
	shared, _ = serve(h.t, h.server, Listening{})
	return shared, at
}

func TestAListenerOfItsOwn(t *testing.T) {
	h := newHouse(t)
	priv := h.user("reader", "reader priv")
	h.reconfigured(Settings{Port: "8080"}, repo.Config{Name: "apt", Format: told{proxy: true}, Public: true, Listen: "apt", Hosts: nil},
		repo.Config{Name: "priv", Format: told{proxy: true}, Listen: "priv"}, repo.Config{Name: "plain", Format: told{}, Public: true, Listen: "plain"})
	shared, at := h.opened("apt", "priv", "plain")
	apt, plain := at["apt"], at["plain"]
	_, port, _ := net.SplitHostPort(apt)
	own := func(host string) string {
		return " base=http://" + host + "/ root=http://" + host + "/ packages=http://" + host + "/packages/"
	}
	for _, c := range []struct {
		name, to, line, host, more string
		status                     int
		want                       string
	}{
		{"origin form", apt, "GET /dists/x", apt, "", 200, "/dists/x for " + apt + own(apt)},
		{"the repository's name is a path", apt, "GET /apt/x", apt, "", 200, "/apt/x for"},
		{"absolute form", apt, "GET http://upstream.example/a%2fb?q", "upstream.example", "", 200, "http://upstream.example/a%2fb?q for upstream.example" + own(apt)},
		{"its one spelling", apt, "GET HTTP://user:secret@Upstream.Example.:80/x", "other.example", "", 200, "http://upstream.example/x for upstream.example" + own(apt)},
		{"without a path", apt, "GET http://upstream.example", "upstream.example", "", 200, "http://upstream.example/ for"},
		{"another port", apt, "GET http://upstream.example:81/x", "upstream.example", "", 403, "upstream.example:81 is none of ours"},
		{"another scheme", apt, "GET https://upstream.example:443/x", "upstream.example", "", 200, "https://upstream.example/x for"},
		{"the pond's pages cannot be reached", apt, "GET http://upstream.example/-/livez", "upstream.example", "", 200, "http://upstream.example/-/livez for"},
		{"the Host is not the target", apt, "GET http://other.example/x", "upstream.example", "", 403, "other.example is none of ours"},
		{"loopback", apt, "GET http://127.0.0.1:22/x", "127.0.0.1:22", "", 403, "127.0.0.1:22 is none of ours"},
		{"link-local", apt, "GET http://169.254.169.254/x", "upstream.example", "", 403, "169.254.169.254 is none of ours"},
		{"an address in brackets", apt, "GET http://[2001:DB8::1]:80/x", "upstream.example", "", 403, "[2001:db8::1] is none of ours"},
		{"ourselves", apt, "GET http://" + apt + "/x", apt, "", 200, "/x for " + apt + own(apt)},
		{"ourselves by name", apt, "GET http://localhost:" + port + "/x", apt, "", 200, "/x for localhost:" + port},
		{"the shared listener's pages", apt, "GET http://localhost:8080/-/api/status", "localhost", "", 200, "/-/api/status for"},
		{"no cookie and no field of a proxy gets in", apt, "GET http://upstream.example/x", "upstream.example", "Cookie: a=b\r\nProxy-Connection: close\r\nAuthorization: Basic eDp5\r\n", 200, "packages=http://" + apt + "/packages/"},
		{"POST", apt, "POST http://upstream.example/x", "upstream.example", "Content-Length: 0\r\n", 405, "GET and HEAD only"},
		{"CONNECT", apt, "CONNECT upstream.example:443", "upstream.example:443", "", 501, "TLS is not tunnelled"},
		{"CONNECT elsewhere", shared, "CONNECT upstream.example:22", "upstream.example:22", "", 501, "TLS is not tunnelled"},
		{"a name that is not ours", apt, "GET /x", "evil.example", "", 400, "does not answer to the name"},
		{"absolute form at the shared listener", shared, "GET http://" + shared + "/apt/x", "other.example", "", 200, "/x for " + shared},
		{"absolute form for a format that is no proxy", plain, "GET http://" + plain + "/x", "other.example", "", 200, "/x for " + plain + own(plain)},
		{"of another host for such a format", plain, "GET http://upstream.example/x", "upstream.example", "", 400, "does not answer to the name"},
		{"health", apt, "GET /-/readyz", apt, "", 200, "ready"},
		{"without a credential", at["priv"], "GET http://upstream.example/x", "upstream.example", "", 407, "wants a credential"},
		{"the other host's credential is none of ours", at["priv"], "GET http://upstream.example/x", "upstream.example", "Authorization: Bearer " + priv + "\r\n", 407, "wants a credential"},
		{"a bad one", at["priv"], "GET http://upstream.example/x", "upstream.example", "Proxy-Authorization: Bearer mp_nonsense\r\n", 407, ""},
		{"one without the right", at["priv"], "GET http://upstream.example/x", "upstream.example", "Proxy-Authorization: Bearer " + h.user("nobody", "reader other-*") + "\r\n", 403, "may not read it"},
		{"a good one", at["priv"], "GET http://upstream.example/x", "upstream.example", "Proxy-Authorization: " + basicAuth("x", priv) + "\r\nAuthorization: Basic eDp5\r\n", 200, "http://upstream.example/x for upstream.example"},
		{"origin form without a credential", at["priv"], "GET /x", at["priv"], "", 401, "wants a credential"},
	} {
		status, header, body := exchangeRaw(t, c.to, c.line+" HTTP/1.1\r\nHost: "+c.host+"\r\n"+c.more+"\r\n")
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %s = %d %q, want %d and %q", c.name, c.line, status, body, c.status, c.want)
		}
		if asked := header.Get("Proxy-Authenticate") != ""; asked != (c.status == 407) || asked && header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: %s = %d with the fields %v, want Proxy-Authenticate with 407 only", c.name, c.line, status, header)
		}
		for _, secret := range []string{"Cookie=", "Proxy-", "secret"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s: %s tells the format %q: %q", c.name, c.line, secret, body)
			}
		}
	}
}

// TestDoorsOpenAndClose changes the listeners while the server runs.
func TestDoorsOpenAndClose(t *testing.T) {
	h := newHouse(t)
	apt := repo.Config{Name: "apt", Format: told{}, Public: true, Listen: "a"}
	h.reconfigured(Settings{}, apt)
	_, at := h.opened("a")
	request := func(to string) string { return "GET /x HTTP/1.1\r\nHost: " + to + "\r\n\r\n" }
	if status, _, body := exchangeRaw(t, at["a"], request(at["a"])); status != 200 {
		t.Fatalf("the first door = %d %q", status, body)
	}
	health := func(want string) {
		t.Helper()
		if got := h.send("", "GET", "/-/readyz?verbose", nil).Body.String(); !strings.Contains(got, want) {
			t.Errorf("readyz?verbose = %q, want %q in it", got, want)
		}
	}
	health("ok       listener a")
	apt.Listen = "b"
	h.reconfigured(Settings{}, apt)
	health("degraded listener b nobody listens there")
	if status, _, body := exchangeRaw(t, at["a"], request(at["a"])); status != 503 || !strings.Contains(body, "no repository listens here") {
		t.Errorf("a door that leads nowhere = %d %q, want 503 and why", status, body)
	}
	l := listen(t)
	h.server.Open([]Door{{Address: "b", Listener: l}})
	if status, _, body := exchangeRaw(t, l.Addr().String(), request(l.Addr().String())); status != 200 {
		t.Errorf("the second door = %d %q, want 200", status, body)
	}
	h.server.entrances.ending.Wait()
	if c, err := net.Dial("tcp", at["a"]); err == nil {
		c.Close()
		t.Error("the first door still accepts connections")
	}
	h.server.Open([]Door{{Address: "b"}}) // stays as it is
	if status, _, body := exchangeRaw(t, l.Addr().String(), request(l.Addr().String())); status != 200 {
		t.Errorf("the door that stays = %d %q, want 200", status, body)
	}
}

// TestListenersShareTheirPlaces lets two connections in, and wants the idle one of one listener closed for a client of the
// other.
func TestListenersShareTheirPlaces(t *testing.T) {
	h := newHouse(t)
	h.reconfigured(Settings{}, repo.Config{Name: "apt", Format: told{}, Public: true, Listen: "a"})
	l := listen(t)
	h.server.Open([]Door{{Address: "a", Listener: l}})
	shared, _ := serve(t, h.server, Listening{Most: 1})
	first, err := net.Dial("tcp", shared)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	answers := bufio.NewReader(first)
	fmt.Fprintf(first, "GET /apt/x HTTP/1.1\r\nHost: %s\r\n\r\n", shared)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	if status, _, body := exchangeRaw(t, l.Addr().String(), "GET /x HTTP/1.1\r\nHost: "+l.Addr().String()+"\r\n\r\n"); status != 200 {
		t.Errorf("the second client = %d %q, want 200", status, body)
	}
	first.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection of the first client: %v, want it closed", err)
	}
}

func TestDoorsThatOpenBeforeTheServerRuns(t *testing.T) {
	h := newHouse(t)
	h.reconfigured(Settings{}, repo.Config{Name: "apt", Format: told{}, Public: true, Listen: "a"})
	a, b := listen(t), listen(t)
	h.server.Open([]Door{{Address: "b", Listener: b}, {Address: "a", Listener: a}})
	h.server.Open([]Door{{Address: "a"}})
	if _, err := b.Accept(); err == nil {
		t.Error("a door that was given up before the server ran still accepts")
	}
	_, stop := serve(t, h.server, Listening{})
	if status, _, body := exchangeRaw(t, a.Addr().String(), "GET /x HTTP/1.1\r\nHost: "+a.Addr().String()+"\r\n\r\n"); status != 200 {
		t.Errorf("a door that was there before = %d %q, want 200", status, body)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if c, err := net.Dial("tcp", a.Addr().String()); err == nil {
		c.Close()
		t.Error("a door is open though the server has ended")
	}
	late := listen(t)
	h.server.Open([]Door{{Address: "a", Listener: late}})
	if _, err := late.Accept(); err == nil {
		t.Error("a door that came after the end accepts")
	}
}

// TestLoginPagesAreThePonds wants the page that a client of a repository's own place is sent to at the pond's.
func TestLoginPagesAreThePonds(t *testing.T) {
	h := newHouse(t)
	h.reconfigured(Settings{Port: "8080"}, repo.Config{Name: "apt", Format: told{}, Public: true, Listen: "a"})
	settings := h.server.table.Load()
	p := peer{scheme: "http", host: "here.example:4873", door: &door{address: "a", port: "4873"}}
	if got := settings.base(p).String(); got != "http://here.example:8080/" {
		t.Errorf("the pond for a client of a listener of a repository's own = %s, want it at the shared listener's port", got)
	}
}

// lost is a format whose clients lose their way.
type lost struct{ told }

func (lost) Strays(escaped string) bool {
	return strings.Contains(escaped, "/-/") && strings.HasSuffix(escaped, ".tgz") || strings.HasPrefix(escaped, "/-/npm/v1/") || strings.HasPrefix(escaped, "/-/livez")
}

// One repository is given what its clients ask of the root by mistake, behind the pond's own addresses and all names of
// repositories, and under its own rights.
func TestStraysFindTheirRepository(t *testing.T) {
	h := newHouse(t)
	public, _ := url.Parse("http://pond.example/pond/")
	settings := Settings{PublicURL: public, Loopback: true}
	for _, c := range []struct {
		name string
		open bool
		path string
		want string // the beginning of the body, or the status
	}{
		{"a file", true, "/x/-/x-1.0.0.tgz", "/x/-/x-1.0.0.tgz for"},
		{"of a scope", true, "/@s%2fx/-/x-1.0.0.tgz", "/@s%2fx/-/x-1.0.0.tgz for"},
		{"behind a front server that keeps its path", true, "/pond/x/-/x-1.0.0.tgz", "/x/-/x-1.0.0.tgz for"},
		{"a question", true, "/-/npm/v1/keys", "/-/npm/v1/keys for"},
		{"a repository of that name", true, "/two/-/x-1.0.0.tgz", "/-/x-1.0.0.tgz for"},
		{"the pond's own", true, "/-/livez", "ok"},
		{"what nobody means", true, "/x", "404"},
		{"what the pond has not", true, "/-/nothing", "404"},
		{"a file, of a stranger", false, "/x/-/x-1.0.0.tgz", "401"},
		{"a question, of a stranger", false, "/-/npm/v1/keys", "401"},
	} {
		h.reconfigured(settings, repo.Config{Name: "one", Format: lost{}, Public: c.open, Root: true}, repo.Config{Name: "two", Format: told{}, Public: true})
		resp := h.send("", "GET", c.path, nil, func(r *http.Request) { r.Host = "pond.example" })
		body := resp.Body.String()
		if !strings.HasPrefix(body, c.want) && fmt.Sprint(resp.Code) != c.want {
			t.Errorf("%s: GET %s = %d %q, want %q", c.name, c.path, resp.Code, body, c.want)
		}
		if !c.open && strings.Contains(body, "one") {
			t.Errorf("%s: the answer names the repository: %q", c.name, body)
		}
	}
	for _, bad := range [][]repo.Config{
		{{Name: "one", Format: lost{}, Root: true}, {Name: "two", Format: lost{}, Root: true}},
		{{Name: "one", Format: told{}, Root: true}},
	} {
		if err := CheckMounts(public, bad); millpond.KindOf(err) != millpond.Invalid {
			t.Errorf("CheckMounts of %d with the root = %v, want Invalid", len(bad), err)
		}
	}
}
