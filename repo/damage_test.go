package repo_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/disk"
	"millpond/blob/mem"
	"millpond/fetch"
	"millpond/repo"
)

// A rotten store reads some of its blobs badly.
type rotten struct {
	*mem.Store
	mu  sync.Mutex // guards bad
	bad map[millpond.Digest]rot
}

// A rot is what becomes of reading a blob.
type rot struct {
	open  error // of Open
	after int   // bytes, then:
	err   error // of Read; io.EOF is a body that is too short
}

func (s *rotten) set(d millpond.Digest, r rot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad[d] = r
}

func (s *rotten) Open(ctx context.Context, d millpond.Digest, off, n int64) (io.ReadCloser, error) {
	body, err := s.Store.Open(ctx, d, off, n)
	s.mu.Lock()
	r, ok := s.bad[d]
	s.mu.Unlock()
	if err != nil || !ok {
		return body, err
	}
	if r.open != nil {
		body.Close()
		return nil, r.open
	}
	return &rottenBody{ReadSeekCloser: body.(io.ReadSeekCloser), rot: r}, nil
}

// SetAside takes the blob away: what is sealed anew is good.
func (s *rotten) SetAside(ctx context.Context, d millpond.Digest) error {
	s.mu.Lock()
	delete(s.bad, d)
	s.mu.Unlock()
	return s.Store.SetAside(ctx, d)
}

var _ blob.Aside = (*rotten)(nil)

type rottenBody struct {
	io.ReadSeekCloser
	rot rot
}

func (b *rottenBody) Read(p []byte) (int, error) {
	at, err := b.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	left := b.rot.after - int(at)
	if left <= 0 {
		return 0, b.rot.err
	}
	return b.ReadSeekCloser.Read(p[:min(len(p), left)])
}

// F34: held bytes that cannot be read never end cleanly. They are set aside, and fetched again.
func TestF34HeldBytesThatCannotBeRead(t *testing.T) {
	eio := &os.PathError{Op: "read", Path: "blob", Err: syscall.EIO}
	for _, c := range []struct {
		name string
		size int
		rot  rot
		sent bool // bytes have left before the damage is met
	}{
		{"cannot be opened", 300 * kib, rot{open: fmt.Errorf("open: %w", eio)}, false},
		{"small, fails", 10 * kib, rot{after: 5 * kib, err: eio}, false},
		{"small, too short", 10 * kib, rot{after: 5 * kib, err: io.EOF}, false},
		{"large, fails at once", 300 * kib, rot{err: eio}, true},
		{"large, fails in the middle", 300 * kib, rot{after: 100 * kib, err: eio}, true},
		{"large, too short", 300 * kib, rot{after: 299 * kib, err: io.EOF}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &rotten{Store: &mem.Store{}, bad: map[millpond.Digest]rot{}}
			r := newRig(t, func(r *rig) { r.blobs = store })
			e := r.put("alpha", "1.0", noise(1, c.size))
			r.hold(e)
			r.forget()
			store.set(e.sum, c.rot)
			a := r.get(e.path())
			if a.Err == nil && !bytes.Equal(a.Body, e.bytes()) { // a client asks again where nothing has come
				t.Errorf("bytes that cannot be read ended cleanly: %s", a)
			}
			if !c.sent {
				r.good("nothing had left, so it is fetched again at once", a, e.bytes())
			}
			r.good("the next reader", r.get(e.path()), e.bytes())
			r.up.Want(t, e.upstream(), 2)
			if n := len(r.eventsOf("damaged")); n != 1 {
				t.Errorf("%d events tell of the damage, want 1", n)
			}
			r.check("after all")
		})
	}
	t.Run("with nobody to ask", func(t *testing.T) {
		store := &rotten{Store: &mem.Store{}, bad: map[millpond.Digest]rot{}}
		r := newRig(t, func(r *rig) { r.blobs = store })
		e := r.put("alpha", "1.0", noise(1, 10*kib))
		r.hold(e)
		r.settings.Offline = true
		r.configure()
		store.set(e.sum, rot{after: 5 * kib, err: eio})
		r.want("offline", r.get(e.path()), http.StatusServiceUnavailable)
	})
}

// rotOnDisk changes a blob in its directory.
func (r *rig) rotOnDisk(d millpond.Digest, change func([]byte) []byte) {
	r.t.Helper()
	path := filepath.Join(r.dir, "blobs", d.Hex()[:2], d.Hex())
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		r.t.Fatal(err)
	}
	if b = change(b); b == nil {
		return
	}
	if err := os.WriteFile(path, b, 0o444); err != nil {
		r.t.Fatal(err)
	}
}

func flip(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }

// F36, P10: check finds every flipped bit, every missing blob and every stranger; what it mends is fetched again.
func TestF36CheckFindsAllDamage(t *testing.T) {
	r := newRig(t, onDisk(disk.Options{}))
	var es []entry
	for i := range 12 {
		es = append(es, r.put("alpha", fmt.Sprintf("1.%d", i), noise(uint64(i), 80*kib+i)))
	}
	r.hold(es...)
	held := len(r.held())
	rots := map[string]func([]byte) []byte{
		"flipped": flip,
		"cut":     func(b []byte) []byte { return b[:len(b)-1] },
		"longer":  func(b []byte) []byte { return append(bytes.Clone(b), 0) },
		"gone":    func([]byte) []byte { return nil },
	}
	var want []millpond.Digest
	i := 0
	for _, name := range []string{"flipped", "cut", "longer", "gone"} {
		for range 2 {
			r.rotOnDisk(es[i].sum, rots[name])
			want = append(want, es[i].sum)
			i++
		}
	}
	// Damaged documents count too: the page that the upstream gave.
	page := r.document("alpha")
	r.rotOnDisk(page, flip)
	want = append(want, page)
	stranger := []byte("nothing names these bytes")
	r.seal(stranger)

	structure, err := r.pond.Check(t.Context(), repo.CheckOptions{})
	if err != nil || len(structure.Damage) != 6 {
		t.Errorf("Check without reading found %+v, %v, want what is gone or of another size", structure, err)
	}
	report, err := r.pond.Check(t.Context(), repo.CheckOptions{ReadData: true})
	if err != nil {
		t.Fatal(err)
	}
	r.found(report, want)
	if report.Orphans != 1 || report.Repaired != 0 || report.Blobs != int64(held+1-2) {
		t.Errorf("Check: %d orphans, %d repaired, %d blobs, want 1, 0, %d", report.Orphans, report.Repaired, report.Blobs, held-1)
	}
	report, err = r.pond.Check(t.Context(), repo.CheckOptions{ReadData: true, Repair: true})
	if err != nil || report.Repaired != len(want) {
		t.Fatalf("Repair: %+v, %v, want %d repaired", report, err, len(want))
	}
	r.check("after the repair")
	for n, e := range es {
		r.good("after the repair", r.get(e.path()), e.bytes())
		asked := 1
		if n < i {
			asked = 2
		}
		r.up.Want(t, e.upstream(), asked)
	}
	r.pass(time.Hour)
	r.good("the page", r.index("alpha"), nil)
	r.check("after all was fetched again")
}

// What was published and rots is given to nobody once a check has found and set it aside, and publishing it again mends it.
func TestF36RottenHostedBytes(t *testing.T) {
	r := newRig(t, onDisk(disk.Options{}))
	to, body := r.ours("r"), strings.Repeat("x", 200*kib)
	r.published(to, "widget", "1.0", body)
	d := millpond.SHA256([]byte(body))
	r.rotOnDisk(d, flip)
	report, err := r.pond.Check(t.Context(), repo.CheckOptions{ReadData: true, Repair: true})
	if err != nil || len(report.Damage) != 1 || !report.Damage[0].Hosted || report.Repaired != 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
	if _, err := bodyOf(t, to, "widget", "1.0"); err == nil || millpond.KindOf(err).Status() != http.StatusServiceUnavailable {
		t.Errorf("rotten bytes: %v", err)
	}
	r.published(to, "widget", "1.0", body)
	if got, err := bodyOf(t, to, "widget", "1.0"); err != nil || got != body {
		t.Errorf("published again: %d bytes, %v, right %t", len(got), err, got == body)
	}
	r.check("after it was published again")
}

// document is the kept form of a package's listing.
func (r *rig) document(pkg string) millpond.Digest {
	r.t.Helper()
	p, err := r.pond.Repository("r").For(repo.Caller{}).Package(r.t.Context(), pkg)
	if err != nil || len(p.Parts) == 0 || p.Parts[0].Document.IsZero() {
		r.t.Fatalf("no document of %s is kept: %v", pkg, err)
	}
	return p.Parts[0].Document
}

// seal keeps bytes that nothing names.
func (r *rig) seal(b []byte) millpond.Digest {
	r.t.Helper()
	w, err := r.blobs.Create(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		r.t.Fatal(err)
	}
	d, err := w.Commit(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// found fails the test unless a report names these blobs, and no other.
func (r *rig) found(report *repo.Report, want []millpond.Digest) {
	r.t.Helper()
	var got []millpond.Digest
	for _, d := range report.Damage {
		got = append(got, d.Digest)
		if len(d.Names) == 0 || d.What == "" || d.Mending == "" {
			r.t.Errorf("a damage that does not say what it is: %+v", d)
		}
	}
	for _, d := range want {
		if !slices.Contains(got, d) {
			r.t.Errorf("check did not find %s", d)
		}
	}
	if len(got) != len(want) {
		r.t.Errorf("check found %d damages, want %d: %+v", len(got), len(want), report.Damage)
	}
}

// A kept document that is damaged or gone is read anew: that there is none of a package is never said for it.
func TestF36DamagedDocument(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{"flipped": flip, "cut": func(b []byte) []byte { return b[:len(b)/2] }, "gone": func([]byte) []byte { return nil }} {
		for _, late := range []bool{false, true} { // whether it has to be asked for again anyway
			t.Run(fmt.Sprintf("%s, late %t", name, late), func(t *testing.T) {
				r := newRig(t, onDisk(disk.Options{}), asNPM)
				r.putPackument(50)
				first := r.good("packument", r.get("/r/alpha"), nil)
				r.rotOnDisk(r.document("alpha"), change)
				r.restart() // a small derived document is in memory only
				if late {
					r.pass(time.Hour)
				}
				var a reply
				for try := 0; try < 3; try++ { // it may be found while it is used
					if a = r.get("/r/alpha"); a.Status == 200 {
						break
					}
					if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
						t.Errorf("try %d: got %s, want 503 and when to come again", try, a)
					}
				}
				r.good("healed", a, nil)
				if versions(a.Body) != versions(first.Body) {
					t.Errorf("healed: %d versions, want %d", versions(a.Body), versions(first.Body))
				}
				r.check("after all")
			})
		}
	}
}

// F51: all held bytes are lost at full load. The upstream is asked once for each, never for more at once than the cap, and
// all is as before.
func TestF51AllHeldBytesAreLost(t *testing.T) {
	const most = 4
	r := newRig(t, func(r *rig) { r.setUp = func(e *fetch.Engine) { e.Most = most } })
	var es []entry
	for i := range 20 {
		es = append(es, r.put("alpha", fmt.Sprintf("1.%d", i), noise(uint64(i), 100*kib)))
	}
	r.hold(es...)
	var at, peak atomic.Int64
	for _, e := range es {
		r.up.Handle(e.upstream(), func(w http.ResponseWriter, req *http.Request) {
			n := at.Add(1)
			defer at.Add(-1)
			for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
			}
			http.ServeContent(w, req, "", time.Time{}, io.NewSectionReader(e.body, 0, e.size))
		})
	}
	stop := make(chan struct{})
	var lost atomic.Bool
	var after [20]atomic.Bool // it was served after the loss
	var load sync.WaitGroup
	for i := range 16 {
		load.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				gone := lost.Load()
				a := r.get(es[n%len(es)].path())
				switch {
				case a.Err == nil && a.Status == 200 && bytes.Equal(a.Body, es[n%len(es)].bytes()):
					if gone {
						after[n%len(es)].Store(true)
					}
				case a.Err == nil && a.Status == 200:
					t.Errorf("other bytes: %s", a)
				case a.Status != 503 && a.Status != 429 && a.Err == nil:
					t.Errorf("got %s", a)
				}
			}
		})
	}
	r.up.Forget()
	for _, d := range r.held() {
		if err := r.blobs.Delete(t.Context(), d); err != nil {
			t.Errorf("lose %s: %v", d, err)
		}
	}
	lost.Store(true)
	await(t, "all is served again", func() bool {
		for i := range after {
			if !after[i].Load() {
				return false
			}
		}
		return true
	})
	close(stop)
	load.Wait()
	if peak.Load() > most {
		t.Errorf("%d downloads at once, want at most %d", peak.Load(), most)
	}
	for _, e := range es {
		r.up.Want(t, e.upstream(), 1)
		if !r.holds(e) {
			t.Errorf("%s is not held again", e.name())
		}
	}
	r.pass(time.Hour)
	r.good("the page", r.index("alpha"), nil)
	r.check("after all")
}

// F34: of many who read a damaged file to its bad place, the first has it set aside: the others do not take away what was sealed
// in its stead.
func TestF34DamageIsSeenToOnce(t *testing.T) {
	r := newRig(t, onDisk(disk.Options{}))
	e := r.put("alpha", "1.0", noise(1, 300*kib))
	r.hold(e)
	var readers []*millpond.Content
	for range 3 {
		c, err := r.ours("r").Open(t.Context(), e.key())
		if err != nil || c.Damaged == nil {
			t.Fatalf("open: %+v, %v", c, err)
		}
		defer c.Close()
		readers = append(readers, c)
	}
	readers[0].Damaged(io.ErrUnexpectedEOF)
	if r.holds(e) {
		t.Error("what is damaged is still in its place")
	}
	r.good("fetched anew", r.get(e.path()), e.bytes())
	readers[1].Damaged(io.ErrUnexpectedEOF)
	readers[2].Damaged(io.ErrUnexpectedEOF)
	if h := r.holding(e); !r.holds(e) || h == nil || h.Blob.IsZero() {
		t.Errorf("what was sealed anew is in its place: %t, and its record is %+v", r.holds(e), h)
	}
	r.good("held", r.get(e.path()), e.bytes())
	r.up.Want(t, e.upstream(), 2)
	if n := len(r.eventsOf("damaged")); n != 1 {
		t.Errorf("%d events tell of the damage, want 1", n)
	}
}
