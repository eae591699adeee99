package formattest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

// inspected waits until what was fetched has been looked through.
func (h *House) inspected() {
	h.T.Helper()
	if err := h.Pond.Inspect(h.T.Context()); err != nil {
		h.T.Fatal(err)
	}
}

// flagged: what would be refused if it were published is served from an upstream, as it is there, and that is told: by one
// event, by why, and in the figures.
func flagged(t *testing.T, e Ecosystem) {
	if _, ok := e.Format.(format.Inspector); !ok {
		t.Skipf("%s looks into no files that are published", e.Format.Info().Name)
	}
	h := New(t, e)
	rs := e.releases()[:2]
	rs[1].Refused = true
	e.Put(h.Up, e.Package, rs...)
	h.Good("index", h.Index(e.Package), nil)
	for _, r := range rs {
		h.Good("file of "+r.Version, h.File(e.Package, r), e.Bytes(e.Package, r))
	}
	h.inspected()
	h.WantLog("fetched", "flagged")
	one := h.Log()[0]
	var said struct{ Why, SHA256 string }
	if err := json.Unmarshal(one.Detail, &said); err != nil || said.Why == "" || len(said.SHA256) != 64 || one.Layer != "up" || one.Repository != "r" {
		t.Errorf("the event is %+v with %s, %v; want words and a digest", one, one.Detail, err)
	}
	stats, err := h.Pond.Stats(t.Context())
	if err != nil || stats.Flagged != 1 || stats.Due != 0 {
		t.Errorf("stats: %d flagged and %d due, %v; want 1 and 0", stats.Flagged, stats.Due, err)
	}
	told := func(what string) {
		t.Helper()
		h.Good(what+": file", h.File(e.Package, rs[1]), e.Bytes(e.Package, rs[1]))
		h.inspected()
		h.WantLog(what, "flagged")
		why, err := h.Pond.Repository("r").Why(t.Context(), one.Key.Package, one.Key.Version)
		if err != nil {
			t.Fatal(err)
		}
		var flags []string
		for _, f := range why.Files {
			if f.Flag != "" {
				flags = append(flags, f.Name+": "+f.Flag)
			}
			if f.Words != "" {
				t.Errorf("%s: %s is said not to be served: %s", what, f.Name, f.Words)
			}
		}
		if want := one.Key.File + ": " + said.Why; strings.Join(flags, "; ") != want {
			t.Errorf("%s: why says %q, want %q", what, flags, want)
		}
	}
	told("warm")
	h.Restart()
	told("after a restart")
	digest, err := millpond.ParseDigest("sha256:" + said.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Catalog.LoseBlob(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	h.Pass(time.Hour)
	told("fetched again")
	if e.Publish == nil {
		return
	}
	h = New(t, e, claims(e))
	if r := e.Publish(h.As(Owner), e.Package, rs[1]); r.Err != nil || r.Status < 400 || r.Status > 499 {
		t.Errorf("publish: got %s, want a refusal", r)
	}
	h.WantLog("refused")
}
