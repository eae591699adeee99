package golang

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

// TestPrepareLooksUp: what the database says of a file whose download begins is there, with its proof, before the file is.
func TestPrepareLooksUp(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	for what, c := range map[string]struct {
		kind    Kind
		options map[string]string
		asked   bool
	}{
		"a go.mod":                  {Mod, nil, true},
		"a zip":                     {Zip, nil, true},
		"an .info has no hash":      {Info, nil, false},
		"nothing is verified":       {Mod, map[string]string{"verify": "off"}, false},
		"no database knows it":      {Zip, map[string]string{"no_sum": "git.example/team"}, false},
		"no database is configured": {Mod, map[string]string{"sumdb": ""}, false},
	} {
		u.forget()
		options := map[string]string{"sumdb": u.Database}
		for name, value := range c.options {
			options[name] = value
		}
		r := newRemote(t, u, options)
		(Format{}).Source(r).(format.Preparer).Prepare(t.Context(), keyOf(c.kind))
		if tile := u.requests("/tile/") > 0; tile != c.asked || (u.requests("/lookup/") > 0) != c.asked || u.requests("/@v/") > 0 {
			t.Errorf("%s: asked %q, want the database: %t", what, u.paths(), c.asked)
		}
		if _, kept := r.kept[lookupKey(sumName, testPath, "v1.0.0")]; kept != c.asked {
			t.Errorf("%s: kept %t", what, kept)
		}
	}
	r := newRemote(t, u, map[string]string{"sumdb": u.Database})
	src := Format{}.Source(r).(format.Preparer)
	u.forget()
	src.Prepare(t.Context(), lookupKey(sumName, testPath, "v1.0.0"))
	src.Prepare(t.Context(), millpond.Key{Package: sumPackage + sumName, File: "tile/8/0/000"})
	if asked := u.paths(); len(asked) > 0 {
		t.Errorf("the database's own files: asked %q", asked)
	}
}

// TestPrepareAndVerifyAskOnce: what Prepare was told Verify does not look up again, and what it was not told it hears as Prepare
// did.
func TestPrepareAndVerifyAskOnce(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	r := newRemote(t, u, map[string]string{"sumdb": u.Database, "verify": "required"})
	judge := func(src format.Source, mod string) error {
		return src.(format.Verifier).Verify(t.Context(), keyOf(Mod), strings.NewReader(mod), int64(len(mod)))
	}
	src := Format{}.Source(r)
	src.(format.Preparer).Prepare(t.Context(), keyOf(Mod))
	clear(r.kept)
	u.forget()
	if err := judge(src, testMod); err != nil {
		t.Error(err)
	}
	if err := judge(src, testMod+"// more\n"); !millpond.Is(err, millpond.Corrupt) {
		t.Errorf("other bytes: %v, want Corrupt", err)
	}
	if asked := u.paths(); len(asked) > 0 {
		t.Errorf("the database was asked again: %q", asked)
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	src = Format{}.Source(r)
	src.(format.Preparer).Prepare(left, keyOf(Mod))
	if err := judge(src, testMod); err != nil {
		t.Errorf("after a Prepare that was cut off: %v", err)
	}
}

// TestTilesOfARecordAreReadBesideTheProof: the tiles above a record are asked for while the log's growth is still being proved.
func TestTilesOfARecordAreReadBesideTheProof(t *testing.T) {
	u := newUpstream(t)
	const n = 600
	for i := range n {
		u.publish(t, testPath, fmt.Sprintf("v0.%d.0", i), testMod)
		u.grow(t, testPath, fmt.Sprintf("v0.%d.0", i))
	}
	r := newRemote(t, u, map[string]string{"sumdb": u.Database, "verify": "required"})
	mod := func(i int) millpond.Key {
		return Path{Kind: Mod, Module: testPath, Version: fmt.Sprintf("v0.%d.0", i)}.Key()
	}
	if _, err := r.read(mod(n - 1)); err != nil {
		t.Fatal(err)
	}
	u.publish(t, testPath, "v1.0.0", testMod)
	u.grow(t, testPath, "v1.0.0")
	u.forget()
	release := u.hold(fmt.Sprintf("/sumdb/%s/tile/8/0/002.p/%d", sumName, n+1-512)) // which proves that it only grew
	read := make(chan error, 1)
	go func() {
		_, err := r.read(mod(10))
		read <- err
	}()
	for until := time.Now().Add(10 * time.Second); u.requests("/tile/8/0/000") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Errorf("the record's tile is not asked for before the proof is there: %s", strings.Join(u.paths(), " "))
			break
		}
	}
	release()
	if err := <-read; err != nil {
		t.Error(err)
	}
}
