package formattest

import (
	"bytes"
	"net/http"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// claims makes the ecosystem's package one that is ours.
func claims(e Ecosystem) func(*repo.Config) {
	return func(c *repo.Config) { c.Claims = []string{e.Claim} }
}

// Published fails the test unless the answer is a success.
func (h *House) Published(what string, r Reply) Reply {
	h.T.Helper()
	if r.Err != nil || r.Status < 200 || r.Status > 299 {
		h.T.Errorf("%s: got %s, want a success", what, r)
	}
	return r
}

// shown fails the test unless the index lists the version and its file has the release's bytes.
func (h *House) shown(what, pkg string, r Release) {
	h.T.Helper()
	h.Shows(what, h.Good(what+": index", h.Index(pkg), nil), r.Version, true)
	h.Good(what+": file of "+r.Version, h.File(pkg, r), h.e.Bytes(pkg, r))
}

// absent fails the test unless neither index nor file has the version.
func (h *House) absent(what, pkg string, r Release) {
	h.T.Helper()
	if index := h.Index(pkg); index.Status == http.StatusOK {
		h.Shows(what, index, r.Version, false)
	}
	if f := h.File(pkg, r); f.Err == nil && f.Status < 300 {
		h.T.Errorf("%s: the file of %s is served: %s", what, r.Version, f)
	}
}

func publishThenRead(t *testing.T, e Ecosystem) {
	h := New(t, e)
	rs := e.releases()
	h.Want("absent index", h.Index(e.Package), http.StatusNotFound)
	h.Want("absent file", h.File(e.Package, rs[0]), http.StatusNotFound)
	for i, r := range rs {
		h.Published("publish "+r.Version, e.Publish(h.As(Owner), e.Package, r))
		for _, r := range rs[:i+1] { // at once, though the absence was remembered
			h.shown("after "+rs[i].Version, e.Package, r)
		}
		for _, r := range rs[i+1:] {
			h.absent("after "+rs[i].Version, e.Package, r)
		}
	}
	path := "/r" + e.File(e.Package, rs[0])
	get, head := h.Do("GET", path, nil), h.Do("HEAD", path, nil)
	for _, name := range []string{"Content-Type", "Content-Length", "Etag", "Cache-Control", "Last-Modified", "Accept-Ranges"} {
		if g, w := head.Header.Get(name), get.Header.Get(name); g != w || w == "" {
			t.Errorf("hosted file: HEAD says %s: %q, GET says %q", name, g, w)
		}
	}
	h.Want("hosted file with its tag", h.Do("GET", path, http.Header{"If-None-Match": {get.Header.Get("Etag")}}), http.StatusNotModified)
	part := h.Want("range of a hosted file", h.Do("GET", path, http.Header{"Range": {"bytes=1-3"}}), http.StatusPartialContent)
	if want := e.Bytes(e.Package, rs[0])[1:4]; !bytes.Equal(part.Body, want) {
		t.Errorf("range of a hosted file: got %q, want %q", part.Body, want)
	}
	h.Up.Order("*", "always 500")
	h.Pass(48 * time.Hour)
	h.shown("the upstream ill, two days later", e.Package, rs[0])
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	h.shown("offline", e.Package, rs[0])
}

func publishTwice(t *testing.T, e Ecosystem) {
	h := New(t, e, claims(e))
	r := e.releases()[0]
	h.Published("publish", e.Publish(h.As(Owner), e.Package, r))
	index := h.Good("index", h.Index(e.Package), nil)
	h.Pass(time.Hour)
	h.Published("the same bytes again", e.Publish(h.As(Owner), e.Package, r))
	h.WantLog("the same bytes again", "publish")
	h.Good("index after", h.Index(e.Package), index.Body)
	other := r
	other.Variant = 1
	h.Want("other bytes", e.Publish(h.As(Owner), e.Package, other), http.StatusConflict)
	h.WantLog("other bytes", "publish")
	h.Good("the first bytes stay", h.File(e.Package, r), e.Bytes(e.Package, r))
	h.Good("index after other bytes", h.Index(e.Package), index.Body)
}

func publishAtOnce(t *testing.T, e Ecosystem) {
	h := New(t, e, claims(e))
	r := e.releases()[0]
	replies := make([]Reply, 50)
	var all sync.WaitGroup
	for i := range replies {
		one := r
		one.Variant = i
		all.Go(func() { replies[i] = e.Publish(h.As(Owner), e.Package, one) })
	}
	all.Wait()
	won := -1
	for i, reply := range replies {
		switch {
		case reply.Err == nil && reply.Status >= 200 && reply.Status < 300:
			if won >= 0 {
				t.Errorf("%d and %d were both told that their bytes are %s", won, i, r.Version)
			}
			won = i
		default:
			h.Want("publish at once", reply, http.StatusConflict)
		}
	}
	if won < 0 {
		t.Fatal("none of fifty has published")
	}
	r.Variant = won
	h.shown("the winner's", e.Package, r)
	h.WantLog("fifty at once", "publish")
}

// withoutGrant: on every write path, whoever has not the right changes nothing, keeps nothing, and costs no upstream request.
func withoutGrant(t *testing.T, e Ecosystem) {
	for _, c := range []struct {
		who  string
		want int
	}{
		{"", http.StatusUnauthorized}, {Reader, http.StatusForbidden}, {Stranger, http.StatusForbidden}, {Elsewhere, http.StatusForbidden},
	} {
		h := New(t, e, claims(e))
		rs := e.releases()
		h.Want("publish as "+c.who, e.Publish(h.As(c.who), e.Package, rs[0]), c.want)
		if kept := h.Kept(); kept != 0 {
			t.Errorf("a refused publish as %q left %d blobs", c.who, kept)
		}
		h.WantLog("refused")
		h.absent("refused", e.Package, rs[0])

		h.Published("publish", e.Publish(h.As(Owner), e.Package, rs[0]))
		index := h.Good("index", h.Index(e.Package), nil)
		h.Want("a second version as "+c.who, e.Publish(h.As(c.who), e.Package, rs[1]), c.want)
		other := rs[0]
		other.Variant = 1
		h.Want("other bytes as "+c.who, e.Publish(h.As(c.who), e.Package, other), c.want)
		h.Want("the same bytes as "+c.who, e.Publish(h.As(c.who), e.Package, rs[0]), c.want)
		for what, write := range e.Writes {
			h.Want(what+" as "+c.who, write(h.As(c.who), e.Package, rs[0]), c.want)
		}
		h.WantLog("refused as "+c.who, "publish")
		h.Good("index after", h.Index(e.Package), index.Body)
		h.Good("file after", h.File(e.Package, rs[0]), e.Bytes(e.Package, rs[0]))
		if n := h.Up.Count("", ""); n != 0 {
			t.Errorf("refused as %q, it cost %d upstream requests: %v", c.who, n, h.Up.Requests(""))
		}
		if c.who == Elsewhere {
			h.Published("what is granted", e.Publish(h.As(c.who), e.Other, rs[0]))
		}
	}
}

func upstreamsName(t *testing.T, e Ecosystem) {
	h, rs := stocked(t, e)
	first := h.Good("index", h.Index(e.Package), nil)
	ours := rs[2]
	ours.Variant = 1
	h.Want("publish", e.Publish(h.As(Owner), e.Package, ours), http.StatusForbidden)
	h.Good("index after", h.Index(e.Package), first.Body)
	h.Good("file after", h.File(e.Package, rs[2]), e.Bytes(e.Package, rs[2]))
	h.WantLog("refused")
	c := h.Config("r", h.Up)
	c.Claims = []string{e.Claim}
	h.Configure(repo.Settings{}, c)
	h.Published("publish what is claimed", e.Publish(h.As(Owner), e.Package, ours))
	h.shown("claimed", e.Package, ours)
	h.absent("claimed: the upstream's", e.Package, rs[0])
}

// yank yanks a version as the pond's own interface does.
func yank(t *testing.T, h *House, who, pkg string, r Release, withdrawn bool) error {
	t.Helper()
	k := h.e.record(pkg, r)
	pkg, version := k.Package, k.Version
	return h.As(who).Repo().Amend(t.Context(), format.Amendment{
		Package: pkg, Version: version, Verb: "yank", Why: "it is broken",
		Edit: func(now *format.Hosting) error {
			v := now.Version(version)
			if v == nil {
				return &millpond.Error{Kind: millpond.NotFound, Why: "no such version"}
			}
			v.Yanked, v.YankedWhy = withdrawn, "it is broken"
			for i := range v.Files {
				v.Files[i].Yanked, v.Files[i].YankedWhy = withdrawn, v.YankedWhy
			}
			return nil
		},
	})
}

func yanked(t *testing.T, e Ecosystem) {
	h := New(t, e, claims(e))
	rs := e.releases()
	for _, r := range rs {
		h.Published("publish", e.Publish(h.As(Owner), e.Package, r))
	}
	withdrawn := e.Withdrawn
	if withdrawn == nil {
		withdrawn = func(index []byte, version string) bool { return !e.Lists(index, version) }
	}
	want := func(what string, yes bool) {
		t.Helper()
		index := h.Good(what, h.Index(e.Package), nil)
		if got := withdrawn(index.Body, rs[1].Version); got != yes {
			t.Errorf("%s: index shows %s as yanked: %v, want %v; got %s", what, rs[1].Version, got, yes, index)
		}
		if withdrawn(index.Body, rs[0].Version) {
			t.Errorf("%s: index shows %s as yanked; got %s", what, rs[0].Version, index)
		}
		h.Good(what+": file", h.File(e.Package, rs[1]), e.Bytes(e.Package, rs[1]))
	}
	want("before", false)
	if err := yank(t, h, Reader, e.Package, rs[1], true); !millpond.Is(err, millpond.Denied) {
		t.Errorf("yank as reader: got %v, want denied", err)
	}
	want("refused", false)
	if err := yank(t, h, Owner, e.Package, rs[1], true); err != nil {
		t.Fatal(err)
	}
	want("yanked", true)
	if err := yank(t, h, Owner, e.Package, rs[1], true); err != nil {
		t.Fatal(err)
	}
	h.Published("published again", e.Publish(h.As(Owner), e.Package, rs[1]))
	want("published again", true)
	if err := yank(t, h, Owner, e.Package, rs[1], false); err != nil {
		t.Fatal(err)
	}
	want("taken back", false)
	h.WantLog("yanked and taken back", "publish", "publish", "publish", "yank", "yank")
}

func oneEventEach(t *testing.T, e Ecosystem) {
	h := New(t, e, claims(e))
	rs := e.releases()
	for i, r := range rs {
		h.Published("publish", e.Publish(h.As(Owner), e.Package, r))
		for range 3 {
			h.shown("read", e.Package, r)
			h.Do("HEAD", "/r"+e.File(e.Package, r), nil)
			h.Pass(time.Hour)
		}
		log := h.Log()
		if len(log) != i+1 {
			t.Fatalf("after %d publishes there are %d events", i+1, len(log))
		}
		got := log[i]
		if got.Verb != "publish" || got.Name != Owner || got.Token != "token-of-"+Owner || got.Repository != "r" || got.Layer != "" ||
			got.Key.Package != e.record(e.Package, r).Package || got.Key.Version != e.record(e.Package, r).Version || got.Seq != int64(i+1) || got.Hash == (millpond.Digest{}) {
			t.Errorf("publish of %s %s: the event is %+v", e.Package, r.Version, got)
		}
	}
	if b, n, err := h.Catalog.Verify(t.Context(), nil); b != nil || n != int64(len(rs)) || err != nil {
		t.Errorf("verify the log: %+v of %d events, %v", b, n, err)
	}
}
