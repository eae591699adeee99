package golang

import (
	"bytes"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/policy"
	"millpond/repo"
)

// No checksum database hears of what is hosted in a repository that is read through to, claimed or not.
func TestHostedBelowIsNotLookedUp(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL}, verifiedBy(u))
	p.rights = formattest.Rights{{Verbs: millpond.Verbs()}}
	inner := repo.Config{Name: "inner", Format: Format{}, Public: true}
	outer := p.config
	outer.Upstreams = append([]repo.Upstream{{Sibling: "inner"}}, outer.Upstreams...)
	if err := p.repo.Configure(t.Context(), p.settings, []repo.Config{inner, outer}); err != nil {
		t.Fatal(err)
	}
	zip := zipEntries(t, entry{name: "git.example/ours@v1.0.0/x.go", body: "package x"})
	file := format.PublishedFile{Size: int64(len(zip)), Body: bytes.NewReader(zip)}
	if _, err := (Format{}).PublishFile(t.Context(), p.repo.Repository("inner").For(p.caller()), file); err != nil {
		t.Fatal(err)
	}
	p.want("/git.example/ours/@v/v1.0.0.info", 200, "*")
	before := len(u.paths())
	for _, version := range []string{"v1.0.0", "v1.0.1"} {
		if a := p.want("/sumdb/"+sumName+"/lookup/git.example/ours@"+version, 403, "*"); !strings.Contains(a.Body, "GONOSUMDB") {
			t.Errorf("lookup of %s: %q; want GONOSUMDB in it", version, a.Body)
		}
	}
	if got := u.paths()[before:]; len(got) != 0 {
		t.Errorf("the upstream was asked %q", got)
	}
	p.want("/sumdb/"+sumName+"/lookup/"+testPath+"@v1.0.0", 200, "*")
}

// A checksum database is no module: rules, grants and upstreams that name modules leave it to all who read. The go command
// was told that it is relayed, and stops where it is not.
func TestDatabaseIsNoModule(t *testing.T) {
	only, err := policy.Parse([]map[string]any{{"allow": []any{testPath}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, narrow := range map[string]func(p *pond){
		"rules":     func(p *pond) { p.config.Policy = only },
		"upstreams": func(p *pond) { p.config.Upstreams[0].Names = []string{testPath} },
		"grants": func(p *pond) {
			p.config.Public = false
			p.rights = formattest.Rights{{Verbs: []millpond.Verb{millpond.VerbRead}, Names: []string{testPath}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t)
			u.publish(t, testPath, "v1.0.0", testMod)
			p := newPond(t, []string{u.URL}, verifiedBy(u))
			narrow(p)
			p.configure()
			for _, path := range []string{"supported", "latest", "lookup/" + testPath + "@v1.0.0"} {
				p.want("/sumdb/"+sumName+"/"+path, 200, "*")
			}
			p.want("/"+testPath+"/@v/v1.0.0.zip", 200, "*")
			if a := p.get("/git.example/other/@v/list"); a.Status != 403 && a.Status != 404 {
				t.Errorf("another module: %d %q; want 403 or 404", a.Status, a.Body)
			}
			if name == "grants" {
				before := len(u.paths())
				p.want("/sumdb/"+sumName+"/lookup/git.example/other@v1.0.0", 403, "*")
				if got := u.paths()[before:]; len(got) != 0 {
					t.Errorf("about a module that the reader may not know the upstream was asked %q", got)
				}
			}
		})
	}
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL}, verifiedBy(u), func(c *repo.Config) { c.Public = false })
	p.rights = formattest.Rights{}
	if a := p.get("/sumdb/" + sumName + "/lookup/" + testPath + "@v1.0.0"); a.Status != 401 && a.Status != 403 {
		t.Errorf("somebody who may read nothing: %d %q; want 401 or 403", a.Status, a.Body)
	}
}

// The index goes on telling of the others when all that was published of a module is deleted.
func TestIndexWithoutTheDeleted(t *testing.T) {
	u := newUpstream(t)
	p := newPond(t, []string{u.URL}, func(c *repo.Config) { c.Unpublish = true })
	p.rights = formattest.Rights{{Verbs: millpond.Verbs()}}
	for _, path := range []string{"git.example/gone", "git.example/here"} {
		if a := p.send("PUT", "/upload", zipEntries(t, entry{name: path + "@v1.0.0/x.go", body: "package x"})); a.Status != 201 {
			t.Fatalf("publish %s: %d %s", path, a.Status, a.Body)
		}
	}
	gone := format.Deletion{Key: millpond.Key{Package: "git.example/gone", Version: "v1.0.0"}}
	if err := p.repo.Repository("golang").For(p.caller()).Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if a := p.want("/index", 200, "*"); !strings.Contains(a.Body, "git.example/here") || strings.Contains(a.Body, "git.example/gone") {
		t.Errorf("index: %q; want git.example/here alone", a.Body)
	}
}
