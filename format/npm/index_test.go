package npm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"millpond"
)

func TestIndexReadsWhatJavaScriptReads(t *testing.T) {
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	for _, c := range []struct {
		name, text string
		versions   string // newest first
		full       string // "" is the text itself
	}{
		{"versions twice", `{"name":"x","versions":{"1.0.0":{"a":1}},"dist-tags":{},"versions":{"2.0.0":{}}}`, "2.0.0",
			`{"name":"x","dist-tags":{},"versions":{"2.0.0":{}}}`},
		{"versions twice in a row", `{"name":"x","versions":{"1.0.0":{"a":1}},"versions":{"2.0.0":{}},"dist-tags":{}}`, "2.0.0",
			`{"name":"x","versions":{"2.0.0":{}},"dist-tags":{}}`},
		{"versions three times", `{"versions":{"1.0.0":{}}, "name":"x","versions":{"3.0.0":{}},"versions":{"2.0.0":{}},"dist-tags":{}}`, "2.0.0",
			`{"name":"x","versions":{"2.0.0":{}},"dist-tags":{}}`},
		{"versions taken back", `{"name":"x","dist-tags":{},"versions":{"1.0.0":{}},"versions":null}`, "",
			`{"name":"x","dist-tags":{},"versions":{}}`},
		{"name twice", `{"name":"y","name":"x","dist-tags":{},"versions":{}}`, "", ""},
		{"a version twice", `{"name":"x","dist-tags":{},"versions":{"1.0.0":{"a":1},"2.0.0":{},"1.0.0":{"a":2}}}`, "2.0.0 1.0.0",
			`{"name":"x","dist-tags":{},"versions":{"2.0.0":{},"1.0.0":{"a":2}}}`},
		{"a version that is null", `{"name":"x","dist-tags":{},"versions":{"1.0.0":null,"2.0.0":{},"3.0.0":7}}`, "2.0.0",
			`{"name":"x","dist-tags":{},"versions":{"2.0.0":{}}}`},
		{"a version taken back", `{"name":"x","dist-tags":{},"versions":{"1.0.0":{},"2.0.0":{},"1.0.0":null}}`, "2.0.0",
			`{"name":"x","dist-tags":{},"versions":{"2.0.0":{}}}`},
		{"deep", `{"name":"x","dist-tags":{},"deep":` + deep + `,"versions":{"1.0.0":{"deep":` + deep + `}}}`, "1.0.0", ""},
		{"a long string", `{"name":"x","dist-tags":{},"versions":{"1.0.0":{"readme":"` + strings.Repeat("y", 1<<20) + `"}}}`, "1.0.0", ""},
		{"a byte order mark", "\ufeff" + `{"name":"x","dist-tags":{},"versions":{"1.0.0":{}}}`, "1.0.0", `{"name":"x","dist-tags":{},"versions":{"1.0.0":{}}}`},
		{"spaces around", " \n" + `{"name":"x","dist-tags":{},"versions":{"1.0.0":{}}}` + "\r\n ", "1.0.0", `{"name":"x","dist-tags":{},"versions":{"1.0.0":{}}}`},
		{"bad UTF-8", `{"name":"x","dist-tags":{},"a":"` + "\xff\xfe" + `","versions":{"1.0.0":{"b":"` + "\xc3" + `"}}}`, "1.0.0", ""},
		{"lone surrogates", `{"name":"x","dist-tags":{},"a":"\ud800","versions":{"1.0.0":{"b":"\udc00\ud800"}}}`, "1.0.0", ""},
		{"large numbers", `{"name":"x","dist-tags":{},"a":1e400,"versions":{"1.0.0":{"b":-1E+999,"c":123456789012345678901234567890}}}`, "1.0.0", ""},
		{"escaped keys", `{"n\u0061me":"\u0078","dist-tags":{},"v\u0065rsions":{"1.\u0030.0":{"\u0064ist":{"tarball":"http:\/\/upstream.example\/registry\/x\/-\/x-1.0.0.tgz"}}}}`, "1.0.0",
			`{"n\u0061me":"\u0078","dist-tags":{},"v\u0065rsions":{"1.\u0030.0":{"\u0064ist":{"tarball":"http://pond.example/npm/x/-/x-1.0.0.tgz"}}}}`},
		{"prototype", `{"name":"x","dist-tags":{"__proto__":"__proto__","constructor":"1.0.0"},"versions":{"__proto__":{"p":1},"constructor":{},"1.0.0":{}}}`,
			"1.0.0 constructor __proto__", ""},
		{"versions with paths", `{"name":"x","dist-tags":{"up":"../../y"},"versions":{"../../y":{},"1.0.0":{},"":{},"a/b":{},"c\u0000":{}}}`, "1.0.0",
			`{"name":"x","dist-tags":{},"versions":{"1.0.0":{}}}`},
		{"tags that are no strings", `{"name":"x","dist-tags":{"a":1,"b":null,"":"1.0.0","c":"1.0.0","d":{"e":1}},"versions":{"1.0.0":{}}}`, "1.0.0",
			`{"name":"x","dist-tags":{"c":"1.0.0"},"versions":{"1.0.0":{}}}`},
		{"tags to nothing", `{"name":"x","dist-tags":{"latest":"9.0.0","gone":"8.0.0-x.1","1.0.0":"1.0.0"},"versions":{"1.0.0":{}}}`, "1.0.0",
			`{"name":"x","dist-tags":{"latest":"1.0.0","1.0.0":"1.0.0"},"versions":{"1.0.0":{}}}`},
		{"dist twice", `{"name":"x","dist-tags":{},"versions":{"1.0.0":{"dist":{"tarball":"http://upstream.example/a.tgz"},"dist":{"tarball":"http://upstream.example/b.tgz"}}}}`, "1.0.0",
			`{"name":"x","dist-tags":{},"versions":{"1.0.0":{"dist":{"tarball":"http://upstream.example/a.tgz"},"dist":{"tarball":"http://pond.example/npm/x/-/b.tgz"}}}}`},
		{"no versions", `{"name":"x","dist-tags":{}}`, "", `{"name":"x","dist-tags":{},"versions":{}}`},
		{"unpublished once", `{"name":"x","dist-tags":{},"versions":{"1.0.0":{}},"time":{"unpublished":{"name":"y"},"1.0.0":"2020-01-01T00:00:00.000Z"}}`, "1.0.0", ""},
		{"policy that is none", `{"name":"x","dist-tags":{},"policyRestrictions":"no","versions":{}}`, "", `{"name":"x","dist-tags":{},"policyRestrictions":{},"versions":{}}`},
		{"a time that is none", `{"name":"x","dist-tags":{},"time":[],"versions":{}}`, "", `{"name":"x","dist-tags":{},"time":{},"versions":{}}`},
	} {
		if _, err := readText("x", []byte(c.text)); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		s := newShelf()
		p := s.put(t, "x", layer{"up", []byte(c.text)})
		var versions []string
		for _, v := range p.Versions {
			versions = append(versions, v.Name)
		}
		if got := strings.Join(versions, " "); got != c.versions {
			t.Errorf("%s: got versions %q, want %q", c.name, got, c.versions)
		}
		want := c.full
		if want == "" {
			want = c.text
		}
		if got := string(s.full(t, "x")); got != want {
			t.Errorf("%s, full:\n got %.500s\nwant %.500s", c.name, got, want)
		}
		s.short(t, "x") // it checks that it is JSON
	}
}

func TestIndexRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "",
		"spaces":            "  ",
		"HTML":              "<!doctype html><title>Welcome</title>",
		"a string":          `"name"`,
		"a list":            `[{"name":"x"}]`,
		"cut":               `{"name":"x","versions":{"1.0.0":{"na`,
		"cut at the end":    `{"name":"x","versions":{"1.0.0":{}}`,
		"two":               `{"name":"x","versions":{}}{"name":"x"}`,
		"words behind":      `{"name":"x","versions":{}} oops`,
		"another name":      `{"name":"y","versions":{}}`,
		"another case":      `{"name":"X","versions":{}}`,
		"no name":           `{"versions":{}}`,
		"an error":          `{"error":"not found"}`,
		"a name of a kind":  `{"name":{"x":1},"versions":{}}`,
		"too deep":          `{"name":"x","a":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}`,
		"too deep below":    `{"name":"x","versions":{"1.0.0":{"a":` + strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001) + `}}}`,
		"a comma too many":  `{"name":"x","versions":{},}`,
		"bare words":        `{name:"x"}`,
		"NaN":               `{"name":"x","a":NaN}`,
		"again and again":   `{"name":"x"` + strings.Repeat(`,"time":{}`, 30) + `}`,
		"a control in name": "{\"name\":\"x\",\"a\":\"\x01\"}",
	} {
		if p, err := readText("x", []byte(text)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, p)
		} else if millpond.Is(err, millpond.NotFound) {
			t.Errorf("%s: got %v, which would be believed as an absence", name, err)
		}
	}
}

func TestUnpublishedIsAbsent(t *testing.T) {
	text := `{"_id":"x","name":"x","time":{"created":"2020-01-01T00:00:00.000Z","unpublished":{"name":"me","time":"2021-01-01T00:00:00.000Z","tags":{"latest":"1.0.0"},"versions":["1.0.0"]}}}`
	if _, err := readText("x", []byte(text)); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestTenThousandVersions(t *testing.T) {
	text := manyVersions(10_000, 0)
	s := newShelf()
	p := s.put(t, "x", layer{"up", text})
	if len(p.Versions) != 10_000 || p.Versions[0].Name != "99.99.0" {
		t.Fatalf("got %d versions, newest %s", len(p.Versions), p.Versions[0].Name)
	}
	want := strings.ReplaceAll(string(text), upstreamBase, "http://pond.example/npm/")
	if got := string(s.full(t, "x")); got != want {
		t.Errorf("full form differs: %d bytes, want %d", len(got), len(want))
	}
}

// manyVersions is a packument of n versions, each with about so many bytes of words that only the full form has.
func manyVersions(n, words int) []byte {
	var b, times bytes.Buffer
	b.WriteString(`{"_id":"x","name":"x","dist-tags":{"latest":"1.0.0"},"versions":{`)
	filler := strings.Repeat(`"some words that fill the manifest",`, words/36+1)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
			times.WriteByte(',')
		}
		v := fmt.Sprintf("%d.%d.0", i/100, i%100)
		fmt.Fprintf(&b, `"%s":{"name":"x","version":"%s","keywords":[%s"x"],"scripts":{"test":"true","postinstall":"x"},"dependencies":{"a":"^1.0.0","b":"~2.0.0"},"dist":{"integrity":"sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==","shasum":"da39a3ee5e6b4b0d3255bfef95601890afd80709","tarball":"http://upstream.example/x/-/x-%s.tgz"}}`, v, v, filler, v)
		fmt.Fprintf(&times, `"%s":"2020-01-01T00:00:00.000Z"`, v)
	}
	fmt.Fprintf(&b, `},"time":{"modified":"2024-01-01T00:00:00.000Z",%s}}`, times.Bytes())
	return b.Bytes()
}

// FuzzPackument takes any text: what is read as a packument is written as JSON, of the recorded versions and no other.
func FuzzPackument(f *testing.F) {
	f.Add([]byte(`{"name":"x","versions":{"1.0.0":{"dist":{"tarball":"http://upstream.example/x-1.0.0.tgz"}},"2.0.0":{}},"time":{"1.0.0":"2020-01-01T00:00:00Z"},"dist-tags":{"latest":"1.0.0"}}`), byte(0))
	f.Add([]byte(`{"time":{},"name":"x","versions":{},"versions":{"1.0.0" : {"a":"\ud800"} , "\u0031.0.0":{}} }`), byte(1))
	f.Add([]byte("\ufeff"+`{"name":"x","policyRestrictions":{"versions":{}},"versions":{"a":null,"1.0.0":{"dist":{},"dist":{"tarball":"http://a/b.tgz"},"scripts":{"install":""}}}}`), byte(2))
	f.Fuzz(func(t *testing.T, text []byte, hide byte) {
		if p, err := readText("x", text); err != nil || p == nil {
			return
		}
		s := newShelf()
		p := s.put(t, "x", layer{"up", text})
		if len(p.Versions) > 0 && hide%3 > 0 {
			s.hide("x", "why", now, p.Versions[int(hide)%len(p.Versions)].Name)
		}
		want := map[string]bool{}
		for _, v := range s.packages["x"].Versions {
			want[v.Name] = true
		}
		for form, got := range map[string][]byte{"full": s.full(t, "x"), "abbreviated": s.short(t, "x")} {
			var members map[string]json.RawMessage // exact names: encoding/json folds those of a struct
			if err := json.Unmarshal(got, &members); err != nil {
				t.Fatalf("%s: %v in %q of %q", form, err, got, text)
			}
			var versions map[string]json.RawMessage
			var tags map[string]string
			for name, to := range map[string]any{"versions": &versions, "dist-tags": &tags} {
				if err := json.Unmarshal(members[name], to); err != nil {
					t.Fatalf("%s: %s: %v in %q of %q", form, name, err, got, text)
				}
			}
			if len(versions) != len(want) {
				t.Errorf("%s: got versions %q, want %v, of %q", form, versions, want, text)
			}
			for v := range versions {
				if !want[v] {
					t.Errorf("%s: got version %q, want %v, of %q", form, v, want, text)
				}
			}
			for tag, v := range tags {
				if !want[v] {
					t.Errorf("%s: tag %q points at %q, which is not shown, of %q", form, tag, v, text)
				}
			}
		}
	})
}

func TestReadingStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readPackument(ctx, "x", bytes.NewReader(manyVersions(3, 0)), 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func BenchmarkIndex(b *testing.B) {
	text := manyVersions(2_627, 9_800)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readText("x", text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForms(b *testing.B) {
	text := manyVersions(2_627, 9_800)
	p, err := readText("x", text)
	if err != nil {
		b.Fatal(err)
	}
	s := newShelf()
	digest := millpond.SHA256(text)
	s.texts[digest] = text
	p.Parts[0].Document = digest
	s.packages["x"] = p
	for name, write := range map[string]func(*writer, *counter) error{
		"full":        func(w *writer, c *counter) error { return w.full(c) },
		"abbreviated": func(w *writer, c *counter) error { return w.abbreviated(c) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				w, err := newWriter(b.Context(), s, newView(p), s.base)
				if err != nil {
					b.Fatal(err)
				}
				var c counter
				if err := write(w, &c); err != nil {
					b.Fatal(err)
				}
				w.close()
			}
		})
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
