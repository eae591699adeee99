package millpond_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"millpond"
)

// A grid is a pond whose power is cut: what it does to the disk is traced, and what it promised is noted with its time.
type grid struct {
	*victim
	platter  *platter
	admin    string // a token that may do all
	promises []*promise
	heads    []step // of the log: their state is the document
}

// A promise is one thing that was changed step by step, each acknowledged.
type promise struct {
	name, first string // what it is before the first step
	steps       []step
	look        func() string // what it is now
}

type step struct {
	asked, acked int
	request      string
	state        string
}

// may be are the states that a thing may have if the power goes at a time: that of the last step that was acknowledged,
// and those of steps that were under way.
func (p *promise) mayBe(now int) []string {
	states := []string{p.first}
	for _, s := range p.steps {
		switch {
		case s.acked < now:
			states = []string{s.state}
		case s.asked < now:
			states = append(states, s.state)
		}
	}
	return states
}

func newGrid(t *testing.T) *grid {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("there is no strace, which tells what a pond does to the disk")
	}
	if out, err := exec.Command("strace", "-D", "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace cannot be used here: %v, %s", err, out)
	}
	g := &grid{victim: newVictim(t)}
	config := fmt.Sprintf(`repositories:
  pypi:
    format: pypi
    upstreams: [%s/simple/]
    claims: [ours-*]
    unpublish: true
    read: [anonymous]
  raw:
    format: raw
    upstreams: [%[1]s/things/]
    claims: ["mine/**"]
    read: [anonymous]
`, g.up.URL)
	if err := os.WriteFile(g.path("config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// traced starts the pond under strace. The channel gives what reading the trace came to, once the pond has ended.
func (g *grid) traced() <-chan error {
	g.t.Helper()
	pipe := g.path("trace")
	if err := os.Remove(pipe); err != nil && !os.IsNotExist(err) {
		g.t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		g.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { // ends with the pond
		trace, err := os.Open(pipe)
		if err == nil {
			err = g.platter.read(trace)
			trace.Close()
		}
		done <- err
	}()
	g.under = "strace -D -f -qq --seccomp-bpf -xx -s 40000000 -o " + pipe + " -e trace=" + traced
	g.start()
	g.under = ""
	return done
}

// ended waits for the end of a traced pond, and compares what the trace says with what is on the disk.
func (g *grid) ended(done <-chan error) {
	g.t.Helper()
	<-g.victim.ended
	g.process = nil
	if err := <-done; err != nil {
		g.t.Fatalf("reading the trace: %v", err)
	}
	drawn := filepath.Join(g.t.TempDir(), "drawn")
	if err := g.platter.root.cut(never, nil, drawn); err != nil {
		g.t.Fatal(err)
	}
	got, want := readTree(g.t, drawn), readTree(g.t, g.path("data"))
	for name := range want {
		if got[name] != want[name] {
			g.t.Errorf("%s: what was traced gives %d bytes, on the disk are %d others", name, len(got[name]), len(want[name]))
		}
	}
	if len(got) != len(want) || len(want) < 5 {
		g.t.Errorf("what was traced gives %d files, on the disk are %d", len(got), len(want))
	}
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || unkept(name) {
			return err
		}
		b, err := os.ReadFile(name)
		files[strings.TrimPrefix(name, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// date finds when each answer was sent.
func (g *grid) date() {
	g.t.Helper()
	date := func(steps []step) {
		for i := range steps {
			at, ok := g.platter.acks[steps[i].request]
			if !ok {
				g.t.Fatalf("the answer to request %q is not in the trace", steps[i].request)
			}
			steps[i].acked = at
		}
	}
	for _, p := range g.promises {
		date(p.steps)
	}
	date(g.heads)
}

// examine starts the pond on what a power cut left, and says what is wrong with it by what was promised until then.
func (g *grid) examine(now int) (wrong []string) {
	if err := g.starts(); err != nil {
		return []string{err.Error()}
	}
	defer g.kill()
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, p := range g.promises {
		if got, may := p.look(), p.mayBe(now); !slices.Contains(may, got) {
			say("%s is %q, may be %q", p.name, got, may)
		}
	}
	var heads []string
	for _, h := range g.heads {
		if h.acked < now {
			heads = append(heads, h.state)
		}
	}
	if _, _, err := g.verify(heads...); err != nil {
		say("%v", err)
	}
	status, said, err := g.send(g.admin, "POST", "/-/api/check?read_data=1", nil)
	var report struct{ Check *struct{ Damage []any } }
	if err != nil || status != http.StatusOK || json.Unmarshal(said, &report) != nil || report.Check == nil || len(report.Check.Damage) > 0 {
		say("check: %d %s, %v", status, said, err)
	}
	if status, said, err := g.send(g.publisher, "PUT", "/raw/mine/later", []byte("it goes on")); err != nil || status >= 300 {
		say("writing goes on: %d %s, %v", status, said, err)
	}
	if got, want := g.at("/raw/mine/later"), millpond.SHA256([]byte("it goes on")).Short(); got != want {
		say("what was written then is %s, want %s", got, want)
	}
	return wrong
}

// cut puts what a power cut leaves in place of the data.
func (g *grid) cut(p *platter, now int, rnd *rand.Rand) {
	g.t.Helper()
	if err := os.RemoveAll(g.path("data")); err != nil {
		g.t.Fatal(err)
	}
	if err := p.root.cut(now, rnd, g.path("data")); err != nil {
		g.t.Fatal(err)
	}
}

// trace traces one run of the pond. How it ends is told.
func (g *grid) trace(p *platter, works func(), end os.Signal) {
	g.t.Helper()
	g.platter = p
	done := g.traced()
	works()
	if err := g.process.Process.Signal(end); err != nil {
		g.t.Fatal(err)
	}
	g.ended(done)
}

// history is what happened to a pond with people, until the end of its second run.
func (g *grid) history() *platter {
	g.t.Helper()
	g.setUp()
	login, err := os.ReadFile(g.path("millpond/login.json"))
	m := regexp.MustCompile(`"token": *"([^"]+)"`).FindSubmatch(login)
	if err != nil || m == nil {
		g.t.Fatalf("the login: %s, %v", login, err)
	}
	g.admin = string(m[1])
	g.command("", "grant", "add", "user:ci", "maintainer", "raw")
	g.kill()
	p, err := newPlatter(g.path("data"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.trace(p, func() { g.works(0, 8) }, syscall.SIGKILL)
	g.trace(p, func() { g.works(8, 12) }, syscall.SIGTERM)
	g.date()
	g.offline()
	g.t.Logf("%d calls were traced, %d changes of the disk and %d answers", p.lines.Load(), len(p.times), len(p.acks))
	return p
}

// offline has the pond ask nobody from now on.
func (g *grid) offline() {
	g.t.Helper()
	config, err := os.ReadFile(g.path("config.yaml"))
	if err == nil {
		err = os.WriteFile(g.path("config.yaml"), append([]byte("offline: true\n"), config...), 0o600)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// cuts is how often the power is cut, and the chance of what is left: MILLPOND_CUTS and MILLPOND_SEED say others.
func cuts(t *testing.T, few, many int) (int, *rand.Rand) {
	t.Helper()
	number := func(name string, or uint64) uint64 {
		s := os.Getenv(name)
		if s == "" {
			return or
		}
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s=%q is not a number", name, s)
		}
		return n
	}
	if os.Getenv("MILLPONDTEST_LONG") != "" {
		few = many
	}
	n, seed := int(number("MILLPOND_CUTS", uint64(few))), number("MILLPOND_SEED", rand.Uint64())
	t.Logf("%d cuts with MILLPOND_SEED=%d", n, seed)
	return n, rand.New(rand.NewPCG(seed, 0))
}

// P01, F30, F31: the power of the whole pond is cut while people publish, yank, delete, fill, publish what was filled, take
// down, make and end tokens, give and take back grants; while it starts after a kill; while it stops; and now and then once
// more while it starts after that. What strace saw it do to the disk tells what a disk may hold that keeps no more than fsync
// promises. Whatever that is, the pond starts on it, has no damage, has all that was acknowledged and nothing by half, its
// log's chain holds, and it goes on.
func TestF31PowerCutOfThePond(t *testing.T) {
	t.Parallel()
	g := newGrid(t)
	p := g.history()
	n, rnd := cuts(t, 3, 240)
	for i, now := range p.someTimes(n, rnd) {
		g.cut(p, now, rnd)
		if i%8 == 1 {
			again, err := newPlatter(g.path("data"))
			if err != nil {
				t.Fatal(err)
			}
			g.trace(again, func() {}, syscall.SIGTERM)
			g.cut(again, again.someTimes(1, rnd)[0], rnd)
		}
		if wrong := g.examine(now); len(wrong) > 0 {
			t.Fatalf("cut %d, at %d of %d:\n%s\nthe pond said:\n%s", i, now, p.lines.Load(), strings.Join(wrong, "\n"), g.log())
		}
	}
	// The model must find what a pond without fsync would lose, or it says nothing.
	for _, name := range []string{"catalog.db", "blobs"} {
		for _, n := range p.root.below(name) {
			n.syncs = nil
		}
		var wrong []string
		for tries := 0; tries < 20 && len(wrong) == 0; tries++ {
			g.cut(p, int(p.lines.Load()), rnd)
			wrong = g.examine(int(p.lines.Load()))
		}
		if len(wrong) == 0 {
			t.Errorf("%s without fsync: nothing is found", name)
		}
	}
}

// F31: the power is cut while the pond starts for the first time, and while it stops. Then it starts anew, has no damage, and
// waits for its first user.
func TestF31PowerCutOfTheFirstStart(t *testing.T) {
	if os.Getenv("MILLPONDTEST_LONG") == "" && os.Getenv("MILLPOND_CUTS") == "" {
		t.Skip("a first start hashes what it prints, which takes a second each time: ./test.sh --long runs it")
	}
	g := newGrid(t)
	g.offline()
	if err := os.Mkdir(g.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := newPlatter(g.path("data"))
	if err != nil {
		t.Fatal(err)
	}
	g.trace(p, func() {}, syscall.SIGTERM)
	n, rnd := cuts(t, 40, 40)
	for i, now := range p.someTimes(n, rnd) {
		g.cut(p, now, rnd)
		if err := g.starts(); err != nil || !strings.Contains(g.log(), "setup secret: ") {
			t.Fatalf("cut %d, at %d of %d: %v; the pond said:\n%s", i, now, p.lines.Load(), err, g.log())
		}
		g.kill()
		if out := g.command("", "check", "--read-data"); !strings.Contains(out, "no damage") {
			t.Fatalf("cut %d, at %d of %d: check: %s", i, now, p.lines.Load(), out)
		}
	}
}
