package raw

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

func readHouse(t *testing.T, changes ...func(*repo.Config)) *formattest.House {
	t.Helper()
	return formattest.New(t, ecosystem(), changes...)
}

func at(ago time.Duration) time.Time { return formattest.Epoch().Add(-ago) }

// TestHold: a hold is judged path by path, by the date that the upstream gives, and runs out by itself.
func TestHold(t *testing.T) {
	h := readHouse(t, formattest.Rules(t, map[string]any{"hold": "7d"}))
	h.Up.Put("/tree/old", faulty.Object{Body: []byte("old"), ETag: `"1"`, Modified: at(30 * 24 * time.Hour)})
	h.Up.Put("/tree/new", faulty.Object{Body: []byte("new"), ETag: `"2"`, Modified: at(24 * time.Hour)})
	h.Good("old", h.Get("/old"), []byte("old"))
	for _, method := range []string{"GET", "HEAD"} {
		h.Want(method, h.Do(method, "/r/new", nil), http.StatusForbidden)
	}
	if r := h.Get("/new"); !bytes.Contains(r.Body, []byte("7 days")) && !bytes.Contains(r.Body, []byte("week")) {
		t.Errorf("the answer does not say how long it is held: %s", r)
	}
	if n := h.Up.Count("GET", "/tree/new"); n != 0 {
		t.Errorf("the held back file was fetched %d times", n)
	}
	h.Pass(6*24*time.Hour + time.Minute)
	h.Good("after", h.Get("/new"), []byte("new"))

	// The new bytes of a path that was there are held back, and the old ones are not given in their place.
	h.Up.Put("/tree/old", faulty.Object{Body: []byte("newer"), ETag: `"3"`, Modified: h.Now()})
	h.Pass(2 * time.Minute)
	h.Want("moved", h.Get("/old"), http.StatusForbidden)
}

// TestMoves: what changes upstream is another content from the moment that it is known, and the change no event.
func TestMoves(t *testing.T) {
	h := readHouse(t)
	h.Up.Put("/tree/latest.tar.gz", faulty.Object{Body: []byte("one"), ETag: `"1"`, Modified: at(time.Hour)})
	h.Good("one", h.Get("/latest.tar.gz"), []byte("one"))
	h.Up.Put("/tree/latest.tar.gz", faulty.Object{Body: []byte("two"), ETag: `"2"`, Modified: at(0)})
	h.Good("within a minute", h.Get("/latest.tar.gz"), []byte("one"))
	h.Pass(61 * time.Second)
	h.Good("after a minute", h.Get("/latest.tar.gz"), []byte("two"))
	if events := h.Events(); len(events) != 0 {
		t.Errorf("events are %q, want none", events)
	}
	h.Up.Forget()
	h.Pass(61 * time.Second)
	h.Good("unchanged", h.Get("/latest.tar.gz"), []byte("two"))
	if n, m := h.Up.Count("HEAD", ""), h.Up.Count("GET", ""); n != 1 || m != 0 {
		t.Errorf("to see that nothing has changed cost %d HEAD and %d GET, want 1 and 0", n, m)
	}
	h.Up.Refuse()
	h.Pass(time.Hour)
	if r := h.Good("dead", h.Get("/latest.tar.gz"), []byte("two")); r.Header.Get(formattest.Result) != "stale" {
		t.Errorf("the upstream dead: result is %q, want stale", r.Header.Get(formattest.Result))
	}
}

func TestVanishes(t *testing.T) {
	h := readHouse(t)
	h.Up.Put("/tree/f", faulty.Object{Body: []byte("one"), ETag: `"1"`, Modified: at(time.Hour)})
	h.Good("there", h.Get("/f"), []byte("one"))
	h.Up.Remove("/tree/f")
	h.Pass(2 * time.Minute)
	h.Good("a sudden absence is doubted", h.Get("/f"), []byte("one"))
	h.Pass(20 * time.Minute)
	h.Want("gone for long", h.Get("/f"), http.StatusNotFound)
	if events := h.Events(); len(events) != 1 || events[0] != "vanished" {
		t.Errorf("events are %q, want vanished", events)
	}
}

func TestLayers(t *testing.T) {
	h := readHouse(t)
	second := faulty.New(t)
	h.Configure(repo.Settings{}, h.Config("r", h.Up, second))
	h.Up.Put("/tree/both", faulty.Object{Body: []byte("first"), ETag: `"1"`})
	second.Put("/tree/both", faulty.Object{Body: []byte("second"), ETag: `"2"`})
	second.Put("/tree/only", faulty.Object{Body: []byte("second"), ETag: `"3"`})
	h.Good("both", h.Get("/both"), []byte("first"))
	h.Good("only the second", h.Get("/only"), []byte("second"))
	if n := second.Count("", "/tree/both"); n != 0 {
		t.Errorf("the second was asked %d times for what the first has", n)
	}
}

func TestOffline(t *testing.T) {
	h := readHouse(t)
	h.Up.Put("/tree/d/held", faulty.Object{Body: []byte("held"), ETag: `"1"`})
	h.Up.Put("/tree/d/other", faulty.Object{Body: []byte("other"), ETag: `"2"`})
	h.Good("held", h.Get("/d/held"), []byte("held"))
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	h.Up.Forget()
	h.Good("offline", h.Get("/d/held"), []byte("held"))
	h.Want("not held", h.Get("/d/other"), http.StatusServiceUnavailable)
	list := string(h.Good("what is known", h.Get("/d/?format=json"), nil).Body)
	if !strings.Contains(list, `"held"`) || strings.Contains(list, `"other"`) || !strings.Contains(list, `"partial": true`) {
		t.Errorf("the list is %s", list)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("offline, and the upstream was asked %d times", n)
	}
}

func TestFillModes(t *testing.T) {
	for mode, want := range map[repo.Mode]int{repo.Pass: 200, repo.CachedOnly: 404, repo.Redirect: 302} {
		h := readHouse(t, func(c *repo.Config) { c.Fill = []repo.Fill{{Mode: mode}} })
		h.Up.Put("/tree/f", faulty.Object{Body: []byte("bytes"), ETag: `"1"`})
		r := h.Want(string(mode), h.Get("/f"), want)
		if mode == repo.Redirect && r.Header.Get("Location") != h.Up.URL+"/tree/f" {
			t.Errorf("redirect: to %q", r.Header.Get("Location"))
		}
		h.Idle()
	}
}

// TestUpstreamsPath: a path that an upstream is known to have is not ours to put, unless it is claimed; what is put hides it.
func TestUpstreamsPath(t *testing.T) {
	h := readHouse(t)
	h.Up.Put("/tree/theirs/f", faulty.Object{Body: []byte("theirs"), ETag: `"1"`})
	h.Good("theirs", h.Get("/theirs/f"), []byte("theirs"))
	h.Want("put", put(h, "/theirs/f", "ours"), http.StatusForbidden)
	h.Good("theirs still", h.Get("/theirs/f"), []byte("theirs"))
	c := h.Config("r", h.Up)
	c.Claims = []string{"theirs/**"}
	h.Configure(repo.Settings{}, c)
	h.Want("claimed", put(h, "/theirs/f", "ours"), http.StatusCreated)
	h.Good("ours", h.Get("/theirs/f"), []byte("ours"))
	h.Up.Forget()
	h.Want("another path of the claim", h.Get("/theirs/g"), http.StatusNotFound)
	h.Want("hosted where nobody asked the upstream", put(h, "/new/f", "ours"), http.StatusCreated)
	h.Up.Put("/tree/new/f", faulty.Object{Body: []byte("theirs"), ETag: `"2"`})
	h.Pass(time.Hour)
	h.Good("what is hosted hides it", h.Get("/new/f"), []byte("ours"))
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("names that are ours cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
	if err := h.As(formattest.Owner).Repo().Move(t.Context(), "none"); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("move of nothing: got %v", err)
	}
}

// TestCase17Upstreams: upstreams without HEAD, without lengths, and with pages where files should be.
func TestCase17Upstreams(t *testing.T) {
	h := readHouse(t)
	h.Up.Put("/tree/nohead", faulty.Object{Body: []byte("bytes"), ETag: `"1"`, Modified: at(time.Hour)})
	h.Up.Order("/tree/nohead", "405")
	h.Good("without HEAD", h.Get("/nohead"), []byte("bytes"))
	h.Up.Put("/tree/chunked", faulty.Object{Body: []byte("bytes"), ETag: `"1"`, Chunked: true, Header: http.Header{"X-Checksum-Sha256": {millpond.SHA256([]byte("bytes")).Hex()}}})
	h.Good("without length", h.Get("/chunked"), []byte("bytes"))
	h.Up.Put("/tree/page", faulty.Object{Body: []byte("<html>log in"), Type: "text/html", ETag: `"1"`})
	h.Want("a page that nobody asked for", h.Get("/page"), http.StatusServiceUnavailable)
	h.Up.Put("/tree/hidden", faulty.Object{Body: []byte("\n<!DOCTYPE html><p>"), ETag: `"1"`})
	h.Want("a page by another type", h.Get("/hidden"), http.StatusServiceUnavailable)
	h.Up.Put("/tree/page.html", faulty.Object{Body: []byte("<html>"), Type: "text/html", ETag: `"1"`})
	h.Good("a page that was asked for", h.Get("/page.html"), []byte("<html>"))
	h.Up.Put("/tree/lied", faulty.Object{Body: []byte("bytes"), ETag: `"5d41402abc4b2a76b9719d911017c592"`, Header: http.Header{"X-Amz-Request-Id": {"1"}}})
	if r := h.Get("/lied"); r.Err == nil && r.Status != http.StatusServiceUnavailable {
		t.Errorf("a bucket whose entity tag is of other bytes: got %s", r)
	}
	h = readHouse(t, func(c *repo.Config) { c.Options = map[string]string{"allow": "*.tar.gz"} })
	h.Up.Put("/tree/a.txt", faulty.Object{Body: []byte("x"), ETag: `"1"`})
	h.Want("not among what is asked for", h.Get("/a.txt"), http.StatusNotFound)
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

// TestFreshAsUpstreamSays: a path is asked about again when its upstream's Cache-Control says so, within bounds, or after a
// minute where it says nothing; what the operator has set comes before all.
func TestFreshAsUpstreamSays(t *testing.T) {
	for _, c := range []struct {
		header []string // of Cache-Control, and of Age
		set    time.Duration
		want   time.Duration
	}{
		{nil, 0, time.Minute}, {[]string{"public"}, 0, time.Minute}, {[]string{"max-age=600"}, 0, 10 * time.Minute}, {[]string{"max-age=600, s-maxage=20"}, 0, 20 * time.Second},
		{[]string{"max-age=3"}, 0, 10 * time.Second}, {[]string{"no-cache, max-age=600"}, 0, 10 * time.Second}, {[]string{"max-age=31536000, immutable"}, 0, 24 * time.Hour},
		{[]string{"max-age=-1"}, 0, time.Minute}, {[]string{"max-age=600", "500"}, 0, 100 * time.Second}, {[]string{"max-age=600"}, 5 * time.Minute, 5 * time.Minute},
	} {
		h := readHouse(t, func(r *repo.Config) { r.Fresh = c.set })
		head := http.Header{}
		for i, name := range []string{"Cache-Control", "Age"} {
			if len(c.header) > i {
				head.Set(name, c.header[i])
			}
		}
		h.Up.Put("/tree/f", faulty.Object{Body: []byte("one"), ETag: `"1"`, Header: head})
		h.Good("first", h.Get("/f"), []byte("one"))
		for range 2 { // what was found unchanged is good for as long
			h.Up.Forget()
			h.Pass(c.want - time.Second)
			h.Good("before", h.Get("/f"), []byte("one"))
			if n := h.Up.Count("", ""); n != 0 {
				t.Errorf("%q: asked %d times within %v, want none", c.header, n, c.want)
			}
			h.Pass(2 * time.Second)
			h.Good("after", h.Get("/f"), []byte("one"))
			if n := h.Up.Count("", ""); n != 1 {
				t.Errorf("%q: asked %d times after %v, want once", c.header, n, c.want)
			}
		}
	}
}

// TestSumsBeside: what an upstream keeps in a file beside another is compared with its bytes, and what is not there tells nothing.
func TestSumsBeside(t *testing.T) {
	one, two := millpond.SHA256([]byte("one")).Hex(), millpond.SHA256([]byte("two")).Hex()
	for _, c := range []struct{ what, option, file, sums, want string }{
		{"by the name with an ending", ".sha256", "a/f.sha256", one + "\n", one},
		{"in a list", "a/**=SHA256SUMS", "a/SHA256SUMS", two + "  other\n" + one + " *f\n", one},
		{"in a list with tags", "SHA256SUMS", "a/SHA256SUMS", "SHA256 (./x) = " + two + "\nSHA256 (f) = " + strings.ToUpper(one) + "\n", one},
		{"other bytes", ".sha256", "a/f.sha256", two + "  f\n", "refused"},
		{"not in the list", "SHA256SUMS", "a/SHA256SUMS", two + "  other\n", ""},
		{"no list", "SHA256SUMS", "b", "x", ""},
		{"not for this path", "b/**=.sha256", "a/f.sha256", two + "\n", ""},
	} {
		h := readHouse(t, func(r *repo.Config) { r.Options = map[string]string{"sums": c.option} })
		h.Up.Put("/tree/a/f", faulty.Object{Body: []byte("one"), ETag: `"1"`})
		h.Up.Put("/tree/"+c.file, faulty.Object{Body: []byte(c.sums), Type: "text/plain", ETag: `"s"`})
		if c.want == "refused" {
			if got := h.Get("/a/f"); got.Err == nil && got.Status == http.StatusOK {
				t.Errorf("%s: got %s, want no clean end", c.what, got)
			}
			continue
		}
		p, err := h.As("").Repo().Package(t.Context(), "a/f") // before its bytes are here, and digested
		if err != nil {
			t.Fatal(err)
		}
		if got := hexOf(p.Versions[0].Files[0].Digests, "sha256"); got != c.want {
			t.Errorf("%s: the digest is %q, want %q", c.what, got, c.want)
		}
		h.Good(c.what, h.Get("/a/f"), []byte("one"))
		h.Good("the list itself", h.Get("/"+c.file), []byte(c.sums))
	}
}

func TestImmutable(t *testing.T) {
	h := readHouse(t, func(c *repo.Config) { c.Options = map[string]string{"immutable": "releases/**"} })
	h.Up.Put("/tree/releases/1/f", faulty.Object{Body: []byte("one"), ETag: `"1"`})
	h.Good("first", h.Get("/releases/1/f"), []byte("one"))
	h.Up.Put("/tree/releases/1/f", faulty.Object{Body: []byte("two"), ETag: `"2"`})
	h.Up.Forget()
	h.Pass(48 * time.Hour)
	h.Good("two days later", h.Get("/releases/1/f"), []byte("one"))
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("what never changes was asked for %d times", n)
	}
}

// TestMaxSize: a file of an upstream that is larger than max_size is refused, in words, whether its upstream says how large it is
// or not.
func TestMaxSize(t *testing.T) {
	h := readHouse(t, func(c *repo.Config) { c.Options = map[string]string{"max_size": "1"} })
	least, more := bytes.Repeat([]byte("x"), 1<<20), bytes.Repeat([]byte("x"), 1<<20+1)
	h.Up.Put("/tree/least", faulty.Object{Body: least, ETag: `"1"`})
	h.Up.Put("/tree/more", faulty.Object{Body: more, ETag: `"2"`})
	h.Up.Put("/tree/chunked", faulty.Object{Body: more, ETag: `"3"`, Chunked: true, Header: http.Header{"X-Checksum-Sha256": {millpond.SHA256(more).Hex()}}})
	h.Good("as large as may be", h.Get("/least"), least)
	for _, path := range []string{"/more", "/chunked"} {
		r := h.Get(path)
		if path == "/more" && (r.Status != http.StatusServiceUnavailable || !bytes.Contains(r.Body, []byte("limit"))) || r.Err == nil && r.Status == http.StatusOK {
			t.Errorf("%s: got %s", path, r)
		}
	}
	if n := h.Kept(); n != 1 {
		t.Errorf("%d blobs are kept, want the small one", n)
	}
	h = readHouse(t, func(c *repo.Config) { c.Options = map[string]string{"max_size": "1GiB"} })
	h.Up.Put("/tree/least", faulty.Object{Body: least, ETag: `"1"`})
	h.Want("what is no number of MiB lets nothing in", h.Get("/least"), http.StatusServiceUnavailable)
}
