package debian

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// form posts files as a form does.
func form(t *testing.T, c formattest.Client, path string, bodies ...[]byte) formattest.Reply {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, body := range bodies {
		w, err := m.CreateFormFile("file", "x.deb")
		if err != nil {
			t.Fatal(err)
		}
		w.Write(body)
	}
	m.Close()
	return c.Do("POST", path, http.Header{"Content-Type": {m.FormDataContentType()}}, b.Bytes())
}

// TestBinaryNames: apt installs a package by its own name. Whoever may publish a source may not for that publish every name; a name is
// of one source in a suite, and what it has there has one meaning.
func TestBinaryNames(t *testing.T) {
	h := formattest.New(t, formattest.Ecosystem{Format: Format{}, Root: "/debian/", Other: "tool"}, func(c *repo.Config) { c.Unpublish = true })
	owner, limited := h.As(formattest.Owner), h.As(formattest.Elsewhere)
	put := func(c formattest.Client, suite string, body []byte) formattest.Reply {
		return c.Do("PUT", "/pool/"+suite+"/main/x.deb", nil, body)
	}
	h.Published("hello", put(owner, "stable", deb(t, "hello", "1.0", "amd64", "", 0)))
	h.Published("its own name", put(limited, "stable", deb(t, "tool", "1.0", "amd64", "", 0)))
	events := len(h.Log())
	for _, name := range []string{"hello", "hello-extra"} {
		evil := deb(t, name, "9.0", "amd64", "Source: tool (9.0)\n", 0)
		h.Want("PUT of "+name, put(limited, "stable", evil), http.StatusForbidden)
		h.Want("a form with "+name, form(t, limited, "/pool/stable/main", deb(t, "tool", "9.0", "amd64", "", 0), evil), http.StatusForbidden)
		h.Want("dput of "+name, limited.Do("PUT", "/incoming/"+name+"_9.0_amd64.deb", nil, evil), http.StatusForbidden)
		if _, err := (Format{}).PublishFile(t.Context(), limited.Repo(), format.PublishedFile{Name: "x.deb", Size: int64(len(evil)), Body: bytes.NewReader(evil)}); !millpond.Is(err, millpond.Denied) {
			t.Errorf("millpond publish of %s: %v, want denied", name, err)
		}
		// Also where a handler asks nobody.
		r := limited.Repo()
		up, err := r.Upload(t.Context(), format.Uploading{Package: "tool", Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		up.Write(evil)
		blob, err := up.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Publish(t.Context(), format.Release{Package: "tool", Version: millpond.Version{Name: "9.0", Files: []millpond.File{
			{Name: poolFile("stable", "main", "tool", name+"_9.0_amd64.deb"), Blob: blob, Digests: []millpond.Digest{blob}}}}})
		if !millpond.Is(err, millpond.Denied) {
			t.Errorf("a release with %s: %v, want denied", name, err)
		}
	}
	if index := string(good(t, h, packages, nil).Body); strings.Contains(index, "9.0") || len(h.Log()) != events {
		t.Errorf("what was refused shows, or made %d events:\n%s", len(h.Log())-events, index)
	}

	taken := deb(t, "hello", "2.0", "amd64", "Source: other\n", 0)
	if r := h.Want("a name of another source", put(owner, "stable", taken), http.StatusConflict); !strings.Contains(string(r.Body), "hello") {
		t.Errorf("it is not said whose it is: %s", r)
	}
	h.Published("in another suite", put(owner, "testing", taken))
	h.Want("there it is not the first's", put(owner, "testing", deb(t, "hello", "3.0", "amd64", "", 0)), http.StatusConflict)
	h.Published("of the installer", owner.Do("PUT", "/pool/stable/main/x.udeb", nil, taken))
	h.Want("delete the only one", owner.Do("DELETE", "/"+poolFile("stable", "main", "hello", "hello_1.0_amd64.deb"), nil, nil), http.StatusNoContent)
	h.Published("a name that another source has no more", put(owner, "stable", taken))
	if err := owner.Repo().Restore(t.Context(), millpond.Key{Package: "hello", Version: "1.0"}); !millpond.Is(err, millpond.Conflict) {
		t.Errorf("what was deleted comes back beside it: %v, want a conflict", err)
	}

	lib := func(sourceVersion string, variant int) []byte {
		return deb(t, "libtool", "5", "amd64", "Source: tool ("+sourceVersion+")\n", variant)
	}
	h.Published("a library", put(owner, "stable", lib("1.1", 0)))
	h.Want("the same with other bytes, of another version of its source", put(owner, "stable", lib("1.2", 1)), http.StatusConflict)
	h.Want("the same with other bytes, in another component", owner.Do("PUT", "/pool/stable/contrib/x.deb", nil, lib("1.1", 1)), http.StatusConflict)
	if index := string(good(t, h, packages, nil).Body); strings.Count(index, "Package: libtool\n") != 1 {
		t.Errorf("the index is\n%s", index)
	}
}

// TestBinaryNamesClaimed: a binary package's name that another repository claims is published there.
func TestBinaryNamesClaimed(t *testing.T) {
	h, _ := house(t, nil)
	c, theirs := h.Config("r", h.Up), h.Config("theirs")
	theirs.Claims = []string{"acme-*"}
	h.Configure(repo.Settings{}, c, theirs)
	owner := h.As(formattest.Owner)
	one := deb(t, "acme-tool", "1.0", "amd64", "Source: hello\n", 0)
	h.Want("elsewhere", owner.Do("PUT", "/pool/stable/main/x.deb", nil, one), http.StatusForbidden)
	h.Published("there", owner.At("PUT", "/theirs/pool/stable/main/x.deb", nil, one))
	h.Configure(repo.Settings{}, c, h.Config("theirs"))
	c.ClaimedOnly, c.Claims = true, []string{"hello"}
	h.Configure(repo.Settings{}, c)
	h.Want("a name that no claim covers", owner.Do("PUT", "/pool/stable/main/x.deb", nil, one), http.StatusForbidden)
}

// TestHostedBinariesHide: what is published, here or in a repository below, hides what upstreams have of its name, whatever source
// they say that it is made of: no file of theirs is fetched or given, and no curated index lists it.
func TestHostedBinariesHide(t *testing.T) {
	const theirs = "/pool/main/o/other/acme-tool_9_amd64.deb"
	const source = "/pool/main/a/acme-lib/acme-lib_9_amd64.deb" // there a source of that name
	for what, at := range map[string]string{"here": "/r", "below": "/below"} {
		t.Run(what, func(t *testing.T) {
			h, a := stocked(t, nil)
			a.Set(theirs[1:], deb(t, "acme-tool", "9", "amd64", "Source: other (1)\n", 0))
			a.Set(source[1:], deb(t, "acme-lib", "9", "amd64", "", 0))
			a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
			c, below := h.Config("r", h.Up), h.Config("below")
			c.Options = map[string]string{"curated": "stable"}
			c.Upstreams = append([]repo.Upstream{{Sibling: "below"}}, c.Upstreams...)
			h.Configure(repo.Settings{}, c, below)
			lists := func(when string, want bool) {
				t.Helper()
				index := string(good(t, h, packages, nil).Body)
				for _, name := range []string{"acme-tool", "acme-lib"} {
					if got := strings.Contains(index, "Package: "+name+"\n"); got != want {
						t.Errorf("%s: the index lists %s: %v, want %v", when, name, got, want)
					}
				}
			}
			good(t, h, inRelease, nil)
			lists("at first", true)
			good(t, h, theirs, nil)
			owner := h.As(formattest.Owner)
			for i, name := range []string{"acme-tool", "acme-lib"} {
				h.Published(name, owner.At("PUT", at+"/pool/ours/main/x.deb", nil, deb(t, name, "1.0", "amd64", "Source: acme\n", i)))
			}
			good(t, h, inRelease, nil)
			h.Up.Forget()
			for range 2 {
				h.Want("a file of theirs", h.Get(theirs), http.StatusNotFound)
				h.Want("a file of a source of theirs", h.Get(source), http.StatusNotFound)
			}
			lists("after a publish", false)
			if n := h.Up.Count("", ""); n != 0 {
				t.Errorf("names of ours cost %d upstream requests: %v", n, h.Up.Requests(""))
			}
			h.Restart()
			lists("after a restart", false)
			boss := repo.Caller{Actor: millpond.Actor{Name: "boss"}, Rights: formattest.Rights{{Verbs: millpond.Verbs()}}}
			if err := h.Pond.SetMerge(t.Context(), boss, strings.Trim(at, "/"), "acme", "union"); err != nil {
				t.Fatal(err)
			}
			good(t, h, theirs, nil)
			good(t, h, source, nil)
		})
	}
}
