package pypi

import (
	"bufio"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"millpond"
)

func lines(t testing.TB, name string) []string {
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

func TestVersionsAsTheReferenceReadsThem(t *testing.T) {
	var before string
	var all []string
	for _, line := range lines(t, "versions.txt") {
		parts := strings.SplitN(line, " ", 3)
		v, ok := parseVersion(parts[1])
		if parts[0] == "!" {
			if ok {
				t.Errorf("parseVersion(%q) = %+v, want none", parts[1], v)
			}
			continue
		}
		if !ok {
			t.Errorf("parseVersion(%q) failed, want %s", parts[1], parts[2])
			continue
		}
		if got := v.String(); got != parts[2] {
			t.Errorf("parseVersion(%q).String() = %q, want %q", parts[1], got, parts[2])
		}
		if before != "" {
			want := map[string]int{"=": 0, "<": -1}[parts[0]]
			if got := compareVersions(before, parts[1]); got != want {
				t.Errorf("compare %q with %q = %d, want %d", before, parts[1], got, want)
			}
			if got := compareVersions(parts[1], before); got != -want {
				t.Errorf("compare %q with %q = %d, want %d", parts[1], before, got, -want)
			}
			w, _ := parseVersion(before)
			if same := v.key() == w.key(); same != (want == 0) {
				t.Errorf("keys of %q and %q: %q, %q; want same: %v", before, parts[1], w.key(), v.key(), want == 0)
			}
		}
		before = parts[1]
		all = append(all, parts[1])
	}
	shuffled := slices.Clone(all)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.SortStableFunc(shuffled, compareVersions)
	for i := range all {
		if compareVersions(all[i], shuffled[i]) != 0 {
			t.Fatalf("sorted: place %d holds %q, want %q or its equal", i, shuffled[i], all[i])
		}
	}
}

func TestMatchAsTheReferenceDoes(t *testing.T) {
	var f Format
	for _, line := range lines(t, "specifiers.txt") {
		parts := strings.SplitN(line, " ", 3)
		if parts[0] == "!" {
			if got, err := f.Match(parts[1], "1.0"); !millpond.Is(err, millpond.Invalid) {
				t.Errorf("Match(%q, 1.0) = %v, %v; want Invalid", parts[1], got, err)
			}
			continue
		}
		got, err := f.Match(parts[1], parts[2])
		if want := parts[0] == "+"; err != nil || got != want {
			t.Errorf("Match(%q, %q) = %v, %v; want %v", parts[1], parts[2], got, err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, spec, version string
		want                bool
	}{
		{"nothing asked", "", "1.0", true},
		{"prereleases count as in range", "<2", "1.9rc1", true},
		{"but not those of the bound itself", "<2", "2.0rc1", false},
		{"every clause must hold", ">=1.0, !=1.3.*, <2", "1.3.5", false},
		{"blanks are free", " >= 1.0 ,<2 ", "1.4", true},
		{"opaque is below everything", "<0.0.1", "2004d", true},
		{"opaque equals nothing", "==2004", "2004d", false},
		{"opaque is not above", ">=0", "0.1-edx", false},
		{"opaque by its text", "===0.1-EDX", "0.1-edx", true},
	} {
		if got, err := (Format{}).Match(c.spec, c.version); err != nil || got != c.want {
			t.Errorf("%s: Match(%q, %q) = %v, %v; want %v", c.name, c.spec, c.version, got, err, c.want)
		}
	}
	for _, spec := range []string{"1.0", "latest", ">", ">=1.0 <2", ">=1.0,oops", "*", ">1.*"} {
		if got, err := (Format{}).Match(spec, "1.0"); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Match(%q, 1.0) = %v, %v; want Invalid", spec, got, err)
		}
	}
	if got, err := (Format{}).Match(">=1", Unknown); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("Match(>=1, %s) = %v, %v; want Invalid: nothing can be said of it", Unknown, got, err)
	}
}

func TestCase05OpaqueVersionsAreLowest(t *testing.T) {
	order := []string{Unknown, "0.1-edx", "2004d", "0.dev0", "0.1"}
	for i := range order {
		for j := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := (Format{}).Compare(order[i], order[j]); got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", order[i], order[j], got, want)
			}
		}
	}
}

func TestCanon(t *testing.T) {
	for name, want := range map[string]string{
		"requests": "requests", "FrIeNdLy-._.-bArD": "friendly-bard", "friendly_bard": "friendly-bard",
		"friendly.bard": "friendly-bard", "a": "a", "0": "0", "Zope.Interface": "zope-interface",
	} {
		if got, err := (Format{}).Canon(name); err != nil || got != want {
			t.Errorf("Canon(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"", "-a", "a-", "_", "a b", "a/b", "a\\b", "a\n", "a\x00", "ａ", "é", "..", "C:", "a%2fb", strings.Repeat("a", 300)} {
		if got, err := (Format{}).Canon(name); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Canon(%q) = %q, %v; want Invalid", name, got, err)
		}
	}
	name := "a-canonical-name"
	if n := testing.AllocsPerRun(100, func() { canonName(name) }); n != 0 {
		t.Errorf("Canon of a canonical name allocates %v times, want 0", n)
	}
}

func TestReadName(t *testing.T) {
	for _, c := range []struct{ file, project, version, platform string }{
		{"requests-2.31.0-py3-none-any.whl", "requests", "2.31.0", ""},
		{"requests-2.31.0.tar.gz", "requests", "2.31.0", ""},
		{"Foo_Bar-1.0.0rc1-cp39-cp39-win_amd64.whl", "foo-bar", "1.0.0rc1", "win_amd64"},
		{"foo-1.0-2build-cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "foo", "1.0", "manylinux_2_17_x86_64.manylinux2014_x86_64"},
		{"MongoDBProxy-0.1.0+edx.2.tar.gz", "mongodbproxy", "0.1.0+edx.2", ""},
		{"foo.bar-1.0.zip", "foo-bar", "1.0", ""},
		{"foo--bar-1.0.tar.bz2", "foo-bar", "1.0", ""},
		{"pytz-2004d.tar.gz", "pytz", "2004d", ""},
		{"foo-0.1-edx.tar.gz", "foo", "0.1-edx", ""},
		{"a-1-2.0.tar.gz", "a", "1-2.0", ""},
		{"a-1-2.0.tar.gz", "a-1", "2.0", ""},
		{"Foo-1.0-py2.7.egg", "foo", "1.0", ""},
		{"Foo-1.0-py2.7-win32.egg", "foo", "1.0", "win32"},
		{"Foo-1.0.win32-py2.7.exe", "foo", "1.0", "win32"},
		{"Foo-1.0.win-amd64.msi", "foo", "1.0", "win-amd64"},
		{"Foo-1.0.linux-x86_64.tar.gz", "foo", "1.0", "linux-x86_64"},
		{"foo-1.0-1.noarch.rpm", "foo", "1.0", "1.noarch"},
		{"foo_1.0-1_all.deb", "foo", "1.0", "1_all"},
		{"foo-1!2.0.tar.gz", "foo", "1!2.0", ""},
		{"foo-1-1.tar.gz", "foo", "1.post1", ""},
		{"foo.tar.gz", "foo", Unknown, ""},
		{"foo-latest.zip", "foo", Unknown, ""},
		{"foo_snapshot.zip", "foo", Unknown, ""},
	} {
		got, ok := readName(c.file, c.project)
		if !ok || got.Version != c.version || got.Platform != c.platform {
			t.Errorf("readName(%q, %q) = %+v, %v; want version %q, platform %q", c.file, c.project, got, ok, c.version, c.platform)
		}
	}
}

func TestCase03FilesOfOtherProjects(t *testing.T) {
	for _, c := range []struct{ file, project string }{
		{"x-docs-1.0.tar.gz", "x"}, {"x.docs-1.0.tar.gz", "x"}, {"xy-1.0.tar.gz", "x"}, {"y-1.0.tar.gz", "x"},
		{"x_docs-1.0-py3-none-any.whl", "x"}, {"x", "xy"}, {"x-1.0.tar.gz", "x-1-0-y"},
	} {
		if got, ok := readName(c.file, c.project); ok {
			t.Errorf("readName(%q, %q) = %+v, want: not its file", c.file, c.project, got)
		}
	}
}

func TestOwners(t *testing.T) {
	for file, want := range map[string]string{
		"a-1-2.0.tar.gz":                     "a-1 a",
		"foo_bar-1.0-py3-none-any.whl":       "foo-bar",
		"foo-1.0-1-py3-none-any.whl":         "foo",
		"Foo.Bar-1.0.zip":                    "foo-bar",
		"Foo-1.0-py2.7.egg":                  "foo",
		"foo_1.0-1_all.deb":                  "foo",
		"README":                             "",
		"-1.0.tar.gz":                        "",
		"a-1-2-3-4-5-6-7-8-9-1.0.tar.gz":     "a-1-2-3-4-5-6-7-8-9 a-1-2-3-4-5-6-7-8 a-1-2-3-4-5-6-7 a-1-2-3-4-5-6",
		"scikit-learn-1.4.0rc1-1.tar.gz":     "scikit-learn-1-4-0rc1 scikit-learn",
		"zope.interface-5.0-py2.7-win32.egg": "zope-interface",
	} {
		if got := strings.Join(owners(file), " "); got != want {
			t.Errorf("owners(%q) = %q, want %q", file, got, want)
		}
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.0", "1!2.0a1.post2.dev3+x.1", "v1.0-Beta_2", "2004d", "1.0a.-1", "0.0.0"} {
		f.Add(s, "1.0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if v, ok := parseVersion(a); ok {
			again, ok := parseVersion(v.String())
			if !ok || again.String() != v.String() || v.compare(again) != 0 {
				t.Fatalf("%q reads as %q, which reads as %q, %v", a, v, again, ok)
			}
		}
		if got, back := compareVersions(a, b), compareVersions(b, a); got != -back {
			t.Fatalf("compare(%q, %q) = %d, but the other way round %d", a, b, got, back)
		}
		if _, err := match(a, b); err != nil && !millpond.Is(err, millpond.Invalid) {
			t.Fatalf("Match(%q, %q): %v; want no error or Invalid", a, b, err)
		}
		if f, ok := readName(a, "x"); ok && f.Version == "" {
			t.Fatalf("readName(%q, x) has no version", a)
		}
		owners(a)
	})
}
