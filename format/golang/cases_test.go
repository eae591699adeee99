package golang

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/repo"
)

// The numbers are those of the correctness cases that the format was specified with.

func TestCase02ServesAllAgainWithTheUpstreamAndDatabaseDead(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL}, verifiedBy(u), option("verify", "required"))
	const sum = "/sumdb/" + sumName
	paths := []string{at + "list", at + "v1.0.0.info", at + "v1.0.0.mod", at + "v1.0.0.zip", "/git.example/team/x/@latest",
		sum + "/supported", sum + "/latest", sum + "/lookup/git.example/team/x@v1.0.0", sum + "/tile/8/0/000.p/1"}
	first := map[string]string{}
	for _, path := range paths {
		first[path] = p.want(path, 200, "*").Body
	}
	if first[at+"v1.0.0.zip"] != m.Zip || first[at+"list"] != "v1.0.0\n" {
		t.Errorf("the first answers are not the upstream's")
	}
	u.Close()
	p.pass(time.Hour)
	for _, path := range paths {
		p.want(path, 200, first[path])
	}
}

func TestCase03EachFileIsFetchedByItself(t *testing.T) {
	for _, kind := range []Kind{Info, Mod, Zip} {
		u := newUpstream(t)
		u.publish(t, testPath, "v1.0.0", testMod)
		p := newPond(t, []string{u.URL})
		path := Path{Kind: kind, Module: testPath, Version: "v1.0.0"}.String()
		p.want(path, 200, "*")
		if !slices.Equal(u.paths(), []string{path}) {
			t.Errorf("for %s the upstream was asked %q", path, u.paths())
		}
	}
	for _, missing := range []string{"info", "mod", "zip"} {
		u := newUpstream(t)
		u.publish(t, testPath, "v1.0.0", testMod)
		u.ill(at+"v1.0.0."+missing, 404)
		p := newPond(t, []string{u.URL})
		for _, one := range []string{"info", "mod", "zip"} {
			status := 200
			if one == missing {
				status = 404
			}
			p.want(at+"v1.0.0."+one, status, "*")
		}
	}
}

func TestCase04OneDownloadForAllReaders(t *testing.T) {
	up := faulty.New(t)
	body := "PK\x03\x04" + noise(4<<20)
	up.Put(at+"v1.0.0.zip", faulty.Object{Body: []byte(body)})
	gate := up.Gate(at+"v1.0.0.zip", 3<<20)
	p := newPond(t, []string{up.URL})
	const readers = 50
	var began, done sync.WaitGroup
	began.Add(readers)
	for range readers {
		done.Go(func() {
			resp, err := http.Get(p.URL + "/golang" + at + "v1.0.0.zip")
			if err != nil {
				t.Error(err)
				began.Done()
				return
			}
			defer resp.Body.Close()
			h := sha256.New()
			if _, err := io.CopyN(h, resp.Body, 64<<10); err != nil {
				t.Error(err)
			}
			began.Done()
			if _, err := io.Copy(h, resp.Body); err != nil || fmt.Sprintf("%x", h.Sum(nil)) != fmt.Sprintf("%x", sha256.Sum256([]byte(body))) {
				t.Errorf("a reader got other bytes, or an error: %v", err)
			}
		})
	}
	began.Wait() // all have read, and the upstream is still held at 3 MiB
	gate.Open()
	done.Wait()
	up.Want(t, at+"v1.0.0.zip", 1)
}

// noise is n bytes that do not compress.
func noise(n int64) string {
	b := make([]byte, n)
	faulty.Noise(1, n).ReadAt(b, 0)
	return string(b)
}

func TestCase05NoCleanEndOfWrongBytes(t *testing.T) {
	zip := zipOf(t, map[string]string{testPath + "@v1.0.0/x": noise(100_000)})
	for tenth := range 10 {
		for _, resume := range []string{"ok", "always no-range"} {
			t.Run(fmt.Sprintf("cut at %d tenths, then %s", tenth, resume), func(t *testing.T) {
				up := faulty.New(t)
				up.Put(at+"v1.0.0.zip", faulty.Object{Body: []byte(zip), ETag: `"1"`})
				up.Order(at+"v1.0.0.zip", fmt.Sprintf("cut %d", len(zip)*tenth/10), resume)
				p := newPond(t, []string{up.URL})
				p.want(at+"v1.0.0.zip", 200, zip)
			})
		}
	}
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	for file, body := range map[string]string{"v1.0.0.info": `{"Version":"v1.0.1","Time":"2026-01-02T03:04:05Z"}`, "v1.0.0.mod": "<html>hello</html>", "v1.0.0.zip": "<html>hello</html>"} {
		t.Run("wrong "+file, func(t *testing.T) {
			good := map[string]string{"v1.0.0.info": m.Info, "v1.0.0.mod": m.Mod, "v1.0.0.zip": m.Zip}[file]
			u.set(at+file, body)
			p := newPond(t, []string{u.URL})
			if a := p.get(at + file); a.Status != 503 && a.Err == nil {
				t.Errorf("%d %q; want 503 or a cut body", a.Status, a.Body)
			}
			p.want("/cached-only"+at+file, 404, "not held here\n")
			u.set(at+file, good)
			p.pass(2 * time.Minute)
			p.want(at+file, 200, good)
		})
	}
}

func TestCase06WrongHash(t *testing.T) {
	for _, kind := range []Kind{Zip, Mod} {
		u := newUpstream(t)
		m := u.publish(t, testPath, "v1.0.0", testMod)
		path := Path{Kind: kind, Module: testPath, Version: "v1.0.0"}.String()
		good := map[Kind]string{Zip: m.Zip, Mod: m.Mod}[kind]
		u.set(path, map[Kind]string{Zip: zipOf(t, map[string]string{testPath + "@v1.0.0/x": noise(2 << 20)}), Mod: "module git.example/evil\n"}[kind])
		p := newPond(t, []string{u.URL}, verifiedBy(u))
		if a := p.get(path); a.Err == nil && a.Status != 503 {
			t.Errorf("%s with other bytes: %d, a clean end of %d bytes; want a cut body or 503", path, a.Status, len(a.Body))
		}
		if e := p.event("corrupt", 0); e.Key != (Path{Kind: kind, Module: testPath, Version: "v1.0.0"}).Key() {
			t.Errorf("event %+v; want one about %s", e, path)
		}
		u.set(path, good)
		p.pass(2 * time.Minute)
		p.want(path, 200, good)
	}
}

func TestCase06ZipStreamsWhileTheDatabaseIsSlow(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	zip := zipOf(t, map[string]string{testPath + "@v1.0.0/x": noise(3 << 20)})
	u.set(at+"v1.0.0.zip", zip)
	hash, err := hashZip(t.Context(), strings.NewReader(zip), int64(len(zip)), zipLimit)
	if err != nil {
		t.Fatal(err)
	}
	u.sums[testPath+"@v1.0.0"] = testPath + " v1.0.0 " + hash + "\n"
	release := u.hold("/sumdb/" + sumName + "/lookup/git.example/team/x@v1.0.0")
	p := newPond(t, []string{u.URL}, verifiedBy(u), option("verify", "required"))
	resp, err := http.Get(p.URL + "/golang" + at + "v1.0.0.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 2<<20); err != nil {
		t.Fatalf("the first 2 MiB while the database says nothing: %v", err)
	}
	release()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(zip))-2<<20 {
		t.Errorf("the rest: %d bytes, %v; want %d", n, err, len(zip)-2<<20)
	}
}

func TestCase06DatabaseDown(t *testing.T) {
	for mode, status := range map[string]int{"available": 200, "required": 503} {
		u := newUpstream(t)
		u.publish(t, testPath, "v1.0.0", testMod)
		u.ill("/sumdb/"+sumName+"/lookup/git.example/team/x@v1.0.0", 503)
		p := newPond(t, []string{u.URL}, verifiedBy(u), option("verify", mode))
		p.want(at+"v1.0.0.mod", status, "*")
	}
}

func TestCase08IllIsNeverAbsent(t *testing.T) {
	for name, fault := range map[string]string{"500": "always 500", "502": "always 502", "429": "always 429 30", "403": "always 403", "refused": "always refuse"} {
		t.Run(name, func(t *testing.T) {
			up := faulty.New(t)
			up.Order("*", fault)
			p := newPond(t, []string{up.URL})
			for _, path := range []string{at + "list", "/git.example/team/x/@latest", at + "master.info", at + "v1.0.0.info", at + "v1.0.0.mod", at + "v1.0.0.zip"} {
				a := p.get(path)
				if a.Status != 503 && a.Status != 429 || a.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %d %v %q; want 503 or 429, no-store", path, a.Status, a.Header, a.Body)
				}
			}
		})
	}
	for _, status := range []string{"404", "410"} {
		up := faulty.New(t)
		up.Order("*", "always "+status)
		p := newPond(t, []string{up.URL})
		for _, path := range []string{at + "list", at + "v1.0.0.info"} {
			if a := p.get(path); a.Status != 404 || a.Header.Get("Cache-Control") != "max-age=60" {
				t.Errorf("upstream %s, %s: %d %v; want 404 for a minute", status, path, a.Status, a.Header)
			}
		}
	}
}

func TestCase09BlockShowsItsWords(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	m := u.publish(t, testPath, "v1.1.0", testMod)
	p := newPond(t, []string{u.URL})
	p.rules(map[string]any{"block": []any{testPath + "@v1.1.0"}, "why": "it mines coins"})
	for _, file := range []string{"v1.1.0.info", "v1.1.0.zip"} {
		if a := p.want(at+file, 403, "*"); !strings.Contains(a.Body, "it mines coins") || a.Header.Get("Content-Type") != typeText {
			t.Errorf("%s: %q as %s; want the words as plain text", file, a.Body, a.Header.Get("Content-Type"))
		}
	}
	p.want(at+"v1.1.0.mod", 200, m.Mod) // go mod tidy reads it of a version that it does not use
	p.want(at+"list", 200, "v1.0.0\n")
	p.config.Options = maps.Clone(p.config.Options) // the pond reads the one that it was given
	p.config.Options["mod"] = "refuse"
	p.configure()
	p.want(at+"v1.1.0.mod", 403, "*")
}

func TestCase10HeldNewest(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, testPath, "v1.1.0", testMod+"retract v1.0.1\n")
	u.publish(t, testPath, "v1.0.1", testMod)
	old := func(v string) { u.set(at+v+".info", `{"Version":"`+v+`","Time":"2020-01-02T03:04:05Z"}`) }
	old("v1.0.0")
	old("v1.0.1")
	p := newPond(t, []string{u.URL})
	fresh := p.now().Add(-time.Hour).UTC().Format(time.RFC3339)
	u.set(at+"v1.1.0.info", `{"Version":"v1.1.0","Time":"`+fresh+`"}`)
	p.rules(map[string]any{"hold": "7d"})
	p.want(at+"list", 200, "v1.0.0\n") // and v1.0.1 is retracted by the version that is held back
	if a := p.want("/git.example/team/x/@latest", 200, "*"); !strings.Contains(a.Body, `"v1.0.0"`) {
		t.Errorf("latest %q; want v1.0.0", a.Body)
	}
	if a := p.want(at+"v1.1.0.zip", 403, "*"); !strings.Contains(a.Body, "hold") {
		t.Errorf("the held zip: %q; want the words of the hold", a.Body)
	}
	p.want(at+"v1.0.1.zip", 200, "*")
	asked := u.requests(at + "list")
	p.pass(8 * 24 * time.Hour)
	p.want(at+"v1.1.0.zip", 200, "*")
	p.want(at+"list", 200, "v1.0.0\nv1.0.1\nv1.1.0\n")
	if asked == 0 {
		t.Errorf("the list was never asked for")
	}
}

// Of a module with one version the list is empty and then is not: the stamp must tell the two apart.
func TestCase10HeldOnly(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL})
	u.set(at+"v1.0.0.info", `{"Version":"v1.0.0","Time":"`+p.now().UTC().Format(time.RFC3339)+`"}`)
	p.rules(map[string]any{"hold": "7d"})
	p.want(at+"list", 200, "")
	p.pass(8 * 24 * time.Hour)
	p.want(at+"list", 200, "v1.0.0\n")
}

func TestCase11ZipBeforeInfoUnderAHold(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.set(at+"v1.0.0.info", `{"Version":"v1.0.0","Time":"2020-01-02T03:04:05Z"}`)
	u.ill(at+"v1.0.0.info", 500)
	p := newPond(t, []string{u.URL})
	p.want(at+"v1.0.0.zip", 200, "*") // no rule asks when it was made
	p = newPond(t, []string{u.URL})
	p.rules(map[string]any{"hold": "7d"})
	if a := p.get(at + "v1.0.0.zip"); a.Status != 403 {
		t.Errorf("a zip whose age cannot be known: %d %q; want 403", a.Status, a.Body)
	}
	u.ill(at+"v1.0.0.info", 0)
	p.pass(time.Minute)
	p.want(at+"v1.0.0.zip", 200, "*")
	if n := u.requests(at + "list"); n != 0 {
		t.Errorf("the list was asked for %d times to judge one zip", n)
	}
}

func TestCase12ListsAsTheyCome(t *testing.T) {
	u := newUpstream(t)
	u.set(at+"list", golden(t, "list.txt"))
	u.publish(t, "git.example/tagless", "v0.0.0-20260102030405-0123456789ab", "module git.example/tagless\n")
	u.set("/git.example/tagless/@v/list", "")
	u.set("/git.example/tagless/@latest", `{"Version":"v0.0.0-20260102030405-0123456789ab"}`)
	p := newPond(t, []string{u.URL})
	p.want(at+"list", 200, "v1.0.0\nv1.1.0\nv1.2.0-rc.1\nv1.10.0\nv2.0.0+incompatible\n")
	p.want("/git.example/tagless/@v/list", 200, "")
	if a := p.want("/git.example/tagless/@latest", 200, "*"); !strings.Contains(a.Body, "v0.0.0-20260102030405-0123456789ab") {
		t.Errorf("latest of a module without tags: %q", a.Body)
	}
	u.set("/git.example/page/@v/list", "<html>welcome</html>")
	p.want("/git.example/page/@v/list", 503, "*")
}

func TestCase13NewTag(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL})
	p.want(at+"list", 200, "v1.0.0\n")
	m := u.publish(t, testPath, "v1.1.0", testMod)
	p.want(at+"v1.1.0.info", 200, m.Info)
	p.want(at+"list", 200, "v1.0.0\nv1.1.0\n")
	if n := u.requests(at + "list"); n != 1 {
		t.Errorf("the list was asked for %d times; want once", n)
	}
}

func TestCase14DeletedUpstream(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	m := u.publish(t, testPath, "v1.1.0", testMod)
	p := newPond(t, []string{u.URL})
	p.want(at+"list", 200, "v1.0.0\nv1.1.0\n")
	p.want(at+"v1.1.0.zip", 200, m.Zip)
	u.set(at+"list", "v1.0.0\n")
	for _, ext := range []string{"info", "mod", "zip"} {
		u.ill(at+"v1.1.0."+ext, 404)
	}
	p.pass(time.Hour)
	p.want(at+"list", 200, "v1.0.0\nv1.1.0\n")
	p.want(at+"v1.1.0.zip", 200, m.Zip)
}

func TestCase15Escapes(t *testing.T) {
	u := newUpstream(t)
	for _, v := range []struct{ path, version string }{
		{"git.example/Azure/SDK", "v1.0.0"}, {testPath, "v1.0.0-RC1"}, {testPath, "v2.0.0+incompatible"},
		{"gopkg.in/x.v2", "v2.1.0"}, {"git.example/~user/x", "v1.0.0"},
	} {
		m := u.publish(t, v.path, v.version, "module "+v.path+"\n")
		p := newPond(t, []string{u.URL}, verifiedBy(u), option("verify", "required"))
		for _, kind := range []Kind{Info, Mod, Zip} {
			p.want(Path{Kind: kind, Module: v.path, Version: v.version}.String(), 200,
				map[Kind]string{Info: m.Info, Mod: m.Mod, Zip: m.Zip}[kind])
		}
	}
	p := newPond(t, []string{u.URL})
	p.want(at+"v2.0.0%2Bincompatible.mod", 200, "*")
	u.forget()
	for _, path := range []string{"/git.example/Azure/SDK/@v/list", "/git.example/..%2fx/@v/list", "/git.example/team/x/@v/v2.0.0%252Bincompatible.mod", "/git.example/%2e%2e/x/@v/list"} {
		p.want(path, 404, "*")
	}
	if len(u.paths()) > 0 {
		t.Errorf("the upstream was asked %q", u.paths())
	}
}

func TestCase16Queries(t *testing.T) {
	u := newUpstream(t)
	const pseudo = "v0.0.0-20260102030405-0123456789ab"
	m := u.publish(t, testPath, pseudo, testMod)
	for _, query := range []string{"master", "0123456", "0123456789abcdef0123456789abcdef01234567", "1.0.0"} {
		u.set(at+query+".info", m.Info)
	}
	p := newPond(t, []string{u.URL})
	for _, query := range []string{"master", "0123456", "0123456789abcdef0123456789abcdef01234567", "1.0.0"} {
		if a := p.want(at+query+".info", 200, m.Info); a.Header.Get("Cache-Control") != "max-age=60" {
			t.Errorf("%s: Cache-Control %q", query, a.Header.Get("Cache-Control"))
		}
	}
	p.want("/cached-only"+at+pseudo+".info", 200, m.Info)
	for _, path := range []string{at + "latest.info", at + "x/y.info", at + "master.zip", at + "master.mod", at + "none.info"} {
		p.want(path, 404, "*")
	}
}

func TestCase17InfoByteForByte(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.set(at+"v1.0.0.info", golden(t, "origin.info"))
	p := newPond(t, []string{u.URL})
	p.rules(map[string]any{"hold": "7d"}) // which reads it
	p.want(at+"v1.0.0.info", 200, golden(t, "origin.info"))
	p.want("/git.example/team/x/@latest", 200, golden(t, "origin.info"))
}

func TestCase18PrefixProbing(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, "a.example/b/c", "v1.0.0", "module a.example/b/c\n")
	p := newPond(t, []string{u.URL})
	probe := func() {
		t.Helper()
		for _, path := range []string{"a.example", "a.example/b", "a.example/b/c/d", "a.example/b/c/d/e"} {
			p.want("/"+path+"/@v/list", 404, "*")
			p.want("/"+path+"/@v/v1.0.0.info", 404, "*")
		}
		p.want("/a.example/b/c/@v/v1.0.0.info", 200, m.Info)
		p.want("/a.example/b/c/@v/list", 200, "v1.0.0\n")
	}
	probe()
	asked := len(u.paths())
	probe() // over https the client asks twice
	if again := len(u.paths()); again != asked {
		t.Errorf("the upstream was asked %d times more for what it does not have: %q", again-asked, u.paths()[asked:])
	}
	u.Close()
	p.pass(24 * time.Hour)
	probe() // an old absence is still the answer
	p.settings.Offline = true
	p.configure()
	probe()
}

// Which version a commit is stands for a day, and where a branch points for a minute.
func TestQueriesLastAsLongAsTheyMean(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	const commit, branch, short = at + "0123456789abcdef0123456789abcdef01234567.info", at + "main.info", at + "0123456.info"
	for _, query := range []string{commit, branch, short} {
		u.set(query, `{"Version":"v1.0.0","Time":"2020-01-02T03:04:05Z"}`)
	}
	p := newPond(t, []string{u.URL})
	for _, one := range []struct {
		after                 time.Duration
		commit, branch, short int
	}{{0, 1, 1, 1}, {61 * time.Second, 1, 2, 2}, {23 * time.Hour, 1, 3, 3}, {time.Hour, 2, 4, 4}} {
		p.pass(one.after)
		for query, want := range map[string]int{commit: one.commit, branch: one.branch, short: one.short} {
			p.want(query, 200, "*")
			if n := u.requests(query); n != want {
				t.Errorf("%s later %s was asked for %d times in all, want %d", one.after, query, n, want)
			}
		}
	}
}

func TestCase19ClaimsAskNobody(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, "git.acme.example/team/x", "v1.0.0", "module git.acme.example/team/x\n")
	p := newPond(t, []string{u.URL}, verifiedBy(u), func(c *repo.Config) { c.Claims = []string{"git.acme.example/team/*"} })
	for _, prefix := range []string{"git.acme.example/team", "git.acme.example/team/x"} {
		for _, way := range []string{"/", "/cached-only/"} {
			for _, rest := range []string{"/@v/list", "/@latest", "/@v/master.info", "/@v/v1.0.0.info", "/@v/v1.0.0.mod", "/@v/v1.0.0.zip"} {
				p.want(way+prefix+rest, 404, "*")
				if a := p.do("HEAD", way+prefix+rest); a.Status != 404 {
					t.Errorf("HEAD %s: %d; want 404", way+prefix+rest, a.Status)
				}
			}
		}
		p.want("/sumdb/"+sumName+"/lookup/"+prefix+"@v1.0.0", 403, "*")
	}
	if len(u.paths()) > 0 {
		t.Errorf("the upstream was asked %q", u.paths())
	}
}

func TestCase20Sumdb(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL}, verifiedBy(u), option("no_sum", "git.private.example"))
	const sum = "/sumdb/" + sumName
	p.want(sum+"/lookup/git.private.example/x@v1.0.0", 403, "*")
	if a := p.want(sum+"/lookup/git.example/later@v1.0.0", 404, "*"); a.Header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("an absent look-up: Cache-Control %q", a.Header.Get("Cache-Control"))
	}
	u.publish(t, "git.example/later", "v1.0.0", "module git.example/later\n")
	p.want(sum+"/lookup/git.example/later@v1.0.0", 404, "*")
	p.pass(61 * time.Second)
	p.want(sum+"/lookup/git.example/later@v1.0.0", 200, "*")
	tile := p.want(sum+"/tile/8/0/000.p/1", 200, "*").Body
	u.Close()
	p.want(sum+"/tile/8/0/000.p/1", 200, tile)
	p.want(sum+"/supported", 200, "")
	p.want("/sumdb/sum.example/supported", 404, "*")
}

func TestCase22Fill(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	for _, c := range []struct {
		mode           repo.Mode
		absent, status int
	}{{repo.Store, 404, 200}, {repo.Pass, 404, 200}, {repo.Redirect, 302, 302}, {repo.CachedOnly, 404, 404}} {
		t.Run(string(c.mode), func(t *testing.T) {
			p := newPond(t, []string{u.URL})
			p.want(at+"v1.0.0.mod", 200, m.Mod) // held
			p.config.Fill = []repo.Fill{{Pattern: "git.example/*", Mode: c.mode}}
			p.configure()
			p.want(at+"v1.0.0.mod", 200, m.Mod)
			a := p.want(at+"v1.0.0.zip", c.status, "*")
			if c.status == 302 && (a.Header.Get("Location") != u.URL+at+"v1.0.0.zip" || a.Header.Get("Cache-Control") != "no-store") {
				t.Errorf("redirect %v; want the upstream's address, no-store", a.Header)
			}
			p.want(at+"list", 200, "v1.0.0\n")
			p.want("/git.example/none/@v/v1.0.0.zip", c.absent, "*")
			p.rules(map[string]any{"block": []any{"git.example/none"}})
			p.want("/git.example/none/@v/v1.0.0.zip", 403, "*")
		})
	}
}

func TestCase23OnlyWhatIsHeld(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, testPath, "v1.1.0", testMod)
	u.publish(t, "git.example/never/listed", "v1.0.0", "module git.example/never/listed\n")
	p := newPond(t, []string{u.URL})
	p.want(at+"list", 200, "*")
	p.want(at+"v1.0.0.info", 200, m.Info)
	p.want(at+"v1.0.0.zip", 200, m.Zip)
	p.want(at+"v1.1.0.mod", 200, "*") // as go reads that of the newest version, which is not held by that
	p.want("/git.example/never/listed/@v/v1.0.0.zip", 200, "*")
	u.forget()
	for _, way := range []struct {
		prefix string
		header []string
	}{{"/cached-only", nil}, {"", []string{"Disable-Module-Fetch", "true"}}} {
		p.want(way.prefix+at+"list", 200, "v1.0.0\n", way.header...)
		p.want(way.prefix+at+"v1.0.0.info", 200, m.Info, way.header...)
		p.want(way.prefix+"/git.example/team/x/@latest", 200, m.Info, way.header...)
		p.want(way.prefix+"/git.example/never/listed/@v/list", 200, "v1.0.0\n", way.header...)
		for _, path := range []string{at + "v1.1.0.zip", at + "v1.1.0.info", at + "master.info", "/git.example/unknown/@v/list", "/git.example/unknown/@latest"} {
			if a := p.want(way.prefix+path, 404, "not held here\n", way.header...); a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s%s: Cache-Control %q; want no-store", way.prefix, path, a.Header.Get("Cache-Control"))
			}
		}
	}
	if len(u.paths()) > 0 {
		t.Errorf("the upstream was asked %q", u.paths())
	}
}

func TestCase24TwoUpstreams(t *testing.T) {
	first, second := newUpstream(t), newUpstream(t)
	m := second.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{first.URL, second.URL})
	for kind, body := range map[Kind]string{Info: m.Info, Mod: m.Mod, Zip: m.Zip} {
		p.want(Path{Kind: kind, Module: testPath, Version: "v1.0.0"}.String(), 200, body)
	}
	// The first has the version too by now, and all files of it still come from the second.
	other := first.publish(t, "git.example/both", "v1.0.0", "module git.example/both\n")
	mine := second.publish(t, "git.example/both", "v1.0.0", "module git.example/both // second\n")
	first.ill("/git.example/both/@v/v1.0.0.info", 404)
	p.want("/git.example/both/@v/v1.0.0.info", 200, mine.Info)
	p.want("/git.example/both/@v/v1.0.0.mod", 200, mine.Mod)
	p.want("/git.example/both/@v/v1.0.0.zip", 200, mine.Zip)
	if mine.Mod == other.Mod {
		t.Fatal("both upstreams have the same bytes: nothing is shown")
	}
	second.forget()
	first.ill("/git.example/ill/@v/v1.0.0.info", 503)
	second.publish(t, "git.example/ill", "v1.0.0", "module git.example/ill\n")
	p.want("/git.example/ill/@v/v1.0.0.info", 503, "*")
	if len(second.paths()) > 0 {
		t.Errorf("the second upstream was asked %q", second.paths())
	}
}

func TestCase29Index(t *testing.T) {
	u := newUpstream(t)
	p := newPond(t, []string{u.URL})
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		u.publish(t, testPath, v, testMod)
	}
	p.want(at+"v1.0.0.zip", 200, "*") // of a module whose list nobody has asked for
	if a := p.want("/index", 200, "*"); !strings.Contains(a.Body, `"Version":"v1.0.0"`) {
		t.Errorf("index %q; want v1.0.0 in it", a.Body)
	}
	p.pass(time.Hour)
	p.want(at+"list", 200, "*")
	p.want(at+"v1.1.0.mod", 200, "*")
	p.want(at+"v1.2.0.zip", 200, "*")
	lines := strings.Split(strings.TrimSpace(p.want("/index", 200, "*").Body), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "v1.0.0") || !strings.Contains(lines[1], "v1.2.0") {
		t.Errorf("index %q; want the two versions that are held", lines)
	}
}

func TestCase30HeadersAndConditions(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL})
	for _, path := range []string{at + "list", at + "v1.0.0.info", at + "v1.0.0.mod", at + "v1.0.0.zip"} {
		p.want(path, 200, "*") // cold
		get, head := p.get(path), p.do("HEAD", path)
		for _, name := range []string{"Content-Type", "Content-Length", "Etag", "Last-Modified", "Cache-Control", "Accept-Ranges"} {
			if g, h := get.Header.Get(name), head.Header.Get(name); g != h || g == "" && name != "Accept-Ranges" {
				t.Errorf("%s: %s is %q to GET and %q to HEAD", path, name, g, h)
			}
		}
		p.want(path, 304, "", "If-None-Match", get.Header.Get("Etag"))
		p.want(path, 304, "", "If-Modified-Since", get.Header.Get("Last-Modified"))
	}
	tag := p.get(at + "v1.0.0.zip").Header.Get("Etag")
	p.want(at+"v1.0.0.zip", 206, m.Zip[10:20], "Range", "bytes=10-19", "If-Range", tag)
	p.want(at+"v1.0.0.zip", 200, m.Zip, "Range", "bytes=10-19", "If-Range", `"other"`)
	p.want(at+"v1.0.0.zip", 416, "*", "Range", "bytes=99999999-")
	if a := p.do("HEAD", "/git.example/absent/@v/v1.0.0.zip"); a.Status != 404 {
		t.Errorf("HEAD of an absent zip: %d; want 404", a.Status)
	}
}

// A pond reads through another, and through that one's relay of the database.
func TestPondOverPond(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	inner := newPond(t, []string{u.URL}, verifiedBy(u))
	outer := newPond(t, []string{inner.URL + "/golang"}, verifiedBy(u), option("verify", "required"))
	outer.want(at+"v1.0.0.zip", 200, m.Zip)
	outer.want(at+"list", 200, "v1.0.0\n")
}
