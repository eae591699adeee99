package maven

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

// shownSums are the kinds of sums in a response's headers.
func shownSums(r formattest.Reply) string {
	var out []string
	for _, name := range []string{"Md5", "Sha1", "Sha256", "Sha512"} {
		if r.Header.Get("X-Checksum-"+name) != "" {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

// TestCase26SumsInHeaders: files tell the sums that are known of them, right ones only; what is no file tells none.
func TestCase26SumsInHeaders(t *testing.T) {
	h := formattest.New(t, ecosystem(t))
	jar := jarOf(t, "a", "1")
	at := file(up, "1.0.0", ".jar")
	lay(h.Up, at, jar, time.Time{})
	h.Up.Put(at+".sha1", faulty.Object{Body: sha1Of(jar)})
	one, two := sha1Of(jar), fmt.Sprintf("%x", sha256.Sum256(jar))
	h.Good("cold", h.Get(at), jar)
	warm := h.Good("warm", h.Get(at), jar)
	if got := warm.Header.Get("X-Checksum-Sha1"); got != string(one) || warm.Header.Get("X-Checksum-Sha256") != two {
		t.Errorf("a held file has sums %q, want those of sha1 and sha256", warm.Header)
	}
	if got := shownSums(h.Get(at + ".sha1")); got != "" {
		t.Errorf("a sum has sums: %s", got)
	}
	h = hosting(t)
	ours := file(lib, "2.0", ".jar")
	as(t, h, nil).deploy(lib, "2.0", jar, http.StatusCreated)
	if got := shownSums(h.Good("ours", h.Get(ours), jar)); got != "Md5 Sha1 Sha256 Sha512" {
		t.Errorf("what is hosted has %q, want all four sums", got)
	}

	h = formattest.New(t, ecosystem(t), option("checksum", "warn"))
	lay(h.Up, at, jar, time.Time{})
	h.Up.Put(at+".sha1", faulty.Object{Body: sha1Of([]byte("another"))})
	h.Good("warned of", h.Get(at), jar)
	if got := shownSums(h.Good("warned of", h.Get(at), jar)); got != "Sha256" {
		t.Errorf("a file whose upstream has a wrong sum shows %q: a client that would compare it with the upstream's asks no more", got)
	}
}

// TestCase27GradlePublishes sends what Gradle's maven-publish sends: each file with four sums, a .module among them that names the
// digests of the others, then the metadata. What is served has them.
func TestCase27GradlePublishes(t *testing.T) {
	h := hosting(t)
	s := as(t, h, http.Header{"User-Agent": {"Gradle/8.10 (Linux;6.1;amd64) (Debian;17.0.15)"}})
	jar := jarOf(t, "a", "1")
	type named struct {
		Name, URL                 string
		Size                      int
		SHA512, SHA256, SHA1, MD5 string
	}
	declared := named{"lib-1.4.jar", "lib-1.4.jar", len(jar), fmt.Sprintf("%x", sha512.Sum512(jar)), fmt.Sprintf("%x", sha256.Sum256(jar)),
		fmt.Sprintf("%x", sha1.Sum(jar)), fmt.Sprintf("%x", md5.Sum(jar))}
	module, err := json.Marshal(map[string]any{"formatVersion": "1.1", "component": map[string]string{"group": "com.acme", "module": "lib", "version": "1.4"},
		"variants": []any{map[string]any{"name": "apiElements", "files": []named{declared}}}})
	if err != nil {
		t.Fatal(err)
	}
	puts := func(path string, body []byte, want int) {
		s.put(path, body, want)
		for suffix, sum := range map[string]string{".sha1": fmt.Sprintf("%x", sha1.Sum(body)), ".md5": fmt.Sprintf("%x", md5.Sum(body)),
			".sha256": fmt.Sprintf("%x", sha256.Sum256(body)), ".sha512": fmt.Sprintf("%x", sha512.Sum512(body))} {
			s.put(path+suffix, []byte(sum), http.StatusCreated)
		}
	}
	for range 2 { // a job that is run again sends all of it again
		want := http.StatusCreated
		if len(h.Log()) > 0 {
			want = http.StatusOK
		}
		puts(file(lib, "1.4", ".jar"), jar, want)
		puts(file(lib, "1.4", ".module"), module, want)
		puts(file(lib, "1.4", ".pom"), pomOf(lib, "1.4", ""), want)
		puts(index(lib), metadataOf(lib, "1.4"), http.StatusCreated)
		wantVersions(t, h, "published", lib, "1.4")
	}
	h.WantLog("published twice", "publish")
	h.Good("module", h.Get(file(lib, "1.4", ".module")), module)
	h.Good("jar", h.Get(file(lib, "1.4", ".jar")), jar)
	for suffix, sum := range map[string]string{".sha512": declared.SHA512, ".sha256": declared.SHA256, ".sha1": declared.SHA1, ".md5": declared.MD5} {
		h.Good(suffix, h.Get(file(lib, "1.4", ".jar"+suffix)), []byte(sum))
	}
	s.put(file(lib, "1.4", ".module"), append(module, ' '), http.StatusConflict)
}
