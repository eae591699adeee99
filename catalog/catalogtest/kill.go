package catalogtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

const (
	// killDir is set for a child: where it writes until it is killed.
	killDir = "CATALOGTEST_KILL_DIR"
	// kills is how often Kill kills; 24 if it is not set.
	kills = "CATALOGTEST_KILLS"

	killWriters = 6
)

// Kill runs the test again in a child process that writes and says what was acknowledged, and kills it with SIGKILL at a
// random time, again and again, in one directory. After each kill everything that was acknowledged is there, nothing is
// there by halves, and the catalog is sound. It must be all that its test does. CATALOGTEST_KILLS sets how many kills.
func Kill(t *testing.T, open Open) {
	if dir := os.Getenv(killDir); dir != "" {
		writeUntilKilled(t, open, dir)
		return
	}
	cycles := 24
	if s := os.Getenv(kills); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s=%q is not a number", kills, s)
		}
		cycles = n
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acknowledged := map[string]int{} // by writer: the last number
	var heads []catalog.Head         // of the log, after each kill
	total := 0
	for cycle := range cycles {
		// Every fourth dies while it starts, or has hardly begun.
		wait := time.Duration(random.IntN(60)) * time.Millisecond
		n := killOne(t, dir, wait, cycle%4 == 3, acknowledged)
		total += n
		verify(t, open, dir, acknowledged, &heads)
		if t.Failed() {
			t.Fatalf("cycle %d, killed after %v with %d acknowledged, seed %d", cycle, wait, n, seed)
		}
	}
	if total < cycles {
		t.Errorf("only %d writes were acknowledged in %d cycles: this tests nothing", total, cycles)
	}
	t.Logf("%d kills, %d acknowledged writes", cycles, total)
}

// killOne starts a child, kills it, and notes what it acknowledged. It waits from the child's start, or from its first
// acknowledgement.
func killOne(t *testing.T, dir string, wait time.Duration, fromStart bool, acknowledged map[string]int) int {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	child.Env = append(os.Environ(), killDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	begun := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		if !fromStart {
			<-begun
		}
		// The time of the kill is what is random here: nothing is waited for.
		time.Sleep(wait)
		child.Process.Kill()
	})
	count := 0
	begin := sync.OnceFunc(func() { close(begun) })
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // the last line may be cut
			break
		}
		writer, number, ok := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			t.Errorf("the child said %q", line)
			continue
		}
		begin()
		acknowledged[writer] = n
		count++
	}
	begin()
	killer.Wait()
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the child ended by itself: %v", err)
	}
	return count
}

// writeUntilKilled is the child.
func writeUntilKilled(t *testing.T, open Open, dir string) {
	c := open(t, dir)
	ctx := t.Context()
	var mu sync.Mutex // guards standard output
	acknowledge := func(writer string, n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %d\n", writer, n)
	}
	var all sync.WaitGroup
	for w := range killWriters {
		all.Go(func() {
			name := fmt.Sprint("w", w)
			n := 0
			if v := setting(t, c, name); v != nil {
				n, _ = strconv.Atoi(string(v)) // if it is none the next check says so
			}
			for {
				n++
				if err := c.Update(ctx, millpond.Actor{Name: name}, increment(name)); err != nil {
					t.Error(err)
					return
				}
				acknowledge(name, n)
			}
		})
	}
	all.Go(func() {
		n := 0
		for range c.Held(ctx, "kill", "") {
			n++
		}
		for {
			n++
			h := fullHolding("kill", killKey(n))
			// The answer first: where the holding is, the answer must be.
			if err := c.PutAnswer(ctx, fullAnswer("kill", h.Key.Package)); err != nil {
				t.Error(err)
				return
			}
			if err := c.PutHolding(ctx, h); err != nil {
				t.Error(err)
				return
			}
			acknowledge("holdings", n)
		}
	})
	all.Go(func() {
		n := len(heldVersions(t, c))
		for {
			n++
			if err := c.Update(ctx, by, publishOne(n)); err != nil {
				t.Error(err)
				return
			}
			acknowledge(publisher, n)
		}
	})
	all.Wait()
}

// publisher is the writer that publishes, and the repository it publishes to.
const publisher = "publisher"

func killVersion(n int) *catalog.HostedVersion { return fullVersion(fmt.Sprintf("%06d", n), "a", "b") }

// publishOne is a publish: the record of the package, a version with its files, a ref, an entry and an event.
func publishOne(n int) func(tx catalog.Tx) error {
	return func(tx catalog.Tx) error {
		v := killVersion(n)
		return errors.Join(
			tx.PutHostedPackage(fullPackage(publisher, "p")),
			tx.PutHostedVersion(publisher, "p", v),
			tx.PutHostedRef(publisher, "p", &catalog.HostedRef{Name: "latest", Target: v.Name}),
			tx.AddEntry(&catalog.Entry{Kind: publisher, ID: v.Name}),
			tx.Emit(millpond.Event{Verb: "publish", Repository: publisher, Key: millpond.Key{Package: "p", Version: v.Name}, Detail: json.RawMessage(strconv.Itoa(n))}),
		)
	}
}

// heldVersions are the versions that were published.
func heldVersions(t *testing.T, c catalog.Catalog) (versions []*catalog.HostedVersion) {
	t.Helper()
	must(t, c.View(contextOf(t), func(tx catalog.Tx) error {
		versions = all(t, tx.HostedVersions(publisher, "p"))
		return nil
	}))
	return versions
}

func killKey(n int) millpond.Key { return millpond.Key{Package: fmt.Sprintf("p%06d", n), File: "f"} }

// verify opens the catalog after a kill and closes it.
func verify(t *testing.T, open Open, dir string, acknowledged map[string]int, heads *[]catalog.Head) {
	t.Helper()
	c := open(t, dir)
	defer func() { must(t, c.Close()) }()
	sound(t, c)
	verified(t, c, *heads, -1, 0, 0)
	if h := head(t, c); h.Seq > 0 {
		*heads = append(*heads, h)
	}
	told := map[string]int{}
	for _, e := range past(t, c, 0) {
		told[e.Repository]++
		if string(e.Detail) != strconv.Itoa(told[e.Repository]) {
			t.Errorf("event %d: %s counts %s; want %d", e.Seq, e.Repository, e.Detail, told[e.Repository])
		}
	}
	for w := range killWriters {
		name := fmt.Sprint("w", w)
		n := 0
		if v := setting(t, c, name); v != nil {
			var err error
			n, err = strconv.Atoi(string(v))
			must(t, err)
		}
		if n < acknowledged[name] || n > acknowledged[name]+1 {
			t.Errorf("%s: is %d; %d was acknowledged, and at most one more begun", name, n, acknowledged[name])
		}
		if told[name] != n {
			t.Errorf("%s: is %d, with %d events", name, n, told[name])
		}
		acknowledged[name] = n
	}
	verifyHoldings(t, c, acknowledged)
	verifyPublished(t, c, acknowledged)
	if told[publisher] != acknowledged[publisher] {
		t.Errorf("%d versions, with %d events", acknowledged[publisher], told[publisher])
	}
}

// verifyPublished checks that each publish is there whole or not at all.
func verifyPublished(t *testing.T, c catalog.Catalog, acknowledged map[string]int) {
	t.Helper()
	versions := heldVersions(t, c)
	n := len(versions)
	for i, v := range versions {
		same(t, "version", v, killVersion(i+1))
	}
	if n < acknowledged[publisher] || n > acknowledged[publisher]+1 {
		t.Errorf("%d versions; %d were acknowledged, and at most one more begun", n, acknowledged[publisher])
	}
	acknowledged[publisher] = n
	if n == 0 {
		return
	}
	must(t, c.View(contextOf(t), func(tx catalog.Tx) error {
		p, err := tx.HostedPackage(publisher, "p")
		must(t, err)
		f, err := tx.HostedRef(publisher, "p", "latest")
		must(t, err)
		sum, err := tx.HostedTotals(publisher)
		must(t, err)
		entries := all(t, tx.Entries(publisher, ""))
		last := killVersion(n).Name
		if p.Changes != int64(n) || f.Target != last || len(entries) != n || entries[n-1].ID != last ||
			sum != (catalog.HostedTotals{Packages: 1, Versions: int64(n), Files: 2 * int64(n), Bytes: 200 * int64(n)}) {
			t.Errorf("%d versions, with %d changes, the ref at %s, %d entries and the sums %+v", n, p.Changes, f.Target, len(entries), sum)
		}
		return nil
	}))
}

func verifyHoldings(t *testing.T, c catalog.Catalog, acknowledged map[string]int) {
	t.Helper()
	n := 0
	for h, err := range c.Held(contextOf(t), "kill", "") {
		must(t, err)
		n++
		same(t, "holding", h, fullHolding("kill", killKey(n)))
		want := fullAnswer("kill", h.Key.Package)
		a, err := c.Answer(contextOf(t), want.Question)
		must(t, err)
		same(t, "answer", a, want)
	}
	if n < acknowledged["holdings"] || n > acknowledged["holdings"]+1 {
		t.Errorf("%d holdings; %d were acknowledged, and at most one more begun", n, acknowledged["holdings"])
	}
	acknowledged["holdings"] = n
}
