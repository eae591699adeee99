package golang

import (
	"slices"
	"testing"
	"time"

	"millpond/catalog"
)

// lookAgain lets the pond ask again about what it keeps unverified.
func (p *pond) lookAgain(what string, settled int) {
	p.t.Helper()
	if n, err := p.repo.Reverify(p.t.Context()); err != nil || n != settled {
		p.t.Errorf("%s: Reverify = %d, %v, want %d settled", what, n, err, settled)
	}
}

func (p *pond) verbs() (all []string) {
	p.t.Helper()
	for e, err := range p.records.Find(p.t.Context(), catalog.Filter{}) {
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, e.Verb)
	}
	return all
}

// TestUnverifiedFilesAreLookedAtAgain: what was kept while the database could not be asked is judged when it can be: it stays, or
// it is dropped with an event, and fetched anew.
func TestUnverifiedFilesAreLookedAtAgain(t *testing.T) {
	const lookup = "/sumdb/" + sumName + "/lookup/git.example/team/x@"
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, testPath, "v1.1.0", testMod)
	good := u.files[at+"v1.1.0.zip"]
	evil := zipOf(t, map[string]string{testPath + "@v1.1.0/go.mod": testMod, testPath + "@v1.1.0/evil.go": "package x\n"})
	u.set(at+"v1.1.0.zip", evil)
	u.ill(lookup+"v1.0.0", 503)
	u.ill(lookup+"v1.1.0", 503)
	p := newPond(t, []string{u.URL}, verifiedBy(u))
	right, wrong := at+"v1.0.0.zip", at+"v1.1.0.zip"
	p.want(right, 200, u.files[at+"v1.0.0.zip"])
	p.want(wrong, 200, evil) // nobody could tell
	p.lookAgain("before it is due", 0)
	p.pass(11 * time.Minute)
	p.lookAgain("the database is still down", 0)
	p.want(wrong, 200, evil)

	u.ill(lookup+"v1.0.0", 0)
	u.ill(lookup+"v1.1.0", 0)
	p.pass(11 * time.Minute)
	p.lookAgain("the pauses grow", 0)
	p.pass(time.Hour)
	p.settings.Offline = true
	p.configure()
	p.lookAgain("offline", 0)
	p.settings.Offline = false
	p.configure()
	p.lookAgain("the database answers", 2)
	if got := p.verbs(); !slices.Contains(got, "corrupt") {
		t.Errorf("the events are %q, want corrupt", got)
	}
	asked := u.requests(right)
	p.want(right, 200, u.files[at+"v1.0.0.zip"])
	if n := u.requests(right); n != asked {
		t.Errorf("what was found right was fetched again")
	}
	p.want(wrong, 503, "*") // its bytes are refused
	u.set(at+"v1.1.0.zip", good)
	p.pass(2 * time.Minute)
	p.want(wrong, 200, good)
	p.pass(100 * 24 * time.Hour)
	p.lookAgain("nothing is in doubt", 0)
}

// What no database knows is asked about some times more, and then left as it is.
func TestUnverifiedForEver(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	delete(u.sums, testPath+"@v1.0.0")
	p := newPond(t, []string{u.URL}, verifiedBy(u))
	p.want(at+"v1.0.0.mod", 200, testMod)
	looks := 0
	for range 20 {
		p.pass(8 * 24 * time.Hour)
		before := u.requests("/sumdb/" + sumName + "/lookup/git.example/team/x@v1.0.0")
		p.lookAgain("unknown to the database", 0)
		if u.requests("/sumdb/"+sumName+"/lookup/git.example/team/x@v1.0.0") > before {
			looks++
		}
	}
	if looks != 5 {
		t.Errorf("the database was asked %d times more, want 5", looks)
	}
	p.want(at+"v1.0.0.mod", 200, testMod)
	if got := p.verbs(); len(got) > 0 {
		t.Errorf("events %q, want none", got)
	}
}
