package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"millpond/format"
)

func TestPublishAndRead(t *testing.T) {
	for _, first := range []bool{false, true} {
		p := newPress(t)
		j := newJob("@acme/new", "1.0.0")
		j.first = first
		p.put(201, "pub-token", j)
		p.put(200, "pub-token", j) // npm repeats a PUT whose answer was lost
		for _, accept := range []string{"*/*", corgi} {
			doc := p.doc("@acme%2fnew", "Accept", accept)
			for _, c := range []struct {
				path []string
				want string
			}{
				{[]string{"name"}, `"@acme/new"`},
				{[]string{"dist-tags"}, `{"latest":"1.0.0"}`},
				{[]string{"time", "1.0.0"}, `"2026-11-21T12:00:00.000Z"`},
				{[]string{"versions", "1.0.0", "dist", "tarball"}, `"` + p.url + `@acme/new/-/new-1.0.0.tgz"`},
				{[]string{"versions", "1.0.0", "dist", "fileCount"}, "2"},
				{[]string{"versions", "1.0.0", "readme"}, ""},
			} {
				if got := at(doc, c.path...); got != c.want {
					t.Errorf("attachments first %v, Accept %s: %v: got %s, want %s", first, accept, c.path, got, c.want)
				}
			}
			if got := at(doc, "readme"); accept == "*/*" && got != `"# of the manifest"` {
				t.Errorf("readme: got %s", got)
			}
		}
		if got := p.want(200, "", "GET", "@acme/new/-/new-1.0.0.tgz", nil); got != string(j.tgz) {
			t.Errorf("the tarball is not what was published: %d bytes, want %d", len(got), len(j.tgz))
		}
		if got := at(object(t, []byte(p.want(200, "", "GET", "@acme%2fnew/latest", nil))), "version"); got != `"1.0.0"` {
			t.Errorf("manifest of latest: got version %s", got)
		}
		if asked := p.up.Requests(""); len(asked) > 0 {
			t.Errorf("the upstream was asked %d times about a claimed name", len(asked))
		}
	}
}

func TestCase07PublishIsRefused(t *testing.T) {
	p := newPress(t)
	good := newJob("@acme/new", "1.0.0")
	p.put(401, "", good)
	p.put(403, "reader-token", good)
	putPackage(p.up, "left-pad", releaseOf("1.0.0"))
	p.want(200, "", "GET", "left-pad", nil)
	p.put(403, "pub-token", newJob("left-pad", "9.9.9")) // a name of the upstream's
	p.put(400, "pub-token", newJob("Upper", "1.0.0"))
	p.put(400, "pub-token", newJob("fs", "1.0.0"))
	p.put(400, "pub-token", newJob("@acme/"+strings.Repeat("x", 209), "1.0.0"))

	for name, spoil := range map[string]func(*job){
		"another name in the body":       func(j *job) { j.doc["name"] = "@acme/other" },
		"another _id":                    func(j *job) { j.doc["_id"] = "@acme/other" },
		"another name in the tarball":    func(j *job) { j.tgz = tarball("@acme/other", releaseOf("1.0.0")) },
		"another version in the tarball": func(j *job) { j.tgz = tarball("@acme/new", releaseOf("1.0.1")) },
		"another name in the manifest":   func(j *job) { j.manifest["name"] = "@acme/other" },
		"another version in it":          func(j *job) { j.manifest["version"] = "1.0.1" },
		"a name but for case":            func(j *job) { j.manifest["Name"] = "@acme/other" },
		"a body's name but for case":     func(j *job) { j.doc["Versions"] = map[string]any{} },
		"no semver": func(j *job) {
			j.version, j.tgz = "1.0", tarball("@acme/new", releaseOf("1.0"))
		},
		"__proto__": func(j *job) {
			j.version, j.tgz = "__proto__", tarball("@acme/new", releaseOf("__proto__"))
		},
		"a tag that is a version": func(j *job) { j.tags = map[string]string{"2.0.0": "1.0.0"} },
		"a tag that is a range":   func(j *job) { j.tags = map[string]string{"1.x": "1.0.0"} },
		"another integrity": func(j *job) {
			j.manifest["dist"] = map[string]any{"integrity": "sha512-" + strings.Repeat("A", 86) + "=="}
		},
		"another shasum":                func(j *job) { j.manifest["dist"] = map[string]any{"shasum": strings.Repeat("0", 40)} },
		"an integrity that is none":     func(j *job) { j.manifest["dist"] = map[string]any{"integrity": "none"} },
		"a script that the tgz has not": func(j *job) { j.manifest["scripts"] = map[string]any{"postinstall": "evil"} },
		"a script only in the tgz": func(j *job) {
			j.tgz = pack(entry{name: "package/package.json", text: `{"name":"@acme/new","version":"1.0.0","scripts":{"install":"evil"}}`})
		},
		"a dependency the tgz has not": func(j *job) { j.manifest["dependencies"] = map[string]any{"left-pad": "1.0.0"} },
		"no gzip":                      func(j *job) { j.tgz = []byte("not a tarball") },
		"a cut tarball":                func(j *job) { j.tgz = j.tgz[:len(j.tgz)-20] },
		"no package.json":              func(j *job) { j.tgz = pack(entry{name: "package/x", text: "x"}) },
		"no attachment but a sigstore": func(j *job) {
			j.doc["_attachments"] = map[string]any{"x.sigstore": map[string]any{"data": "{}"}}
		},
		"two tarballs": func(j *job) {
			one := map[string]any{"data": base64.StdEncoding.EncodeToString(j.tgz)}
			j.doc["_attachments"] = map[string]any{"a.tgz": one, "b.tgz": one}
		},
		"a wrong length": func(j *job) {
			j.doc["_attachments"] = map[string]any{"a.tgz": map[string]any{"data": base64.StdEncoding.EncodeToString(j.tgz), "length": 7}}
		},
		"no base64": func(j *job) {
			j.doc["_attachments"] = map[string]any{"a.tgz": map[string]any{"data": "***not base64***"}}
		},
		"base64 that goes on after its end": func(j *job) {
			j.doc["_attachments"] = map[string]any{"a.tgz": map[string]any{"data": base64.StdEncoding.EncodeToString(j.tgz[:7]) + "AAAA"}}
		},
	} {
		j := newJob("@acme/new", "1.0.0")
		spoil(j)
		if status, text := p.ask("pub-token", "PUT", "@acme%2fnew", j.body()); status != 400 || !json.Valid([]byte(text)) {
			t.Errorf("%s: got %d %.300s, want 400", name, status, text)
		}
	}
	for _, raw := range []string{"", "{", "[]", `"x"`, `{"name":"@acme/new","name":"@acme/new"}`, strings.Repeat("[", 20_000), `{"_attachments":{"a":{"data":"AAAA`} {
		if status, text := p.ask("pub-token", "PUT", "@acme%2fnew", []byte(raw)); status != 400 {
			t.Errorf("body %.60q: got %d %.200s, want 400", raw, status, text)
		}
	}
	p.want(413, "pub-token", "PUT", "@acme%2fnew", []byte(`{"readme":"`+strings.Repeat("x", largestRest)+`"}`))
	p.want(404, "ada-token", "GET", "@acme%2fnew", nil)
	p.put(201, "pub-token", good)
}

func TestCase07And21PublishedNumbersStayTaken(t *testing.T) {
	p := newPress(t)
	p.put(201, "pub-token", newJob("@acme/new", "1.0.0"))
	other := newJob("@acme/new", "1.0.0")
	release := releaseOf("1.0.0")
	release.Variant = 1
	other.tgz = tarball("@acme/new", release)
	if text := p.put(409, "pub-token", other); !strings.Contains(text, "published by pub on 21 November 2026") {
		t.Errorf("the conflict says %s", text)
	}
	build := newJob("@acme/new", "1.0.0+build")
	p.put(400, "pub-token", build)
	p.put(201, "pub-token", newJob("@acme/new", "1.0.1+build"))
	p.put(400, "pub-token", newJob("@acme/new", "1.0.1"))

	rev := strings.Trim(at(p.doc("@acme%2fnew?write=true"), "_rev"), `"`)
	p.want(200, "ada-token", "DELETE", "@acme%2fnew/-rev/"+rev, nil)
	p.want(404, "ada-token", "GET", "@acme%2fnew", nil)
	p.want(404, "ada-token", "GET", "@acme%2fnew?write=true", nil)
	p.put(409, "pub-token", newJob("@acme/new", "1.0.0"))
}

func TestCase05RacingPublishesOfOneVersion(t *testing.T) {
	p := newPress(t)
	for round := range 20 {
		statuses := make(chan int, 4)
		version := fmt.Sprintf("1.0.%d", round)
		for i := range 4 {
			j := newJob("@acme/race", version)
			release := releaseOf(version)
			release.Variant = i + 1
			j.tgz = tarball("@acme/race", release)
			go func() {
				status, _ := p.ask("pub-token", "PUT", "@acme%2frace", j.body())
				statuses <- status
			}()
		}
		count := map[int]int{}
		for range 4 {
			count[<-statuses]++
		}
		if count[201] != 1 || count[409] != 3 {
			t.Errorf("round %d: got %v, want 201 once and 409 three times", round, count)
		}
		doc := p.doc("@acme%2frace")
		body := p.want(200, "", "GET", "@acme/race/-/race-"+version+".tgz", nil)
		sum := sha512.Sum512([]byte(body))
		if got, want := at(doc, "versions", version, "dist", "integrity"), `"sha512-`+base64.StdEncoding.EncodeToString(sum[:])+`"`; got != want {
			t.Errorf("round %d: the manifest has %s, and the tarball %s", round, got, want)
		}
	}
}

func TestTagsOfAPublish(t *testing.T) {
	p := newPress(t)
	j := newJob("@acme/new", "2.0.0-beta.1")
	j.tags = map[string]string{"beta": "2.0.0-beta.1", "other": "1.0.0"}
	p.put(201, "pub-token", j)
	if got := at(p.doc("@acme%2fnew"), "dist-tags"); got != `{"beta":"2.0.0-beta.1","latest":"2.0.0-beta.1"}` {
		t.Errorf("after the first publish: got %s", got)
	}
	j = newJob("@acme/new", "2.0.0-beta.2")
	j.tags = map[string]string{"beta": "2.0.0-beta.2"}
	p.put(201, "pub-token", j)
	if got := at(p.doc("@acme%2fnew"), "dist-tags"); got != `{"beta":"2.0.0-beta.2","latest":"2.0.0-beta.1"}` {
		t.Errorf("after the second: got %s", got)
	}
	tags := "-/package/@acme%2fnew/dist-tags"
	p.want(201, "pub-token", "PUT", tags+"/next", []byte(`"2.0.0-beta.1"`))
	p.want(403, "pub-token", "PUT", tags+"/next", []byte(`"2.0.0-beta.2"`)) // to move one takes another right
	p.want(201, "ada-token", "POST", tags+"/next", []byte(`"2.0.0-beta.2"`))
	p.want(404, "ada-token", "PUT", tags+"/next", []byte(`"3.0.0"`))
	p.want(400, "ada-token", "PUT", tags+"/1.x", []byte(`"2.0.0-beta.2"`))
	p.want(400, "ada-token", "PUT", tags+"/next", []byte(`next`))
	p.want(400, "ada-token", "DELETE", tags+"/latest", nil)
	p.want(200, "ada-token", "DELETE", tags+"/next", nil)
	p.want(404, "ada-token", "DELETE", tags+"/next", nil)
	p.want(201, "ada-token", "PUT", tags, []byte(`{"gamma":"2.0.0-beta.1"}`))
	if got := p.want(200, "", "GET", tags, nil); strings.TrimSpace(got) != `{"gamma":"2.0.0-beta.1","latest":"2.0.0-beta.1"}` {
		t.Errorf("after all: got %s", got)
	}
}

func TestEditChangesDeprecationAlone(t *testing.T) {
	p := newPress(t)
	p.put(201, "pub-token", newJob("@acme/new", "1.0.0"))
	p.put(201, "pub-token", newJob("@acme/new", "1.1.0"))
	p.want(403, "reader-token", "GET", "@acme%2fnew?write=true", nil)
	doc := p.doc("@acme%2fnew?write=true")
	versions := doc["versions"].(map[string]any)
	versions["1.0.0"].(map[string]any)["deprecated"] = "use 1.1.0"
	delete(versions, "1.1.0") // it is not deleted by that
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	p.want(403, "pub-token", "PUT", "@acme%2fnew", text)
	p.want(200, "ada-token", "PUT", "@acme%2fnew", text)
	for _, accept := range []string{"*/*", corgi} {
		now := p.doc("@acme%2fnew", "Accept", accept)
		if got := at(now, "versions", "1.0.0", "deprecated"); got != `"use 1.1.0"` {
			t.Errorf("%s: deprecated: got %s", accept, got)
		}
		if got := at(now, "versions", "1.1.0", "version"); got != `"1.1.0"` {
			t.Errorf("%s: 1.1.0 is gone", accept)
		}
	}
	p.want(409, "ada-token", "PUT", "@acme%2fnew", text) // its revision is an old one
	doc = p.doc("@acme%2fnew?write=true")
	doc["versions"].(map[string]any)["1.0.0"].(map[string]any)["deprecated"] = ""
	doc["maintainers"] = []any{map[string]any{"name": "ada"}}
	if text, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	p.want(200, "ada-token", "PUT", "@acme%2fnew", text)
	now := p.doc("@acme%2fnew")
	if got := at(now, "versions", "1.0.0", "deprecated"); got != "" {
		t.Errorf("deprecated, taken back: got %s", got)
	}
	if got := at(now, "maintainers"); got != `[{"name":"ada"}]` {
		t.Errorf("maintainers: got %s", got)
	}
}

// TestYankIsShownAsDeprecation: what the pond's own interface yanks, npm deprecates; and npm can take it back.
func TestYankIsShownAsDeprecation(t *testing.T) {
	p := newPress(t)
	p.put(201, "pub-token", newJob("@acme/new", "1.0.0"))
	err := p.as("ada-token").Amend(t.Context(), format.Amendment{Package: "@acme/new", Version: "1.0.0", Verb: "yank", Edit: func(now *format.Hosting) error {
		now.Versions[0].Yanked = true
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	doc := p.doc("@acme%2fnew?write=true")
	if got := at(doc, "versions", "1.0.0", "deprecated"); got != `"this version was yanked"` {
		t.Errorf("yanked without words: deprecated is %s", got)
	}
	p.want(200, "ada-token", "PUT", "@acme%2fnew", mustJSON(doc)) // what npm sends back of what it was given changes nothing
	hosting, err := p.as("ada-token").Hosted(t.Context(), "@acme/new")
	if err != nil || !hosting.Versions[0].Yanked || strings.Contains(string(hosting.Versions[0].Meta), "deprecated") {
		t.Errorf("after an edit that says nothing new: %+v, %v", hosting.Versions[0], err)
	}
	doc = p.doc("@acme%2fnew?write=true")
	doc["versions"].(map[string]any)["1.0.0"].(map[string]any)["deprecated"] = ""
	p.want(200, "ada-token", "PUT", "@acme%2fnew", mustJSON(doc))
	if got := at(p.doc("@acme%2fnew"), "versions", "1.0.0", "deprecated"); got != "" {
		t.Errorf("taken back with npm: deprecated is %s", got)
	}
}

func TestCase06ShrinkWantsTheRevision(t *testing.T) {
	p := newPress(t)
	for _, version := range []string{"1.0.0", "1.1.0", "2.0.0"} {
		p.put(201, "pub-token", newJob("@acme/new", version))
	}
	p.want(409, "ada-token", "PUT", "@acme%2fnew/-rev/0-stale", []byte(`{"name":"@acme/new","versions":{}}`))
	p.want(409, "ada-token", "DELETE", "@acme%2fnew/-rev/0-stale", nil)
	doc := p.doc("@acme%2fnew?write=true")
	rev := doc["_rev"].(string)
	delete(doc["versions"].(map[string]any), "2.0.0")
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	p.want(403, "pub-token", "PUT", "@acme%2fnew/-rev/"+rev, text)
	// npm owner sends no versions at all: nothing is deleted by that
	p.want(200, "ada-token", "PUT", "@acme%2fnew/-rev/"+rev, []byte(`{"_id":"@acme/new"}`))
	p.want(200, "ada-token", "PUT", "@acme%2fnew/-rev/"+rev, text)
	p.want(404, "ada-token", "GET", "@acme%2fnew/2.0.0", nil)
	doc = p.doc("@acme%2fnew?write=true")
	if got := at(doc, "dist-tags", "latest"); got != `"1.1.0"` {
		t.Errorf("latest, its version deleted: got %s, want 1.1.0", got)
	}
	p.want(200, "ada-token", "DELETE", "@acme/new/-/new-2.0.0.tgz/-rev/"+doc["_rev"].(string), nil) // gone already
	p.want(404, "ada-token", "DELETE", "@acme/new/-/new-7.0.0.tgz/-rev/"+doc["_rev"].(string), nil)
	p.want(409, "ada-token", "DELETE", "@acme/new/-/new-1.1.0.tgz/-rev/"+rev, nil)
	p.want(200, "ada-token", "DELETE", "@acme/new/-/new-1.1.0.tgz/-rev/"+doc["_rev"].(string), nil)
	if got := at(p.doc("@acme%2fnew"), "dist-tags", "latest"); got != `"1.0.0"` {
		t.Errorf("latest, its file dropped: got %s, want 1.0.0", got)
	}
}

func TestUnionOfHostedAndUpstream(t *testing.T) {
	p := newPress(t)
	putPackage(p.up, "@acme/x", releaseOf("1.0.0"), releaseOf("3.0.0"))
	p.put(201, "pub-token", newJob("@acme/x", "2.0.0"))
	if got := sortedKeys(p.doc("@acme%2fx")["versions"].(map[string]any)); fmt.Sprint(got) != "[2.0.0]" {
		t.Errorf("of a claimed name: got versions %v", got)
	}

	p.put(201, "pub-token", newJob("shared", "2.0.0"))
	putPackage(p.up, "shared", releaseOf("1.0.0"), releaseOf("2.0.0"), releaseOf("3.0.0"))
	for _, accept := range []string{"*/*", corgi} {
		doc := p.doc("shared", "Accept", accept)
		if got := sortedKeys(doc["versions"].(map[string]any)); fmt.Sprint(got) != "[1.0.0 2.0.0 3.0.0]" {
			t.Errorf("%s: a union: got versions %v, want those of both", accept, got)
		}
		if got := at(doc, "dist-tags"); got != `{"latest":"2.0.0"}` {
			t.Errorf("%s: a union: got tags %s, want the hosted word", accept, got)
		}
		for _, version := range []string{"1.0.0", "2.0.0", "3.0.0"} {
			if got, want := at(doc, "versions", version, "dist", "tarball"), `"`+p.url+"shared/-/shared-"+version+`.tgz"`; got != want {
				t.Errorf("%s: %s: got tarball %s, want %s", accept, version, got, want)
			}
		}
		if got := at(doc, "versions", "2.0.0", "description"); accept == "*/*" && got != `"pressed"` {
			t.Errorf("2.0.0 is not the hosted one: %s", got)
		}
	}
}

func TestSignaturesVerifyAndKeysSayHow(t *testing.T) {
	p := newPress(t)
	p.want(404, "", "GET", "-/npm/v1/keys", nil) // nothing was signed, and the upstream has none
	p.put(201, "pub-token", newJob("@acme/new", "1.0.0"))
	version := p.doc("@acme%2fnew")["versions"].(map[string]any)["1.0.0"].(map[string]any)
	var dist struct {
		Integrity  string
		Signatures []struct{ Keyid, Sig string }
	}
	text, err := json.Marshal(version["dist"])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &dist); err != nil || len(dist.Signatures) != 1 {
		t.Fatalf("dist is %s, without one signature: %v", text, err)
	}
	p.up.Put(root+"-/npm/v1/keys", keysObject())
	var keys struct {
		Keys []struct{ Keyid, Key, Keytype, Scheme string }
	}
	if err := json.Unmarshal([]byte(p.want(200, "", "GET", "-/npm/v1/keys", nil)), &keys); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, k := range keys.Keys {
		if k.Keyid != dist.Signatures[0].Keyid {
			continue
		}
		found = true
		der, err := base64.StdEncoding.DecodeString(k.Key)
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := base64.StdEncoding.DecodeString(dist.Signatures[0].Sig)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte("@acme/new@1.0.0:" + dist.Integrity))
		if !ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), sum[:], sig) {
			t.Errorf("the signature of %s does not verify", "@acme/new@1.0.0:"+dist.Integrity)
		}
	}
	if !found {
		t.Errorf("no key %s among %+v", dist.Signatures[0].Keyid, keys.Keys)
	}
}

func TestAttestationsOfAPublish(t *testing.T) {
	p := newPress(t)
	j := newJob("@acme/new", "1.0.0")
	bundle := func(sum string) string {
		statement := fmt.Sprintf(`{"predicateType":"https://slsa.dev/provenance/v1","subject":[{"name":"pkg","digest":{"sha512":%q}}]}`, sum)
		return fmt.Sprintf(`{"dsseEnvelope":{"payload":%q}}`, base64.StdEncoding.EncodeToString([]byte(statement)))
	}
	j.bundle = bundle(strings.Repeat("0", 128))
	p.put(400, "pub-token", j)
	sum := sha512.Sum512(j.tgz)
	j.bundle = bundle(hex.EncodeToString(sum[:]))
	p.put(201, "pub-token", j)
	p.put(200, "pub-token", j)
	doc := p.doc("@acme%2fnew")
	at1 := at(doc, "versions", "1.0.0", "dist", "attestations", "url")
	if want := `"` + p.url + `-/npm/v1/attestations/@acme%2fnew@1.0.0"`; at1 != want {
		t.Errorf("attestations.url: got %s, want %s", at1, want)
	}
	if got := at(doc, "versions", "1.0.0", "dist", "tarball"); got != `"`+p.url+`@acme/new/-/new-1.0.0.tgz"` {
		t.Errorf("tarball: got %s", got)
	}
	var got struct {
		Attestations []struct {
			PredicateType string
			Bundle        json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(p.want(200, "", "GET", "-/npm/v1/attestations/@acme%2fnew@1.0.0", nil)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Attestations) != 1 || got.Attestations[0].PredicateType != "https://slsa.dev/provenance/v1" || string(got.Attestations[0].Bundle) != j.bundle {
		t.Errorf("attestations: got %+v, want the bundle %s", got, j.bundle)
	}
}

// An entry is one of a tarball that a test packs.
type entry struct {
	name, text, link string
	kind             byte
}

func pack(entries ...entry) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.text)), Typeflag: e.kind, Linkname: e.link}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func TestUnpackRefusesWhatDoesHarm(t *testing.T) {
	manifest := entry{name: "package/package.json", text: `{"name":"x","version":"1.0.0"}`}
	for name, c := range map[string]struct {
		entries []entry
		good    bool
	}{
		"a plain package":          {[]entry{manifest, {name: "package/lib/x.js", text: "x"}}, true},
		"another top folder":       {[]entry{{name: "x-1.0.0/package.json", text: manifest.text}}, true},
		"a link within":            {[]entry{manifest, {name: "package/a", kind: tar.TypeSymlink, link: "lib/b"}}, true},
		"folders":                  {[]entry{{name: "package/", kind: tar.TypeDir}, manifest}, true},
		"an absolute path":         {[]entry{manifest, {name: "/etc/passwd", text: "x"}}, false},
		"a path that leaves":       {[]entry{manifest, {name: "package/../../x", text: "x"}}, false},
		"a path of Windows":        {[]entry{manifest, {name: `package\..\x`, text: "x"}}, false},
		"two top folders":          {[]entry{manifest, {name: "other/x", text: "x"}}, false},
		"a file beside the folder": {[]entry{manifest, {name: "x", text: "x"}}, false},
		"a link that leaves":       {[]entry{manifest, {name: "package/a", kind: tar.TypeSymlink, link: "../../etc"}}, false},
		"an absolute link":         {[]entry{manifest, {name: "package/a", kind: tar.TypeSymlink, link: "/etc"}}, false},
		"a hard link that leaves":  {[]entry{manifest, {name: "package/a", kind: tar.TypeLink, link: "../x"}}, false},
		"a device":                 {[]entry{manifest, {name: "package/a", kind: tar.TypeChar}}, false},
		"a pipe":                   {[]entry{manifest, {name: "package/a", kind: tar.TypeFifo}}, false},
		"package.json twice":       {[]entry{manifest, manifest}, false},
		"Package.json":             {[]entry{manifest, {name: "package/Package.json", text: "{}"}}, false},
		"a bomb":                   {[]entry{manifest, {name: "package/zeros", text: strings.Repeat("\x00", freeOfRatio+1)}}, false},
	} {
		tgz := pack(c.entries...)
		_, err := unpack(bytes.NewReader(tgz), int64(len(tgz)))
		if (err == nil) != c.good {
			t.Errorf("%s: got %v, want good: %v", name, err, c.good)
		}
	}
}
