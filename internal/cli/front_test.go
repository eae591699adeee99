package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"millpond/format/npm"
	"millpond/repo"
)

// A retrying front server loses its connection to the pond twice for each request: once half-way through the body, and once
// before the answer, when all was done. The third answer it passes on.
type retrying struct {
	to string // the pond's host and port

	mu      sync.Mutex // guards what follows
	answers []string   // "METHOD path: the status that was lost, the one that was passed on", of requests with a body
}

func (f *retrying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	send := func(body io.Reader, size int) (*http.Response, error) {
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", f.to, ""
		out.Body, out.ContentLength = io.NopCloser(body), int64(size)
		return http.DefaultTransport.RoundTrip(out)
	}
	if half := len(body) / 2; half > 0 {
		if resp, err := send(io.MultiReader(bytes.NewReader(body[:half]), lost{}), len(body)); err == nil {
			resp.Body.Close() // refused before it was whole
		}
	}
	before := 0
	if resp, err := send(bytes.NewReader(body), len(body)); err == nil {
		before = resp.StatusCode
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	resp, err := send(bytes.NewReader(body), len(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	if len(body) > 0 {
		f.mu.Lock()
		f.answers = append(f.answers, fmt.Sprintf("%s %s: %d, %d", r.Method, r.URL.Path, before, resp.StatusCode))
		f.mu.Unlock()
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// lost is where a connection ends.
type lost struct{}

func (lost) Read([]byte) (int, error) { return 0, errors.New("the connection is lost") }

// F55: a front server in front of the pond sends each request again whose answer it has not got. What is published by twine's
// call and by millpond's is there once, with one event, and its client hears that it worked; downloads are whole.
func TestBehindAFrontServerThatRetries(t *testing.T) {
	quiet(t)
	t.Setenv("XDG_CONFIG_HOME", "")
	p := planFor(t, "http://127.0.0.1:1/simple/")
	p.listen = freePort(t)
	front := &retrying{to: p.listen}
	s := httptest.NewServer(front)
	defer s.Close()
	var err error
	if p.public, err = url.Parse(s.URL + "/"); err != nil {
		t.Fatal(err)
	}
	p.pond.PublicURL, p.pond.Offline = s.URL+"/", true
	p.repositories[0].Upstreams = nil
	p.repositories = append(p.repositories, repo.Config{Name: "npm", Format: npm.Format{}, Public: true})
	p.auth.Passwords = true
	u := run(t, p)
	defer u.stop()
	m := regexp.MustCompile(`setup secret: (\S+)`).FindStringSubmatch(u.out.String())
	if m == nil {
		t.Fatalf("serve printed no setup secret:\n%s", u.out)
	}
	direct := "http://" + p.listen + "/" // a login is not sent twice: its secret is good once
	do := func(in string, args ...string) string {
		t.Helper()
		code, out, errs := typed(in, args...)
		if code != 0 {
			t.Fatalf("millpond %s = %d\n%s%s\n%s", strings.Join(args, " "), code, out, errs, u.log)
		}
		return out + errs
	}
	do(m[1]+"\na long password\n", "login", direct, "--setup", "--user", "ann")
	secret, _, _ := strings.Cut(do("", "token", "add", "--name", "t"), "\n")

	// by twine's call
	body := wheel(t)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for _, f := range [][2]string{{":action", "file_upload"}, {"protocol_version", "1"}, {"name", "demo"}, {"version", "1.0"}, {"filetype", "bdist_wheel"}, {"sha256_digest", fmt.Sprintf("%x", sha256.Sum256(body))}} {
		w.WriteField(f[0], f[1])
	}
	part, err := w.CreateFormFile("content", "demo-1.0-py3-none-any.whl")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(body)
	w.Close()
	req, err := http.NewRequest("POST", u.base+"pypi/", &form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.SetBasicAuth("__token__", secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("twine's call = %s %s, want 200", resp.Status, said)
	}

	// by millpond's
	var tgz bytes.Buffer
	z := gzip.NewWriter(&tgz)
	archive := tar.NewWriter(z)
	manifest := `{"name": "demo", "version": "2.0.0"}`
	archive.WriteHeader(&tar.Header{Name: "package/package.json", Mode: 0o644, Size: int64(len(manifest))})
	io.WriteString(archive, manifest)
	archive.Close()
	z.Close()
	file := filepath.Join(t.TempDir(), "demo-2.0.0.tgz")
	if err := os.WriteFile(file, tgz.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := do("", "publish", file, "-r", "npm", "--url", u.base, "--token", secret); !strings.Contains(out, "was there already") {
		t.Errorf("millpond publish = %q, want that it was there already", out)
	}

	if resp, got := u.get(u.file()); resp.StatusCode != 200 || !bytes.Equal(got, body) {
		t.Errorf("the wheel = %s, the right bytes: %t", resp.Status, bytes.Equal(got, body))
	}
	if resp, got := u.get("npm/demo/-/demo-2.0.0.tgz"); resp.StatusCode != 200 || !bytes.Equal(got, tgz.Bytes()) {
		t.Errorf("the archive = %s, the right bytes: %t", resp.Status, bytes.Equal(got, tgz.Bytes()))
	}
	for _, repository := range []string{"pypi", "npm"} {
		out := do("", "audit", "--repository", repository, "--url", direct)
		if n := strings.Count(out, "publish"); n != 1 {
			t.Errorf("%s has %d events of a publish, want 1:\n%s", repository, n, out)
		}
	}
	front.mu.Lock()
	defer front.mu.Unlock()
	if want := []string{"POST /pypi/: 200, 200", "POST /-/api/repositories/npm/publish/demo-2.0.0.tgz: 200, 200"}; strings.Join(front.answers, "; ") != strings.Join(want, "; ") {
		t.Errorf("the pond answered %q, want %q: the test shows nothing if nothing was sent twice", front.answers, want)
	}
}
