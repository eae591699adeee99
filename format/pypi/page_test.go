package pypi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

// write is a page in one form, for a repository whose clients know it by an https address.
func write(t testing.TB, f form, p *millpond.Package) string {
	t.Helper()
	var b bytes.Buffer
	if err := writePage(&b, f, p, "https://pond.example/pypi/", readParts(p.Parts).Serial); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// randomPackage makes a listing of up to 30 files, with what is awkward to quote.
func randomPackage(r *rand.Rand) *millpond.Package {
	words := []string{`"><script>alert(1)</script>`, "", "it's broken & bad", "line\nbreak", "日本", `\"`, "--><b>", "\u2028"}
	p := &millpond.Package{Name: "x", Parts: []millpond.Part{{Meta: fmt.Appendf(nil, `{"serial":%d}`, r.IntN(3))}}}
	for i := range r.IntN(10) {
		v := millpond.Version{Name: fmt.Sprintf("%d.%d", 9-i, r.IntN(10))}
		for _, name := range []string{"x-%s-py3-none-any.whl", "x-%s.tar.gz", "x-%s-cp39-cp39-win_amd64.whl"}[:r.IntN(4)] {
			f := millpond.File{Name: fmt.Sprintf(name, v.Name), Size: int64(r.IntN(3)) - 1, Yanked: r.IntN(3) == 0, URL: "https://files.example/f"}
			if f.Yanked {
				f.YankedWhy = words[r.IntN(len(words))]
			}
			if r.IntN(3) > 0 {
				f.Digests = []millpond.Digest{millpond.SHA256([]byte(f.Name))}
			}
			if r.IntN(2) == 0 {
				f.Published = time.UnixMicro(r.Int64N(1e15)).UTC()
			}
			if r.IntN(2) == 0 {
				f.Meta = fmt.Appendf(nil, `{"requires-python":%s}`, quote(words[r.IntN(len(words))]))
			}
			v.Files = append(v.Files, f)
			if strings.HasSuffix(f.Name, ".whl") && r.IntN(2) == 0 {
				s := side(&f, f.Name+Metadata, beside(f.URL, Metadata), nil)
				if r.IntN(2) == 0 {
					s.Digests = []millpond.Digest{millpond.SHA256([]byte(s.Name))}
				}
				v.Files = append(v.Files, s)
			}
			if r.IntN(4) == 0 {
				v.Files = append(v.Files, side(&f, f.Name+Signature, beside(f.URL, Signature), nil))
			}
		}
		p.Versions = append(p.Versions, v)
	}
	return p
}

// seen is what a client can tell of the files of a page; times and sizes are known in JSON only.
func seen(p *millpond.Package, all bool) []string {
	var out []string
	for i := range p.Versions {
		for _, f := range p.Versions[i].Files {
			line := fmt.Sprintf("%s %s %v %q %s", f.Name, f.Digests, f.Yanked, f.YankedWhy, readRecord(f.Meta).python)
			if _, side := cutSide(f.Name); all && side == "" {
				line += fmt.Sprint(f.Size, f.Published)
			}
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func TestCase08BothFormsSayTheSame(t *testing.T) {
	for seed := range uint64(300) {
		p := randomPackage(rand.New(rand.NewPCG(seed, 8)))
		fromJSON := mustRead(t, answer{typeJSON, write(t, formJSON, p)})
		if got, want := seen(fromJSON, true), seen(p, true); !slices.Equal(got, want) {
			t.Fatalf("seed %d: JSON reads as\n%s\nwant\n%s\npage %s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"), write(t, formJSON, p))
		}
		for _, f := range []form{formHTML, formV1HTML} {
			page := write(t, f, p)
			fromHTML := mustRead(t, answer{typeHTML, page})
			if got, want := seen(fromHTML, false), seen(p, false); !slices.Equal(got, want) {
				t.Fatalf("seed %d: HTML reads as\n%s\nwant\n%s\npage %s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"), page)
			}
			if strings.Contains(page, "<script") || strings.Contains(page, "--><b") {
				t.Fatalf("seed %d: what a publisher wrote is markup in %s", seed, page)
			}
		}
		if a, b := readParts(fromJSON.Parts).Serial, readParts(p.Parts).Serial; a != b {
			t.Fatalf("seed %d: serial %d, want %d", seed, a, b)
		}
	}
}

func TestCase10KeysOfAFile(t *testing.T) {
	p := mustRead(t, answer{typeJSON, pageJSON})
	page := write(t, formJSON, p)
	var got struct {
		Meta     map[string]any   `json:"meta"`
		Name     string           `json:"name"`
		Versions []string         `json:"versions"`
		Files    []map[string]any `json:"files"`
		Status   map[string]any   `json:"project-status"`
	}
	if err := json.Unmarshal([]byte(page), &got); err != nil {
		t.Fatalf("%v in %s", err, page)
	}
	if !strings.HasSuffix(page, "}\n") {
		t.Errorf("page ends in %q, want a newline", page[len(page)-5:])
	}
	if fmt.Sprint(got.Meta) != "map[_last-serial:4711 api-version:1.0]" || got.Name != "x" ||
		fmt.Sprint(got.Versions) != "[1.0.0 1.1rc1]" || fmt.Sprint(got.Status) != "map[reason:use y status:deprecated]" {
		t.Errorf("page says %v %v %v %v", got.Meta, got.Name, got.Versions, got.Status)
	}
	want := []string{
		`{"core-metadata":{"sha256":"` + sum + `"},"filename":"x-1.0-py3-none-any.whl","hashes":{"blake2b_256":"00ff","md5":"d41d8cd98f00b204e9800998ecf8427e","sha256":"` + sum +
			`"},"provenance":"https://pond.example/pypi/integrity/x/1.0.0/x-1.0-py3-none-any.whl/provenance","requires-python":">=3.8","size":12,"upload-time":"2020-01-02T03:04:05.678901Z","url":"../../packages/x/` + sum[:16] + `/x-1.0-py3-none-any.whl","x-new":{"k":[1]}}`,
		`{"filename":"x-1.0.0.tar.gz","gpg-sig":true,"hashes":{},"size":7,"upload-time":"2020-01-01T00:00:00.000000Z","url":"../../packages/x/-/x-1.0.0.tar.gz","yanked":"broken"}`,
		`{"filename":"x-1.1rc1.zip","hashes":{},"url":"../../packages/x/-/x-1.1rc1.zip","yanked":true}`,
	}
	for i, f := range got.Files {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if e.Encode(f); i >= len(want) || strings.TrimSpace(b.String()) != want[i] {
			t.Errorf("file %d is\n%s want\n%s", i, &b, want[min(i, len(want)-1)])
		}
	}
	if len(got.Files) != len(want) {
		t.Errorf("%d files, want %d", len(got.Files), len(want))
	}
	for i := range p.Versions {
		for j := range p.Versions[i].Files {
			p.Versions[i].Files[j].Size = 5
		}
	}
	if page := write(t, formJSON, p); !strings.Contains(page, `"api-version":"1.4"`) {
		t.Errorf("every file has its size, yet the page claims no 1.4: %.200s", page)
	}
	if page := write(t, formHTML, p); !strings.Contains(page, `<meta name="pypi:repository-version" content="1.4">`) ||
		!strings.HasSuffix(page, "<!--SERIAL 4711-->\n") || !strings.Contains(page, `<meta name="pypi:project-status-reason" content="use y">`) {
		t.Errorf("HTML lacks version, serial or status: %s", page)
	}
}

func TestFirstSeenDigestIsPublished(t *testing.T) {
	p := &millpond.Package{Name: "x", Versions: []millpond.Version{{Name: "1", Files: []millpond.File{{Name: "x-1.zip", Size: -1, Blob: digest(t, "sha256:"+sum)}}}}}
	for f, want := range map[form]string{formJSON: `"hashes":{"sha256":"` + sum + `"}`, formHTML: "/" + sum[:16] + "/x-1.zip#sha256=" + sum} {
		if page := write(t, f, p); !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
}

func TestCase18BrokenPromiseIsNotMade(t *testing.T) {
	wheel := millpond.File{Name: "x-1-py3-none-any.whl", Size: 3}
	corrupt := side(&wheel, wheel.Name+Metadata, "", nil)
	corrupt.Corrupt = true
	p := &millpond.Package{Name: "x", Versions: []millpond.Version{{Name: "1", Files: []millpond.File{wheel, corrupt}}}}
	for _, f := range []form{formJSON, formHTML} {
		if page := write(t, f, p); strings.Contains(page, "metadata") || !strings.Contains(page, wheel.Name) {
			t.Errorf("page of a wheel whose metadata is corrupt upstream: %s", page)
		}
	}
}

func TestBlockedPageHasStatusAndNoFiles(t *testing.T) {
	p := mustRead(t, answer{typeJSON, `{"project-status": {"status": "quarantined"}, "files": [{"filename": "x-1.zip", "url": "/a"}]}`})
	if page := write(t, formJSON, p); !strings.Contains(page, `"files":[]`) || !strings.Contains(page, `"status":"quarantined"`) {
		t.Errorf("page of a quarantined project: %s", page)
	}
}

func TestNoProvenanceWithoutAddress(t *testing.T) {
	p := mustRead(t, answer{typeJSON, pageJSON})
	var b bytes.Buffer
	if err := writePage(&b, formJSON, p, "", readParts(p.Parts).Serial); err != nil || strings.Contains(b.String(), "provenance") {
		t.Errorf("page of a repository whose address is what each client says: %v %s", err, &b)
	}
}

func TestRootIndex(t *testing.T) {
	names := func(yield func(format.Change, error) bool) {
		_ = yield(format.Change{Name: "a", Cursor: "7"}, nil) && yield(format.Change{Name: "zope-interface", Display: "Zope.Interface", Cursor: "9"}, nil)
	}
	for f, want := range map[form]string{
		formJSON:   `{"projects":[{"name":"a","_last-serial":7},{"name":"Zope.Interface","_last-serial":9}],"meta":{"_last-serial":9,"api-version":"1.4"}}` + "\n",
		formHTML:   "<a href=\"a/\">a</a><br>\n<a href=\"zope-interface/\">Zope.Interface</a><br>\n</body>\n</html>\n<!--SERIAL 9-->\n",
		formV1HTML: "<a href=\"zope-interface/\">Zope.Interface</a><br>",
	} {
		var b bytes.Buffer
		if err := writeIndex(&b, f, names, 9, (*serials)(nil).of); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v, %s\nwant %s", f.contentType(), err, &b, want)
		}
	}
}

// bigPage is a page of n files, of which each has what most files have.
func bigPage(n int) string {
	var b strings.Builder
	b.WriteString(`{"meta":{"api-version":"1.4","_last-serial":1},"name":"x","versions":[],"files":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		name := fmt.Sprintf("x-%d.%d-cp3%d-cp3%d-manylinux_2_17_x86_64.whl", i/40, i/8%5, i%8, i%8)
		h := millpond.SHA256([]byte(name)).Hex()
		fmt.Fprintf(&b, `{"core-metadata":{"sha256":"%s"},"data-dist-info-metadata":{"sha256":"%s"},"filename":"%s","hashes":{"sha256":"%s"},`+
			`"requires-python":">=3.%d","size":%d,"upload-time":"2024-01-02T03:04:05.%06dZ","url":"https://files.example/packages/%s/%s/%s/%s","yanked":false}`,
			h, h, name, h, i%8, 1000+i, i%1000000, h[:2], h[2:4], h[4:], name)
	}
	b.WriteString("]}")
	return b.String()
}

func BenchmarkReadPage40000(b *testing.B) {
	page := []byte(bigPage(40_000))
	b.SetBytes(int64(len(page)))
	r, _ := serve(b, nil)
	for b.Loop() {
		doc := &format.Document{ReaderAt: bytes.NewReader(page), Size: int64(len(page)), Type: typeJSON, URL: r.base}
		p, err := source{r: r}.readPage("x", doc)
		if err != nil || len(p.Versions) != 5000 {
			b.Fatalf("%v, %d versions", err, len(p.Versions))
		}
	}
}

func BenchmarkWritePage40000(b *testing.B) {
	page := []byte(bigPage(40_000))
	r, _ := serve(b, nil)
	p, err := source{r: r}.readPage("x", &format.Document{ReaderAt: bytes.NewReader(page), Size: int64(len(page)), Type: typeJSON, URL: r.base})
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		if err := writePage(&out, formJSON, p, "", readParts(p.Parts).Serial); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(out.Len()))
}
