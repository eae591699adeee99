package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millpond/fetch"
	"millpond/format"
	"millpond/format/pypi"
	"millpond/internal/config"
	"millpond/internal/server"
	"millpond/repo"
)

// wheel is a small wheel of demo 1.0.
func wheel(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	var record strings.Builder
	const info = "demo-1.0.dist-info/"
	for _, f := range [][2]string{{"demo/__init__.py", ""}, {info + "METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}, {info + "RECORD", ""}} {
		text := f[1]
		if f[0] == info+"RECORD" {
			text = record.String() + f[0] + ",,\n"
		}
		w, err := z.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
		sum := sha256.Sum256([]byte(text))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f[0], base64.RawURLEncoding.EncodeToString(sum[:]), len(text))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// upstream serves the one project demo.
func upstream(t *testing.T, body []byte) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/simple/demo/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!doctype html><a href="../../files/demo-1.0-py3-none-any.whl#sha256=%x">demo-1.0-py3-none-any.whl</a>`, sha256.Sum256(body))
		case "/files/demo-1.0-py3-none-any.whl":
			w.Write(body)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// A screen is what a command prints, as it comes.
type screen struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.b.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A pond under test, run as the command runs it.
type underTest struct {
	t       *testing.T
	base    string
	out     *screen
	log     *screen
	signals chan os.Signal
	ended   chan error
	next    *plan // what a reload reads
	nextErr error
	reloads int // that were asked for
}

var address = regexp.MustCompile(`serves (\S+)`)

func run(t *testing.T, p *plan) *underTest {
	t.Helper()
	u := &underTest{t: t, next: p}
	return u.begin(func(process Process) error {
		return serve(context.Background(), &process, p, func(context.Context) (*plan, error) { return u.next, u.nextErr })
	})
}

// runCommand runs the command serve as the command line would.
func runCommand(t *testing.T, m format.Machine, args ...string) *underTest {
	t.Helper()
	return (&underTest{t: t}).begin(func(process Process) error {
		process.Args, process.Machine = append([]string{"serve"}, args...), m
		if code := Main(context.Background(), process); code != 0 {
			return fmt.Errorf("exit code %d", code)
		}
		return nil
	})
}

// begin waits until the pond says where it serves.
func (u *underTest) begin(serve func(Process) error) *underTest {
	t := u.t
	t.Helper()
	u.out, u.log, u.signals, u.ended = newScreen(), newScreen(), make(chan os.Signal), make(chan error, 1)
	process := Process{Out: u.out, Err: u.log, Version: "test", Signals: u.signals}
	go func() { u.ended <- serve(process) }()
	for u.base == "" {
		select {
		case <-u.out.more:
			if m := address.FindStringSubmatch(u.out.String()); m != nil {
				u.base = m[1]
			}
		case err := <-u.ended:
			t.Fatalf("serve ended before it served: %v\n%s%s", err, u.out, u.log)
		}
	}
	return u
}

// stop sends SIGTERM and waits for the end.
func (u *underTest) stop() {
	u.t.Helper()
	u.signals <- syscall.SIGTERM
	if err := <-u.ended; err != nil {
		u.t.Errorf("serve ended with %v, want no error", err)
	}
}

// reload has the pond read next, or meet err, and waits until it is done with it.
func (u *underTest) reload(next *plan, err error) {
	u.t.Helper()
	u.next, u.nextErr = next, err
	u.signals <- syscall.SIGHUP
	u.reloaded()
}

var reloads = regexp.MustCompile(`(?m)^millpond_config_reloads_total.* (\d+)$`)

// reloaded waits for the end of one more reload.
func (u *underTest) reloaded() {
	u.t.Helper()
	for u.reloads++; ; time.Sleep(time.Millisecond) {
		_, metrics := u.get("-/metrics")
		done := 0
		for _, m := range reloads.FindAllSubmatch(metrics, -1) {
			n, err := strconv.Atoi(string(m[1]))
			if err != nil {
				u.t.Fatal(err)
			}
			done += n
		}
		if done >= u.reloads {
			return
		}
	}
}

func (u *underTest) get(path string) (*http.Response, []byte) {
	u.t.Helper()
	resp, err := http.Get(u.base + path)
	if err != nil {
		u.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		u.t.Fatalf("GET %s: %v", path, err)
	}
	return resp, b
}

// command runs another command against the pond.
func (u *underTest) command(args ...string) (code int, out, errs string) {
	u.t.Helper()
	u.t.Setenv("MILLPOND_URL", u.base)
	return command(args...)
}

func command(args ...string) (code int, out, errs string) {
	o, e := newScreen(), newScreen()
	code = Main(context.Background(), Process{Args: args, Out: o, Err: e, Version: "test"})
	return code, o.String(), e.String()
}

func planFor(t *testing.T, upstreamURL string) *plan {
	t.Helper()
	u, err := url.Parse(upstreamURL)
	if err != nil {
		t.Fatal(err)
	}
	return &plan{
		listen: "127.0.0.1:0", data: t.TempDir(), server: server.Settings{Metrics: true},
		repositories: []repo.Config{{Name: "pypi", Format: pypi.Format{}, Public: true, Upstreams: []repo.Upstream{{Settings: fetch.Settings{Name: "up", URL: u}}}}},
		adopted:      []config.Adoption{{Format: "pypi", Adopted: format.Adopted{URL: upstreamURL, From: "pip config get global.index-url"}}},
	}
}

var href = regexp.MustCompile(`href="([^"#]+)`)

// file finds the address of the one file on the project's page.
func (u *underTest) file() string {
	u.t.Helper()
	resp, page := u.get("pypi/simple/demo/")
	m := href.FindSubmatch(page)
	if resp.StatusCode != 200 || m == nil {
		u.t.Fatalf("GET pypi/simple/demo/ = %s %q\nlog: %s", resp.Status, page, u.log)
	}
	at, err := url.Parse(u.base + "pypi/simple/demo/")
	if err != nil {
		u.t.Fatal(err)
	}
	to, err := at.Parse(string(m[1]))
	if err != nil {
		u.t.Fatal(err)
	}
	return strings.TrimPrefix(to.String(), u.base)
}

func TestServeFromFirstRequestToRestart(t *testing.T) {
	body := wheel(t)
	up := upstream(t, body)
	p := planFor(t, up.URL+"/simple/")
	u := run(t, p)
	for _, want := range []string{"millpond test serves http://127.0.0.1:", "data in " + p.data, up.URL + "/simple/ (pip config get global.index-url)", u.base + "pypi/simple"} {
		if !strings.Contains(u.out.String(), want) {
			t.Errorf("serve printed\n%s\nwant %q in it", u.out, want)
		}
	}
	file := u.file()
	resp, got := u.get(file)
	if resp.StatusCode != 200 || !bytes.Equal(got, body) || !strings.HasPrefix(resp.Header.Get("Cache-Status"), "millpond; fwd=miss") {
		t.Errorf("cold %s = %s, Cache-Status %q, the right bytes: %t", file, resp.Status, resp.Header.Get("Cache-Status"), bytes.Equal(got, body))
	}
	up.Close()
	resp, got = u.get(file)
	if resp.StatusCode != 200 || !bytes.Equal(got, body) || resp.Header.Get("Cache-Status") != "millpond; hit" {
		t.Errorf("warm %s, the upstream dead = %s, Cache-Status %q, the right bytes: %t", file, resp.Status, resp.Header.Get("Cache-Status"), bytes.Equal(got, body))
	}

	if code, out, errs := u.command("stats"); code != 0 || !strings.Contains(out, "pypi/up") || !strings.Contains(out, "1 files") || !strings.Contains(out, "1 requests that no upstream saw") {
		t.Errorf("millpond stats = %d\n%s%s", code, out, errs)
	}
	code, out, errs := u.command("stats", "--json")
	var stats server.StatsAnswer
	if err := json.Unmarshal([]byte(out), &stats); code != 0 || err != nil || stats.Pond.Held != 1 || stats.Version != "test" {
		t.Errorf("millpond stats --json = %d, %v\n%s%s", code, err, out, errs)
	}
	if code, out, errs := u.command("why", "pypi", "Demo", "1.0"); code != 0 || !strings.Contains(out, "demo 1.0 in pypi: served") || !strings.Contains(out, "held") {
		t.Errorf("millpond why pypi Demo 1.0 = %d\n%s%s", code, out, errs)
	}
	if code, out, errs := u.command("why", "pkg:pypi/demo@1.0"); code != 0 || !strings.Contains(out, "demo 1.0 in pypi: served") {
		t.Errorf("millpond why pkg:pypi/demo@1.0 = %d\n%s%s", code, out, errs)
	}
	if code, _, errs := u.command("why", "nothing", "demo"); code != ExitNotFound || !strings.Contains(errs, "repositories of this pond: pypi") {
		t.Errorf("millpond why nothing demo = %d %q, want 5 and the repositories", code, errs)
	}
	if code, out, errs := u.command("check", "--read-data", "--data", p.data); code != 0 || !strings.Contains(out, "no damage") {
		t.Errorf("millpond check of a running pond = %d\n%s%s", code, out, errs)
	}
	if code, _, errs := command("check", "--data", p.data, "--url", "http://127.0.0.1:1/"); code != ExitLocked || !strings.Contains(errs, "in use by process") {
		t.Errorf("millpond check of a locked directory whose pond cannot be asked = %d %q, want 11 and whose it is", code, errs)
	}
	u.stop()

	if code, out, errs := command("check", "--read-data", "--data", p.data); code != 0 || !strings.Contains(out, "no damage") {
		t.Errorf("millpond check of a stopped pond = %d\n%s%s", code, out, errs)
	}
	again := run(t, p)
	if _, got := again.get(file); !bytes.Equal(got, body) {
		t.Errorf("after a restart, the upstream dead, %s is %d bytes that are not the wheel", file, len(got))
	}
	again.stop()
	damage(t, p.data)
	if code, out, errs := command("check", "--read-data", "--data", p.data); code != ExitFailed || !strings.Contains(out, "demo-1.0-py3-none-any.whl") {
		t.Errorf("millpond check of damaged data = %d\n%s%s, want 1 and the file's name", code, out, errs)
	}
}

// damage flips a bit of the largest blob, the wheel.
func damage(t *testing.T, data string) {
	t.Helper()
	var largest string
	var size int64
	err := filepath.Walk(filepath.Join(data, "blobs"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() > size {
			b, readErr := os.ReadFile(path)
			if readErr == nil && bytes.HasPrefix(b, []byte("PK")) {
				largest, size = path, info.Size()
			}
		}
		return err
	})
	if err != nil || largest == "" {
		t.Fatalf("no wheel among the blobs: %v", err)
	}
	b, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(largest, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(largest, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReloadTakesAllOrNothing(t *testing.T) {
	up := upstream(t, wheel(t))
	p := planFor(t, up.URL+"/simple/")
	u := run(t, p)
	defer u.stop()
	works := func(name string, want ...string) {
		t.Helper()
		_, page := u.get("")
		for _, one := range []string{"alpha", "pypi"} {
			wanted := false
			for _, w := range want {
				wanted = wanted || w == one
			}
			resp, _ := u.get(one + "/simple/demo/")
			if got := resp.StatusCode == 200; got != wanted {
				t.Errorf("%s: %s/simple/demo/ = %s, want it to work: %t\nlog: %s", name, one, resp.Status, wanted, u.log)
			}
			if shown := bytes.Contains(page, []byte(`id="`+one+`"`)); shown != wanted {
				t.Errorf("%s: the landing page shows %s: %t, want %t", name, one, shown, wanted)
			}
		}
	}
	works("at start", "pypi")

	u.reload(nil, errors.New("line 3: no such key"))
	works("after a file that cannot be read", "pypi")
	if !strings.Contains(u.logged(), "line 3: no such key") {
		t.Errorf("the log does not say why:\n%s", u.log)
	}

	bad := *p // the pond would take it, the server not
	bad.repositories = append([]repo.Config{}, p.repositories...)
	bad.repositories[0].Name = "packages"
	u.reload(&bad, nil)
	works("after a name that cannot be", "pypi")

	good := *p
	good.repositories = append([]repo.Config{}, p.repositories...)
	good.repositories[0].Name = "alpha"
	u.reload(&good, nil)
	works("after a good file", "alpha")

	moved := good
	moved.listen = "127.0.0.1:1"
	u.reload(&moved, nil)
	works("after another address", "alpha")
	_, metrics := u.get("-/metrics")
	for _, want := range []string{`millpond_config_reloads_total{result="ok"} 1`, `millpond_config_reloads_total{result="failed"} 3`} {
		if !bytes.Contains(metrics, []byte(want)) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// logged is the log once it has been flushed, which a second's worth of requests does not wait for.
func (u *underTest) logged() string {
	for !strings.Contains(u.log.String(), "not reloaded") {
		<-u.log.more
	}
	return u.log.String()
}

// TestListenersOfRepositories moves a repository's own listener while the pond runs, to an address that is free and to one
// that is not.
func TestListenersOfRepositories(t *testing.T) {
	p := planFor(t, upstream(t, wheel(t)).URL+"/simple/")
	free := func() string {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	first, second := free(), free()
	at := func(address string) *plan {
		next := *p
		next.repositories = append([]repo.Config{}, p.repositories...)
		next.repositories[0].Listen = address
		return &next
	}
	u := run(t, at(first))
	defer u.stop()
	for _, want := range []string{"listens on " + first, "http://" + first + "/simple/"} {
		if !strings.Contains(u.out.String(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, u.out)
		}
	}
	works := func(name, address string, want bool) {
		t.Helper()
		status := "nobody listens"
		resp, err := http.Get("http://" + address + "/simple/demo/")
		if err == nil {
			resp.Body.Close()
			status = resp.Status
		}
		if got := err == nil && resp.StatusCode == 200; got != want {
			t.Errorf("%s: the repository on %s: %s, want it there: %t\nlog: %s", name, address, status, want, u.log)
		}
	}
	works("at start", first, true)
	if code, out, errs := u.command("repo", "--json"); code != 0 || !strings.Contains(out, `"own": "http://`+first+`/"`) {
		t.Errorf("millpond repo = %d %s%s, want the repository's own address", code, out, errs)
	}
	if code, out, errs := u.command("repo", "show", "pypi"); code != 0 || !strings.Contains(out, "own place  http://"+first+"/") || !strings.Contains(out, "upstream   "+p.repositories[0].Upstreams[0].URL.String()) {
		t.Errorf("millpond repo show pypi = %d %s%s, want its own place and its upstream", code, out, errs)
	}
	if code, _, errs := u.command("repo", "show", "absent"); code == 0 || !strings.Contains(errs, "no repository absent") {
		t.Errorf("millpond repo show absent = %d %s, want the words", code, errs)
	}
	if code, out, errs := u.command("set-up", "pip", "--print"); code != 0 || !strings.Contains(out+errs, "http://"+first+"/simple/") {
		t.Errorf("millpond set-up pip = %d %s%s, want the repository's own address", code, out, errs)
	}
	u.reload(at(second), nil)
	works("after another address", second, true)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	u.reload(at(taken.Addr().String()), nil)
	works("after an address that is taken", second, true)
	if !strings.Contains(u.logged(), "another program listens on "+taken.Addr().String()) {
		t.Errorf("the log does not say why:\n%s", u.log)
	}
	u.reload(p, nil)
	works("after none", second, false)
	works("below the pond", strings.TrimSuffix(strings.TrimPrefix(u.base, "http://"), "/")+"/pypi", true)
}

func TestServeOverItsOwnAuthority(t *testing.T) {
	p := planFor(t, upstream(t, wheel(t)).URL+"/simple/")
	p.tls.local = true
	u := run(t, p)
	defer u.stop()
	ca, err := os.ReadFile(filepath.Join(p.data, "tls", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(strings.Replace(u.base, "127.0.0.1", "localhost", 1) + "-/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	given, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(given, ca) || resp.ProtoMajor != 2 {
		t.Errorf("/-/ca.pem over HTTP/%d: %v, the authority: %t; want HTTP/2 and the authority", resp.ProtoMajor, err, bytes.Equal(given, ca))
	}
	if code, _, errs := u.command("stats"); code != ExitFailed || !strings.Contains(errs, "does not trust") {
		t.Errorf("millpond stats without trust = %d %q, want the words", code, errs)
	}
	if code, _, errs := u.command("stats", "--ca", filepath.Join(p.data, "tls", "ca.pem")); code != 0 {
		t.Errorf("millpond stats --ca = %d %q", code, errs)
	}
}

// TestBehindAFrontServer follows what the pond says of its own address, through a front server that passes its path on or
// cuts it off, with a public_url that ends in a slash or does not.
func TestBehindAFrontServer(t *testing.T) {
	body := wheel(t)
	up := upstream(t, body)
	for _, c := range []struct{ name, path, cut string }{
		{"at the root", "/", ""},
		{"under a path, cut off", "/tools/pond/", "/tools/pond"},
		{"under a path, cut off, no slash", "/tools/pond", "/tools/pond"},
		{"under a path, passed on", "/tools/pond/", ""},
		{"under a path, passed on, no slash", "/tools/pond", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var target *url.URL
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
					p.SetURL(target)
					p.SetXForwarded()
				}}
				http.StripPrefix(c.cut, proxy).ServeHTTP(w, r)
			}))
			defer front.Close()
			p := planFor(t, up.URL+"/simple/")
			var err error
			if p.public, err = url.Parse(front.URL + c.path); err != nil {
				t.Fatal(err)
			}
			p.pond.PublicURL = p.public.String()
			p.listen = freePort(t)
			target = &url.URL{Scheme: "http", Host: p.listen}
			u := run(t, p)
			defer u.stop()
			if want := front.URL + strings.TrimSuffix(c.path, "/") + "/"; u.base != want {
				t.Errorf("serve says it serves %s, want %s", u.base, want)
			}
			resp, got := u.get(u.file())
			if resp.StatusCode != 200 || !bytes.Equal(got, body) {
				t.Errorf("the file that the page names = %s, the right bytes: %t", resp.Status, bytes.Equal(got, body))
			}
			_, page := u.get("")
			if !bytes.Contains(page, []byte(u.base+"pypi/simple/")) {
				t.Errorf("the landing page does not name %spypi/simple/:\n%s", u.base, page)
			}
			if resp, _ := u.get("-/ui/style.css"); resp.StatusCode != 200 {
				t.Errorf("the landing page's style = %s", resp.Status)
			}
		})
	}
}

// freePort is an address that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServeSaysWhatIsInTheWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	orphaned := t.TempDir()
	if err := os.MkdirAll(filepath.Join(orphaned, "blobs", "ab"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*plan)
		want   string
	}{
		{"address in use", func(p *plan) { p.listen = l.Addr().String() }, "another program listens on"},
		{"no address", func(p *plan) { p.listen = "nonsense" }, "cannot listen on nonsense"},
		{"blobs without a catalog", func(p *plan) { p.data = orphaned }, "no catalog that names them"},
		{"certificate not there", func(p *plan) { p.tls.cert, p.tls.key = "/nowhere.pem", "/nowhere.key" }, "/nowhere.pem"},
		{"name that cannot be", func(p *plan) { p.repositories[0].Name = "v2" }, `no repository can be called "v2"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := planFor(t, "http://127.0.0.1:1/simple/")
			c.change(p)
			err := serve(context.Background(), &Process{Out: io.Discard, Err: io.Discard}, p, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("serve = %v, want %q", err, c.want)
			}
		})
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	r := &running{process: &Process{Signals: make(chan os.Signal)}, log: discard()}
	signals := make(chan os.Signal)
	exited := make(chan int, 1)
	r.process.Signals, r.process.Exit = signals, func(code int) { exited <- code }
	stopped := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.watch(ctx, func() { close(stopped) }); close(done) }()
	signals <- os.Interrupt
	<-stopped
	signals <- syscall.SIGTERM
	if code := <-exited; code == 0 {
		t.Errorf("stopped at once with exit code %d, want another", code)
	}
	cancel()
	<-done
}
