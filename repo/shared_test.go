package repo

import (
	"strings"
	"testing"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// scoped are the rights of who may read these names.
type scoped string

func (s scoped) May(millpond.Verb, string, string) bool { return true }
func (s scoped) Scope(millpond.Verb, string) string     { return string(s) }
func (s scoped) Now(catalog.Tx) (Rights, error)         { return s, nil }

func TestHandlersShareByWhatTheirCallersMayRead(t *testing.T) {
	r := &Repository{}
	r.pond = &Pond{}
	all := (&bound{Repository: r, caller: Caller{Rights: scoped("*")}})
	again := (&bound{Repository: r, caller: Caller{Rights: scoped("*")}})
	some := (&bound{Repository: r, caller: Caller{Rights: scoped("a b")}})
	made := 0
	share := func(b *bound) *int { return b.Shared("log", func() any { made++; return new(int) }).(*int) }
	if share(all) != share(again) || made != 1 {
		t.Errorf("two callers who may read all names do not share: made %d, want 1", made)
	}
	if share(all) == share(some) {
		t.Error("who may read some names shares with who may read all")
	}
	held := all.Held().(*bound)
	if share(held) == share(all) {
		t.Error("the repository without its upstreams shares with the whole one")
	}
	for i := range 2 * mostShared {
		share(&bound{Repository: r, caller: Caller{Rights: scoped(strings.Repeat("x", i+1))}})
	}
	if n := len(r.sharing.values); n > mostShared {
		t.Errorf("%d values are kept, want at most %d", n, mostShared)
	}
}

func TestNamesCarryNotes(t *testing.T) {
	var table nameTable
	for _, c := range []format.Change{{Name: "b", Display: "B", Cursor: "2", Note: "1.0,2.0 cafe"}, {Name: "a", Note: strings.Repeat("v", 100_000)}} {
		table.add(0, c, false)
	}
	var got []format.Change
	table.each(func(c format.Change, err error) bool { got = append(got, c); return err == nil })
	if len(got) != 2 || len(got[0].Note) != 100_000 || got[1].Note != "1.0,2.0 cafe" || got[1].Cursor != "2" || got[1].Display != "B" {
		t.Errorf("got %.200v", got)
	}
}
