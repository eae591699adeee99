package raw

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"millpond/format/formattest"
)

func zipOf(t *testing.T, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		method := zip.Deflate
		if strings.HasSuffix(files[i], ".stored") {
			method = zip.Store
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: files[i], Method: method})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, files[i+1])
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCase14Zip(t *testing.T) {
	h := newHouse(t)
	text := strings.Repeat("all is well\n", 1000)
	archive := zipOf(t, "report/index.html", "<p>", "report/a b.txt", text, "x.stored", "0123456789", "../evil", "x", "bomb", strings.Repeat("\x00", 3<<20))
	put(h, "/t/report.zip", archive)
	var list struct{ Members []member }
	if err := json.Unmarshal(h.Good("list", h.Get("/-/zip/t/report.zip/!/?format=json"), nil).Body, &list); err != nil || len(list.Members) != 5 {
		t.Errorf("list: got %+v, %v", list, err)
	}
	for _, m := range list.Members {
		if refused := m.Name == "../evil" || m.Name == "bomb"; (m.Why != "") != refused {
			t.Errorf("member %s: refused because %q", m.Name, m.Why)
		}
	}
	got := h.Good("member", h.Get("/-/zip/t/report.zip/!/report/a%20b.txt"), []byte(text))
	if got.Header.Get("Content-Type") != "text/plain; charset=utf-8" || got.Header.Get("Etag") == "" {
		t.Errorf("member: the header is %v", got.Header)
	}
	h.Want("its tag", h.Do("GET", "/r/-/zip/t/report.zip/!/report/a%20b.txt", http.Header{"If-None-Match": {got.Header.Get("Etag")}}), http.StatusNotModified)
	if r := h.Do("GET", "/r/-/zip/t/report.zip/!/x.stored", http.Header{"Range": {"bytes=2-4"}}); r.Status != 206 || string(r.Body) != "234" {
		t.Errorf("range of a stored member: got %s", r)
	}
	if r := h.Good("page", h.Get("/-/zip/t/report.zip/!/report/index.html"), []byte("<p>")); r.Header.Get("Content-Disposition") != "attachment" {
		t.Errorf("a page in an archive: the header is %v", r.Header)
	}
	h.Want("no such member", h.Get("/-/zip/t/report.zip/!/none"), http.StatusNotFound)
	h.Want("a bomb", h.Get("/-/zip/t/report.zip/!/bomb"), http.StatusBadRequest)
	h.Want("a way out", h.Get("/-/zip/t/report.zip/!/../evil"), http.StatusBadRequest)
	put(h, "/t/none.zip", "this is none")
	h.Want("no zip", h.Get("/-/zip/t/none.zip/!/"), http.StatusBadRequest)

	// The size that the directory gives is a lie: the client is cut off.
	lying := []byte(zipOf(t, "a.txt", text))
	at := bytes.LastIndex(lying, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(lying[at+24:], uint32(len(text)+100))
	put(h, "/t/lying.zip", string(lying))
	if r := h.Get("/-/zip/t/lying.zip/!/a.txt"); r.Err == nil {
		t.Errorf("a lying size: got %s, want a cut", r)
	}
	encrypted := []byte(zipOf(t, "a.txt", text))
	at = bytes.LastIndex(encrypted, []byte("PK\x01\x02"))
	encrypted[at+8] |= 1
	put(h, "/t/encrypted.zip", string(encrypted))
	h.Want("encrypted", h.Get("/-/zip/t/encrypted.zip/!/a.txt"), http.StatusBadRequest)
}

func FuzzZip(f *testing.F) {
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Add([]byte("PK\x06\x07" + strings.Repeat("\xff", 16) + "PK\x05\x06" + strings.Repeat("\xff", 18)))
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := readZip(bytes.NewReader(b), int64(len(b)))
		if err == nil && len(z.File) > mostMembers {
			t.Errorf("%d members", len(z.File))
		}
	})
}

// TestCase13Boxes answers what vagrant asks: HEAD for the type, then the catalog.
func TestCase13Boxes(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"1.9.0/virtualbox", "1.10.0/libvirt-amd64", "1.10.0/libvirt-arm64"} {
		put(h, "/boxes/debian/"+name+".box", name)
	}
	if r := h.Do("HEAD", "/r/-/vagrant/boxes/debian", nil); r.Status != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: got %s, %v", r, r.Header)
	}
	var c boxCatalog
	if err := json.Unmarshal(h.Good("catalog", h.Get("/-/vagrant/boxes/debian"), nil).Body, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Versions) != 2 || c.Versions[0].Version != "1.9.0" || c.Versions[1].Version != "1.10.0" || len(c.Versions[1].Providers) != 2 {
		t.Fatalf("got %+v", c)
	}
	p := c.Versions[1].Providers[1] // behind that of the other architecture: who knows none takes the last
	if p.Name != "libvirt" || p.Architecture != "amd64" || !p.Default || p.ChecksumType != "sha256" || !strings.HasSuffix(p.URL, "/r/boxes/debian/1.10.0/libvirt-amd64.box") {
		t.Errorf("got %+v", p)
	}
	h.Good("the box", h.Do("GET", strings.TrimPrefix(p.URL, h.URL), nil), []byte("1.10.0/libvirt-amd64"))
	h.Want("no box", h.Get("/-/vagrant/none"), http.StatusNotFound)
}

func TestCase04Tus(t *testing.T) {
	h := newHouse(t)
	owner := h.As(formattest.Owner)
	send := func(method, path, body string, header ...string) formattest.Reply {
		hd := http.Header{"Tus-Resumable": {"1.0.0"}}
		for i := 0; i < len(header); i += 2 {
			hd.Set(header[i], header[i+1])
		}
		return owner.Do(method, path, hd, []byte(body))
	}
	meta := func(path string) string {
		return "path " + base64.StdEncoding.EncodeToString([]byte(path)) + ",type " + base64.StdEncoding.EncodeToString([]byte("text/x-log"))
	}
	begin := func(path string, header ...string) string {
		r := h.Want("begin", send("POST", "/-/uploads", "", append([]string{"Upload-Metadata", meta(path)}, header...)...), http.StatusCreated)
		return strings.TrimPrefix(r.Header.Get("Location"), h.URL+"/r")
	}
	chunk := func(at, body string, offset int, header ...string) formattest.Reply {
		return send("PATCH", at, body, append([]string{"Upload-Offset", fmt.Sprint(offset), "Content-Type", typeChunk}, header...)...)
	}
	const text = "0123456789"
	for cut := range len(text) + 1 {
		path := fmt.Sprintf("logs/%d", cut)
		at := begin(path, "Upload-Length", "10")
		if cut > 0 && cut < 10 {
			h.Want("first", chunk(at, text[:cut], 0), http.StatusNoContent)
		} else {
			cut = 0
		}
		if got := send("HEAD", at, "").Header.Get("Upload-Offset"); got != fmt.Sprint(cut) {
			t.Errorf("after %d: offset is %s", cut, got)
		}
		h.Want("not there yet", h.Get("/"+path), http.StatusNotFound)
		h.Want("at another offset", chunk(at, "x", cut+1), http.StatusConflict)
		h.Want("too much", chunk(at, text+"x", cut), http.StatusRequestEntityTooLarge)
		r := h.Want("last", chunk(at, text[cut:], cut), http.StatusNoContent)
		if got := h.Good("there", h.Get("/"+path), []byte(text)); got.Header.Get("Etag") != r.Header.Get("Etag") || got.Header.Get("Content-Type") != "text/x-log" {
			t.Errorf("the header is %v, want tag %s", got.Header, r.Header.Get("Etag"))
		}
		if sum := fmt.Sprintf("%x", sha512.Sum512([]byte(text))); h.Get("/"+path).Header.Get("X-Checksum-Sha512") != sum {
			t.Errorf("cut at %d: the header is %v, want the sha512 %s", cut, h.Get("/"+path).Header, sum)
		}
		if lost := send("HEAD", at, ""); lost.Header.Get("Upload-Offset") != "10" || lost.Header.Get("Etag") != r.Header.Get("Etag") {
			t.Errorf("a lost answer: got %v", lost.Header)
		}
	}
	sum := sha1.Sum([]byte(text))
	at := begin("c", "Upload-Length", "10")
	h.Want("wrong checksum", chunk(at, text, 0, "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(make([]byte, 20))), 460)
	if got := send("HEAD", at, "").Header.Get("Upload-Offset"); got != "0" {
		t.Errorf("after a wrong chunk: offset is %s", got)
	}
	h.Want("right checksum", chunk(at, text, 0, "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(sum[:])), http.StatusNoContent)
	at = begin("deferred", "Upload-Defer-Length", "1")
	h.Want("part", chunk(at, "abc", 0), http.StatusNoContent)
	h.Want("end", chunk(at, "def", 3, "Upload-Length", "6"), http.StatusNoContent)
	h.Good("deferred", h.Get("/deferred"), []byte("abcdef"))
	// A length that was told once stays: the chunks behind need not tell it again, and may tell no other.
	at = begin("told", "Upload-Defer-Length", "1")
	h.Want("begun without a length", chunk(at, "ab", 0), http.StatusNoContent)
	h.Want("told in the middle", chunk(at, "cd", 2, "Upload-Length", "6"), http.StatusNoContent)
	if r := send("HEAD", at, ""); r.Header.Get("Upload-Length") != "6" || r.Header.Get("Upload-Defer-Length") != "" || r.Header.Get("Upload-Offset") != "4" {
		t.Errorf("told in the middle: the header is %v", r.Header)
	}
	h.Want("told otherwise", chunk(at, "ef", 4, "Upload-Length", "7"), 400)
	h.Want("the rest", chunk(at, "ef", 4), http.StatusNoContent)
	h.Good("told", h.Get("/told"), []byte("abcdef"))
	at = begin("gone", "Upload-Length", "10")
	h.Want("terminate", send("DELETE", at, ""), http.StatusNoContent)
	h.Want("terminated", send("HEAD", at, ""), http.StatusNotFound)
	at = begin("others", "Upload-Length", "10")
	h.Want("somebody else", h.As(formattest.Reader).Do("PATCH", at, http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Offset": {"0"}, "Content-Type": {typeChunk}}, []byte("x")), http.StatusNotFound)
	h.Want("altered", send("HEAD", at[:len(at)-3]+strings.Map(func(c rune) rune { return map[bool]rune{true: 'B', false: 'A'}[c == 'A'] }, at[len(at)-3:len(at)-2])+at[len(at)-2:], ""), http.StatusNotFound)
	h.Want("no tus", owner.Do("POST", "/-/uploads", http.Header{"Upload-Length": {"1"}}, nil), http.StatusPreconditionFailed)
	all := send("POST", "/-/uploads", text, "Upload-Metadata", meta("at/once"), "Upload-Length", "10", "Content-Type", typeChunk)
	h.Want("with the upload", all, http.StatusCreated)
	h.Good("at once", h.Get("/at/once"), []byte(text))
}

// TestMembersThatAreNotSaid: an archive that says it has few members, and has many, is not read to its end.
func TestMembersThatAreNotSaid(t *testing.T) {
	entry := make([]byte, 47)
	copy(entry, "PK\x01\x02")
	entry[28], entry[46] = 1, 'x' // a name of one letter
	for n, refused := range map[int]bool{3: false, 1 << 16: false, 1 << 17: true} {
		end := make([]byte, 22)
		copy(end, "PK\x05\x06")
		binary.LittleEndian.PutUint16(end[8:], uint16(n))
		binary.LittleEndian.PutUint16(end[10:], uint16(n))
		binary.LittleEndian.PutUint32(end[12:], uint32(n*len(entry)))
		archive := append(bytes.Repeat(entry, n), end...)
		z, err := readZip(bytes.NewReader(archive), int64(len(archive)))
		if refused != (err != nil) || err == nil && len(z.File) != n {
			t.Errorf("%d members: got %v, want refused: %v", n, err, refused)
		}
	}
}
