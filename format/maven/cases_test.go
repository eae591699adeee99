// The cases of the format's page that are shown under other names or elsewhere:
//
//	 1  cold, and warm without the upstream: testdata/script/maven/mvn.txtar, deploy.txtar, build.txtar, real_maven.txtar
//	 2  fifty clients on one cold file: formattest's herd
//	 3  a page in place of a jar: formattest's pageInstead
//	 7  a list that grows upstream, and one served stale: formattest's staleThenFresh and publishThenRead; TestSnapshotThatMoves
//	14  prefixes: prefixes_test.go
//	15  a held version, until its hold ends: hold_test.go; formattest's rows about holds; testdata/script/maven/rules.txtar
//	16–19, 21, 23  publishing: publish_test.go; a server that is killed between any two writes: repo's TestF30KillAtEveryStep
//	20  a refused body: client_test.go
//	22  retention: retain_test.go
//	24  order: grammar_test.go; 25, paths: path_test.go
//	26  a POM that is too large: TestCase21POM; ranges, cold and warm: formattest; 5 GiB are not tried
//	27  Gradle: sums_test.go, testdata/script/maven/gradle.txtar; that a failure is no absence: mvn.txtar
package maven

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

const up = "org.example:up"

// stocked is a House whose upstream has up in one version, without any sum of its jar.
func stocked(t *testing.T, changes ...func(*repo.Config)) (h *formattest.House, jar []byte) {
	t.Helper()
	h = formattest.New(t, ecosystem(t), changes...)
	ecosystem(t).Put(h.Up, up, formattest.Release{Version: "1.0", Published: formattest.Epoch().AddDate(-1, 0, 0)})
	h.Up.Remove(file(up, "1.0", ".jar.sha1"))
	return h, ecosystem(t).Bytes(up, formattest.Release{Version: "1.0"})
}

func option(name, value string) func(*repo.Config) {
	return func(c *repo.Config) { c.Options = map[string]string{name: value} }
}

// TestCase02OneRequestEach: a cold file and its sum are asked for once, and warm ones not at all.
func TestCase02OneRequestEach(t *testing.T) {
	h := formattest.New(t, ecosystem(t))
	ecosystem(t).Put(h.Up, up, formattest.Release{Version: "1.0"})
	h.Good("first, which finds out what sums there are", h.Get(file(up, "1.0", ".pom")), nil)
	h.Up.Forget()
	at := file(up, "1.0", ".jar")
	h.Good("jar", h.Get(at), nil)
	h.Good("its sum", h.Get(at+".sha1"), nil)
	h.Up.Want(t, "", 2)
	h.Up.Forget()
	for _, path := range []string{at, at + ".sha1", at + ".md5", at + ".sha512", file(up, "1.0", ".pom")} {
		h.Good(path, h.Get(path), nil)
		h.Want("HEAD "+path, h.Do("HEAD", "/r"+path, nil), http.StatusOK)
	}
	h.Up.Want(t, "", 0)
}

// TestCase04WrongSum: the refusal names the setting that keeps the file, and with it the reader is shown the upstream's sum.
func TestCase04WrongSum(t *testing.T) {
	wrong := sha1Of([]byte("another"))
	at := file(up, "1.0", ".jar")
	h, _ := stocked(t)
	h.Up.Put(at+".sha1", faulty.Object{Body: wrong})
	h.Get(at)
	again := h.Want("again", h.Get(at), http.StatusServiceUnavailable)
	if !bytes.Contains(again.Body, []byte("checksum: warn")) {
		t.Errorf("the refusal does not name the setting: %s", again)
	}
	if !slices.Contains(h.Events(), "corrupt") {
		t.Errorf("the events are %q, want corrupt among them", h.Events())
	}
	h, jar := stocked(t, option("checksum", "warn"))
	h.Up.Put(at+".sha1", faulty.Object{Body: wrong})
	h.Good("warn", h.Get(at), jar)
	h.Good("the wrong sum", h.Get(at+".sha1"), wrong)
	sum := sha256.Sum256(jar)
	h.Good("a sum that the upstream has not", h.Get(at+".sha256"), []byte(hex.EncodeToString(sum[:])))
}

// TestSumInAHeader: a sum that comes with the file counts as one beside it does, and also where there is none beside it.
func TestSumInAHeader(t *testing.T) {
	at := file(up, "1.0", ".jar")
	for _, c := range []struct {
		name, header string
		beside       bool
		options      []func(*repo.Config)
		want         int
	}{
		{name: "right", header: "X-Checksum-Sha1", beside: true, want: http.StatusOK},
		{name: "right, and none beside it", header: "X-Checksum-Sha256", want: http.StatusOK},
		{name: "wrong", beside: true, want: http.StatusServiceUnavailable},
		{name: "wrong, and none beside it", want: http.StatusServiceUnavailable},
		{name: "wrong, and warned of", options: []func(*repo.Config){option("checksum", "warn")}, want: http.StatusOK},
	} {
		h, jar := stocked(t, c.options...)
		one, two := sha1Of(jar), sha256.Sum256(jar)
		header := http.Header{"X-Checksum-Sha1": {string(one)}, "X-Checksum-Sha256": {hex.EncodeToString(two[:])}, "X-Checksum-Sha512": {"not a sum"}}
		if c.header == "" {
			header.Set("X-Checksum-Sha256", strings.Repeat("0", 64))
		} else {
			header = http.Header{c.header: header[c.header]}
		}
		h.Up.Put(at, faulty.Object{Body: jar, Type: "application/java-archive", Header: header})
		if h.Up.Remove(at + ".sha1"); c.beside {
			h.Up.Put(at+".sha1", faulty.Object{Body: one})
		}
		h.Get(at)
		h.Want(c.name, h.Get(at), c.want)
	}
}

func TestCase05SumsUpstream(t *testing.T) {
	at := file(up, "1.0", ".jar")
	for _, c := range []struct {
		name, algorithm string
		text            func(hex string) string
		want            int
	}{
		{"none", "", nil, http.StatusOK},
		{"only md5", "md5", func(s string) string { return s }, http.StatusOK},
		{"only sha512", "sha512", func(s string) string { return s + "\n" }, http.StatusOK},
		{"upper case", "sha1", strings.ToUpper, http.StatusOK},
		{"with a name", "sha1", func(s string) string { return s + " *up-1.0.jar\n" }, http.StatusOK},
		{"as OpenSSL writes it", "sha256", func(s string) string { return "SHA256(up-1.0.jar)= " + s }, http.StatusOK},
		{"name first", "md5", func(s string) string { return "up-1.0.jar = " + s }, http.StatusOK},
		{"a comment of HTML after it", "sha1", func(s string) string { return s + "\n<!-- cached -->" }, http.StatusServiceUnavailable},
		{"a page", "sha1", func(string) string { return "<html>login</html>" }, http.StatusServiceUnavailable},
		{"another's", "md5", func(s string) string { return strings.Repeat("0", len(s)) }, http.StatusServiceUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, jar := stocked(t)
			if c.algorithm != "" {
				all := newHashes()
				all.Write(jar)
				h.Up.Put(at+"."+c.algorithm, faulty.Object{Body: []byte(c.text(hex.EncodeToString(all[slices.Index(sums, c.algorithm)].Sum(nil))))})
			}
			r := h.Get(at)
			if whole := r.Err == nil && r.Status == http.StatusOK; whole != (c.want == http.StatusOK) {
				t.Errorf("the jar: %s, want %d", r, c.want)
			}
			if c.want != http.StatusOK {
				h.Want("again", h.Get(at), c.want)
				return
			}
			sum := sha512.Sum512(jar)
			h.Good("sum of the held file", h.Get(at+".sha512"), []byte(hex.EncodeToString(sum[:])))
		})
	}
}

// TestCase06SumOfWhatIsNotHeld is the upstream's, in plain hex, and fetches no file.
func TestCase06SumOfWhatIsNotHeld(t *testing.T) {
	h, jar := stocked(t)
	at := file(up, "1.0", ".jar")
	h.Up.Put(at+".sha1", faulty.Object{Body: []byte(strings.ToUpper(string(sha1Of(jar))) + "  up-1.0.jar\n")})
	h.Good("sha1", h.Get(at+".sha1"), sha1Of(jar))
	h.Want("sha256", h.Get(at+".sha256"), http.StatusNotFound)
	h.Up.Want(t, at, 0)
	h.Good("jar", h.Get(at), jar)
	h.Good("sha256 of the held file", h.Get(at+".sha256"), nil)
}

// TestCase08Throttled: an upstream's 429 is passed on with its time, and what is held is still served.
func TestCase08Throttled(t *testing.T) {
	h, jar := stocked(t)
	h.Good("held", h.Get(file(up, "1.0", ".jar")), jar)
	h.Up.Order("*", "always 429 7")
	r := h.Want("throttled", h.Get(file(up, "1.0", ".pom")), http.StatusTooManyRequests)
	if got := r.Header.Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After is %q, want 7", got)
	}
	asked := h.Up.Count("", "")
	for range 3 {
		h.Want("again", h.Get(file(up, "1.0", "-sources.jar")), http.StatusTooManyRequests)
	}
	h.Up.Want(t, "", asked)
	h.Good("held", h.Get(file(up, "1.0", ".jar")), jar)
	h.Up.Order("*", "always ok")
	h.Pass(8 * time.Second)
	h.Good("after that", h.Get(file(up, "1.0", ".pom")), nil)
}

// TestCase09OneDirectoryThreeThings: a directory that is group, artifact and SNAPSHOT at once.
func TestCase09OneDirectoryThreeThings(t *testing.T) {
	h := formattest.New(t, ecosystem(t))
	dir := "/org/example/1.0-SNAPSHOT/"
	doc := &metadata{
		Versions: []string{"0.1", "0.2"}, Plugins: []plugin{{"X", "x", "x-plugin"}}, Stamp: "20261101.010203", Number: "7",
		Builds: []buildFile{{"", "jar", "1.0-20261101.010203-7", "20261101010203"}}, Updated: "20261101010203",
	}
	lay(h.Up, dir+metadataName, doc.text(), time.Time{})
	r := h.Good("metadata", h.Get(dir+metadataName), nil)
	m, err := readMetadata(bytes.NewReader(r.Body))
	if err != nil || !slices.Equal(m.Versions, doc.Versions) || !slices.Equal(m.Plugins, doc.Plugins) || !slices.Equal(m.Builds, doc.Builds) || m.Stamp != doc.Stamp {
		t.Errorf("metadata: %+v, %v; want all of %+v", m, err, doc)
	}
	h.Up.Want(t, dir+metadataName, 1)
}

// union has two upstreams and unites them.
func union(t *testing.T) (*formattest.House, *faulty.Server) {
	t.Helper()
	h := formattest.New(t, ecosystem(t))
	second := faulty.New(t)
	c := h.Config("r", h.Up, second)
	c.Union = true
	h.Configure(repo.Settings{}, c)
	return h, second
}

func snapshotDoc(base string, builds ...buildFile) *metadata {
	m := &metadata{Version: base, Builds: builds, Updated: "20261101000000"}
	for _, one := range builds {
		if b, _ := buildOf(one.Value); b.stamp > m.Stamp {
			m.Stamp, m.Number = b.stamp, fmt.Sprint(b.number)
		}
	}
	return m
}

// TestCase10Union of groups, artifacts and SNAPSHOTs, from two upstreams and what is hosted.
func TestCase10Union(t *testing.T) {
	h, second := union(t)
	const snap = "/org/example/up/2.0-SNAPSHOT/" + metadataName
	first := buildFile{"", "jar", "2.0-20261101.000000-1", "20261101000000"}
	newer := buildFile{"", "jar", "2.0-20261102.000000-2", "20261102000000"}
	other := buildFile{"linux", "jar", "2.0-20261031.000000-9", "20261031000000"}
	lay(h.Up, snap, snapshotDoc("2.0-SNAPSHOT", first, other).text(), time.Time{})
	lay(second, snap, snapshotDoc("2.0-SNAPSHOT", newer).text(), time.Time{})
	lay(h.Up, index(up), metadataOf(up, "1.0", "1.1"), time.Time{})
	lay(second, index(up), metadataOf(up, "1.1", "1.5"), time.Time{})
	lay(h.Up, "/org/example/"+metadataName, (&metadata{Plugins: []plugin{{"B", "b", "b-plugin"}, {"A", "a", "a-plugin"}}}).text(), time.Time{})
	lay(second, "/org/example/"+metadataName, (&metadata{Plugins: []plugin{{"C", "c", "c-plugin"}, {"A again", "a", "a-plugin"}}}).text(), time.Time{})
	m := snapshotOf(t, h, up, "2.0-SNAPSHOT")
	if want := []buildFile{newer, other}; !slices.Equal(m.Builds, want) || m.Stamp != "20261102.000000" || m.Number != "2" || m.Updated != "20261102000000" {
		t.Errorf("the SNAPSHOT: %+v, want the builds %+v", m, want)
	}
	wantVersions(t, h, "united", up, "1.0", "1.1", "1.5")
	r := h.Good("group", h.Get("/org/example/"+metadataName), nil)
	g, err := readMetadata(bytes.NewReader(r.Body))
	if want := []plugin{{"A", "a", "a-plugin"}, {"B", "b", "b-plugin"}, {"C", "c", "c-plugin"}}; err != nil || !slices.Equal(g.Plugins, want) {
		t.Errorf("the group: %+v, %v; want %+v", g, err, want)
	}
	for _, path := range []string{snap, index(up), "/org/example/" + metadataName} {
		r := h.Good(path, h.Get(path), nil)
		h.Good("again", h.Get(path), r.Body)
		h.Good("its sum", h.Get(path+".sha1"), sha1Of(r.Body))
	}
}

// TestCase11OneLayerDown: a list that may lack versions is not given, and what the other layer has is served.
func TestCase11OneLayerDown(t *testing.T) {
	h, second := union(t)
	ecosystem(t).Put(second, up, formattest.Release{Version: "1.0"})
	h.Up.Order("*", "always 500")
	h.Want("metadata", h.Get(index(up)), http.StatusServiceUnavailable)
	h.Want("a file that the first may have", h.Get(file(up, "1.0", ".jar")), http.StatusServiceUnavailable)
	h.Up.Order("*", "always ok")
	h.Pass(time.Minute)
	h.Good("a file of the second", h.Get(file(up, "1.0", ".jar")), nil)
	h.Up.Order("*", "always 500")
	h.Good("held", h.Get(file(up, "1.0", ".jar")), nil)
	h.Good("another file of the same version", h.Get(file(up, "1.0", ".pom")), nil)
}

// TestCase12NoMixing: what a version's layer lacks is not taken from another.
func TestCase12NoMixing(t *testing.T) {
	h, second := union(t)
	ecosystem(t).Put(h.Up, up, formattest.Release{Version: "1.0"})
	ecosystem(t).Put(second, up, formattest.Release{Version: "1.0", Variant: 1})
	lay(second, file(up, "1.0", "-sources.jar"), jarOf(t, "a", "b"), time.Time{})
	h.Good("POM", h.Get(file(up, "1.0", ".pom")), nil)
	h.Want("sources", h.Get(file(up, "1.0", "-sources.jar")), http.StatusNotFound)
	second.Want(t, file(up, "1.0", "-sources.jar"), 0)
}

// TestCase13Claim: nothing under a claim goes up on any route, and what only looks alike does.
func TestCase13Claim(t *testing.T) {
	h := hosting(t)
	for _, path := range []string{
		file(lib, "1.0", ".jar"), file(lib, "1.0", ".jar.sha1"), index(lib), index(lib) + ".sha1", "/com/acme/maven-metadata.xml",
		"/com/acme/sub/lib/maven-metadata.xml", "/com/acme/lib/1.0-SNAPSHOT/maven-metadata.xml", "/com/acme/lib/1.0-SNAPSHOT/lib-1.0-SNAPSHOT.jar",
		"/com/acme/lib/1.0-SNAPSHOT/lib-1.0-20261121.081759-1.jar",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			h.Want(method+" "+path, h.Do(method, "/r"+path, nil), http.StatusNotFound)
		}
	}
	h.Up.Want(t, "", 0)
	h.Get("/com/acmeco/maven-metadata.xml")
	h.Up.Want(t, "/com/acmeco/maven-metadata.xml", 1)
}

// TestCase15HeldSnapshot: a build is as old as its name says, without a request for its POM.
func TestCase15HeldSnapshot(t *testing.T) {
	h := formattest.New(t, ecosystem(t), formattest.Rules(t, map[string]any{"hold": "7d"}))
	old := buildFile{"", "jar", "2.0-20261101.000000-1", "20261101000000"}
	young := buildFile{"", "jar", "2.0-20261120.000000-2", "20261120000000"}
	lay(h.Up, "/org/example/up/2.0-SNAPSHOT/"+metadataName, snapshotDoc("2.0-SNAPSHOT", young, buildFile{"linux", "jar", old.Value, old.Updated}).text(), time.Time{})
	for _, one := range []buildFile{old, young} {
		lay(h.Up, file(up, one.Value, ".jar"), jarOf(t, "a", one.Value), time.Time{})
	}
	m := snapshotOf(t, h, up, "2.0-SNAPSHOT")
	if len(m.Builds) != 1 || m.Builds[0].Value != old.Value || m.Number != "1" {
		t.Errorf("while the newer build is held: %+v", m)
	}
	h.Want("the newer build", h.Get(file(up, young.Value, ".jar")), http.StatusForbidden)
	h.Want("its sum", h.Get(file(up, young.Value, ".jar.sha1")), http.StatusForbidden)
	h.Good("the older one", h.Get(file(up, old.Value, ".jar")), nil)
	h.Pass(7 * 24 * time.Hour)
	if m := snapshotOf(t, h, up, "2.0-SNAPSHOT"); len(m.Builds) != 2 || m.Number != "2" {
		t.Errorf("when the hold has run out: %+v", m)
	}
	h.Good("the newer build", h.Get(file(up, young.Value, ".jar")), nil)
}

// TestSnapshotBelow: no upstream hears of a SNAPSHOT of what is hosted in a repository below, nor is its build taken.
func TestSnapshotBelow(t *testing.T) {
	e := ecosystem(t)
	h := formattest.New(t, e)
	h.Published("publish", e.Publish(h.As(formattest.Owner), up, formattest.Release{Version: "2.0-20261101.000000-1"}))
	theirs := buildFile{"", "jar", "2.0-20261120.000000-9", "20261120000000"}
	lay(h.Up, "/org/example/up/2.0-SNAPSHOT/"+metadataName, snapshotDoc("2.0-SNAPSHOT", theirs).text(), time.Time{})
	outer := h.Config("outer", h.Up)
	outer.Upstreams = append(outer.Upstreams, repo.Upstream{Sibling: "r"})
	h.Configure(repo.Settings{}, h.Config("r"), outer)
	r := h.Good("metadata", h.Do("GET", "/outer/org/example/up/2.0-SNAPSHOT/"+metadataName, nil), nil)
	if !strings.Contains(string(r.Body), "20261101.000000") || strings.Contains(string(r.Body), "20261120") {
		t.Errorf("the SNAPSHOT: %s, want the build that is hosted below, alone", r.Body)
	}
	h.Good("the SNAPSHOT's jar", h.Do("GET", "/outer/org/example/up/2.0-SNAPSHOT/up-2.0-SNAPSHOT.jar", nil), nil)
	h.Want("its javadoc", h.Do("GET", "/outer/org/example/up/2.0-SNAPSHOT/up-2.0-SNAPSHOT-javadoc.jar", nil), http.StatusNotFound)
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a name that is hosted below cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
}

// TestSnapshotThatMoves: a file that is called SNAPSHOT upstream too is asked for again when it is no longer fresh.
func TestSnapshotThatMoves(t *testing.T) {
	h := formattest.New(t, ecosystem(t))
	at := "/org/example/up/2.0-SNAPSHOT/up-2.0-SNAPSHOT.jar"
	one, two := jarOf(t, "a", "1"), jarOf(t, "a", "2")
	lay(h.Up, at, one, time.Time{})
	h.Good("first", h.Get(at), one)
	lay(h.Up, at, two, time.Time{})
	h.Good("fresh", h.Get(at), one)
	h.Pass(6 * time.Minute)
	h.Good("moved", h.Get(at), two)
	h.Good("its sum", h.Get(at+".sha1"), sha1Of(two))
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	h.Pass(time.Hour)
	h.Good("offline", h.Get(at), two)
}

// TestSnapshotOffline: of the builds that an upstream names those are shown that are held.
func TestSnapshotOffline(t *testing.T) {
	h := formattest.New(t, ecosystem(t))
	held := buildFile{"", "jar", "2.0-20261101.000000-1", "20261101000000"}
	lay(h.Up, "/org/example/up/2.0-SNAPSHOT/"+metadataName, snapshotDoc("2.0-SNAPSHOT", held, buildFile{"linux", "jar", "2.0-20261102.000000-2", "20261102000000"}).text(), time.Time{})
	lay(h.Up, file(up, held.Value, ".jar"), jarOf(t, "a", "1"), time.Time{})
	if m := snapshotOf(t, h, up, "2.0-SNAPSHOT"); len(m.Builds) != 2 {
		t.Errorf("online: %+v", m)
	}
	h.Good("jar", h.Get(file(up, held.Value, ".jar")), nil)
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	if m := snapshotOf(t, h, up, "2.0-SNAPSHOT"); len(m.Builds) != 1 || m.Builds[0] != held || m.Number != "1" {
		t.Errorf("offline: %+v, want the build that is held", m)
	}
}

// TestOnly: an upstream that is for some groups is asked for no others.
func TestOnly(t *testing.T) {
	h, _ := stocked(t, option("only", "org.other.* com.example"))
	h.Want("metadata", h.Get(index(up)), http.StatusNotFound)
	h.Want("file", h.Get(file(up, "1.0", ".jar")), http.StatusNotFound)
	h.Up.Want(t, "", 0)
	h.Want("another", h.Get("/org/other/x/maven-metadata.xml"), http.StatusNotFound)
	h.Up.Want(t, "/org/other/x/maven-metadata.xml", 1)
}

// TestCase26Large: metadata of many versions, and no sum header for what is no file.
func TestCase26Large(t *testing.T) {
	h := formattest.New(t, ecosystem(t))
	var all []string
	for n := range 20_000 {
		all = append(all, fmt.Sprintf("1.%d.%d", n/100, n%100))
	}
	lay(h.Up, index(up), metadataOf(up, all...), time.Time{})
	r := h.Good("metadata", h.Get(index(up)), nil)
	if got := listed(r.Body); !slices.Equal(got, all) {
		t.Errorf("%d versions are listed, want %d in order", len(got), len(all))
	}
	if got := shownSums(r); got != "" {
		t.Errorf("metadata has sums: %s", got)
	}
}

// TestErrorsAreProblems: what clients print of a refusal is its detail.
func TestErrorsAreProblems(t *testing.T) {
	h, _ := stocked(t)
	r := h.Want("absent", h.Get("/org/example/none/maven-metadata.xml"), http.StatusNotFound)
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" || !bytes.Contains(r.Body, []byte(`"detail":"`)) || !bytes.Contains(r.Body, []byte(`"status":404`)) {
		t.Errorf("an error is %q: %s", got, r)
	}
	r = h.Want("nobody publishes", h.As("").Do("PUT", file(up, "1.0", ".jar"), nil, []byte("PK")), http.StatusUnauthorized)
	if got := r.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("WWW-Authenticate is %q", got)
	}
	h.Want("a document that is made here", h.As(formattest.Owner).Do("PUT", "/archetype-catalog.xml", nil, []byte("<x/>")), http.StatusMethodNotAllowed)
	h.Good("prefixes", h.Get("/.meta/prefixes.txt"), []byte("## repository-prefixes/2.0\n@ unsupported\n"))
	lay(h.Up, "/archetype-catalog.xml", []byte("<archetype-catalog/>"), time.Time{})
	h.Good("catalog", h.Get("/archetype-catalog.xml"), []byte("<archetype-catalog/>"))
	h.Good("its sum", h.Get("/archetype-catalog.xml.sha1"), sha1Of([]byte("<archetype-catalog/>")))
}

// TestIndex: what an upstream keeps for the search of editors is passed on, its own sums included, and kept for when it is ill.
func TestIndex(t *testing.T) {
	h, _ := stocked(t)
	body := []byte("\x1f\x8bthe index")
	lay(h.Up, "/.index/nexus-maven-repository-index.gz", body, time.Time{})
	lay(h.Up, "/.index/nexus-maven-repository-index.properties", []byte("nexus.index.id=x\n"), time.Time{})
	got := h.Good("the index", h.Get("/.index/nexus-maven-repository-index.gz"), body)
	if got.Header.Get("Content-Type") != "application/gzip" {
		t.Errorf("it is %s", got.Header.Get("Content-Type"))
	}
	h.Good("its sum", h.Get("/.index/nexus-maven-repository-index.gz.sha1"), sha1Of(body))
	h.Good("what it says of itself", h.Get("/.index/nexus-maven-repository-index.properties"), []byte("nexus.index.id=x\n"))
	h.Want("a part that there is none of", h.Get("/.index/nexus-maven-repository-index.1.gz"), http.StatusNotFound)
	h.Want("nobody publishes it", h.As(formattest.Owner).Do("PUT", "/.index/x.gz", nil, body), http.StatusMethodNotAllowed)
	lay(h.Up, "/.index/nexus-maven-repository-index.gz", []byte("\x1f\x8bthe next"), time.Time{})
	h.Pass(10 * time.Minute)
	h.Good("the next one", h.Get("/.index/nexus-maven-repository-index.gz"), []byte("\x1f\x8bthe next"))
	h.Good("its sum, anew", h.Get("/.index/nexus-maven-repository-index.gz.sha1"), sha1Of([]byte("\x1f\x8bthe next")))
	h.Pass(10 * time.Minute)
	h.Up.Close()
	h.Good("kept", h.Get("/.index/nexus-maven-repository-index.gz"), []byte("\x1f\x8bthe next"))
}
