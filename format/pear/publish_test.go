package pear

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

const acme = "pear.acme.example"

func claimed(c *repo.Config) { c.Claims = []string{acme + "/*"} }

// put publishes an archive as the owner of every name in the suite.
func put(h *formattest.House, name, version string, body []byte) formattest.Reply {
	return h.As(formattest.Owner).Do("PUT", "/"+acme+"/get/"+name+"-"+version+".tgz", nil, body)
}

// TestStrangersAreNotReadFrom: of who may publish nothing no byte is read, though only the archive says whose it is.
func TestStrangersAreNotReadFrom(t *testing.T) {
	h := newHouse(t, acme, claimed)
	if r := h.As("").Do("POST", "/"+acme+"/", nil, []byte("this is none")); r.Status != http.StatusUnauthorized {
		t.Errorf("got %s, want 401", r)
	}
}

func TestCase15WhatIsTakenAndWhatIsNot(t *testing.T) {
	const php = "<?php\n"
	xml := packageXML(acme, "Hello", "1.0.0", "stable", php, "")
	file := member{"Hello-1.0.0/Hello.php", php}
	edit := func(old, new string) []byte {
		if !strings.Contains(xml, old) {
			t.Fatalf("package.xml has no %q", old)
		}
		return packed(member{"package.xml", strings.Replace(xml, old, new, 1)}, file)
	}
	h := newHouse(t, acme, claimed)
	for what, c := range map[string]struct {
		body   []byte
		status int
		words  string
	}{
		"wrong channel":       {edit("<channel>"+acme, "<channel>pear.other.example"), 400, "of the channel"},
		"wrong name":          {edit("<name>Hello", "<name>Bye"), 400, "Bye"},
		"wrong version":       {edit("<release>1.0.0", "<release>1.0.1"), 400, "1.0.1"},
		"no stability":        {edit("<release>stable", "<release>perfect"), 400, "perfect"},
		"no lead":             {edit("<user>ada</user>", ""), 400, "no lead"},
		"the first version":   {edit(`version="2.0"`, `version="1.0"`), 400, "2.0"},
		"a document type":     {edit("<package ", "<!DOCTYPE x><package "), 400, "document type"},
		"other sum":           {packed(member{"package.xml", xml}, member{"Hello-1.0.0/Hello.php", php + " "}), 400, "md5"},
		"a file is missing":   {packed(member{"package.xml", xml}), 400, "not in it"},
		"traversal":           {packed(member{"package.xml", xml}, file, member{"Hello-1.0.0/../../etc/x", "x"}), 400, "leads out"},
		"an absolute name":    {packed(member{"package.xml", xml}, file, member{"/etc/x", "x"}), 400, "leads out"},
		"traversal in a list": {edit(`name="Hello.php"`, `name="../Hello.php"`), 400, "leads out"},
		"a link":              {packed(member{"package.xml", xml}, file, member{"Hello-1.0.0/x", "->/etc/passwd"}), 400, "is no file"},
		"one name twice":      {packed(member{"package.xml", xml}, file, member{"Hello-1.0.0/hello.PHP", php}), 400, "case does not matter"},
		"a bomb":              {packed(member{"package.xml", xml}, file, member{"Hello-1.0.0/zero", strings.Repeat("\x00", 64<<20)}), 413, "unpacks to more"},
		"no archive":          {[]byte("hello"), 400, "gzip"},
		"an empty body":       {nil, 400, "gzip"},
		"no package.xml":      {packed(file), 400, "no package.xml"},
		"a large package.xml": {packed(member{"package.xml", xml + strings.Repeat(" ", 2<<20)}, file), 400, "more than"},
	} {
		r := h.Want(what, put(h, "Hello", "1.0.0", c.body), c.status)
		if !strings.Contains(string(r.Body), c.words) {
			t.Errorf("%s: got %s, want %q in it", what, r, c.words)
		}
		if n := h.Kept(); n != 0 {
			t.Errorf("%s: %d blobs are kept", what, n)
		}
	}
	good := packed(member{"package.xml", xml}, file)
	h.Want("new", put(h, "Hello", "1.0.0", good), http.StatusCreated)
	h.Want("again", put(h, "Hello", "1.0.0", good), http.StatusOK)
	h.Want("again, as it may be spelt too", put(h, "HELLO", "1.0.0", good), http.StatusOK)
	h.Want("others", put(h, "Hello", "1.0.0", archiveOf(acme, "Hello", "1.0.0", "stable", 1)), http.StatusConflict)
	h.Want("a channel that is not hosted", h.As(formattest.Owner).Do("PUT", "/"+testChannel+"/get/Hello-1.0.0.tgz", nil, archiveOf(testChannel, "Hello", "1.0.0", "stable", 0)), http.StatusForbidden)

	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() {
			v := fmt.Sprintf("2.%d.0", i)
			h.Published(v, put(h, "Hello", v, archiveOf(acme, "Hello", v, "stable", 0)))
		})
	}
	all.Wait()
	list := h.Good("list", h.Get("/"+acme+"/rest/r/hello/allreleases.xml"), nil)
	for _, v := range []string{"1.0.0", "2.0.0", "2.1.0"} {
		if !bytes.Contains(list.Body, []byte("<v>"+v+"</v>")) {
			t.Errorf("%s was published, and is not in %s", v, list.Body)
		}
	}
	if i, j := bytes.Index(list.Body, []byte("2.1.0")), bytes.Index(list.Body, []byte("1.0.0")); i > j {
		t.Errorf("the newest is not first: %s", list.Body)
	}
}

func TestCase14DocumentsOfAHostedChannel(t *testing.T) {
	h := newHouse(t, acme, claimed)
	h.Published("1.0.0", put(h, "Hello_World", "1.0.0", archiveOf(acme, "Hello_World", "1.0.0", "stable", 0)))
	h.Published("0.9.0", put(h, "Hello_World", "0.9.0", archiveOf(acme, "Hello_World", "0.9.0", "beta", 0)))
	h.Published("other", put(h, "Abc", "1.0.0", archiveOf(acme, "Abc", "1.0.0", "stable", 0)))
	const at = "http://" + acme
	for path, words := range map[string][]string{
		"/channel.xml":                          {"<suggestedalias>acme<", `<baseurl type="REST1.0">http://pear.acme.example/rest/<`, `"REST1.3"`},
		"/rest/p/packages.xml":                  {"<c>pear.acme.example</c>\n <p>Abc</p>\n <p>Hello_World</p>"},
		"/rest/p/hello_world/info.xml":          {"<n>Hello_World</n>", "<s>Says &lt;hello&gt;</s>", "<d>Says hello, 1.0.0.</d>", "<l>MIT</l>"},
		"/rest/p/hello_world/maintainers.xml":   {"<h>ada</h>"},
		"/rest/p/hello_world/maintainers2.xml":  {"<r>lead</r>"},
		"/rest/c/categories.xml":                {">Default</c>"},
		"/rest/c/Default/info.xml":              {"<n>Default</n>"},
		"/rest/c/Default/packages.xml":          {">Abc</p>", ">Hello_World</p>"},
		"/rest/c/Default/packagesinfo.xml":      {"<n>Hello_World</n>", "<r><v>1.0.0</v><s>stable</s></r>", "<r><v>0.9.0</v><s>beta</s></r>", "<deps><v>1.0.0</v><d>a:1:{s:8:&#34;required"},
		"/rest/m/allmaintainers.xml":            {">ada</h>"},
		"/rest/m/ada/info.xml":                  {"<n>Ada</n>"},
		"/rest/r/hello_world/allreleases.xml":   {"<v>1.0.0</v><s>stable</s></r>\n <r><v>0.9.0</v><s>beta</s></r>"},
		"/rest/r/hello_world/allreleases2.xml":  {"<v>1.0.0</v><s>stable</s><m>5.2.0</m>"},
		"/rest/r/hello_world/beta.txt":          {"0.9.0"},
		"/rest/r/hello_world/latest.txt":        {"1.0.0"},
		"/rest/r/hello_world/1.0.0.xml":         {"<g>http://pear.acme.example/get/Hello_World-1.0.0</g>", "<da>2026-11-21 12:00:00</da>", "<n>First &amp; last</n>", `<x xlink:href="package.1.0.0.xml"/>`},
		"/rest/r/hello_world/v2.1.0.0.xml":      {"<a>1.0.0</a>", "<mp>5.2.0</mp>"},
		"/rest/r/hello_world/package.1.0.0.xml": {`version="2.0"`},
		"/rest/r/hello_world/deps.1.0.0.txt":    {`s:3:"php";a:1:{s:3:"min";s:5:"5.2.0";}`},
	} {
		w := asked(h, at+path)
		want(t, path, w, 200, words...)
		if strings.HasSuffix(path, ".xml") {
			if _, err := readXML(bytes.NewReader(w.Body.Bytes())); err != nil {
				t.Errorf("%s is no XML: %v: %s", path, err, w.Body)
			}
		}
		if strings.Contains(w.Body.String(), "ada@acme.example") && !strings.Contains(path, "package.") {
			t.Errorf("%s tells an address of a person: %s", path, w.Body)
		}
		if tag := w.Header().Get("Etag"); asked(h, at+path, "If-None-Match", tag).Code != 304 || tag == "" {
			t.Errorf("%s: the tag %q is not known again", path, tag)
		}
	}
	for _, path := range []string{"/rest/c/Other/info.xml", "/rest/m/bob/info.xml", "/rest/p/nothing/info.xml", "/rest/r/nothing/allreleases.xml", "/rest/r/abc/beta.txt"} {
		want(t, path, asked(h, at+path), 404)
	}
	byPath := h.Good("by path", h.Get("/"+acme+"/rest/r/hello_world/1.0.0.xml"), nil)
	if link := "<g>" + h.URL + "/r/" + acme + "/get/Hello_World-1.0.0</g>"; !bytes.Contains(byPath.Body, []byte(link)) {
		t.Errorf("by path: got %s, want %s", byPath.Body, link)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a hosted channel cost %d upstream requests: %v", n, h.Up.Requests(""))
	}
}

func TestDeletedIsServedNoMore(t *testing.T) {
	h := newHouse(t, acme, claimed, func(c *repo.Config) { c.Unpublish = true })
	for _, v := range []string{"1.0.0", "1.1.0"} {
		h.Published(v, put(h, "Hello", v, archiveOf(acme, "Hello", v, "stable", 0)))
	}
	err := h.As(formattest.Owner).Repo().Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: acme + "/hello", Version: "1.1.0"}, Why: "a mistake"})
	if err != nil {
		t.Fatal(err)
	}
	const at = "http://" + acme
	want(t, "archive", asked(h, at+"/get/Hello-1.1.0.tgz"), 410, "was deleted on 21 November 2026")
	want(t, "document", asked(h, at+"/rest/r/hello/1.1.0.xml"), 410, "was deleted")
	want(t, "what never was", asked(h, at+"/get/Hello-9.0.0.tgz"), 404)
	want(t, "latest", asked(h, at+"/rest/r/hello/latest.txt"), 200, "1.0.0")
	if r := put(h, "Hello", "1.1.0", archiveOf(acme, "Hello", "1.1.0", "stable", 0)); r.Status < 400 {
		t.Errorf("its number was taken again: %s", r)
	}
}

func TestPublishFile(t *testing.T) {
	h := newHouse(t, acme, claimed)
	owner := h.As(formattest.Owner).Repo()
	send := func(body []byte) (*format.Published, error) {
		return Format{}.PublishFile(context.Background(), owner, format.PublishedFile{Name: "any.tgz", Size: int64(len(body)), Body: bytes.NewReader(body)})
	}
	// Both versions of the format, as an archive for old clients has them.
	const php = "<?php\n"
	both := packed(member{"package.xml", `<package version="1.0"><name>Hello</name><release><version>1.0.0</version></release></package>`},
		member{"package2.xml", packageXML(acme, "Hello", "1.0.0", "stable", php, "")}, member{"Hello-1.0.0/Hello.php", php})
	for i, isNew := range []bool{true, false} {
		done, err := send(both)
		if err != nil || done.New != isNew || done.Key.String() != acme+"/hello 1.0.0 hello-1.0.0.tgz" {
			t.Errorf("time %d: %+v, %v; want new %v", i, done, err, isNew)
		}
	}
	if _, err := send(archiveOf("pear.other.example", "Hello", "1.0.0", "stable", 0)); !millpond.Is(err, millpond.Denied) {
		t.Errorf("a channel of others: %v, want denied", err)
	}
	for _, body := range [][]byte{nil, []byte("hello"), packed(member{"x", "y"})} {
		if _, err := send(body); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("%.10q: %v, want invalid", body, err)
		}
	}
}
