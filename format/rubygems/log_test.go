package rubygems

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
)

// follower is a Bundler: it has a copy of versions, and asks for the tail.
type follower struct {
	t     *testing.T
	h     *formattest.House
	text  []byte
	whole int // answers that were the whole text
}

func sum5(b []byte) string {
	s := md5.Sum(b)
	return hex.EncodeToString(s[:])
}

// sync asks as Bundler does, and checks what Bundler and its successors check.
func (f *follower) sync() {
	f.t.Helper()
	header := http.Header{}
	if len(f.text) > 0 {
		header.Set("If-None-Match", `"`+sum5(f.text)+`"`)
		header.Set("Range", fmt.Sprintf("bytes=%d-", len(f.text)-1))
	}
	got := f.h.Do("GET", "/r/versions", header)
	switch got.Status {
	case http.StatusNotModified:
	case http.StatusPartialContent:
		f.text = append(f.text[:len(f.text)-1], got.Body...)
	case http.StatusOK:
		f.text = got.Body
		f.whole++
	default:
		f.t.Fatalf("versions: got %s", got)
	}
	if tag := got.Header.Get("Etag"); tag != `"`+sum5(f.text)+`"` {
		f.t.Fatalf("versions: the tag is %s, and the client's copy has the md5 %s (%d): %.300q", tag, sum5(f.text), got.Status, f.text)
	}
	two := sha256.Sum256(f.text)
	if got := got.Header.Get("Repr-Digest"); got != "sha-256=:"+base64.StdEncoding.EncodeToString(two[:])+":" && f.text != nil {
		f.t.Errorf("versions: Repr-Digest is %q", got)
	}
}

// read is what Bundler makes of its copy: the versions and the md5 of a name.
func (f *follower) read(name string) (versions []string, sum string) {
	f.t.Helper()
	names, _, err := readVersions(bytes.NewReader(f.text))
	if err != nil {
		f.t.Fatalf("versions: %v in %q", err, f.text)
	}
	if n := names[name]; n != nil {
		said, sum, _ := strings.Cut(n.all(), " ")
		return elements(said), sum
	}
	return nil, ""
}

// agrees: rule of the compact index: the md5 that versions give is that of the info that is served.
func (f *follower) agrees(name string) {
	f.t.Helper()
	_, want := f.read(name)
	info := f.h.Get("/info/" + name)
	if got := sum5(info.Body); got != want || info.Status != 200 {
		f.t.Errorf("versions give %s the md5 %s, and its info has %s: %s", name, want, got, info)
	}
}

func push(t *testing.T, h *formattest.House, name, version string) {
	t.Helper()
	h.Published("push "+name+" "+version, ecosystem.Publish(h.As(formattest.Owner), name, formattest.Release{Version: version}))
}

// TestCase03OneMemberOfGzip: a base and three appends are one gzip member, with the md5 of the text as tag.
func TestCase03OneMemberOfGzip(t *testing.T) {
	h := formattest.New(t, ecosystem)
	for i, version := range []string{"1.0.0", "1.1.0", "1.2.0", "2.0.0.pre"} {
		push(t, h, "alpha", version)
		plain := h.Good("versions", h.Get("/versions"), nil)
		packed := h.Good("versions as gzip", h.Do("GET", "/r/versions", http.Header{"Accept-Encoding": {"gzip"}}), nil)
		z, err := gzip.NewReader(bytes.NewReader(packed.Body))
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false)
		text, err := io.ReadAll(z)
		if err != nil || !bytes.Equal(text, plain.Body) {
			t.Errorf("after %d appends the first member is %q, %v; want %q", i, text, err, plain.Body)
		}
		if got, want := packed.Header.Get("Etag"), `W/"`+sum5(plain.Body)+`"`; got != want {
			t.Errorf("the tag of gzip is %s, want %s", got, want)
		}
		if got := h.Do("GET", "/r/versions", http.Header{"Accept-Encoding": {"gzip"}, "If-None-Match": {`W/"` + sum5(plain.Body) + `"`}}); got.Status != http.StatusNotModified {
			t.Errorf("gzip with its tag: got %s, want 304", got)
		}
	}
}

// TestCase04Ranges: old, weak, foreign and no tags, at and beyond the end.
func TestCase04Ranges(t *testing.T) {
	h := formattest.New(t, ecosystem)
	push(t, h, "alpha", "1.0.0")
	old := h.Good("versions", h.Get("/versions"), nil).Body
	push(t, h, "alpha", "1.1.0")
	now := h.Good("versions", h.Get("/versions"), nil).Body
	if !bytes.HasPrefix(now, old) || len(now) == len(old) {
		t.Fatalf("versions were %q and are %q: want a tail more", old, now)
	}
	at := fmt.Sprintf("bytes=%d-", len(old)-1)
	for _, c := range []struct {
		name, spec, tag string
		status          int
		body            []byte
	}{
		{"the old tag", at, `"` + sum5(old) + `"`, 206, now[len(old)-1:]},
		{"the old tag, weak", at, `W/"` + sum5(old) + `"`, 206, now[len(old)-1:]},
		{"a foreign tag", at, `"` + sum5([]byte("x")) + `"`, 200, now},
		{"no tag", at, "", 206, now[len(old)-1:]},
		{"the tag of today", fmt.Sprintf("bytes=%d-", len(now)-1), `"` + sum5(now) + `"`, 304, nil},
		{"at the end", fmt.Sprintf("bytes=%d-", len(now)), "", 416, nil},
		{"an old tag and a range that is not its end", fmt.Sprintf("bytes=%d-", len(now)-1), `"` + sum5(old) + `"`, 200, now},
	} {
		header := http.Header{"Range": {c.spec}}
		if c.tag != "" {
			header.Set("If-None-Match", c.tag)
		}
		got := h.Do("GET", "/r/versions", header)
		if got.Status != c.status || c.body != nil && !bytes.Equal(got.Body, c.body) {
			t.Errorf("%s: got %s, want %d and %q", c.name, got, c.status, c.body)
		}
		if c.status == 206 && got.Header.Get("Etag") != `"`+sum5(now)+`"` {
			t.Errorf("%s: the tag of a part is %s, want that of the whole", c.name, got.Header.Get("Etag"))
		}
	}
	if got := h.Do("GET", "/r/versions", http.Header{"Range": {"bytes=999999-"}}); got.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", len(now)) {
		t.Errorf("past the end: Content-Range is %q", got.Header.Get("Content-Range"))
	}
}

// TestCase04AFollowerNeverLosesTrack: a client that follows hundreds of publishes by their tails, beside them, always has a
// text that the pond had, and gets the whole only once.
func TestCase04AFollowerNeverLosesTrack(t *testing.T) {
	h := formattest.New(t, ecosystem)
	push(t, h, "gem-0", "1.0.0")
	f := &follower{t: t, h: h}
	f.sync()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 25 {
				push(t, h, fmt.Sprintf("gem-%d", worker), fmt.Sprintf("1.%d.1", i))
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		f.sync()
	}
	if f.whole != 1 {
		t.Errorf("the text was given whole %d times, want once", f.whole)
	}
	for worker := range 4 {
		name := fmt.Sprintf("gem-%d", worker)
		if versions, _ := f.read(name); len(versions) < 25 {
			t.Errorf("%s has the versions %q, want 25", name, versions)
		}
		f.agrees(name)
	}
}

// TestCase05SumsAgree: hosted and upstream growing at once, the md5 of each name is that of the info served at that moment.
func TestCase05SumsAgree(t *testing.T) {
	h := formattest.New(t, ecosystem)
	rs := []formattest.Release{{Version: "1.0.0", Published: formattest.Epoch().AddDate(-1, 0, 0)}, {Version: "1.1.0", Published: formattest.Epoch().AddDate(0, -1, 0)}, {Version: "2.0.0", Published: formattest.Epoch()}}
	putGem(h.Up, "up-gem", rs[0])
	putGem(h.Up, "still", rs[:2]...)
	f := &follower{t: t, h: h}
	f.sync()
	f.agrees("up-gem")
	f.agrees("still")
	push(t, h, "ours", "0.1.0")
	f.sync()
	f.agrees("ours")
	putGem(h.Up, "up-gem", rs[:2]...)
	push(t, h, "ours", "0.2.0")
	h.Pass(time.Hour)
	f.sync()
	for _, name := range []string{"ours", "up-gem", "still"} {
		f.agrees(name)
	}
	if got := yankAs(h.As(formattest.Owner), "ours", "0.2.0", ""); got.Status != 200 {
		t.Fatalf("yank: %s", got)
	}
	f.sync()
	f.agrees("ours")
	if versions, _ := f.read("ours"); strings.Join(versions, " ") != "0.1.0" {
		t.Errorf("after a yank the versions of ours are %q, want 0.1.0", versions)
	}
	// a version that the upstream withdraws
	putGem(h.Up, "up-gem", rs[1])
	h.Pass(time.Hour)
	f.sync()
	f.agrees("up-gem")
	if versions, _ := f.read("up-gem"); strings.Join(versions, " ") != "1.1.0" {
		t.Errorf("after the upstream's yank the versions are %q, want 1.1.0", versions)
	}
	if f.whole != 1 {
		t.Errorf("the text was given whole %d times, want once", f.whole)
	}
}

// TestCase06AHoldEnds: once the info of a gem was made, its held version is out of the log; when the hold ends, a line brings
// it back.
func TestCase06AHoldEnds(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}))
	putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0", Published: formattest.Epoch().AddDate(-1, 0, 0)}, formattest.Release{Version: "1.1.0", Published: formattest.Epoch().Add(-time.Hour)})
	putGem(h.Up, "young", formattest.Release{Version: "0.1.0", Published: formattest.Epoch().Add(-time.Hour)})
	f := &follower{t: t, h: h}
	f.sync()
	h.Get("/info/alpha")
	f.sync()
	f.agrees("alpha")
	if versions, _ := f.read("alpha"); strings.Join(versions, " ") != "1.0.0" {
		t.Errorf("held: the versions are %q, want 1.0.0", versions)
	}
	h.Good("all versions hidden", h.Get("/info/young"), []byte("---\n"))
	h.Pass(8 * 24 * time.Hour)
	f.sync()
	f.agrees("alpha")
	f.agrees("young")
	if versions, _ := f.read("alpha"); strings.Join(versions, " ") != "1.0.0 1.1.0" {
		t.Errorf("the hold has ended: the versions are %q, want 1.0.0 and 1.1.0", versions)
	}
	if f.whole != 1 {
		t.Errorf("the text was given whole %d times, want once", f.whole)
	}
}

// TestUpstreamIsIll: while a copy is kept clients see 200 for every document, whatever the upstream does.
func TestCase02UpstreamIsIll(t *testing.T) {
	for _, verb := range []string{"500", "429 3600", "html-200", "cut 40", "403", "close 40", "empty-200"} {
		h := formattest.New(t, ecosystem)
		putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0", Published: formattest.Epoch().AddDate(-1, 0, 0)})
		paths := []string{"/versions", "/names", "/info/alpha", "/specs.4.8.gz", "/latest_specs.4.8.gz", "/quick/Marshal.4.8/alpha-1.0.0.gemspec.rz", "/gems/alpha-1.0.0.gem"}
		before := map[string][]byte{}
		for _, path := range paths {
			before[path] = h.Good(path, h.Get(path), nil).Body
		}
		h.Up.Order("*", "always "+verb)
		h.Pass(time.Hour)
		for _, path := range paths {
			h.Good(verb+": "+path, h.Get(path), before[path])
		}
	}
}

// TestVersionsNeverSeen: with nothing kept every index is 503, and none is half a list.
func TestVersionsNeverSeen(t *testing.T) {
	for _, verb := range []string{"500", "html-200", "cut 60", "close 60"} {
		h := formattest.New(t, ecosystem)
		putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0"})
		h.Up.Order(root+"versions", "always "+verb)
		for _, path := range []string{"/versions", "/names", "/specs.4.8.gz"} {
			h.Want(verb+": "+path, h.Get(path), http.StatusServiceUnavailable)
		}
	}
}

// TestClaimsAndOtherReaders: what is claimed is in no index, and who may read some names is told of those alone.
func TestCase08Claimed(t *testing.T) {
	h := formattest.New(t, ecosystem, func(c *repo.Config) { c.Claims = []string{"acme-*"} })
	putGem(h.Up, "acme-utils", formattest.Release{Version: "99.0.0"}, formattest.Release{Version: "99.0.0-java"})
	putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0"})
	for _, path := range []string{
		"/info/acme-utils", "/quick/Marshal.4.8/acme-utils-99.0.0.gemspec.rz", "/gems/acme-utils-99.0.0.gem", "/gems/acme-utils-99.0.0-java.gem",
		"/api/v1/gems/acme-utils.json", "/api/v1/versions/acme-utils.json", "/gems/acme-utils-1-2-3.gem",
	} {
		h.Want(path, h.Get(path), http.StatusNotFound)
		h.Want("HEAD "+path, h.Do("HEAD", "/r"+path, nil), http.StatusNotFound)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a claimed name cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	for _, path := range []string{"/versions", "/names"} {
		got := h.Good(path, h.Get(path), nil)
		if bytes.Contains(got.Body, []byte("acme")) || !bytes.Contains(got.Body, []byte("alpha")) {
			t.Errorf("%s: got %q, want alpha and nothing of acme", path, got.Body)
		}
	}
}
