package oci

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
)

// TestCase29AnotherPond: a pond that reads through another one gets from it what it would get from the registry itself, hosted or
// read through there, and serves on when it is gone.
func TestCase29AnotherPond(t *testing.T) {
	far, near := house(t, claimed), house(t)
	far.Published("hosted at the far one", publishImage(far.As(formattest.Owner), "acme/app", release))
	put(far.Up, "team/app", release)
	c := near.Config("r", near.Up)
	c.Options = map[string]string{}
	at, err := url.Parse(far.URL + "/v2/r/")
	if err != nil {
		t.Fatal(err)
	}
	c.Upstreams[0].URL = at
	near.Configure(repo.Settings{}, c)
	for _, image := range []string{"acme/app", "team/app"} {
		layer, m := layerOf(image, release), manifestOf(image, release)
		// As caches do that look before they ask: what is not held is answered right all the same.
		head := near.Do("HEAD", "/r"+blobPath(image, layer), nil)
		if near.Want("HEAD of a cold blob", head, http.StatusOK); head.Header.Get("Content-Length") != fmt.Sprint(len(layer)) {
			t.Errorf("HEAD of a cold blob of %s: Content-Length is %q, want %d", image, head.Header.Get("Content-Length"), len(layer))
		}
		near.Good("by tag", near.Get(root+image+"/manifests/1.0.0"), m)
		near.Good("by digest", near.Get(manifestPath(image, m)), m)
		near.Good("a layer", near.Get(blobPath(image, layer)), layer)
		if tags := tagList(t, near.Get(root+image+"/tags/list")); len(tags) != 1 {
			t.Errorf("tags of %s are %q", image, tags)
		}
		descriptors(t, near.Get(root+image+"/referrers/"+digestOf(t, "sha256", m)))
	}
	c.Upstreams[0].URL, err = url.Parse("http://127.0.0.1:1/v2/r/")
	if err != nil {
		t.Fatal(err)
	}
	near.Configure(repo.Settings{}, c)
	near.Pass(time.Hour)
	for _, image := range []string{"acme/app", "team/app"} {
		near.Good("by tag, cut off", near.Get(root+image+"/manifests/1.0.0"), manifestOf(image, release))
		near.Good("a layer, cut off", near.Get(blobPath(image, layerOf(image, release))), layerOf(image, release))
		near.Want("what is not held, cut off", near.Get(blobPath(image, configOf(image, release))), http.StatusServiceUnavailable)
	}
}
