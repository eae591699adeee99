package repo_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/golang"
	"millpond/format/npm"
	"millpond/repo"
)

// An ecosystem has a package with an old version and one of yesterday.
type ecosystem struct {
	name    string
	change  func(*rig)
	put     func(*rig)
	index   string // below the repository
	header  http.Header
	lists   string   // what stands in the index if it lists the new version
	old     string   // a file of the old version
	refused []string // every route that gives a file or a document of the new version
}

const moduleName = "m.example/x"

func goZip(version string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"go.mod", "x.go"} {
		w, err := z.Create(moduleName + "@" + version + "/" + name)
		if err == nil {
			_, err = fmt.Fprintf(w, "module %s\n", moduleName)
		}
		if err != nil {
			panic(err) // memory does not fail
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func ecosystems() []ecosystem {
	yesterday := began.Add(-24 * time.Hour)
	year := began.AddDate(-1, 0, 0)
	root := func(r *rig) {
		u := *r.config.Upstreams[0].URL
		u.Path = "/"
		r.config.Upstreams[0].URL = &u
	}
	file := func(b []byte) faulty.Object {
		return faulty.Object{Body: b, ETag: fmt.Sprintf("%q", millpond.SHA256(b).Short())}
	}
	tgz := func(v string) []byte { return append([]byte("\x1f\x8b\x08"), noise(1, 5*kib)...) }
	return []ecosystem{
		{
			name: "pypi", change: func(*rig) {},
			put: func(r *rig) {
				r.put("alpha", "1.0.0", noise(1, 5*kib))
				e := r.put("alpha", "2.0.0", noise(2, 5*kib))
				e.published = yesterday
				r.publish(e)
			},
			index: "/simple/alpha/", header: http.Header{"Accept": {"application/vnd.pypi.simple.v1+json"}}, lists: "alpha-2.0.0",
			old: "/packages/alpha/-/alpha-1.0.0-py3-none-any.whl",
			refused: []string{
				"/packages/alpha/-/alpha-2.0.0-py3-none-any.whl", "/packages/py3/a/alpha/alpha-2.0.0-py3-none-any.whl",
				"/packages/alpha/-/alpha-2%2e0.0-py3-none-any.whl",
			},
		},
		{
			name: "golang", change: func(r *rig) {
				root(r)
				r.config.Format = golang.Format{}
				r.config.Options = map[string]string{"mod": "refuse"}
			},
			put: func(r *rig) {
				at := "/" + moduleName + "/@v/"
				r.up.Put(at+"list", file([]byte("v1.0.0\nv1.1.0\n")))
				for v, when := range map[string]time.Time{"v1.0.0": year, "v1.1.0": yesterday} {
					r.up.Put(at+v+".info", file(fmt.Appendf(nil, `{"Version":%q,"Time":%q}`, v, when.Format(time.RFC3339))))
					r.up.Put(at+v+".mod", file([]byte("module "+moduleName+"\n")))
					r.up.Put(at+v+".zip", file(goZip(v)))
				}
			},
			index: "/" + moduleName + "/@v/list", lists: "v1.1.0", old: "/" + moduleName + "/@v/v1.0.0.zip",
			refused: []string{
				"/" + moduleName + "/@v/v1.1.0.info", "/" + moduleName + "/@v/v1.1.0.mod", "/" + moduleName + "/@v/v1.1.0.zip",
				"/cached-only/" + moduleName + "/@v/v1.1.0.zip", "/" + moduleName + "/%40v/v1.1.0.zip",
			},
		},
		{
			name: "npm", change: func(r *rig) { root(r); r.config.Format = npm.Format{} },
			put: func(r *rig) {
				var versions, times []string
				for v, when := range map[string]time.Time{"1.0.0": year, "2.0.0": yesterday} {
					sum := sha512.Sum512(tgz(v))
					versions = append(versions, fmt.Sprintf(`%q:{"name":"alpha","version":%q,"dist":{"tarball":"%s/alpha/-/alpha-%s.tgz","integrity":"sha512-%s"}}`,
						v, v, r.up.URL, v, base64.StdEncoding.EncodeToString(sum[:])))
					times = append(times, fmt.Sprintf(`%q:%q`, v, when.Format(time.RFC3339)))
					r.up.Put("/alpha/-/alpha-"+v+".tgz", file(tgz(v)))
				}
				doc := fmt.Sprintf(`{"name":"alpha","dist-tags":{"latest":"2.0.0"},"versions":{%s},"time":{%s}}`, strings.Join(versions, ","), strings.Join(times, ","))
				o := file([]byte(doc))
				o.Type = "application/json"
				r.up.Put("/alpha", o)
			},
			index: "/alpha", lists: `"tarball":"`, old: "/alpha/-/alpha-1.0.0.tgz",
			refused: []string{"/alpha/-/alpha-2.0.0.tgz", "/alpha/-/%61lpha-2.0.0.tgz"},
		},
	}
}

// shows reports whether an index lists the new version.
func (e *ecosystem) shows(index []byte) bool {
	if e.name == "npm" {
		return strings.Contains(string(index), "alpha-2.0.0.tgz")
	}
	return strings.Contains(string(index), e.lists)
}

// S18: a version that is held back is refused on every route, whatever was asked, held or in memory before.
func TestS18RulesReachEveryRoute(t *testing.T) {
	hold := map[string]any{"hold": "7d"}
	for _, e := range ecosystems() {
		t.Run(e.name, func(t *testing.T) {
			r := newRig(t, e.change)
			e.put(r)
			index := func(repository string) reply { return r.do("GET", "/"+repository+e.index, e.header) }
			open := r.good("the index without rules", index("r"), nil)
			if !e.shows(open.Body) {
				t.Fatalf("the index does not list the new version: %s", open)
			}
			served := func(what, repository string) {
				t.Helper()
				for _, path := range e.refused {
					if a := r.get("/" + repository + path); a.Err != nil || a.Status != 200 && a.Status != 302 { // an alias redirects
						t.Errorf("%s: %s: got %s", what, path, a)
					}
				}
			}
			refused := func(what, repository string) {
				t.Helper()
				a := r.good(what+": the index", index(repository), nil)
				if e.shows(a.Body) {
					t.Errorf("%s: the index lists what is held back: %s", what, a)
				}
				if a.Header.Get("Etag") == open.Header.Get("Etag") {
					t.Errorf("%s: the index has the tag of another", what)
				}
				if again := r.do("GET", "/"+repository+e.index, with(e.header, "If-None-Match", open.Header.Get("Etag"))); again.Status != 200 {
					t.Errorf("%s: the index with its old tag: %s, want 200", what, again)
				}
				for _, path := range e.refused {
					for _, method := range []string{"GET", "HEAD"} {
						got := r.want(what+": "+method+" "+path, r.do(method, "/"+repository+path, nil), http.StatusForbidden)
						if method == "GET" && !contains(got.Body, "7 days") {
							t.Errorf("%s: %s does not say why: %s", what, path, got)
						}
					}
					for _, header := range []http.Header{{"Range": {"bytes=0-9"}}, {"If-None-Match": {"*"}}, {"If-Modified-Since": {"Sat, 21 Nov 2099 08:00:00 GMT"}}, {"Accept-Encoding": {"gzip"}}} {
						r.want(fmt.Sprintf("%s: %s with %v", what, path, header), r.do("GET", "/"+repository+path, header), http.StatusForbidden)
					}
				}
				r.good(what+": the old version", r.get("/"+repository+e.old), nil)
			}
			cold := func() { // a reader with a lock file asks for no index
				c := newRig(t, e.change, rules(hold))
				e.put(c)
				for _, path := range e.refused {
					c.want("cold, without an index: "+path, c.get("/r"+path), http.StatusForbidden)
				}
			}
			cold()
			served("held and hot", "r")
			free := r.config

			r.config.Policy = r.policy(hold)
			r.configure()
			refused("rules by a reload", "r")
			r.restart()
			refused("after a restart", "r")
			r.settings.Offline = true
			r.configure()
			refused("offline", "r")
			r.settings.Offline = false

			through := free
			through.Name, through.Upstreams = "s", []repo.Upstream{{Sibling: "r"}}
			r.configure(through)
			refused("through a sibling that is strict", "s")
			through.Policy = r.policy(hold)
			r.config = free
			r.configure(through)
			refused("strict, over a sibling that is not", "s")
			served("the sibling itself", "r")

			r.pass(7 * 24 * time.Hour)
			r.good("the hold has ended: the index", index("s"), nil)
			served("the hold has ended", "s")
			if n := len(r.events()); n != 0 {
				t.Errorf("events %q", r.events())
			}
		})
	}
}

func with(h http.Header, name, value string) http.Header {
	out := h.Clone()
	if out == nil {
		out = http.Header{}
	}
	out.Set(name, value)
	return out
}

// A rule in dry run is told of and changes nothing, the stamp of the index included.
func TestDryRunChangesNothing(t *testing.T) {
	e := ecosystems()[0]
	r := newRig(t)
	e.put(r)
	open := r.good("without rules", r.do("GET", "/r"+e.index, e.header), nil)
	r.config.Policy = r.policy(map[string]any{"hold": "7d", "dry-run": true})
	r.configure()
	dry := r.good("dry", r.do("GET", "/r"+e.index, e.header), open.Body)
	if !e.shows(dry.Body) {
		t.Error("a rule in dry run hides")
	}
	r.good("its file", r.get("/r"+e.refused[0]), nil)
	why, err := r.pond.Repository("r").Why(t.Context(), "alpha", "2.0.0")
	if err != nil || len(why.WouldBe) != 1 || why.Words != "" || !strings.Contains(why.WouldBe[0], "7 days") {
		t.Errorf("Why = %+v, %v, want what the rule would have said", why, err)
	}
}

// A fact that rules lack is fetched once, and what cannot be had denies.
func TestRulesFetchTheFactsTheyLack(t *testing.T) {
	e := ecosystems()[1]
	info := "/" + moduleName + "/@v/v1.0.0.info"
	r := newRig(t, e.change, rules(map[string]any{"hold": "7d"}))
	e.put(r)
	for range 3 {
		a := r.good("list", r.get("/r"+e.index), nil)
		if got := strings.Fields(string(a.Body)); !slices.Equal(got, []string{"v1.0.0"}) {
			t.Errorf("list %q, want v1.0.0 only", got)
		}
		r.good("zip", r.get("/r"+e.old), nil)
		r.pass(time.Hour)
	}
	if n := r.up.Count("GET", info); n > 2 { // the fact, and the file that a client may ask for
		t.Errorf("the facts of a version were asked for %d times", n)
	}

	ill := newRig(t, e.change, rules(map[string]any{"hold": "7d"}))
	e.put(ill)
	ill.up.Order(info, "always 500")
	ill.want("a version whose age cannot be known", ill.get("/r"+e.old), http.StatusForbidden)
	ill.up.Order(info, "always ok")
	ill.pass(10 * time.Minute)
	ill.good("its age can be known", ill.get("/r"+e.old), nil)
}

// The stamp follows the rules: two configurations that show the same have tags of their own, and the same configuration
// has the same tag again.
func TestStampFollowsTheRules(t *testing.T) {
	e := ecosystems()[0]
	r := newRig(t)
	e.put(r)
	stamp := func(rules ...map[string]any) string {
		t.Helper()
		r.config.Policy = nil
		if len(rules) > 0 {
			r.config.Policy = r.policy(rules...)
		}
		r.configure()
		s, _, err := r.pond.Repository("r").For(repo.Caller{}).Stamp(t.Context(), "alpha")
		if err != nil || s == "" {
			t.Fatalf("Stamp = %q, %v", s, err)
		}
		return s
	}
	none, hold, block := stamp(), stamp(map[string]any{"hold": "7d"}), stamp(map[string]any{"block": []any{"alpha@>=2"}})
	if none == hold || hold == block || none == block {
		t.Errorf("stamps %q, %q, %q, want three", none, hold, block)
	}
	if again := stamp(map[string]any{"hold": "7d"}); again != hold {
		t.Errorf("the same rules again: %q, want %q", again, hold)
	}
	r.restart()
	if again := stamp(); again != none {
		t.Errorf("no rules, after a restart: %q, want %q", again, none)
	}
}

// S19: without a date the time counts from when this pond first saw a version, a date in the future gains nothing, and an
// old release passes at once.
func TestS19Dates(t *testing.T) {
	r := newRig(t, rules(map[string]any{"hold": "7d"}))
	old := r.put("alpha", "1", noise(1, kib))
	mute, future := r.put("alpha", "2", noise(2, kib)), r.put("alpha", "3", noise(3, kib))
	mute.mute, future.published = true, began.AddDate(0, 0, 30)
	r.publish(mute)
	r.publish(future)
	at := func(what string, e entry, status int) { t.Helper(); r.want(what, r.get(e.path()), status) }
	at("an old release", old, 200)
	at("no date", mute, 403)
	at("a date in the future", future, 403)
	r.restart()
	r.pass(6 * 24 * time.Hour)
	r.good("index", r.index("alpha"), nil)
	at("no date, six days after", mute, 403)
	r.pass(25 * time.Hour)
	at("no date, a week after it was first seen", mute, 200)
	at("a date in the future, a week after", future, 403)
	r.pass(31 * 24 * time.Hour)
	at("a week after its date", future, 200)

	// An upstream that backdates what it puts later cannot ripen it, where the rule counts from when it was seen.
	strict := newRig(t, rules(map[string]any{"hold": "7d", "seen": true}))
	first := strict.put("alpha", "1", noise(1, kib))
	strict.hold(first)
	strict.pass(time.Hour)
	late := strict.put("alpha", "2", noise(2, kib)) // says that it is a year old
	strict.good("index", strict.index("alpha"), nil)
	strict.want("backdated", strict.get(late.path()), 403)
	strict.pass(8 * 24 * time.Hour)
	strict.good("a week after it was seen", strict.get(late.path()), late.bytes())
}

// S21, S22: a claimed name asks nobody on any route, though the upstream has it in a higher version.
func TestS21ClaimsAskNobody(t *testing.T) {
	for _, e := range ecosystems() {
		t.Run(e.name, func(t *testing.T) {
			r := newRig(t, e.change, func(r *rig) {
				r.config.Claims = []string{"alph*"}
				if e.name == "golang" {
					r.config.Claims = []string{"m.example/*"}
				}
			})
			e.put(r)
			for _, path := range append(slices.Clone(e.refused), e.old, e.index) {
				for _, method := range []string{"GET", "HEAD"} {
					a := r.do(method, "/r"+path, e.header)
					if a.Err != nil || a.Status != 404 {
						t.Errorf("%s %s: got %s, want 404", method, path, a)
					}
				}
			}
			if e.name == "npm" {
				r.do("GET", "/r/-/package/alpha/dist-tags", nil)
				r.do("GET", "/r/alpha/latest", nil)
				r.do("GET", "/r/-/npm/v1/attestations/alpha@2.0.0", nil)
			}
			r.up.Want(t, "", 0)
		})
	}
}

// What vanished upstream is served through a sibling as it is served by itself.
func TestF16AVanishedFileThroughASibling(t *testing.T) {
	r := newRig(t)
	e, more := r.put("alpha", "1", noise(1, kib)), r.put("beta", "1", noise(2, kib))
	r.hold(e, more)
	through := r.config
	through.Name, through.Upstreams = "s", []repo.Upstream{{Sibling: "r"}}
	r.configure(through)
	r.up.Remove("/simple/alpha/")
	for range 2 {
		r.pass(time.Hour)
		r.index("alpha")
	}
	path := strings.Replace(e.path(), "/r/", "/s/", 1)
	r.good("by itself", r.get(e.path()), e.bytes())
	r.good("through a sibling", r.get(path), e.bytes())
	through.Policy = r.policy(map[string]any{"block": []any{"alpha"}})
	r.configure(through)
	r.want("through a sibling that blocks it", r.get(path), http.StatusForbidden)
	through.Policy = r.policy(map[string]any{"block": []any{"alpha@1"}})
	r.configure(through)
	if a := r.get(path); a.Status == 200 {
		t.Errorf("through a sibling that blocks the version: got %s", a)
	}
}
