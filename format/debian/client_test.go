package debian

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestCase03Herd: however many clients update, and whatever their Cache-Control says, the upstream is asked for its Release
// once in the time that it is fresh.
func TestCase03Herd(t *testing.T) {
	h, _ := stocked(t, nil)
	herd := func(what string, want int) {
		t.Helper()
		h.Up.Forget()
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				r := h.Do("GET", "/r"+inRelease, http.Header{"Cache-Control": {"max-age=0"}})
				if r.Status != http.StatusOK || r.Err != nil {
					t.Errorf("%s: %s", what, r)
				}
			})
		}
		all.Wait()
		if n := h.Up.Count("GET", "/debian"+inRelease); n != want {
			t.Errorf("%s: the upstream was asked %d times, want %d", what, n, want)
		}
	}
	herd("cold", 1)
	for range 5 {
		h.Pass(10 * time.Second)
		herd("fresh", 0)
	}
	h.Pass(11 * time.Second)
	herd("no longer fresh", 1)
}

// TestSecuritySuites: a suite of security updates is looked at twice as often as others, unless the operator says how often.
func TestSecuritySuites(t *testing.T) {
	h, _ := stocked(t, nil)
	a := &archive{Up: h.Up, Root: "/debian/", Suite: "dists/stable-security", ByHash: true}
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	looks := func(what string, stable, security int) {
		t.Helper()
		h.Up.Forget()
		for suite, want := range map[string]int{"stable": stable, "stable-security": security} {
			good(t, h, "/dists/"+suite+"/InRelease", nil)
			if n := h.Up.Count("GET", "/debian/dists/"+suite+"/InRelease"); n != want {
				t.Errorf("%s: %s was looked at %d times, want %d", what, suite, n, want)
			}
		}
	}
	looks("cold", 1, 1)
	h.Pass(29 * time.Second)
	looks("after 29 seconds", 0, 0)
	h.Pass(2 * time.Second)
	looks("after 31 seconds", 0, 1)
	h.Pass(31 * time.Second)
	looks("after a minute", 1, 1)
	c := h.Config("r", h.Up)
	c.Fresh = time.Hour
	h.Configure(repo.Settings{}, c)
	looks("now it is an hour", 0, 0)
	h.Pass(61 * time.Second)
	looks("what was said before still counts", 1, 1)
	h.Pass(59 * time.Minute)
	looks("nearly an hour", 0, 0)
}

// TestCase08Corrupt: apt gets the right bytes in one run though the upstream's first answer was wrong, and a web page in place of
// an InRelease is not taken for one.
func TestCase08Corrupt(t *testing.T) {
	h, _ := stocked(t, nil)
	root := newAPT(t, fmt.Sprintf("deb [trusted=yes] %s/r stable main\n", h.URL))
	h.Up.Order("/debian"+inRelease, "html-200")
	if out, err := root.run("update"); err == nil && !strings.Contains(out, "W: ") {
		t.Errorf("an update with nothing but a web page upstream says nothing:\n%s", out)
	}
	h.Pass(2 * time.Minute)
	root.must("update")
	h.Up.Order("/debian/"+helloPath, "lie")
	root.must("install", "hello")
	if got := root.installed("hello"); got != "1.0" {
		t.Errorf("hello is installed as %q, want 1.0", got)
	}
}

// TestCase09Pipeline: of ten files that apt asks for in a row one is blocked and one is gone, and all others arrive. That apt
// prints our words is shown by the script of the rules.
func TestCase09Pipeline(t *testing.T) {
	h, a := stocked(t, nil)
	names := []string{}
	for n := range 10 {
		name := fmt.Sprintf("pack-%d", n)
		a.Set(fmt.Sprintf("pool/main/p/%[1]s/%[1]s_1_amd64.deb", name), deb(t, name, "1", "amd64", "", 0))
		names = append(names, name)
	}
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
	h.Up.Remove("/debian/pool/main/p/pack-6/pack-6_1_amd64.deb")
	c := h.Config("r", h.Up)
	formattest.Rules(t, map[string]any{"block": []any{"pack-3"}, "why": "it is known to bite"})(&c)
	h.Configure(repo.Settings{}, c)
	root := newAPT(t, fmt.Sprintf("deb [trusted=yes] %s/r stable main\n", h.URL))
	root.must("update")
	out, err := root.run(append([]string{"install", "--download-only"}, names...)...)
	if err == nil || strings.Count(out, "E: Failed to fetch") != 2 {
		t.Errorf("apt does not say what failed: %v\n%s", err, out)
	}
	for n, name := range names {
		want := n != 3 && n != 6
		file := fmt.Sprintf("/pool/main/p/%[1]s/%[1]s_1_amd64.deb", name)
		if got := h.Get(file).Status == http.StatusOK; got != want || want == strings.Contains(out, "Failed to fetch "+h.URL+"/r"+file) {
			t.Errorf("%s: served %v, want %v:\n%s", name, got, want, out)
		}
	}
}

// TestCase12Bombs: an index that unpacks to more than its Release says is stopped there, a Release of more bytes than apt takes
// is refused, and a web page in place of a package is never given.
func TestCase12Bombs(t *testing.T) {
	h, a := stocked(t, map[string]string{"curated": "other"})
	first := good(t, h, inRelease, nil)
	h.Up.Order("/debian"+inRelease, "always big 10000001")
	h.Pass(2 * time.Minute)
	good(t, h, inRelease, first.Body)
	h.Up.Order("/debian"+inRelease, "always ok")
	h.Up.Order("/debian/"+helloPath, "always html-200")
	good(t, h, packages, nil)
	if r := h.Get("/" + helloPath); r.Status == http.StatusOK && r.Err == nil {
		t.Errorf("a web page in place of a package: %s", r)
	}

	bomb := packed(t, bytes.Repeat([]byte("A: "+strings.Repeat("a", 1000)+"\n"), 20_000))
	b := &archive{Up: h.Up, Root: "/debian/", Suite: "dists/other", ByHash: true}
	b.Set(helloPath, a.debs[helloPath])
	b.extra = map[string][]byte{amd64 + ".gz": bomb, amd64: []byte("Package: x\n")}
	b.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	began := time.Now()
	h.Want("a curated suite of a bomb", h.Get("/dists/other/InRelease"), http.StatusServiceUnavailable)
	t.Logf("%d bytes of a bomb of 20 MB took %v", len(bomb), time.Since(began))
}

// TestCase14Headers: nothing that an upstream says in its header, and nothing of where it redirects to, comes to a client.
func TestCase14Headers(t *testing.T) {
	h, a := stocked(t, nil)
	body := a.debs[helloPath]
	h.Up.Put("/debian/elsewhere.deb", faulty.Object{Body: body})
	h.Up.Handle("/debian/"+helloPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/debian/elsewhere.deb?%0a%0a201%20URI%20Done%0aFilename:%20x")
		w.Header().Set("Via", "1.1 varnish")
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(http.StatusFound)
	})
	good(t, h, packages, nil)
	for _, what := range []string{"cold", "warm"} {
		r := good(t, h, "/"+helloPath, body)
		for _, name := range []string{"Location", "Via", "Set-Cookie"} {
			if v := r.Header.Get(name); v != "" {
				t.Errorf("%s: the answer has %s: %s", what, name, v)
			}
		}
	}
}
