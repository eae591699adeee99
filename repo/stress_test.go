package repo_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/format"
	"millpond/repo"
)

// All at once: readers of all kinds, some of whom leave; configurations that change; eviction, sweep, check; an upstream
// with every fault; a clock that goes on; people who publish, yank, take down, lift and delete. No wrong byte ends cleanly,
// nothing is asked of a claimed name, each publisher sees its own changes in the very next read, and in the end nothing is left
// over: no goroutine, no descriptor, no unfinished blob.
func TestStress(t *testing.T) {
	times := 1
	if *long {
		times = 30
	}
	descriptors := len(openFiles())
	r := newRig(t, onDisk(disk.Options{}), mostBytes(3*mib), impatient)
	var es []entry
	for i := range 30 {
		size := []int{300, 40 * kib, 200 * kib, 1200 * kib}[i%4]
		es = append(es, r.put(fmt.Sprintf("p%d", i%6), fmt.Sprintf("1.%d", i), noise(uint64(i), size)))
	}
	blocked := r.put("blocked", "1", noise(99, kib))
	claimed := r.put("ours", "1", noise(98, kib))
	plain := r.config
	plain.Claims, plain.Unpublish = []string{"ours", "ours-*"}, true
	plain.Policy = r.policy(map[string]any{"block": []any{"blocked"}})
	held := plain
	held.Policy = r.policy(map[string]any{"hold": "10d", "except": []any{"ours-*"}}, map[string]any{"block": []any{"blocked"}})
	through := plain
	through.Name, through.Upstreams = "s", []repo.Upstream{{Sibling: "r"}}
	passed := plain
	passed.Fill = []repo.Fill{{Pattern: "p1", Mode: repo.Pass}, {Pattern: "p2", Mode: repo.CachedOnly}}
	r.config = plain
	r.configure(through)

	ctx := t.Context()
	var all sync.WaitGroup
	var reading atomic.Int64 // readers and publishers that go on: for as long as there are any, the others do
	each := func(n, count int, f func(rnd *rand.Rand)) {
		reading.Add(int64(n))
		for i := range n {
			all.Go(func() {
				defer reading.Add(-1)
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(n)))
				for range count * times {
					f(rnd)
				}
			})
		}
	}
	meanwhile := func(f func(rnd *rand.Rand)) {
		all.Go(func() {
			for rnd := rand.New(rand.NewPCG(7, 7)); reading.Load() > 0; {
				f(rnd)
			}
		})
	}
	counts := struct {
		sync.Mutex
		m map[int]int
	}{m: map[int]int{}}
	each(8, 24, func(rnd *rand.Rand) {
		e := es[rnd.IntN(len(es))]
		path := e.path()
		if rnd.IntN(4) == 0 {
			path = "/s" + path[2:]
		}
		switch rnd.IntN(12) {
		case 0:
			e, path = blocked, blocked.path()
		case 1:
			e, path = claimed, claimed.path()
		}
		a := r.stressRead(ctx, rnd, e, path)
		if e.pkg == "blocked" && (a == 200 || a == 206) || e.pkg == "ours" && (a == 200 || a == 206 || a == 403) {
			t.Errorf("%s: got %d", path, a)
		}
		counts.Lock()
		counts.m[a]++
		counts.Unlock()
	})
	each(3, 24, func(rnd *rand.Rand) {
		pkg := fmt.Sprintf("p%d", rnd.IntN(6))
		a := r.index(pkg)
		if a.Err != nil || a.Status != 200 && a.Status != 503 && a.Status != 429 && a.Status != 404 {
			t.Errorf("index of %s: got %s", pkg, a)
		}
		if a.Status == 200 && !contains(a.Body, `"files"`) {
			t.Errorf("index of %s: %s", pkg, a)
		}
	})
	meanwhile(func(rnd *rand.Rand) {
		s := repo.Settings{MaxBytes: 3 * mib, Offline: rnd.IntN(5) == 0}
		first := []repo.Config{plain, held, passed}[rnd.IntN(3)]
		if err := r.pond.Configure(ctx, s, []repo.Config{first, through}); err != nil {
			t.Errorf("Configure: %v", err)
		}
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
	})
	meanwhile(func(rnd *rand.Rand) {
		verbs := []string{"ok", "500", "cut 300", "cut 100000", "lie", "html-200", "refuse", "reset 50000", "empty-200", "no-range", "304-bare", "206-plain", "404", "429 1", "gzip-body", "slow 20ms", "stall 1000"}
		e := es[rnd.IntN(len(es))]
		verb := verbs[rnd.IntN(len(verbs))]
		r.up.Order(e.upstream(), verb, "ok x2")
		if rnd.IntN(4) == 0 {
			r.up.Order("/simple/"+e.pkg+"/", verb, "always ok")
		}
		time.Sleep(time.Millisecond)
	})
	meanwhile(func(rnd *rand.Rand) {
		r.pass(time.Duration(rnd.IntN(600)) * time.Second)
		time.Sleep(3 * time.Millisecond)
	})
	meanwhile(func(rnd *rand.Rand) {
		_, err := r.pond.Evict(ctx)
		if _, e := r.pond.Sweep(ctx); err == nil {
			err = e
		}
		if _, e := r.pond.Check(ctx, repo.CheckOptions{ReadData: rnd.IntN(3) == 0}); err == nil {
			err = e
		}
		if _, e := r.pond.Stats(ctx); err == nil {
			err = e
		}
		if one := r.pond.Repository("r"); err == nil {
			_, err = one.Why(ctx, "p1", "1.1")
		}
		if err != nil {
			t.Errorf("the pond's own work: %v", err)
		}
	})
	for n := range 3 {
		each(1, 3, func(rnd *rand.Rand) { r.stressPublish(fmt.Sprintf("ours-%d", n), rnd) })
	}
	all.Wait()
	t.Logf("answers by status: %v (0 is one that was cut or left)", counts.m)
	if counts.m[200] == 0 || counts.m[206] == 0 || counts.m[403] == 0 {
		t.Errorf("answers by status: %v; want some of each kind", counts.m)
	}
	for _, q := range r.up.Requests("") {
		if strings.Contains(q.Path, "ours") {
			t.Errorf("the upstream was asked for a claimed name: %s", q.Path)
		}
	}
	if broken, n, err := r.catalog.Verify(ctx, nil); err != nil || broken != nil || n == 0 {
		t.Errorf("the log of %d events: %+v, %v", n, broken, err)
	}

	for _, e := range es {
		r.up.Order(e.upstream())
		r.up.Order("/simple/" + e.pkg + "/")
	}
	r.settings = repo.Settings{}
	r.configure(through)
	r.pass(30 * 24 * time.Hour)
	for _, e := range es {
		r.good("all is well again", r.get(e.path()), e.bytes())
	}
	r.check("all is well again")
	if err := r.stop(20 * time.Second); err != nil {
		t.Errorf("stop: %v", err)
	}
	client.CloseIdleConnections()
	if left := goroutines(); len(left) > 0 {
		t.Errorf("%d goroutines are left:\n%s", len(left), left[0])
	}
	if names, err := os.ReadDir(filepath.Join(r.dir, "incoming")); err != nil || len(names) > 0 {
		t.Errorf("unfinished blobs are left: %v, %v", names, err)
	}
	r.up.Close()
	if err := r.blobs.(*disk.Store).Close(); err != nil {
		t.Errorf("close the store: %v", err)
	}
	r.blobs = nil
	if now := openFiles(); len(now) > descriptors+4 { // those of the runtime
		t.Errorf("%d descriptors are open, %d were before: %q", len(now), descriptors, now)
	}
}

// stressPublish publishes a version and changes it in all ways, and looks after each change whether it is so.
func (r *rig) stressPublish(pkg string, rnd *rand.Rand) {
	t, ctx := r.t, r.t.Context()
	version := fmt.Sprintf("1.%d", rnd.Int64())
	body := fmt.Sprintf("PK\x03\x04 %s %s %s", pkg, version, strings.Repeat("x", rnd.IntN(200*kib)))
	to := r.ours("r")
	failed := func(what string, err error) bool {
		if err != nil {
			t.Errorf("%s %s %s: %v", what, pkg, version, err)
		}
		return err != nil
	}
	path := "/r/packages/" + pkg + "/-/" + pkg + "-" + version + "-py3-none-any.whl"
	want := func(what string, status int) {
		a := r.get(path)
		if a.Status != status || a.Err != nil || status == 200 && string(a.Body) != body {
			t.Errorf("%s: %s: got %s, want %d", what, path, a, status)
		}
	}
	if _, err := release(ctx, to, pkg, version, body); failed("publish", err) {
		return
	}
	want("published", 200)
	if _, err := release(ctx, to, pkg, version, body+"other"); !millpond.Is(err, millpond.Conflict) {
		t.Errorf("other bytes under %s %s: %v, want a conflict", pkg, version, err)
	}
	err := to.Amend(ctx, format.Amendment{Package: pkg, Version: version, Verb: "yank", Edit: func(now *format.Hosting) error {
		now.Version(version).Yanked = true
		return nil
	}})
	failed("yank", err)
	want("yanked", 200)
	operator := r.as("olga", "operate * *", "read * *")
	down, err := r.pond.TakeDown(ctx, operator, repo.Takedown{Format: "pypi", Package: pkg, Versions: "==" + version, Why: "the test"})
	if failed("take down", err) {
		return
	}
	want("taken down", 403)
	failed("lift", r.pond.LiftTakedown(ctx, operator, down.ID, "a mistake"))
	want("lifted", 200)
	if rnd.IntN(2) == 0 {
		failed("delete", to.Delete(ctx, format.Deletion{Key: millpond.Key{Package: pkg, Version: version}, Why: "the test"}))
		want("deleted", 404)
		if _, err := release(ctx, to, pkg, version, body); !millpond.Is(err, millpond.Gone) && !millpond.Is(err, millpond.Conflict) {
			t.Errorf("a number that was deleted, %s %s, published again: %v, want it refused", pkg, version, err)
		}
	}
}

// goroutines are the stacks of those that run code of the pond; it waits a little for them to end.
func goroutines() (left []string) {
	for range 200 {
		left = nil
		buf := make([]byte, 4<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "millpond/repo.") || strings.Contains(stack, "millpond/fetch.") || strings.Contains(stack, "millpond/catalog/sql.") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(5 * time.Millisecond) // connections end in their own time
	}
	return left
}

// stressRead asks for a wheel in one of many ways. It returns the status, 0 if there was none or the body was cut.
func (r *rig) stressRead(ctx context.Context, rnd *rand.Rand, e entry, path string) int {
	method, header := "GET", http.Header{}
	off, n := 0, int(e.size)
	switch rnd.IntN(6) {
	case 0:
		method = "HEAD"
	case 1:
		off = rnd.IntN(int(e.size))
		n = 1 + rnd.IntN(int(e.size)-off)
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case 2:
		header.Set("If-None-Match", `"`+e.sum.Hex()[:40]+`"`)
	}
	leave, done := context.WithCancel(ctx)
	defer done()
	resp, err := r.open(leave, method, path, header)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if rnd.IntN(8) == 0 { // leaves
		io.CopyN(io.Discard, resp.Body, int64(rnd.IntN(50*kib)))
		return 0
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	want := e.bytes()
	if resp.StatusCode == http.StatusPartialContent {
		want = want[off : off+n]
	}
	if method == "GET" && (resp.StatusCode == 200 || resp.StatusCode == 206) && !bytes.Equal(body, want) {
		r.t.Errorf("%s %v: a clean end of wrong bytes: %d, %d bytes, want %d", path, header, resp.StatusCode, len(body), len(want))
	}
	if allowed := []int{200, 206, 304, 403, 404, 429, 503}; !slices.Contains(allowed, resp.StatusCode) {
		r.t.Errorf("%s %s %v: got %d %.200q", method, path, header, resp.StatusCode, body)
	}
	return resp.StatusCode
}

// openFiles are the process's descriptors; none where the system does not tell.
func openFiles() []string {
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return nil
	}
	var out []string
	for _, name := range names {
		if to, err := os.Readlink(name); err == nil {
			out = append(out, to)
		}
	}
	return out
}
