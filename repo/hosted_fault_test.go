package repo_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/blob/disk/durable"
	"millpond/blob/mem"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/format"
	"millpond/repo"
)

// F37: somebody publishes the very bytes that are being evicted, uploaded a while ago. Either the publish fails, or its bytes are
// there for good.
func TestF37PublishOfWhatIsBeingEvicted(t *testing.T) {
	store := &hooked{beforeDelete: func() {}}
	r := newRig(t, func(r *rig) {
		store.Store.Now = r.now
		r.blobs = store
		r.config.Claims = []string{"ours"}
	})
	body := noise(1, 100*kib)
	r.hold(r.put("alpha", "1.0", body)) // an upstream has the same bytes
	to := r.ours("r")
	u, err := to.Upload(t.Context(), format.Uploading{Package: "ours", Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, err := u.Write(body); err != nil {
		t.Fatal(err)
	}
	d, err := u.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.pass(time.Minute)
	published := make(chan error, 1)
	store.beforeDelete = sync.OnceFunc(func() {
		go func() { // ends with the test, which waits for what it says
			_, err := to.Publish(t.Context(), format.Release{Package: "ours", Version: millpond.Version{Name: "1.0", Files: []millpond.File{
				{Name: "ours-1.0-py3-none-any.whl", Blob: d, Size: int64(len(body)), Digests: []millpond.Digest{d}},
			}}})
			published <- err
		}()
		select {
		case err := <-published: // it did not wait for the eviction
			published <- err
		case <-time.After(200 * time.Millisecond): // it does
		}
	})
	r.settings.MaxBytes = 1
	r.configure()
	r.evict()
	select {
	case err = <-published:
	case <-time.After(20 * time.Second):
		t.Fatal("the publish waits, though the eviction is over")
	}
	got, readErr := bodyOf(t, to, "ours", "1.0")
	if err == nil && (readErr != nil || got != string(body)) {
		t.Errorf("published, and then: %d bytes, %v", len(got), readErr)
	}
	if err != nil {
		r.published(to, "ours", "1.0", string(body)) // its client tries again
	}
	r.check("after all")
}

// F37, P09: people publish, delete and bring back, some of them bytes that others have, or that nobody has named for long, while
// the pond evicts and sweeps and time flies. No version that is there lacks its bytes.
func TestF37SweepWhilePeoplePublish(t *testing.T) {
	operations := 400
	if *long {
		operations = 100_000
	}
	r := newRig(t, mostBytes(50*kib), func(r *rig) { r.config.Claims, r.config.Unpublish = []string{"ours-*"}, true })
	to := r.ours("r")
	bodies := make([][]byte, 12)
	var es []entry
	for i := range bodies {
		bodies[i] = noise(uint64(i), 20*kib)
		es = append(es, r.put("alpha", fmt.Sprint(i), bodies[i])) // the same bytes are an upstream's
	}
	r.hold(es...)
	var work, all sync.WaitGroup
	var over atomic.Bool
	all.Go(func() {
		for !over.Load() {
			_, err := r.pond.Evict(t.Context())
			if err == nil {
				_, err = r.pond.Sweep(t.Context())
			}
			if err != nil {
				t.Errorf("evict and sweep: %v", err)
				return
			}
			r.pass(5 * time.Hour)
		}
	})
	there := make([]map[string]string, 4) // by publisher: version to its bytes
	for i := range there {
		there[i] = map[string]string{}
		work.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 3))
			pkg := fmt.Sprintf("ours-%d", i)
			for n := range operations / 4 {
				body := string(bodies[rnd.IntN(len(bodies))])
				switch version := fmt.Sprintf("1.%d", n); rnd.IntN(4) {
				case 0: // an orphan to be
					u, err := to.Upload(t.Context(), format.Uploading{Package: pkg, Size: -1})
					if err != nil {
						t.Error(err)
						return
					}
					io.WriteString(u, body)
					if _, err := u.Commit(t.Context()); err != nil {
						t.Error(err)
					}
					u.Close()
				case 1:
					for old := range there[i] {
						if err := to.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: pkg, Version: old}, Why: "the test"}); err != nil {
							t.Errorf("delete %s %s: %v", pkg, old, err)
						}
						delete(there[i], old)
						break
					}
				default:
					// With five hours a moment its upload may be swept before it is published: that is an answer too.
					if _, err := release(t.Context(), to, pkg, version, body); err == nil {
						there[i][version] = body
					} else if !millpond.Is(err, millpond.NotFound) {
						t.Errorf("publish %s %s: %v", pkg, version, err)
					}
				}
			}
		})
	}
	work.Wait()
	over.Store(true)
	all.Wait()
	n := 0
	for i := range there {
		for version, body := range there[i] {
			n++
			if got, err := bodyOf(t, to, fmt.Sprintf("ours-%d", i), version); err != nil || got != body {
				t.Errorf("ours-%d %s: %d bytes, %v", i, version, len(got), err)
			}
		}
	}
	if n < operations/10 {
		t.Errorf("%d versions are there after %d operations: too few to show anything", n, operations)
	}
	r.check("after all")
}

// F33: without room nothing is published, nothing of it is visible, what is held is served, and with room all is well again.
func TestF33PublishWithoutRoom(t *testing.T) {
	full := &mem.Store{}
	records := &refusing{}
	r := newRig(t, func(r *rig) {
		full.Now = r.now
		r.blobs, r.settings.LowFree = full, 1
		r.wrap = func(c *sql.Catalog) catalog.Catalog { records.Catalog = c; return records }
		r.config.Claims = []string{"widget"}
	})
	to := r.ours("r")
	r.published(to, "widget", "1.0", "one")
	long := string(noise(1, 100*kib))
	for _, c := range []struct {
		name        string
		begin, over func()
		want        millpond.Kind
	}{
		{"the store is full", func() { full.Limit = 50 * kib }, func() { full.Limit = 0 }, millpond.Full},
		{"the catalog is full", func() { records.set(millpond.Full) }, func() { records.set(0) }, millpond.Full},
		{"the catalog is read-only", func() { records.set(millpond.Unready) }, func() { records.set(0) }, millpond.Unready},
	} {
		events := len(r.verbs())
		c.begin()
		_, err := release(t.Context(), to, "widget", "2.0", long)
		wantKind(t, c.name, err, c.want)
		if got := versionsOf(t, to, "widget"); len(got) != 1 {
			t.Errorf("%s: versions %v, want only the one of before", c.name, got)
		}
		if got, err := bodyOf(t, to, "widget", "1.0"); err != nil || got != "one" {
			t.Errorf("%s: what is hosted: %q, %v", c.name, got, err)
		}
		c.over()
		if n := len(r.verbs()); n != events {
			t.Errorf("%s: %d events for nothing", c.name, n-events)
		}
	}
	r.published(to, "widget", "2.0", long)
	if got, err := bodyOf(t, to, "widget", "2.0"); err != nil || got != long {
		t.Errorf("with room: %d bytes, %v", len(got), err)
	}
	r.check("after all")
}

// A refusing catalog takes no changes while it has an error.
type refusing struct {
	*sql.Catalog
	kind atomic.Int64 // 0 is none
}

func (c *refusing) set(k millpond.Kind) { c.kind.Store(int64(k)) }

func (c *refusing) Update(ctx context.Context, by millpond.Actor, f func(catalog.Tx) error) error {
	if k := c.kind.Load(); k != 0 {
		return &millpond.Error{Kind: millpond.Kind(k), Why: "ordered by the test"}
	}
	return c.Catalog.Update(ctx, by, f)
}

// F35: when bytes could not be made durable once, nothing is published any more, whatever later calls say, until the next start.
func TestF35NothingIsPublishedAfterAFailedSync(t *testing.T) {
	var bad atomic.Bool
	r := newRig(t, onDisk(disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if bad.Load() && c.Op == durable.OpSync {
			return syscall.EIO
		}
		return do()
	}}), func(r *rig) { r.config.Claims = []string{"widget"} })
	to := r.ours("r")
	r.published(to, "widget", "1.0", "one")
	bad.Store(true)
	if _, err := release(t.Context(), to, "widget", "2.0", "two"); err == nil {
		t.Error("published although its bytes are not durable")
	}
	bad.Store(false)
	if _, err := release(t.Context(), to, "widget", "3.0", "three"); err == nil {
		t.Error("published after a sync had failed")
	}
	if got := versionsOf(t, to, "widget"); len(got) != 1 {
		t.Errorf("versions %v, want only the one of before", got)
	}
	if got, err := bodyOf(t, to, "widget", "1.0"); err != nil || got != "one" {
		t.Errorf("what is hosted: %q, %v", got, err)
	}
	r.stop(time.Second)
	if err := r.blobs.(*disk.Store).Close(); err != nil {
		t.Fatal(err)
	}
	onDisk(disk.Options{})(r)
	r.start()
	r.published(r.ours("r"), "widget", "3.0", "three")
}

// F28: an upload that nobody finishes shows nowhere, and a day later it is gone and its room is free.
func TestF28UploadsThatNobodyFinishes(t *testing.T) {
	store := &mem.Store{}
	r := newRig(t, func(r *rig) {
		store.Now = r.now
		r.blobs, r.settings.LowFree, r.config.Claims = store, 1, []string{"widget"}
	})
	store.Limit = 100 * mib
	before, err := store.Room(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to := r.ours("r")
	var ids []string
	for range 20 {
		u, err := to.Upload(t.Context(), format.Uploading{Package: "widget", Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		u.Write(noise(1, mib))
		ids = append(ids, u.ID())
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err = to.Package(t.Context(), "widget")
	wantKind(t, "what was never published", err, millpond.NotFound)
	r.pass(25 * time.Hour)
	if _, err := r.pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		_, err := to.Resume(t.Context(), id)
		wantKind(t, "an upload of yesterday", err, millpond.NotFound)
	}
	if after, err := store.Room(t.Context()); err != nil || after.Free != before.Free {
		t.Errorf("room is %+v, %v, want %+v as before", after, err, before)
	}
	r.check("after all")
}

// F33: a disk that is full for a moment fails the end of an upload; its client finds it again, and ends it.
func TestF33UploadOutlastsAFailedCommit(t *testing.T) {
	var full atomic.Bool
	r := newRig(t, onDisk(disk.Options{Hook: func(c *durable.Call, do func() error) error {
		if full.Load() && c.Op == durable.OpLink {
			return syscall.ENOSPC
		}
		return do()
	}}))
	to := r.ours("r")
	u, err := to.Upload(t.Context(), format.Uploading{Package: "widget", Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(u, "half ")
	id := u.ID()
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if u, err = to.Resume(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	io.WriteString(u, "and half")
	full.Store(true)
	_, err = u.Commit(t.Context())
	wantKind(t, "commit on a full disk", err, millpond.Full)
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	full.Store(false)
	if u, err = to.Resume(t.Context(), id); err != nil {
		t.Fatal("the upload, once there is room: ", err)
	}
	defer u.Close()
	if d, err := u.Commit(t.Context()); err != nil || d != millpond.SHA256([]byte("half and half")) {
		t.Errorf("commit once there is room: %s, %v", d, err)
	}
	_, err = to.Resume(t.Context(), id)
	wantKind(t, "a finished upload", err, millpond.NotFound)
}

// S20: what is taken down is refused to every way of asking, held or not.
func TestS20TakedownMeetsEveryRead(t *testing.T) {
	r := newRig(t)
	held, cold := r.put("alpha", "1.0", noise(1, 200*kib)), r.put("alpha", "2.0", noise(2, 200*kib))
	r.hold(held)
	master := r.as("alice", "* * *")
	if _, err := r.pond.TakeDown(t.Context(), master, repo.Takedown{Format: "pypi", Package: "alpha", Why: "malware"}); err != nil {
		t.Fatal(err)
	}
	asked := len(r.up.Requests(""))
	for _, e := range []entry{held, cold} {
		for _, method := range []string{"GET", "HEAD"} {
			for _, header := range []http.Header{nil, {"Range": {"bytes=0-9"}}, {"If-None-Match": {fmt.Sprintf("%q", e.sum.String())}}} {
				r.want(fmt.Sprintf("%s %s %v", method, e.name(), header), r.do(method, e.path(), header), http.StatusForbidden)
			}
		}
	}
	if n := len(r.up.Requests("")) - asked; n != 0 {
		t.Errorf("%d upstream requests for what is taken down", n)
	}
	if !r.holds(held) {
		t.Error("the evidence is gone")
	}
}
