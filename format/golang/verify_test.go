package golang

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"millpond"
)

func keyOf(kind Kind) millpond.Key {
	return Path{Kind: kind, Module: testPath, Version: "v1.0.0"}.Key()
}

const testMod = "module git.example/team/x\n"

func TestVerifyTakesWhatTheDatabaseConfirms(t *testing.T) {
	u := newUpstream(t)
	for i := range 300 { // more than one tile
		u.publish(t, "git.example/team/x", fmt.Sprintf("v0.%d.0", i), testMod)
	}
	m := u.publish(t, testPath, "v1.0.0", testMod)
	r := newRemote(t, u, map[string]string{"sumdb": u.Database, "verify": "required"})
	for i := range 300 {
		if _, err := r.read(Path{Kind: Mod, Module: testPath, Version: fmt.Sprintf("v0.%d.0", i)}.Key()); err != nil {
			t.Fatal(err)
		}
	}
	for kind, want := range map[Kind]string{Mod: m.Mod, Zip: m.Zip, Info: m.Info} {
		if got, err := r.read(keyOf(kind)); err != nil || got != want {
			t.Errorf("%s: %d bytes, %v; want %d", keyOf(kind), len(got), err, len(want))
		}
	}
	if n := u.requests("/lookup/git.example/team/x@v1.0.0"); n != 1 {
		t.Errorf("the database was asked %d times about one version; want once", n)
	}
	if n := u.requests("sumdb/" + sumName + "/tile/8/0/000"); n == 0 {
		t.Errorf("no tile was read: nothing was proved")
	}
}

func TestVerifyRefusesOtherBytes(t *testing.T) {
	for _, mode := range []string{"available", "required"} {
		t.Run(mode, func(t *testing.T) {
			u := newUpstream(t)
			u.publish(t, testPath, "v1.0.0", testMod)
			r := newRemote(t, u, map[string]string{"sumdb": u.Database, "verify": mode})
			u.set("/git.example/team/x/@v/v1.0.0.mod", "module git.example/other\n")
			u.set("/git.example/team/x/@v/v1.0.0.zip", zipOf(t, map[string]string{"git.example/team/x@v1.0.0/go.mod": "module evil\n"}))
			for _, kind := range []Kind{Mod, Zip} {
				_, err := r.read(keyOf(kind))
				if !millpond.Is(err, millpond.Corrupt) || !strings.Contains(err.Error(), "checksum mismatch") {
					t.Errorf("%s: %v; want a checksum mismatch", keyOf(kind), err)
				}
				if r.holds(kind, testPath, "v1.0.0") {
					t.Errorf("%s is kept", keyOf(kind))
				}
			}
			u.publish(t, testPath, "v1.0.0", testMod) // the upstream mends
			if _, err := r.read(keyOf(Zip)); err != nil {
				t.Errorf("after the upstream has mended: %v", err)
			}
			u.set("/git.example/team/x/@v/v1.1.0.zip", "PK\x03\x04 and then no zip")
			u.sums[testPath+"@v1.1.0"] = u.sums[testPath+"@v1.0.0"]
			if _, err := r.read(Path{Kind: Zip, Module: testPath, Version: "v1.1.0"}.Key()); !millpond.Is(err, millpond.Corrupt) {
				t.Errorf("what cannot be hashed: %v; want corrupt", err)
			}
		})
	}
}

func TestVerifyWithoutTheDatabase(t *testing.T) {
	for _, c := range []struct {
		name string
		at   func(u *upstream, options map[string]string)
	}{
		{"which does not know the module", func(u *upstream, _ map[string]string) { delete(u.sums, testPath+"@v1.0.0") }},
		{"which is ill", func(u *upstream, _ map[string]string) {
			u.ill("/sumdb/"+sumName+"/lookup/git.example/team/x@v1.0.0", http.StatusBadGateway)
		}},
		{"which lacks a tile", func(u *upstream, _ map[string]string) {
			u.publish(t, testPath, "v1.1.0", testMod)
			u.grow(t, testPath, "v1.1.0")
			u.ill("/sumdb/"+sumName+"/tile/8/0/000.p/2", http.StatusBadGateway)
			u.ill("/sumdb/"+sumName+"/tile/8/0/000", http.StatusBadGateway)
		}},
		{"which is not configured", func(_ *upstream, options map[string]string) { options["sumdb"] = "" }},
		{"whose key is not known", func(_ *upstream, options map[string]string) { options["sumdb"] = sumName }},
	} {
		for mode, taken := range map[string]bool{"available": true, "required": false, "misspelt": false} {
			t.Run(c.name+", "+mode, func(t *testing.T) {
				u := newUpstream(t)
				u.publish(t, testPath, "v1.0.0", testMod)
				options := map[string]string{"sumdb": u.Database, "verify": mode}
				c.at(u, options)
				r := newRemote(t, u, options)
				_, err := r.read(keyOf(Zip))
				if taken && err != nil || !taken && !millpond.Is(err, millpond.BadUpstream) {
					t.Errorf("%v; want taken %t", err, taken)
				}
			})
		}
	}
}

func TestVerifyKeepsPrivateNamesFromTheDatabase(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	for name, options := range map[string]map[string]string{
		"no_sum": {"sumdb": u.Database, "verify": "required", "no_sum": "git.other.example,git.example/team"},
		"off":    {"sumdb": u.Database, "verify": "off"},
	} {
		if _, err := newRemote(t, u, options).read(keyOf(Zip)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := u.requests("/sumdb/"); n != 0 {
			t.Errorf("%s: the database was asked %d times: %q", name, n, u.asked)
		}
	}
}

func TestVerifyRefusesAForgedDatabase(t *testing.T) {
	u := newUpstream(t)
	m := u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, testPath, "v1.1.0", testMod)
	u.grow(t, testPath, "v1.1.0")
	lookup := "/sumdb/" + sumName + "/lookup/git.example/team/x@v1.0.0"
	hash, err := hashMod([]byte(m.Mod))
	if err != nil {
		t.Fatal(err)
	}
	skey, _, err := note.GenerateKey(nil, sumName)
	if err != nil {
		t.Fatal(err)
	}
	other, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s v1.0.0 h1:x\n%s v1.0.0/go.mod %s\n", testPath, testPath, hash)
	record, err := tlog.FormatRecord(0, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	head, err := note.Sign(&note.Note{Text: string(tlog.FormatTree(tlog.Tree{N: 1, Hash: tlog.RecordHash([]byte(text))}))}, other)
	if err != nil {
		t.Fatal(err)
	}
	honest, err := note.NewSigner(u.signer)
	if err != nil {
		t.Fatal(err)
	}
	unproved, err := note.Sign(&note.Note{Text: string(tlog.FormatTree(tlog.Tree{N: 1, Hash: tlog.RecordHash([]byte("another"))}))}, honest)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"signed by another":     string(record) + string(head),
		"not in its own log":    string(record) + string(unproved),
		"about another module":  strings.ReplaceAll(string(record), testPath, "git.example/else") + string(head),
		"no record":             "hello\n",
		"without a signed head": string(record),
	} {
		t.Run(name, func(t *testing.T) {
			u.set(lookup, body)
			r := newRemote(t, u, map[string]string{"sumdb": u.Database})
			_, err := r.read(keyOf(Mod))
			if name == "signed by another" || name == "without a signed head" {
				// What came is not the database's: as good as no answer.
				if err != nil {
					t.Errorf("%v; want the file kept unverified", err)
				}
			} else if !millpond.Is(err, millpond.Corrupt) {
				t.Errorf("%v; want corrupt", err)
			}
			if _, kept := r.kept[lookupKey(sumName, testPath, "v1.0.0")]; kept && name != "not in its own log" {
				t.Errorf("the answer is kept")
			}
		})
	}
}

// A database with two histories stops all fills until an operator accepts what it says now.
func TestVerifyStopsAtTwoHistories(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, "git.example/team/y", "v1.0.0", "module git.example/team/y\n")
	r := newRemote(t, u, map[string]string{"sumdb": u.Database})
	if _, err := r.read(keyOf(Mod)); err != nil {
		t.Fatal(err)
	}
	u.mu.Lock()
	u.db = u.database() // the same key, and an empty log
	u.mu.Unlock()
	y := Path{Kind: Mod, Module: "git.example/team/y", Version: "v1.0.0"}.Key()
	if _, err := r.read(y); !millpond.Is(err, millpond.Corrupt) || !strings.Contains(err.Error(), "two histories") {
		t.Fatalf("the second history: %v; want corrupt, and the words", err)
	}
	z := u.publish(t, "git.example/team/z", "v1.0.0", "module git.example/team/z\n")
	_, err := r.read(Path{Kind: Zip, Module: z.Path, Version: z.Version}.Key())
	var e *millpond.Error
	if !errors.As(err, &e) || e.Kind != millpond.Corrupt {
		t.Fatalf("a fill after the alarm: %v; want corrupt", err)
	}
	if _, err := r.read(keyOf(Mod)); err != nil {
		t.Errorf("what is held: %v; want it served", err)
	}
	_, id, ok := strings.Cut(e.Hint, "sumdb_accept: ")
	if !ok {
		t.Fatalf("the hint %q does not say how to go on", e.Hint)
	}
	r.options["sumdb_accept"] = id
	delete(r.kept, millpond.Key{Package: sumPackage + sumName, File: "tile/8/0/000.p/1"}) // of the first history
	if _, err := r.read(y); err != nil {
		t.Errorf("after the operator accepted %s: %v", id, err)
	}
}

func TestSumRoute(t *testing.T) {
	u := newUpstream(t)
	lookup := lookupKey(sumName, testPath, "v1.0.0")
	relayed, direct := u.URL+"/sumdb/"+sumName+"/"+lookup.File, "https://"+sumName+"/"+lookup.File
	for _, c := range []struct {
		name string
		at   func(r *remote)
		want string
	}{
		{"relayed by the upstream", func(*remote) {}, relayed},
		{"not relayed", func(*remote) { u.ill("/sumdb/"+sumName+"/latest", http.StatusNotFound) }, direct},
		{"an upstream that answers anything with a page", func(*remote) {
			u.ill("/sumdb/"+sumName+"/latest", 0)
			u.set("/sumdb/"+sumName+"/latest", "<html>")
		}, direct},
		{"an ill upstream", func(*remote) { u.ill("/sumdb/"+sumName+"/latest", 500) }, relayed},
		{"nobody may be asked", func(r *remote) { r.offline = true }, relayed},
		{"configured", func(r *remote) { r.options["sumdb"] = u.Database + " https://db.example" }, "https://db.example/" + lookup.File},
	} {
		r := newRemote(t, u, map[string]string{"sumdb": u.Database})
		c.at(r)
		f, err := Format{}.Source(r).File(t.Context(), lookup)
		if err != nil || f.URL != c.want {
			t.Errorf("%s: %+v, %v; want %s", c.name, f, err, c.want)
		}
	}
}

func TestSumRouteIsFoundOutOnceADay(t *testing.T) {
	u := newUpstream(t)
	r := newRemote(t, u, map[string]string{"sumdb": u.Database})
	ask := func() {
		if _, err := (Format{}).Source(r).File(t.Context(), lookupKey(sumName, testPath, "v1.0.0")); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	ask()
	if n := u.requests("/latest"); n != 1 {
		t.Errorf("asked %d times; want once", n)
	}
	r.now = r.now.Add(25 * time.Hour)
	ask()
	if n := u.requests("/latest"); n != 2 {
		t.Errorf("asked %d times after a day; want twice", n)
	}
	var known route
	if err := json.Unmarshal([]byte(r.states[routeState(sumName)]), &known); err != nil || !known.Relayed {
		t.Errorf("remembered %q, %v", r.states[routeState(sumName)], err)
	}
}

func TestSumHead(t *testing.T) {
	u := newUpstream(t)
	head := millpond.Key{Package: sumPackage + sumName, File: "latest"}
	for name, option := range map[string]string{
		"by the upstream": u.Database, "at its address": u.Database + " " + u.URL + "/sumdb/" + sumName, "without a key": sumName,
	} {
		src := Format{}.Source(newRemote(t, u, map[string]string{"sumdb": option}))
		d, err := src.Document(t.Context(), head)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b := make([]byte, d.Size)
		if _, err := d.ReadAt(b, 0); err != nil || !strings.HasPrefix(string(b), "go.sum database tree\n") {
			t.Errorf("%s: %q, %v; want a signed head", name, b, err)
		}
	}
	src := Format{}.Source(newRemote(t, u, map[string]string{"sumdb": u.Database + " " + u.URL + "/sumdb/" + sumName}))
	u.set("/sumdb/"+sumName+"/latest", "go.sum database tree\n0\nAAAA\n\n— x y\n")
	if _, err := src.Document(t.Context(), head); !millpond.Is(err, millpond.BadUpstream) {
		t.Errorf("a head that it did not sign: %v; want bad upstream", err)
	}
	if _, err := src.Document(t.Context(), millpond.Key{Package: testPath, File: "latest"}); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("a document of a module: %v; want not found", err)
	}
}

func TestVerifyTile(t *testing.T) {
	hash := strings.Repeat("x", tlog.HashSize)
	record := testPath + " v1.0.0 h1:a\n" + testPath + " v1.0.0/go.mod h1:b\n\n"
	for _, c := range []struct {
		path, body string
		ok         bool
	}{
		{"tile/8/0/000.p/3", hash + hash + hash, true},
		{"tile/8/0/000.p/3", hash + hash, false},
		{"tile/8/0/000", strings.Repeat(hash, 256), true},
		{"tile/8/0/000", strings.Repeat(hash, 257), false},
		{"tile/8/data/000.p/2", record + record, true},
		{"tile/8/data/000.p/2", record, false},
		{"tile/8/data/000.p/1", record + "more", false},
	} {
		err := source{}.Verify(t.Context(), millpond.Key{Package: sumPackage + sumName, File: c.path}, strings.NewReader(c.body), int64(len(c.body)))
		if (err == nil) != c.ok {
			t.Errorf("%s of %d bytes: %v; want accepted %t", c.path, len(c.body), err, c.ok)
		}
	}
}

func TestDatabases(t *testing.T) {
	option := "sum.example/db+1234abcd+AAAA https://db.example/x/\n  \nother.example; off\n+bad+x"
	got := databases(option)
	want := []database{
		{Name: "sum.example/db", Key: "sum.example/db+1234abcd+AAAA", URL: "https://db.example/x/"},
		{Name: "other.example"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("databases(%q) = %+v; want %+v", option, got, want)
	}
}
