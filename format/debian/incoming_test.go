package debian

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"millpond/format/formattest"
)

// An aFile is one file of an upload.
type aFile struct {
	name, section string
	body          []byte
}

// changesOf describes an upload as dpkg-genchanges does.
func changesOf(source, version, suite string, files ...aFile) []byte {
	var sums, list strings.Builder
	for _, f := range files {
		fmt.Fprintf(&sums, " %s %d %s\n", hexSHA(f.body), len(f.body), f.name)
		fmt.Fprintf(&list, " 00000000000000000000000000000000 %d %s optional %s\n", len(f.body), f.section, f.name)
	}
	return []byte("Format: 1.8\nSource: " + source + "\nVersion: " + version + "\nDistribution: " + suite + "\nChecksums-Sha256:\n" + sums.String() + "Files:\n" + list.String())
}

// TestIncoming: an upload as dput sends it becomes visible with its .changes, all in one event; what the .changes says and is
// not so is refused, and nothing of it shows.
func TestIncoming(t *testing.T) {
	h, _ := house(t, nil)
	put := func(who, name string, body []byte) formattest.Reply {
		return h.As(who).Do("PUT", "/incoming/"+name, nil, body)
	}
	orig := tarGz(t, "./x", "y")
	dsc := []byte(fmt.Sprintf("Format: 3.0 (native)\nSource: tool\nVersion: 1:1.0\nMaintainer: A <a@up.example>\nChecksums-Sha256:\n %s %d tool_1.0.tar.gz\n", hexSHA(orig), len(orig)))
	files := []aFile{
		{"tool_1.0.dsc", "contrib/devel", dsc}, {"tool_1.0.tar.gz", "contrib/devel", orig},
		{"tool_1.0_amd64.deb", "contrib/devel", deb(t, "tool", "1:1.0", "amd64", "", 0)},
		{"libtool_1.0_arm64.deb", "libs", deb(t, "libtool", "1:1.0", "arm64", "Source: tool\n", 0)},
		{"tool_1.0_amd64.buildinfo", "devel", []byte("Format: 1.0\n")},
	}
	lies := append([]aFile{}, files...)
	lies[2].body = deb(t, "tool", "1:1.0", "amd64", "", 1)
	for _, who := range []string{"", formattest.Reader, formattest.Elsewhere} {
		for _, f := range append(files[:4:4], aFile{name: "tool_1.0.changes", body: changesOf("tool", "1:1.0", "stable", files...)}) {
			if r := put(who, f.name, f.body); r.Status != http.StatusForbidden && r.Status != http.StatusUnauthorized {
				t.Errorf("%s by %q: %s", f.name, who, r)
			}
		}
	}
	before := len(h.Log())
	for _, f := range files {
		h.Published(f.name, put(formattest.Owner, f.name, f.body))
	}
	for what, body := range map[string][]byte{
		"other bytes than came":    changesOf("tool", "1:1.0", "stable", lies...),
		"another version":          changesOf("tool", "1:1.1", "stable", files...),
		"a path":                   changesOf("tool", "1:1.0", "stable", aFile{"../tool_1.0.deb", "libs", nil}),
		"two suites":               changesOf("tool", "1:1.0", "stable testing", files...),
		"no files":                 changesOf("tool", "1:1.0", "stable"),
		"another source":           changesOf("other", "1:1.0", "stable", files...),
		"a file that never came":   changesOf("tool", "1:1.0", "stable", append(files[:4:4], aFile{"more_1.0_amd64.deb", "libs", []byte("x")})...),
		"nothing that can be read": []byte("\x00\x01"),
	} {
		h.Want(what, put(formattest.Owner, "tool_1.0_multi.changes", body), http.StatusBadRequest)
	}
	if n := len(h.Log()); n != before {
		t.Errorf("what was not published made %d events", n-before)
	}
	good := func(path string) string { t.Helper(); return string(h.Good(path, h.Get(path), nil).Body) }
	if r := h.Get("/dists/stable/main/binary-amd64/Packages"); strings.Contains(string(r.Body), "tool") {
		t.Errorf("something shows before its .changes: %s", r)
	}
	h.Published("the .changes", put(formattest.Owner, "tool_1.0_multi.changes", changesOf("tool", "1:1.0", "stable", files...)))
	if n := len(h.Log()); n != before+1 {
		t.Errorf("an upload made %d events, want one", n-before)
	}
	if r := put(formattest.Owner, "tool_1.0_multi.changes", changesOf("tool", "1:1.0", "stable", files...)); r.Status != http.StatusOK {
		t.Errorf("the same upload again: %s", r)
	}
	if index := good("/dists/stable/contrib/binary-amd64/Packages"); !strings.Contains(index, "Package: tool\n") || strings.Contains(index, "libtool") {
		t.Errorf("contrib is\n%s", index)
	}
	if index := good("/dists/stable/main/binary-arm64/Packages"); !strings.Contains(index, "Package: libtool\n") {
		t.Errorf("main is\n%s", index)
	}
	if index := good("/dists/stable/contrib/source/Sources"); !strings.Contains(index, "tool_1.0.tar.gz") || !strings.Contains(index, hexSHA(dsc)) {
		t.Errorf("Sources is\n%s", index)
	}
	h.Good("the source", h.Get("/pool/stable/contrib/t/tool/tool_1.0.tar.gz"), orig)
	h.Good("the package", h.Get("/pool/stable/contrib/t/tool/tool_1.0_amd64.deb"), files[2].body)
}

// TestCase24Form: many files that are posted as a form are one change; if one of them is unsound none of them shows.
func TestCase24Form(t *testing.T) {
	h, _ := house(t, nil)
	post := func(files ...aFile) formattest.Reply {
		var b bytes.Buffer
		form := multipart.NewWriter(&b)
		for _, f := range files {
			w, err := form.CreateFormFile("file", f.name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(f.body); err != nil {
				t.Fatal(err)
			}
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		return h.As(formattest.Owner).Do("POST", "/pool/stable/main", http.Header{"Content-Type": {form.FormDataContentType()}}, b.Bytes())
	}
	var all []aFile
	for _, arch := range []string{"amd64", "arm64", "all"} {
		all = append(all, aFile{name: arch + ".deb", body: deb(t, "lib"+arch, "1.0", arch, "Source: lib\nMulti-Arch: same\n", 0)})
	}
	h.Want("one of them unsound", post(append(all[:2:2], aFile{name: "x.deb", body: []byte("!<arch>\nno")})...), http.StatusBadRequest)
	before := len(h.Log())
	if r := h.Get(packages); strings.Contains(string(r.Body), "lib") {
		t.Errorf("half of a form shows: %s", r)
	}
	h.Published("the form", post(all...))
	if n := len(h.Log()); n != before+1 {
		t.Errorf("a form made %d events, want one", n-before)
	}
	for arch, want := range map[string][]string{"amd64": {"libamd64", "liball"}, "arm64": {"libarm64", "liball"}} {
		index := string(good(t, h, "/dists/stable/main/binary-"+arch+"/Packages", nil).Body)
		if strings.Count(index, "Package: ") != 2 || !strings.Contains(index, want[0]) || !strings.Contains(index, want[1]) {
			t.Errorf("%s is\n%s", arch, index)
		}
	}
	orig := tarGz(t, "./x", "y")
	h.Published("a source package, its description first", post(
		aFile{name: "tool_1.0.dsc", body: []byte(fmt.Sprintf("Source: tool\nVersion: 1.0\nChecksums-Sha256:\n %s %d tool_1.0.tar.gz\n", hexSHA(orig), len(orig)))},
		aFile{name: "tool_1.0.tar.gz", body: orig}))
	good(t, h, "/pool/stable/main/t/tool/tool_1.0.tar.gz", orig)
}

// TestCase23Stanzas: the stanzas of a hosted suite are those of dpkg-scanpackages, and its indexes what apt-ftparchive makes
// of the same files.
func TestCase23Stanzas(t *testing.T) {
	scan, err := exec.LookPath("dpkg-scanpackages")
	if err != nil {
		t.Skip("dpkg-scanpackages is not installed")
	}
	h, _ := house(t, nil)
	dir := t.TempDir()
	more := []string{"", "Depends: libc6 (>= 2.36),\n something | other\nSection: net\nPriority: optional\n", "Source: alpha (0.9)\nMulti-Arch: same\nX-Own:  two  spaces\nInstalled-Size: 12\n"}
	for n, fields := range more {
		name := []string{"alpha", "beta", "gamma"}[n]
		body := deb(t, name, fmt.Sprintf("%d:1.0~rc%d+b-1", n, n), []string{"amd64", "all", "amd64"}[n], fields, n)
		r := h.Published(name, h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, body))
		_, words, _ := strings.Cut(strings.TrimSpace(string(r.Body)), "pool/")
		file := filepath.Join(dir, "pool", words)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	byName := func(index []byte) map[string]map[string]string {
		out := map[string]map[string]string{}
		if err := eachStanza(bytes.NewReader(index), func(stanza []byte) error {
			f := fieldsOf(stanza)
			out[f["Package"]] = f
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	ours := byName(good(t, h, packages, nil).Body)
	compare := func(tool string, theirs map[string]map[string]string) {
		if len(ours) != len(more) || len(theirs) != len(more) {
			t.Fatalf("%d stanzas, and %d of %s, want %d", len(ours), len(theirs), tool, len(more))
		}
		for name, want := range theirs {
			for field, value := range want {
				if strings.EqualFold(field, "SHA512") { // which apt-ftparchive adds, and a Release by option
					continue
				}
				if got := ours[name][field]; got != value {
					t.Errorf("%s: %s is %q, and %q by %s", name, field, got, value, tool)
				}
			}
			for field := range ours[name] {
				if _, ok := want[field]; !ok {
					t.Errorf("%s: %s is a field that %s does not have", name, field, tool)
				}
			}
		}
	}
	run := func(name string, args ...string) []byte {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return out
	}
	compare("dpkg-scanpackages", byName(run(scan, "-m", "pool")))
	if archive, err := exec.LookPath("apt-ftparchive"); err == nil {
		compare("apt-ftparchive", byName(run(archive, "packages", "pool")))
	}
}
