package debian

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"millpond"
	"millpond/format/formattest"
	"millpond/repo"
)

// advise has the pond take one advisory, and wants that many takedowns of it.
func advise(t *testing.T, h *formattest.House, id string, want int, of ...repo.AdviceOf) {
	t.Helper()
	out, err := h.Pond.TakeAdvice(t.Context(), "feed of the tests", func(yield func(*repo.Advice, error) bool) {
		yield(&repo.Advice{ID: id, Why: "it leaks", Affected: of}, nil)
	})
	if err != nil || out.Taken != want {
		t.Fatalf("%s: %+v, %v; want %d takedowns", id, out, err, want)
	}
}

// TestAdviceOfReleases: an advisory is about the versions of the releases that it names, each with its own range, in indexes that
// are made here and when a file is opened. Of a suite whose release nobody knows all count.
func TestAdviceOfReleases(t *testing.T) {
	h := formattest.New(t, formattest.Ecosystem{Format: Format{}, Root: "/debian/"})
	const pool = "pool/main/h/hello/hello_"
	const shared = "pool/main/t/tool/tool_1.0_amd64.deb"
	for suite, one := range map[string]struct {
		says     string
		versions []string
	}{
		"bookworm":         {"Origin: Debian\nLabel: Debian\nVersion: 12.8\n", []string{"1.2-3", "1.2-3+deb12u1"}},
		"bookworm-updates": {"Origin: Debian\nLabel: Debian\nVersion: 12-updates\n", []string{"1.2-2"}},
		"trixie":           {"Origin: Debian\nLabel: Debian\nVersion: 13.1\n", []string{"1.2-9", "1.4-2", "1.1-1"}},
		"sid":              {"Origin: Debian\nLabel: Debian\n", []string{"1.3-1"}},
		"vendor":           {"Origin: Vendor\nLabel: Vendor\nVersion: 12.8\n", []string{"1.0-1"}},
	} {
		a := &archive{Up: h.Up, Root: "/debian/", Suite: "dists/" + suite, ByHash: true, Says: one.says}
		for _, v := range one.versions {
			a.Set(pool+v+"_amd64.deb", deb(t, "hello", v, "amd64", "", 0))
		}
		if suite != "sid" && suite != "vendor" {
			a.Set(shared, deb(t, "tool", "1.0", "amd64", "", 0))
		}
		a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	}
	c := h.Config("r", h.Up)
	c.Options = map[string]string{"curated": "bookworm trixie", "releases": "vendor=none"}
	h.Configure(repo.Settings{}, c)
	index := func(suite string) string {
		t.Helper()
		good(t, h, "/dists/"+suite+"/InRelease", nil)
		return string(good(t, h, "/dists/"+suite+"/main/binary-amd64/Packages", nil).Body)
	}
	suites := []string{"bookworm", "bookworm-updates", "trixie", "sid", "vendor"}
	for _, suite := range suites {
		index(suite)
	}
	good(t, h, "/"+shared, nil) // in memory, of no release

	advise(t, h, "DSA-1", 1,
		repo.AdviceOf{Ecosystem: "Debian:12", Package: "hello", Spans: []repo.Span{{Before: "1.2-3+deb12u1"}}},
		repo.AdviceOf{Ecosystem: "Debian:13", Package: "hello", Spans: []repo.Span{{From: "1.2-1", Before: "1.4-2"}}})
	for version, want := range map[string]int{
		"1.2-3": http.StatusForbidden, "1.2-2": http.StatusForbidden, "1.2-3+deb12u1": http.StatusOK, // of 12
		"1.2-9": http.StatusForbidden, "1.4-2": http.StatusOK, "1.1-1": http.StatusOK, // of 13
		"1.3-1": http.StatusForbidden, // of nobody knows which: one of the two means it
		"1.0-1": http.StatusOK,        // of none
	} {
		for range 2 { // the second from memory
			if r := h.Want(version, h.Get("/"+pool+version+"_amd64.deb"), want); want != http.StatusOK && !strings.Contains(string(r.Body), "it leaks") {
				t.Errorf("%s: it is not said why: %s", version, r)
			}
		}
	}
	lists := func(what, suite string, want map[string]bool) {
		t.Helper()
		now := index(suite)
		for version, listed := range want {
			if got := strings.Contains(now, "Version: "+version+"\n"); got != listed {
				t.Errorf("%s: %s lists %s: %v, want %v; the index:\n%s", what, suite, version, got, listed, now)
			}
		}
	}
	lists("DSA-1", "bookworm", map[string]bool{"1.2-3": false, "1.2-3+deb12u1": true})
	lists("DSA-1", "trixie", map[string]bool{"1.2-9": false, "1.4-2": true, "1.1-1": true})

	// What two releases have is refused if one of them may not have it: who asks for it does not say of which they are.
	advise(t, h, "DSA-2", 1, repo.AdviceOf{Ecosystem: "Debian:13", Package: "tool"})
	h.Want("what two releases have", h.Get("/"+shared), http.StatusForbidden)
	lists("DSA-2", "bookworm", map[string]bool{"1.0": true})
	lists("DSA-2", "trixie", map[string]bool{"1.0": false})

	// The operator says of which release a suite is; a record without a release is about all.
	c.Options = map[string]string{"curated": "bookworm trixie", "releases": "dists/sid=14 vendor=none"}
	h.Configure(repo.Settings{}, c)
	good(t, h, "/"+pool+"1.3-1_amd64.deb", nil)
	advise(t, h, "MAL-1", 1, repo.AdviceOf{Ecosystem: "Debian", Package: "hello"})
	h.Want("of no release", h.Get("/"+pool+"1.0-1_amd64.deb"), http.StatusForbidden)
	lists("MAL-1", "trixie", map[string]bool{"1.4-2": false})

	// What a record says no more, and what it says of another release, is told from what it said.
	advise(t, h, "DSA-2", 1, repo.AdviceOf{Ecosystem: "Debian:11", Package: "tool"})
	good(t, h, "/"+shared, nil)
	lists("DSA-2 of another release", "trixie", map[string]bool{"1.0": true})
}

// TestAdviceOfHosted: what is published here is of the release that the option says of its suite, and else of any.
func TestAdviceOfHosted(t *testing.T) {
	h, _ := house(t, map[string]string{"releases": "ours12=12 ours13=13"})
	owner := h.As(formattest.Owner)
	body := map[string][]byte{}
	for i, suite := range []string{"ours12", "ours13", "other"} {
		body[suite] = deb(t, "hello", "1.0", "amd64", "", i)
		h.Published(suite, owner.Do("PUT", "/pool/"+suite+"/main/x.deb", nil, body[suite]))
	}
	advise(t, h, "DSA-1", 1, repo.AdviceOf{Ecosystem: "Debian:12", Package: "hello"})
	for suite, listed := range map[string]bool{"ours12": false, "ours13": true, "other": false} {
		index := string(good(t, h, "/dists/"+suite+"/main/binary-amd64/Packages", nil).Body)
		if got := strings.Contains(index, "Version: 1.0\n"); got != listed {
			t.Errorf("%s lists it: %v, want %v; the index:\n%s", suite, got, listed, index)
		}
		path := "/" + poolFile(suite, "main", "hello", "hello_1.0_amd64.deb")
		if listed {
			good(t, h, path, body[suite])
		} else {
			h.Want(path, h.Get(path), http.StatusForbidden)
		}
	}
}

func TestReleased(t *testing.T) {
	for _, c := range []struct {
		name, ecosystem string
		spans           []repo.Span
		want            string
	}{
		{"a release", "Debian:12", []repo.Span{{Before: "2"}}, "[before 2 of release 12]"},
		{"all versions of one", "Debian:12", nil, "[all of release 12]"},
		{"a version of one", "Debian:12", []repo.Span{{Version: "2"}}, "[2 of release 12]"},
		{"no release", "Debian", []repo.Span{{Before: "2"}}, "[before 2]"},
	} {
		if got := fmt.Sprint(repo.Released(Format{}, c.ecosystem, c.spans)); got != c.want {
			t.Errorf("%s: the spans are %s, want %s", c.name, got, c.want)
		}
	}
}

func TestReleaseOf(t *testing.T) {
	for _, c := range []struct {
		name, option, suite string
		fields              map[string]string
		want                string
	}{
		{"a point release", "", "dists/bookworm", map[string]string{"Origin": "Debian", "Version": "12.8"}, "12"},
		{"updates", "", "dists/bookworm-updates", map[string]string{"Origin": "Debian", "Version": "12-updates"}, "12"},
		{"backports", "", "dists/bookworm-backports", map[string]string{"Origin": "Debian Backports", "Version": "12-backports"}, "12"},
		{"unstable", "", "dists/sid", map[string]string{"Origin": "Debian"}, ""},
		{"another distribution", "", "dists/noble", map[string]string{"Origin": "Other", "Version": "24.04"}, ""},
		{"one that begins so", "", "dists/x", map[string]string{"Origin": "Debianlike", "Version": "12"}, ""},
		{"the option wins", "sid=14 bookworm=none", "dists/bookworm", map[string]string{"Origin": "Debian", "Version": "12.8"}, "none"},
		{"of all others", "sid=14 *=none", "dists/bookworm", map[string]string{"Origin": "Debian", "Version": "12.8"}, "none"},
		{"by its whole name", "ubuntu/dists/noble=none", "ubuntu/dists/noble", nil, "none"},
		{"a flat one", "./=12", "./", nil, "12"},
		{"a word that is none of a flat one", "=12", "./", nil, ""},
		{"without a release", "noble", "dists/noble", nil, ""},
	} {
		if got := releaseOf(c.option, c.suite, c.fields); got != c.want {
			t.Errorf("%s: %q of %s %v is %q, want %q", c.name, c.option, c.suite, c.fields, got, c.want)
		}
	}
	option := func(string) string { return "ours=12" }
	for file, want := range map[string]bool{
		"": true, "pool/ours/main/h/hello/x.deb": true, "pool/theirs/main/h/hello/x.deb": true, "incoming/0/x.deb": true,
		"p/x.deb#": true, "p/x.deb##~12,13@up": true, "p/x.deb##7~13@up": false, "p/x.deb##7~none@up": false, "p/x.deb##7@u~12": true,
	} {
		if got := (Format{}).Ships(millpond.Key{Package: "hello", Version: "1", File: file}, "12", option); got != want {
			t.Errorf("%q ships with 12: %v, want %v", file, got, want)
		}
	}
	if (Format{}).Ships(millpond.Key{Package: "hello", File: "pool/ours/main/h/hello/x.deb"}, "13", option) {
		t.Error("what is of 12 ships with 13")
	}
}
