package golang

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// hostingHouse is a House for modules below git.acme.example, which it claims.
func hostingHouse(t testing.TB, changes ...func(*repo.Config)) *formattest.House {
	return formattest.New(t, formattest.Ecosystem{Format: Format{}, Root: "/"},
		append(changes, func(c *repo.Config) { c.Claims = []string{"git.acme.example"} })...)
}

func put(h *formattest.House, who string, body []byte) formattest.Reply {
	return h.As(who).Do("PUT", "/upload", nil, body)
}

const (
	acme   = "git.acme.example/Team/x"
	inAcme = acme + "@v1.0.0/"
	atAcme = "/git.acme.example/!team/x/@v/"
)

func TestCase26Upload(t *testing.T) {
	h := hostingHouse(t)
	good := zipEntries(t, entry{name: inAcme + "go.mod", body: "module " + acme + "\n\ngo 1.21\n"}, entry{name: inAcme + "x.go", body: "package x"})
	packedOtherwise := zipEntries(t, entry{name: inAcme + "x.go", body: "package x"}, entry{name: inAcme + "go.mod", body: "module " + acme + "\n\ngo 1.21\n"})
	other := zipEntries(t, entry{name: inAcme + "x.go", body: "package y"})

	r := h.Want("new", put(h, formattest.Owner, good), http.StatusCreated)
	if !strings.Contains(string(r.Body), "published "+acme+"@v1.0.0 h1:") {
		t.Errorf("new: said %q", r.Body)
	}
	h.Want("again", put(h, formattest.Owner, good), http.StatusOK)
	if r := h.Want("the same hash in other bytes", put(h, formattest.Owner, packedOtherwise), http.StatusOK); !strings.Contains(string(r.Body), "already") {
		t.Errorf("again: said %q", r.Body)
	}
	r = h.Want("another hash", put(h, formattest.Owner, other), http.StatusConflict)
	if !strings.Contains(string(r.Body), "published by owner") || !strings.Contains(string(r.Body), "retract") {
		t.Errorf("conflict: said %q; want who published it, and what to do", r.Body)
	}
	h.WantLog("one module", "publish")
	if e := h.Log()[0]; !strings.Contains(string(e.Detail), `"h1":"h1:`) {
		t.Errorf("the event says %s; want the hash", e.Detail)
	}

	h.Good("the first bytes stay", h.Get(atAcme+"v1.0.0.zip"), good)
	h.Good("mod", h.Get(atAcme+"v1.0.0.mod"), []byte("module "+acme+"\n\ngo 1.21\n"))
	info := `{"Version":"v1.0.0","Time":"2026-11-21T12:00:00Z"}`
	h.Good("info", h.Get(atAcme+"v1.0.0.info"), []byte(info))
	h.Good("list", h.Get(atAcme+"list"), []byte("v1.0.0\n"))
	h.Good("latest", h.Get("/git.acme.example/!team/x/@latest"), []byte(info))
	index := h.Good("index", h.Get("/index"), nil)
	if want := `{"Path":"` + acme + `","Version":"v1.0.0",`; !strings.HasPrefix(string(index.Body), want) {
		t.Errorf("index is %s; want %s", index.Body, want)
	}
	for _, path := range []string{"master.info", "v1.info", "v1.0.1.info", "v1.0.1.zip", "v1.0.1.mod"} {
		h.Want(path, h.Get(atAcme+path), http.StatusNotFound)
	}

	h.Want("no go.mod", put(h, formattest.Owner, zipEntries(t, entry{name: "git.acme.example/bare@v0.1.0/x.go", body: "package x"})), http.StatusCreated)
	h.Good("a go.mod is made", h.Get("/git.acme.example/bare/@v/v0.1.0.mod"), []byte("module git.acme.example/bare\n"))

	kept := h.Kept()
	for _, c := range []struct {
		name string
		who  string
		body []byte
		want int
	}{
		{"no zip", formattest.Owner, []byte("hello"), 400},
		{"bytes behind the end", formattest.Owner, append(bytes.Clone(good), "more"...), 400},
		{"bytes before the beginning", formattest.Owner, append([]byte("PK\x03\x04"), good...), 400},
		{"two prefixes", formattest.Owner, zipEntries(t, entry{name: inAcme + "a"}, entry{name: "git.acme.example/y@v1.0.0/b"}), 400},
		{"go.mod of another", formattest.Owner, zipEntries(t, entry{name: inAcme + "go.mod", body: "module git.acme.example/z\n"}), 400},
		{"too large unpacked", formattest.Owner, zipEntries(t, entry{name: inAcme + "a", body: "x", size: zipLimit + 1}), 413},
		{"anonymous", "", good, 401},
		{"reader", formattest.Reader, good, 403},
		{"junk from a reader", formattest.Reader, []byte("hello"), 400},
	} {
		h.Want(c.name, put(h, c.who, c.body), c.want)
	}
	if got := h.Kept(); got != kept {
		t.Errorf("what was refused left %d blobs", got-kept)
	}
	h.WantLog("two modules", "publish", "publish")
	for method, want := range map[string]string{"GET": "PUT", "POST": "PUT", "DELETE": "PUT"} {
		if r := h.Want(method+" of upload", h.As(formattest.Owner).Do(method, "/upload", nil, nil), 405); r.Header.Get("Allow") != want {
			t.Errorf("%s of upload: Allow %q, want %q", method, r.Header.Get("Allow"), want)
		}
	}
	h.Want("PUT of a file", h.As(formattest.Owner).Do("PUT", atAcme+"v1.0.0.zip", nil, good), 405)
	h.Want("upload to what is held", h.As(formattest.Owner).Do("PUT", "/cached-only/upload", nil, good), 405)
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("it cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
}

// A body that ends early, and one that is longer than any module may be, leave nothing.
func TestUploadBodies(t *testing.T) {
	h := hostingHouse(t)
	good := zipEntries(t, entry{name: inAcme + "x.go", body: "package x"})
	repo := h.As(formattest.Owner).Repo()
	publish := func(size int64, body []byte) error {
		_, err := Format{}.PublishFile(t.Context(), repo, format.PublishedFile{Name: "whatever", Size: size, Body: bytes.NewReader(body)})
		return err
	}
	for cut := range len(good) {
		if err := publish(-1, good[:cut]); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("cut after %d: got %v, kind %v; want invalid", cut, err, millpond.KindOf(err))
		}
	}
	if err := publish(zipLimit+1, good); !millpond.Is(err, millpond.TooLarge) {
		t.Errorf("declared too large: got %v; want too large", err)
	}
	if n := h.Kept(); n != 0 {
		t.Errorf("what was refused left %d blobs", n)
	}
	done, err := Format{}.PublishFile(t.Context(), repo, format.PublishedFile{Size: int64(len(good)), Body: bytes.NewReader(good)})
	want := format.Published{Key: millpond.Key{Package: acme, Version: "v1.0.0"}, New: true}
	if err != nil || *done != want {
		t.Errorf("published: got %+v, %v; want %+v", done, err, want)
	}
}

// No checksum database hears of what is hosted, claimed or not.
func TestHostedIsNotLookedUp(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL}, verifiedBy(u))
	p.rights = formattest.Rights{{Verbs: millpond.Verbs()}}
	ours := zipEntries(t, entry{name: "git.example/ours@v1.0.0/x.go", body: "package x"})
	if a := p.send("PUT", "/upload", ours); a.Status != 201 {
		t.Fatalf("publish: %d %s", a.Status, a.Body)
	}
	before := len(u.paths())
	for _, version := range []string{"v1.0.0", "v1.0.1"} {
		a := p.want("/sumdb/"+sumName+"/lookup/git.example/ours@"+version, 403, "*")
		if !strings.Contains(a.Body, "GONOSUMDB") {
			t.Errorf("lookup of %s: %q; want GONOSUMDB in it", version, a.Body)
		}
	}
	if got := u.paths()[before:]; len(got) != 0 {
		t.Errorf("the upstream was asked %q", got)
	}
	p.want("/sumdb/"+sumName+"/lookup/"+testPath+"@v1.0.0", 200, "*")
}

// What is published can be used at once by the real client, the upstream gone; yanked it stays usable and is not offered.
func TestCase27PublishThenGet(t *testing.T) {
	b := newWorkbench(t)
	b.git("init", "-q")
	b.write("go.mod", "module git.acme.example/Team/x\n\ngo 1.21\n", "x.go", "package x\n", "sub/go.mod", "module git.acme.example/Team/x/sub\n\ngo 1.21\n", "sub/s.go", "package sub\n")
	b.commit("v1.0.0", "sub/v0.1.0")
	b.write("x.go", "package x\n\n// V is new.\nconst V = 1\n")
	b.commit("v1.1.0")

	h := hostingHouse(t)
	h.Up.Refuse()
	for _, tag := range []string{"v1.0.0", "v1.1.0", "sub/v0.1.0"} {
		var zip bytes.Buffer
		if _, err := (Format{}).Pack(t.Context(), b, b.dir, tag, &zip); err != nil {
			t.Fatal(err)
		}
		h.Want("publish "+tag, put(h, formattest.Owner, zip.Bytes()), http.StatusCreated)
	}
	w := newWorkshop(t, h.URL+"/r", "off", "go.mod", app, "main.go",
		"package main\n\nimport (\n\t_ \"git.acme.example/Team/x\"\n\t_ \"git.acme.example/Team/x/sub\"\n)\n\nfunc main() {}\n")
	w.ok("get", "git.acme.example/Team/x@latest", "git.acme.example/Team/x/sub@latest")
	if mod := w.file("go.mod"); !strings.Contains(mod, "Team/x v1.1.0") || !strings.Contains(mod, "Team/x/sub v0.1.0") {
		t.Errorf("go.mod is\n%s\nwant v1.1.0 and v0.1.0", mod)
	}
	w.ok("build", "./...")
	if got := w.ok("list", "-m", "-versions", "git.acme.example/Team/x"); got != "git.acme.example/Team/x v1.0.0 v1.1.0\n" {
		t.Errorf("versions: %q", got)
	}

	err := h.As(formattest.Owner).Repo().Amend(t.Context(), format.Amendment{
		Package: acme, Version: "v1.1.0", Verb: "yank",
		Edit: func(now *format.Hosting) error { now.Version("v1.1.0").Yanked = true; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.ok("clean", "-modcache")
	w.ok("build", "./...") // what has it in its go.mod goes on
	if got := w.ok("list", "-m", "-versions", "git.acme.example/Team/x"); got != "git.acme.example/Team/x v1.0.0\n" {
		t.Errorf("versions after the yank: %q", got)
	}
	fresh := newWorkshop(t, h.URL+"/r", "off", "go.mod", app)
	fresh.ok("get", "git.acme.example/Team/x@latest")
	if mod := fresh.file("go.mod"); !strings.Contains(mod, "Team/x v1.0.0") {
		t.Errorf("go.mod after the yank is\n%s\nwant v1.0.0", mod)
	}
	fresh.fails([]string{"get", "git.acme.example/Team/x@v1.2.0"}, "404 Not Found")
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("it cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
}
