package npm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
)

const widget = "@acme/widget"

func TestIndexRecordsVersions(t *testing.T) {
	p := read(t, widget, golden(t, "widget.json"))
	sha1 := func(hex string) string { return "sha1:" + hex }
	const empty512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
	for _, want := range []struct {
		version, published, licence, file, digests string
		prerelease                                 bool
	}{
		{"1.0.0", "2020-01-01", "MIT", "widget-1.0.0.tgz", sha1("f572d396fae9206628714fb2ce00f72e94f2258f"), false},
		{"2.0.0", "2023-01-01", "ISC", "widget-2.0.0.tgz", empty512 + " " + sha1("da39a3ee5e6b4b0d3255bfef95601890afd80709"), false},
		{"2.0.1", "2024-01-01", "MIT OR Apache-2.0", "widget-2.0.1.tgz", empty512, false},
		{"3.0.0-canary.2", "2024-02-01", "", "widget-3.0.0-canary.2.tgz", sha1("da39a3ee5e6b4b0d3255bfef95601890afd80709"), true},
	} {
		v := p.Version(want.version)
		if v == nil {
			t.Errorf("no version %s", want.version)
			continue
		}
		if got := v.Published.Format(time.DateOnly); got != want.published {
			t.Errorf("%s published: got %s, want %s", want.version, got, want.published)
		}
		if v.Licence != want.licence || v.Prerelease != want.prerelease {
			t.Errorf("%s: got licence %q, prerelease %v; want %q, %v", want.version, v.Licence, v.Prerelease, want.licence, want.prerelease)
		}
		if len(v.Files) != 1 {
			t.Fatalf("%s: got %d files", want.version, len(v.Files))
		}
		f := v.Files[0]
		if f.Name != want.file || f.URL != upstreamBase+widget+"/-/"+want.file || f.Size != -1 {
			t.Errorf("%s: got file %q at %q, size %d", want.version, f.Name, f.URL, f.Size)
		}
		var digests []string
		for _, d := range f.Digests {
			digests = append(digests, d.String())
		}
		if got := strings.Join(digests, " "); got != want.digests {
			t.Errorf("%s digests:\n got %s\nwant %s", want.version, got, want.digests)
		}
		if v.Yanked {
			t.Errorf("%s is yanked; npm has no such thing", want.version)
		}
	}
	var refs []string
	for _, r := range p.Refs {
		refs = append(refs, r.Name+"="+r.Target)
	}
	if got, want := strings.Join(refs, " "), "latest=2.0.1 next=3.0.0-canary.3 legacy=1.0.0"; got != want {
		t.Errorf("refs: got %s, want %s", got, want)
	}
}

func TestFullIsTheUpstreamsTextWhereNothingChanges(t *testing.T) {
	text := golden(t, "widget.json")
	var pretty bytes.Buffer
	// Indent keeps every value as it is; a reader must find the ranges whatever the spaces.
	if err := json.Indent(&pretty, text, "", "\t"); err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	s.put(t, widget, layer{"up", text})
	s.base = upstreamBase
	if got := s.full(t, widget); !bytes.Equal(got, text) {
		t.Errorf("full form:\n got %s\nwant %s", got, text)
	}
	s = newShelf()
	s.put(t, widget, layer{"up", pretty.Bytes()})
	s.base = upstreamBase
	got := string(s.full(t, widget))
	for _, part := range []string{"dist-tags", "time"} { // these two are written anew
		got, _ = cutMember(t, got, part)
	}
	want := pretty.String()
	for _, part := range []string{"dist-tags", "time"} {
		want, _ = cutMember(t, want, part)
	}
	if got != want {
		t.Errorf("full form of an indented document:\n got %s\nwant %s", got, want)
	}
}

// cutMember takes the value of a root member out of a document of one-line keys.
func cutMember(t *testing.T, text, key string) (rest, value string) {
	t.Helper()
	i := strings.Index(text, `"`+key+`"`)
	if i < 0 {
		t.Fatalf("no %q in %s", key, text)
	}
	from := i + strings.IndexByte(text[i:], '{')
	to := from + strings.IndexByte(text[from:], '}') + 1
	return text[:from] + text[to:], text[from:to]
}

// reference is what both forms should say, by decoding everything: slow, and obviously right.
func reference(t *testing.T, text []byte, base string, shown []string, hidden map[string]string, tags map[string]string) (full, short map[string]any) {
	t.Helper()
	full = object(t, text)
	name := full["name"].(string)
	versions := full["versions"].(map[string]any)
	times, _ := full["time"].(map[string]any)
	for v := range maps.Clone(versions) {
		if !slices.Contains(shown, v) {
			delete(versions, v)
			delete(times, v)
		}
	}
	for v, m := range versions {
		dist := m.(map[string]any)["dist"].(map[string]any)
		tarball := dist["tarball"].(string)
		dist["tarball"] = base + name + "/-/" + tarball[strings.LastIndexByte(tarball, '/')+1:]
		if a, ok := dist["attestations"].(map[string]any); ok {
			a["url"] = base + "-/npm/v1/attestations/" + strings.Replace(name, "/", "%2f", 1) + "@" + v
		}
	}
	all := map[string]any{}
	for tag, v := range tags {
		all[tag] = v
	}
	full["dist-tags"] = all
	short = map[string]any{"name": name, "modified": times["modified"], "dist-tags": all, "time": times}
	less := map[string]any{}
	for v, m := range versions {
		less[v] = lessOf(m.(map[string]any))
	}
	short["versions"] = less
	if len(hidden) > 0 {
		restricted := map[string]any{}
		for v := range hidden {
			restricted[v] = map[string]any{"name": name, "version": v}
		}
		var words []string
		for _, v := range slices.SortedFunc(maps.Keys(hidden), func(a, b string) int { return compareVersions(b, a) }) {
			words = append(words, name+"@"+v+": "+hidden[v])
		}
		policy := map[string]any{"message": strings.Join(words, "; "), "versions": restricted}
		full["policyRestrictions"], short["policyRestrictions"] = policy, policy
	}
	return full, short
}

func lessOf(m map[string]any) map[string]any {
	less := map[string]any{}
	for _, key := range strings.Fields(`name version deprecated dependencies optionalDependencies devDependencies bundleDependencies
		bundledDependencies peerDependencies peerDependenciesMeta acceptDependencies bin directories dist engines os cpu libc
		funding _hasShrinkwrap`) {
		if v, ok := m[key]; ok {
			less[key] = v
		}
	}
	scripts, _ := m["scripts"].(map[string]any)
	if scripts["preinstall"] != nil || scripts["install"] != nil || scripts["postinstall"] != nil || m["hasInstallScript"] == true {
		less["hasInstallScript"] = true
	}
	return less
}

func TestBothFormsEqualTheReference(t *testing.T) {
	text := golden(t, "widget.json")
	s := newShelf()
	s.put(t, widget, layer{"up", text})
	all := []string{"1.0.0", "2.0.0", "2.0.1", "3.0.0-canary.2", "3.0.0-canary.3"}
	tags := map[string]string{"latest": "2.0.1", "next": "3.0.0-canary.3", "legacy": "1.0.0"}
	check := func(what string, shown []string, hidden, tags map[string]string) {
		t.Helper()
		full, short := reference(t, text, s.base, shown, hidden, tags)
		if got := object(t, s.full(t, widget)); !reflect.DeepEqual(got, full) {
			t.Errorf("%s, full:\n got %v\nwant %v", what, got, full)
		}
		if got := object(t, s.short(t, widget)); !reflect.DeepEqual(got, short) {
			t.Errorf("%s, abbreviated:\n got %v\nwant %v", what, got, short)
		}
	}
	check("nothing hidden", all, nil, tags)

	s.hide(widget, "published 4 hours ago; hold is 7 days", now.Add(time.Hour), "2.0.1", "3.0.0-canary.3")
	why := "published 4 hours ago; hold is 7 days, until 1 Mar 2026 13:00 UTC"
	check("latest and next hidden", []string{"1.0.0", "2.0.0", "3.0.0-canary.2"},
		map[string]string{"2.0.1": why, "3.0.0-canary.3": why},
		map[string]string{"latest": "2.0.0", "next": "3.0.0-canary.2", "legacy": "1.0.0"})

	s.put(t, widget, layer{"up", text})
	s.hide(widget, "no", time.Time{}, "1.0.0", "2.0.0", "2.0.1", "3.0.0-canary.2")
	check("first of the document hidden", []string{"3.0.0-canary.3"},
		map[string]string{"1.0.0": "no", "2.0.0": "no", "2.0.1": "no", "3.0.0-canary.2": "no"},
		map[string]string{"latest": "3.0.0-canary.3", "next": "3.0.0-canary.3"})

	s.put(t, widget, layer{"up", text})
	s.hide(widget, "no", time.Time{}, all...)
	none := map[string]string{}
	for _, v := range all {
		none[v] = "no"
	}
	check("everything hidden", nil, none, nil)
}

func TestTagsMoveDown(t *testing.T) {
	for _, c := range []struct {
		name, tag, target string
		shown             []string
		want              string
	}{
		{"shown", "latest", "2.0.0", []string{"2.0.0", "1.0.0"}, "2.0.0"},
		{"latest to the release below", "latest", "2.0.1", []string{"3.0.0", "2.0.1-rc.1", "2.0.0", "1.0.0"}, "2.0.0"},
		{"latest past a prerelease below", "latest", "2.0.0", []string{"2.0.0-rc.1", "1.9.0"}, "1.9.0"},
		{"latest up, there being none below", "latest", "1.0.0", []string{"3.0.0", "2.0.0", "1.0.0-rc.1"}, "3.0.0"},
		{"latest up past a prerelease", "latest", "1.0.0", []string{"4.0.0-beta.1", "3.0.0"}, "3.0.0"},
		{"latest among prereleases", "latest", "1.0.0", []string{"2.0.0-b", "2.0.0-a"}, "2.0.0-b"},
		{"latest never to what is no semver", "latest", "1.0.0", []string{"01.0.0", "1.0.0.1"}, ""},
		{"latest at nothing", "latest", "9.9.9", []string{"1.0.0"}, "1.0.0"},
		{"latest at no version at all", "latest", "oops", []string{"2.0.0-rc.1", "1.0.0"}, "1.0.0"},
		{"canary to canary", "canary", "1.0.0-canary.3", []string{"1.0.0-rc.1", "1.0.0-canary.2", "1.0.0-beta.9", "0.9.0"}, "1.0.0-canary.2"},
		{"canary to an older canary", "canary", "1.0.0-canary.0", []string{"1.0.0-beta.9", "0.9.0-canary.7"}, "0.9.0-canary.7"},
		{"canary gone", "canary", "1.0.0-canary.3", []string{"1.0.0", "1.0.0-beta.9", "0.9.0"}, ""},
		{"a release tag to a release", "legacy", "1.2.0", []string{"2.0.0", "1.2.0-rc.1", "1.1.0"}, "1.1.0"},
		{"a release tag gone", "legacy", "1.2.0", []string{"2.0.0", "1.2.0-rc.1"}, ""},
		{"a tag at nothing", "x", "oops", []string{"1.0.0"}, ""},
		{"numbers alone are a word", "n", "1.0.0-3", []string{"1.0.0-2", "0.9.0"}, "1.0.0-2"},
	} {
		p := &millpond.Package{Name: "x", Refs: []millpond.Ref{{Name: c.tag, Target: c.target}}}
		for _, v := range c.shown {
			p.Versions = append(p.Versions, millpond.Version{Name: v})
		}
		if got := newView(p).tag(c.tag); got != c.want {
			t.Errorf("%s: %s → %s with %v shown: got %q, want %q", c.name, c.tag, c.target, c.shown, got, c.want)
		}
	}
}

func TestTimesAreUTCWithZ(t *testing.T) {
	text := []byte(`{"name":"x","dist-tags":{"latest":"2.0.0"},"versions":{"1.0.0":{"dist":{"tarball":"http://upstream.example/x-1.0.0.tgz"}},"2.0.0":{"dist":{"tarball":"http://upstream.example/x-2.0.0.tgz"}}},` +
		`"time":{"modified":"2020-01-01T02:00:00+02:00","1.0.0":"2019-12-31T23:00:00.5-01:00","2.0.0":"2021-06-01T00:00:00+00:00","1.1.0":"whenever","created":null}}`)
	s := newShelf()
	s.put(t, "x", layer{"up", text})
	for form, got := range map[string]map[string]any{"full": object(t, s.full(t, "x")), "abbreviated": object(t, s.short(t, "x"))} {
		for key, want := range map[string]string{
			"modified": `"2021-06-01T00:00:00.000Z"`, // not before the newest version
			"1.0.0":    `"2020-01-01T00:00:00.500Z"`,
			"2.0.0":    `"2021-06-01T00:00:00.000Z"`,
			"1.1.0":    `"whenever"`,
			"created":  `null`,
		} {
			if at := at(got, "time", key); at != want {
				t.Errorf("%s: time of %s: got %s, want %s", form, key, at, want)
			}
		}
	}
	if got := at(object(t, s.short(t, "x")), "modified"); got != `"2021-06-01T00:00:00.000Z"` {
		t.Errorf("modified: got %s", got)
	}
	if got := s.packages["x"].Version("1.0.0").Published; !got.Equal(time.Date(2020, 1, 1, 0, 0, 0, 5e8, time.UTC)) {
		t.Errorf("1.0.0 published: got %v", got)
	}
}

func TestNoTimeStaysNoTime(t *testing.T) {
	text := []byte(`{"name":"x","versions":{"1.0.0":{"name":"x"}}}`)
	s := newShelf()
	s.put(t, "x", layer{"up", text})
	want := `{"name":"x","versions":{"1.0.0":{"name":"x"}},"dist-tags":{}}`
	if got := string(s.full(t, "x")); got != want {
		t.Errorf("full:\n got %s\nwant %s", got, want)
	}
	want = `{"name":"x","dist-tags":{},"versions":{"1.0.0":{"name":"x"}}}`
	if got := string(s.short(t, "x")); got != want {
		t.Errorf("abbreviated:\n got %s\nwant %s", got, want)
	}
	if v := s.packages["x"].Version("1.0.0"); !v.Published.IsZero() || len(v.Files) != 0 {
		t.Errorf("1.0.0: got published %v, files %v", v.Published, v.Files)
	}
}

func TestUnionTakesEachVersionFromTheFirstLayerThatHasIt(t *testing.T) {
	of := func(who, latest string, versions ...string) []byte {
		var members, times []string
		for _, v := range versions {
			members = append(members, fmt.Sprintf(`"%s":{"name":"x","version":"%s","by":"%s","dist":{"tarball":"http://%s.example/x/-/x-%s.tgz"}}`, v, v, who, who, v))
			times = append(times, fmt.Sprintf(`"%s":"2020-01-0%dT00:00:00.000Z"`, v, len(who)))
		}
		return fmt.Appendf(nil, `{"name":"x","description":"%s","dist-tags":{"latest":"%s","%s":"%s"},"versions":{%s},"time":{"created":"%s",%s}}`,
			who, latest, who, latest, strings.Join(members, ","), who, strings.Join(times, ","))
	}
	s := newShelf()
	s.put(t, "x", layer{"one", of("one", "1.0.0", "1.0.0", "2.0.0")}, layer{"three", of("three", "3.0.0", "2.0.0", "3.0.0")})
	full := object(t, s.full(t, "x"))
	for path, want := range map[string]string{
		"description":                 `"one"`,
		"versions 1.0.0 by":           `"one"`,
		"versions 2.0.0 by":           `"one"`,
		"versions 3.0.0 by":           `"three"`,
		"dist-tags latest":            `"1.0.0"`,
		"dist-tags one":               `"1.0.0"`,
		"dist-tags three":             `"3.0.0"`,
		"time created":                `"one"`,
		"time 2.0.0":                  `"2020-01-03T00:00:00.000Z"`,
		"time 3.0.0":                  `"2020-01-05T00:00:00.000Z"`,
		"versions 3.0.0 dist tarball": `"http://pond.example/npm/x/-/x-3.0.0.tgz"`,
	} {
		if got := at(full, strings.Fields(path)...); got != want {
			t.Errorf("full, %s: got %s, want %s", path, got, want)
		}
	}
	short := object(t, s.short(t, "x"))
	for _, v := range []string{"1.0.0", "2.0.0", "3.0.0"} {
		if got, want := at(short, "versions", v, "version"), `"`+v+`"`; got != want {
			t.Errorf("abbreviated, %s: got %s, want %s", v, got, want)
		}
	}
}

func TestPolicyJoinsTheUpstreamsOwn(t *testing.T) {
	text := []byte(`{"name":"x","policyRestrictions":{"zone":1,"message":"embargo","versions":{"0.1.0":{"version":"0.1.0"}}},"versions":{"1.0.0":{},"2.0.0":{}}}`)
	s := newShelf()
	s.put(t, "x", layer{"up", text})
	if got := at(object(t, s.full(t, "x")), "policyRestrictions"); got != `{"message":"embargo","versions":{"0.1.0":{"version":"0.1.0"}},"zone":1}` {
		t.Errorf("nothing hidden: got %s", got)
	}
	s.hide("x", "too young", time.Time{}, "2.0.0")
	want := `{"message":"x@2.0.0: too young; embargo","versions":{"0.1.0":{"version":"0.1.0"},"2.0.0":{"name":"x","version":"2.0.0"}},"zone":1}`
	for form, text := range map[string][]byte{"full": s.full(t, "x"), "abbreviated": s.short(t, "x")} {
		if got := at(object(t, text), "policyRestrictions"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", form, got, want)
		}
	}
}

func TestFilesAreNamedByTheirAddress(t *testing.T) {
	for _, c := range []struct {
		name, pkg string
		tarballs  map[string]string // by version
		want      map[string]string
	}{
		{"usual", "x", map[string]string{"1.0.0": "x/-/x-1.0.0.tgz"}, map[string]string{"1.0.0": "x-1.0.0.tgz"}},
		{"other name", "@a/x", map[string]string{"1.0.0": "download/@a/x/1.0.0/0fe1.tgz"}, map[string]string{"1.0.0": "0fe1.tgz"}},
		{"one tail for two", "x", map[string]string{"1.0.0": "1/x.tgz", "2.0.0": "2/x.tgz"}, map[string]string{"1.0.0": "x-1.0.0.tgz", "2.0.0": "x-2.0.0.tgz"}},
		{"no tgz", "x", map[string]string{"1.0.0": "x/1.0.0/tarball"}, map[string]string{"1.0.0": "x-1.0.0.tgz"}},
		{"with a query", "x", map[string]string{"1.0.0": "x.tgz?token=1"}, map[string]string{"1.0.0": "x.tgz"}},
		{"the name of another version", "x", map[string]string{"1.0.0": "x-2.0.0.tgz", "2.0.0": "y.tgz"}, map[string]string{"1.0.0": "x-1.0.0.tgz", "2.0.0": "y.tgz"}},
		{"escaped slash", "x", map[string]string{"1.0.0": "a%2f..%2fb.tgz"}, map[string]string{"1.0.0": "x-1.0.0.tgz"}},
		{"escaped space", "x", map[string]string{"1.0.0": "a%20b.tgz"}, map[string]string{"1.0.0": "a b.tgz"}},
	} {
		members := map[string]any{}
		for v, at := range c.tarballs {
			members[v] = map[string]any{"dist": map[string]any{"tarball": upstreamBase + at}}
		}
		text, err := json.Marshal(map[string]any{"name": c.pkg, "versions": members})
		if err != nil {
			t.Fatal(err)
		}
		p := read(t, c.pkg, text)
		for v, want := range c.want {
			if got := p.Version(v).Files[0].Name; got != want {
				t.Errorf("%s: file of %s at %s: got %q, want %q", c.name, v, c.tarballs[v], got, want)
			}
		}
	}
}

func TestTarballsOfNoAddressAreNoFiles(t *testing.T) {
	text := []byte(`{"name":"x","versions":{"1.0.0":{"dist":{"tarball":"file:///etc/passwd"}},"1.0.1":{"dist":{"tarball":7}},"1.0.2":{"dist":"x"},"1.0.3":{"dist":{"tarball":"/x/-/x-1.0.3.tgz"}}}}`)
	p := read(t, "x", text)
	for _, v := range []string{"1.0.0", "1.0.1", "1.0.2"} {
		if files := p.Version(v).Files; len(files) != 0 {
			t.Errorf("%s: got files %v", v, files)
		}
	}
	if got, want := p.Version("1.0.3").Files[0].URL, upstreamBase+"x/-/x-1.0.3.tgz"; got != want {
		t.Errorf("relative address: got %q, want %q", got, want)
	}
}

func TestLockfileKeepLeavesAddresses(t *testing.T) {
	s := newShelf()
	s.put(t, widget, layer{"up", golden(t, "widget.json")})
	s.options[optLockfile] = "keep"
	for form, text := range map[string][]byte{"full": s.full(t, widget), "abbreviated": s.short(t, widget)} {
		if got, want := at(object(t, text), "versions", "1.0.0", "dist", "tarball"), `"http://upstream.example/@acme/widget/-/widget-1.0.0.tgz"`; got != want {
			t.Errorf("%s: got %s, want %s", form, got, want)
		}
	}
}

func TestRecordsSurviveTheirEncoding(t *testing.T) {
	for _, m := range []packumentMeta{
		{root: cut{0, 100}},
		{root: cut{3, 1 << 27}, versions: cut{10, 1 << 27}, last: 99, time: cut{4, 5}, tags: cut{6, 7}, policy: cut{8, 9},
			drop: []cut{{1, 2}, {3, 4}}, modified: "2024-05-05T00:00:00.000Z", holder: true},
	} {
		got, ok := decodePackumentMeta(m.encode())
		if !ok || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v is written %s, which is %+v, %v", m, m.encode(), got, ok)
		}
	}
	for _, m := range []member{
		{lead: 1, key: 2, value: cut{9, 99}},
		{lead: 0, key: 1 << 30, value: cut{1<<30 + 9, 1<<30 + 500}, tarball: cut{1<<30 + 10, 1<<30 + 20}},
		{key: 5, value: cut{9, 99}, attestations: cut{20, 30}},
		{key: 5, value: cut{9, 99}, tarball: cut{40, 50}, attestations: cut{20, 30}, check: 1<<32 - 1},
	} {
		got, ok := decodeMember(m.encode())
		if !ok || got != m || !json.Valid(m.encode()) {
			t.Errorf("%+v is written %s, which is %+v, %v", m, m.encode(), got, ok)
		}
	}
	for _, bad := range []string{"", "[]", "[1,2,3]", "{}", "[1,2,3,x]", "[-1,2,3,4]", "[1,2,3,4]", "[1,2,3,4,5,6,7,8,9,10]", "[1,2,3,4,4294967296]", "[11111111111111111,1,1,1]"} {
		if m, ok := decodeMember(json.RawMessage(bad)); ok {
			t.Errorf("%q is read as %+v", bad, m)
		}
		if m, ok := decodePackumentMeta(json.RawMessage(bad)); ok {
			t.Errorf("%q is read as %+v", bad, m)
		}
	}
}

func TestTheFirstBytesStayInTheDocumentToo(t *testing.T) {
	s := widgetShelf(t)
	first := millpond.SHA256([]byte("first"))
	sha1, err := millpond.NewDigest("sha1", make([]byte, 20))
	if err != nil {
		t.Fatal(err)
	}
	v := s.packages[widget].Version("2.0.0")
	v.Files[0].Digests = []millpond.Digest{first, sha1}
	s.packages[widget].Version("2.0.1").Files[0].Digests = []millpond.Digest{first}
	s.packages[widget].Version("3.0.0-canary.2").Files[0].Digests = []millpond.Digest{first}
	zeros, of := strings.Repeat("0", 40), integrityOf(first)
	for form, text := range map[string][]byte{"full": s.full(t, widget), "abbreviated": s.short(t, widget)} {
		doc := object(t, text)
		for path, want := range map[string]string{
			"versions 2.0.0 dist integrity":        `"` + of + `"`,
			"versions 2.0.0 dist shasum":           `"` + zeros + `"`,
			"versions 2.0.0 dist tarball":          `"http://pond.example/npm/@acme/widget/-/widget-2.0.0.tgz"`,
			"versions 2.0.0 dist attestations url": `"http://pond.example/npm/-/npm/v1/attestations/@acme%2fwidget@2.0.0"`,
			"versions 2.0.0 dist fileCount":        `3`,
			"versions 2.0.1 dist integrity":        `"` + of + `"`,
			"versions 3.0.0-canary.2 dist shasum":  `""`, // the hash of the first bytes is not known in this form
			"versions 3.0.0-canary.3 dist shasum":  `"da39a3ee5e6b4b0d3255bfef95601890afd80709"`,
			"versions 1.0.0 dist shasum":           `"f572d396fae9206628714fb2ce00f72e94f2258f"`,
		} {
			if got := at(doc, strings.Fields(path)...); got != want {
				t.Errorf("%s, %s: got %s, want %s", form, path, got, want)
			}
		}
	}
}

// TestPlainAddresses: what is taken as it stands is what parsing would make of it.
func TestPlainAddresses(t *testing.T) {
	base, err := url.Parse("https://upstream.example/npm/x")
	if err != nil {
		t.Fatal(err)
	}
	plain := 0
	for _, address := range []string{
		"https://upstream.example/x/-/x-1.0.0.tgz", "http://upstream.example/@a/x/-/x-1.0.0.tgz", "https://upstream.example/a/x-1.0.0-rc.1+b.tgz",
		"https://upstream.example/a!~*'()_x.tgz", "https://Upstream.example/x.tgz", "HTTPS://upstream.example/x.tgz", "https://upstream.example:8080/x.tgz", "https://upstream.example:/x.tgz", "https://upstream.example:a/x.tgz", "https://:80/x.tgz",
		"https://upstream.example", "https://upstream.example/", "https:///x.tgz", "https://u@upstream.example/x.tgz", "//upstream.example/x.tgz",
		"https://upstream.example/a/../x.tgz", "https://upstream.example/./x.tgz", "https://upstream.example/a//x.tgz", "https://upstream.example//x.tgz",
		"https://upstream.example/x.tgz?a=b", "https://upstream.example/x.tgz#a", "https://upstream.example/%78.tgz", "https://upstream.example/a%2fx.tgz",
		"https://upstream.example/x y.tgz", "https://upstream.example/x\x01.tgz", "https://upstream.example/ü.tgz", "https://up stream.example/x.tgz",
		"https://[::1]/x.tgz", "/x/-/x.tgz", "x.tgz", "", "ftp://upstream.example/x.tgz", "https://upstream.example/a/b/..", "https://upstream.example/a/b/.", "https://upstream.example/...tgz",
		"https://upstream.example/a/", "https://upstream.example/a\\x.tgz", "https://upstream.example/a;b.tgz", "https://upstream.example/a:b.tgz", "https://upstream.example/<x>.tgz",
	} {
		if !plainAddress(address) {
			continue
		}
		plain++
		u, err := base.Parse(address)
		if err != nil {
			t.Errorf("%q is none: %v", address, err)
			continue
		}
		u.Fragment = ""
		if u.String() != address {
			t.Errorf("%q is %q when it is parsed", address, u)
		}
		path := u.EscapedPath()
		if last, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:]); err != nil || strings.HasSuffix(last, ".tgz") && lastElement(address) != last {
			t.Errorf("%q ends in %q, and not in %q, %v", address, lastElement(address), last, err)
		}
	}
	if plain < 3 {
		t.Errorf("%d addresses are plain", plain)
	}
}

// TestLicences: a licence is read from whatever names one.
func TestLicences(t *testing.T) {
	for raw, want := range map[string]string{
		`"MIT"`: "MIT", `""`: "", `"a\u0062"`: "ab", `"\"a"`: `"a`, "\"\xff\"": "\ufffd", `{"type":"ISC"}`: "ISC", `["MIT",{"type":"ISC"}]`: "MIT OR ISC", `1`: "", `{}`: "", `[]`: "", `null`: "", `12`: "",
	} {
		if got := licence([]byte(raw)); got != want {
			t.Errorf("of %s came %q, want %q", raw, got, want)
		}
	}
}
