package millpond_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond/fetch/faulty"
)

// A victim is the program itself, killed again and again in one data directory while people read, publish and manage.
type victim struct {
	t       *testing.T
	home    string
	base    string // its address, without a slash at the end
	up      *faulty.Server
	limits  string   // what the shell does before it becomes the pond
	under   string   // the program that the pond runs under
	socket  *os.File // its listening socket, if it is handed over
	manager string   // where it tells how it is; "" for nobody
	process *exec.Cmd
	ended   chan struct{}
	begun   time.Time
	ready   time.Duration // the longest start

	publisher string               // a token
	cold      map[string]coldWheel // what the upstream has, by file
	files     []string
	number    atomic.Int64

	mu     sync.Mutex // guards what was acknowledged
	goods  map[string]*acknowledged
	read   map[string]bool // upstream's wheels that were served whole
	tokens []string
}

type coldWheel struct {
	name string
	body []byte
}

// acknowledged is what a client was told about a wheel that it published.
type acknowledged struct {
	good
	file      string
	body      []byte
	published bool // the pond said so
	yanked    bool
	deleted   bool
	asked     string // "yank" or "delete", if that was asked and no answer came
}

const victimPackages = 3

func newVictim(t *testing.T) *victim {
	v := &victim{t: t, home: t.TempDir(), up: faulty.New(t), cold: map[string]coldWheel{}, goods: map[string]*acknowledged{}, read: map[string]bool{}}
	listener, err := faulty.Listen()
	if err != nil {
		t.Fatal(err)
	}
	v.base = "http://" + listener.Addr().String()
	listener.Close()
	var goods []good
	for i := range victimPackages {
		for j := range 12 {
			goods = append(goods, good{name: fmt.Sprintf("cold%d", i), version: fmt.Sprintf("1.%d", j), published: longAgo, size: []int64{100, 30_000, 300_000, 900_000}[j%4]})
		}
	}
	if _, _, err := stockPyPI(v.up, goods); err != nil {
		t.Fatal(err)
	}
	for _, g := range goods {
		file, body, _, err := wheel(g)
		if err != nil {
			t.Fatal(err)
		}
		v.cold[file], v.files = coldWheel{g.name, body}, append(v.files, file)
	}
	config := fmt.Sprintf("repositories:\n  pypi:\n    format: pypi\n    upstreams: [%s/simple/]\n    claims: [ours-*]\n    unpublish: true\n    fresh: 1s\n    read: [anonymous]\n", v.up.URL)
	if err := os.WriteFile(v.path("config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v.process != nil {
			v.kill()
		}
	})
	return v
}

func (v *victim) path(name string) string { return filepath.Join(v.home, name) }

// begin starts the pond.
func (v *victim) begin() {
	v.t.Helper()
	log, err := os.OpenFile(v.path("pond.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		v.t.Fatal(err)
	}
	defer log.Close()
	v.process = exec.Command("sh", "-c", v.limits+"exec "+v.under+" millpond \"$@\"", "sh", "serve", "--config", v.path("config.yaml"), "--data", v.path("data"), "--listen", strings.TrimPrefix(v.base, "http://"))
	v.process.Env = v.env()
	if v.socket != nil {
		v.process.Args[2] = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=pond; " + v.process.Args[2]
		v.process.ExtraFiles = []*os.File{v.socket}
	}
	if v.manager != "" {
		v.process.Env = append(v.process.Env, "NOTIFY_SOCKET="+v.manager)
	}
	v.process.Stdout, v.process.Stderr = log, log
	v.begun = time.Now()
	if err := v.process.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { // ends with the pond
		cmd.Wait()
		close(ended)
	}(v.process, v.ended)
}

// start starts the pond and waits until it is ready. It returns what it said.
func (v *victim) start() string {
	v.t.Helper()
	if err := v.starts(); err != nil {
		v.t.Fatal(err)
	}
	return v.log()
}

// starts starts the pond and waits until it is ready, or has ended.
func (v *victim) starts() error {
	v.t.Helper()
	v.begin()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		resp, err := http.Get(v.base + "/-/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-v.ended:
			return fmt.Errorf("the pond ended instead of getting ready:\n%s", v.log())
		case <-look.C:
		}
	}
	v.ready = max(v.ready, time.Since(v.begun))
	return nil
}

func (v *victim) log() string {
	said, err := os.ReadFile(v.path("pond.log"))
	if err != nil {
		v.t.Error(err)
	}
	return string(said)
}

// kill ends the pond as a power switch would.
func (v *victim) kill() {
	v.process.Process.Kill() // it may be gone
	<-v.ended
	v.process = nil
	if err := findRaces(v.path("pond.log")); err != nil {
		v.t.Error(err)
	}
}

func (v *victim) env() []string {
	return []string{raceEnv(), "HOME=" + v.home, "PATH=" + os.Getenv("PATH"), "XDG_CONFIG_HOME=" + v.home, "GOENV=off", "MILLPOND_URL=" + v.base, "MILLPOND_DATA=" + v.path("data")}
}

// command runs a command of the program; it must succeed.
func (v *victim) command(in string, args ...string) string {
	v.t.Helper()
	cmd := exec.Command("millpond", args...)
	cmd.Env, cmd.Stdin = v.env(), strings.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		v.t.Fatalf("millpond %s: %v\n%s%s\n%s", strings.Join(args, " "), err, out, &errs, v.log())
	}
	return string(out)
}

// errKilled is any failure of a request that a killed pond explains.
var errKilled = errors.New("no whole answer came")

// send sends a request as a token, and reads the whole answer.
func (v *victim) send(token, method, path string, body []byte) (int, []byte, error) {
	status, answer, _, err := v.sendNamed(token, method, path, body)
	return status, answer, err
}

// sendNamed returns the name that the pond gave the request, too.
func (v *victim) sendNamed(token, method, path string, body []byte) (int, []byte, string, error) {
	req, err := http.NewRequest(method, v.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if method == "GET" {
		req.Header.Set("Accept", "application/vnd.pypi.simple.v1+json")
	} else if !strings.Contains(path, "/publish/") {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", errKilled
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, "", errKilled
	}
	return resp.StatusCode, answer, resp.Header.Get("X-Request-Id"), nil
}

// setUp makes the first user and a service that publishes.
func (v *victim) setUp() {
	v.t.Helper()
	m := regexp.MustCompile(`setup secret: (\S+)`).FindStringSubmatch(v.start())
	if m == nil {
		v.t.Fatalf("serve printed no setup secret:\n%s", v.log())
	}
	v.command(m[1]+"\na long password\n", "login", v.base, "--setup", "--user", "ann")
	v.command("", "service", "add", "ci")
	v.command("", "grant", "add", "user:ci", "maintainer", "pypi", "ours-*")
	secret, _, _ := strings.Cut(v.command("", "service", "token", "ci"), "\n")
	v.publisher = secret
}

// load reads, publishes, yanks, deletes and makes tokens until the pond is killed. Whatever the pond answers must be right.
func (v *victim) load() {
	var all sync.WaitGroup
	until := func(name string, f func() error) {
		all.Go(func() {
			for {
				if err := f(); err != nil {
					if err != errKilled {
						v.t.Errorf("%s: %v", name, err)
					}
					return
				}
			}
		})
	}
	for range 3 {
		until("read", v.reads)
		until("publish", v.publishes)
	}
	until("token", v.makesToken)
	all.Wait()
}

func (v *victim) reads() error {
	file := v.files[rand.IntN(len(v.files))]
	g, want := v.cold[file], v.cold[file].body
	if status, page, err := v.send("", "GET", "/pypi/simple/"+g.name+"/", nil); err != nil || status != 200 || !bytes.Contains(page, []byte(file)) {
		return orError(err, "index of %s: %d %.200q", g.name, status, page)
	}
	status, got, err := v.send("", "GET", "/pypi/packages/"+g.name+"/-/"+file, nil)
	if err != nil || status != 200 || !bytes.Equal(got, want) {
		return orError(err, "%s: %d, %d bytes %.200q, want %d", file, status, len(got), got, len(want))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.read[file] = true
	return nil
}

func (v *victim) publishes() error {
	n := v.number.Add(1)
	g := good{name: fmt.Sprintf("ours-%d", n%victimPackages), version: fmt.Sprintf("1.%d", n), size: []int64{100, 3000, 40_000}[n%3]}
	file, body, _, err := wheel(g)
	if err != nil {
		return err
	}
	a := &acknowledged{good: g, file: file, body: body}
	v.mu.Lock()
	v.goods[file] = a
	v.mu.Unlock()
	note := func(f func()) { v.mu.Lock(); f(); v.mu.Unlock() }
	status, said, err := v.send(v.publisher, "POST", "/-/api/repositories/pypi/publish/"+file, body)
	if err != nil || status != 200 {
		return orError(err, "publish %s: %d %.300q", file, status, said)
	}
	note(func() { a.published = true })
	verb := map[int64]string{1: "yank", 2: "delete"}[n%4]
	if verb == "" {
		return nil
	}
	note(func() { a.asked = verb })
	status, said, err = v.send(v.publisher, "POST", "/-/api/repositories/pypi/packages/"+g.name+"/"+verb, fmt.Appendf(nil, `{"version": %q, "why": "the test"}`, g.version))
	if err != nil || status != 204 {
		return orError(err, "%s %s: %d %.300q", verb, file, status, said)
	}
	note(func() { a.asked, a.yanked, a.deleted = "", verb == "yank", verb == "delete" })
	return nil
}

func (v *victim) makesToken() error {
	status, said, err := v.send(v.publisher, "POST", "/-/api/tokens", []byte(`{"name": "one of many", "verbs": ["read"]}`))
	if err != nil || status != 200 {
		return orError(err, "make a token: %d %.300q", status, said)
	}
	var made struct{ Secret string }
	if err := json.Unmarshal(said, &made); err != nil || made.Secret == "" {
		return fmt.Errorf("make a token: %.300q, %v", said, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tokens = append(v.tokens, made.Secret)
	return nil
}

func orError(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}

// survived compares the pond with what was acknowledged, its upstream being away.
func (v *victim) survived() {
	v.t.Helper()
	v.up.Refuse()
	for file := range v.read {
		v.served(v.cold[file].name, file, v.cold[file].body)
	}
	pages := map[string][]map[string]any{}
	for i := range victimPackages {
		name := fmt.Sprintf("ours-%d", i)
		status, text, err := v.send("", "GET", "/pypi/simple/"+name+"/", nil)
		var page struct{ Files []map[string]any }
		if err != nil || status != 200 && status != 404 || status == 200 && json.Unmarshal(text, &page) != nil {
			v.t.Errorf("index of %s: %d %.200q, %v", name, status, text, err)
		}
		pages[name] = page.Files
	}
	for _, file := range slices.Sorted(maps.Keys(v.goods)) {
		a := v.goods[file]
		i := slices.IndexFunc(pages[a.name], func(f map[string]any) bool { return f["filename"] == file })
		there := i >= 0
		switch {
		case a.deleted && there:
			v.t.Errorf("%s was deleted, and is back", file)
		case a.published && !a.deleted && a.asked != "delete" && !there:
			v.t.Errorf("%s was acknowledged, and is lost", file)
		}
		if a.asked == "delete" {
			a.deleted = !there // whichever it is, it stays
		}
		if !there {
			a.asked = ""
			if status, _, err := v.send("", "GET", "/pypi/packages/"+a.name+"/-/"+file, nil); err != nil || status == 200 {
				v.t.Errorf("%s is not listed, and is served: %d, %v", file, status, err)
			}
			if !a.published && !a.deleted { // the client that heard nothing tries again
				status, said, err := v.send(v.publisher, "POST", "/-/api/repositories/pypi/publish/"+file, a.body)
				if a.published = err == nil && status == 200; !a.published {
					v.t.Errorf("publish %s again: %d %.200q, %v", file, status, said, err)
				}
			}
			continue
		}
		yanked := pages[a.name][i]["yanked"] != nil && pages[a.name][i]["yanked"] != false
		if a.asked == "yank" {
			a.yanked = yanked
		}
		if yanked != a.yanked {
			v.t.Errorf("%s: yanked is %v, was acknowledged as %t", file, pages[a.name][i]["yanked"], a.yanked)
		}
		v.served(a.name, file, a.body)
		if !a.published {
			var done struct{ New bool }
			status, said, err := v.send(v.publisher, "POST", "/-/api/repositories/pypi/publish/"+file, a.body)
			if err != nil || status != 200 || json.Unmarshal(said, &done) != nil || done.New {
				v.t.Errorf("publish %s again, whose answer was lost: %d %.200q, %v; want that nothing is new", file, status, said, err)
			}
			a.published = true
		}
		a.asked = ""
	}
	for _, token := range v.tokens {
		if status, said, err := v.send(token, "GET", "/-/api/whoami", nil); err != nil || status != 200 {
			v.t.Errorf("a token that was handed out: %d %.200q, %v", status, said, err)
		}
	}
	if out := v.command("", "check", "--read-data"); !strings.Contains(out, "no damage") {
		v.t.Errorf("check: %s", out)
	}
	v.command("", "audit", "--verify", "--heads", v.path("heads"))
	if err := v.up.Accept(); err != nil {
		v.t.Fatal(err)
	}
}

// served fails the test unless the file is served with these bytes.
func (v *victim) served(name, file string, want []byte) {
	v.t.Helper()
	status, got, err := v.send("", "GET", "/pypi/packages/"+name+"/-/"+file, nil)
	if err != nil || status != 200 || !bytes.Equal(got, want) {
		v.t.Errorf("%s: %d, %d bytes %.150q, %v; want %d right ones", file, status, len(got), got, err, len(want))
	}
}

// P01, F29, F30: the program is killed at a random time, again and again, while clients read, publish, yank, delete and make
// tokens. After each start everything that was acknowledged is so, what was not is whole or not there at all, no byte that is
// kept is wrong, and the log's chain holds. MILLPOND_KILLS says how often.
func TestF30KilledUnderLoad(t *testing.T) {
	t.Parallel()
	cycles := 6
	if s := os.Getenv("MILLPOND_KILLS"); s != "" {
		var err error
		if cycles, err = strconv.Atoi(s); err != nil {
			t.Fatalf("MILLPOND_KILLS=%q is not a number", s)
		}
	}
	v := newVictim(t)
	v.setUp()
	// What a load comes to before it is killed is chance too: there are more kills if it came to too little.
	cycle := 0
	for ; cycle < cycles || cycle < 5*cycles && !v.tried(cycles); cycle++ {
		wait := time.Duration(rand.IntN(400)) * time.Millisecond // when it comes is what is random: nothing is waited for
		pond := v.process.Process
		time.AfterFunc(wait, func() { pond.Kill() }) // load ends with it
		v.load()
		v.kill()
		if cycle%4 == 3 { // and once more while it starts
			v.begin()
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
			v.kill()
		}
		v.start()
		v.survived()
		if t.Failed() {
			t.Fatalf("stopped after kill %d, %v after the load began; the pond said:\n%s", cycle, wait, v.log())
		}
	}
	if !v.tried(cycles) {
		t.Errorf("%v, %d read, %d tokens: too little for %d kills to show anything", v.done(), len(v.read), len(v.tokens), cycle)
	}
	v.oneEventEach()
	t.Logf("%d kills: %v, %d of %d read, %d tokens; the longest start took %v", cycle, v.done(), len(v.read), len(v.cold), len(v.tokens), v.ready)
}

// done counts what was acknowledged.
func (v *victim) done() map[string]int {
	n := map[string]int{}
	for _, a := range v.goods {
		for what, is := range map[string]bool{"published": a.published, "yanked": a.yanked, "deleted": a.deleted} {
			if is {
				n[what]++
			}
		}
	}
	return n
}

// tried reports whether there was enough of everything for so many kills to show something.
func (v *victim) tried(kills int) bool {
	n := v.done()
	return n["published"] >= kills && n["yanked"] > 0 && n["deleted"] > 0 && len(v.read) > 0 && len(v.tokens) > 0
}

// oneEventEach fails the test unless every version has one event of its publish, however often it was sent.
func (v *victim) oneEventEach() {
	v.t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(v.command("", "audit", "--format", "jsonl", "--verb", "publish", "--limit", "1000000")) {
		var e struct{ Package, Version string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			v.t.Fatalf("audit: %.300s, %v", line, err)
		}
		counts[e.Package+" "+e.Version]++
	}
	for _, a := range v.goods {
		if n := counts[a.name+" "+a.version]; n != 1 {
			v.t.Errorf("%s has %d events of its publish, want 1", a.file, n)
		}
	}
}
