package repo_test

import (
	"net/http"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/format/pypi"
)

// lasting is a format whose clients need an old absence while its upstream is ill.
type lasting struct{ pypi.Format }

func (p lasting) Info() format.Info {
	info := p.Format.Info()
	info.OldAbsence = 30 * 24 * time.Hour
	return info
}

// That a file was absent once does not stand in for an ill upstream when it has been there since.
func TestOldAbsenceOfWhatHasCome(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Format = lasting{} })
	e, never := r.put("alpha", "1.0", noise(1, 80*kib)), r.put("beta", "1.0", noise(2, 80*kib))
	r.up.Order(e.upstream(), "404")
	r.up.Order(never.upstream(), "404")
	r.want("not there yet", r.get(e.path()), http.StatusNotFound)
	r.want("not there", r.get(never.path()), http.StatusNotFound)
	r.pass(2 * time.Minute)
	r.good("there now", r.get(e.path()), e.bytes())
	if err := r.catalog.LoseBlob(t.Context(), e.sum); err != nil { // as an eviction does
		t.Fatal(err)
	}
	if err := r.blobs.Delete(t.Context(), e.sum); err != nil {
		t.Fatal(err)
	}
	r.forget()
	r.pass(time.Minute)
	r.up.Order(e.upstream(), "always 500")
	r.up.Order(never.upstream(), "always 500")
	r.want("what was there", r.get(e.path()), http.StatusServiceUnavailable)
	r.want("what was never there", r.get(never.path()), http.StatusNotFound)
}

// A package that is gone upstream is believed to be gone in time, however often somebody asks for a file that it never had.
func TestF17GoneThoughSomebodyAsksOn(t *testing.T) {
	r := newRig(t)
	e := r.put("alpha", "1.0", noise(1, kib))
	r.good("index", r.index("alpha"), nil)
	r.up.Order("/simple/alpha/", "always 404")
	r.pass(time.Hour)
	missing := e
	missing.version = "9.9"
	for range 8 {
		r.good("index", r.index("alpha"), nil)
		if a := r.get(missing.path()); a.Status == http.StatusOK {
			t.Fatalf("a file that never was: %v", a)
		}
		r.pass(2 * time.Minute)
		if r.index("alpha").Status == http.StatusNotFound {
			return
		}
	}
	t.Error("its index is served a quarter of an hour after its upstream began to say that there is none")
}

// What upstreams said long ago not to have is forgotten: clients ask for names without end. What a format still turns to stays.
func TestOldAbsencesAreForgotten(t *testing.T) {
	for _, one := range []struct {
		name  string
		of    format.Format
		stays bool
	}{{"nobody turns to it", pypi.Format{}, false}, {"clients need it", lasting{}, true}} {
		t.Run(one.name, func(t *testing.T) {
			r := newRig(t, func(r *rig) { r.config.Format = one.of })
			e := r.put("alpha", "1.0", noise(1, kib))
			r.hold(e)
			r.want("never heard of", r.index("nobody"), http.StatusNotFound)
			absent := func() bool {
				_, err := r.catalog.Answer(t.Context(), catalog.Question{Layer: "r/up", Kind: "package", Package: "nobody"})
				if err != nil && !millpond.Is(err, millpond.NotFound) {
					t.Fatal(err)
				}
				return err == nil
			}
			for _, sweep := range []struct {
				after time.Duration
				want  bool
			}{{time.Hour, true}, {2 * 24 * time.Hour, one.stays}, {60 * 24 * time.Hour, false}} {
				r.pass(sweep.after)
				if _, err := r.pond.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := absent(); got != sweep.want {
					t.Errorf("%v later it is remembered: %v, want %v", sweep.after, got, sweep.want)
				}
			}
			r.up.Refuse()
			r.good("what there is", r.index("alpha"), nil)
			r.good("and its file", r.get(e.path()), e.bytes())
		})
	}
}
