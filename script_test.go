package millpond_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/internal/cli"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"millpond": func() {
		signals := make(chan os.Signal, 4)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		os.Exit(cli.Main(context.Background(), cli.Process{
			Args: os.Args[1:], Out: os.Stdout, Err: os.Stderr, Version: "test", Signals: signals, Exit: os.Exit,
		}))
	}})
}

// TestScripts runs the scripts of testdata/script with real clients; README.md there explains their commands.
func TestScripts(t *testing.T) {
	folders, err := filepath.Glob("testdata/script/*/*.txtar")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no scripts are found: %v", err)
	}
	for i := range folders {
		folders[i] = filepath.Dir(folders[i])
	}
	folders = slices.Compact(folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir:                 folder,
				Setup:               setUp,
				Condition:           condition,
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"upstream": cmdUpstream, "order": cmdOrder, "asked": cmdAsked, "pond": cmdPond, "get": cmdGet,
				},
			})
		})
	}
}

// A scene is what one script has running.
type scene struct {
	mu        sync.Mutex // guards pond, which a deferred stop reads
	upstreams map[string]*faulty.Server
	pond      *exec.Cmd
	listen    string
}

type sceneKey struct{}

func setUp(env *testscript.Env) error {
	s := &scene{upstreams: map[string]*faulty.Server{}}
	env.Values[sceneKey{}] = s
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.listen = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	env.Defer(func() {
		s.stop()
		for _, up := range s.upstreams {
			up.Close()
		}
	})
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return err
	}
	for k, v := range map[string]string{
		"HOME": home, "XDG_CACHE_HOME": home + "/cache", "XDG_CONFIG_HOME": home + "/config", "XDG_DATA_HOME": home + "/data",
		"LISTEN": s.listen, "POND": "http://" + s.listen, "MILLPOND_URL": "http://" + s.listen, "MILLPOND_DATA": env.WorkDir + "/data",
		"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1",
		"UV_NO_CONFIG": "1", "UV_HTTP_RETRIES": "0", "UV_PYTHON_DOWNLOADS": "never",
		"npm_config_cache": home + "/npm", "npm_config_audit": "false", "npm_config_fund": "false", "npm_config_update_notifier": "false",
		"npm_config_fetch_retries": "0", "YARN_ENABLE_TELEMETRY": "0", "COREPACK_ENABLE_STRICT": "0",
		"GOPATH": home + "/go", "GOCACHE": strings.TrimSpace(string(cache)), "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local",
		"GOSUMDB": "off", "GONOSUMDB": "", "GOENV": "off", "GOWORK": "off",
	} {
		env.Setenv(k, v)
	}
	return nil
}

// condition adds [real]: the upstreams of this machine's own clients can be reached.
func condition(name string) (bool, error) {
	if name == "real" {
		return reachable(), nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

var reachable = sync.OnceValue(func() bool {
	out, err := exec.Command("go", "env", "GOPROXY").Output()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), ",")
	if err != nil || !strings.HasPrefix(first, "http") {
		return false
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(first + "/golang.org/x/mod/@v/v0.20.0.info")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
})

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// cmdUpstream starts an upstream: upstream FORMAT [PACKAGE@VERSION [needs PACKAGE…]]…
func cmdUpstream(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: upstream FORMAT ['PACKAGE@VERSION needs PACKAGE…']…")
	}
	s := sceneOf(ts)
	stock, ok := stocks[args[0]]
	if !ok {
		ts.Fatalf("no upstream of format %s can be made", args[0])
	}
	up := s.upstreams[args[0]]
	if up == nil {
		var err error
		if up, err = faulty.Start(faulty.Plain); err != nil {
			ts.Fatalf("start upstream: %v", err)
		}
		s.upstreams[args[0]] = up
	}
	goods, err := parseGoods(args[1:])
	ts.Check(err)
	root, err := stock(up, goods)
	ts.Check(err)
	ts.Setenv("UP_"+strings.ToUpper(args[0]), up.URL+root)
}

// A good is a package that an upstream has.
type good struct {
	name, version string
	needs         []string
}

func parseGoods(args []string) ([]good, error) {
	var goods []good
	for _, arg := range args {
		fields := strings.Fields(arg)
		at := strings.LastIndex(fields[0], "@")
		if at <= 0 || len(fields) > 1 && fields[1] != "needs" {
			return nil, fmt.Errorf("%q is not PACKAGE@VERSION [needs PACKAGE…]", arg)
		}
		g := good{name: fields[0][:at], version: fields[0][at+1:]}
		if len(fields) > 2 {
			g.needs = fields[2:]
		}
		goods = append(goods, g)
	}
	return goods, nil
}

// cmdOrder orders an upstream to misbehave: order FORMAT PATH VERB…, order FORMAT refuse, order FORMAT accept.
func cmdOrder(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: order FORMAT PATH VERB… | order FORMAT refuse | order FORMAT accept")
	}
	up := sceneOf(ts).upstreams[args[0]]
	if up == nil {
		ts.Fatalf("there is no upstream %s", args[0])
	}
	switch args[1] {
	case "refuse":
		up.Refuse()
	case "accept":
		ts.Check(up.Accept())
	default:
		up.Order(args[1], args[2:]...)
	}
}

// cmdAsked checks how often an upstream was asked: asked FORMAT PATH N, where PATH * is any. "asked FORMAT forget" begins
// anew.
func cmdAsked(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: asked FORMAT PATH N | asked FORMAT forget")
	}
	up := sceneOf(ts).upstreams[args[0]]
	if up == nil {
		ts.Fatalf("there is no upstream %s", args[0])
	}
	if args[1] == "forget" {
		up.Forget()
		return
	}
	path := args[1]
	if path == "*" {
		path = ""
	}
	got := fmt.Sprint(up.Count("", path))
	if (got == args[2]) == neg {
		var all []string
		for _, r := range up.Requests(path) {
			all = append(all, r.Method+" "+r.Path)
		}
		ts.Fatalf("upstream %s was asked %s times for %s, not %s:\n%s", args[0], got, args[1], args[2], strings.Join(all, "\n"))
	}
}

// cmdPond starts the pond, after stopping the one that runs: pond [serve's flags]. Upstreams that the script has are given
// to it. "pond stop" only stops it, "pond kill" kills it; "pond adopt" starts it as on this machine, with what its clients
// are set up with.
func cmdPond(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	if len(args) == 1 && args[0] == "kill" && s.pond != nil {
		s.pond.Process.Kill()
		s.pond.Wait()
		s.pond = nil
		return
	}
	ts.Check(s.stop())
	if len(args) == 1 && args[0] == "stop" {
		return
	}
	serve := []string{"serve", "--listen", s.listen, "--data", ts.Getenv("MILLPOND_DATA")}
	env := []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "GOENV=off"}
	if len(args) > 0 && args[0] == "adopt" {
		args, env = args[1:], append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	} else if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--config") }) {
		// The formats of which the script has no upstream host only.
		for _, format := range []string{"pypi", "npm", "golang"} {
			at := ts.Getenv("UP_" + strings.ToUpper(format))
			if at == "" {
				at = "none"
			}
			serve = append(serve, "--upstream", format+"="+at)
		}
	}
	cmd := exec.Command("millpond", append(serve, args...)...)
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) { // the script's PATH has the program, not the test's
		if path := filepath.Join(dir, "millpond"); isFile(path) {
			cmd = exec.Command(path, append(serve, args...)...)
			break
		}
	}
	cmd.Env, cmd.Dir = env, ts.Getenv("WORK")
	log, err := os.OpenFile(ts.MkAbs("pond.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	ts.Check(err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	s.pond = cmd
	scheme := "http"
	if slices.Contains(args, "--tls") {
		scheme = "https"
	}
	if err := s.ready(scheme); err != nil {
		s.stop()
		said, _ := os.ReadFile(ts.MkAbs("pond.log"))
		ts.Fatalf("the pond does not get ready: %v; it said:\n%s", err, said)
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// ready waits until the pond accepts connections.
func (s *scene) ready(string) error {
	var err error
	for range 200 {
		var conn net.Conn
		if conn, err = net.Dial("tcp", s.listen); err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond) // there is nothing to wait on in another process
	}
	return err
}

// stop ends the pond as an operator would.
func (s *scene) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pond == nil {
		return nil
	}
	cmd := s.pond
	s.pond = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return cmd.Wait()
}

// cmdGet gets a URL into stdout-like file "got", its status and headers into "got.head": get URL [HEADER…].
func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: get URL ['Header: value']…")
	}
	req, err := http.NewRequest("GET", args[0], nil)
	ts.Check(err)
	for _, header := range args[1:] {
		k, v, _ := strings.Cut(header, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		if !neg {
			ts.Fatalf("get %s: %v", args[0], err)
		}
		return
	}
	defer resp.Body.Close()
	body, err := os.Create(ts.MkAbs("got"))
	ts.Check(err)
	defer body.Close()
	_, err = body.ReadFrom(resp.Body)
	ts.Check(err)
	var head strings.Builder
	fmt.Fprintln(&head, resp.Status)
	resp.Header.Write(&head)
	ts.Check(os.WriteFile(ts.MkAbs("got.head"), []byte(head.String()), 0o644))
	if good := resp.StatusCode < 400; good == neg {
		said, _ := os.ReadFile(ts.MkAbs("got"))
		ts.Fatalf("get %s: %s\n%s", args[0], resp.Status, said)
	}
}
