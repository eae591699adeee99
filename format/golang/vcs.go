package golang

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/format"
)

const (
	runLimit  = 10 * time.Minute // of one go command
	runOutput = 8 << 20
	packLimit = 4 << 30 // of one answer of a git server
	runPrefix = "run-"
)

// A runner runs the go command on modules that are built from version control. The command gets an environment made from
// nothing and no credential. All that it and git ask goes, as plain http, through a proxy that lives as long as the command
// and asks the hosts that are named in the options alone.
type runner struct {
	shop  format.Workshop
	hosts hosts
}

// A ran is what came of a command.
type ran struct {
	out   []byte // what it printed
	said  string // what it printed as errors, and how it ended, if that was badly
	cause error  // the first question that was refused to it, or that nobody could answer; nil if there was none
	cache string // its module cache, which outlives it
}

// run runs go. That it ended badly is no error.
func (r *runner) run(ctx context.Context, args ...string) (*ran, error) {
	program, git, err := programs()
	if err != nil {
		return nil, err
	}
	scratch, err := r.shop.Scratch()
	if err != nil {
		return nil, err
	}
	done, err := r.shop.Turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	tidy(scratch)
	home, err := os.MkdirTemp(scratch, runPrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	telemetry := filepath.Join(home, ".config", "go", "telemetry")
	for _, dir := range []string{filepath.Join(home, "work"), filepath.Join(home, "tmp"), telemetry} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	// go counts its runs otherwise, in a process that outlives it.
	if err := os.WriteFile(filepath.Join(telemetry, "mode"), []byte("off"), 0o600); err != nil {
		return nil, err
	}
	gate, err := r.open(ctx, scratch)
	if err != nil {
		return nil, err
	}
	defer gate.close()
	cache := filepath.Join(scratch, "mod")
	var stdout, stderr bounded
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = filepath.Join(home, "work")
	cmd.Env = append(environment(home, cache, gate.address()), "PATH="+strings.Join([]string{filepath.Dir(program), filepath.Dir(git), "/usr/bin", "/bin"}, string(os.PathListSeparator)))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	group(cmd)
	ended := cmd.Run()
	killGroup(cmd) // what git may have left behind
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	got := &ran{out: []byte(gate.hide(stdout.String())), cause: gate.failure(), cache: cache}
	if ended != nil {
		got.said = ended.Error() + ": " + gate.hide(stderr.String())
	}
	return got, nil
}

func programs() (program, git string, err error) {
	for name, at := range map[string]*string{"go": &program, "git": &git} {
		found, err := exec.LookPath(name)
		if err != nil {
			return "", "", &millpond.Error{Kind: millpond.Unready, Why: name + " is not installed where the pond runs; modules of the option vcs are built by it", Err: err}
		}
		if *at, err = filepath.Abs(found); err != nil {
			return "", "", err
		}
	}
	return program, git, nil
}

// tidy removes what commands of a pond that was killed have left.
func tidy(scratch string) {
	entries, err := os.ReadDir(scratch)
	if err != nil {
		return // making a folder there will say what is wrong
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), runPrefix) && time.Since(info.ModTime()) > 2*runLimit {
			os.RemoveAll(filepath.Join(scratch, e.Name()))
		}
	}
}

// environment is all that the go command and git know of the world.
func environment(home, cache, proxy string) []string {
	env := []string{
		"HOME=" + home, "TMPDIR=" + filepath.Join(home, "tmp"), "GOPATH=" + filepath.Join(home, "go"), "GOCACHE=" + filepath.Join(home, "build"),
		"GOMODCACHE=" + cache, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config"), "GOENV=off", "GO111MODULE=on", "GOFLAGS=-modcacherw", "GOWORK=off", "CGO_ENABLED=0",
		"GOPROXY=direct", "GONOPROXY=", "GOPRIVATE=", "GOSUMDB=off", "GOTOOLCHAIN=local", "GOAUTH=off",
		// git, and nothing else that can check out. That go may ask by plain http is what leads it to the proxy.
		"GOVCS=*:git", "GOINSECURE=*", "GIT_ALLOW_PROTOCOL=https:http",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_HTTP_PROXY_AUTHMETHOD=basic",
		"http_proxy=" + proxy, "https_proxy=" + proxy, "no_proxy=", "LC_ALL=C",
	}
	config := [][2]string{
		{"url.http://.insteadOf", "https://"}, {"gc.auto", "0"}, {"maintenance.auto", "false"}, {"core.hooksPath", os.DevNull}, {"credential.helper", ""},
	}
	env = append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(config)))
	for i, c := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, c[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, c[1]))
	}
	return env
}

// bounded keeps what a command prints, up to a limit beyond which the command is stopped.
type bounded struct{ bytes.Buffer }

var errTalkative = errors.New("the go command printed more than it may")

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > runOutput {
		return 0, errTalkative
	}
	return b.Buffer.Write(p)
}

// ReadFrom would go around Write.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// hosts are those that a command may ask, and where each of them is.
type hosts struct {
	at       map[string]*url.URL
	patterns []string // first elements of the modules' patterns, which are at https://host/
}

// readHosts reads the options vcs and vcs_hosts of the upstream at base.
func readHosts(patterns, named string, base *url.URL) (hosts, error) {
	h := hosts{at: map[string]*url.URL{strings.ToLower(base.Hostname()): {Scheme: base.Scheme, Host: base.Host}}}
	for _, p := range words(patterns) {
		first, _, _ := strings.Cut(p, "/")
		h.patterns = append(h.patterns, strings.ToLower(first))
	}
	for _, one := range words(named) {
		host, at, given := strings.Cut(one, "=")
		if !given {
			at = "https://" + host
		}
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			return h, &millpond.Error{Kind: millpond.Unready, Why: "the option vcs_hosts has " + host + ", which reads like host or host=https://address"}
		}
		h.at[strings.ToLower(host)] = u
	}
	return h, nil
}

func words(option string) []string {
	return strings.FieldsFunc(option, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
}

// of is where a host is; nil if it may not be asked.
func (h hosts) of(host string) *url.URL {
	host = strings.ToLower(host)
	if at := h.at[host]; at != nil {
		return at
	}
	if isAddress(host) {
		return nil
	}
	for _, p := range h.patterns {
		if ok, err := path.Match(p, host); ok && err == nil {
			return &url.URL{Scheme: "https", Host: host}
		}
	}
	return nil
}

// isAddress reports whether a host is, to some resolver or other, an address and no name.
func isAddress(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") || host == "localhost" || last == "localhost"
}

// A gate is the proxy of one command.
type gate struct {
	*runner
	ctx     context.Context
	server  *http.Server
	listen  net.Listener
	secret  string
	scratch string

	mu     sync.Mutex // guards failed
	failed error      // the first question that was refused, or that nobody could answer
}

func (r *runner) open(ctx context.Context, scratch string) (*gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{runner: r, ctx: ctx, listen: l, secret: rand.Text(), scratch: scratch}
	// What it would log are connections that a killed command has left.
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go g.server.Serve(l) // until close
	return g, nil
}

func (g *gate) close() { g.server.Close() }

// address is the gate's with its secret. It stands in the environment of one command alone: others of this machine could
// otherwise ask with the upstream's credentials.
func (g *gate) address() string { return "http://pond:" + g.secret + "@" + g.listen.Addr().String() }

// hide takes the secret out of a text, which git does not show, and the place of the data.
func (g *gate) hide(s string) string {
	return strings.NewReplacer(g.secret, "…", g.scratch, "…").Replace(s)
}

func (g *gate) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

func (g *gate) note(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = err
	}
}

func (g *gate) fail(w http.ResponseWriter, status int, err error) {
	g.note(err)
	http.Error(w, "refused", status)
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("pond:"+g.secret))
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Proxy-Authorization")), []byte(want)) != 1 {
		w.Header().Set("Proxy-Authenticate", `Basic realm="pond"`)
		http.Error(w, "not for you", http.StatusProxyAuthRequired)
		return
	}
	fetches := r.Method == http.MethodGet || r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack")
	if !fetches || !r.URL.IsAbs() { // CONNECT above all: go tries https first
		http.Error(w, "only what fetches goes through here", http.StatusForbidden)
		return
	}
	at := g.hosts.of(r.URL.Hostname())
	if at == nil || r.URL.Port() != "" && r.URL.Port() != "443" {
		g.fail(w, http.StatusForbidden, &millpond.Error{Kind: millpond.Blocked, Why: fmt.Sprintf("it leads to %.100q, which is not asked", r.URL.Host),
			Hint: "an operator can name the host in the option vcs_hosts"})
		return
	}
	text := strings.TrimSuffix(at.String(), "/") + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		text += "?" + r.URL.RawQuery
	}
	ask, err := http.NewRequestWithContext(g.ctx, r.Method, text, r.Body)
	if err != nil {
		g.fail(w, http.StatusBadGateway, &millpond.Error{Kind: millpond.BadUpstream, Why: "it leads to an address that cannot be read", Err: err})
		return
	}
	ask.Header, ask.ContentLength = r.Header, r.ContentLength
	resp, err := g.shop.Send(ask, packLimit)
	if err != nil {
		g.fail(w, http.StatusBadGateway, err)
		return
	}
	defer resp.Body.Close()
	switch status := resp.StatusCode; {
	case status == http.StatusNotFound, status == http.StatusGone, status < 400:
	default:
		kind := millpond.BadUpstream
		if status == http.StatusTooManyRequests {
			kind = millpond.Throttled
		}
		g.fail(w, http.StatusBadGateway, &millpond.Error{Kind: kind, Why: fmt.Sprintf("%s answered %d", r.URL.Hostname(), status)})
		return
	}
	if kind := resp.Header.Get("Content-Type"); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	w.WriteHeader(resp.StatusCode)
	out := &flushed{w: w, c: http.NewResponseController(w)}
	if _, err := io.Copy(out, resp.Body); err != nil {
		if out.err == nil { // else it is git that has left
			g.note(&millpond.Error{Kind: millpond.BadUpstream, Why: r.URL.Hostname() + " broke off in its answer", Err: err})
		}
		panic(http.ErrAbortHandler) // git must not take what came for all
	}
}

// flushed passes on what comes when it comes.
type flushed struct {
	w   io.Writer
	c   *http.ResponseController
	err error
}

func (f *flushed) Write(p []byte) (n int, err error) {
	if n, f.err = f.w.Write(p); f.err == nil {
		f.err = f.c.Flush()
	}
	return n, f.err
}
