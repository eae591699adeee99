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
	"slices"
	"sync"
	"testing"
	"time"

	"millpond/blob/disk"
	"millpond/repo"
)

// All at once: readers of all kinds, some of whom leave; configurations that change; eviction, sweep, check; an upstream
// with every fault; a clock that goes on. No wrong byte ends cleanly, nothing is asked of a claimed name, and in the end
// nothing is left over: no goroutine, no descriptor, no unfinished blob.
func TestStress(t *testing.T) {
	span := 3 * time.Second
	if *long {
		span = time.Minute
	}
	descriptors := len(openFiles())
	r := newRig(t, onDisk(disk.Options{}), mostBytes(3*mib))
	var es []entry
	for i := range 30 {
		size := []int{300, 40 * kib, 200 * kib, 1200 * kib}[i%4]
		es = append(es, r.put(fmt.Sprintf("p%d", i%6), fmt.Sprintf("1.%d", i), noise(uint64(i), size)))
	}
	blocked := r.put("blocked", "1", noise(99, kib))
	claimed := r.put("ours", "1", noise(98, kib))
	plain := r.config
	plain.Claims = []string{"ours"}
	plain.Policy = r.policy(map[string]any{"block": []any{"blocked"}})
	held := plain
	held.Policy = r.policy(map[string]any{"hold": "10d"}, map[string]any{"block": []any{"blocked"}})
	through := plain
	through.Name, through.Upstreams = "s", []repo.Upstream{{Sibling: "r"}}
	passed := plain
	passed.Fill = []repo.Fill{{Pattern: "p1", Mode: repo.Pass}, {Pattern: "p2", Mode: repo.CachedOnly}}
	r.config = plain
	r.configure(through)

	ctx, stop := context.WithTimeout(t.Context(), span)
	defer stop()
	var all sync.WaitGroup
	each := func(n int, f func(rnd *rand.Rand)) {
		for i := range n {
			all.Go(func() {
				for rnd := rand.New(rand.NewPCG(uint64(i), uint64(n))); ctx.Err() == nil; {
					f(rnd)
				}
			})
		}
	}
	counts := struct {
		sync.Mutex
		m map[int]int
	}{m: map[int]int{}}
	each(10, func(rnd *rand.Rand) {
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
		if e == blocked && (a == 200 || a == 206) || e == claimed && (a == 200 || a == 206 || a == 403) {
			t.Errorf("%s: got %d", path, a)
		}
		counts.Lock()
		counts.m[a]++
		counts.Unlock()
	})
	each(3, func(rnd *rand.Rand) {
		pkg := fmt.Sprintf("p%d", rnd.IntN(6))
		a := r.index(pkg)
		if a.Err != nil || a.Status != 200 && a.Status != 503 && a.Status != 429 && a.Status != 404 {
			t.Errorf("index of %s: got %s", pkg, a)
		}
		if a.Status == 200 && !contains(a.Body, `"files"`) {
			t.Errorf("index of %s: %s", pkg, a)
		}
	})
	each(1, func(rnd *rand.Rand) {
		s := repo.Settings{MaxBytes: 3 * mib, Offline: rnd.IntN(5) == 0}
		first := []repo.Config{plain, held, passed}[rnd.IntN(3)]
		if err := r.pond.Configure(ctx, s, []repo.Config{first, through}); err != nil {
			t.Errorf("Configure: %v", err)
		}
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
	})
	each(1, func(rnd *rand.Rand) {
		verbs := []string{"ok", "500", "cut 300", "cut 100000", "lie", "html-200", "refuse", "reset 50000", "empty-200", "no-range", "304-bare", "206-plain", "404", "429 1", "gzip-body", "slow 20ms", "stall 1000"}
		e := es[rnd.IntN(len(es))]
		verb := verbs[rnd.IntN(len(verbs))]
		r.up.Order(e.upstream(), verb, "ok x2")
		if rnd.IntN(4) == 0 {
			r.up.Order("/simple/"+e.pkg+"/", verb, "always ok")
		}
		time.Sleep(time.Millisecond)
	})
	each(1, func(rnd *rand.Rand) {
		r.pass(time.Duration(rnd.IntN(600)) * time.Second)
		time.Sleep(3 * time.Millisecond)
	})
	each(1, func(rnd *rand.Rand) {
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
		if err != nil && ctx.Err() == nil {
			t.Errorf("the pond's own work: %v", err)
		}
	})
	all.Wait()
	t.Logf("answers by status: %v (0 is one that was cut or left)", counts.m)
	if counts.m[200] == 0 || counts.m[206] == 0 || counts.m[403] == 0 {
		t.Errorf("answers by status: %v; want some of each kind", counts.m)
	}
	if n := r.up.Count("", claimed.upstream()) + r.up.Count("", "/simple/ours/"); n != 0 {
		t.Errorf("a claimed name was asked for %d times", n)
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
