package repo_test

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format/pypi"
)

// watched looks through files as the test says.
type watched struct {
	pypi.Format
	inspect *atomic.Pointer[func(k millpond.Key, r io.ReaderAt) error]
}

func (watched) Inspects(k millpond.Key) bool { return true }

func (w watched) Inspect(_ context.Context, k millpond.Key, r io.ReaderAt, _ int64) error {
	return (*w.inspect.Load())(k, r)
}

// TestS05InspectionKeepsNobodyWaiting: a file is served while it is looked through without end, stopping waits for no such
// looking, and the next pond takes it up again. What cannot be read is not flagged, and is looked at again.
func TestS05InspectionKeepsNobodyWaiting(t *testing.T) {
	w := watched{inspect: &atomic.Pointer[func(millpond.Key, io.ReaderAt) error]{}}
	does := func(f func(k millpond.Key, r io.ReaderAt) error) { w.inspect.Store(&f) }
	r := newRig(t, func(r *rig) { r.config.Format = w })
	flags := func(what string, want ...string) {
		t.Helper()
		if err := r.pond.Inspect(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range r.eventsOf("flagged") {
			got = append(got, e.Key.File)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: flagged are %q, want %q", what, got, want)
		}
	}
	due := func(what string, want bool) {
		t.Helper()
		a, err := r.catalog.Answer(t.Context(), catalog.Question{Layer: "r/up", Kind: "inspection"})
		if err != nil || a.Absent == want {
			t.Errorf("%s: the catalog says that something is due: %v, %v; want %v", what, !a.Absent, err, want)
		}
	}
	one, two := r.put("alpha", "1", noise(1, 10*kib)), r.put("beta", "1", noise(2, 10*kib))

	began := make(chan struct{})
	does(func(_ millpond.Key, at io.ReaderAt) error {
		close(began)
		for {
			if _, err := at.ReadAt(make([]byte, 1), 0); err != nil {
				return &millpond.Error{Kind: millpond.Invalid, Why: "it ends too early", Err: err} // as an archive's reader says of any failure
			}
		}
	})
	r.hold(one)
	<-began
	r.hold(one)
	r.hold(two) // waits behind it
	due("under way", true)
	before := time.Now()
	r.stop(10 * time.Second)
	if took := time.Since(before); took > 5*time.Second {
		t.Errorf("stopping waited %v for what nobody waits for", took)
	}

	does(func(k millpond.Key, _ io.ReaderAt) error {
		if k.Package == "beta" {
			return nil
		}
		return &millpond.Error{Kind: millpond.Invalid, Why: "it is bad"}
	})
	r.start()
	due("begun again", true)
	flags("taken up", one.name())
	r.hold(two)
	r.stop(10 * time.Second)
	r.start()
	due("all is looked through", false)

	does(func(millpond.Key, io.ReaderAt) error { return io.ErrUnexpectedEOF }) // no verdict on the bytes
	three := r.put("gamma", "1", noise(3, 10*kib))
	r.hold(three)
	flags("what could not be looked at", one.name())
	r.stop(10 * time.Second)
	does(func(millpond.Key, io.ReaderAt) error {
		return &millpond.Error{Kind: millpond.TooLarge, Why: "it is large"}
	})
	r.start()
	flags("looked at again", one.name(), three.name())
	if s, err := r.pond.Stats(t.Context()); err != nil || s.Flagged != 1 {
		t.Errorf("stats: %d flagged since the start, %v; want 1", s.Flagged, err)
	}
}

// TestInspectionWaitsForDownloads: while a file is being fetched, and for a moment after, none is looked through, unless somebody
// waits for that.
func TestInspectionWaitsForDownloads(t *testing.T) {
	w := watched{inspect: &atomic.Pointer[func(millpond.Key, io.ReaderAt) error]{}}
	r := newRig(t, func(r *rig) { r.config.Format = w })
	var fetched atomic.Bool
	began := make(chan struct{})
	first := func(k millpond.Key, _ io.ReaderAt) error {
		if k.Package == "alpha" {
			close(began)
		}
		if !fetched.Load() {
			t.Errorf("%s was looked through while a file was being fetched", k)
		}
		return nil
	}
	w.inspect.Store(&first)
	one, two := r.put("alpha", "1", noise(1, 10*kib)), r.put("beta", "1", noise(2, 2*mib))
	gate := r.up.Gate(two.upstream(), mib)
	read := make(chan struct{})
	go func() {
		defer close(read)
		r.hold(two)
	}()
	<-gate.Reached
	r.hold(one)
	select {
	case <-began:
	case <-time.After(4 * lookingBegins): // it waits, as it should
	}
	fetched.Store(true)
	gate.Open()
	<-read
	ended := time.Now()
	<-began
	if rest := time.Since(ended); rest < time.Second {
		t.Errorf("it began %v after the download: who installs many packages has the next one under way soon", rest)
	}
	three := r.put("gamma", "1", noise(3, 10*kib))
	r.hold(three)
	ended = time.Now()
	if err := r.pond.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(ended); took > time.Second {
		t.Errorf("who waited for it waited %v", took)
	}
}

// lookingBegins is longer than it takes until what has to wait for nothing is looked through.
const lookingBegins = 50 * time.Millisecond
