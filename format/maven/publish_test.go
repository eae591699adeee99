package maven

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/format/formattest"
	"millpond/repo"
)

// mvn is what Maven says of itself: it puts the metadata when it has put the rest.
var mvn = http.Header{"User-Agent": {"Apache-Maven/3.8.7 (Java 17.0.15; Linux 6.1)"}}

// A sender puts files as one caller.
type sender struct {
	formattest.Client
	t      *testing.T
	header http.Header
}

// hosting is a House whose repository has claimed com.acme.*.
func hosting(t *testing.T, changes ...func(*repo.Config)) *formattest.House {
	t.Helper()
	claim := func(c *repo.Config) { c.Claims = []string{"com.acme.*"} }
	return formattest.New(t, ecosystem(t), append([]func(*repo.Config){claim}, changes...)...)
}

func as(t *testing.T, h *formattest.House, header http.Header) sender {
	return sender{h.As(formattest.Owner), t, header}
}

// put fails the test unless the answer has that status.
func (s sender) put(path string, body []byte, want int) formattest.Reply {
	s.t.Helper()
	r := s.Do("PUT", path, s.header, body)
	if r.Status != want || r.Err != nil {
		s.t.Errorf("PUT %s: got %s, want %d", path, r, want)
	}
	return r
}

// deploy puts what mvn deploy puts of a release or one build: jar, POM and their sums, then metadata.
func (s sender) deploy(pkg, version string, jar []byte, want int) {
	s.t.Helper()
	for _, one := range []struct {
		rest string
		body []byte
	}{{".jar", jar}, {".pom", pomOf(pkg, version, "")}} {
		at := file(pkg, version, one.rest)
		s.put(at, one.body, want)
		s.put(at+".sha1", sha1Of(one.body), http.StatusCreated)
	}
	s.metadata(pkg, version)
}

// metadata puts the metadata of a version, and of the artifact.
func (s sender) metadata(pkg, version string) {
	s.t.Helper()
	if b, ok := buildOf(version); ok {
		at := strings.TrimSuffix(file(pkg, version, ".pom"), pathTail(file(pkg, version, ".pom"))) + metadataName
		m := &metadata{Version: b.base, Stamp: b.stamp, Number: fmt.Sprint(b.number), Builds: []buildFile{{"", "jar", version, "20261121000000"}, {"", "pom", version, "20261121000000"}}}
		s.put(at, m.text(), http.StatusCreated)
		s.put(at+".sha1", sha1Of(m.text()), http.StatusCreated)
	}
	doc := metadataOf(pkg, baseOf(version))
	s.put(index(pkg), doc, http.StatusCreated)
	s.put(index(pkg)+".sha1", sha1Of(doc), http.StatusCreated)
}

func (m *metadata) text() []byte {
	var b bytes.Buffer
	m.write(&b) // memory does not fail
	return b.Bytes()
}

func pathTail(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// versions are what the metadata of a package lists; nil if there is none.
func versions(h *formattest.House, pkg string) []string {
	r := h.Get(index(pkg))
	if r.Status != http.StatusOK {
		return nil
	}
	return listed(r.Body)
}

func wantVersions(t *testing.T, h *formattest.House, what, pkg string, want ...string) {
	t.Helper()
	if got := versions(h, pkg); !slices.Equal(got, want) {
		t.Errorf("%s: metadata of %s lists %q, want %q", what, pkg, got, want)
	}
}

const lib = "com.acme:lib"

func TestDeployAsMavenDoes(t *testing.T) {
	h := hosting(t)
	s := as(t, h, mvn)
	jar := jarOf(t, "a", "1.4")
	s.deploy(lib, "1.4", jar, http.StatusCreated)
	wantVersions(t, h, "deployed", lib, "1.4")
	h.Good("jar", h.Get(file(lib, "1.4", ".jar")), jar)
	h.Good("pom", h.Get(file(lib, "1.4", ".pom")), pomOf(lib, "1.4", ""))
	h.Good("sum", h.Get(file(lib, "1.4", ".jar.sha1")), sha1Of(jar))
	sum := sha256.Sum256(jar)
	h.Good("a sum that was not sent", h.Get(file(lib, "1.4", ".jar.sha256")), []byte(hex.EncodeToString(sum[:])))
	h.WantLog("deployed", "publish")
	if got := h.Log()[0].Key; got != (millpond.Key{Package: lib, Version: "1.4"}) {
		t.Errorf("the event is about %v", got)
	}
	s.deploy(lib, "1.4", jar, http.StatusOK)
	h.WantLog("again", "publish")
}

// TestCase16ConcurrentDeploys deploys many versions at once.
func TestCase16ConcurrentDeploys(t *testing.T) {
	h := hosting(t)
	var all sync.WaitGroup
	var want []string
	for i := range 40 {
		version := fmt.Sprintf("1.%d", i)
		want = append(want, version)
		all.Go(func() { as(t, h, mvn).deploy(lib, version, jarOf(t, "a", version), http.StatusCreated) })
	}
	all.Wait()
	wantVersions(t, h, "at once", lib, want...)
}

// TestCase16Classifiers: two builds with other classifiers are both to be had.
func TestCase16Classifiers(t *testing.T) {
	h := hosting(t)
	s := as(t, h, mvn)
	one, two := "2.0-20261121.080000-1", "2.0-20261121.090000-2"
	s.deploy(lib, one, jarOf(t, "a", "1"), http.StatusCreated)
	extra := jarOf(t, "a", "linux")
	s.put(file(lib, two, "-linux.jar"), extra, http.StatusCreated)
	s.put(file(lib, two, ".pom"), pomOf(lib, two, ""), http.StatusCreated)
	s.metadata(lib, two)
	m := snapshotOf(t, h, lib, "2.0-SNAPSHOT")
	want := []buildFile{{"", "jar", one, "20261121080000"}, {"", "pom", two, "20261121090000"}, {"linux", "jar", two, "20261121090000"}}
	if !slices.Equal(m.Builds, want) || m.Stamp != "20261121.090000" || m.Number != "2" {
		t.Errorf("metadata of the SNAPSHOT: %+v, want the builds %+v", m, want)
	}
	h.Good("the name that moves", h.Get("/com/acme/lib/2.0-SNAPSHOT/lib-2.0-SNAPSHOT-linux.jar"), extra)
	h.Good("its sum", h.Get("/com/acme/lib/2.0-SNAPSHOT/lib-2.0-SNAPSHOT-linux.jar.sha1"), sha1Of(extra))
	r := h.Good("the older jar", h.Get("/com/acme/lib/2.0-SNAPSHOT/lib-2.0-SNAPSHOT.jar"), jarOf(t, "a", "1"))
	if got := r.Header.Get("Cache-Control"); got != maxAge {
		t.Errorf("Cache-Control of a name that moves is %q, want %q", got, maxAge)
	}
	wantVersions(t, h, "builds", lib, "2.0-SNAPSHOT")
}

func snapshotOf(t *testing.T, h *formattest.House, pkg, base string) *metadata {
	t.Helper()
	n, _ := nameOf(pkg + ":" + base)
	r := h.Good("metadata of "+base, h.Get("/"+n.dir()+metadataName), nil)
	m, err := readMetadata(bytes.NewReader(r.Body))
	if err != nil {
		t.Fatalf("metadata of %s: %v in %s", base, err, r.Body)
	}
	return m
}

// TestCase17NeverHalf: after each request of a deploy the version is not listed, or whole, whether the pond is started again or
// not; and a deploy from the start succeeds.
func TestCase17NeverHalf(t *testing.T) {
	jar, sources := jarOf(t, "a", "1"), jarOf(t, "s", "1")
	requests := []struct {
		path string
		body []byte
	}{
		{file(lib, "1.4", ".jar"), jar}, {file(lib, "1.4", ".jar.sha1"), sha1Of(jar)},
		{file(lib, "1.4", ".pom"), pomOf(lib, "1.4", "")}, {file(lib, "1.4", ".pom.md5"), []byte("d41d8cd98f00b204e9800998ecf8427e")},
		{file(lib, "1.4", "-sources.jar"), sources}, {index(lib), metadataOf(lib, "1.4")},
	}
	requests[3].body = []byte(hex.EncodeToString(md5Of(requests[2].body)))
	for n := range len(requests) + 1 {
		h := hosting(t)
		s := as(t, h, mvn)
		for _, one := range requests[:n] {
			s.put(one.path, one.body, http.StatusCreated)
		}
		h.Restart()
		whole := n == len(requests)
		if got := versions(h, lib); whole != slices.Equal(got, []string{"1.4"}) || !whole && got != nil {
			t.Errorf("killed after %d requests: the metadata lists %q", n, got)
		}
		for _, path := range []string{file(lib, "1.4", ".jar"), file(lib, "1.4", ".pom"), file(lib, "1.4", "-sources.jar")} {
			if r := h.Get(path); (r.Status == http.StatusOK) != whole {
				t.Errorf("killed after %d requests: GET %s: %s", n, path, r)
			}
		}
		// The build ran again, and made another jar.
		again := jarOf(t, "a", "2")
		if whole {
			again = jar
		}
		for _, one := range requests {
			body := one.body
			switch one.path {
			case requests[0].path:
				body = again
			case requests[1].path:
				body = sha1Of(again)
			}
			want := http.StatusCreated
			if whole && !strings.Contains(one.path, metadataName) && sumOf(one.path) == "" {
				want = http.StatusOK
			}
			s.put(one.path, body, want)
		}
		h.Good("after a second run", h.Get(file(lib, "1.4", ".jar")), again)
		wantVersions(t, h, "after a second run", lib, "1.4")
		h.WantLog(fmt.Sprintf("%d requests, then all", n), "publish")
	}
}

// TestCase18AnyOrder puts sums before files and metadata before the POM, and all at once.
func TestCase18AnyOrder(t *testing.T) {
	jar := jarOf(t, "a", "1")
	requests := map[string][]byte{
		index(lib): metadataOf(lib, "1.4"), file(lib, "1.4", ".jar.sha1"): sha1Of(jar), file(lib, "1.4", ".pom.sha1"): sha1Of(pomOf(lib, "1.4", "")),
		file(lib, "1.4", ".pom"): pomOf(lib, "1.4", ""), file(lib, "1.4", ".jar"): jar,
	}
	h := hosting(t)
	s := as(t, h, mvn)
	for _, path := range []string{index(lib), file(lib, "1.4", ".jar.sha1"), file(lib, "1.4", ".pom.sha1"), file(lib, "1.4", ".pom"), file(lib, "1.4", ".jar")} {
		s.put(path, requests[path], http.StatusCreated)
	}
	wantVersions(t, h, "in reverse", lib, "1.4")
	h.WantLog("in reverse", "publish")
	for range 20 {
		h := hosting(t)
		var all sync.WaitGroup
		for path, body := range requests {
			all.Go(func() { as(t, h, mvn).put(path, body, http.StatusCreated) })
		}
		all.Wait()
		if wantVersions(t, h, "all at once", lib, "1.4"); t.Failed() {
			return
		}
	}
}

// TestWrongSumBeforeItsFile: the file is refused that comes after another's sum.
func TestWrongSumBeforeItsFile(t *testing.T) {
	h := hosting(t)
	s := as(t, h, mvn)
	s.put(file(lib, "1.4", ".jar.sha1"), sha1Of([]byte("another")), http.StatusCreated)
	s.put(file(lib, "1.4", ".jar"), jarOf(t, "a", "1"), http.StatusBadRequest)
	h.Pass(sumAside + time.Second)
	s.put(file(lib, "1.4", ".jar"), jarOf(t, "a", "1"), http.StatusCreated)
	s.put(file(lib, "1.4", ".jar.sha1"), sha1Of([]byte("another")), http.StatusBadRequest)
	s.put(file(lib, "1.4", ".jar.sha1"), []byte("no sum"), http.StatusBadRequest)
}

// TestCase19WriteOnce: a release takes the same bytes, no others, and late signatures.
func TestCase19WriteOnce(t *testing.T) {
	h := hosting(t)
	s := as(t, h, mvn)
	jar := jarOf(t, "a", "1")
	s.deploy(lib, "1.4", jar, http.StatusCreated)
	s.put(file(lib, "1.4", ".jar"), jar, http.StatusOK)
	r := s.put(file(lib, "1.4", ".jar"), jarOf(t, "a", "2"), http.StatusConflict)
	if !bytes.Contains(r.Body, []byte(formattest.Owner)) || !bytes.Contains(r.Body, []byte("1.4")) {
		t.Errorf("the refusal does not say whose 1.4 it is: %s", r)
	}
	h.Good("the first bytes", h.Get(file(lib, "1.4", ".jar")), jar)
	s.put(file(lib, "1.4", "-sources.jar"), jarOf(t, "s", "1"), http.StatusCreated)
	h.Pass(open + time.Minute)
	s.put(file(lib, "1.4", "-javadoc.jar"), jarOf(t, "s", "1"), http.StatusConflict)
	s.put(file(lib, "1.4", ".jar.asc"), []byte("-----BEGIN PGP SIGNATURE-----\n"), http.StatusCreated)
	h.Good("signature", h.Get(file(lib, "1.4", ".jar.asc")), []byte("-----BEGIN PGP SIGNATURE-----\n"))
	c := h.Config("r", h.Up)
	c.Claims, c.Options = []string{"com.acme.*"}, map[string]string{"additions": "allow"}
	h.Configure(repo.Settings{}, c)
	s.put(file(lib, "1.4", "-javadoc.jar"), jarOf(t, "s", "1"), http.StatusCreated)
}

func TestCase21POM(t *testing.T) {
	h := hosting(t)
	s := as(t, h, nil)
	pom := string(pomOf(lib, "1.4", ""))
	deep := strings.Repeat("<a>", 10_000) + strings.Repeat("</a>", 10_000)
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"another group", strings.ReplaceAll(pom, "com.acme", "com.evil"), http.StatusBadRequest},
		{"another artifact", strings.ReplaceAll(pom, "<artifactId>lib", "<artifactId>libs"), http.StatusBadRequest},
		{"another version", strings.ReplaceAll(pom, "1.4", "1.5"), http.StatusBadRequest},
		{"a DTD", strings.Replace(pom, "<project", `<!DOCTYPE project [<!ENTITY x SYSTEM "file:///etc/passwd">]><project`, 1), http.StatusBadRequest},
		{"a billion laughs", strings.Replace(pom, "<project", `<!DOCTYPE p [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><project`, 1), http.StatusBadRequest},
		{"an entity of nobody's", strings.Replace(pom, "1.4", "&x;", 1), http.StatusBadRequest},
		{"deep", strings.Replace(pom, "</project>", deep+"</project>", 1), http.StatusBadRequest},
		{"no POM", "<html><body>login</body></html>", http.StatusBadRequest},
		{"cut", pom[:len(pom)/2], http.StatusBadRequest},
		{"too large", pom + strings.Repeat(" ", pomLimit), http.StatusRequestEntityTooLarge},
		{"a property", strings.ReplaceAll(pom, "1.4", "${revision}"), http.StatusCreated},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			s.put(file(lib, "1.4", ".pom"), []byte(c.text), c.want)
		})
	}
	s.t = t
	parent := `<project><modelVersion>4.0.0</modelVersion><parent><groupId>com.acme</groupId><artifactId>p</artifactId><version>1.6</version></parent><artifactId>lib</artifactId><packaging>pom</packaging></project>`
	s.put(file(lib, "1.6", ".pom"), []byte(parent), http.StatusCreated)
	wantVersions(t, h, "group and version of the parent", lib, "1.6")
	s.put(file(lib, "1.7", ".jar"), []byte("<html>login</html>"), http.StatusBadRequest)
}

func TestCase23Delete(t *testing.T) {
	h := hosting(t, func(c *repo.Config) { c.Unpublish = true })
	s := as(t, h, mvn)
	for _, version := range []string{"1.1", "1.2", "2.0-20261121.080000-1", "2.0-20261121.090000-2"} {
		s.deploy(lib, version, jarOf(t, "a", version), http.StatusCreated)
	}
	wantVersions(t, h, "deployed", lib, "1.1", "1.2", "2.0-SNAPSHOT")
	if r := h.As(formattest.Reader).Do("DELETE", "/com/acme/lib/1.2/", nil, nil); r.Status != http.StatusForbidden {
		t.Errorf("delete as reader: %s", r)
	}
	if r := s.Do("DELETE", "/com/acme/lib/1.2/", nil, nil); r.Status != http.StatusNoContent {
		t.Errorf("delete: %s", r)
	}
	if r := s.Do("DELETE", "/com/acme/lib/2.0-SNAPSHOT", nil, nil); r.Status != http.StatusNoContent {
		t.Errorf("delete of a SNAPSHOT: %s", r)
	}
	wantVersions(t, h, "deleted", lib, "1.1")
	var doc struct {
		Release string `xml:"versioning>release"`
		Latest  string `xml:"versioning>latest"`
	}
	if err := xml.Unmarshal(h.Get(index(lib)).Body, &doc); err != nil || doc.Release != "1.1" || doc.Latest != "1.1" {
		t.Errorf("release and latest are %+v, %v, want 1.1", doc, err)
	}
	for _, end := range []string{".jar", ".jar.sha1", ".pom"} {
		if r := h.Want("a deleted file", h.Get(file(lib, "1.2", end)), http.StatusGone); !strings.Contains(string(r.Body), "was deleted on 21 November 2026 by ") {
			t.Errorf("of a deleted file it is said: %s", r)
		}
	}
	h.Want("what never was", h.Get(file(lib, "1.3", ".jar")), http.StatusNotFound)
	s.put(file(lib, "1.2", ".jar"), jarOf(t, "a", "other"), http.StatusGone)
}

// TestLiteralSnapshot: what is put under the name SNAPSHOT itself becomes a build.
func TestLiteralSnapshot(t *testing.T) {
	h := hosting(t)
	s := as(t, h, http.Header{"User-Agent": {"Apache Ivy/2.5"}})
	first, second := jarOf(t, "a", "1"), jarOf(t, "a", "2")
	s.put(file(lib, "3.0-SNAPSHOT", ".jar"), first, http.StatusCreated)
	s.put(file(lib, "3.0-SNAPSHOT", ".jar.sha1"), sha1Of(first), http.StatusCreated)
	s.put(file(lib, "3.0-SNAPSHOT", ".pom"), pomOf(lib, "3.0-SNAPSHOT", ""), http.StatusCreated)
	h.Pass(time.Hour)
	s.put(file(lib, "3.0-SNAPSHOT", ".jar"), first, http.StatusOK)
	s.put(file(lib, "3.0-SNAPSHOT", ".jar"), second, http.StatusCreated)
	m := snapshotOf(t, h, lib, "3.0-SNAPSHOT")
	if len(m.Builds) != 2 || m.Builds[0].Value != "3.0-20261121.130000-2" || m.Builds[1].Value != "3.0-20261121.120000-1" {
		t.Errorf("the builds are %+v, want the jar of a second one and the POM of the first", m.Builds)
	}
	h.Good("newest", h.Get(file(lib, "3.0-SNAPSHOT", ".jar")), second)
	h.Good("first", h.Get(file(lib, "3.0-20261121.120000-1", ".jar")), first)
}

func TestReleasesAndSnapshotsCanBeRefused(t *testing.T) {
	for option, refused := range map[string]string{"releases": "1.0", "snapshots": "1.0-20261121.080000-1"} {
		h := hosting(t, func(c *repo.Config) { c.Options = map[string]string{option: "off"} })
		s := as(t, h, mvn)
		for _, version := range []string{"1.0", "1.0-20261121.080000-1"} {
			want := http.StatusCreated
			if version == refused {
				want = http.StatusBadRequest
			}
			s.put(file(lib, version, ".jar"), jarOf(t, "a", "1"), want)
		}
	}
}

// TestPlugins: the prefix of a hosted plugin stands in its group's metadata, with the upstream's.
func TestPlugins(t *testing.T) {
	h := formattest.New(t, ecosystem(t))
	s := as(t, h, nil)
	const group, one, two = "org.example.plugins", "org.example.plugins:our-maven-plugin", "org.example.plugins:tools"
	packaging := "<packaging>maven-plugin</packaging><name>Ours</name>"
	s.put(file(one, "1.0", ".jar"), jarOf(t, "a", "1"), http.StatusCreated)
	s.put(file(one, "1.0", ".pom"), pomOf(one, "1.0", packaging), http.StatusCreated)
	s.put(file(two, "1.0", ".jar"), jarOf(t, "META-INF/maven/plugin.xml", "<plugin><name>Tools</name><goalPrefix>tls</goalPrefix></plugin>"), http.StatusCreated)
	s.put(file(two, "1.0", ".pom"), pomOf(two, "1.0", packaging), http.StatusCreated)
	up := &metadata{Plugins: []plugin{{"Theirs", "theirs", "theirs-plugin"}, {"Ours", "our", "our-maven-plugin"}}}
	lay(h.Up, "/org/example/plugins/"+metadataName, up.text(), time.Time{})
	r := h.Good("metadata of the group", h.Get("/org/example/plugins/"+metadataName), nil)
	m, err := readMetadata(bytes.NewReader(r.Body))
	want := []plugin{{"Ours", "our", "our-maven-plugin"}, {"Theirs", "theirs", "theirs-plugin"}, {"Tools", "tls", "tools"}}
	if err != nil || !slices.Equal(m.Plugins, want) {
		t.Errorf("plugins of %s: %+v, %v; want %+v in %s", group, m, err, want, r.Body)
	}
	h.Good("its sum", h.Get("/org/example/plugins/"+metadataName+".sha1"), sha1Of(r.Body))
	wantVersions(t, h, "the plugin's own", one, "1.0")
}

func md5Of(b []byte) []byte {
	sum := md5.Sum(b)
	return sum[:]
}
