package formattest

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/disk"
	"millpond/format"
	"millpond/repo"
)

// hostedHides: once something is hosted under a name, nothing of it comes from elsewhere, though no claim says so.
func hostedHides(t *testing.T, e Ecosystem) {
	h := New(t, e)
	rs := e.releases()
	ours := rs[1]
	ours.Variant = 1
	h.Published("publish", e.Publish(h.As(Owner), e.Package, ours))
	e.Put(h.Up, e.Package, rs...)
	h.Up.Forget()
	h.Pass(time.Hour)
	h.shown("hosted", e.Package, ours)
	h.absent("the upstream's", e.Package, rs[0])
	h.absent("the upstream's", e.Package, rs[2])
	for _, path := range e.Spellings {
		h.Do("GET", "/r"+path, e.Header)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a hosted name cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	e.Put(h.Up, e.Other, rs...)
	h.shown("another name", e.Other, rs[0])
}

// hostedBelow: what is hosted in a repository that this one reads through is nobody else's, on every route, also for who may
// not read it; its upstreams hear nothing of it, though no claim says so, whichever of them comes first.
func hostedBelow(t *testing.T, e Ecosystem) {
	h := New(t, e)
	rs := e.releases()
	ours := rs[1]
	ours.Variant = 1
	h.Published("publish", e.Publish(h.As(Owner), e.Package, ours))
	e.Put(h.Up, e.Package, rs...)
	outer := h.Config("outer", h.Up)
	outer.Upstreams = append(outer.Upstreams, repo.Upstream{Sibling: "r"})
	h.Configure(repo.Settings{}, h.Config("r"), outer)
	h.Up.Forget()
	index := h.Good("index", h.Do("GET", "/outer"+e.Index(e.Package), e.Header), nil)
	for _, r := range []Release{rs[0], rs[2]} {
		h.Shows("the upstream's", index, r.Version, false)
	}
	h.Shows("hosted below", index, ours.Version, true)
	h.Good("the file that is hosted below", h.Do("GET", "/outer"+e.File(e.Package, ours), nil), e.Bytes(e.Package, ours))
	for _, r := range rs {
		if f := h.Do("GET", "/outer"+e.File(e.Package, r), nil); f.Err == nil && f.Status < 300 && r.Version != ours.Version {
			t.Errorf("the upstream's file of %s is served: %s", r.Version, f)
		}
	}
	for _, path := range e.Spellings {
		h.Do("GET", "/outer"+path, e.Header)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a name that is hosted below cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	for _, who := range []string{"", Owner} {
		outside := h.Pond.Repository("outer").For(h.callers[who])
		if name := e.record(e.Package, ours).Package; !outside.Claimed(name) {
			t.Errorf("%q: %s is hosted below, and is said to be an upstream's to hear of", who, name)
		}
		if name := e.record(e.Other, ours).Package; outside.Claimed(name) {
			t.Errorf("%q: %s is said to be ours", who, name)
		}
	}
}

// coldNames: whether a name is an upstream's is judged by what is kept, for a question would tell it a name of ours. Where
// that is too little, only claimed names are taken.
func coldNames(t *testing.T, e Ecosystem) {
	h := New(t, e, func(c *repo.Config) { c.ClaimedOnly = true })
	rs := e.releases()
	ours := rs[1]
	ours.Variant = 1
	e.Put(h.Up, e.Package, rs...) // and nobody has asked for it
	h.Want("a new name that nobody claims", e.Publish(h.As(Owner), e.Package, ours), http.StatusForbidden)
	h.WantLog("refused")
	c := h.Config("r", h.Up)
	c.ClaimedOnly, c.Claims = true, []string{e.Claim}
	h.Configure(repo.Settings{}, c)
	h.Published("what is claimed", e.Publish(h.As(Owner), e.Package, ours))
	want := []string{"publish", "publish"}
	oneName := e.record(e.Package, rs[1]).Package == e.record(e.Package, rs[2]).Package // of some formats a path is a package
	if oneName {
		c.Claims = nil
		h.Configure(repo.Settings{}, c)
		again := rs[2]
		again.Variant = 1
		h.Published("a name that is hosted already", e.Publish(h.As(Owner), e.Package, again))
		want = append(want, "publish")
	}
	c.ClaimedOnly, c.Claims = false, nil
	h.Configure(repo.Settings{}, c)
	e.Put(h.Up, e.Other, rs...)
	other := rs[0]
	other.Variant = 1
	h.Published("an upstream's name that nobody has read", e.Publish(h.As(Owner), e.Other, other))
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("publishing cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	h.shown("it hides the upstream's", e.Other, other)
	if oneName {
		h.absent("the upstream's", e.Other, rs[1])
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("hosted names cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	h.WantLog("published", want...)
}

// hostedJoins: where the repository unites, a version comes whole from the first layer that has it.
func hostedJoins(t *testing.T, e Ecosystem) {
	h := New(t, e, func(c *repo.Config) { c.Union = true })
	rs := e.releases()
	ours := rs[1]
	ours.Variant = 1
	h.Published("publish", e.Publish(h.As(Owner), e.Package, ours))
	e.Put(h.Up, e.Package, rs...)
	h.Pass(time.Hour)
	h.shown("hosted", e.Package, ours)
	h.shown("the upstream's", e.Package, rs[0])
	h.shown("the upstream's", e.Package, rs[2])
	h.fetched(e.UpstreamFile(e.Package, ours), 0)
	h.Up.Order("*", "always 500")
	h.Pass(time.Hour)
	h.shown("hosted, the upstream ill", e.Package, ours)
	h.shown("held, the upstream ill", e.Package, rs[0])
	mine := rs[2]
	mine.Variant = 2
	if r := e.Publish(h.As(Owner), e.Package, mine); r.Err == nil && r.Status < 300 {
		h.shown("a version that the upstream has too", e.Package, mine)
	}
}

// deletedHides: who deletes a package does not hand its name to whoever has it upstream.
func deletedHides(t *testing.T, e Ecosystem) {
	h := New(t, e, func(c *repo.Config) { c.Unpublish = true })
	rs := e.releases()
	for _, r := range rs[:2] {
		h.Published("publish", e.Publish(h.As(Owner), e.Package, r))
	}
	others := slices.Clone(rs)
	for i := range others {
		others[i].Variant = 1
	}
	e.Put(h.Up, e.Package, others...)
	h.Up.Forget()
	remove := func(who string, k millpond.Key) error {
		return h.As(who).Repo().Delete(t.Context(), format.Deletion{Key: k, Why: "a mistake"})
	}
	one := e.record(e.Package, rs[0])
	if err := remove(Reader, one); !millpond.Is(err, millpond.Denied) {
		t.Errorf("delete as reader: got %v, want denied", err)
	}
	if err := remove(Owner, one); err != nil {
		t.Fatal(err)
	}
	h.absent("deleted version", e.Package, rs[0])
	h.shown("the other version", e.Package, rs[1])
	if r := e.Publish(h.As(Owner), e.Package, rs[0]); r.Err == nil && r.Status < 300 {
		t.Errorf("a deleted number was taken again: %s", r)
	}
	if err := remove(Owner, millpond.Key{Package: e.Package}); err != nil {
		t.Fatal(err)
	}
	h.Pass(48 * time.Hour)
	h.Restart()
	for _, r := range rs {
		h.absent("deleted package", e.Package, r)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a deleted name cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	h.WantLog("deleted", "publish", "publish", "delete", "delete")
	h.Published("a new number", e.Publish(h.As(Owner), e.Package, rs[2]))
	h.shown("a new number", e.Package, rs[2])
}

func publishClaimed(t *testing.T, e Ecosystem) {
	h := New(t, e, claims(e))
	rs := e.releases()
	others := slices.Clone(rs)
	for i := range others {
		others[i].Variant = 1
	}
	e.Put(h.Up, e.Package, others...)
	h.absent("before", e.Package, rs[0])
	h.Published("publish", e.Publish(h.As(Owner), e.Package, rs[0]))
	h.shown("claimed", e.Package, rs[0])
	h.absent("the upstream's", e.Package, others[1])
	for _, path := range e.Spellings {
		h.Do("GET", "/r"+path, e.Header)
	}
	h.Do("HEAD", "/r"+e.Index(e.Package), e.Header)
	h.Do("HEAD", "/r"+e.File(e.Package, others[2]), nil)
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a claimed name cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
}

func restartKeeps(t *testing.T, e Ecosystem) {
	dir := t.TempDir()
	h := newOn(t, e, func(now func() time.Time) (blob.Store, error) { return disk.Open(dir, disk.Options{Now: now}) }, claims(e))
	rs := e.releases()
	for _, r := range rs[:2] {
		h.Published("publish", e.Publish(h.As(Owner), e.Package, r))
	}
	before := h.Good("index", h.Index(e.Package), nil)
	log := h.Log()
	h.Restart()
	h.Good("index after a restart", h.Index(e.Package), before.Body)
	for _, r := range rs[:2] {
		h.shown("after a restart", e.Package, r)
	}
	other := rs[0]
	other.Variant = 1
	h.Want("other bytes after a restart", e.Publish(h.As(Owner), e.Package, other), http.StatusConflict)
	h.Published("the next version after a restart", e.Publish(h.As(Owner), e.Package, rs[2]))
	h.shown("after a restart", e.Package, rs[2])
	if after := h.Log(); len(after) != len(log)+1 || after[0].Hash != log[0].Hash {
		t.Errorf("after a restart there are %d events, want the %d and one more", len(after), len(log))
	}
}

// failedWrites lets the first write fail, then the second, and so on, before it happened and after: each time the release is
// there whole or not at all, also after a restart, and can then be published.
func failedWrites(t *testing.T, e Ecosystem) {
	r := e.releases()[0]
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			h := New(t, e, claims(e))
			f := &fault{after: after}
			h.fault = f
			h.Restart()
			f.arm(n)
			reply := e.Publish(h.As(Owner), e.Package, r)
			hit := f.wasHit()
			h.fault = nil
			h.Restart()
			published := slices.ContainsFunc(h.Log(), func(e *millpond.Event) bool { return e.Verb == "publish" })
			if ok := reply.Err == nil && reply.Status >= 200 && reply.Status < 300; ok && !published {
				t.Errorf("write %d failed (after: %v), and the client was told that it has published: %s", n, after, reply)
			}
			if published {
				h.shown("published", e.Package, r)
			} else {
				h.absent("not published", e.Package, r)
			}
			h.Published("again", e.Publish(h.As(Owner), e.Package, r))
			h.shown("again", e.Package, r)
			h.WantLog("again", "publish")
			if !hit {
				if n == 1 {
					t.Error("publishing wrote nothing")
				}
				break
			}
			if t.Failed() || n > 1000 {
				t.Fatalf("write %d, after: %v", n, after)
			}
		}
	}
}
