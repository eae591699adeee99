package npm

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// These are the numbered cases of the format's page, against a real repository. Others are in cases_more_test.go, and beside
// what they are about: publishing (5, 6, 7, 21), one answer (9, 18, 20, 23). Case 9 is also TestLoginAndTokens, TestWebLogin
// and TestKeysAndAttestations; case 13, the real clients, is the scripts of testdata/script/npm: npm, pnpm, yarn,
// yarn_classic, bun, publish_*, login, tokens, audit_signatures.

var (
	full  = http.Header{"Accept": {"application/json"}}
	short = http.Header{"Accept": {corgi + "; q=1.0, application/json; q=0.8, */*"}}
)

func both() map[string]http.Header { return map[string]http.Header{"full": full, "abbreviated": short} }

// release is a version that was published some days before the clock began.
func release(version string, days int) formattest.Release {
	return formattest.Release{Version: version, Published: formattest.Epoch().AddDate(0, 0, -days)}
}

// tagOf is where a tag points in a packument.
func tagOf(t *testing.T, r formattest.Reply, tag string) string {
	t.Helper()
	return strings.Trim(at(object(t, r.Body), "dist-tags", tag), `"`)
}

func versionsOf(t *testing.T, r formattest.Reply) []string {
	t.Helper()
	m, _ := object(t, r.Body)["versions"].(map[string]any)
	var all []string
	for v := range m {
		all = append(all, v)
	}
	slices.SortFunc(all, compareVersions)
	return all
}

func post(t *testing.T, h *formattest.House, path, body string) *http.Response {
	t.Helper()
	resp, err := http.Post(h.URL+"/r"+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestCase01BothFormsAndAllEncodingsCostOneRequest(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putPackage(h.Up, "x", release("1.0.0", 9))
	h.Up.Order(root+"x", "slow 50ms")
	var wait sync.WaitGroup
	for i := range 24 {
		wait.Go(func() {
			header := http.Header{"Accept": []string{"*/*", corgi}[i%2 : i%2+1], "Accept-Encoding": []string{"gzip", "zstd", "identity"}[i%3 : i%3+1]}
			h.Good("packument", h.Do("GET", "/r/x", header), nil)
		})
	}
	wait.Wait()
	h.Up.Want(t, root+"x", 1)
	for _, r := range h.Up.Requests(root + "x") {
		if got := r.Header.Get("Accept"); got != "application/json" {
			t.Errorf("the upstream was asked for %q, want the full form", got)
		}
	}
}

func TestCase02AnIllUpstreamIsNeverAbsence(t *testing.T) {
	for verb, want := range map[string]int{"500": 503, "503": 503, "429 5": 429, "401": 503, "403": 503, "cut 40": 503, "html-200": 503, "502": 503, "504": 503} {
		h := formattest.New(t, ecosystem)
		putPackage(h.Up, "x", release("1.0.0", 9))
		h.Up.Order(root+"x", "always "+verb)
		r := h.Want(verb+", nothing kept", h.Get("/x"), want)
		if r.Header.Get("Retry-After") == "" || !strings.Contains(string(r.Body), `"error":"`) {
			t.Errorf("%s: got Retry-After %q, %s", verb, r.Header.Get("Retry-After"), r)
		}
		h.Up.Order(root+"x", "always ok")
		h.Pass(time.Hour)
		kept := h.Good(verb+" is over", h.Get("/x"), nil)
		h.Up.Order(root+"x", "always "+verb)
		h.Pass(time.Hour)
		h.Good(verb+", a copy kept", h.Get("/x"), kept.Body)
	}
}

func TestCase03RollbackAndDeprecationShowAtTheNextRefresh(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putPackage(h.Up, "x", release("1.0.0", 30), release("2.0.0", 20), release("2.0.1", 1))
	for form, header := range both() {
		if got := tagOf(t, h.Do("GET", "/r/x", header), "latest"); got != "2.0.1" {
			t.Errorf("%s: latest before: got %s", form, got)
		}
	}
	doc := packument(h.Up, "x", release("1.0.0", 30), release("2.0.0", 20))
	doc["versions"].(map[string]any)["1.0.0"].(map[string]any)["deprecated"] = "use 2"
	putDocument(h.Up, "x", doc)
	h.Pass(6 * time.Minute)
	for form, header := range both() {
		r := h.Good(form, h.Do("GET", "/r/x", header), nil)
		if got := tagOf(t, r, "latest"); got != "2.0.0" {
			t.Errorf("%s: latest after: got %s, want 2.0.0", form, got)
		}
		if got := strings.Join(versionsOf(t, r), " "); got != "1.0.0 2.0.0" {
			t.Errorf("%s: got versions %s", form, got)
		}
		if got := at(object(t, r.Body), "versions", "1.0.0", "deprecated"); got != `"use 2"` {
			t.Errorf("%s: deprecated: got %s", form, got)
		}
	}
}

func TestALaggingCopyIsNotTaken(t *testing.T) {
	h := formattest.New(t, ecosystem)
	old := packument(h.Up, "x", release("1.0.0", 30))
	putPackage(h.Up, "x", release("1.0.0", 30), release("2.0.0", 20))
	kept := h.Good("newer", h.Get("/x"), nil)
	putDocument(h.Up, "x", old)
	h.Pass(6 * time.Minute)
	r := h.Good("older", h.Get("/x"), kept.Body)
	if got := r.Header.Get(formattest.Result); got != "stale" {
		t.Errorf("result: got %q, want stale", got)
	}
}

func TestCase08And12NothingBesideTheFilesOfAPackage(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putPackage(h.Up, "x", release("1.0.0", 9))
	h.Up.Put(root+"x/-/package.json", faulty.Object{Body: []byte("{}")})
	for _, path := range []string{
		"/x/-/package.json", "/x/-/%2f..%2fx-1.0.0.tgz", "/x/-/..%2fx-1.0.0.tgz", "/x/-/%2e%2e", "/x/-/x-9.9.9.tgz",
		"/__proto__", "/__proto__/-/__proto__-1.0.0.tgz", "/node_modules", "/.x", "/_x",
	} {
		h.Want(path, h.Get(path), http.StatusNotFound)
	}
	for _, r := range h.Up.Requests("") {
		if r.Path != root+"x" && r.Path != root+"__proto__" {
			t.Errorf("the upstream was asked for %s", r.Path)
		}
	}
}

func TestCase10NotModified(t *testing.T) {
	h := formattest.New(t, ecosystem)
	h.Up.Put(root+"x", faulty.Object{Body: manyVersions(2_000, 500), Type: "application/json"})
	for form, header := range both() {
		header = header.Clone()
		header.Set("Accept-Encoding", "gzip")
		r := h.Good(form, h.Do("GET", "/r/x", header), nil)
		header.Set("If-None-Match", r.Header.Get("Etag"))
		header.Set("If-Modified-Since", r.Header.Get("Last-Modified"))
		not := h.Want(form+" again", h.Do("GET", "/r/x", header), http.StatusNotModified)
		if len(not.Body) != 0 || not.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: 304 has %d bytes, Content-Encoding %q", form, len(not.Body), not.Header.Get("Content-Encoding"))
		}
	}
	h.Up.Want(t, root+"x", 1)
}

func TestCase11And15AuditsOnARealRepository(t *testing.T) {
	h := formattest.New(t, ecosystem, func(c *repo.Config) { c.Claims = []string{"@acme/*", "acme-*"} })
	const path = "/-/npm/v1/security/advisories/bulk"
	var mu sync.Mutex
	var got string
	h.Up.Handle("/registry"+path, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		got = string(b)
		mu.Unlock()
		fmt.Fprint(w, `{"left-pad":[{"id":1}]}`)
	})
	resp := post(t, h, path, `{"left-pad":["1.3.0"],"@acme/x":["1.0.0"],"acme-utils":["1.0.0"]}`)
	if text := body(t, resp); resp.StatusCode != 200 || text != `{"left-pad":[{"id":1}]}` {
		t.Errorf("got %d %s", resp.StatusCode, text)
	}
	mu.Lock()
	if got != `{"left-pad":["1.3.0"]}` {
		t.Errorf("the upstream heard %s", got)
	}
	mu.Unlock()
	h.Up.Refuse()
	if resp := post(t, h, path, `{"left-pad":["1.3.0"]}`); resp.StatusCode != 503 {
		t.Errorf("upstream down: got %d, want 503", resp.StatusCode)
	}
}

func TestCase15AClaimReachesNoUpstreamOnAnyRoute(t *testing.T) {
	h := formattest.New(t, ecosystem, func(c *repo.Config) { c.Claims = []string{"@acme/*", "acme-*"} })
	for _, name := range []string{"@acme/x", "acme-utils"} {
		putPackage(h.Up, name, release("99.0.0", 1))
	}
	paths := []string{
		"/@acme%2fx", "/@acme%2Fx", "/@acme/x", "/%40acme%2fx", "/%40acme/x", "/acme-utils", "/acme-utils/latest", "/@acme/x/99.0.0",
		"/@acme%2fx/-/x-99.0.0.tgz", "/@acme/x/-/x-99.0.0.tgz", "/@acme/x/-/@acme/x-99.0.0.tgz", "/acme-utils/-/acme-utils-99.0.0.tgz",
		"/-/package/@acme%2fx/dist-tags", "/-/package/acme-utils/dist-tags/latest", "/-/npm/v1/attestations/@acme%2fx@99.0.0",
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD"} {
			h.Want(method+" "+path, h.Do(method, "/r"+path, nil), http.StatusNotFound)
		}
	}
	h.Good("search", h.Get("/-/v1/search?text=acme-utils"), nil)
	h.Good("search in a scope", h.Get("/-/v1/search?text=scope:acme"), nil)
	if resp := post(t, h, "/-/npm/v1/security/advisories/bulk", `{"@acme/x":["99.0.0"]}`); resp.StatusCode != 200 {
		t.Errorf("audit of nothing else: got %d", resp.StatusCode)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("claimed names cost %d requests: %v", n, h.Up.Requests(""))
	}
}

func TestCase16NamesVersionsAndTags(t *testing.T) {
	h := formattest.New(t, ecosystem)
	for _, name := range []string{"constructor", "toString", "-", strings.Repeat("n", 215), "dot.", "JSONStream", "a~b", "hasOwnProperty"} {
		putPackage(h.Up, name, release("1.0.0", 9))
		r := h.Good(name, h.Do("GET", "/r/"+escapeName(name), full), nil)
		if got := at(object(t, r.Body), "name"); got != `"`+name+`"` {
			t.Errorf("%s: got the packument of %s", name, got)
		}
		h.Good(name+"'s file", h.Get("/"+tarballPath(name, standardFile(name, "1.0.0"))), tarball(name, release("1.0.0", 9)))
	}
	h.Want("another case is another name", h.Get("/jsonstream"), http.StatusNotFound)

	long := "1.0.0-" + strings.Repeat("a", 294)
	doc := packument(h.Up, "odd", release("__proto__", 9), release("01.0.0", 9), release("1.0.0", 9), release(long, 9))
	doc["dist-tags"] = map[string]string{"latest": "1.0.0", "missing": "7.7.7", "1.0.0": "01.0.0", "__proto__": "__proto__"}
	putDocument(h.Up, "odd", doc)
	for form, header := range both() {
		r := h.Good(form, h.Do("GET", "/r/odd", header), nil)
		if got := versionsOf(t, r); len(got) != 4 {
			t.Errorf("%s: got versions %q", form, got)
		}
		for tag, want := range map[string]string{"latest": "1.0.0", "missing": "1.0.0", "1.0.0": "01.0.0", "__proto__": "__proto__"} {
			if got := tagOf(t, r, tag); got != want {
				t.Errorf("%s: tag %s: got %q, want %q", form, tag, got, want)
			}
		}
	}
	for _, v := range []string{"__proto__", "01.0.0", "1.0.0", long} {
		h.Good("file of "+v, h.Get("/odd/-/odd-"+v+".tgz"), tarball("odd", release(v, 9)))
		if r := h.Good("manifest of "+v, h.Get("/odd/"+v), nil); at(object(t, r.Body), "version") != `"`+v+`"` {
			t.Errorf("manifest of %s: got %s", v, r)
		}
	}
}

func TestCase17TheFullFormIsTheUpstreamsText(t *testing.T) {
	h := formattest.New(t, ecosystem)
	text := manyVersions(10_000, 300)
	text = bytes.Replace(text, []byte(`"description"`), []byte(`"odd":"\ud800",`+"\"raw\":\"\xff\",\"big\":1e400,"+`"description"`), 1)
	h.Up.Put(root+"x", faulty.Object{Body: text, Type: "application/json"})
	want := bytes.ReplaceAll(text, []byte(upstreamBase), []byte(h.URL+"/r/"))
	if r := h.Good("full", h.Do("GET", "/r/x", full), nil); !bytes.Equal(r.Body, want) {
		t.Errorf("full form: got %d bytes, want %d that are the upstream's but for addresses", len(r.Body), len(want))
	}
	r := h.Good("abbreviated", h.Do("GET", "/r/x", short), nil)
	if n := len(versionsOf(t, r)); n != 10_000 {
		t.Errorf("abbreviated: got %d versions", n)
	}
	if len(r.Body) > len(text)*2/3 {
		t.Errorf("abbreviated: got %d bytes of %d", len(r.Body), len(text))
	}
	h.Up.Want(t, root+"x", 1)
}

func TestCase19AHoldIsSeenAlikeByAllClients(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}))
	doc := packument(h.Up, "x", release("1.0.0", 30), release("1.1.0", 20), release("2.0.0", 3))
	times := doc["time"].(map[string]any)
	times["1.1.0"] = strings.Replace(times["1.1.0"].(string), "Z", "+00:00", 1)
	putDocument(h.Up, "x", doc)
	for form, header := range both() {
		r := h.Good(form, h.Do("GET", "/r/x", header), nil)
		o := object(t, r.Body)
		if got := tagOf(t, r, "latest"); got != "1.1.0" {
			t.Errorf("%s: latest: got %s, want 1.1.0", form, got)
		}
		if got := at(o, "time", "2.0.0"); got != "" {
			t.Errorf("%s: time of the held version: got %s", form, got)
		}
		if got := at(o, "time", "1.1.0"); !strings.HasSuffix(got, `Z"`) {
			t.Errorf("%s: time of 1.1.0: got %s, want one in Z", form, got)
		}
		if got := at(o, "policyRestrictions", "message"); !strings.Contains(got, "x@2.0.0") || !strings.Contains(got, "25 Nov 2026") {
			t.Errorf("%s: message: got %s", form, got)
		}
	}
	refused := h.Want("file", h.Get("/x/-/x-2.0.0.tgz"), http.StatusForbidden)
	if !bytes.Contains(refused.Body, []byte("25 Nov 2026")) {
		t.Errorf("the refusal does not say until when: %s", refused)
	}
	manifest := h.Want("manifest", h.Get("/x/2.0.0"), http.StatusNotFound)
	if !bytes.Contains(manifest.Body, []byte("25 Nov 2026")) {
		t.Errorf("the manifest's 404 does not say until when: %s", manifest)
	}
	h.Want("its tags", h.Get("/-/package/x/dist-tags/latest"), http.StatusOK)
	h.Pass(4*24*time.Hour + time.Minute)
	for form, header := range both() {
		if got := tagOf(t, h.Do("GET", "/r/x", header), "latest"); got != "2.0.0" {
			t.Errorf("%s: latest after the hold: got %s, want 2.0.0", form, got)
		}
	}
	h.Good("file after the hold", h.Get("/x/-/x-2.0.0.tgz"), tarball("x", release("2.0.0", 3)))
}

func TestCase19WithoutTimesAVersionIsHeldFromWhenItWasSeen(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}))
	doc := packument(h.Up, "x", release("1.0.0", 30))
	delete(doc, "time")
	putDocument(h.Up, "x", doc)
	if got := versionsOf(t, h.Good("at once", h.Get("/x"), nil)); len(got) != 0 {
		t.Errorf("at once: got versions %v", got)
	}
	h.Want("file at once", h.Get("/x/-/x-1.0.0.tgz"), http.StatusForbidden)
	h.Pass(7*24*time.Hour + time.Minute)
	if r := h.Good("after a week", h.Get("/x"), nil); len(versionsOf(t, r)) != 1 {
		t.Errorf("after a week: got %s", r)
	}
	h.Good("file after a week", h.Get("/x/-/x-1.0.0.tgz"), tarball("x", release("1.0.0", 30)))
}

func TestCase20IntegrityOnARealRepository(t *testing.T) {
	h := formattest.New(t, ecosystem)
	one, two := release("1.0.0", 30), release("2.0.0", 20)
	putPackage(h.Up, "x", one, two)
	expect := func(r formattest.Release) http.Header {
		sum := sha512.Sum512(tarball("x", r))
		return http.Header{"Pacote-Integrity": {"sha512-" + base64.StdEncoding.EncodeToString(sum[:])}}
	}
	changed := two
	changed.Variant = 1
	const first, second = "/r/x/-/x-1.0.0.tgz", "/r/x/-/x-2.0.0.tgz"
	h.Want("wrong, cold", h.Do("GET", first, expect(two)), http.StatusConflict)
	h.Good("right, cold", h.Do("GET", first, expect(one)), tarball("x", one))
	h.Want("wrong, held", h.Do("GET", first, expect(two)), http.StatusConflict)
	h.Want("wrong, HEAD", h.Do("HEAD", first, expect(two)), http.StatusConflict)

	// The upstream changes both: 1.0.0 is held, 2.0.0 is not.
	other := one
	other.Variant = 1
	putPackage(h.Up, "x", other, changed)
	h.Pass(6 * time.Minute)
	for form, header := range both() {
		doc := object(t, h.Good(form, h.Do("GET", "/r/x", header), nil).Body)
		for version, want := range map[string]http.Header{"1.0.0": expect(one), "2.0.0": expect(changed)} {
			if got := at(doc, "versions", version, "dist", "integrity"); got != `"`+want.Get("Pacote-Integrity")+`"` {
				t.Errorf("%s: integrity of %s: got %s, want %s", form, version, got, want.Get("Pacote-Integrity"))
			}
		}
	}
	h.Good("the first bytes", h.Do("GET", first, expect(one)), tarball("x", one))
	h.Want("others of them", h.Do("GET", first, expect(other)), http.StatusConflict)
	h.Good("the new bytes", h.Do("GET", second, expect(changed)), tarball("x", changed))
	if events := h.Events(); !slices.Contains(events, "replaced") {
		t.Errorf("events: got %v, want replaced among them", events)
	}
}

func TestALockFileAsksNobodyForWhatIsHeld(t *testing.T) {
	h := formattest.New(t, ecosystem)
	var all []formattest.Release
	for i := range 5 {
		all = append(all, release(fmt.Sprintf("1.%d.0", i), 30-i))
	}
	putPackage(h.Up, "x", all...)
	install := func(what string) {
		t.Helper()
		for _, r := range all {
			sum := sha512.Sum512(tarball("x", r))
			header := http.Header{"Pacote-Integrity": {"sha512-" + base64.StdEncoding.EncodeToString(sum[:])}, "User-Agent": {"npm/11.0.0"}}
			h.Good(what, h.Do("GET", "/r/x/-/x-"+r.Version+".tgz", header), tarball("x", r))
		}
	}
	install("cold")
	h.Up.Want(t, root+"x", 1)
	h.Up.Forget()
	h.Pass(30 * 24 * time.Hour)
	install("a month later")
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("the upstream was asked %d times: %v", n, h.Up.Requests(""))
	}
}

func TestCase22HostsAndPlaces(t *testing.T) {
	h := formattest.New(t, ecosystem)
	cdn := faulty.New(t)
	doc := packument(h.Up, "x", release("1.0.0", 30), release("2.0.0", 20))
	for _, v := range []string{"1.0.0", "2.0.0"} { // two versions with one tail, elsewhere
		cdn.Put("/"+v+"/x.tgz", faulty.Object{Body: tarball("x", release(v, 30-10*(int(v[0])-'1')))})
		doc["versions"].(map[string]any)[v].(map[string]any)["dist"].(map[string]any)["tarball"] = cdn.URL + "/" + v + "/x.tgz"
	}
	putDocument(h.Up, "x", doc)
	r := h.Good("packument", h.Get("/x"), nil)
	for _, v := range []string{"1.0.0", "2.0.0"} {
		if got, want := at(object(t, r.Body), "versions", v, "dist", "tarball"), `"`+h.URL+"/r/x/-/x-"+v+`.tgz"`; got != want {
			t.Errorf("tarball of %s: got %s, want %s", v, got, want)
		}
	}
	refused := h.Get("/x/-/x-1.0.0.tgz")
	if refused.Status == http.StatusOK || cdn.Count("", "") != 0 {
		t.Errorf("a file at an origin that is not allowed: got %s, asked %d times", refused, cdn.Count("", ""))
	}
	c := h.Config("r", h.Up)
	c.Upstreams[0].Also = []string{cdn.URL}
	c.Upstreams[0].AllowAddresses = []string{"127.0.0.0/8"}
	h.Configure(repo.Settings{}, c)
	h.Pass(10 * time.Minute)
	for v, days := range map[string]int{"1.0.0": 30, "2.0.0": 20} {
		h.Good("file of "+v, h.Get("/x/-/x-"+v+".tgz"), tarball("x", release(v, days)))
	}
	h.Want("the tail that two versions have", h.Get("/x/-/x.tgz"), http.StatusNotFound)

	for _, host := range []string{"a.example", "b.example:8443"} {
		req, err := http.NewRequest("GET", h.URL+"/r/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("X-Forwarded-Host", "evil.example")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text := body(t, resp)
		resp.Body.Close()
		if got, want := at(object(t, []byte(text)), "versions", "1.0.0", "dist", "tarball"), `"http://`+host+`/r/x/-/x-1.0.0.tgz"`; got != want {
			t.Errorf("for %s: got %s, want %s", host, got, want)
		}
	}
}

func TestCase23GoneForAWhileAndTakenDown(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putPackage(h.Up, "evil", release("1.0.0", 30), release("1.0.1", 1))
	h.Good("packument", h.Get("/evil"), nil)
	for _, v := range []string{"1.0.0", "1.0.1"} {
		h.Good("file of "+v, h.Get("/evil/-/evil-"+v+".tgz"), nil)
	}
	putPackage(h.Up, "evil", release("0.0.1-security", 0))
	h.Pass(6 * time.Minute)
	if got := versionsOf(t, h.Good("after the takedown", h.Get("/evil"), nil)); !slices.Equal(got, []string{"0.0.1-security"}) {
		t.Errorf("after the takedown: got versions %v", got)
	}
	for _, v := range []string{"1.0.0", "1.0.1"} {
		h.Want("held file of "+v, h.Get("/evil/-/evil-"+v+".tgz"), http.StatusForbidden)
		h.Want("HEAD of "+v, h.Do("HEAD", "/r/evil/-/evil-"+v+".tgz", nil), http.StatusForbidden)
	}
	h.Good("the placeholder", h.Get("/evil/-/evil-0.0.1-security.tgz"), nil)

	putPackage(h.Up, "fs", release("0.0.1-security", 900))
	h.Good("a placeholder that never was anything else", h.Get("/fs/-/fs-0.0.1-security.tgz"), nil)

	putPackage(h.Up, "away", release("1.0.0", 30))
	kept := h.Good("before", h.Get("/away"), nil)
	doc := map[string]any{"name": "away", "time": map[string]any{"unpublished": map[string]any{"name": "me"}}}
	putDocument(h.Up, "away", doc)
	h.Pass(6 * time.Minute)
	h.Good("unpublished a moment ago", h.Get("/away"), kept.Body)
	h.Pass(3 * time.Minute)
	h.Good("3 minutes later", h.Get("/away"), kept.Body)
	h.Pass(11 * time.Minute)
	h.Want("11 minutes later", h.Get("/away"), http.StatusNotFound)
}

func TestKeysAndAttestationsAreKept(t *testing.T) {
	h := formattest.New(t, ecosystem)
	r := release("1.0.0", 30)
	doc := packument(h.Up, widget, r)
	sum := sha512.Sum512(tarball(widget, r))
	statement, err := json.Marshal(map[string]any{"subject": []any{map[string]any{"digest": map[string]any{"sha512": fmt.Sprintf("%x", sum)}}}})
	if err != nil {
		t.Fatal(err)
	}
	attestations, err := json.Marshal(map[string]any{"attestations": []any{map[string]any{"bundle": map[string]any{
		"dsseEnvelope": map[string]any{"payload": base64.StdEncoding.EncodeToString(statement)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	const path = "-/npm/v1/attestations/@acme%2fwidget@1.0.0"
	doc["versions"].(map[string]any)["1.0.0"].(map[string]any)["dist"].(map[string]any)["attestations"] = map[string]any{"url": h.Up.URL + root + path}
	putDocument(h.Up, widget, doc)
	h.Up.Put(root+path, faulty.Object{Body: attestations, Type: "application/json"})
	h.Up.Put(root+"-/npm/v1/keys", faulty.Object{Body: []byte(`{"keys":[]}`), Type: "application/json"})

	p := h.Good("packument", h.Get("/@acme%2fwidget"), nil)
	if got, want := at(object(t, p.Body), "versions", "1.0.0", "dist", "attestations", "url"), `"`+h.URL+"/r/"+path+`"`; got != want {
		t.Errorf("attestations: got %s, want %s", got, want)
	}
	h.Good("attestations", h.Get("/"+path), attestations)
	h.Good("keys", h.Get("/-/npm/v1/keys"), []byte(`{"keys":[]}`))
	h.Up.Refuse()
	h.Pass(24 * time.Hour)
	h.Good("attestations, the upstream dead", h.Get("/"+path), attestations)
	h.Good("keys, the upstream dead", h.Get("/-/npm/v1/keys"), []byte(`{"keys":[]}`))
}

func TestSearchOnARealRepository(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}))
	putPackage(h.Up, "x", release("1.0.0", 30), release("2.0.0", 1))
	h.Up.Put(root+"-/v1/search", faulty.Object{Type: "application/json",
		Body: []byte(`{"objects":[{"package":{"name":"x","version":"2.0.0"},"searchScore":1}],"total":1,"time":"now"}`)})
	r := h.Good("search", h.Get("/-/v1/search?text=x"), nil)
	if !bytes.Contains(r.Body, []byte(`"version":"1.0.0"`)) || bytes.Contains(r.Body, []byte("2.0.0")) {
		t.Errorf("a held version is found: %s", r)
	}
	h.Up.Refuse()
	if r := h.Good("search, the upstream dead", h.Get("/-/v1/search?text=x"), nil); !bytes.Contains(r.Body, []byte(`"objects":[]`)) {
		t.Errorf("got %s", r)
	}
}

// TestNoticeIsAsSeldomForEverybody: npm prints the notice of each response, so a client is told once a minute, whoever it is.
func TestNoticeIsAsSeldomForEverybody(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}))
	putPackage(h.Up, "left-pad", formattest.Release{Version: "1.0.0", Published: formattest.Epoch().AddDate(-1, 0, 0)},
		formattest.Release{Version: "1.1.0", Published: formattest.Epoch().AddDate(0, 0, -1)})
	agent := http.Header{"User-Agent": {"npm/11.0.0 node/v20.0.0 linux x64"}}
	for _, who := range []string{"", formattest.Owner} {
		told := func() string { return h.As(who).Do("GET", "/left-pad", agent, nil).Header.Get("Npm-Notice") }
		if got := told(); !strings.Contains(got, "1 version of left-pad is held until 27 Nov 2026") {
			t.Errorf("as %q: the notice is %q", who, got)
		}
		for range 3 {
			if got := told(); got != "" {
				t.Errorf("as %q: told again at once: %q", who, got)
			}
		}
		h.Pass(time.Minute)
		if got := told(); got == "" {
			t.Errorf("as %q: not told again after a minute", who)
		}
		if got := h.As(who).Do("GET", "/left-pad", nil, nil).Header.Get("Npm-Notice"); got != "" {
			t.Errorf("as %q: a client that is not npm is told %q", who, got)
		}
		h.Pass(time.Minute)
	}
}

// TestCase20AnotherIntegrityIsLookedUpOnce: before npm is told that its lock file is wrong, the upstream is asked once whether
// the listing is.
func TestCase20AnotherIntegrityIsLookedUpOnce(t *testing.T) {
	h := formattest.New(t, ecosystem)
	one := release("1.0.0", 30)
	changed := one
	changed.Variant = 1
	putPackage(h.Up, "x", one)
	h.Good("packument", h.Do("GET", "/r/x", nil), nil)
	putPackage(h.Up, "x", changed)
	h.Pass(2 * time.Second)
	h.Up.Forget()
	expect := func(body []byte) http.Header {
		sum := sha512.Sum512(body)
		return http.Header{"Pacote-Integrity": {"sha512-" + base64.StdEncoding.EncodeToString(sum[:])}}
	}
	const file = "/r/x/-/x-1.0.0.tgz"
	h.Want("what nobody has", h.Do("HEAD", file, expect([]byte("another"))), http.StatusConflict)
	h.Up.Want(t, root+"x", 1)
	h.Good("what the upstream has now", h.Do("GET", file, expect(tarball("x", changed))), tarball("x", changed))
	h.Want("what nobody has, again", h.Do("GET", file, expect([]byte("another"))), http.StatusConflict)
	h.Up.Want(t, root+"x", 1)
}

// TestAClientThatInsists: no-cache reads a listing again though it is fresh, at most every ten seconds.
func TestAClientThatInsists(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putPackage(h.Up, "x", release("1.0.0", 30))
	h.Good("packument", h.Do("GET", "/r/x", nil), nil)
	putPackage(h.Up, "x", release("1.0.0", 30), release("1.1.0", 20))
	h.Pass(6 * time.Second)
	h.Up.Forget()
	insists := http.Header{"Cache-Control": {"max-age=0, no-cache"}}
	h.Shows("max-age=0", h.Do("GET", "/r/x", http.Header{"Cache-Control": {"max-age=0"}}), "1.1.0", false)
	for range 5 {
		h.Shows("no-cache", h.Do("GET", "/r/x", insists), "1.1.0", true)
	}
	h.Up.Want(t, root+"x", 1)
	h.Pass(11 * time.Second)
	h.Up.Order("*", "always 500")
	h.Shows("no-cache, the upstream ill", h.Do("GET", "/r/x", insists), "1.1.0", true)
}
