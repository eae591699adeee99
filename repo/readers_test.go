package repo_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/fetch"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// readSome reads n bytes of an answer.
func readSome(t *testing.T, resp *http.Response, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(resp.Body, b); err != nil {
		t.Fatalf("read %d bytes: got %d, %v", n, got, err)
	}
	return b
}

// many asks for a path n times at once.
func (r *rig) many(n int, path string) []reply {
	r.t.Helper()
	replies := make([]reply, n)
	var all sync.WaitGroup
	for i := range replies {
		all.Go(func() { replies[i] = r.get(path) })
	}
	all.Wait()
	return replies
}

func TestP03OneColdFileIsOneRequest(t *testing.T) {
	// The rig's upstream counts as silent after a second, in which a busy machine may give it no turn: a download that was
	// resumed is a second request.
	r := newRig(t, func(r *rig) { r.config.Upstreams[0].FirstByte, r.config.Upstreams[0].Idle = 0, 0 })
	e := r.put("alpha", "1.0", noise(1, 6*mib))
	gate := r.up.Gate(e.upstream(), 3*mib)
	r.good("index", r.index("alpha"), nil)
	go func() { <-gate.Reached; gate.Open() }() // ends with the download
	for i, a := range r.many(50, e.path()) {
		if a.Err != nil || a.Status != 200 || millpond.SHA256(a.Body) != e.sum {
			t.Errorf("reader %d: got %d, %d bytes, %v", i, a.Status, len(a.Body), a.Err)
		}
	}
	r.up.Want(t, e.upstream(), 1)
	if got := r.engine.Stats().Bytes; got > e.size+64*kib {
		t.Errorf("the upstream sent %d bytes for a file of %d", got, e.size)
	}
}

func TestF24TheFirstReaderLeaves(t *testing.T) {
	r := newRig(t)
	e := r.put("alpha", "1.0", noise(1, 6*mib))
	gate := r.up.Gate(e.upstream(), 3*mib)
	r.good("index", r.index("alpha"), nil)
	ctx, leave := context.WithCancel(t.Context())
	first, err := r.open(ctx, "GET", e.path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	readSome(t, first, 2*mib)
	second, err := r.open(t.Context(), "GET", e.path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Body.Close()
	leave()
	first.Body.Close()
	gate.Open()
	if got, err := io.ReadAll(second.Body); err != nil || !bytes.Equal(got, e.bytes()) {
		t.Errorf("the second reader: %d bytes, %v, want %d", len(got), err, e.size)
	}
	r.up.Want(t, e.upstream(), 1)
}

func TestF24AllReadersLeave(t *testing.T) {
	r := newRig(t)
	e := r.put("alpha", "1.0", noise(1, 6*mib))
	gate := r.up.Gate(e.upstream(), 3*mib)
	r.good("index", r.index("alpha"), nil)
	ctx, leave := context.WithCancel(t.Context())
	for range 3 {
		resp, err := r.open(ctx, "GET", e.path(), nil)
		if err != nil {
			t.Fatal(err)
		}
		readSome(t, resp, mib)
		defer resp.Body.Close()
	}
	leave()
	gate.Open()
	await(t, "the download has ended without readers", func() bool { return r.holding(e) != nil })
	r.up.Refuse()
	r.good("the next reader", r.get(e.path()), e.bytes())
	r.up.Want(t, e.upstream(), 1)
}

// Of many distinct cold keys no more are asked for at once than the cap says, no more wait than the queue holds, and what
// is held is served meanwhile.
func TestF26ManyDistinctColdKeys(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.setUp = func(e *fetch.Engine) { e.Most, e.Waiting = 8, 20 }
	})
	held := r.put("held", "1.0", noise(9, 300*kib))
	r.hold(held)
	const n = 120
	var es [n]entry
	var mu sync.Mutex
	inside, most := 0, 0
	open := make(chan struct{})
	for i := range es {
		es[i] = r.put("alpha", fmt.Sprintf("1.%d", i), noise(uint64(i), 70*kib))
		r.up.Handle(es[i].upstream(), func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			<-open
			mu.Lock()
			inside--
			mu.Unlock()
			http.ServeContent(w, req, "", time.Time{}, io.NewSectionReader(es[i].body, 0, es[i].size))
		})
	}
	r.good("index", r.index("alpha"), nil)
	replies := make([]reply, n)
	var all sync.WaitGroup
	for i := range es {
		all.Go(func() { replies[i] = r.get(es[i].path()) })
	}
	await(t, "all places are taken", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return inside == 8 && r.engine.Stats().Waiting == 20
	})
	for range 20 {
		r.good("a hit, with all places taken", r.get(held.path()), held.bytes())
	}
	close(open)
	all.Wait()
	served, shed := 0, 0
	for i, a := range replies {
		switch {
		case a.Err == nil && a.Status == 200 && bytes.Equal(a.Body, es[i].bytes()):
			served++
		case a.Err == nil && (a.Status == 503 || a.Status == 429) && a.Header.Get("Retry-After") != "":
			shed++
		default:
			t.Errorf("reader %d: got %s, want the file, or to be told when to come again", i, a)
		}
	}
	if most > 8 || served < 8 || shed == 0 {
		t.Errorf("%d downloads at once (want at most 8), %d served (want at least 8), %d shed (want some)", most, served, shed)
	}
	for i := range es {
		r.good("later", r.get(es[i].path()), es[i].bytes())
	}
}

func TestF27RangesOfAColdFile(t *testing.T) {
	const size = 3 * mib
	body := noise(1, size)
	for _, c := range []struct {
		name   string
		header http.Header
		off, n int
		whole  bool // 200 is the answer
	}{
		{name: "start", header: http.Header{"Range": {"bytes=0-199999"}}, n: 200000},
		{name: "middle", header: http.Header{"Range": {"bytes=1000000-1999999"}}, off: 1000000, n: 1000000},
		{name: "to the end", header: http.Header{"Range": {"bytes=2000000-"}}, off: 2000000, n: size - 2000000},
		{name: "suffix", header: http.Header{"Range": {"bytes=-100"}}, off: size - 100, n: 100},
		{name: "a single byte", header: http.Header{"Range": {"bytes=0-0"}}, n: 1},
		{name: "several", header: http.Header{"Range": {"bytes=0-9,20-29"}}, n: size, whole: true},
		{name: "If-Range is wrong", header: http.Header{"Range": {"bytes=0-9"}, "If-Range": {`"other"`}}, n: size, whole: true},
		{name: "If-Range is weak", header: http.Header{"Range": {"bytes=0-9"}, "If-Range": {`W/"other"`}}, n: size, whole: true},
		{name: "no range at all", header: http.Header{"Range": {"pages=1"}}, n: size, whole: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			e := r.put("alpha", "1.0", body)
			r.up.Order(e.upstream(), "slow 20ms")
			r.good("index", r.index("alpha"), nil)
			a := r.do("GET", e.path(), c.header)
			if a.Err != nil || a.Status != 206 && a.Status != 200 || c.whole && a.Status != 200 {
				t.Fatalf("got %s", a)
			}
			want := body[c.off : c.off+c.n]
			if a.Status == 200 {
				want = body
			} else if got := a.Header.Get("Content-Range"); got != fmt.Sprintf("bytes %d-%d/%d", c.off, c.off+c.n-1, size) {
				t.Errorf("Content-Range is %q", got)
			}
			if !bytes.Equal(a.Body, want) {
				t.Errorf("got %d bytes that are not the %d wanted", len(a.Body), len(want))
			}
			await(t, "the whole is held", func() bool { return r.holding(e) != nil })
			for _, q := range r.up.Requests(e.upstream()) {
				if q.Header.Get("Range") != "" {
					t.Errorf("the upstream was asked for %q: a part cannot be verified", q.Header.Get("Range"))
				}
			}
			r.up.Want(t, e.upstream(), 1)
			r.good("the whole, held", r.get(e.path()), body)
		})
	}
	t.Run("out of it", func(t *testing.T) {
		r := newRig(t)
		e := r.put("alpha", "1.0", body)
		r.good("index", r.index("alpha"), nil)
		r.want("a range behind the end", r.do("GET", e.path(), http.Header{"Range": {"bytes=99999999-"}}), 416)
	})
}

// The end of a range leaves only when the whole file was verified: whoever has a range whole has right bytes.
func TestF27RangeOfWrongBytes(t *testing.T) {
	for _, spec := range []string{"bytes=0-299999", "bytes=0-9", "bytes=2000000-2499999", "bytes=-9"} {
		t.Run(spec, func(t *testing.T) {
			r := newRig(t)
			e := r.put("alpha", "1.0", noise(1, 3*mib))
			r.up.Order(e.upstream(), "always lie")
			r.good("index", r.index("alpha"), nil)
			a := r.do("GET", e.path(), http.Header{"Range": {spec}})
			if a.Err == nil && a.Status < 500 {
				t.Errorf("got %s, want it cut, or 503", a)
			}
			if r.holds(e) || r.holding(e) != nil {
				t.Error("wrong bytes are held")
			}
		})
	}
}

// A client that has a range's first bytes waits for its last while the download goes on.
func TestF27RangeWaitsForTheSeal(t *testing.T) {
	r := newRig(t)
	e := r.put("alpha", "1.0", noise(1, 5*mib))
	gate := r.up.Gate(e.upstream(), 4*mib)
	r.good("index", r.index("alpha"), nil)
	resp, err := r.open(t.Context(), "GET", e.path(), http.Header{"Range": {"bytes=100-1048675"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-gate.Reached
	first := readSome(t, resp, mib-64*kib)
	rest := make(chan []byte)
	go func() {
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("the rest: %v", err)
		}
		rest <- b
	}()
	select {
	case b := <-rest:
		t.Fatalf("%d bytes more came before the file was verified", len(b))
	case <-time.After(100 * time.Millisecond):
	}
	gate.Open()
	if got := append(first, <-rest...); resp.StatusCode != 206 || !bytes.Equal(got, e.bytes()[100:100+mib]) {
		t.Errorf("got %d and %d bytes, want 206 and %d", resp.StatusCode, len(got), mib)
	}
}

func TestF42LeftoversResumeAfterTheNextStart(t *testing.T) {
	for name, store := range map[string]func(*rig){"memory": func(*rig) {}, "disk": onDisk(disk.Options{})} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, store)
			e := r.put("alpha", "1.0", noise(1, 12*mib))
			gate := r.up.Gate(e.upstream(), 10*mib)
			r.good("index", r.index("alpha"), nil)
			resp, err := r.open(t.Context(), "GET", e.path(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			readSome(t, resp, 9*mib)
			r.stop(10 * time.Millisecond)
			gate.Open()

			r.up.Forget()
			r.start()
			r.good("after the start", r.get(e.path()), e.bytes())
			asked := r.up.Requests(e.upstream())
			if len(asked) != 1 || !strings.HasPrefix(asked[0].Header.Get("Range"), "bytes=") {
				t.Errorf("after the start the upstream was asked %+v, want one request for the rest", asked)
			}
			if sent := r.up.Sent(); sent > 3*mib {
				t.Errorf("after the start the upstream sent %d bytes, want the 2 MiB that were missing", sent)
			}
			r.check("after all")

			// What is held is not left over: the next start takes nothing up.
			r.stop(10 * time.Second)
			r.start()
			if left := r.engine.Leftovers(); len(left) != 0 {
				t.Errorf("after a clean stop %+v is left over", left)
			}
			r.good("after a clean stop", r.get(e.path()), e.bytes())
		})
	}
}

// What a stopped pond left over may be gone, or changed upstream, when the next one starts.
func TestF42LeftoversThatAreOfNoUse(t *testing.T) {
	for name, between := range map[string]func(*rig, entry) entry{
		"tidied away": func(r *rig, e entry) entry {
			r.pass(48 * time.Hour)
			if err := r.blobs.Tidy(context.Background(), r.now().Add(-time.Hour), nil); err != nil {
				r.t.Fatal(err)
			}
			return e
		},
		"other bytes upstream": func(r *rig, e entry) entry {
			r.pass(time.Hour)
			return r.put("alpha", "1.0", noise(2, 12*mib))
		},
		"not readable": func(r *rig, e entry) entry {
			c, err := sql.Open(context.Background(), r.dir, sql.Options{})
			if err != nil {
				r.t.Fatal(err)
			}
			defer c.Close()
			if err := c.Update(context.Background(), millpond.Actor{Name: "test"}, func(tx catalog.Tx) error {
				if was, err := tx.Setting("leftovers"); err != nil || was == nil {
					r.t.Errorf("the setting was %s, %v", was, err)
				}
				return tx.SetSetting("leftovers", []byte(`{"no":"list"}`))
			}); err != nil {
				r.t.Fatal(err)
			}
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			e := r.put("alpha", "1.0", noise(1, 12*mib))
			gate := r.up.Gate(e.upstream(), 10*mib)
			r.good("index", r.index("alpha"), nil)
			resp, err := r.open(t.Context(), "GET", e.path(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			readSome(t, resp, 9*mib)
			r.stop(10 * time.Millisecond)
			gate.Open()
			e = between(r, e)
			r.start()
			r.good("index after the start", r.index("alpha"), nil)
			r.good("after the start", r.get(e.path()), e.bytes())
			r.check("after all")
		})
	}
}
