package debian

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ulikunitz/xz"

	"millpond/format/formattest"
	"millpond/repo"
)

// TestCase21Uploads: what is no sound package is refused, and nothing of it is kept.
func TestCase21Uploads(t *testing.T) {
	h, _ := house(t, nil)
	h.As(formattest.Owner).Do("PUT", "/dists/stable/Release", nil, nil)
	sound := "Package: x-y\nVersion: 1\nArchitecture: amd64\nMaintainer: A <a@up.example>\nDescription: d\n"
	data := tarGz(t, "./x", "y")
	of := func(text string) []byte { return debOf(t, "control.tar.gz", tarGz(t, "./control", text), data) }
	for what, body := range map[string][]byte{
		"nothing":              nil,
		"a zip":                []byte("PK\x03\x04 and so on"),
		"format 3.0":           ar("debian-binary", []byte("3.0\n"), "control.tar.gz", tarGz(t, "./control", sound)),
		"no control":           ar("debian-binary", []byte("2.0\n"), "data.tar.gz", data),
		"no control file":      debOf(t, "control.tar.gz", tarGz(t, "./other", sound), data),
		"a lying size":         bytes.Replace(of(sound), []byte("`\n2.0"), []byte("`\n2"), 1),
		"cut short":            of(sound)[:100],
		"an empty line inside": of(sound + "\nX: y\n"),
		"a field twice":        of(sound + "Package: z\n"),
		"no UTF-8":             of(sound + "X: \xff\n"),
		"no version":           of(strings.Replace(sound, "Version: 1\n", "", 1)),
		"a wild version":       of(strings.Replace(sound, "Version: 1", "Version: ../1", 1)),
		"a wild name":          of(strings.Replace(sound, "x-y", "../x", 1)),
		"a wild architecture":  of(strings.Replace(sound, "amd64", "amd64/..", 1)),
		"a Filename":           of(sound + "Filename: elsewhere\n"),
		"a filename":           of(sound + "filename: elsewhere\n"),
		"a bomb":               debOf(t, "control.tar.gz", packed(t, make([]byte, 20<<20)), data),
		"a bomb by zstd":       debOf(t, "control.tar.zst", zstdOf(t, make([]byte, 20<<20)), data),
		"a bomb by xz":         debOf(t, "control.tar.xz", bytes.Repeat(xzOf(t, make([]byte, 1<<20)), 20), data),
		"a bomb of a tar":      debOf(t, "control.tar", make([]byte, 20<<20), data),
		"a control as a link":  debOf(t, "control.tar.gz", linked(t, "./control", "/etc/passwd"), data),
		"a field that is cut":  of(sound + "X: y\nand so on\n"),
	} {
		if r := h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, body); r.Status != http.StatusBadRequest && r.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: got %s, want 400", what, r)
		}
	}
	for ending, control := range map[string][]byte{".zst": zstdOf(t, tarOf(t, "./control", sound)), ".xz": xzOf(t, tarOf(t, "./control", sound)), "": tarOf(t, "./control", sound)} {
		if _, err := readDeb(bytes.NewReader(debOf(t, "control.tar"+ending, control, data)), io.Discard); err != nil {
			t.Errorf("a sound one, packed as %q: %v", ending, err)
		}
	}
	if kept := h.Kept(); kept != 0 {
		t.Errorf("refused uploads left %d blobs", kept)
	}
	h.Published("a sound one", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, of(sound)))
}

// TestStrangersAreNotReadFrom: of who may publish nothing no byte is read, though only the package itself says whose it is.
func TestStrangersAreNotReadFrom(t *testing.T) {
	h, _ := house(t, nil)
	for _, one := range [][2]string{{"PUT", "/pool/stable/main/x.deb"}, {"PUT", "/incoming/x_1_amd64.deb"}, {"PUT", "/incoming/x_1.changes"}, {"POST", "/pool/stable/main"}} {
		r := h.As("").Do(one[0], one[1], http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, []byte("this is none"))
		if r.Status != http.StatusUnauthorized {
			t.Errorf("%s %s: got %s, want 401", one[0], one[1], r)
		}
	}
	many := []any{"debian-binary", []byte("2.0\n")}
	for range 3 {
		many = append(many, "_other", make([]byte, packedControl/3+1))
	}
	if _, err := readDeb(bytes.NewReader(ar(many...)), io.Discard); err == nil || !strings.Contains(err.Error(), "before the data") {
		t.Errorf("much before the control archive: got %v, want that it is too much", err)
	}
}

func zstdOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := pack(&out, ".zst", b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func xzOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 1 << 20}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// tarOf is tarGz, unpacked.
func tarOf(t testing.TB, files ...string) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(tarGz(t, files...)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// linked is an archive in which a name is a link.
func linked(t testing.TB, name, to string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed(t, b.Bytes())
}

// TestHosted: publish, update, install, yank, delete by the real apt, with the source that the repository prints.
func TestHosted(t *testing.T) {
	t.Parallel()
	h, _ := house(t, nil)
	h.Pass(-48 * time.Hour) // the clock of apt is the machine's
	put := func(name string, body []byte) {
		t.Helper()
		h.Published(name, h.As(formattest.Owner).Do("PUT", "/pool/stable/main/"+name, nil, body))
	}
	put("hello.deb", deb(t, "hello", "1.0", "amd64", "Depends: common\n", 0))
	put("common.deb", deb(t, "common", "1:1.0-1", "all", "Source: shared (2.0)\n", 0))
	source := good(t, h, "/setup.sources?suite=stable", nil)
	root := newAPT(t, "")
	root.write("etc/apt/sources.list.d/pond.sources", string(source.Body))
	root.must("update")
	root.must("install", "hello")
	if a, b := root.installed("hello"), root.installed("common"); a != "1.0" || b != "1:1.0-1" {
		t.Errorf("installed are hello %q and common %q", a, b)
	}
	h.Pass(2 * time.Second)
	put("hello.deb", deb(t, "hello", "1.1", "amd64", "Depends: common\n", 0))
	root.must("update")
	root.must("upgrade")
	if a := root.installed("hello"); a != "1.1" {
		t.Errorf("after the upgrade hello is %q, want 1.1", a)
	}
	h.Want("other bytes", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/hello.deb", nil, deb(t, "hello", "1.1", "amd64", "", 1)), http.StatusConflict)
	h.Want("in another suite", h.As(formattest.Owner).Do("PUT", "/pool/testing/main/hello.deb", nil, deb(t, "hello", "1.1", "amd64", "", 1)), http.StatusCreated)
}

// TestPublishing: four clients update while packages are published all the time, and none of them ever sees a half of it.
func TestPublishing(t *testing.T) {
	h, _ := house(t, nil)
	h.Pass(-48 * time.Hour)
	put := func(n int) {
		h.Published("publish", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, deb(t, fmt.Sprintf("p%03d", n%40), fmt.Sprintf("1.%d", n), "amd64", "", 0)))
	}
	put(0)
	source := good(t, h, "/setup.sources?suite=stable", nil)
	roots := make([]*aptRoot, 4)
	for i := range roots {
		roots[i] = newAPT(t, "")
		roots[i].write("etc/apt/sources.list.d/pond.sources", string(source.Body))
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				put(n)
				h.Pass(400 * time.Millisecond)
			}
		}
	}()
	for round := range 5 {
		results := make(chan string)
		for _, r := range roots {
			go func() {
				out, err := r.run("update")
				if err != nil || strings.Contains(out, "W: ") || strings.Contains(out, "E: ") {
					results <- out
					return
				}
				results <- ""
			}()
		}
		for range roots {
			if out := <-results; out != "" {
				t.Errorf("round %d:\n%s", round, out)
			}
		}
	}
	close(stop)
	t.Logf("%d packages were published meanwhile", <-done)
}

// TestCase18MadeHold: a suite of our own leaves out what is held back, refuses its file, and lists it when the hold has run
// out though nothing was published since.
func TestCase18MadeHold(t *testing.T) {
	h, _ := house(t, nil)
	c := h.Config("r", h.Up)
	formattest.Rules(t, map[string]any{"hold": "7d"})(&c)
	h.Configure(repo.Settings{}, c)
	body := deb(t, "hello", "1.0", "amd64", "", 0)
	h.Published("publish", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, body))
	path := "/" + poolFile("stable", "main", "hello", "hello_1.0_amd64.deb")
	for _, day := range []int{0, 6} {
		h.Pass(time.Duration(day) * 24 * time.Hour)
		if r := h.Get(packages); strings.Contains(string(r.Body), "hello") {
			t.Errorf("after %d days the index lists what is held: %s", day, r)
		}
		h.Want("a held file", h.Get(path), http.StatusForbidden)
	}
	before := good(t, h, inRelease, nil)
	h.Pass(25 * time.Hour)
	if r := good(t, h, packages, nil); !strings.Contains(string(r.Body), "Package: hello\n") {
		t.Errorf("the hold has run out, and the index lacks it: %s", r)
	}
	good(t, h, path, body)
	if after := good(t, h, inRelease, nil); bytes.Equal(before.Body, after.Body) {
		t.Error("the Release is the old one")
	}
}
