package repo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/blob/blobtest"
	"millpond/blob/disk"
	"millpond/blob/disk/durable"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/format"
	"millpond/format/pypi"
	"millpond/repo"
)

// envStep is the number of the write that a pond dies at: before it, or after it if the number is below zero. Another process
// than the one that envURL alone makes.
const envStep = "MILLPOND_KILL_STEP"

// steps count the writes of a pond, from when it is up: opening is the store's and the catalog's own proof.
type steps struct{ blobtest.Dying }

// hook counts what changes the disk.
func (s *steps) hook(c *durable.Call, do func() error) error {
	switch c.Op {
	case durable.OpOpen, durable.OpOpenDir, durable.OpRead, durable.OpStat, durable.OpList, durable.OpRoom:
		return do()
	}
	return s.Do(do)
}

// stepped counts the transactions of a catalog.
type stepped struct {
	*sql.Catalog
	steps *steps
}

func (c stepped) Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error {
	return c.steps.Do(func() error { return c.Catalog.Update(ctx, by, f) })
}

func (c stepped) PutAnswer(ctx context.Context, a *catalog.Answer) error {
	return c.steps.Do(func() error { return c.Catalog.PutAnswer(ctx, a) })
}

func (c stepped) PutHolding(ctx context.Context, h *catalog.Holding) error {
	return c.steps.Do(func() error { return c.Catalog.PutHolding(ctx, h) })
}

func (c stepped) PutDerived(ctx context.Context, d *catalog.Derived) error {
	return c.steps.Do(func() error { return c.Catalog.PutDerived(ctx, d) })
}

func (c stepped) LoseBlob(ctx context.Context, d millpond.Digest) error {
	return c.steps.Do(func() error { return c.Catalog.LoseBlob(ctx, d) })
}

// stepPackage is what a victim reads and publishes.
const stepPackage = "p0"

// stepVictim does one of everything that writes, says what is done, and dies on the way.
func stepVictim(dir string) error {
	at, err := strconv.ParseInt(os.Getenv(envStep), 10, 64)
	if err != nil {
		return err
	}
	s := &steps{blobtest.Dying{At: at}}
	s.Sleep()
	ctx := context.Background()
	later := time.Now().Add(72 * time.Hour) // so that the sweep has no mercy on what is new
	now := func() time.Time { return later }
	blobs, err := disk.Open(dir, disk.Options{Hook: s.hook})
	if err != nil {
		return err
	}
	records, err := sql.Open(ctx, dir, sql.Options{})
	if err != nil {
		return err
	}
	pond, err := repo.New(ctx, repo.Parts{Blobs: blobs, Catalog: stepped{records, s}, Fetch: &fetch.Engine{Blobs: blobs, Now: now}, Now: now})
	if err != nil {
		return err
	}
	u, err := url.Parse(os.Getenv(envURL))
	if err != nil {
		return err
	}
	config := stepConfig()
	config.Upstreams = []repo.Upstream{{Settings: fetch.Settings{Name: "up", URL: u}}}
	if err := pond.Configure(ctx, repo.Settings{}, []repo.Config{config}); err != nil {
		return err
	}
	ours := pond.Repository("r").For(repo.Caller{Actor: millpond.Actor{Name: "alice"}, Rights: may{"* * *"}})
	s.Wake()
	first, second := fmt.Sprintf("1.%d", 2*abs(at)), fmt.Sprintf("1.%d", 2*abs(at)+1)
	if at < 0 {
		first, second = first+".1", second+".1"
	}
	yank := func(h *format.Hosting) error {
		h.Package.Version(first).Yanked = true
		return nil
	}
	for _, one := range []struct {
		what string
		do   func() error
	}{
		{"read", func() error { return victimReads(ctx, stepPackage, ours.Package, ours.Open) }},
		{"published " + first, func() error { return stepPublish(ctx, ours, first) }},
		{"published " + second, func() error { return stepPublish(ctx, ours, second) }},
		{"yanked " + first, func() error {
			return ours.Amend(ctx, format.Amendment{Package: "ours", Version: first, Verb: "yank", Edit: yank})
		}},
		{"deleted " + second, func() error {
			return ours.Delete(ctx, format.Deletion{Key: millpond.Key{Package: "ours", Version: second}, Why: "the test"})
		}},
		{"moved", func() error { return ours.Move(ctx, "ours", millpond.Ref{Name: "stable", Target: first}) }},
		{"evicted", func() error {
			if err := pond.Configure(ctx, repo.Settings{MaxBytes: 1}, []repo.Config{config}); err != nil {
				return err
			}
			_, err := pond.Evict(ctx)
			return err
		}},
		{"swept", func() error { _, err := pond.Sweep(ctx); return err }},
	} {
		fmt.Println("begins", one.what)
		if err := one.do(); err != nil {
			return fmt.Errorf("%s: %w", one.what, err)
		}
		fmt.Println("did", one.what)
	}
	fmt.Println("writes", s.Done())
	return nil
}

func stepConfig() repo.Config {
	return repo.Config{Name: "r", Format: pypi.Format{}, Public: true, Unpublish: true, Claims: []string{"ours"}, Fresh: 20 * time.Millisecond}
}

func stepPublish(ctx context.Context, to format.Repo, version string) error {
	_, err := release(ctx, to, "ours", version, stepBody(version))
	return err
}

// stepBody is the wheel of a version: large enough for several writes.
func stepBody(version string) string { return strings.Repeat("wheel "+version+"\n", 20_000) }

func abs(n int64) int64 { return max(n, -n) }

// step runs a victim that dies at one write. It returns what it said.
func (r *rig) step(at int) (begun, did []string, writes int) {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envDir+"="+r.dir, envURL+"="+r.up.URL+"/simple/", envStep+"="+strconv.Itoa(at))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	for line := range strings.Lines(string(out)) {
		verb, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "begins":
			begun = append(begun, what)
		case "did":
			did = append(did, what)
		case "writes":
			if writes, err = strconv.Atoi(what); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	if status, ok := errors.AsType[*exec.ExitError](err); ok && status.ExitCode() != -1 {
		r.t.Fatalf("the pond that was to die at %d ended by itself: %v: %s", at, err, &stderr)
	}
	return begun, did, writes
}

// P01, F30: a pond dies before, and after, every write that reading, publishing, yanking, deleting, moving, evicting and
// sweeping make, again and again in one data directory. What was acknowledged is so after the next start, what was under way
// is done or is not, and the next pond goes on.
func TestF30KillAtEveryStep(t *testing.T) {
	stride := 4 // of some fifty writes; all of them behind -long
	if *long {
		stride = 1
	}
	r := newRig(t, onDisk(disk.Options{}), func(r *rig) {
		up := r.config.Upstreams
		r.config = stepConfig()
		r.config.Upstreams = up
	})
	r.stop(time.Second)
	for i := range 8 {
		r.put(stepPackage, fmt.Sprintf("1.%d", i), noise(uint64(i), 100*kib))
	}
	shown := map[string]bool{} // versions that must be there; false is must not
	yanked := map[string]bool{}
	kills, n := 0, 1
	for done := false; !done; n += stride {
		for _, at := range []int{n, -n} {
			if err := r.blobs.(*disk.Store).Close(); err != nil {
				t.Fatal(err)
			}
			begun, did, writes := r.step(at)
			done = writes > 0
			if !done {
				kills++
			}
			onDisk(disk.Options{})(r)
			r.clock.Store(time.Now().Add(time.Duration(kills+1) * time.Hour).UnixNano())
			r.start()
			r.check(fmt.Sprintf("after the kill at %d", at))
			ours := r.ours("r")
			there := map[string]*millpond.Version{}
			if h, err := ours.Hosted(t.Context(), "ours"); err == nil {
				for i := range h.Versions {
					there[h.Versions[i].Name] = &h.Versions[i]
				}
			} else if !millpond.Is(err, millpond.NotFound) {
				t.Errorf("at %d: %v", at, err)
			}
			for i, what := range begun {
				verb, version, _ := strings.Cut(what, " ")
				acknowledged := i < len(did)
				v := there[version]
				switch verb {
				case "published":
					if acknowledged && v == nil && !slices.Contains(begun, "deleted "+version) {
						t.Errorf("at %d: %s was acknowledged, and is lost", at, version)
					}
					shown[version] = v != nil
				case "deleted":
					if acknowledged && v != nil {
						t.Errorf("at %d: %s was deleted, and is there", at, version)
					}
				case "yanked":
					if acknowledged && !v.Yanked {
						t.Errorf("at %d: %s was yanked, and is not", at, version)
					}
					yanked[version] = v.Yanked
				}
			}
			for version, is := range shown {
				v := there[version]
				if is != (v != nil) || is && v.Yanked != yanked[version] {
					t.Errorf("at %d: %s is there %t, want %t; yanked %t", at, version, v != nil, is, yanked[version])
				}
				if body, err := bodyOf(t, ours, "ours", version); is && (err != nil || body != stepBody(version)) {
					t.Errorf("at %d: %s: %d bytes, %v", at, version, len(body), err)
				} else if !is && err == nil {
					t.Errorf("at %d: %s is not listed, and is served", at, version)
				}
			}
			if broken, _, err := r.catalog.Verify(t.Context(), nil); err != nil || broken != nil {
				t.Errorf("at %d: the log: %+v, %v", at, broken, err)
			}
			r.stop(5 * time.Second)
			if t.Failed() {
				t.Fatalf("stopped after the kill at %d; it had done %q of %q", at, did, begun)
			}
		}
	}
	if kills < 6 {
		t.Errorf("%d kills: the pond writes too seldom for this to show anything", kills)
	}
	t.Logf("%d kills, at every %d. of %d writes", kills, stride, n-stride)
}
