package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// house is a pond with one repository of images, in which only what a test says is set.
func house(t *testing.T, changes ...func(*repo.Config)) *formattest.House {
	plain := func(c *repo.Config) { c.Options = map[string]string{} }
	return formattest.New(t, ecosystem, append([]func(*repo.Config){plain}, changes...)...)
}

func claimed(c *repo.Config) { c.Claims = []string{"acme/*", "library/*"} }

func option(name, value string) func(*repo.Config) {
	return func(c *repo.Config) { c.Options[name] = value }
}

func unpublish(c *repo.Config) { c.Unpublish = true }

// code is the code of the first error of an answer.
func code(r formattest.Reply) string {
	var body struct {
		Errors []struct{ Code string }
	}
	if json.Unmarshal(r.Body, &body) != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].Code
}

func refused(t *testing.T, what string, r formattest.Reply, status int, want string) {
	t.Helper()
	if r.Status != status || r.Err != nil || want != "" && code(r) != want {
		t.Errorf("%s: got %s, want %d %s", what, r, status, want)
	}
}

func digestOf(t *testing.T, algorithm string, b []byte) string {
	t.Helper()
	h := millpond.NewHash(algorithm)
	h.Write(b)
	d, err := millpond.NewDigest(algorithm, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// begin opens an upload and returns its address.
func begin(t *testing.T, c formattest.Client, image string) string {
	t.Helper()
	r := c.Do("POST", root+image+"/blobs/uploads/", nil, nil)
	if r.Status != http.StatusAccepted || r.Header.Get("Location") == "" || r.Header.Get("Range") != "0-0" || r.Header.Get("Docker-Upload-Uuid") == "" {
		t.Fatalf("begin an upload: got %s, %v", r, r.Header)
	}
	return r.Header.Get("Location")
}

var release = formattest.Release{Version: "1.0.0", Published: formattest.Epoch().AddDate(0, -1, 0)}

func TestCase01Blob(t *testing.T) {
	h := house(t, claimed, unpublish)
	c := h.As(formattest.Owner)
	b := []byte("a blob")
	good := millpond.SHA256(b).String()
	for what, digest := range map[string]string{
		"of other bytes": millpond.SHA256([]byte("another")).String(), "in upper case": strings.ToUpper(good[:7]) + strings.ToUpper(good[7:]),
		"too short": good[:len(good)-1], "a path": "sha256:../../etc/passwd", "of an unknown algorithm": "sha3:00", "of a weak one": "md5:d41d8cd98f00b204e9800998ecf8427e", "none": "",
	} {
		at := begin(t, c, "acme/app")
		refused(t, "a digest "+what, c.At("PUT", at+"?digest="+url.QueryEscape(digest), nil, b), http.StatusBadRequest, codeDigestInvalid)
	}
	refused(t, "nothing is visible", c.Do("GET", root+"acme/app/blobs/"+good, nil, nil), http.StatusNotFound, codeBlobUnknown)
	h.WantLog("no publish")
	at := begin(t, c, "acme/app")
	h.Want("half of it", c.At("PATCH", at, nil, b[:3]), http.StatusAccepted)
	refused(t, "all of it, under another's digest", c.At("PUT", at+"?digest="+millpond.SHA256([]byte("another")).String(), nil, b[3:]), http.StatusBadRequest, codeDigestInvalid)
	if r := h.Want("the upload stays", c.At("GET", at, nil, nil), http.StatusNoContent); r.Header.Get("Range") != fmt.Sprintf("0-%d", len(b)-1) {
		t.Errorf("the upload stays: Range is %q", r.Header.Get("Range"))
	}
	h.Want("the right digest", c.At("PUT", at+"?digest="+good, nil, nil), http.StatusCreated)
	h.Good("the right digest", c.Do("GET", root+"acme/app/blobs/"+good, nil, nil), b)
	h.Want("delete it", c.Do("DELETE", root+"acme/app/blobs/"+good, nil, nil), http.StatusAccepted)

	long := digestOf(t, "sha512", b)
	at = begin(t, c, "acme/app")
	r := c.At("PUT", at+"?digest="+long, nil, b)
	if h.Want("sha512", r, http.StatusCreated); r.Header.Get("Docker-Content-Digest") != long || r.Header.Get("Location") != "/r/v2/acme/app/blobs/"+long {
		t.Errorf("sha512: got %v", r.Header)
	}
	for _, digest := range []string{long, good} {
		r := h.Good(digest, c.Do("GET", root+"acme/app/blobs/"+digest, nil, nil), b)
		if r.Header.Get("Docker-Content-Digest") != digest || r.Header.Get("Content-Type") != typeBlob {
			t.Errorf("%s: got %v", digest, r.Header)
		}
		head := c.Do("HEAD", root+"acme/app/blobs/"+digest, nil, nil)
		if head.Status != 200 || head.Header.Get("Content-Length") != fmt.Sprint(len(b)) || len(head.Body) != 0 {
			t.Errorf("HEAD %s: got %s %v", digest, head, head.Header)
		}
	}
	h.Want("sha512 mounted", c.Do("POST", root+"acme/other/blobs/uploads/?mount="+long+"&from=acme/app", nil, nil), http.StatusCreated)
	h.Good("the mounted one", c.Do("GET", root+"acme/other/blobs/"+long, nil, nil), b)
	m := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": object{"mediaType": typeConfig, "digest": long, "size": len(b)}, "layers": []any{}})
	name := digestOf(t, "sha512", m)
	r = pushManifest(c, "acme/app", name, typeManifest, m)
	if h.Want("a manifest by sha512", r, http.StatusCreated); r.Header.Get("Docker-Content-Digest") != name {
		t.Errorf("a manifest by sha512: got %v", r.Header)
	}
	h.Good("the manifest", c.Do("GET", root+"acme/app/manifests/"+name, nil, nil), m)
	refused(t, "a blob that a manifest needs", c.Do("DELETE", root+"acme/app/blobs/"+long, nil, nil), http.StatusMethodNotAllowed, codeUnsupported)
	h.Want("delete a manifest", c.Do("DELETE", root+"acme/app/manifests/"+name, nil, nil), http.StatusAccepted)
	h.Want("delete the blob", c.Do("DELETE", root+"acme/app/blobs/"+long, nil, nil), http.StatusAccepted)
	refused(t, "deleted", c.Do("GET", root+"acme/app/blobs/"+long, nil, nil), http.StatusNotFound, codeBlobUnknown)
	h.Want("pushed again", c.At("PUT", begin(t, c, "acme/app")+"?digest="+long, nil, b), http.StatusCreated)
	h.Good("and there again", c.Do("GET", root+"acme/app/blobs/"+long, nil, nil), b)
}

func TestCase02Chunks(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	b := []byte("0123456789abcdefghij")
	at := begin(t, c, "acme/app")
	patch := func(span string, part []byte) formattest.Reply {
		return c.At("PATCH", at, http.Header{"Content-Range": {span}}, part)
	}
	if r := h.Want("first", patch("0-4", b[:5]), http.StatusAccepted); r.Header.Get("Range") != "0-4" {
		t.Errorf("first: Range is %q", r.Header.Get("Range"))
	}
	for what, one := range map[string]struct {
		span string
		part []byte
	}{"a gap": {"6-9", b[6:10]}, "an overlap": {"4-9", b[4:10]}, "a repeat": {"0-4", b[:5]}, "no range": {"x", b[5:6]}, "a range backwards": {"5-4", nil}} {
		r := patch(one.span, one.part)
		refused(t, what, r, http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid)
		if r.Header.Get("Range") != "0-4" || r.Header.Get("Location") == "" {
			t.Errorf("%s: got %v, want to hear how far it is", what, r.Header)
		}
		s := c.At("GET", at, nil, nil)
		if h.Want("status after "+what, s, http.StatusNoContent); s.Header.Get("Range") != "0-4" || s.Header.Get("Location") != at {
			t.Errorf("status after %s: got %v", what, s.Header)
		}
	}
	refused(t, "fewer bytes than said", patch("5-9", b[5:7]), http.StatusBadRequest, codeSizeInvalid)
	h.Want("one byte", patch("5-5", b[5:6]), http.StatusAccepted)
	h.Restart()
	if s := h.Want("status after a restart", c.At("GET", at, nil, nil), http.StatusNoContent); s.Header.Get("Range") != "0-5" {
		t.Errorf("after a restart Range is %q", s.Header.Get("Range"))
	}
	h.Want("a stream without a range", c.At("PATCH", at, nil, b[6:15]), http.StatusAccepted)
	refused(t, "a last chunk out of order", c.At("PUT", at+"?digest="+millpond.SHA256(b).String(), http.Header{"Content-Range": {"16-19"}}, b[16:]), http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid)
	h.Want("the last chunk", c.At("PUT", at+"?digest="+millpond.SHA256(b).String(), http.Header{"Content-Range": {"15-19"}}, b[15:]), http.StatusCreated)
	h.Good("whole", c.Do("GET", root+"acme/app/blobs/"+millpond.SHA256(b).String(), nil, nil), b)
	for _, method := range []string{"PATCH", "GET", "DELETE"} {
		refused(t, method+" after PUT", c.At(method, at, nil, nil), http.StatusNotFound, codeUploadUnknown)
	}
	none := millpond.SHA256(nil).String()
	h.Want("a blob of no bytes", c.At("PUT", begin(t, c, "acme/app")+"?digest="+none, nil, nil), http.StatusCreated)
	h.Good("of no bytes", c.Do("GET", root+"acme/app/blobs/"+none, nil, nil), []byte{})
}

func TestCase03Uploads(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	at := begin(t, c, "acme/app")
	h.Want("some bytes", c.At("PATCH", at, nil, []byte("half of")), http.StatusAccepted)
	refused(t, "another image's", c.At("PATCH", strings.Replace(at, "acme/app", "acme/other", 1), nil, nil), http.StatusNotFound, codeUploadUnknown)
	refused(t, "another caller's", h.As(formattest.Elsewhere).At("PATCH", at, nil, nil), http.StatusNotFound, codeUploadUnknown)
	refused(t, "nobody's", c.At("PATCH", at+"X", nil, nil), http.StatusNotFound, codeUploadUnknown)
	up, err := c.Repo().Resume(t.Context(), at[strings.LastIndex(at, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "while another writes", c.At("PATCH", at, nil, []byte("x")), http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid)
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	h.Want("dropped", c.At("DELETE", at, nil, nil), http.StatusNoContent)
	refused(t, "after it was dropped", c.At("GET", at, nil, nil), http.StatusNotFound, codeUploadUnknown)
	last := ""
	for range 100 {
		last = begin(t, c, "acme/app")
	}
	refused(t, "one more than are kept", c.Do("POST", root+"acme/app/blobs/uploads/", nil, nil), http.StatusTooManyRequests, codeTooMany)
	h.Want("one fewer", c.At("DELETE", last, nil, nil), http.StatusNoContent)
	last = begin(t, c, "acme/app")
	h.Pass(25 * time.Hour)
	refused(t, "never finished", c.At("GET", last, nil, nil), http.StatusNotFound, codeUploadUnknown)
	begin(t, c, "acme/app")
}

func TestCase04Mount(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	b := []byte("a layer")
	digest := millpond.SHA256(b).String()
	h.Want("monolithic", c.Do("POST", root+"acme/app/blobs/uploads/?digest="+digest, nil, b), http.StatusCreated)
	refused(t, "monolithic, of other bytes", c.Do("POST", root+"acme/app/blobs/uploads/?digest="+digest, nil, []byte("x")), http.StatusBadRequest, codeDigestInvalid)
	second := h.Config("second")
	second.Options = map[string]string{}
	hidden := h.Config("hidden")
	hidden.Options, hidden.Public = map[string]string{}, false
	first := h.Config("r", h.Up)
	first.Options, first.Claims = map[string]string{}, []string{"acme/*"}
	h.Configure(repo.Settings{}, first, second, hidden)
	for what, one := range map[string]struct {
		at, query string
		want      int
	}{
		"of a sibling image":    {"/r/v2/acme/new", "?mount=" + digest + "&from=acme/app", 201},
		"across repositories":   {"/second/v2/team/app", "?mount=" + digest + "&from=r/acme/app", 201},
		"of its own image":      {"/r/v2/acme/app", "?mount=" + digest, 201},
		"from nowhere":          {"/r/v2/acme/third", "?mount=" + digest + "&from=acme/none", 202},
		"of what there is not":  {"/r/v2/acme/third", "?mount=" + millpond.SHA256([]byte("?")).String() + "&from=acme/app", 202},
		"from no repository":    {"/second/v2/team/x", "?mount=" + digest + "&from=nothing/acme/app", 202},
		"from a name of no use": {"/r/v2/acme/third", "?mount=" + digest + "&from=../..", 202},
	} {
		r := c.At("POST", one.at+"/blobs/uploads/"+one.query, nil, nil)
		h.Want("mount "+what, r, one.want)
		if one.want == 201 {
			h.Good("mounted "+what, c.At("GET", one.at+"/blobs/"+digest, nil, nil), b)
		}
	}
	refused(t, "mount of a bad digest", c.Do("POST", root+"acme/x/blobs/uploads/?mount=sha256:1&from=acme/app", nil, nil), http.StatusBadRequest, codeDigestInvalid)
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("mounts cost %d upstream requests", n)
	}
}

func TestCase05Manifest(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	refused(t, "blobs are missing", pushManifest(c, "acme/app", "1", typeManifest, manifestOf("acme/app", release)), http.StatusBadRequest, codeManifestBlobUnknown)
	h.Published("one of them", pushBlob(c, "acme/app", configOf("acme/app", release)))
	r := pushManifest(c, "acme/app", "1", typeManifest, manifestOf("acme/app", release))
	refused(t, "another is missing", r, http.StatusBadRequest, codeManifestBlobUnknown)
	if !bytes.Contains(r.Body, []byte(millpond.SHA256(layerOf("acme/app", release)).String())) {
		t.Errorf("it is not said which: %s", r)
	}
	h.Published("push", publishImage(c, "acme/app", release))
	m := manifestOf("acme/app", release)
	digest := millpond.SHA256(m).String()
	other := millpond.SHA256([]byte("x")).String()
	refused(t, "digest of other bytes", pushManifest(c, "acme/app", other, typeManifest, m), http.StatusBadRequest, codeDigestInvalid)
	byTag := h.Good("by tag", c.Do("GET", root+"acme/app/manifests/1.0.0", nil, nil), m)
	byDigest := h.Good("by digest", c.Do("GET", root+"acme/app/manifests/"+digest, nil, nil), m)
	for _, r := range []formattest.Reply{byTag, byDigest} {
		if r.Header.Get("Docker-Content-Digest") != digest || r.Header.Get("Content-Type") != typeManifest || r.Header.Get("Etag") == "" {
			t.Errorf("manifest: got %v", r.Header)
		}
	}
	h.Want("with its tag", c.Do("GET", root+"acme/app/manifests/1.0.0", http.Header{"If-None-Match": {byTag.Header.Get("Etag")}}, nil), http.StatusNotModified)
	odd := bytes.Replace(m, []byte(`{`), []byte(`{"x-unknown":{"a":[1,{"b":null}]},`), 1)
	h.Want("unknown fields", pushManifest(c, "acme/app", "odd", typeManifest+"; charset=utf-8", odd), http.StatusCreated)
	h.Good("unknown fields", c.Do("GET", root+"acme/app/manifests/odd", nil, nil), odd)
	for what, b := range map[string][]byte{
		"duplicate keys":      []byte(`{"schemaVersion":2,"schemaVersion":2}`),
		"depth":               []byte(strings.Repeat(`{"a":`, 80) + "1" + strings.Repeat("}", 80)),
		"no object":           []byte(`[]`),
		"two objects":         []byte(`{}{}`),
		"no JSON":             []byte(`<html>`),
		"nothing":             nil,
		"another media type":  []byte(`{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`),
		"layers that are odd": []byte(`{"layers":{"a":1}}`),
		"a layer of no name":  []byte(`{"layers":[{"digest":"x"}]}`),
		"a subject of none":   []byte(`{"layers":[],"subject":{"digest":"x"}}`),
	} {
		refused(t, what, pushManifest(c, "acme/app", "bad", typeManifest, b), http.StatusBadRequest, codeManifestInvalid)
	}
	pad := func(n int) []byte {
		b := bytes.Replace(m, []byte(`{`), []byte(`{"pad":"`+strings.Repeat("x", n-len(m)-9)+`",`), 1)
		return b
	}
	h.Want("4 MiB", pushManifest(c, "acme/app", "large", typeManifest, pad(mostManifest)), http.StatusCreated)
	h.Good("4 MiB", c.Do("GET", root+"acme/app/manifests/large", nil, nil), pad(mostManifest))
	refused(t, "4 MiB and one byte", pushManifest(c, "acme/app", "larger", typeManifest, pad(mostManifest+1)), http.StatusRequestEntityTooLarge, codeSizeInvalid)
}

func TestCase06OddManifests(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	h.Published("push", publishImage(c, "acme/app", release))
	config := describe(typeConfig, configOf("acme/app", release))
	none := []byte{}
	h.Published("an empty blob", pushBlob(c, "acme/app", none))
	gone := object{"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": millpond.SHA256([]byte("gone")).String(), "size": 4, "urls": []string{"https://upstream.example/x"}}
	absent := describe(typeManifest, []byte("absent"))
	for what, m := range map[string]object{
		"foreign layer":   {"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []any{gone}},
		"sparse index":    {"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{absent}},
		"absent subject":  {"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []any{}, "subject": absent},
		"empty layers":    {"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []any{}},
		"zero-byte blob":  {"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []any{describe("text/plain", none)}},
		"nested index":    {"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{describe(typeIndex, asJSON(object{"schemaVersion": 2}))}},
		"index, subject":  {"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}, "subject": absent},
		"any media type":  {"mediaType": "application/vnd.acme.thing+json", "a": 1},
		"artifact, bare":  {"schemaVersion": 2, "mediaType": typeManifest, "artifactType": "application/vnd.acme", "layers": []any{}},
		"docker schema 2": {"schemaVersion": 2, "mediaType": typeDocker, "config": config, "layers": []any{}},
	} {
		b := asJSON(m)
		kind := m["mediaType"].(string)
		tag := strings.NewReplacer(" ", "-", ",", "").Replace(what)
		r := h.Want(what, pushManifest(c, "acme/app", tag, kind, b), http.StatusCreated)
		if s, ok := m["subject"]; ok && r.Header.Get("OCI-Subject") != s.(object)["digest"] {
			t.Errorf("%s: OCI-Subject is %q", what, r.Header.Get("OCI-Subject"))
		}
		got := h.Good(what, c.Do("GET", root+"acme/app/manifests/"+tag, http.Header{"Accept": {typeManifest}}, nil), b)
		if got.Header.Get("Content-Type") != kind {
			t.Errorf("%s: Content-Type is %q, want %q", what, got.Header.Get("Content-Type"), kind)
		}
	}
}

func TestCase07Tags(t *testing.T) {
	h := house(t, claimed, option(optImmutable, "v* fixed"), unpublish)
	c := h.As(formattest.Owner)
	h.Published("push", publishImage(c, "acme/app", release))
	m := manifestOf("acme/app", release)
	digest := millpond.SHA256(m).String()
	query := url.Values{}
	for i := range 10 {
		query.Add("tag", fmt.Sprintf("t%d", i))
	}
	r := h.Want("ten tags", pushManifest(c, "acme/app", digest+"?"+query.Encode(), typeManifest, m), http.StatusCreated)
	if got := r.Header.Values("OCI-Tag"); len(got) != 10 {
		t.Errorf("ten tags: OCI-Tag is %q", got)
	}
	for i := range 10 {
		h.Good("tag", c.Do("GET", root+fmt.Sprintf("acme/app/manifests/t%d", i), nil, nil), m)
	}
	refused(t, "a bad tag among them", pushManifest(c, "acme/app", digest+"?tag=new1&tag=.bad", typeManifest, m), http.StatusBadRequest, codeManifestInvalid)
	refused(t, "none of them", c.Do("GET", root+"acme/app/manifests/new1", nil, nil), http.StatusNotFound, codeManifestUnknown)

	h.Want("immutable, first", pushManifest(c, "acme/app", "v1", typeManifest, m), http.StatusCreated)
	h.Want("immutable, the same", pushManifest(c, "acme/app", "v1", typeManifest, m), http.StatusCreated)
	other := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}})
	refused(t, "immutable, other bytes", pushManifest(c, "acme/app", "v1", typeIndex, other), http.StatusConflict, codeDenied)
	refused(t, "immutable, deleted", c.Do("DELETE", root+"acme/app/manifests/v1", nil, nil), http.StatusConflict, codeDenied)
	od := millpond.SHA256(other).String()
	refused(t, "all or none", pushManifest(c, "acme/app", od+"?tag=new2&tag=v1", typeIndex, other), http.StatusConflict, codeDenied)
	refused(t, "none of them", c.Do("GET", root+"acme/app/manifests/new2", nil, nil), http.StatusNotFound, "")
	h.Want("another moves", pushManifest(c, "acme/app", "t0", typeIndex, other), http.StatusCreated)
	h.Good("moved", c.Do("GET", root+"acme/app/manifests/t0", nil, nil), other)

	var all sync.WaitGroup
	replies := make([]formattest.Reply, 20)
	for i := range replies {
		all.Go(func() {
			if i%2 == 0 {
				replies[i] = pushManifest(c, "acme/app", "race", typeManifest, m)
			} else {
				replies[i] = c.Do("DELETE", root+"acme/app/manifests/race", nil, nil)
			}
		})
	}
	all.Wait()
	for i, r := range replies {
		if r.Err != nil || i%2 == 0 && r.Status != 201 || i%2 == 1 && r.Status != 202 && r.Status != 404 {
			t.Errorf("a race of moves and deletes: %d got %s", i, r)
		}
	}
	if r := c.Do("GET", root+"acme/app/manifests/race", nil, nil); r.Status != 404 && string(r.Body) != string(m) {
		t.Errorf("after the race: got %s", r)
	}
}

func TestCase07PublishersDoNotMove(t *testing.T) {
	h := house(t, claimed)
	h.Published("push", publishImage(h.As(formattest.Owner), "acme/app", release))
	h.Caller = repo.Caller{Actor: millpond.Actor{Name: "ci"}, Rights: formattest.Rights{{Verbs: []millpond.Verb{millpond.VerbRead, millpond.VerbPublish}}}}
	c := h.As("")
	other := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}})
	h.Want("a new tag", pushManifest(c, "acme/app", "2.0.0", typeIndex, other), http.StatusCreated)
	refused(t, "a tag that is there", pushManifest(c, "acme/app", "1.0.0", typeIndex, other), http.StatusForbidden, codeDenied)
	h.Good("it has not moved", c.Do("GET", root+"acme/app/manifests/1.0.0", nil, nil), manifestOf("acme/app", release))
	refused(t, "delete", c.Do("DELETE", root+"acme/app/manifests/1.0.0", nil, nil), http.StatusForbidden, codeDenied)
}

// descriptors are those of a list of referrers.
func descriptors(t *testing.T, r formattest.Reply) []descriptor {
	t.Helper()
	var list index
	if err := json.Unmarshal(r.Body, &list); err != nil || r.Status != 200 || r.Header.Get("Content-Type") != typeIndex || list.MediaType != typeIndex || list.Manifests == nil {
		t.Fatalf("a list of referrers: got %s %v", r, r.Header)
	}
	return list.Manifests
}

func TestCase08Referrers(t *testing.T) {
	h := house(t, claimed, unpublish)
	c := h.As(formattest.Owner)
	subject := millpond.SHA256(manifestOf("acme/app", release)).String()
	get := func(query string) formattest.Reply {
		return c.Do("GET", root+"acme/app/referrers/"+subject+query, nil, nil)
	}
	if got := descriptors(t, get("")); len(got) != 0 {
		t.Errorf("an unknown image has referrers %v", got)
	}
	refused(t, "a bad digest", c.Do("GET", root+"acme/app/referrers/sha256:x", nil, nil), http.StatusBadRequest, codeDigestInvalid)
	h.Published("empty config", pushBlob(c, "acme/app", []byte("{}")))
	refer := func(kind string) []byte {
		return asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "artifactType": kind, "config": describe("application/vnd.oci.empty.v1+json", []byte("{}")),
			"layers": []any{}, "subject": object{"mediaType": typeManifest, "digest": subject, "size": 1}, "annotations": object{"org.example.kind": kind}})
	}
	sig, sbom := refer("application/vnd.acme.sig"), refer("application/vnd.acme.sbom")
	list := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}, "subject": object{"mediaType": typeManifest, "digest": subject, "size": 1}})
	for _, b := range [][]byte{sig, sbom, list} { // before their subject
		kind := typeManifest
		if string(b) == string(list) {
			kind = typeIndex
		}
		h.Want("push a referrer", pushManifest(c, "acme/app", millpond.SHA256(b).String(), kind, b), http.StatusCreated)
	}
	h.Published("the subject", publishImage(c, "acme/app", release))
	all := descriptors(t, get(""))
	if len(all) != 3 {
		t.Fatalf("referrers are %v, want three", all)
	}
	for _, d := range all {
		if d.Digest == millpond.SHA256(sig).String() && (d.ArtifactType != "application/vnd.acme.sig" || d.Annotations["org.example.kind"] != d.ArtifactType || d.Size != int64(len(sig))) ||
			d.Digest == millpond.SHA256(list).String() && (d.ArtifactType != "" || d.MediaType != typeIndex) {
			t.Errorf("a referrer is %+v", d)
		}
	}
	some := get("?artifactType=application/vnd.acme.sbom")
	if got := descriptors(t, some); len(got) != 1 || got[0].Digest != millpond.SHA256(sbom).String() || some.Header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("filtered: got %v %v", got, some.Header)
	}
	hand := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{describe(typeManifest, []byte("by hand"))}})
	h.Want("a tag by hand", pushManifest(c, "acme/app", strings.Replace(subject, ":", "-", 1), typeIndex, hand), http.StatusCreated)
	if got := descriptors(t, get("")); len(got) != 3 {
		t.Errorf("a tag added referrers: %v", got)
	}
	h.Want("delete a referrer", c.Do("DELETE", root+"acme/app/manifests/"+millpond.SHA256(sig).String(), nil, nil), http.StatusAccepted)
	if got := descriptors(t, get("")); len(got) != 2 {
		t.Errorf("after a deletion: %v", got)
	}
	tags := h.Good("tags", c.Do("GET", root+"acme/app/tags/list", nil, nil), nil)
	if bytes.Contains(tags.Body, []byte("@")) {
		t.Errorf("edges are among the tags: %s", tags)
	}
}

func TestCase08ReferrersOfUpstream(t *testing.T) {
	h := house(t)
	subject := millpond.SHA256(manifestOf("acme/app", release)).String()
	d := describe(typeManifest, []byte("sig"))
	d["artifactType"] = "application/vnd.acme.sig"
	list := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{d}})
	h.Up.Put(root+"acme/app/referrers/"+subject, faulty.Object{Body: list, Type: typeIndex})
	h.Up.Put(root+"acme/old/manifests/"+strings.Replace(subject, ":", "-", 1), faulty.Object{Body: list, Type: typeIndex})
	for _, image := range []string{"acme/app", "acme/old"} {
		if got := descriptors(t, h.Get(root+image+"/referrers/"+subject)); len(got) != 1 || got[0].ArtifactType != "application/vnd.acme.sig" {
			t.Errorf("%s: got %v", image, got)
		}
	}
	if got := descriptors(t, h.Get(root+"acme/none/referrers/"+subject)); len(got) != 0 {
		t.Errorf("of nothing: got %v", got)
	}
	h.Up.Order("*", "always 500")
	h.Pass(time.Hour)
	if got := descriptors(t, h.Get(root+"acme/app/referrers/"+subject)); len(got) != 1 {
		t.Errorf("the upstream ill: got %v", got)
	}
	h.Want("the upstream ill, nothing kept", h.Get(root+"acme/new/referrers/"+subject), http.StatusServiceUnavailable)
}

func tagList(t *testing.T, r formattest.Reply) []string {
	t.Helper()
	var list struct {
		Name string
		Tags []string
	}
	if err := json.Unmarshal(r.Body, &list); err != nil || r.Status != 200 || list.Tags == nil {
		t.Fatalf("a list of tags: got %s", r)
	}
	return list.Tags
}

func TestCase09Pages(t *testing.T) {
	h := house(t, claimed)
	c := h.As(formattest.Owner)
	list := asJSON(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}})
	want := []string{"A", "B-1", "_x", "a", "a.b", "latest", "z9"}
	for _, tag := range []string{"latest", "a", "z9", "A", "a.b", "_x", "B-1"} {
		h.Want("push", pushManifest(c, "acme/app", tag, typeIndex, list), http.StatusCreated)
	}
	at := root + "acme/app/tags/list"
	if got := tagList(t, h.Get(at)); !slices.Equal(got, want) {
		t.Errorf("tags are %q, want %q", got, want)
	}
	none := h.Get(at + "?n=0")
	if got := tagList(t, none); len(got) != 0 || none.Header.Get("Link") != "" {
		t.Errorf("n=0: got %q, Link %q", got, none.Header.Get("Link"))
	}
	for _, n := range []int{1, 2, 3, 100} {
		var walked []string
		for next := fmt.Sprintf("/r%s?n=%d", at, n); next != ""; {
			r := h.Do("GET", next, nil)
			part := tagList(t, r)
			if len(part) > n {
				t.Fatalf("n=%d gave %q", n, part)
			}
			walked = append(walked, part...)
			next, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Link"), "<"), ">")
		}
		if !slices.Equal(walked, want) {
			t.Errorf("n=%d walked to %q, want %q", n, walked, want)
		}
	}
	if got := tagList(t, h.Get(at+"?last=a.a")); !slices.Equal(got, []string{"a.b", "latest", "z9"}) {
		t.Errorf("after what is not there: got %q", got)
	}
	h.Want("a bad number", h.Get(at+"?n=x"), http.StatusBadRequest)
	h.Want("a huge number", h.Get(at+"?n=99999999999999999999999"), http.StatusOK)
	refused(t, "an unknown image", h.Get(root+"acme/none/tags/list"), http.StatusNotFound, codeNameUnknown)
}

func TestCase09UpstreamPages(t *testing.T) {
	h := house(t)
	page := func(at string, link string, tags ...string) {
		o := faulty.Object{Body: asJSON(object{"name": "acme/app", "tags": tags}), Type: "application/json", Header: http.Header{}}
		if link != "" {
			o.Header.Set("Link", "<"+link+">; rel=\"next\"")
		}
		h.Up.Put(at, o)
	}
	page(root+"acme/app/tags/list", root+"acme/app/tags/more", "b", "a")
	page(root+"acme/app/tags/more", "http://elsewhere.example/x", "d", "c", "..")
	if got := tagList(t, h.Get(root+"acme/app/tags/list")); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("pages of an upstream: got %q", got)
	}
}

func TestCase09Delete(t *testing.T) {
	h := house(t, unpublish)
	c := h.As(formattest.Owner)
	h.Published("push", publishImage(c, "acme/app", release))
	m := manifestOf("acme/app", release)
	digest := millpond.SHA256(m).String()
	h.Want("a second tag", pushManifest(c, "acme/app", "second", typeManifest, m), http.StatusCreated)
	h.Want("delete a tag", c.Do("DELETE", root+"acme/app/manifests/second", nil, nil), http.StatusAccepted)
	refused(t, "the tag", h.Get(root+"acme/app/manifests/second"), http.StatusNotFound, codeManifestUnknown)
	h.Good("its manifest stays", h.Get(root+"acme/app/manifests/1.0.0"), m)
	for what, path := range map[string]string{
		"tag": "manifests/none", "manifest": "manifests/" + millpond.SHA256([]byte("x")).String(), "blob": "blobs/" + millpond.SHA256([]byte("x")).String(),
	} {
		h.Want("an absent "+what, c.Do("DELETE", root+"acme/app/"+path, nil, nil), http.StatusNotFound)
		h.Want("an absent "+what+" of an absent image", c.Do("DELETE", root+"acme/none/"+path, nil, nil), http.StatusNotFound)
	}
	h.Want("delete the manifest", c.Do("DELETE", root+"acme/app/manifests/"+digest, nil, nil), http.StatusAccepted)
	refused(t, "it", h.Get(root+"acme/app/manifests/"+digest), http.StatusNotFound, codeManifestUnknown)
	refused(t, "its tag", h.Get(root+"acme/app/manifests/1.0.0"), http.StatusNotFound, codeManifestUnknown)
	h.Pass(25 * time.Hour)
	refused(t, "its blobs", h.Get(root+"acme/app/blobs/"+millpond.SHA256(layerOf("acme/app", release)).String()), http.StatusNotFound, codeBlobUnknown)
	asked := h.Up.Count("", "")
	h.Published("pushed again", publishImage(c, "acme/app", release))
	h.Good("pushed again", h.Get(root+"acme/app/manifests/1.0.0"), m)
	if n := h.Up.Count("", ""); n != asked {
		t.Errorf("a name that was ours cost %d upstream requests", n-asked)
	}

	put(h.Up, "acme/theirs", release)
	theirs := millpond.SHA256(manifestOf("acme/theirs", release)).String()
	h.Good("read through", h.Get(root+"acme/theirs/manifests/1.0.0"), nil)
	h.Good("read through", h.Get(root+"acme/theirs/blobs/"+millpond.SHA256(layerOf("acme/theirs", release)).String()), nil)
	for _, path := range []string{"manifests/1.0.0", "manifests/" + theirs, "blobs/" + millpond.SHA256(layerOf("acme/theirs", release)).String()} {
		refused(t, "an upstream's "+path, c.Do("DELETE", root+"acme/theirs/"+path, nil, nil), http.StatusMethodNotAllowed, codeUnsupported)
	}
}

func TestEvents(t *testing.T) {
	h := house(t, claimed, unpublish)
	c := h.As(formattest.Owner)
	h.Published("push", publishImage(c, "acme/app", release))
	h.Published("the same again", publishImage(c, "acme/app", release))
	m := manifestOf("acme/app", release)
	h.Want("another tag", pushManifest(c, "acme/app", "latest", typeManifest, m), http.StatusCreated)
	h.Get(root + "acme/app/manifests/latest")
	h.Want("delete a tag", c.Do("DELETE", root+"acme/app/manifests/latest", nil, nil), http.StatusAccepted)
	h.Want("delete", c.Do("DELETE", root+"acme/app/manifests/"+millpond.SHA256(m).String(), nil, nil), http.StatusAccepted)
	h.WantLog("one event for each change", "publish", "move", "move", "delete")
	if e := h.Log()[0]; e.Key.Package != "acme/app" || e.Key.Version != millpond.SHA256(m).String() || e.Name != formattest.Owner || !bytes.Contains(e.Detail, []byte("1.0.0")) {
		t.Errorf("the event of a push is %+v %s", e, e.Detail)
	}
}
