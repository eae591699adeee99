package pypi

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/blake2b"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// An item is one entry of an archive that a test makes.
type item struct {
	name, text string
	method     uint16
}

func zipOf(items ...item) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: it.method}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(w, it.text)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func coreOf(name, version string) string {
	return "Metadata-Version: 2.4\nName: " + name + "\nVersion: " + version + "\nSummary: a test\nLicense-Expression: MIT\nRequires-Python: >=3.8\n\nWords.\n"
}

// wheelItems are the entries of a good wheel.
func wheelItems(name, version, code string) []item {
	dir := name + "-" + version + ".dist-info/"
	meta := coreOf(name, version)
	return []item{
		{name + ".py", code, zip.Deflate},
		{dir + "METADATA", meta, zip.Deflate},
		{dir + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", zip.Store},
		{dir + "RECORD", fmt.Sprintf("%s.py,,%d\n%sMETADATA,,%d\n%sWHEEL,,\n%sRECORD,,\n", name, len(code), dir, len(meta), dir, dir), zip.Deflate},
	}
}

func aWheel(name, version, code string) (file string, body []byte) {
	return name + "-" + version + "-py3-none-any.whl", zipOf(wheelItems(name, version, code)...)
}

// tarOf is a gzipped tar archive; an entry that is nil is not there.
func tarOf(headers ...*tar.Header) []byte {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	t := tar.NewWriter(g)
	for _, h := range headers {
		text := h.Uname // stands for the content
		h.Uname = ""
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(text))
		}
		h.Mode = 0o644
		if err := t.WriteHeader(h); err != nil {
			panic(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(t, text); err != nil {
				panic(err)
			}
		}
	}
	if err := t.Close(); err != nil {
		panic(err)
	}
	if err := g.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func text(name, body string) *tar.Header { return &tar.Header{Name: name, Uname: body} }

func aSdist(name, version string) (file string, body []byte) {
	top := name + "-" + version
	return top + ".tar.gz", tarOf(text(top+"/PKG-INFO", coreOf(name, version)), text(top+"/"+name+".py", "x = 1\n"))
}

// upload is a form as clients send it: the fields as pairs, then the file.
func upload(file string, body []byte, fields ...string) (contentType string, form []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			panic(err)
		}
	}
	if file != "" {
		part, err := w.CreateFormFile("content", file)
		if err == nil {
			_, err = part.Write(body)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

// fieldsOf are those that twine sends.
func fieldsOf(file, name, version string, body []byte, more ...string) []string {
	kind := "sdist"
	if strings.HasSuffix(file, ".whl") {
		kind = "bdist_wheel"
	}
	m, b := md5.Sum(body), blake2b.Sum256(body)
	return append(more, ":action", "file_upload", "protocol_version", "1", "name", name, "version", version, "filetype", kind,
		"md5_digest", hex.EncodeToString(m[:]), "sha256_digest", millpond.SHA256(body).Hex(), "blake2_256_digest", hex.EncodeToString(b[:]))
}

// A reply is what a client that speaks plain HTTP/1.1 sees.
type reply struct {
	status int
	phrase string
	header http.Header
	body   string
}

func (a reply) String() string { return fmt.Sprintf("%d %s: %q", a.status, a.phrase, a.body) }

func post(t testing.TB, url, contentType string, form []byte, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequest("POST", url, bytes.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(t, req)
}

func do(t testing.TB, req *http.Request) reply {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, phrase, _ := strings.Cut(resp.Status, " ")
	return reply{resp.StatusCode, phrase, resp.Header, string(body)}
}

func get(t testing.TB, url, accept string) reply {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	return do(t, req)
}

// publish publishes a file as twine does.
func publish(t testing.TB, base, file, name, version string, body []byte, more ...string) reply {
	t.Helper()
	contentType, form := upload(file, body, fieldsOf(file, name, version, body, more...)...)
	return post(t, base+"/legacy/", contentType, form)
}

func want(t testing.TB, what string, got reply, status int, words string) {
	t.Helper()
	if got.status != status || !strings.Contains(got.body, words) || status >= 400 && !strings.Contains(got.phrase, words) {
		t.Errorf("%s: got %s, want %d and %q in body and phrase", what, got, status, words)
	}
}

func TestPublishAndRead(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x = 1\n")
	want(t, "publish", publish(t, base, file, "Alpha", "1.0.0", body), 200, "")
	source, packed := aSdist("alpha", "1.0")
	want(t, "publish the sdist", publish(t, base, source, "alpha", "1.0", packed), 200, "")
	page := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body))
	if len(page.Files) != 2 || page.Meta.API != "1.4" || fmt.Sprint(page.Versions) != "[1.0]" {
		t.Fatalf("page %+v, want both files", page)
	}
	sum := millpond.SHA256(body).Hex()
	if e := page.file(file); e.Hashes["sha256"] != sum || len(e.Hashes) != 1 || fmt.Sprint(e.Core) != "map[sha256:"+millpond.SHA256([]byte(coreOf("alpha", "1.0"))).Hex()+"]" {
		t.Errorf("entry %+v, want sha256 %s and the digest of METADATA", e, sum)
	}
	if e := page.file(source); e.Core != nil {
		t.Errorf("entry %+v advertises metadata of an sdist", e)
	}
	for name, bytes := range map[string]string{file: string(body), source: string(packed), file + Metadata: coreOf("alpha", "1.0")} {
		whole, _ := cutSide(name)
		if got := get(t, base+strings.TrimPrefix(page.file(whole).URL, "../..")+strings.TrimPrefix(name, whole), "*/*"); got.status != 200 || got.body != bytes {
			t.Errorf("%s: got %s, want %d bytes", name, got, len(bytes))
		}
	}
	var api struct {
		Info struct {
			Name, Version, Summary, Description string
			Python                              string `json:"requires_python"`
		}
		URLs []struct {
			Digests     map[string]string
			URL         string
			PackageType string
		} `json:"urls"`
	}
	if got := get(t, base+"/pypi/alpha/json", "*/*"); got.status != 200 || json.Unmarshal([]byte(got.body), &api) != nil ||
		api.Info.Summary != "a test" || api.Info.Description != "Words.\n" || api.Info.Python != ">=3.8" || len(api.URLs) != 2 {
		t.Fatalf("JSON API: got %s", got)
	}
	b := blake2b.Sum256(body)
	if d := api.URLs[0].Digests; d["sha256"] != sum || d["blake2b_256"] != hex.EncodeToString(b[:]) || d["md5"] == "" || len(d) != 3 {
		t.Errorf("JSON API: digests %v, want sha256, md5 and blake2b_256", d)
	}
}

func TestJSONAPIOfAnSdistOnly(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aSdist("alpha", "1.0")
	want(t, "publish", publish(t, base, file, "alpha", "1.0", body), 200, "")
	if got := get(t, base+"/pypi/alpha/json", "*/*"); got.status != 200 || !strings.Contains(got.body, `"summary":"a test"`) {
		t.Errorf("got %s, want what PKG-INFO says", got)
	}
}

func TestEveryAddressTakesUploads(t *testing.T) {
	for _, path := range []string{"/legacy/", "/legacy", "/simple/", "/simple", "/"} {
		s := newShelf(t)
		base := s.serve()
		file, body := aWheel("alpha", "1.0", "x")
		contentType, form := upload(file, body, fieldsOf(file, "alpha", "1.0", body)...)
		want(t, path, post(t, base+path, contentType, form), 200, "")
		s.wantEvents("POST "+path, "publish")
		s.verbs = []millpond.Verb{millpond.VerbRead}
		want(t, path+" of a reader", post(t, base+path, contentType, form), 403, "ci may not publish")
		s.verbs = []millpond.Verb{millpond.VerbPromote}
		want(t, path+" of a stranger", post(t, base+path, contentType, form), 403, "no repository r, or ci may not read it")
		s.nobody.Store(true)
		got := post(t, base+path, contentType, form)
		want(t, path+" of nobody", got, 401, "this wants a credential")
		if c := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Basic ") {
			t.Errorf("POST %s: challenge %q, want Basic", path, c)
		}
	}
	for _, path := range []string{"/simple/alpha/", "/pypi/alpha/json", "/packages/alpha/-/x.zip"} {
		s := newShelf(t)
		got := post(t, s.serve()+path, "text/plain", []byte("x"))
		if got.status != 405 || got.header.Get("Allow") == "" {
			t.Errorf("POST %s: got %s, Allow %q; want 405", path, got, got.header.Get("Allow"))
		}
	}
}

func TestPublishAgain(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x = 1\n")
	for range 3 {
		want(t, "the same bytes", publish(t, base, file, "alpha", "1.0", body), 200, "")
	}
	_, other := aWheel("alpha", "1.0", "x = 2\n")
	want(t, "other bytes", publish(t, base, file, "alpha", "1.0", other), 409, "File already exists (")
	s.wantEvents("after all", "publish")
}

func TestCase04EqualVersionsJoin(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x")
	want(t, "1.0", publish(t, base, file, "alpha", "1.0", body), 200, "")
	source, packed := aSdist("alpha", "1.0.0")
	want(t, "1.0.0", publish(t, base, source, "alpha", "1.0.0", packed), 200, "")
	if v := s.hosted("alpha").Versions; len(v) != 1 || v[0].Name != "1.0" || len(v[0].Files) != 4 {
		t.Errorf("versions %+v, want one, 1.0, with two files and their sides", v)
	}
}

func TestCase06LocalVersion(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aSdist("MongoDBProxy", "0.1.0+edx.2")
	want(t, "publish", publish(t, base, file, "MongoDBProxy", "0.1.0+edx.2", body), 200, "")
	page := get(t, base+"/simple/mongodbproxy/", typeHTML)
	if !strings.Contains(page.body, "MongoDBProxy-0.1.0%2Bedx.2.tar.gz") || !strings.Contains(page.body, ">MongoDBProxy-0.1.0+edx.2.tar.gz<") {
		t.Errorf("page %s, want the file with %%2B", page)
	}
}

func TestCase31FiftyAtOnce(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x = 1\n")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { want(t, "one of fifty", publish(t, base, file, "alpha", "1.0", body), 200, "") })
	}
	all.Wait()
	s.wantEvents("fifty at once", "publish")
}

func TestRefusedForms(t *testing.T) {
	file, body := aWheel("alpha", "1.0", "x = 1\n")
	source, packed := aSdist("alpha", "1.0")
	for _, c := range []struct {
		name   string
		file   string
		body   []byte
		change []string // fields that win over the right ones
		status int
		says   string
	}{
		{"md5", file, body, []string{"md5_digest", strings.Repeat("0", 32)}, 400, "md5_digest of alpha-1.0-py3-none-any.whl: the form says 000"},
		{"sha256", file, body, []string{"sha256_digest", strings.Repeat("0", 64)}, 400, millpond.SHA256(body).Hex()},
		{"blake2", file, body, []string{"blake2_256_digest", strings.Repeat("0", 64)}, 400, "blake2_256_digest"},
		{"name", file, body, []string{"name", "beta"}, 400, `name: the form says "beta"`},
		{"no name", file, body, []string{"name", "../x"}, 400, "is no project name"},
		{"version", file, body, []string{"version", "1.1"}, 400, `version: the form says "1.1"`},
		{"filetype", file, body, []string{"filetype", "sdist"}, 400, "filetype says sdist"},
		{"egg", "alpha-1.0-py3.9.egg", body, []string{"filetype", "bdist_egg"}, 400, "legacy: allow"},
		{"exe", "alpha-1.0.exe", body, nil, 400, "legacy: allow"},
		{"action", file, body, []string{":action", "dance"}, 400, `:action says "dance"`},
		{"submit", file, body, []string{":action", "submit"}, 410, "no longer"},
		{"docs", file, body, []string{":action", "doc_upload"}, 410, "no longer"},
		{"protocol", file, body, []string{"protocol_version", "2"}, 400, "protocol_version"},
		{"no file", "", nil, nil, 400, "no file"},
		{"empty", file, nil, nil, 400, "is empty"},
		{"name of the wheel", "beta-1.0-py3-none-any.whl", body, nil, 400, "is no file name of project alpha"},
		{"version of the wheel", "alpha-2.0-py3-none-any.whl", body, nil, 400, "version:"},
		{"build tag", "alpha-1.0-x-py3-none-any.whl", body, nil, 400, "build tag"},
		{"slash", "../alpha-1.0-py3-none-any.whl", []byte("x"), nil, 400, "cannot be read"},
		{"version of the sdist", "alpha-1.1.tar.gz", packed, nil, 400, "version:"},
		{"no archive", source, []byte("hello"), nil, 400, "not gzipped"},
		{"no zip", file, []byte("hello"), nil, 400, "does not begin as a zip"},
		{"too long a field", file, body, []string{"description", strings.Repeat("x", mostFields+1)}, 413, "10 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t)
			got := publish(t, s.serve(), c.file, "alpha", "1.0", c.body, c.change...)
			says := c.says
			if c.name == "slash" {
				says = "does not begin" // only the last part of the name is taken
			}
			want(t, c.name, got, c.status, says)
			s.wantNothing()
		})
	}
}

func TestOldKindsWhereAllowed(t *testing.T) {
	s := newShelf(t, func(c *repo.Config) { c.Options = map[string]string{"legacy": "allow"} })
	base := s.serve()
	want(t, "egg", publish(t, base, "alpha-1.0-py3.9.egg", "alpha", "1.0", []byte("PK"), "filetype", "bdist_egg"), 200, "")
	if page := get(t, base+"/simple/alpha/", typeHTML); !strings.Contains(page.body, "alpha-1.0-py3.9.egg") {
		t.Errorf("page %s, want the egg", page)
	}
}

func TestUnknownIsLeftOut(t *testing.T) {
	s := newShelf(t)
	file, body := aWheel("alpha", "1.0", "x")
	want(t, "UNKNOWN", publish(t, s.serve(), file, "alpha", "1.0", body, "md5_digest", "UNKNOWN", "gpg_signature", "x"), 200, "")
}

// mess changes a good archive.
func mess(body []byte, old, with string) []byte {
	if !bytes.Contains(body, []byte(old)) {
		panic("the archive has no " + old)
	}
	return bytes.Replace(body, []byte(old), []byte(with), 1)
}

func TestCase33BadWheels(t *testing.T) {
	items := wheelItems("alpha", "1.0", "x = 1\n")
	good := zipOf(items...)
	file := "alpha-1.0-py3-none-any.whl"
	with := func(more ...item) []byte { return zipOf(append(append([]item{}, items...), more...)...) }
	without := func(name string) []byte {
		var left []item
		for _, it := range items {
			if !strings.HasSuffix(it.name, name) {
				left = append(left, it)
			}
		}
		return zipOf(left...)
	}
	bomb := item{"alpha/bomb.bin", strings.Repeat("\x00", freeExpansion+1), zip.Deflate}
	for _, c := range []struct {
		name, says string
		body       []byte
	}{
		{"twice", "is in the archive twice", with(item{"alpha.py", "evil", zip.Store})},
		{"twice in another case", "is in the archive twice", with(item{"ALPHA.py", "evil", zip.Store})},
		{"before", "does not begin", append([]byte("#!/bin/sh\n"), good...)},
		{"after", "", append(append([]byte{}, good...), "trailing"...)},
		{"another zip after", "", append(append([]byte{}, good...), zipOf(item{"x", "y", zip.Store})...)},
		{"comment", "", func() []byte {
			b := append([]byte{}, good...)
			b[len(b)-2] = 3
			return append(b, "abc"...)
		}()},
		{"local name", "is called", mess(good, "alpha.py", "alphb.py")},
		{"slip", "leads out", with(item{"../evil.py", "x", zip.Store})},
		{"absolute", "leads out", with(item{"/etc/evil.py", "x", zip.Store})},
		{"backslash", "leads out", with(item{`..\evil.py`, "x", zip.Store})},
		{"bomb", "more than 50 times", with(bomb)},
		{"not in RECORD", "RECORD does not name", with(item{"evil.py", "x", zip.Store})},
		{"RECORD of another length", "RECORD says", zipOf(append([]item{{"alpha.py", "x = 12\n", zip.Store}}, items[1:]...)...)},
		{"two dist-info", "two .dist-info folders", with(item{"beta-1.0.dist-info/METADATA", coreOf("beta", "1.0"), zip.Store})},
		{"no METADATA", "no .dist-info/METADATA", without("METADATA")},
		{"no RECORD", "no .dist-info/RECORD", without("RECORD")},
		{"no WHEEL", "no .dist-info/WHEEL", without("WHEEL")},
		{"METADATA of another", "metadata of", zipOf(wheelItems("beta", "1.0", "x")...)},
		{"METADATA of another version", "version:", zipOf(wheelItems("alpha", "1.1", "x")...)},
		{"two names", "2 fields name", zipOf(append(items[:1:1], item{"alpha-1.0.dist-info/METADATA", "Name: beta\n" + coreOf("alpha", "1.0"), zip.Store},
			items[2], item{"alpha-1.0.dist-info/RECORD", "alpha.py\nalpha-1.0.dist-info/METADATA\nalpha-1.0.dist-info/WHEEL\n", zip.Store})...)},
		{"cut", "", good[:len(good)-10]},
		{"hidden entry", "", hidden(good)},
		{"unknown method", "method 12", method(good, 12)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t)
			got := publish(t, s.serve(), file, "alpha", "1.0", c.body)
			if c.name == "METADATA of another" {
				c.says = "the metadata of"
			}
			want(t, c.name, got, 400, c.says)
			s.wantNothing()
		})
	}
	s := newShelf(t)
	want(t, "the good one", publish(t, s.serve(), file, "alpha", "1.0", good), 200, "")
}

// hidden puts an entry between the others that the directory does not name: a reader that streams sees it.
func hidden(good []byte) []byte {
	at := bytes.LastIndex(good, []byte("PK\x05\x06"))
	dir := int(uint32(good[at+16]) | uint32(good[at+17])<<8 | uint32(good[at+18])<<16)
	extra := bytes.NewBuffer(nil)
	fmt.Fprintf(extra, "PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	sum := crc32.ChecksumIEEE([]byte("x"))
	extra.Write([]byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24), 1, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0})
	extra.WriteString("evil.pyx")
	out := append(append(append([]byte{}, good[:dir]...), extra.Bytes()...), good[dir:]...)
	end := bytes.LastIndex(out, []byte("PK\x05\x06"))
	moved := dir + extra.Len()
	out[end+16], out[end+17], out[end+18] = byte(moved), byte(moved>>8), byte(moved>>16)
	return out
}

// method gives the first entry another way of compression, in both headers.
func method(good []byte, m byte) []byte {
	out := append([]byte{}, good...)
	out[8] = m
	out[bytes.Index(out, []byte("PK\x01\x02"))+10] = m
	return out
}

func TestCase33BadSdists(t *testing.T) {
	file, good := aSdist("alpha", "1.0")
	info := text("alpha-1.0/PKG-INFO", coreOf("alpha", "1.0"))
	fresh := func() *tar.Header { h := *info; h.Uname = coreOf("alpha", "1.0"); return &h }
	for _, c := range []struct {
		name, says string
		body       []byte
	}{
		{"slip", "leads out", tarOf(fresh(), text("../evil.py", "x"))},
		{"absolute", "leads out", tarOf(fresh(), text("/etc/evil.py", "x"))},
		{"link out", "is a link to", tarOf(fresh(), &tar.Header{Name: "alpha-1.0/a", Typeflag: tar.TypeSymlink, Linkname: "../../etc/passwd"})},
		{"absolute link", "is a link to", tarOf(fresh(), &tar.Header{Name: "alpha-1.0/a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})},
		{"hard link out", "is a link to", tarOf(fresh(), &tar.Header{Name: "alpha-1.0/a", Typeflag: tar.TypeLink, Linkname: "../x"})},
		{"device", "neither file nor folder", tarOf(fresh(), &tar.Header{Name: "alpha-1.0/a", Typeflag: tar.TypeChar})},
		{"fifo", "neither file nor folder", tarOf(fresh(), &tar.Header{Name: "alpha-1.0/a", Typeflag: tar.TypeFifo})},
		{"twice", "twice", tarOf(fresh(), text("alpha-1.0/x", "1"), text("alpha-1.0/./x", "2"))},
		{"bomb", "more than 50 times", tarOf(fresh(), text("alpha-1.0/bomb", strings.Repeat("\x00", freeExpansion)))},
		{"no PKG-INFO", "no PKG-INFO", tarOf(text("alpha-1.0/x", "1"))},
		{"two PKG-INFO", "two PKG-INFO", tarOf(fresh(), text("beta-1.0/PKG-INFO", coreOf("beta", "1.0")))},
		{"after", "follow the end", append(append([]byte{}, good...), "more"...)},
		{"a second gzip stream", "follow the end", append(append([]byte{}, good...), good...)},
		{"cut", "cannot be read", good[:len(good)-20]},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t)
			want(t, c.name, publish(t, s.serve(), file, "alpha", "1.0", c.body), 400, c.says)
			s.wantNothing()
		})
	}
}

// attestation is one for a file.
func attestation(file, sum, predicate string) string {
	statement := fmt.Sprintf(`{"_type":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q,"predicate":null}`, statementType, file, sum, predicate)
	e := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`{"version":1,"verification_material":{"certificate":%q,"transparency_entries":[{}]},"envelope":{"statement":%q,"signature":%q}}`,
		e([]byte("cert")), e([]byte(statement)), e([]byte("sig")))
}

func TestAttestations(t *testing.T) {
	file, body := aWheel("alpha", "1.0", "x")
	sum := millpond.SHA256(body).Hex()
	good := attestation(file, sum, predicatePublish)
	for _, c := range []struct {
		name, text, says string
	}{
		{"no array", good, "no JSON array"},
		{"empty", "[]", "empty"},
		{"two of a kind", "[" + good + "," + good + "]", "two of them"},
		{"another file", "[" + attestation("beta-1.0-py3-none-any.whl", sum, predicatePublish) + "]", "is about"},
		{"another digest", "[" + attestation(file, strings.Repeat("0", 64), predicatePublish) + "]", "sha256"},
		{"another predicate", "[" + attestation(file, sum, "https://evil.example/") + "]", "not known here"},
		{"version", "[" + strings.Replace(good, `"version":1`, `"version":2`, 1) + "]", "of version 2"},
		{"twice the same name", "[" + strings.Replace(good, `"version":1`, `"version":1,"version":1`, 1) + "]", "duplicate"},
		{"no signature", "[" + strings.Replace(good, base64.StdEncoding.EncodeToString([]byte("sig")), "", 1) + "]", "no signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t)
			want(t, c.name, publish(t, s.serve(), file, "alpha", "1.0", body, "attestations", c.text), 400, c.says)
			s.wantNothing()
		})
	}
	s := newShelf(t)
	s.Configure(repo.Settings{PublicURL: "https://pond.example/"}, s.Config("r", s.Up))
	base := s.serve()
	both := "[" + good + "," + attestation("Alpha-1.0.0-py3-none-any.whl", sum, predicateSLSA) + "]"
	want(t, "publish", publish(t, base, file, "alpha", "1.0", body, "attestations", both), 200, "")
	want(t, "again with others", publish(t, base, file, "alpha", "1.0", body, "attestations", "["+good+"]"), 200, "")
	proof := "https://pond.example/r/integrity/alpha/1.0/" + file + "/provenance"
	if got := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body)).file(file).Proof; got != proof {
		t.Errorf("provenance %q, want %q", got, proof)
	}
	got := get(t, base+"/integrity/alpha/1.0/"+file+"/provenance", typeIntegrity)
	var doc struct {
		Version int
		Bundles []struct {
			Publisher    struct{ Kind string }
			Attestations []json.RawMessage
		} `json:"attestation_bundles"`
	}
	if json.Unmarshal([]byte(got.body), &doc) != nil || doc.Version != 1 || len(doc.Bundles) != 1 || doc.Bundles[0].Publisher.Kind != "millpond" ||
		len(doc.Bundles[0].Attestations) != 2 || string(doc.Bundles[0].Attestations[0]) != good || got.header.Get("Content-Type") != typeIntegrity {
		t.Errorf("provenance: got %s, want both attestations as they were sent", got)
	}
}

// TestProvenanceNamesTheJob: who published stands in the provenance, as verifiers read it, and no claim that names people.
func TestProvenanceNamesTheJob(t *testing.T) {
	for _, c := range []struct{ name, claims, want string }{
		{"no job", "", `{"claims":{},"kind":"millpond"}`},
		{"GitHub", `{"iss":"https://issuer.example","repository":"acme/a","workflow_ref":"acme/a/.github/workflows/release.yml@refs/tags/v1","environment":"release","actor":"ann"}`,
			`{"claims":{"environment":"release","iss":"https://issuer.example","repository":"acme/a","workflow_ref":"acme/a/.github/workflows/release.yml@refs/tags/v1"},"environment":"release","kind":"GitHub","repository":"acme/a","workflow":"release.yml"}`},
		{"GitLab", `{"project_path":"acme/a","ci_config_ref_uri":"issuer.example/acme/a//ci/release.yml@refs/heads/main","user_email":"ann@acme.example"}`,
			`{"claims":{"ci_config_ref_uri":"issuer.example/acme/a//ci/release.yml@refs/heads/main","project_path":"acme/a"},"kind":"GitLab","repository":"acme/a","workflow_filepath":"ci/release.yml"}`},
		{"another", `{"iss":"https://issuer.example","sub":"job 7","n":1}`, `{"claims":{"iss":"https://issuer.example","sub":"job 7"},"kind":"millpond"}`},
	} {
		var claims []byte
		if c.claims != "" {
			claims = []byte(c.claims)
		}
		if got, err := publisherOf(claims); err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestCase35YanksShow(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x")
	source, packed := aSdist("alpha", "1.0")
	publish(t, base, file, "alpha", "1.0", body)
	publish(t, base, source, "alpha", "1.0", packed)
	amend := func(edit func(v *millpond.Version)) (wheel, sdist any) {
		t.Helper()
		err := s.repo().Amend(t.Context(), format.Amendment{Package: "alpha", Verb: "yank", Edit: func(now *format.Hosting) error { edit(now.Version("1.0")); return nil }})
		if err != nil {
			t.Fatal(err)
		}
		p := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body))
		return p.file(file).Yanked, p.file(source).Yanked
	}
	for _, c := range []struct {
		name         string
		edit         func(v *millpond.Version)
		wheel, sdist any
	}{
		{"one file", func(v *millpond.Version) { v.File(file).Yanked, v.File(file).YankedWhy = true, "broken" }, "broken", nil},
		{"the version", func(v *millpond.Version) { v.Yanked, v.YankedWhy = true, "all of it" }, "broken", "all of it"},
		{"without words", func(v *millpond.Version) { v.YankedWhy = "" }, "broken", true},
		{"un-yanked", func(v *millpond.Version) { v.Yanked, v.File(file).Yanked, v.File(file).YankedWhy = false, false, "" }, nil, nil},
	} {
		if wheel, sdist := amend(c.edit); wheel != c.wheel || sdist != c.sdist {
			t.Errorf("%s: wheel %v, sdist %v; want %v, %v", c.name, wheel, sdist, c.wheel, c.sdist)
		}
	}
}

func TestStatus(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x")
	publish(t, base, file, "alpha", "1.0", body)
	href := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body)).file(file).URL
	set := func(status, reason string) reply {
		contentType, form := upload("", nil, ":action", "project_status", "name", "Alpha", "status", status, "reason", reason)
		return post(t, base+"/legacy/", contentType, form)
	}
	want(t, "no status", set("sleepy", ""), 400, "is no status")
	next, more := aWheel("alpha", "1.1", "x")
	for _, c := range []struct {
		status string
		takes  int
		files  int
		opens  int
	}{{"archived", 403, 1, 200}, {"deprecated", 200, 2, 200}, {"quarantined", 403, 0, 403}, {"active", 200, 2, 200}} {
		want(t, c.status, set(c.status, "for a reason"), 200, "")
		got := publish(t, base, next, "alpha", "1.1", more)
		if got.status != c.takes || c.takes == 403 && !strings.Contains(got.phrase, "alpha is "+c.status) {
			t.Errorf("publish to an %s project: got %s, want %d", c.status, got, c.takes)
		}
		page := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body))
		status := c.status
		if status == active {
			status = ""
		}
		if page.Status.Status != status || len(page.Files) != c.files {
			t.Errorf("%s: page %+v, want %d files", c.status, page, c.files)
		}
		if got := get(t, base+strings.TrimPrefix(href, "../.."), "*/*"); got.status != c.opens {
			t.Errorf("%s: file: got %s, want %d", c.status, got, c.opens)
		}
	}
}

func TestProblemDocumentsOnlyForWhoAsks(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x")
	want(t, "publish", publish(t, base, file, "alpha", "1.0", body), 200, "")
	_, body = aWheel("alpha", "1.0", "y")
	s.verbs = []millpond.Verb{millpond.VerbRead}
	contentType, form := upload(file, body, fieldsOf(file, "alpha", "1.0", body)...)
	for accept, kind := range map[string]string{
		"*/*": "text/plain; charset=utf-8", "application/problem+json": "application/problem+json",
		"text/html, application/problem+json;q=0.5": "application/problem+json", "application/problem+json;q=0, */*": "text/plain; charset=utf-8",
	} {
		got := post(t, base+"/legacy/", contentType, form, "Accept", accept)
		if got.header.Get("Content-Type") != kind || got.status != 403 {
			t.Errorf("Accept %s: got %s as %s, want %s", accept, got, got.header.Get("Content-Type"), kind)
		}
	}
	s.verbs = nil
	if got := post(t, base+"/legacy/", contentType, form, "Accept", "application/problem+json"); got.status != 409 || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("409 is %s, want text", got.header.Get("Content-Type"))
	}
}

// TestCase36TheWordsArriveBehindALongBody speaks as twine does: it sends all of its body before it reads a byte.
func TestCase36TheWordsArriveBehindALongBody(t *testing.T) {
	s := newShelf(t)
	s.nobody.Store(true)
	base := s.serve()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const length = 40 << 20
	fmt.Fprintf(conn, "POST /legacy/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n", length)
	if n, err := io.CopyN(conn, zeros{}, length); err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if !strings.HasPrefix(line, "HTTP/1.1 401 this wants a credential") {
		t.Errorf("status line %q, %v", line, err)
	}
	rest, err := io.ReadAll(in)
	if err != nil || !bytes.Contains(rest, []byte("\r\n\r\nthis wants a credential")) {
		t.Errorf("rest %q, %v", rest, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestTooLarge(t *testing.T) {
	s := newShelf(t, func(c *repo.Config) { c.MaxFile = 10 })
	file, body := aWheel("alpha", "1.0", "x")
	want(t, "too large", publish(t, s.serve(), file, "alpha", "1.0", body), 413, "the limit of r")
}

func TestPublishFile(t *testing.T) {
	s := newShelf(t)
	file, body := aWheel("alpha", "1.0", "x")
	for i, isNew := range []bool{true, false} {
		got, err := Format{}.PublishFile(t.Context(), s.repo(), format.PublishedFile{Name: file, Size: int64(len(body)), Body: bytes.NewReader(body)})
		if err != nil || got.New != isNew || got.Key != (millpond.Key{Package: "alpha", Version: "1.0", File: file}) {
			t.Errorf("time %d: got %+v, %v; want new %v", i, got, err, isNew)
		}
	}
	source, packed := aSdist("a-1", "2.0")
	got, err := Format{}.PublishFile(t.Context(), s.repo(), format.PublishedFile{Name: source, Size: -1, Body: bytes.NewReader(packed)})
	if err != nil || got.Key.Package != "a-1" || got.Key.Version != "2.0" {
		t.Errorf("%s: got %+v, %v; want a-1 2.0", source, got, err)
	}
	if _, err := (Format{}).PublishFile(t.Context(), s.repo(), format.PublishedFile{Name: file, Size: 3, Body: bytes.NewReader(body)}); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("a file that is cut: got %v, want Invalid", err)
	}
}

var _ format.Publisher = Format{}

func TestRepositoryThatTakesNoPublishes(t *testing.T) {
	s := newShelf(t, func(c *repo.Config) { c.ReadOnly = true })
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x")
	for _, path := range []string{"/legacy/", "/simple/", "/"} {
		contentType, form := upload(file, body, fieldsOf(file, "alpha", "1.0", body)...)
		got := post(t, base+path, contentType, form)
		want(t, path, got, 405, "takes no publishes")
		if got.header.Get("Allow") == "" {
			t.Errorf("POST %s: no Allow", path)
		}
	}
}

func TestNameOfAnUpstreamIsClaimedFirst(t *testing.T) {
	s := newShelf(t)
	put(s.Up, "alpha", old)
	s.Good("the upstream's page", s.Index("alpha"), nil)
	s.Idle()
	s.Up.Forget()
	base := s.serve()
	file, body := aWheel("alpha", "9.0", "x")
	want(t, "a name that the upstream lists", publish(t, base, file, "alpha", "9.0", body), 403, "claim")
	s.Up.Want(t, "", 0) // a publish asks no upstream
	s.Configure(repo.Settings{}, func() repo.Config { c := s.Config("r", s.Up); c.Claims = []string{"alpha"}; return c }())
	want(t, "claimed", publish(t, base, file, "alpha", "9.0", body), 200, "")
	if page := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body)); len(page.Files) != 1 || page.Files[0].Filename != file {
		t.Errorf("page %+v, want what is hosted alone", page)
	}
	s.Up.Want(t, "", 0)
}

func TestHostedHidesOrUnites(t *testing.T) {
	for union, versions := range map[bool]string{false: "[1.0.0 9.0]", true: "[1.0.0 1.1.0 2.0.0 9.0]"} {
		s := newShelf(t, func(c *repo.Config) { c.Union = union })
		base := s.serve()
		for _, version := range []string{"9.0", "1.0.0"} {
			file, body := aWheel("alpha", version, "ours")
			want(t, version, publish(t, base, file, "alpha", version, body), 200, "")
		}
		put(s.Up, "alpha", allOf...)
		page := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body))
		if fmt.Sprint(page.Versions) != versions {
			t.Errorf("union %v: versions %v, want %s", union, page.Versions, versions)
		}
		for _, f := range page.Files {
			if strings.HasPrefix(f.Filename, "alpha-1.0.0-") && f.Filename != "alpha-1.0.0-py3-none-any.whl" {
				t.Errorf("union %v: %s of the upstream is shown in the version that is hosted", union, f.Filename)
			}
		}
		api := get(t, base+"/pypi/alpha/json", "*/*")
		if !strings.Contains(api.body, `"version":"9.0"`) {
			t.Errorf("union %v: JSON API %s, want info of 9.0", union, api)
		}
	}
}

func TestCase34Deleted(t *testing.T) {
	for _, volatile := range []bool{false, true} {
		s := newShelf(t, func(c *repo.Config) { c.Unpublish, c.Volatile = true, volatile })
		base := s.serve()
		file, body := aWheel("alpha", "1.0", "x")
		source, packed := aSdist("alpha", "1.0")
		want(t, "publish", publish(t, base, file, "alpha", "1.0", body), 200, "")
		want(t, "publish", publish(t, base, source, "alpha", "1.0", packed), 200, "")
		href := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body)).file(file).URL
		if err := s.repo().Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "alpha", Version: "1.0", File: file}}); err != nil {
			t.Fatal(err)
		}
		if page := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body)); len(page.Files) != 1 || page.Files[0].Filename != source {
			t.Errorf("page %+v, want the sdist alone", page)
		}
		if got := get(t, base+strings.TrimPrefix(href, "../.."), "*/*"); got.status != 404 && got.status != 410 {
			t.Errorf("deleted file: got %s", got)
		}
		again := publish(t, base, file, "alpha", "1.0", body)
		if volatile {
			want(t, "the name of a deleted file, volatile", again, 200, "")
			continue
		}
		want(t, "the name of a deleted file", again, 400, saysDeleted)
		if err := s.repo().Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "alpha", Version: "1.0"}}); err != nil {
			t.Fatal(err)
		}
		next, more := aSdist("alpha", "1.0.0")
		want(t, "the number of a deleted version", publish(t, base, next, "alpha", "1.0.0", more), 400, saysDeleted)
	}
}

func TestVolatileTakesOtherBytes(t *testing.T) {
	s := newShelf(t, func(c *repo.Config) { c.Volatile = true })
	base := s.serve()
	file, body := aWheel("alpha", "1.0", "x")
	good := "[" + attestation(file, millpond.SHA256(body).Hex(), predicatePublish) + "]"
	source, packed := aSdist("alpha", "1.0")
	want(t, "publish", publish(t, base, file, "alpha", "1.0", body, "attestations", good), 200, "")
	want(t, "publish", publish(t, base, source, "alpha", "1.0", packed), 200, "")
	_, body = aWheel("alpha", "1.0", "y")
	want(t, "other bytes", publish(t, base, file, "alpha", "1.0", body), 200, "")
	page := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body))
	if len(page.Files) != 2 || page.file(file).Hashes["sha256"] != millpond.SHA256(body).Hex() {
		t.Errorf("page %+v, want the other bytes, and the sdist as it was", page)
	}
	if got := get(t, base+"/integrity/alpha/1.0/"+file+"/provenance", typeIntegrity); got.status != 404 {
		t.Errorf("provenance of the bytes before: got %s, want 404", got)
	}
}
