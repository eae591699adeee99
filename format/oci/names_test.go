package oci

import (
	"net/http"
	"slices"
	"testing"

	"millpond/fetch/faulty"
	"millpond/repo"
)

// TestUpstreamsHearTheirOwnNamesOnly: an upstream with names is asked about those and no others, on no route.
func TestUpstreamsHearTheirOwnNamesOnly(t *testing.T) {
	h := house(t)
	second := faulty.New(t)
	for _, up := range []*faulty.Server{h.Up, second} {
		for _, image := range []string{"team/app", "base/app", "other/app"} {
			put(up, image, release)
		}
	}
	c := h.Config("r", h.Up, second)
	c.Options = map[string]string{}
	c.Upstreams[0].Names, c.Upstreams[1].Names = []string{"team/*"}, []string{"base/*"}
	h.Configure(repo.Settings{}, c)
	for _, one := range []struct {
		image         string
		status        int
		first, second bool
	}{{"team/app", 200, true, false}, {"base/app", 200, false, true}, {"other/app", 404, false, false}} {
		h.Up.Forget()
		second.Forget()
		for _, path := range []string{"manifests/1.0.0", "tags/list"} {
			h.Want(one.image+" "+path, h.Get(root+one.image+"/"+path), one.status)
		}
		h.Want(one.image+", a blob", h.Get(blobPath(one.image, layerOf(one.image, release))), one.status)
		h.Want(one.image+", a manifest by digest", h.Get(manifestPath(one.image, manifestOf(one.image, release))), one.status)
		h.Want(one.image+", referrers", h.Get(root+one.image+"/referrers/"+digestOf(t, "sha256", nil)), http.StatusOK)
		if got := h.Up.Count("", "") > 0; got != one.first {
			t.Errorf("%s: the first upstream heard of it: %t", one.image, got)
		}
		if got := second.Count("", "") > 0; got != one.second {
			t.Errorf("%s: the second upstream heard of it: %t", one.image, got)
		}
	}
	if got := h.Get(root + "other/app/tags/list"); code(got) != codeNameUnknown {
		t.Errorf("a name that nobody is asked about: got %s", got)
	}
	var names []string
	for c, err := range h.As("").Repo().Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, c.Name)
	}
	if !slices.Equal(names, []string{"base/app", "team/app"}) {
		t.Errorf("names are %q", names)
	}
	c.Upstreams[0].Names = []string{"else/*"}
	h.Configure(repo.Settings{}, c)
	names = nil
	for c, err := range h.As("").Repo().Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, c.Name)
	}
	if !slices.Equal(names, []string{"base/app"}) {
		t.Errorf("names are %q, when the first upstream is asked about no such name any more", names)
	}
}
