package rubygems

// The numbered cases of this format, and what shows them besides the tests that carry their number:
//
//	 1  scripts rubygems/gem and rubygems/bundler
//	 2  TestVersionsNeverSeen, TestInfoFollowsTheList
//	 3  log_test.go: the follower checks tag and Repr-Digest of every snapshot
//	 4  TestTheLogOutlivesThePond, TestTheLogIsCompacted
//	 6  script rubygems/hold
//	 8  script rubygems/claim; TestSearch
//	 9  TestRubyReadsTheLegacyIndex, TestRubyOrdersAsWeDo, TestRubyMatchesAsWeDo
//	10  script rubygems/publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
)

// pushBytes is what gem push sends.
func pushBytes(c formattest.Client, gem []byte) formattest.Reply {
	return c.Do("POST", "/api/v1/gems", http.Header{"Content-Type": {"application/octet-stream"}}, gem)
}

// TestCase07PlatformsAndNames: a number and its platform are a version of their own, in whatever order they come; names that
// could be read in two ways are found.
func TestCase07PlatformsAndNames(t *testing.T) {
	for _, order := range [][]string{{"1.16.0-x86_64-linux", "1.16.0"}, {"1.16.0", "1.16.0-x86_64-linux"}} {
		h := formattest.New(t, ecosystem)
		for _, version := range order {
			push(t, h, "nokogiri", version)
		}
		info := h.Good("info", h.Get("/info/nokogiri"), nil)
		for _, version := range order {
			h.Shows("both platforms", info, version, true)
			h.Good("gem "+version, h.Get("/gems/nokogiri-"+version+".gem"), gemBytes("nokogiri", formattest.Release{Version: version}))
			h.Good("quick "+version, h.Get("/quick/Marshal.4.8/nokogiri-"+version+".gemspec.rz"), nil)
		}
		if got := yankAs(h.As(formattest.Owner), "nokogiri", "1.16.0", "x86_64-linux"); got.Status != 200 {
			t.Fatalf("yank: %s", got)
		}
		info = h.Good("info", h.Get("/info/nokogiri"), nil)
		h.Shows("after a yank of one platform", info, "1.16.0-x86_64-linux", false)
		h.Shows("after a yank of one platform", info, "1.16.0", true)
		if got := pushBytes(h.As(formattest.Owner), gemBytes("nokogiri", formattest.Release{Version: "1.16.0-x86_64-linux", Variant: 2})); got.Status != http.StatusConflict {
			t.Errorf("a yanked number again: got %s, want 409", got)
		}
	}
	h := formattest.New(t, ecosystem)
	for _, one := range [][2]string{{"foo-2-bar", "1.0.0-java"}, {"foo", "2.0.0"}, {"aws-sdk-s3", "1.0.0"}, {"net-http2", "0.1.0"}, {"a", "1.0.0.pre"}, {"a", "1.a"}} {
		name, version := one[0], one[1]
		push(t, h, name, version)
		h.Good(name, h.Get("/gems/"+name+"-"+version+".gem"), gemBytes(name, formattest.Release{Version: version}))
		h.Shows(name, h.Get("/info/"+name), version, true)
	}
	h.Want("a gem that is another's beginning", h.Get("/gems/foo-2-bar-1.0.0.gem"), http.StatusNotFound)
	// "1-x" as a gemspec may say it is 1.pre.x
	gem := makeGem(strings.Replace(metadata("a", "1.0", ""), "version: 1.0\n", "version: 1-x\n", 1), nil)
	if got := pushBytes(h.As(formattest.Owner), gem); got.Status != 200 || !strings.Contains(string(got.Body), "a (1.pre.x)") {
		t.Errorf("push of 1-x: got %s, want a (1.pre.x)", got)
	}
	h.Shows("1-x", h.Get("/info/a"), "1.pre.x", true)
}

// TestCase07UnionByNumber: with merge: union all platforms of one number come from one layer.
func TestCase07UnionByNumber(t *testing.T) {
	h := formattest.New(t, ecosystem, func(c *repo.Config) { c.Union = true })
	putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0"}, formattest.Release{Version: "1.0.0-java"}, formattest.Release{Version: "0.9.0-java"})
	push(t, h, "alpha", "1.0.0")
	info := h.Good("info", h.Get("/info/alpha"), nil)
	for version, want := range map[string]bool{"1.0.0": true, "1.0.0-java": false, "0.9.0-java": true} {
		h.Shows("union", info, version, want)
	}
	h.Want("the other layer's platform of a number that is ours", h.Get("/gems/alpha-1.0.0-java.gem"), http.StatusNotFound)
}

// TestCase10PushOfWhatIsBad: bombs, foreign tags, paths and sums; nothing of it is kept, and each is said.
func TestCase10PushOfWhatIsBad(t *testing.T) {
	h := formattest.New(t, ecosystem)
	good := metadata("alpha", "1.0.0", "")
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 20; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	files := map[string]string{"lib/a.rb": "x"}
	wrongSums := tarred([][2]string{{"metadata.gz", string(zipped(good))}, {"data.tar.gz", string(zipped(string(tarred(nil))))},
		{"checksums.yaml.gz", string(zipped("---\nSHA256:\n  metadata.gz: " + strings.Repeat("0", 64) + "\n"))}})
	for name, gem := range map[string][]byte{
		"a bomb of aliases":      makeGem(good+bomb, files),
		"a foreign tag":          makeGem(good+"x: !ruby/object:Kernel\n  y: 1\n", files),
		"a tag that runs":        makeGem(good+"x: !ruby/hash:Gem::Installer {}\n", files),
		"deep":                   makeGem(good+"x: "+strings.Repeat("[", 100)+strings.Repeat("]", 100)+"\n", files),
		"a name with a path":     makeGem(strings.Replace(good, "name: alpha", "name: ../../alpha", 1), files),
		"a name of dots":         makeGem(strings.Replace(good, "name: alpha", "name: ..", 1), files),
		"a number that is none":  makeGem(strings.Replace(good, "version: 1.0.0", "version: 1/0", 1), files),
		"a platform with a path": makeGem(strings.Replace(good, "platform: ruby", "platform: ../x", 1), files),
		"wrong checksums":        wrongSums,
		"a file outside":         makeGem(good, map[string]string{"../../etc/passwd": "x"}),
		"an absolute file":       makeGem(good, map[string]string{"/etc/passwd": "x"}),
		"a link outside":         makeGem(good, map[string]string{"lib/a": "-> ../../x"}),
		"metadata of 2 MiB":      makeGem(good+"x: "+strings.Repeat("y", 2<<20)+"\n", files),
		"no archive":             []byte("hello"),
		"nothing":                nil,
		"half a gem":             makeGem(good, files)[:1500],
	} {
		got := pushBytes(h.As(formattest.Owner), gem)
		if got.Status != 422 && got.Status != 413 || len(got.Body) < 10 {
			t.Errorf("%s: got %s, want 422 or 413, and words", name, got)
		}
	}
	h.Want("after all that", h.Get("/info/alpha"), http.StatusNotFound)
	// and what is good, the same again, other bytes, another case, as a form
	owner := h.As(formattest.Owner)
	one := formattest.Release{Version: "1.0.0"}
	push(t, h, "alpha", "1.0.0")
	if got := pushBytes(owner, gemBytes("alpha", one)); got.Status != 200 || string(got.Body) != "Gem was already pushed\n" {
		t.Errorf("the same again: got %s", got)
	}
	one.Variant = 2
	if got := pushBytes(owner, gemBytes("alpha", one)); got.Status != http.StatusConflict {
		t.Errorf("other bytes: got %s, want 409", got)
	}
	if got := pushBytes(owner, gemBytes("Alpha", one)); got.Status != http.StatusConflict {
		t.Errorf("another case: got %s, want 409", got)
	}
	form := "--b\r\nContent-Disposition: form-data; name=\"attestations\"\r\n\r\n[]\r\n--b\r\nContent-Disposition: form-data; name=\"gem\"; filename=\"x\"\r\n\r\n" + string(gemBytes("formed", one)) + "\r\n--b--\r\n"
	if got := owner.Do("POST", "/api/v1/gems", http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, []byte(form)); got.Status != 200 {
		t.Errorf("as a form: got %s, want 200", got)
	}
	h.Good("pushed as a form", h.Get("/gems/formed-1.0.0.gem"), gemBytes("formed", one))
}

// TestCase10FiftyAtOnce: of fifty pushes of other bytes under one number one wins, and the index names its bytes.
func TestCase10FiftyAtOnce(t *testing.T) {
	h := formattest.New(t, ecosystem)
	var all sync.WaitGroup
	var mu sync.Mutex // guards won
	var won [][]byte
	for i := range 50 {
		all.Go(func() {
			gem := gemBytes("alpha", formattest.Release{Version: "1.0.0", Variant: i})
			switch got := pushBytes(h.As(formattest.Owner), gem); got.Status {
			case http.StatusOK:
				mu.Lock()
				won = append(won, gem)
				mu.Unlock()
			case http.StatusConflict:
			default:
				t.Errorf("push %d: got %s, want 200 or 409", i, got)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d pushes were taken, want one", len(won))
	}
	h.Good("the winner", h.Get("/gems/alpha-1.0.0.gem"), won[0])
}

// TestCase11WrongBytes: what is not the gem that its index names never ends cleanly, and what is no quick spec is none.
func TestCase11WrongBytes(t *testing.T) {
	one := formattest.Release{Version: "1.0.0", Published: formattest.Epoch().AddDate(-1, 0, 0)}
	gem := gemBytes("alpha", one)
	for _, verb := range []string{"lie", "html-200", "empty-200"} {
		h := formattest.New(t, ecosystem)
		putGem(h.Up, "alpha", one)
		h.Up.Order(root+"gems/alpha-1.0.0.gem", "always "+verb)
		if got := h.Get("/gems/alpha-1.0.0.gem"); got.Err == nil && got.Status == 200 {
			t.Errorf("%s: got %s, want no clean end", verb, got)
		}
	}
	for i := 1; i < 10; i++ {
		h := formattest.New(t, ecosystem)
		putGem(h.Up, "alpha", one)
		h.Up.Order(root+"gems/alpha-1.0.0.gem", fmt.Sprintf("cut %d", len(gem)*i/10))
		h.Good(fmt.Sprintf("cut at %d tenths", i), h.Get("/gems/alpha-1.0.0.gem"), gem)
	}
	for _, verb := range []string{"html-200", "lie", "empty-200"} {
		h := formattest.New(t, ecosystem)
		putGem(h.Up, "alpha", one)
		h.Up.Order(root+"quick/Marshal.4.8/alpha-1.0.0.gemspec.rz", "always "+verb)
		if got := h.Get("/quick/Marshal.4.8/alpha-1.0.0.gemspec.rz"); got.Err == nil && got.Status == 200 {
			t.Errorf("quick spec, %s: got %s, want no clean end", verb, got)
		}
	}
}

// TestCase11PathsAndHeaders: no path leaves the repository, and no header sends the pond anywhere.
func TestCase11PathsAndHeaders(t *testing.T) {
	h := formattest.New(t, ecosystem)
	putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0"})
	for _, path := range []string{
		"/gems/..%2f..%2fetc", "/gems/..%2f..%2fx-1.0.gem", "/quick/Marshal.4.8/../../versions", "/quick/Marshal.4.8/..%2falpha-1.0.0.gemspec.rz", "/info/..", "/info/a%2fb",
		"/info/", "/gems//alpha-1.0.0.gem", "//versions", "/info/alpha/", "/api/v1/dependencies", "/api/v1/webauthn_verification", "/gems/alpha.gem", "/info/%61lpha",
	} {
		h.Want(path, h.Get(path), http.StatusNotFound)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("bad paths cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	header := http.Header{"X-Gemfile-Source": {"http://169.254.169.254/"}}
	h.Good("a header that names another source", h.Do("GET", "/r/info/alpha", header), nil)
	for _, one := range h.Up.Requests("") {
		if !strings.HasPrefix(one.Path, root) {
			t.Errorf("the upstream was asked for %s", one.Path)
		}
	}
}

// TestSearch finds what may be seen, best first, and asks nobody for what claims hide.
func TestSearch(t *testing.T) {
	h := formattest.New(t, ecosystem, func(c *repo.Config) { c.Claims = []string{"acme-*"} })
	putGem(h.Up, "rails-x", formattest.Release{Version: "1.0.0"}, formattest.Release{Version: "2.0.0.pre"})
	putGem(h.Up, "my-rails", formattest.Release{Version: "1.0.0"})
	putGem(h.Up, "rails", formattest.Release{Version: "1.10.0"}, formattest.Release{Version: "1.9.0"})
	putGem(h.Up, "acme-rails", formattest.Release{Version: "9.0.0"})
	push(t, h, "acme-rails-x", "1.0.0")
	find := func(query string) string {
		t.Helper()
		got := h.Good(query, h.Get("/api/v1/search.json?query="+query), nil)
		var all []struct{ Name, Version string }
		if err := json.Unmarshal(got.Body, &all); err != nil {
			t.Fatalf("%s: %v in %q", query, err, got.Body)
		}
		var out []string
		for _, one := range all {
			out = append(out, one.Name+" "+one.Version)
		}
		return strings.Join(out, ", ")
	}
	for query, want := range map[string]string{
		"rails": "rails 1.10.0, rails-x 1.0.0, acme-rails-x 1.0.0, my-rails 1.0.0", "RAILS-": "rails-x 1.0.0, acme-rails-x 1.0.0", "none": "", "": "",
		"rails&page=2": "",
	} {
		if got := find(query); got != want {
			t.Errorf("search for %q: got %q, want %q", query, got, want)
		}
	}
}

// TestTheLogOutlivesThePond: after a restart a client still gets the tail, and what changed meanwhile is in it. A memory that
// is damaged is not believed.
func TestTheLogOutlivesThePond(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d", "except": []any{"ours*"}}))
	old := formattest.Epoch().AddDate(-1, 0, 0)
	putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0", Published: old}, formattest.Release{Version: "1.1.0", Published: formattest.Epoch().Add(-time.Hour)})
	putGem(h.Up, "beta", formattest.Release{Version: "1.0.0", Published: old})
	push(t, h, "ours", "1.0.0")
	f := &follower{t: t, h: h}
	f.sync()
	h.Get("/info/alpha")
	push(t, h, "ours", "1.1.0")
	push(t, h, "ours-too", "1.0.0")
	f.sync()
	f.agrees("alpha")
	h.Pass(time.Minute)
	h.Restart()
	f.sync()
	for _, name := range []string{"alpha", "beta", "ours", "ours-too"} {
		f.agrees(name)
	}
	push(t, h, "ours-too", "1.1.0")
	putGem(h.Up, "beta", formattest.Release{Version: "1.0.0", Published: old}, formattest.Release{Version: "1.1.0", Published: old})
	h.Pass(time.Hour)
	h.Restart()
	f.sync()
	for _, name := range []string{"alpha", "beta", "ours-too"} {
		f.agrees(name)
	}
	h.Pass(8 * 24 * time.Hour) // the hold has ended
	f.sync()
	f.agrees("alpha")
	if versions, _ := f.read("alpha"); strings.Join(versions, " ") != "1.0.0 1.1.0" {
		t.Errorf("the hold has ended over a restart: the versions are %q, want 1.0.0 and 1.1.0", versions)
	}
	if f.whole != 1 {
		t.Errorf("the text was given whole %d times, want once", f.whole)
	}
	// damaged: one byte of what is remembered
	seen := observer(h.Pond.Repository("r").For(repo.Caller{}))
	text, err := seen.Recall(t.Context(), chunkName(0))
	if err != nil || len(text) == 0 {
		t.Fatalf("nothing is remembered: %v", err)
	}
	if err := seen.Remember(t.Context(), chunkName(0), bytes.Replace(text, []byte("alpha"), []byte("omega"), 1)); err != nil {
		t.Fatal(err)
	}
	h.Restart()
	f.sync()
	f.agrees("alpha")
	if f.whole != 2 {
		t.Errorf("a damaged text is believed: it was given whole %d times, want twice", f.whole)
	}
}

// TestInfoFollowsTheList: when the upstream's list says that a gem has changed whose info is still fresh, the info is read anew:
// its md5 is the one that the list of names says.
func TestInfoFollowsTheList(t *testing.T) {
	h := formattest.New(t, ecosystem, func(c *repo.Config) { c.Fresh = 24 * time.Hour })
	one, two := formattest.Release{Version: "1.0.0"}, formattest.Release{Version: "1.1.0"}
	putGem(h.Up, "alpha", one)
	putGem(h.Up, "beta", one)
	f := &follower{t: t, h: h}
	f.sync()
	f.agrees("alpha")
	putGem(h.Up, "alpha", one, two)
	h.Pass(time.Hour)
	got := h.Do("GET", "/r/versions", http.Header{"Cache-Control": {"no-cache"}})
	if !strings.Contains(string(got.Body), "alpha 1.1.0 ") {
		t.Fatalf("versions: got %s, want alpha 1.1.0", got)
	}
	f.sync()
	f.agrees("alpha")
	if n := h.Up.Count("", root+"info/beta"); n != 0 {
		t.Errorf("the info of beta, which nobody wanted, was asked for %d times", n)
	}
}
