package oci

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

func TestCase20Paths(t *testing.T) {
	good := map[string]Path{
		"/v2/":                                 {},
		"/v2/_catalog":                         {Kind: Catalog},
		"/v2/a/manifests/b":                    {Kind: Manifest, Image: "a", Tag: "b"},
		"/v2/a/manifests/b/manifests/c":        {Kind: Manifest, Image: "a/manifests/b", Tag: "c"},
		"/v2/blobs/uploads/blobs/uploads/":     {Kind: Uploads, Image: "blobs/uploads"},
		"/v2/blobs/uploads/tags/list":          {Kind: Tags, Image: "blobs/uploads"},
		"/v2/a/blobs/uploads/X1":               {Kind: Session, Image: "a", ID: "X1"},
		"/v2/a--b/c__d/e.f/manifests/sha256-x": {Kind: Manifest, Image: "a--b/c__d/e.f", Tag: "sha256-x"},
	}
	for text, want := range good {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
		if back := got.String(); err == nil && back != text {
			t.Errorf("%s came back as %s", text, back)
		}
	}
	d := "sha256:" + strings.Repeat("a", 64)
	if p, err := Parse("/v2/a/blobs/sha256%3A" + strings.Repeat("a", 64)); err != nil || p.Digest.String() != d {
		t.Errorf("an escaped colon: got %+v, %v", p, err)
	}
	for _, text := range []string{
		"/", "/v3/", "/v2", "/v2/a", "/v2//manifests/x", "/v2/../manifests/x", "/v2/a/../manifests/x", "/v2/%2e%2e%2fa/manifests/x", "/v2/a%2Fb/manifests/x", "/v2/A/manifests/x",
		"/v2/a\x00/manifests/x", "/v2/a%00/manifests/x", "/v2/-a/manifests/x", "/v2/a-/manifests/x", "/v2/a..b/manifests/x", "/v2/a___b/manifests/x", "/v2/a._b/manifests/x",
		"/v2/" + strings.Repeat("a", 256) + "/manifests/x", "/v2/a/manifests/" + strings.Repeat("a", 129), "/v2/a/manifests/.x", "/v2/a/manifests/x@" + d, "/v2/a/manifests/x:y",
		"/v2/a/blobs/sha256:..", "/v2/a/blobs/" + strings.Repeat("a", 64), "/v2/a/blobs/SHA256:" + strings.Repeat("a", 64), "/v2/a/referrers/x", "/v2/a/tags/x", "/v2/a/%zz/x",
	} {
		if p, err := Parse(text); err == nil && text != "/v2" {
			t.Errorf("%q is taken as %+v", text, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, one := range []string{"/v2/", "/v2/a/manifests/b", "/v2/a/b/blobs/uploads/", "/v2/a/blobs/sha256:" + strings.Repeat("0", 64), "/v2/a/%2e/x"} {
		f.Add(one)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil && p.Kind != Session || err == nil && again != p && p.Kind != Session {
			t.Errorf("%q is %+v, whose address %q is %+v, %v", text, p, p.String(), again, err)
		}
	})
}

func TestCase21Library(t *testing.T) {
	h := house(t, claimed, option(optLibrary, "true"))
	c := h.As(formattest.Owner)
	h.Published("push the short name", publishImage(c, "app", release))
	h.Good("by the long name", h.Get(root+"library/app/manifests/1.0.0"), manifestOf("app", release))
	h.Good("by the short name", h.Get(root+"app/manifests/1.0.0"), manifestOf("app", release))
	if e := h.Log()[0]; e.Key.Package != "library/app" {
		t.Errorf("it was published as %q", e.Key.Package)
	}
	put(h.Up, "library/theirs", release)
	h.Configure(repo.Settings{}, func() repo.Config {
		c := h.Config("r", h.Up)
		c.Options = map[string]string{optLibrary: "true"}
		return c
	}())
	h.Good("an upstream's by the short name", h.Get(root+"theirs/manifests/1.0.0"), manifestOf("library/theirs", release))
	h.Up.Forget()
	h.Good("and by the long one", h.Get(root+"library/theirs/manifests/1.0.0"), manifestOf("library/theirs", release))
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("the other spelling cost %d requests", n)
	}
}

func TestCase22Claim(t *testing.T) {
	h := house(t, claimed)
	put(h.Up, "acme/app", release)
	for _, path := range []string{"manifests/1.0.0", "manifests/" + millpond.SHA256(manifestOf("acme/app", release)).String(), "blobs/" + millpond.SHA256(layerOf("acme/app", release)).String(), "tags/list"} {
		for _, method := range []string{"GET", "HEAD"} {
			h.Want(method+" "+path, h.Do(method, "/r"+root+"acme/app/"+path, nil), http.StatusNotFound)
		}
	}
	descriptors(t, h.Get(root+"acme/app/referrers/"+millpond.SHA256(nil).String()))
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a claimed name cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
}

// TestCase22Union: where layers are united, a tag that is pushed here is ours, whatever an upstream has under it, now or later; its
// other tags are seen.
func TestCase22Union(t *testing.T) {
	h := house(t)
	put(h.Up, "acme/app", release)
	c := h.Config("r", h.Up)
	c.Options, c.Union, c.Claims = map[string]string{}, true, nil
	h.Configure(repo.Settings{}, c)
	if err := h.Pond.AddClaim(t.Context(), repo.Caller{Actor: millpond.Actor{Name: "owner"}, Rights: formattest.Rights{{Verbs: millpond.Verbs()}}},
		"r", "acme/app", "union", true); err != nil {
		t.Fatal(err)
	}
	ours := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}, "annotations": object{"of": "ours"}})
	for _, tag := range []string{"1.0.0", "ours"} {
		h.Published(tag, pushManifest(h.As(formattest.Owner), "acme/app", tag, typeIndex, ours))
	}
	later := formattest.Release{Version: "ours", Published: formattest.Epoch()}
	put(h.Up, "acme/app", release, later)
	h.Pass(time.Hour)
	for _, tag := range []string{"1.0.0", "ours"} {
		h.Good("our tag "+tag, h.Get(root+"acme/app/manifests/"+tag), ours)
	}
	theirs := manifestOf("acme/app", release)
	h.Good("theirs by its digest", h.Get(manifestPath("acme/app", theirs)), theirs)
}

func TestCase23Signing(t *testing.T) {
	sign := func(h *formattest.House) formattest.Reply {
		c := h.As(formattest.Owner)
		subject := millpond.SHA256(manifestOf("acme/theirs", release)).String()
		if r := pushBlob(c, "acme/theirs", []byte("{}")); r.Status != http.StatusCreated {
			return r
		}
		sig := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": describe("application/vnd.acme.sig", []byte("{}")), "layers": []any{},
			"subject": object{"mediaType": typeManifest, "digest": subject, "size": 1}})
		return pushManifest(c, "acme/theirs", strings.Replace(subject, ":", "-", 1)+".sig", typeManifest, sig)
	}
	h := house(t)
	put(h.Up, "acme/theirs", release)
	h.Good("read through", h.Get(root+"acme/theirs/manifests/1.0.0"), nil)
	refused(t, "under hide", sign(h), http.StatusForbidden, codeDenied)
	h.Good("its tags stay", h.Get(root+"acme/theirs/manifests/1.0.0"), nil)

	c := h.Config("r", h.Up)
	c.Options, c.Union, c.Claims = map[string]string{}, true, nil
	h.Configure(repo.Settings{}, c)
	if err := h.Pond.AddClaim(t.Context(), repo.Caller{Actor: millpond.Actor{Name: "owner"}, Rights: formattest.Rights{{Verbs: millpond.Verbs()}}},
		"r", "acme/theirs", "union", true); err != nil {
		t.Fatal(err)
	}
	h.Published("under union", sign(h))
	h.Good("its tags stay", h.Get(root+"acme/theirs/manifests/1.0.0"), manifestOf("acme/theirs", release))
	if tags := tagList(t, h.Get(root+"acme/theirs/tags/list")); len(tags) != 2 || !slices.Contains(tags, "1.0.0") {
		t.Errorf("tags are %q, want the upstream's and the signature's", tags)
	}
	if got := descriptors(t, h.Get(root+"acme/theirs/referrers/"+millpond.SHA256(manifestOf("acme/theirs", release)).String())); len(got) != 1 || got[0].ArtifactType != "application/vnd.acme.sig" {
		t.Errorf("referrers are %v", got)
	}
}

func TestCase24Hold(t *testing.T) {
	fresh := formattest.Release{Version: "2.0.0", Published: formattest.Epoch().AddDate(0, 0, -1)}
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}), func(c *repo.Config) { c.Options = map[string]string{optCreated: "trust"} })
	shared := []byte("a layer of both")
	image := func(r formattest.Release) []byte {
		config := configOf("acme/app", r)
		lay(h.Up, blobPath("acme/app", config), typeBlob, config)
		m := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": describe(typeConfig, config),
			"layers": []any{describe("x/layer", shared), describe("x/layer", layerOf("acme/app", r))}})
		lay(h.Up, manifestPath("acme/app", m), typeManifest, m)
		lay(h.Up, root+"acme/app/manifests/"+r.Version, typeManifest, m)
		lay(h.Up, blobPath("acme/app", layerOf("acme/app", r)), typeBlob, layerOf("acme/app", r))
		return m
	}
	lay(h.Up, blobPath("acme/app", shared), typeBlob, shared)
	old, held := image(release), image(fresh)
	list := asJSON(object{"name": "acme/app", "tags": []string{"1.0.0", "2.0.0"}})
	h.Up.Put(root+"acme/app/tags/list", faulty.Object{Body: list, Type: "application/json"})

	ofHeld := blobPath("acme/app", layerOf("acme/app", fresh))
	refused(t, "a blob that no known manifest needs", h.Get(ofHeld), http.StatusForbidden, codeDenied)
	for _, method := range []string{"GET", "HEAD"} {
		h.Want(method+" by tag", h.Do(method, "/r"+root+"acme/app/manifests/2.0.0", nil), http.StatusForbidden)
		h.Want(method+" by digest", h.Do(method, "/r"+manifestPath("acme/app", held), nil), http.StatusForbidden)
		h.Want(method+" of a blob", h.Do(method, "/r"+ofHeld, nil), http.StatusForbidden)
		h.Want(method+" of a blob that an allowed one may need", h.Do(method, "/r"+blobPath("acme/app", shared), nil), http.StatusForbidden)
	}
	if r := h.Get(root + "acme/app/manifests/2.0.0"); !bytes.Contains(r.Body, []byte("7 days")) {
		t.Errorf("the answer does not say how long: %s", r)
	}
	h.Good("the old one", h.Get(root+"acme/app/manifests/1.0.0"), old)
	h.Good("a layer of both", h.Get(blobPath("acme/app", shared)), shared)
	h.Good("its own layer", h.Get(blobPath("acme/app", layerOf("acme/app", release))), nil)
	h.Want("the other's", h.Get(ofHeld), http.StatusForbidden)
	if tags := tagList(t, h.Get(root+"acme/app/tags/list")); !slices.Equal(tags, []string{"1.0.0"}) {
		t.Errorf("tags are %q, want those that may be had", tags)
	}
	h.Pass(6*24*time.Hour + time.Minute)
	h.Good("when the hold has run out", h.Get(root+"acme/app/manifests/2.0.0"), held)
	h.Good("its layer", h.Get(ofHeld), nil)
	if tags := tagList(t, h.Get(root+"acme/app/tags/list")); len(tags) != 2 {
		t.Errorf("tags are %q, want both", tags)
	}
}

func TestCase24HostedHold(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	h.Published("push", publishImage(c, "acme/app", release))
	held := h.Config("r", h.Up)
	held.Options, held.Claims = map[string]string{}, []string{"acme/*"}
	formattest.Rules(t, map[string]any{"hold": "7d"})(&held)
	h.Configure(repo.Settings{}, held)
	h.Want("by tag", h.Get(root+"acme/app/manifests/1.0.0"), http.StatusForbidden)
	h.Want("its layer", h.Get(blobPath("acme/app", layerOf("acme/app", release))), http.StatusForbidden)
	h.Pass(8 * 24 * time.Hour)
	h.Good("by tag, later", h.Get(root+"acme/app/manifests/1.0.0"), nil)
	h.Good("its layer, later", h.Get(blobPath("acme/app", layerOf("acme/app", release))), nil)
}

func TestCase25Sweep(t *testing.T) {
	h := house(t, claimed, unpublish)
	c := h.As(formattest.Owner)
	layer, config := layerOf("acme/app", release), configOf("acme/app", release)
	h.Published("layer", pushBlob(c, "acme/app", layer))
	h.Pass(20 * time.Hour)
	h.Want("HEAD", h.Do("HEAD", "/r"+blobPath("acme/app", layer), nil), http.StatusOK) // renews it
	h.Pass(20 * time.Hour)
	sweep := func() {
		t.Helper()
		if _, err := h.Pond.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	h.Published("config", pushBlob(c, "acme/app", config))
	h.Want("its manifest", pushManifest(c, "acme/app", "1.0.0", typeManifest, manifestOf("acme/app", release)), http.StatusCreated)
	h.Pass(72 * time.Hour)
	sweep()
	h.Good("the layer", h.Get(blobPath("acme/app", layer)), layer)
	h.Published("an orphan", pushBlob(c, "acme/app", []byte("orphan")))
	h.Pass(25 * time.Hour)
	refused(t, "an orphan of yesterday", h.Get(blobPath("acme/app", []byte("orphan"))), http.StatusNotFound, codeBlobUnknown)
	sweep()
	h.Pass(25 * time.Hour)
	sweep()
	for d, err := range h.Blobs.List(t.Context(), millpond.Digest{}) {
		if err != nil {
			t.Fatal(err)
		}
		if d == millpond.SHA256([]byte("orphan")) {
			t.Error("the orphan was not swept")
		}
	}
	h.Good("the layer", h.Get(blobPath("acme/app", layer)), layer)
}

func TestCase30Prefix(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	for _, base := range []string{"/r/v2", "/v2/r"} {
		r := c.At("POST", base+"/acme/app/blobs/uploads/", nil, nil)
		at := r.Header.Get("Location")
		if !strings.HasPrefix(at, base+"/acme/app/blobs/uploads/") {
			t.Errorf("%s: Location is %q", base, at)
		}
		h.Want("as printed", c.At("DELETE", at, nil, nil), http.StatusNoContent)
		denied := h.Do("POST", base+"/acme/app/blobs/uploads/", nil)
		name := "acme/app"
		if base == "/v2/r" {
			name = "r/acme/app"
		}
		if got := denied.Header.Get("Www-Authenticate"); !strings.Contains(got, `realm="`+h.URL+`/-/token"`) || !strings.Contains(got, `scope="repository:`+name+`:pull,push"`) {
			t.Errorf("%s: the challenge is %q", base, got)
		}
	}
	conf := h.Config("r", h.Up)
	conf.Options, conf.Claims = map[string]string{}, []string{"acme/*"}
	h.Configure(repo.Settings{PublicURL: "https://pond.example/a/b/"}, conf)
	r := c.At("POST", "/v2/r/acme/app/blobs/uploads/", nil, nil)
	if at := r.Header.Get("Location"); !strings.HasPrefix(at, "/a/b/v2/r/acme/app/blobs/uploads/") {
		t.Errorf("behind a front server that cuts its path: Location is %q", at)
	}
}
