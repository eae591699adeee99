package pypi

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

// wheelName is the main file of a release.
func wheelName(pkg string, r formattest.Release) string {
	return pkg + "-" + r.Version + "-py2.py3-none-any.whl"
}

// coreText is the METADATA of a release.
func coreText(pkg string, r formattest.Release) []byte {
	return fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: variant %d\nLicense: MIT\nRequires-Python: >=2.7\nProject-URL: Home, https://home.example/\n\nThe description.\n",
		pkg, r.Version, r.Variant)
}

// wheel is a release's wheel: the same bytes each time.
func wheel(pkg string, r formattest.Release) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	dir := pkg + "-" + r.Version + ".dist-info/"
	type entry struct {
		name string
		text []byte
	}
	entries := []entry{
		{pkg + ".py", fmt.Appendf(nil, "print(%q, %d)\n", pkg+" "+r.Version, r.Variant)},
		{dir + "METADATA", coreText(pkg, r)},
		{dir + "WHEEL", []byte("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n")},
		{dir + "RECORD", fmt.Appendf(nil, "%s.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n", pkg, dir, dir, dir)},
	}
	if r.Refused {
		entries = append(entries, entry{pkg + ".py", []byte("print(2)\n")})
	}
	for _, f := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate})
		if err == nil {
			_, err = w.Write(f.text)
		}
		if err != nil {
			panic(err) // memory does not fail
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// upstreamFile is where Put lays a release's wheel.
func upstreamFile(pkg string, r formattest.Release) string {
	return "/files/" + pkg + "/" + wheelName(pkg, r)
}

// pageEntry is a release's wheel as the upstream's page has it.
func pageEntry(pkg string, r formattest.Release) map[string]any {
	body := wheel(pkg, r)
	return map[string]any{
		"filename": wheelName(pkg, r), "url": "../.." + upstreamFile(pkg, r), "size": len(body),
		"hashes":      map[string]string{"sha256": millpond.SHA256(body).Hex()},
		"upload-time": r.Published.UTC().Format(uploadTime), "requires-python": ">=2.7", "yanked": false,
		"core-metadata": map[string]string{"sha256": millpond.SHA256(coreText(pkg, r)).Hex()},
	}
}

// putPage lays a page of these entries, with further members.
func putPage(up *faulty.Server, pkg string, serial int, entries []map[string]any, more map[string]any) {
	page := map[string]any{"meta": map[string]any{"api-version": "1.4", "_last-serial": serial}, "name": pkg, "files": entries}
	for k, v := range more {
		page[k] = v
	}
	text, err := json.Marshal(page)
	if err != nil {
		panic(err)
	}
	up.Put("/simple/"+pkg+"/", faulty.Object{Body: text, Type: typeJSON, ETag: fmt.Sprintf("%q", millpond.SHA256(text).Short())})
}

func put(up *faulty.Server, pkg string, releases ...formattest.Release) {
	entries := []map[string]any{}
	for _, r := range releases {
		up.Put(upstreamFile(pkg, r), faulty.Object{Body: wheel(pkg, r), ETag: fmt.Sprintf(`"%s-%d"`, r.Version, r.Variant)})
		up.Put(upstreamFile(pkg, r)+Metadata, faulty.Object{Body: coreText(pkg, r)})
		entries = append(entries, pageEntry(pkg, r))
	}
	putPage(up, pkg, 0, entries, nil)
}

// filePath is where we serve a release's wheel.
func filePath(pkg string, r formattest.Release) string {
	return "/packages/" + pkg + "/" + millpond.SHA256(wheel(pkg, r)).Hex()[:16] + "/" + wheelName(pkg, r)
}

func indexPath(pkg string) string { return "/simple/" + pkg + "/" }

func links(index []byte, from *url.URL) (out []string) {
	var p jsonPage
	if json.Unmarshal(index, &p) != nil {
		return nil
	}
	for _, f := range p.Files {
		if u, err := from.Parse(f.URL); err == nil {
			out = append(out, u.String())
		}
	}
	return out
}

func lists(index []byte, version string) bool {
	var p jsonPage
	return json.Unmarshal(index, &p) == nil && slices.Contains(p.Versions, version) &&
		slices.ContainsFunc(p.Files, func(f jsonEntry) bool { return strings.Contains(f.Filename, "-"+version+"-") })
}

// ecosystem is Python as the common suite drives it, asking for JSON pages as pip does.
func ecosystem() formattest.Ecosystem {
	return formattest.Ecosystem{
		Format:        Format{},
		Root:          "/simple/",
		Put:           put,
		Bytes:         wheel,
		UpstreamIndex: indexPath,
		UpstreamFile:  upstreamFile,
		Index:         indexPath,
		File:          filePath,
		Header:        http.Header{"Accept": {acceptCases[0].accept[0]}},
		Lists:         lists,
		Links:         links,
		Claim:         "alph*",
		Spellings:     []string{"/simple/alpha", "/simple/Alpha/", "/simple/ALPHA"},
		Published:     true,
		Publish: func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return sendForm(c, wheelName(pkg, r), wheel(pkg, r), fieldsOf(wheelName(pkg, r), pkg, r.Version, wheel(pkg, r))...)
		},
		Writes: map[string]func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply{
			"project status": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				return sendForm(c, "", nil, ":action", "project_status", "name", pkg, "status", archived)
			},
			"another file of the version": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				file, body := aSdist(pkg, r.Version)
				return sendForm(c, file, body, fieldsOf(file, pkg, r.Version, body)...)
			},
		},
		Withdrawn: func(index []byte, version string) bool {
			var p jsonPage
			return json.Unmarshal(index, &p) == nil && slices.ContainsFunc(p.Files, func(f jsonEntry) bool {
				return strings.Contains(f.Filename, "-"+version+"-") && f.Yanked == "it is broken"
			})
		},
	}
}

// sendForm sends what twine sends.
func sendForm(c formattest.Client, file string, body []byte, fields ...string) formattest.Reply {
	contentType, form := upload(file, body, fields...)
	return c.Do("POST", "/legacy/", http.Header{"Content-Type": {contentType}}, form)
}

func TestSuite(t *testing.T) { formattest.Run(t, ecosystem()) }

// TestSuiteHTML is the same for clients that take HTML only.
func TestSuiteHTML(t *testing.T) {
	e := ecosystem()
	e.Header = http.Header{"Accept": {"text/html"}}
	e.Lists = func(index []byte, version string) bool {
		return bytes.Contains(index, []byte("-"+version+"-py2.py3-none-any.whl</a>"))
	}
	e.Links = func(index []byte, from *url.URL) (out []string) {
		for part := range strings.SplitSeq(string(index), `href="`) {
			href, _, ok := strings.Cut(part, `"`)
			if u, err := from.Parse(href); ok && err == nil && strings.Contains(href, "packages/") {
				out = append(out, u.String())
			}
		}
		return out
	}
	e.Withdrawn = func(index []byte, version string) bool {
		return bytes.Contains(index, []byte(`data-yanked="it is broken">alpha-`+version+"-py2.py3-none-any.whl</a>"))
	}
	formattest.Run(t, e)
}
