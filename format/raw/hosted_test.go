package raw

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
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

// newHouse is a pond that hosts files, with options.
func newHouse(t *testing.T, options ...string) *formattest.House {
	t.Helper()
	e := ecosystem()
	e.Put, e.Index, e.UpstreamIndex = nil, nil, nil
	for i := 0; i < len(options); i += 2 {
		e.Options[options[i]] = options[i+1]
	}
	return formattest.New(t, e, func(c *repo.Config) { c.Upstreams = nil })
}

// put puts a file as its owner.
func put(h *formattest.House, path, body string, header ...string) formattest.Reply {
	h.T.Helper()
	hd := http.Header{}
	for i := 0; i < len(header); i += 2 {
		hd.Set(header[i], header[i+1])
	}
	return h.As(formattest.Owner).Do("PUT", path, hd, []byte(body))
}

func TestPutAndGet(t *testing.T) {
	h := newHouse(t)
	r := h.Want("put", put(h, "/dir/a.txt", "hello"), http.StatusCreated)
	sum := sha256.Sum256([]byte("hello"))
	tag := `"` + hex.EncodeToString(sum[:]) + `"`
	if got := r.Header.Get("Etag"); got != tag {
		t.Errorf("put: ETag is %s, want %s", got, tag)
	}
	got := h.Good("get", h.Get("/dir/a.txt"), []byte("hello"))
	for name, want := range map[string]string{
		"Etag": tag, "Repr-Digest": "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":", "X-Checksum-Md5": "5d41402abc4b2a76b9719d911017c592",
		"X-Checksum-Sha1": "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", "X-Checksum-Sha256": hex.EncodeToString(sum[:]),
		"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("get: %s is %q, want %q", name, v, want)
		}
	}
	if len(got.Header.Get("X-Checksum-Sha512")) != 128 || got.Header.Get("Last-Modified") == "" {
		t.Errorf("get: the header is %v", got.Header)
	}
	h.Want("a directory without its slash", h.Get("/dir"), http.StatusMovedPermanently)
	h.Want("if-none-match by sha256", h.Do("GET", "/r/dir/a.txt", http.Header{"If-None-Match": {tag}}), http.StatusNotModified)
	h.Want("Case09: if-none-match by md5", h.Do("GET", "/r/dir/a.txt", http.Header{"If-None-Match": {`"5d41402abc4b2a76b9719d911017c592"`}}), http.StatusNotModified)
	h.Want("if-match of another", h.Do("GET", "/r/dir/a.txt", http.Header{"If-Match": {`"x"`}}), http.StatusPreconditionFailed)
	h.Want("anonymous", h.As("").Do("PUT", "/x", nil, []byte("x")), http.StatusUnauthorized)
}

// TestCase03Again: the same bytes make no event; others are a new version, and the old one stays.
func TestCase03Again(t *testing.T) {
	h := newHouse(t, "history", "2")
	r := put(h, "/f.bin", "one")
	location := r.Header.Get("Location")
	h.Want("again", put(h, "/f.bin", "one"), http.StatusOK)
	h.WantLog("again", "publish")
	h.Pass(time.Minute)
	h.Want("other bytes", put(h, "/f.bin", "two"), http.StatusOK)
	h.Good("the newest", h.Get("/f.bin"), []byte("two"))
	h.Good("the older", h.Do("GET", strings.TrimPrefix(location, h.URL), nil), []byte("one"))
	h.Good("the older by number", h.Get("/f.bin?v=1"), []byte("one"))
	h.Want("none", h.Get("/f.bin?v=9"), http.StatusNotFound)
	h.Want("back", put(h, "/f.bin", "one"), http.StatusOK)
	h.Good("the newest again", h.Get("/f.bin"), []byte("one"))
	var past struct{ Versions []past }
	if err := json.Unmarshal(h.Good("history", h.Get("/f.bin?history"), nil).Body, &past); err != nil || len(past.Versions) != 3 || past.Versions[0].Version != "3" {
		t.Errorf("history: got %+v, %v", past, err)
	}
	h.Want("four", put(h, "/f.bin", "four"), http.StatusOK)
	h.Want("five", put(h, "/f.bin", "five"), http.StatusOK)
	h.Pass(48 * time.Hour)
	if _, err := h.Pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Want("beyond the history", h.Get("/f.bin?v=2"), http.StatusNotFound)
	h.Good("within the history", h.Get("/f.bin?v=3"), []byte("one"))
	h.Good("the newest stays", h.Get("/f.bin"), []byte("five"))

	h = newHouse(t, "overwrite", "allow rel/**=deny")
	put(h, "/rel/f", "one")
	h.Want("deny: the same", put(h, "/rel/f", "one"), http.StatusOK)
	h.Want("deny: others", put(h, "/rel/f", "two"), http.StatusConflict)
	h.Want("deny: delete", h.As(formattest.Owner).Do("DELETE", "/rel/f", nil, nil), http.StatusConflict)
}

// TestCase01Races: of many who create, one does; of many who swap, one does.
func TestCase01Races(t *testing.T) {
	h := newHouse(t)
	rounds := 20
	if *long {
		rounds = 200
	}
	for round := range rounds {
		path := fmt.Sprintf("/race/%d", round)
		for _, header := range [][]string{{"If-None-Match", "*"}, nil} {
			if header == nil {
				header = []string{"If-Match", h.Get(path).Header.Get("Etag")}
			}
			var wg sync.WaitGroup
			status := make([]int, 8)
			for i := range status {
				wg.Go(func() { status[i] = put(h, path, fmt.Sprintf("%s %d", header[0], i), header...).Status })
			}
			wg.Wait()
			slices.Sort(status)
			if status[0] > 201 || status[1] != http.StatusPreconditionFailed || status[7] != http.StatusPreconditionFailed {
				t.Errorf("round %d, %s: got %v, want one success and seven 412", round, header[0], status)
			}
		}
	}
}

// TestCase02WrongBodies: whatever is wrong with a body, nothing of it is kept.
func TestCase02WrongBodies(t *testing.T) {
	h := newHouse(t)
	wrong := md5.Sum([]byte("other"))
	for name, value := range map[string]string{
		"Content-Md5": base64.StdEncoding.EncodeToString(wrong[:]), "X-Checksum-Sha256": strings.Repeat("0", 64), "X-Checksum-Sha1": strings.Repeat("0", 40),
		"X-Checksum-Sha512": strings.Repeat("0", 128), "Digest": "sha-256=" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"Repr-Digest": "sha-512=:" + base64.StdEncoding.EncodeToString(make([]byte, 64)) + ":", "Content-Digest": "sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":",
		"X-Checksum-Md5": "not hex",
	} {
		h.Want(name, put(h, "/f", "hello", name, value), http.StatusBadRequest)
	}
	h.Want("nothing is there", h.Get("/f"), http.StatusNotFound)
	if n := h.Kept(); n != 0 {
		t.Errorf("%d blobs are kept, want none", n)
	}
	h.WantLog("wrong bodies")
	h.Want("the right one", put(h, "/f", "hello", "X-Checksum-Md5", "5d41402abc4b2a76b9719d911017c592"), http.StatusCreated)
}

func TestDirectories(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"/a", "/a/b", "/a/c/d", "/a.b", "/z<&>\"'.txt", "/e/1", "/e/2"} {
		h.Want(name, put(h, strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22").Replace(name), name), http.StatusCreated)
	}
	names := func(path string) (out []string, next string) {
		var page listing
		if err := json.Unmarshal(h.Good(path, h.Get(path), nil).Body, &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			out = append(out, e.Name)
		}
		return out, page.Next
	}
	if got, _ := names("/?format=json"); !slices.Equal(got, []string{"a", "a.b", "a/", "e/", `z<&>"'.txt`}) {
		t.Errorf("root: got %q", got)
	}
	if got, _ := names("/a/?format=json"); !slices.Equal(got, []string{"b", "c/"}) {
		t.Errorf("a/: got %q", got)
	}
	if got, _ := names("/a/?format=json&after=b"); !slices.Equal(got, []string{"c/"}) {
		t.Errorf("a/ after b: got %q", got)
	}
	if got, _ := names("/?format=json&after=a/"); !slices.Equal(got, []string{"e/", `z<&>"'.txt`}) {
		t.Errorf("root after a/: got %q", got)
	}
	page := string(h.Good("page", h.Get("/"), nil).Body)
	if !strings.Contains(page, `href="./a#sha256=`) || strings.Contains(page, `z<&>`) || strings.Contains(page, "<script") {
		t.Errorf("the page is %s", page)
	}
	sums := string(h.Good("sums", h.Get("/e/?format=sha256sums"), nil).Body)
	want := fmt.Sprintf("%x  1\n%x  2\n", sha256.Sum256([]byte("/e/1")), sha256.Sum256([]byte("/e/2")))
	if sums != want {
		t.Errorf("sums: got %q, want %q", sums, want)
	}
	h.Want("no such directory", h.Get("/none/"), http.StatusNotFound)
	h.Want("a form that is none", h.Get("/?format=xml"), http.StatusBadRequest)
}

func TestDelete(t *testing.T) {
	h := newHouse(t)
	owner := h.As(formattest.Owner)
	put(h, "/d/1", "1")
	put(h, "/d/2", "2")
	put(h, "/d/e/3", "3")
	h.Want("delete", owner.Do("DELETE", "/d/1", nil, nil), http.StatusNoContent)
	h.Want("deleted", h.Get("/d/1"), http.StatusNotFound)
	h.Want("again", owner.Do("DELETE", "/d/1", nil, nil), http.StatusNotFound)
	h.Want("put anew", put(h, "/d/1", "one"), http.StatusCreated)
	h.Good("there again", h.Get("/d/1"), []byte("one"))
	h.Want("a directory", owner.Do("DELETE", "/d/", nil, nil), http.StatusConflict)
	h.Want("a directory with all in it", owner.Do("DELETE", "/d/?recursive=1", nil, nil), http.StatusNoContent)
	h.Want("empty", h.Get("/d/"), http.StatusNotFound)
	h.WantLog("deletions", "publish", "publish", "publish", "delete", "publish", "delete", "delete", "delete")
	if err := owner.Repo().Restore(t.Context(), millpond.Key{Package: "d/2"}); err != nil {
		t.Fatal(err)
	}
	h.Good("restored", h.Get("/d/2"), []byte("2"))
}

func TestAlias(t *testing.T) {
	h := newHouse(t)
	put(h, "/app/1.4.2/app.bin", "bytes")
	h.Want("alias", put(h, "/app/latest?alias=1.4.2/", ""), http.StatusCreated)
	r := h.Want("below an alias", h.Get("/app/latest/app.bin"), http.StatusFound)
	if got := r.Header.Get("Location"); got != "../../app/1.4.2/app.bin" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("redirected to %q, %q", got, r.Header.Get("Cache-Control"))
	}
	h.Want("itself", h.Get("/app/latest"), http.StatusFound)
	h.Want("out of the repository", put(h, "/x?alias=../../etc/", ""), http.StatusBadRequest)
}

// TestCase11Inert: nothing that a browser could run leaves as a page.
func TestCase11Inert(t *testing.T) {
	h := newHouse(t)
	for name, kind := range map[string]string{"/a.html": "", "/b.svg": "", "/c": "text/html", "/d.xml": "", "/e.pdf": "", "/f": "application/xhtml+xml"} {
		put(h, name, "<script>alert(1)</script>", "Content-Type", kind)
		if got := h.Get(name).Header; got.Get("Content-Disposition") != "attachment" || got.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s as %q: the header is %v", name, kind, got)
		}
	}
	put(h, "/x.html", "<p>", "Content-Type", "image/png")
	if got := h.Get("/x.html").Header.Get("Content-Type"); got != "image/png" {
		t.Errorf("x.html as image/png: got %q", got)
	}
	h = newHouse(t, "inline", "true")
	put(h, "/a.html", "<p>")
	if got := h.Get("/a.html").Header; got.Get("Content-Disposition") != "" || !strings.HasPrefix(got.Get("Content-Security-Policy"), "sandbox;") {
		t.Errorf("inline: the header is %v", got)
	}
}

// TestCase15Secrets: private keys are refused, with a reason; public ones are taken.
func TestCase15Secrets(t *testing.T) {
	block := func(what string) string { return "-----BEGIN " + what + "-----\nMIIB\n-----END " + what + "-----\n" }
	keys := map[string]string{
		"rsa": block("RSA " + "PRIVATE KEY"), "pkcs8": block("PRIVATE" + " KEY"), "ec": block("EC PRIVATE" + " KEY"), "openssh": block("OPENSSH PRIVATE" + " KEY"),
		"encrypted": block("ENCRYPTED PRIVATE" + " KEY"), "pgp": block("PGP PRIVATE KEY" + " BLOCK"), "putty": "PuTTY-User-Key-File" + "-3: ssh-ed25519\n",
		"age": "AGE-SECRET" + "-KEY-1" + strings.Repeat("Q", 58), "aws": "aws_secret_access" + "_key = " + strings.Repeat("a", 40),
		"jwk": `{"kty":"EC","crv":"P-256","d":"` + strings.Repeat("x", 43) + `"}`, "p12": "\x30\x82\x0a\x00\x02\x01\x03\x30\x82", "jks": "\xfe\xed\xfe\xed\x00\x00\x00\x02\x00",
	}
	h := newHouse(t)
	for name, key := range keys {
		r := h.Want(name, put(h, "/keys/"+name, key), http.StatusBadRequest)
		if !bytes.Contains(r.Body, []byte("vault")) {
			t.Errorf("%s: the answer says not what to do: %s", name, r.Body)
		}
		h.Want(name+" by S3", put(h, "/keys/"+name, key, "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), http.StatusBadRequest)
	}
	if n := h.Kept(); n != 0 {
		t.Errorf("%d blobs are kept, want none", n)
	}
	for name, key := range map[string]string{"pub": block("PUBLIC KEY"), "ssh": "ssh-ed25519 AAAAC3Nza me", "cert": block("CERTIFICATE"), "empty": "", "gpg": block("PGP PUBLIC KEY BLOCK")} {
		h.Want(name, put(h, "/pub/"+name, key), http.StatusCreated)
	}
	h = newHouse(t, "secrets", "allow")
	h.Want("allowed", put(h, "/k", keys["rsa"]), http.StatusCreated)
}

func TestCase16Retention(t *testing.T) {
	h := newHouse(t, "keep_days", "tmp/**=30", "keep_last", "builds/*=2")
	put(h, "/tmp/a", "a")
	put(h, "/tmp/pinned", "p", "X-Labels", "pin=1")
	for i := 1; i <= 3; i++ {
		put(h, fmt.Sprintf("/builds/%d/out/app", i), "app")
		put(h, fmt.Sprintf("/builds/%d/log", i), "log")
		h.Pass(time.Hour)
	}
	gone := func() string {
		keys, err := h.Pond.Repository("r").Retention(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, k := range keys {
			out = append(out, k.Package)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	if got, want := gone(), "builds/1/log builds/1/out/app"; got != want {
		t.Errorf("now: got %q, want %q", got, want)
	}
	h.Pass(30*24*time.Hour - 3*time.Hour - time.Second)
	if got, want := gone(), "builds/1/log builds/1/out/app"; got != want {
		t.Errorf("a second before: got %q, want %q", got, want)
	}
	h.Pass(2 * time.Second)
	if got, want := gone(), "builds/1/log builds/1/out/app tmp/a"; got != want {
		t.Errorf("a second after: got %q, want %q", got, want)
	}
	if _, err := h.Pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Want("gone", h.Get("/tmp/a"), http.StatusNotFound)
	h.Good("pinned", h.Get("/tmp/pinned"), []byte("p"))
	h.Good("the newer build", h.Get("/builds/2/log"), []byte("log"))
	h.Want("the oldest build", h.Get("/builds/1/log"), http.StatusNotFound)
	if got := gone(); got != "" {
		t.Errorf("afterwards: got %q, want nothing", got)
	}
}

// TestManyFiles: to open one file of a great directory reads one package, and a page of it a page.
func TestManyFiles(t *testing.T) {
	h := newHouse(t)
	r := h.As(formattest.Owner).Repo()
	put(h, "/many/00000", "x")
	p, err := r.Package(t.Context(), "many/00000")
	if err != nil || len(p.Versions) != 1 {
		t.Fatalf("got %+v, %v", p, err)
	}
	const files = 2*mostListed + 1
	var wg sync.WaitGroup
	for part := range 16 { // who come at once share a commit
		wg.Go(func() {
			for i := part; i < files; i += 16 {
				put(h, fmt.Sprintf("/many/%05d", i), "x")
			}
		})
	}
	wg.Wait()
	seen, next := 0, ""
	for pages := 1; ; pages++ {
		var page listing
		if err := json.Unmarshal(h.Good("page", h.Get("/many/?format=json&after="+next), nil).Body, &page); err != nil {
			t.Fatal(err)
		}
		seen += len(page.Entries)
		if next = page.Next; next == "" {
			if pages != 3 || seen != files {
				t.Errorf("got %d files on %d pages, want %d on 3", seen, pages, files)
			}
			break
		}
	}
	var root listing
	if err := json.Unmarshal(h.Good("root", h.Get("/?format=json"), nil).Body, &root); err != nil || len(root.Entries) != 1 || root.Entries[0].Name != "many/" {
		t.Errorf("root: got %+v, %v", root.Entries, err)
	}
}
