package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
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
	layers := make([]any, 100_000)
	for i := range layers {
		layers[i] = describe("x/layer", []byte("{}"))
	}
	many := asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "config": describe(typeConfig, configOf("acme/app", release)), "layers": layers})
	refused(t, "100,000 layers", pushManifest(c, "acme/app", "many", typeManifest, many), http.StatusRequestEntityTooLarge, codeSizeInvalid)
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
	refused(t, "immutable, deleted with its manifest", c.Do("DELETE", root+"acme/app/manifests/"+digest, nil, nil), http.StatusConflict, codeDenied)
	h.Good("it still stands", c.Do("GET", root+"acme/app/manifests/v1", nil, nil), m)
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
