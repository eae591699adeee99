package repo_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"millpond"
)

// gatedBytes are bytes of an upstream that do not come before it is opened.
type gatedBytes struct {
	io.ReaderAt
	once  sync.Once
	asked chan struct{} // closed when the first are asked for
	gate  chan struct{}
}

func (g *gatedBytes) ReadAt(p []byte, off int64) (int, error) {
	g.once.Do(func() { close(g.asked) })
	<-g.gate
	return g.ReaderAt.ReadAt(p, off)
}

// TestF15ReplacedWhileItIsDownloaded: the bytes that came first stay, and the index says so, though its upstream listed others
// while they were on their way.
func TestF15ReplacedWhileItIsDownloaded(t *testing.T) {
	r := newRig(t)
	e := r.put("alpha", "1.0", noise(1, 80*kib))
	g := &gatedBytes{ReaderAt: e.body, asked: make(chan struct{}), gate: make(chan struct{})}
	first := e
	first.body = g
	r.publish(first)
	r.good("index", r.index("alpha"), nil)
	var all sync.WaitGroup
	all.Go(func() { r.good("the first bytes", r.get(e.path()), e.bytes()) })
	<-g.asked
	other := r.put("alpha", "1.0", noise(2, 80*kib))
	r.pass(time.Hour)
	if page := r.good("index", r.index("alpha"), nil); !contains(page.Body, other.sum.Hex()) {
		t.Fatalf("the upstream's new digest is not listed: %s", page)
	}
	close(g.gate)
	all.Wait()
	r.forget()
	r.good("again", r.get(e.path()), e.bytes())
	for _, when := range []string{"at once", "after a refresh"} {
		if page := r.good("index", r.index("alpha"), nil); !contains(page.Body, e.sum.Hex()) || contains(page.Body, other.sum.Hex()) {
			t.Errorf("%s: the index does not list the digest of the bytes that are served, %s: %s", when, e.sum, page.Body)
		}
		r.pass(time.Hour)
	}
	for i := range 4 {
		r.put("alpha", fmt.Sprintf("2.%d", i), noise(3, kib))
		r.pass(time.Hour)
		r.good("index", r.index("alpha"), nil)
	}
	if n := len(r.eventsOf("replaced")); n != 2 { // while it was on its way, and when it was kept
		t.Errorf("%d events tell that the upstream has replaced it, want 2: not one for each time that it is read", n)
	}
	p, err := r.ours("r").Package(t.Context(), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	if f := p.Version("1.0").File(e.name()); f.Size != e.size || len(f.Digests) == 0 || f.Digests[0] != e.sum {
		t.Errorf("its record is %+v, want %d bytes and %v", f, e.size, []millpond.Digest{e.sum})
	}
}
