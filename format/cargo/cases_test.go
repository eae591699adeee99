// The cases of the format's page that are shown under other names or elsewhere:
//
//	 1  real builds: testdata/script/cargo/cargo.txtar, publish.txtar, and with 200 crates and more real_cargo.txtar
//	 4  held versions: testdata/script/cargo/hold.txtar; formattest's rows about holds
//	 5  other bytes than the index says, and fifty readers: formattest's wrongBytes and herd
//	 7  paths: path_test.go
//	 9  fifty publishes of one version, and a kill at each write: formattest's publishAtOnce and failedWrites
//	11  tokens: testdata/script/cargo/private.txtar
//	13  an authority of the pond's own, and one slow crate beside others over HTTP/2: testdata/script/cargo/cargo.txtar; that
//	    HTTP/1.1 is told: file.txtar
package cargo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

var (
	longAgo = formattest.Epoch().AddDate(-1, 0, 0)
	lately  = formattest.Epoch().AddDate(0, 0, -1)
)

// TestCase03ByteForByte: whatever an upstream's index file holds goes out as it is, and a filtered one differs in booleans only.
func TestCase03ByteForByte(t *testing.T) {
	one := upstreamLine("alpha", "1.0.0", sum, longAgo)
	two := upstreamLine("alpha", "2.0.0", sum, lately)
	for name, text := range map[string]string{
		"unknown v":       one + "\n" + strings.Replace(two, "}", `,"v":77,"x":{"y":[1,{}]}}`, 1) + "\n",
		"junk":            "no json\n" + one + "\n{}\n[]\n" + two + "\n\n{\"name\":\n",
		"CRLF":            one + "\r\n" + two + "\r\n",
		"no last newline": one + "\n" + two,
		"the same twice":  one + "\n" + two + "\n" + two + "\n",
		"another crate's": one + "\n" + strings.Replace(two, "alpha", "gamma", 1) + "\n" + two + "\n",
	} {
		h := formattest.New(t, ecosystem)
		putConfig(h.Up)
		putIndex(h.Up, "alpha", text)
		h.Good(name, h.Index("alpha"), []byte(text))

		h = formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}))
		putConfig(h.Up)
		putIndex(h.Up, "alpha", text)
		got := h.Good(name+", filtered", h.Index("alpha"), nil)
		if l, ok := lineOf(got.Body, "2.0.0"); !ok || !l.yanked {
			t.Errorf("%s: the held version is not shown as yanked: %q", name, got.Body)
		}
		for line := range bytes.Lines(got.Body) {
			whole := strings.Replace(string(line), `"yanked":true`, `"yanked":false`, 1)
			if !strings.Contains(text, whole) {
				t.Errorf("%s: %q differs in more than a boolean", name, line)
			}
		}
		if l, ok := lineOf(got.Body, "1.0.0"); !ok || l.yanked {
			t.Errorf("%s: the version that is not held is shown as yanked, or not at all: %q", name, got.Body)
		}
	}
}

// TestCase03Large: 5 MB of lines.
func TestCase03Large(t *testing.T) {
	var text strings.Builder
	for i := range 12_000 {
		text.WriteString(upstreamLine("alpha", fmt.Sprintf("1.%d.0", i), sum, longAgo) + "\n")
		text.WriteString(`{"junk":"` + strings.Repeat("x", 200) + `"}` + "\n")
	}
	h := formattest.New(t, ecosystem)
	putConfig(h.Up)
	putIndex(h.Up, "alpha", text.String())
	got := h.Index("alpha")
	for until := time.Now().Add(time.Minute); got.Status == http.StatusServiceUnavailable && time.Now().Before(until); got = h.Index("alpha") {
		time.Sleep(time.Second) // a busy machine needs longer to read it than a client waits; the reading goes on
	}
	h.Good("large", got, []byte(text.String()))
}

// TestCase02UpstreamIll: nothing that an ill upstream says is read as "no such crate".
func TestCase02UpstreamIll(t *testing.T) {
	for _, verb := range []string{"500", "429 3600", "html-200", "empty-200", "cut 20", "403"} {
		h := formattest.New(t, ecosystem)
		putCrate(h.Up, "alpha", formattest.Release{Version: "1.0.0", Published: longAgo})
		h.Up.Order(root+"al/ph/alpha", "always "+verb)
		if got := h.Index("alpha"); got.Status != http.StatusServiceUnavailable && got.Status != http.StatusTooManyRequests {
			t.Errorf("%s: got %s, want 503 or 429", verb, got)
		}
		h.Up.Order(root+"al/ph/alpha", "always ok")
		h.Pass(2 * time.Hour)
		h.Good(verb+", well again", h.Index("alpha"), nil)
	}
	for _, verb := range []string{"410", "451"} {
		h := formattest.New(t, ecosystem)
		putConfig(h.Up)
		h.Up.Order(root+"al/ph/alpha", "always "+verb)
		h.Want(verb, h.Index("alpha"), http.StatusNotFound)
	}
}

// TestCase05Replaced: a checksum that changes upstream changes here only while the bytes are not held.
func TestCase05Replaced(t *testing.T) {
	h := formattest.New(t, ecosystem)
	held := formattest.Release{Version: "1.0.0", Published: longAgo}
	other := formattest.Release{Version: "1.1.0", Published: longAgo}
	putCrate(h.Up, "alpha", held, other)
	first := h.Good("first", h.Index("alpha"), nil)
	h.Good("file", h.File("alpha", held), crateOf("alpha", held))
	newHeld, newOther := held, other
	newHeld.Variant, newOther.Variant = 1, 1
	putCrate(h.Up, "alpha", newHeld, newOther)
	h.Pass(time.Hour)
	after := h.Good("after", h.Index("alpha"), nil)
	was, _ := lineOf(first.Body, "1.0.0")
	if is, _ := lineOf(after.Body, "1.0.0"); is.sum != was.sum {
		t.Errorf("the checksum of held bytes is now %s, want %s", is.sum, was.sum)
	}
	if is, _ := lineOf(after.Body, "1.1.0"); is.sum != millpond.SHA256(crateOf("alpha", newOther)).Hex() {
		t.Errorf("the checksum of what is not held stayed %s", is.sum)
	}
	h.Good("held", h.File("alpha", held), crateOf("alpha", held))
	h.Good("not held", h.File("alpha", newOther), crateOf("alpha", newOther))
	h.Want("held, by the new checksum", h.File("alpha", newHeld), http.StatusNotFound)
}

// TestCase06Spellings: one identity, one spelling.
func TestCase06Spellings(t *testing.T) {
	h := formattest.New(t, ecosystem)
	r := formattest.Release{Version: "1.0.0", Published: longAgo}
	putCrate(h.Up, "lazy-regex-proc_macros", r)
	h.Want("another spelling", h.Index("lazy-regex-proc-macros"), http.StatusNotFound)
	asked := h.Up.Count("", "")
	h.Good("its own, though another was asked for first", h.Index("lazy-regex-proc_macros"), nil)
	if more := h.Up.Count("", "") - asked; more != 0 {
		t.Errorf("the crate was found by another spelling, and asked for %d times more", more)
	}
	h.Want("another spelling again", h.Index("lazy_regex_proc_macros"), http.StatusNotFound)
	h.Pass(time.Hour)
	h.Up.Forget()
	h.Good("an hour later", h.Index("lazy-regex-proc_macros"), nil)
	h.Up.Want(t, root+"la/zy/lazy-regex-proc_macros", 1)
	h.Up.Want(t, root+"la/zy/lazy-regex-proc-macros", 0)

	publish := func(name string) formattest.Reply { return ecosystem.Publish(h.As(formattest.Owner), name, r) }
	h.Published("foo-bar", publish("foo-bar"))
	h.Want("foo_bar", publish("foo_bar"), http.StatusConflict)
	h.Want("Foo-Bar", publish("Foo-Bar"), http.StatusConflict)
	h.Good("foo-bar", h.Index("foo-bar"), nil)
	h.Want("index of foo_bar", h.Index("foo_bar"), http.StatusNotFound)
	putCrate(h.Up, "foo_bar", r)
	h.Pass(time.Hour)
	h.Up.Forget()
	h.Want("the upstream's foo_bar", h.Index("foo_bar"), http.StatusNotFound)
	h.Want("its file", h.File("foo_bar", r), http.StatusNotFound)
	h.Up.Want(t, "", 0)
}

// TestCase08Frames: what is no publish is refused, and leaves nothing.
func TestCase08Frames(t *testing.T) {
	about := map[string]any{"name": "alpha", "vers": "1.0.0"}
	good := crateOf("alpha", formattest.Release{Version: "1.0.0"})
	toml := entry{name: "alpha-1.0.0/Cargo.toml", text: "[package]\nname = \"alpha\"\nversion = \"1.0.0\"\n"}
	with := func(entries ...entry) []byte { return frameOf(about, packCrate(append(entries, toml)...)) }
	whole := frameOf(about, good)
	huge := binary.LittleEndian.AppendUint32(nil, 0xFFFFFFFF)
	var many []entry
	for i := range mostEntries + 1 {
		many = append(many, entry{name: fmt.Sprintf("alpha-1.0.0/%d", i)})
	}
	for name, c := range map[string]struct {
		body []byte
		want int
	}{
		"nothing":                   {nil, 400},
		"a length of 4 GiB":         {append(huge, whole[4:]...), 400},
		"a length that is cut":      {whole[:2], 400},
		"cut in the JSON":           {whole[:20], 400},
		"cut in the crate":          {whole[:len(whole)-1], 400},
		"more than the crate":       {append(bytes.Clone(whole), 'x'), 400},
		"another name in Cargo":     {frameOf(map[string]any{"name": "beta", "vers": "1.0.0"}, good), 400},
		"another version":           {frameOf(map[string]any{"name": "alpha", "vers": "1.0.1"}, good), 400},
		"no version":                {frameOf(map[string]any{"name": "alpha", "vers": "1.0"}, good), 400},
		"a name that is no name":    {frameOf(map[string]any{"name": "../x", "vers": "1.0.0"}, good), 400},
		"a reserved name":           {frameOf(map[string]any{"name": "NUL", "vers": "1.0.0"}, good), 400},
		"a name with a digit first": {frameOf(map[string]any{"name": "1a", "vers": "1.0.0"}, good), 400},
		"no gzip":                   {frameOf(about, []byte("a crate")), 400},
		"two members":               {frameOf(about, append(bytes.Clone(good), good...)), 400},
		"a second top folder":       {with(entry{name: "beta/x", text: "x"}), 400},
		"a path that leaves":        {with(entry{name: "alpha-1.0.0/../x", text: "x"}), 400},
		"an absolute path":          {with(entry{name: "/etc/passwd", text: "x"}), 400},
		"a symlink":                 {with(entry{name: "alpha-1.0.0/l", link: "/etc", kind: tar.TypeSymlink}), 400},
		"a hard link":               {with(entry{name: "alpha-1.0.0/l", link: "../x", kind: tar.TypeLink}), 400},
		"a device":                  {with(entry{name: "alpha-1.0.0/d", kind: tar.TypeChar}), 400},
		"no Cargo.toml":             {frameOf(about, packCrate(entry{name: "alpha-1.0.0/x", text: "x"})), 400},
		"two Cargo.toml":            {with(toml), 400},
		"too many files":            {with(many...), 400},
		"a bomb":                    {frameOf(about, bombOf(mostUnpacked+1)), 400},
		"11 MB":                     {frameOf(about, make([]byte, 11<<20)), 413},
	} {
		h := formattest.New(t, ecosystem)
		got := h.As(formattest.Owner).Do("PUT", Path{Kind: New}.String(), nil, c.body)
		if got.Status != c.want {
			t.Errorf("%s: got %s, want %d", name, got, c.want)
		}
		var said struct{ Errors []struct{ Detail string } }
		if err := json.Unmarshal(got.Body, &said); err != nil || len(said.Errors) != 1 || said.Errors[0].Detail == "" {
			t.Errorf("%s: cargo cannot read %q", name, got.Body)
		}
		if name == "a bomb" && !bytes.Contains(got.Body, []byte("unpacked it has more than 512 MiB")) {
			t.Errorf("%s: %s", name, got)
		}
		if kept := h.Kept(); kept != 0 {
			t.Errorf("%s: %d blobs are kept", name, kept)
		}
		h.WantLog(name)
	}
}

// bombOf is a .crate with a file as large as that, which nobody should find out by unpacking it: it is not all there.
func bombOf(size int64) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if err := tar.NewWriter(z).WriteHeader(&tar.Header{Name: "alpha-1.0.0/x", Mode: 0o644, Size: size}); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// TestCase09Visible: what is published is there under the entity tag that the client had before, whatever its other number.
func TestCase09Visible(t *testing.T) {
	h := formattest.New(t, ecosystem)
	owner := h.As(formattest.Owner)
	r := formattest.Release{Version: "1.0.7"}
	h.Published("first", ecosystem.Publish(owner, "alpha", r))
	tag := h.Index("alpha").Header.Get("Etag")
	next := formattest.Release{Version: "1.0.8"}
	h.Published("next", ecosystem.Publish(owner, "alpha", next))
	got := h.Do("GET", "/r"+ecosystem.Index("alpha"), http.Header{"If-None-Match": {tag}})
	h.Shows("by the old tag", h.Good("by the old tag", got, nil), "1.0.8", true)
	h.Want("the same number", ecosystem.Publish(owner, "alpha", formattest.Release{Version: "1.0.7+x"}), http.StatusConflict)
}

// TestCase10Yank: a yank shows in the next request and can be repeated; the file stays.
func TestCase10Yank(t *testing.T) {
	h := formattest.New(t, ecosystem)
	owner := h.As(formattest.Owner)
	r := formattest.Release{Version: "1.0.0"}
	h.Published("publish", ecosystem.Publish(owner, "alpha", r))
	before := h.Index("alpha").Body
	for range 2 {
		h.Good("yank", ecosystem.Writes["yank"](owner, "alpha", r), []byte(`{"ok":true}`))
		h.Good("index", h.Index("alpha"), bytes.Replace(before, []byte(`"yanked":false`), []byte(`"yanked":true`), 1))
	}
	h.Good("file", h.File("alpha", r), crateOf("alpha", r))
	for range 2 {
		h.Good("unyank", ecosystem.Writes["unyank"](owner, "alpha", r), []byte(`{"ok":true}`))
		h.Good("index", h.Index("alpha"), before)
	}
	h.WantLog("yank and unyank", "publish", "yank", "unyank")
	h.Want("unknown version", ecosystem.Writes["yank"](owner, "alpha", formattest.Release{Version: "7.0.0"}), http.StatusNotFound)
	h.Want("unknown crate", ecosystem.Writes["yank"](owner, "beta", r), http.StatusNotFound)
}

// TestCase10YankAndPublishAtOnce: neither loses what the other has done.
func TestCase10YankAndPublishAtOnce(t *testing.T) {
	h := formattest.New(t, ecosystem)
	owner := h.As(formattest.Owner)
	first := formattest.Release{Version: "1.0.0"}
	h.Published("publish", ecosystem.Publish(owner, "alpha", first))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			verb := []string{"yank", "unyank"}[i%2]
			h.Good(verb, ecosystem.Writes[verb](owner, "alpha", first), nil)
		})
		all.Go(func() {
			h.Published("more", ecosystem.Publish(owner, "alpha", formattest.Release{Version: fmt.Sprintf("1.1.%d", i)}))
		})
	}
	all.Wait()
	h.Good("at last", ecosystem.Writes["yank"](owner, "alpha", first), nil)
	index := h.Good("index", h.Index("alpha"), nil).Body
	if n := bytes.Count(index, []byte("\n")); n != 21 {
		t.Errorf("the index has %d lines, want 21", n)
	}
	if l, ok := lineOf(index, "1.0.0"); !ok || !l.yanked {
		t.Errorf("1.0.0 is not yanked: %s", index)
	}
}

// TestCase12Dependencies: the line of what is published, against the golden file.
func TestCase12Dependencies(t *testing.T) {
	own, other, target, renamed, links, rust := "sparse+https://pond.example/cargo/", "sparse+https://other.example/index/", "cfg(unix)", "nick", "z", "1.70"
	m := &manifest{
		Name: "Acme-Tools", Version: "1.2.3-rc.1+b", Links: &links, RustVersion: &rust,
		Deps: []wanted{
			{Name: "plain", Requirement: "^1, <1.5", DefaultFeatures: true, Kind: "normal"},
			{Name: "ours", Requirement: "*", Registry: &own, Kind: "dev"},
			{Name: "theirs", Requirement: ">=2", Registry: &other, Kind: "build", Optional: true, Features: []string{"x"}},
			{Name: "real-name", Requirement: "=3.0.0", Renamed: &renamed, Target: &target},
		},
		Features: map[string][]string{"default": {"std"}, "std": nil, "net": {"dep:theirs"}, "weak": {"theirs?/x"}},
	}
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	got, err := m.line(millpond.SHA256(nil), time.Date(2026, 11, 21, 8, 3, 12, 0, time.UTC), "https://pond.example/cargo")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/line.json")
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("the line is\n%s\nwant\n%s", got, want)
	}
	if l, err := readLine([]byte(got)); err != nil || l.version != m.Version || l.yanked || got[l.yankedAt:l.yankedAt+5] != "false" || !strings.Contains(got, notYanked) {
		t.Errorf("the line reads as %+v, %v", l, err)
	}
}

// TestCase13Base: config.json names the address that the client knows, whatever is before the pond.
func TestCase13Base(t *testing.T) {
	h := formattest.New(t, ecosystem)
	config := h.Config("r", h.Up)
	for public, base := range map[string]string{"": h.URL + "/r", "https://pond.example/a/b/": "https://pond.example/a/b/r"} {
		h.Configure(repo.Settings{PublicURL: public}, config)
		want := `{"dl":"` + base + `/crates/{crate}/{version}/{sha256-checksum}.crate","api":"` + base + `"}` + "\n"
		h.Good("config.json", h.Get("/config.json"), []byte(want))
	}
	config.ReadOnly = true
	h.Configure(repo.Settings{}, config)
	if got := h.Good("nothing hosted", h.Get("/config.json"), nil); bytes.Contains(got.Body, []byte(`"api"`)) {
		t.Errorf("who hosts nothing names an API: %s", got)
	}
	config.ReadOnly, config.Public = false, false
	h.Configure(repo.Settings{}, config)
	got := h.Want("private, nobody", h.Get("/config.json"), http.StatusUnauthorized)
	if ask := got.Header.Get("Www-Authenticate"); ask != `Cargo login_url="`+h.URL+`/r/me"` {
		t.Errorf("the challenge is %q", ask)
	}
	got = h.As(formattest.Reader).Do("GET", "/config.json", nil, nil)
	if !bytes.Contains(h.Good("private, a reader", got, nil).Body, []byte(`"auth-required":true`)) {
		t.Errorf("config.json of what not everybody may read: %s", got)
	}
}

// TestTemplates: every marker of an upstream's "dl", and none.
func TestTemplates(t *testing.T) {
	for dl, want := range map[string]string{
		"https://upstream.example/dl":  "https://upstream.example/dl/Serde-X/1.0.0+b/download",
		"https://upstream.example/dl/": "https://upstream.example/dl/Serde-X/1.0.0+b/download",
		"https://cdn.example/{prefix}/{lowerprefix}/{crate}-{version}?h={sha256-checksum}": "https://cdn.example/Se/rd/se/rd/Serde-X-1.0.0+b?h=" + sum,
	} {
		if got := (config{DL: dl}).file("Serde-X", "1.0.0+b", sum); got != want {
			t.Errorf("%s gives %s, want %s", dl, got, want)
		}
	}
}

// TestSearch: what is hosted first, then the upstream's; words of ours go nowhere.
func TestSearch(t *testing.T) {
	h := formattest.New(t, ecosystem, func(c *repo.Config) { c.Claims = []string{"acme-*"} })
	putConfig(h.Up)
	h.Up.Put("/api/v1/crates", faulty.Object{Body: []byte(`{"crates":[{"name":"alabaster","max_version":"3.0.0","description":"up"},{"name":"alpha","max_version":"9.0.0"}],"meta":{"total":2}}`), Type: typeJSON})
	h.Published("publish", ecosystem.Publish(h.As(formattest.Owner), "alpha", formattest.Release{Version: "1.0.0"}))
	h.Good("search", h.Get("/api/v1/crates?q=al"), []byte(`{"crates":[{"name":"alpha","max_version":"1.0.0","description":""},{"name":"alabaster","max_version":"3.0.0","description":"up"}],"meta":{"total":2}}`))
	h.Up.Forget()
	h.Good("claimed words", h.Get("/api/v1/crates?q=acme_x"), []byte(`{"crates":[],"meta":{"total":0}}`))
	h.Up.Want(t, "", 0)
}
