package repo_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/format/pypi"
	"millpond/repo"
)

// The environment in which the test binary is the pond to be killed.
const (
	envDir = "MILLPOND_KILL_DIR"
	envURL = "MILLPOND_KILL_URL" // of its upstream
	envMax = "MILLPOND_KILL_MAX" // how many bytes it keeps; 0 is all
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		be := victim
		if os.Getenv(envStep) != "" {
			be = stepVictim
		}
		if err := be(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim is a pond under load, which tells each file that it has served whole. It goes on until it is killed.
func victim(dir string) error {
	ctx := context.Background()
	blobs, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return err
	}
	records, err := sql.Open(ctx, dir, sql.Options{})
	if err != nil {
		return err
	}
	pond, err := repo.New(ctx, repo.Parts{Blobs: blobs, Catalog: records, Fetch: &fetch.Engine{Blobs: blobs}})
	if err != nil {
		return err
	}
	u, err := url.Parse(os.Getenv(envURL))
	if err != nil {
		return err
	}
	var settings repo.Settings
	if _, err := fmt.Sscan(os.Getenv(envMax), &settings.MaxBytes); err != nil {
		return err
	}
	err = pond.Configure(ctx, settings, []repo.Config{{Name: "r", Format: pypi.Format{}, Public: true, Fresh: 20 * time.Millisecond, Upstreams: []repo.Upstream{
		{Settings: fetch.Settings{Name: "up", URL: u}},
	}}})
	if err != nil {
		return err
	}
	fmt.Println("begun", time.Now().Format(time.StampMicro))
	var load sync.WaitGroup
	errs := make(chan error, 8)
	for range 6 {
		load.Go(func() {
			r := pond.Repository("r").For(repo.Caller{})
			for {
				if err := victimReads(ctx, fmt.Sprintf("p%d", rand.IntN(killPackages)), r.Package, r.Open); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	load.Go(func() {
		for settings.MaxBytes > 0 {
			if _, err := pond.Evict(ctx); err != nil {
				errs <- err
				return
			}
			if _, err := pond.Sweep(ctx); err != nil {
				errs <- err
				return
			}
		}
	})
	return <-errs
}

type (
	listFunc = func(context.Context, string) (*millpond.Package, error)
	openFunc = func(context.Context, millpond.Key) (*millpond.Content, error)
)

func victimReads(ctx context.Context, name string, list listFunc, open openFunc) error {
	p, err := list(ctx, name)
	if err != nil {
		return err
	}
	v := &p.Versions[rand.IntN(len(p.Versions))]
	c, err := open(ctx, millpond.Key{Package: name, Version: v.Name, File: v.Files[0].Name})
	if err != nil {
		return err
	}
	defer c.Close()
	sum := v.Files[0].Digests[0].Hash()
	if _, err := io.Copy(sum, c); err != nil {
		return err
	}
	if got, err := millpond.NewDigest(v.Files[0].Digests[0].Algorithm(), sum.Sum(nil)); err != nil || got != v.Files[0].Digests[0] {
		return fmt.Errorf("wrong bytes of %s: %s, %w", v.Files[0].Name, got, err)
	}
	fmt.Println("served", name, v.Name)
	return nil
}

const killPackages = 4

// kill runs a victim and kills it some time after it has begun. It returns the wheels that it had served.
func (r *rig) kill(after time.Duration, most int64) (served map[string]bool) {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envDir+"="+r.dir, envURL+"="+r.up.URL+"/simple/", fmt.Sprintf("%s=%d", envMax, most))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	served = map[string]bool{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "begun") {
			time.AfterFunc(after, func() { cmd.Process.Kill() }) // what it does by then is chance, which is the point
		}
		if name, ok := strings.CutPrefix(line, "served "); ok {
			served[name] = true
		}
	}
	err = cmd.Wait()
	if status, ok := errors.AsType[*exec.ExitError](err); !ok || status.ExitCode() != -1 {
		r.t.Fatalf("the pond ended by itself: %v: %s", err, &stderr)
	}
	return served
}

// F30, P01: a pond is killed at a random time under load, again and again in one data directory. After each kill no blob
// is wrong, what was served whole is held (unless it was evicted), and all is served.
func TestF30KillUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name string
		most int64
	}{{"filling", 0}, {"evicting and sweeping", 3 * mib}} {
		t.Run(c.name, func(t *testing.T) {
			cycles := 12
			if *long {
				cycles = 500
			}
			r := newRig(t, onDisk(disk.Options{}))
			r.stop(time.Second)
			var es []entry
			round := 0
			publish := func() { // new wheels each time: there is always something to fetch
				round++
				for i := range killPackages {
					size := 10*kib + rand.IntN(1200*kib)
					es = append(es, r.put(fmt.Sprintf("p%d", i), fmt.Sprintf("%d.%d", round, i), noise(uint64(round*100+i), size)))
				}
			}
			publish()
			for cycle := range cycles {
				if cycle%2 == 0 && round < 10 {
					publish()
				}
				if err := r.blobs.(*disk.Store).Close(); err != nil {
					t.Fatal(err)
				}
				served := r.kill(time.Duration(rand.IntN(120))*time.Millisecond, c.most)
				onDisk(disk.Options{})(r)
				r.clock.Store(time.Now().Add(time.Duration(cycle+1) * time.Hour).UnixNano()) // every index is old
				r.start()
				r.check(fmt.Sprintf("after kill %d", cycle))
				for _, e := range es {
					h := r.holding(e)
					if c.most == 0 && served[e.pkg+" "+e.version] && (h == nil || h.Blob != e.sum) {
						t.Errorf("after kill %d: %s was served whole and is not held: %+v", cycle, e.name(), h)
					}
					if h != nil && (h.SHA256 != e.sum || h.Size != e.size) {
						t.Errorf("after kill %d: the record of %s is %+v", cycle, e.name(), h)
					}
				}
				e := es[rand.IntN(len(es))]
				r.good("a file after it", r.get(e.path()), e.bytes())
				for range len(es) / 3 { // so that there is always something to fetch
					d := es[rand.IntN(len(es))].sum
					if err := errors.Join(r.catalog.LoseBlob(t.Context(), d), notThere(r.blobs.Delete(t.Context(), d))); err != nil {
						t.Fatal(err)
					}
				}
				r.stop(5 * time.Second)
				if t.Failed() {
					t.Fatalf("stopped after kill %d", cycle)
				}
			}
			r.pass(time.Hour)
			r.start()
			for _, e := range es {
				r.good("at the end", r.get(e.path()), e.bytes())
			}
			r.check("at the end")
		})
	}
}

// notThere is err, but nil if it says that there is no such blob.
func notThere(err error) error {
	if millpond.Is(err, millpond.NotFound) {
		return nil
	}
	return err
}
