package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/blob/mem"
	"millpond/fetch/faulty"
)

func TestEqualSettingsShareAnUpstream(t *testing.T) {
	e := &Engine{Blobs: new(mem.Store)}
	defer e.Close(context.Background())
	settings := func() Settings {
		return Settings{Name: "up", URL: mustParse("https://upstream.example/"), Header: http.Header{"A": {"b"}}, Token: "x",
			Also: []string{"https://files.example"}, Proxy: mustParse("http://proxy.example:3128")}
	}
	first, err := e.Upstream(settings())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := e.Upstream(settings()); again != first || err != nil {
		t.Errorf("equal settings made another upstream, %v", err)
	}
	for name, change := range map[string]func(*Settings){
		"name": func(s *Settings) { s.Name = "other" }, "url": func(s *Settings) { s.URL.Path = "/x/" },
		"token": func(s *Settings) { s.Token = "y" }, "header": func(s *Settings) { s.Header.Set("A", "c") },
		"proxy": func(s *Settings) { s.Proxy = nil }, "rate": func(s *Settings) { s.Rate = 1 },
		"user": func(s *Settings) { s.Username = "x" },
	} {
		s := settings()
		change(&s)
		if other, err := e.Upstream(s); other == first || err != nil {
			t.Errorf("with another %s it is still the same upstream, %v", name, err)
		}
	}
	got := first.Settings()
	got.URL.Host, got.Header = "changed.example", nil
	if s := first.Settings(); s.URL.Host != "upstream.example" || s.Header.Get("A") != "b" {
		t.Error("a caller can change the upstream's settings")
	}
}

func TestUpstreamsAreForgotten(t *testing.T) {
	e := &Engine{Blobs: new(mem.Store)}
	defer e.Close(context.Background())
	srv := faulty.New(t)
	srv.Put("/d", faulty.Object{Body: []byte("hello")})
	func() {
		u, err := e.Upstream(Settings{Name: "up", URL: mustParse(srv.URL + "/")})
		if err != nil {
			t.Fatal(err)
		}
		d, err := u.Get(t.Context(), Request{URL: srv.URL + "/d"})
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
	}()
	for range 100 {
		runtime.GC()
		e.mu.Lock()
		n := len(e.upstreams)
		e.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond) // cleanups run in their own time
	}
	t.Error("an upstream that nobody uses is still known: something leads to it")
}

func TestSettingsThatCannotBeUsed(t *testing.T) {
	e := &Engine{Blobs: new(mem.Store)}
	defer e.Close(context.Background())
	for name, s := range map[string]Settings{
		"no URL":        {},
		"no host":       {URL: mustParse("https:///x/")},
		"scheme":        {URL: mustParse("ftp://upstream.example/")},
		"remote folder": {URL: mustParse("file://other.example/x/")},
		"also":          {URL: mustParse("https://upstream.example/"), Also: []string{"files.example"}},
		"also, a path":  {URL: mustParse("https://upstream.example/"), Also: []string{"https://files.example/x"}},
		"addresses":     {URL: mustParse("https://upstream.example/"), AllowAddresses: []string{"10.0.0.1"}},
		"CA":            {URL: mustParse("https://upstream.example/"), CA: []byte("x")},
		"proxy":         {URL: mustParse("https://upstream.example/"), Proxy: mustParse("/x")},
	} {
		if _, err := e.Upstream(s); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

func TestNetrc(t *testing.T) {
	const file = `# people's
machine other.example login no password never
machine upstream.example:8443
	login port
	password p8443
macdef init
machine upstream.example login macro password macro

machine upstream.example login ci password hush account a
machine upstream.example login second password second
default login anybody password anything
`
	for _, tt := range []struct{ url, login, password string }{
		{"https://upstream.example/", "ci", "hush"},
		{"https://UPSTREAM.example:8443/", "port", "p8443"},
		{"https://other.example/", "no", "never"},
		{"https://unknown.example/", "", ""},
	} {
		if login, password := parseNetrc(file, mustParse(tt.url)); login != tt.login || password != tt.password {
			t.Errorf("%s: %q %q, want %q %q", tt.url, login, password, tt.login, tt.password)
		}
	}
	for _, odd := range []string{"", "machine", "machine upstream.example login", "machine machine login login", "macdef"} {
		parseNetrc(odd, mustParse("https://upstream.example/")) // must not panic
	}
	t.Run("in a request", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "netrc")
		if err := os.WriteFile(name, []byte("machine 127.0.0.1 login ci password hush"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("NETRC", name)
		r := newRig(t, func(_ *Engine, s *Settings) { s.Netrc = true })
		r.srv.Put("/d", faulty.Object{Body: []byte("hello")})
		if _, _, err := r.get(Request{URL: "/d"}); err != nil {
			t.Fatal(err)
		}
		if got := r.srv.Requests("/d")[0].Header.Get("Authorization"); got != "Basic Y2k6aHVzaA==" {
			t.Errorf("sent Authorization %q", got)
		}
	})
}

func TestUserAgent(t *testing.T) {
	r := newRig(t, func(_ *Engine, s *Settings) { s.Contact = "ops@pond.example" })
	r.srv.Put("/d", faulty.Object{Body: []byte("hello")})
	if _, _, err := r.get(Request{URL: "/d"}); err != nil {
		t.Fatal(err)
	}
	if got, want := r.srv.Requests("/d")[0].Header.Get("User-Agent"), "millpond/1.0 (+ops@pond.example)"; got != want {
		t.Errorf("User-Agent %q, want %q", got, want)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "cache", "download")
	b, text := noise(2<<20), page(5000)
	for name, content := range map[string][]byte{"cache/download/m/@v/v1.0.0.zip": b, "cache/download/m/@v/list": text,
		"cache/download/m/@v/a b%2f.mod": text, "cache/download/empty": nil, "secret": []byte("hush")} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret"), filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(_ *Engine, s *Settings) { s.URL = &url.URL{Scheme: "file", Path: base + "/"} })
	at := "file://" + base + "/"

	f := File{ID: "zip", URL: at + "m/@v/v1.0.0.zip", Size: -1}
	r.good(f, b)
	r.held(b)
	d, got, err := r.get(Request{URL: at + "m/@v/list"})
	if err != nil || !bytes.Equal(got, text) || d.ETag == "" || d.Modified == "" {
		t.Fatalf("got %d bytes, %+v, %v", len(got), d, err)
	}
	if d, _, err := r.get(Request{URL: at + "m/@v/list", ETag: d.ETag}); err != nil || !d.NotModified {
		t.Errorf("got %+v, %v; want not modified", d, err)
	}
	if _, got, err := r.get(Request{URL: at + "m/@v/a%20b%252f.mod"}); err != nil || !bytes.Equal(got, text) {
		t.Errorf("an escaped name: %d bytes, %v", len(got), err)
	}
	if _, _, err := r.get(Request{URL: at + "empty", Empty: true}); err != nil {
		t.Errorf("an empty document: %v", err)
	}
	r.badGet(Request{URL: at + "empty"}, millpond.BadUpstream, "nothing in it")
	r.badGet(Request{URL: at + "m/@v/list", Limit: 100}, millpond.BadUpstream, "more than 100 bytes")
	for _, absent := range []string{"m/@v/v2.0.0.zip", "m/@v", "", "../../secret", "m/%2e%2e/%2e%2e/%2e%2e/secret", "m//x", "x%00"} {
		f := File{ID: absent, URL: at + absent, Size: -1}
		if _, err := r.read(f); !millpond.Is(err, millpond.NotFound) {
			t.Errorf("%q: got %v, want NotFound", absent, err)
		}
	}
	for _, outside := range []string{at + "link", "https://upstream.example/x", "file:///etc/passwd"} {
		if _, got, err := r.get(Request{URL: outside}); err == nil {
			t.Errorf("%s: got %q", outside, got)
		}
	}
	for _, method := range []string{"HEAD", "GET", "POST"} {
		q, err := http.NewRequest(method, at+"m/@v/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.up.Relay(t.Context(), q, 1<<20)
		if method == "POST" {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("POST: %v", err)
			}
			continue
		}
		if err != nil || resp.StatusCode != 200 || resp.ContentLength != int64(len(text)) {
			t.Fatalf("%s: %+v, %v", method, resp, err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || method == "GET" && !bytes.Equal(got, text) || method == "HEAD" && len(got) > 0 {
			t.Errorf("%s: %d bytes, %v", method, len(got), err)
		}
		resp.Body.Close()
	}
	if n := r.up.State().InFlight; n != 0 {
		t.Errorf("%d requests in flight", n)
	}
	if s := r.up.State(); s.Open || !strings.HasPrefix(s.URL, "file://") {
		t.Errorf("state %+v", s)
	}
}

func TestSizesAsPeopleWriteThem(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1 << 10: "1 KiB", 3 << 19: "1.5 MiB", 20 << 30: "20 GiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "soon": 0, "-1": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:05 GMT": 0} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestContentRange(t *testing.T) {
	for text, want := range map[string]struct {
		from, total int64
		ok          bool
	}{
		"bytes 10-99/100": {10, 100, true}, "bytes 10-99/*": {10, -1, true}, "bytes 10-98/100": {}, "bytes 99-10/100": {},
		"bytes */100": {}, "": {}, "10-99/100": {}, "bytes -1-99/100": {},
	} {
		from, total, ok := contentRange(text)
		if ok != want.ok || ok && (from != want.from || total != want.total) {
			t.Errorf("%q: %d %d %v, want %+v", text, from, total, ok, want)
		}
	}
}

func TestWordsOfAnEndlessFailure(t *testing.T) {
	f := &failure{kind: millpond.BadUpstream, what: "answered 500", wait: time.Minute, err: io.EOF}
	for tries, want := range map[int]string{1: "up answered 500", 2: "up answered 500 twice", 3: "up answered 500 three times",
		4: "up answered 500 4 times"} {
		e := f.tell("up", tries, time.Unix(100, 0))
		if e.Why != want || !e.After.Equal(time.Unix(160, 0)) || !errors.Is(e, io.EOF) {
			t.Errorf("after %d tries: %+v, want %q", tries, e, want)
		}
	}
}
