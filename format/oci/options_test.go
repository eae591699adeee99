package oci

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestTagTTL: how long a tag stands without a look at its upstream depends on what it is called.
func TestTagTTL(t *testing.T) {
	h := house(t, option(optLasts, "v*=forever nightly=10s, x*=nonsense"))
	m := manifestOf("team/app", release)
	for _, tag := range []string{"v1", "nightly", "xyz", "latest"} {
		lay(h.Up, root+"team/app/manifests/"+tag, typeManifest, m)
		lay(h.Up, manifestPath("team/app", m), typeManifest, m)
	}
	ask := func() map[string]int {
		h.Up.Forget()
		got := map[string]int{}
		for _, tag := range []string{"v1", "nightly", "xyz", "latest"} {
			h.Good(tag, h.Get(root+"team/app/manifests/"+tag), m)
			got[tag] = h.Up.Count("HEAD", root+"team/app/manifests/"+tag)
		}
		return got
	}
	ask()
	for _, one := range []struct {
		after time.Duration
		want  map[string]int
	}{
		{5 * time.Second, map[string]int{"v1": 0, "nightly": 0, "xyz": 0, "latest": 0}},
		{10 * time.Second, map[string]int{"v1": 0, "nightly": 1, "xyz": 0, "latest": 0}},
		{50 * time.Second, map[string]int{"v1": 0, "nightly": 1, "xyz": 1, "latest": 1}},
		{1000 * time.Hour, map[string]int{"v1": 0, "nightly": 1, "xyz": 1, "latest": 1}},
	} {
		h.Pass(one.after)
		if got := ask(); fmt.Sprint(got) != fmt.Sprint(one.want) {
			t.Errorf("%s later: looked at %v times, want %v", one.after, got, one.want)
		}
	}
}

// TestPrefetch: the layers for the platforms that are named are there before anybody asks for them, and no others.
func TestPrefetch(t *testing.T) {
	h := house(t, option(optPrefetch, "linux/amd64 linux/arm64/v8"))
	var children []any
	layers := map[string][]byte{}
	for _, one := range []string{"linux/amd64/", "linux/arm64/v8", "linux/arm64/v7", "windows/amd64/"} {
		part := strings.Split(one, "/")
		layer := []byte("layer for " + one)
		layers[one] = layer
		config := fmt.Appendf(nil, `{"os":%q,"architecture":%q}`, part[0], one)
		lay(h.Up, blobPath("team/app", layer), typeBlob, layer)
		lay(h.Up, blobPath("team/app", config), typeBlob, config)
		m := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": describe(typeConfig, config), "layers": []any{describe("x/layer", layer)}})
		lay(h.Up, manifestPath("team/app", m), typeManifest, m)
		child := describe(typeManifest, m)
		child["platform"] = object{"os": part[0], "architecture": part[1], "variant": part[2]}
		children = append(children, child)
	}
	list := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": children})
	lay(h.Up, root+"team/app/manifests/1", typeIndex, list)
	lay(h.Up, manifestPath("team/app", list), typeIndex, list)
	for range 3 {
		h.Good("the index", h.Get(root+"team/app/manifests/1"), list)
	}
	if err := h.Pond.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := h.Up.Count("", "")
	h.Up.Order("*", "always 500")
	for one, layer := range layers {
		want := http.StatusOK
		if one == "linux/arm64/v7" || one == "windows/amd64/" {
			want = http.StatusServiceUnavailable
		}
		h.Want(one, h.Get(blobPath("team/app", layer)), want)
	}
	if want := 2 + 2*3; asked != want { // HEAD and GET of the index, two manifests with a configuration and a layer each
		t.Errorf("the upstream was asked %d times, want %d", asked, want)
	}
}

// TestHoldPrevious: a tag that has moved to what the rules hold back stands for what it stood for before.
func TestHoldPrevious(t *testing.T) {
	hold := formattest.Rules(t, map[string]any{"hold": "7d"})
	h := house(t, option(optCreated, "trust"), option(optHold, "previous"), hold)
	image := func(age time.Duration, variant int) []byte {
		r := formattest.Release{Version: "1.0.0", Published: h.Now().Add(-age), Variant: variant}
		put(h.Up, "team/app", r)
		return manifestOf("team/app", r)
	}
	get := func() formattest.Reply { return h.Get(root + "team/app/manifests/1.0.0") }
	first := image(30*24*time.Hour, 1)
	h.Good("an old one", get(), first)
	second := image(time.Hour, 2)
	h.Pass(time.Hour)
	r := h.Good("it has moved to a new one", get(), first)
	if got, want := r.Header.Get("Docker-Content-Digest"), millpond.SHA256(first).String(); got != want {
		t.Errorf("the digest is %s, want that of what came, %s", got, want)
	}
	h.Want("the new one by its digest", h.Get(manifestPath("team/app", second)), http.StatusForbidden)
	if tags := tagList(t, h.Get(root+"team/app/tags/list")); len(tags) != 1 {
		t.Errorf("tags are %q, want the one that can be had", tags)
	}
	third := image(time.Minute, 3)
	h.Pass(time.Hour)
	h.Good("and to a newer one", get(), first)
	h.Pass(7*24*time.Hour - 90*time.Minute)
	h.Good("when the hold of the second has run out", get(), second)
	h.Pass(3 * time.Hour)
	h.Good("and that of the third", get(), third)

	plain := h.Config("r", h.Up)
	plain.Options = map[string]string{optCreated: "trust"}
	hold(&plain)
	h.Configure(repo.Settings{}, plain)
	image(time.Minute, 4)
	h.Pass(2 * time.Minute)
	h.Want("without the option", get(), http.StatusForbidden)
}
