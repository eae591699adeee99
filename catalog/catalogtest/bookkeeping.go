package catalogtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

func testAnswers(t *testing.T, open Open) {
	c := fresh(t, open)
	ctx := t.Context()
	get := func(t *testing.T, want *catalog.Answer) {
		t.Helper()
		got, err := c.Answer(ctx, want.Question)
		must(t, err)
		same(t, "answer", got, want)
	}
	t.Run("none", func(t *testing.T) {
		_, err := c.Answer(ctx, question("none", "p"))
		kind(t, "answer", err, millpond.NotFound)
		kind(t, "confirm", c.Confirm(ctx, question("none", "p"), at(1), at(2)), millpond.NotFound)
	})
	t.Run("all fields", func(t *testing.T) {
		a := fullAnswer("fields", "p")
		must(t, c.PutAnswer(ctx, a))
		get(t, a)
	})
	t.Run("replaced whole", func(t *testing.T) {
		a := fullAnswer("replaced", "p")
		must(t, c.PutAnswer(ctx, a))
		a = &catalog.Answer{Question: a.Question, Absent: true, Why: "404 Not Found", Checked: at(9)}
		must(t, c.PutAnswer(ctx, a))
		get(t, a)
		a = &catalog.Answer{Question: a.Question, Record: []byte("again"), Documents: []catalog.Document{{URL: "u"}}}
		must(t, c.PutAnswer(ctx, a))
		get(t, a)
	})
	t.Run("absent has no record", func(t *testing.T) {
		a := fullAnswer("absent", "p")
		a.Absent = true
		kind(t, "put", c.PutAnswer(ctx, a), millpond.Invalid)
		_, err := c.Answer(ctx, a.Question)
		kind(t, "answer", err, millpond.NotFound)
	})
	t.Run("large record", func(t *testing.T) {
		a := fullAnswer("large", "p")
		a.Record = make([]byte, 5<<20)
		rand.NewChaCha8([32]byte{1}).Read(a.Record)
		must(t, c.PutAnswer(ctx, a))
		got, err := c.Answer(ctx, a.Question)
		must(t, err)
		if !bytes.Equal(got.Record, a.Record) || len(got.Documents) != 3 {
			t.Errorf("got %d bytes and %d documents; want the %d bytes put and 3", len(got.Record), len(got.Documents), len(a.Record))
		}
	})
	t.Run("confirmed", func(t *testing.T) {
		a := fullAnswer("confirmed", "p")
		must(t, c.PutAnswer(ctx, a))
		must(t, c.Confirm(ctx, a.Question, at(100), at(200)))
		a.Checked, a.Fresh, a.Doubt = at(100), at(200), time.Time{}
		get(t, a)
	})
	t.Run("questions are not mixed up", func(t *testing.T) {
		var asked []catalog.Question
		for _, s := range near {
			asked = append(asked,
				catalog.Question{Layer: "near" + s, Kind: "k", Package: "x", Name: "y"}, catalog.Question{Layer: "near", Kind: "k" + s, Package: "x", Name: "y"},
				catalog.Question{Layer: "near", Kind: "k", Package: s, Name: "b"}, catalog.Question{Layer: "near", Kind: "k", Package: "a", Name: s + "/n"},
				catalog.Question{Layer: "near", Kind: "k", Package: "b", Name: s})
		}
		want := map[catalog.Question]string{}
		for _, q := range asked {
			if want[q] == "" {
				want[q] = fmt.Sprint("record ", len(want))
				must(t, c.PutAnswer(ctx, &catalog.Answer{Question: q, Record: []byte(want[q])}))
			}
		}
		for q, record := range want {
			a, err := c.Answer(ctx, q)
			if err != nil || string(a.Record) != record {
				t.Errorf("%q: got %v, %v; want record %q", q, a, err, record)
			}
		}
	})
	t.Run("dropped", func(t *testing.T) {
		for i := range 1200 {
			must(t, c.PutAnswer(ctx, &catalog.Answer{Question: catalog.Question{Layer: "drop", Package: "p", Name: fmt.Sprint(i)}, Absent: true}))
		}
		must(t, c.PutAnswer(ctx, fullAnswer("drop", "q")))
		must(t, c.PutAnswer(ctx, fullAnswer("drop2", "p")))
		must(t, c.DropAnswers(ctx, "drop", "p"))
		_, err := c.Answer(ctx, catalog.Question{Layer: "drop", Package: "p", Name: "1199"})
		kind(t, "answer of the package", err, millpond.NotFound)
		get(t, fullAnswer("drop", "q"))
		must(t, c.DropAnswers(ctx, "drop", ""))
		_, err = c.Answer(ctx, fullAnswer("drop", "q").Question)
		kind(t, "answer of the layer", err, millpond.NotFound)
		get(t, fullAnswer("drop2", "p"))
	})
}

func testHoldings(t *testing.T, open Open) {
	c := fresh(t, open)
	ctx := t.Context()
	held := func(t *testing.T, layer, pkg string) (keys []millpond.Key) {
		t.Helper()
		for h, err := range c.Held(ctx, layer, pkg) {
			must(t, err)
			keys = append(keys, h.Key)
		}
		return keys
	}
	t.Run("none", func(t *testing.T) {
		_, err := c.Holding(ctx, "none", millpond.Key{Package: "p"})
		kind(t, "holding", err, millpond.NotFound)
		if keys := held(t, "none", ""); keys != nil {
			t.Errorf("held: got %v; want nothing", keys)
		}
	})
	t.Run("all fields, then evicted", func(t *testing.T) {
		h := fullHolding("fields", millpond.Key{Package: "p", Version: "1", File: "f"})
		must(t, c.PutHolding(ctx, h))
		got, err := c.Holding(ctx, h.Layer, h.Key)
		must(t, err)
		same(t, "holding", got, h)
		h.Blob, h.Keep, h.Detail, h.Digests = millpond.Digest{}, false, nil, nil
		must(t, c.PutHolding(ctx, h))
		got, err = c.Holding(ctx, h.Layer, h.Key)
		must(t, err)
		same(t, "evicted", got, h)
	})
	t.Run("a note changes nothing else", func(t *testing.T) {
		h := fullHolding("notes", millpond.Key{Package: "p", Version: "1", File: "f"})
		other := fullHolding("notes", millpond.Key{Package: "p", Version: "1", File: "g"})
		must(t, c.PutHolding(ctx, h))
		must(t, c.PutHolding(ctx, other))
		h.Detail = json.RawMessage(`{"noted":true}`)
		must(t, c.NoteHolding(ctx, h.Layer, h.Key, h.SHA256, h.Detail))
		kind(t, "note of other bytes", c.NoteHolding(ctx, h.Layer, h.Key, sha("other"), nil), millpond.NotFound)
		kind(t, "note of no holding", c.NoteHolding(ctx, "none", h.Key, h.SHA256, nil), millpond.NotFound)
		for _, want := range []*catalog.Holding{h, other} {
			got, err := c.Holding(ctx, want.Layer, want.Key)
			must(t, err)
			same(t, "noted", got, want)
		}
	})
	t.Run("keys are not mixed up", func(t *testing.T) {
		want := map[millpond.Key]int64{}
		for _, s := range near {
			for _, k := range []millpond.Key{{Package: s, Version: "b", File: "c"}, {Package: "a", Version: s, File: "c"}, {Package: "a", Version: "b", File: s}} {
				if want[k] == 0 {
					want[k] = int64(len(want) + 1)
					must(t, c.PutHolding(ctx, &catalog.Holding{Layer: "near", Key: k, Size: want[k]}))
				}
			}
		}
		for k, size := range want {
			if h, err := c.Holding(ctx, "near", k); err != nil || h.Size != size {
				t.Errorf("%q: got %v, %v; want size %d", k, h, err, size)
			}
		}
		if got := held(t, "near", ""); len(got) != len(want) {
			t.Errorf("held: got %d; want %d", len(got), len(want))
		}
	})
	t.Run("in order", func(t *testing.T) {
		var want []millpond.Key
		for i := range 600 { // more than any page
			k := millpond.Key{Package: "p", Version: fmt.Sprintf("%03d", i/3), File: fmt.Sprint(i % 3)}
			want = append(want, k)
		}
		want = append([]millpond.Key{{Package: "p"}, {Package: "p", File: "f"}}, want...)
		for _, i := range rand.Perm(len(want)) {
			must(t, c.PutHolding(ctx, &catalog.Holding{Layer: "order", Key: want[i], Blob: sha(want[i].String()), Size: 1}))
		}
		other := millpond.Key{Package: "q"}
		must(t, c.PutHolding(ctx, &catalog.Holding{Layer: "order", Key: other}))
		must(t, c.PutHolding(ctx, &catalog.Holding{Layer: "order2", Key: want[0]}))
		same(t, "held of one", held(t, "order", "p"), want)
		same(t, "held of all", held(t, "order", ""), append(slices.Clone(want), other))
		var beyond []millpond.Key
		for h, err := range c.HeldAfter(ctx, "order", "") {
			must(t, err)
			beyond = append(beyond, h.Key)
		}
		same(t, "held beyond nothing", beyond, append(slices.Clone(want), other))
		for h, err := range c.HeldAfter(ctx, "order", "p") {
			must(t, err)
			same(t, "held beyond p", h.Key, other)
		}
	})
	t.Run("the loop may change and stop", func(t *testing.T) {
		n := 0
		for h, err := range c.Held(ctx, "order", "") {
			must(t, err)
			h.Blob = millpond.Digest{}
			must(t, c.PutHolding(ctx, h))
			if n++; n == 300 {
				break
			}
		}
	})
	t.Run("layers", func(t *testing.T) {
		must(t, c.PutAnswer(ctx, fullAnswer("layer of answers", "p")))
		h := put(t, c, "layer of both", "f", "x", at(1))
		put(t, c, "layer of both", "g", "x", at(1))
		must(t, c.PutAnswer(ctx, fullAnswer("layer of both", "p")))
		must(t, c.PutAnswer(ctx, fullAnswer("layer of nothing", "p")))
		must(t, c.DropAnswers(ctx, "layer of nothing", ""))
		h.Size = 250
		must(t, c.PutHolding(ctx, h))
		got, err := c.Layers(ctx)
		must(t, err)
		same(t, "layers", got, map[string]int64{
			"fields": 0, "near": 0, "notes": 200, "order": 302, "order2": 0, "layer of answers": 0, "layer of both": 350,
		})
	})
}

func testDerivations(t *testing.T, open Open) {
	c := fresh(t, open)
	ctx := t.Context()
	derived := func(name, stamp, encoding string) *catalog.Derived {
		return &catalog.Derived{
			Repository: "r", Name: name, Stamp: stamp, Encoding: encoding, Type: "text/html",
			Blob: sha(name + stamp + encoding), Size: 7, Modified: at(3),
		}
	}
	get := func(t *testing.T, want *catalog.Derived) {
		t.Helper()
		got, err := c.Derived(ctx, want.Repository, want.Name, want.Stamp, want.Encoding)
		must(t, err)
		same(t, "derived", got, want)
	}
	none := func(t *testing.T, d *catalog.Derived) {
		t.Helper()
		_, err := c.Derived(ctx, d.Repository, d.Name, d.Stamp, d.Encoding)
		kind(t, fmt.Sprintf("derived %s %s %q", d.Name, d.Stamp, d.Encoding), err, millpond.NotFound)
	}
	none(t, derived("a", "s1", ""))
	for _, d := range []*catalog.Derived{derived("a", "s1", ""), derived("a", "s1", "gzip"), derived("b", "s1", "")} {
		must(t, c.PutDerived(ctx, d))
		get(t, d)
	}
	get(t, derived("a", "s1", ""))
	none(t, derived("a", "s2", ""))
	none(t, derived("a", "s1", "zstd"))

	must(t, c.PutDerived(ctx, derived("a", "s2", "")))
	get(t, derived("a", "s2", ""))
	none(t, derived("a", "s1", ""))
	none(t, derived("a", "s1", "gzip"))
	get(t, derived("b", "s1", ""))

	again := derived("a", "s2", "")
	again.Size, again.Blob = 9, sha("again")
	must(t, c.PutDerived(ctx, again))
	get(t, again)

	got, err := c.Totals(ctx)
	must(t, err)
	same(t, "totals", got, catalog.Totals{Derived: 2, DerivedBytes: 16})

	// A family: two stay besides the newest, and what was the newest a moment ago.
	family := func() (names []string) {
		t.Helper()
		all, err := c.Family(ctx, "r", "f")
		must(t, err)
		for _, d := range all {
			if d.Stamp != d.Name || d.Blob.IsZero() || d.Size != 7 {
				t.Errorf("a member of the family is %+v", d)
			}
			names = append(names, d.Name)
		}
		return names
	}
	member := func(n int, after time.Duration, linger time.Duration) {
		t.Helper()
		stamp := fmt.Sprintf("s%d", n)
		d := derived("f\x00"+stamp, stamp, "")
		d.Modified, d.Keep, d.Linger = at(3).Add(after), 2, linger
		must(t, c.PutDerived(ctx, d))
	}
	for n := range 5 {
		member(n, time.Duration(n)*time.Hour, 0)
	}
	same(t, "a family of three", family(), []string{"s4", "s3", "s2"})
	for n := 5; n < 9; n++ {
		member(n, 10*time.Hour+time.Duration(n)*time.Second, time.Minute)
	}
	same(t, "what was the newest a moment ago stays", family(), []string{"s8", "s7", "s6", "s5", "s4"})
	member(9, 11*time.Hour, time.Minute)
	same(t, "and goes", family(), []string{"s9", "s8", "s7"})
	got, err = c.Totals(ctx)
	must(t, err)
	same(t, "totals with a family", got, catalog.Totals{Derived: 5, DerivedBytes: 37})
}

func holders(t *testing.T, c catalog.Catalog, d millpond.Digest) (all []*catalog.Holding) {
	t.Helper()
	for h, err := range c.Holders(t.Context(), d) {
		must(t, err)
		all = append(all, h)
	}
	return all
}

func testLoseBlob(t *testing.T, open Open) {
	c := fresh(t, open)
	ctx := t.Context()
	lost := document(0).Blob
	a := fullAnswer("l", "p") // documents 2, 0, 1
	must(t, c.PutAnswer(ctx, a))
	all := fullAnswer("l", "q")
	all.Documents = []catalog.Document{document(0), document(0)}
	must(t, c.PutAnswer(ctx, all))
	h := fullHolding("l", millpond.Key{Package: "p", File: "f"})
	h.Blob = lost
	must(t, c.PutHolding(ctx, h))
	other := put(t, c, "l", "g", "other", at(1))
	of, err := c.Holder(ctx, "l", lost)
	must(t, err)
	same(t, "holder", of, h)
	again := fullHolding("k", millpond.Key{Package: "p", Version: "1", File: "f"})
	again.Blob = lost
	must(t, c.PutHolding(ctx, again))
	same(t, "holders", holders(t, c, lost), []*catalog.Holding{again, h})
	same(t, "how many hold nothing", len(holders(t, c, sha("nothing")))+len(holders(t, c, millpond.Digest{})), 0)
	must(t, c.DropHoldings(ctx, "k", "p", "1"))
	for _, none := range []struct {
		layer  string
		digest millpond.Digest
	}{{"k", lost}, {"l", sha("nothing")}, {"l", millpond.Digest{}}} {
		_, err := c.Holder(ctx, none.layer, none.digest)
		kind(t, "holder of none", err, millpond.NotFound)
	}
	must(t, c.PutDerived(ctx, &catalog.Derived{Repository: "r", Name: "n", Stamp: "s", Blob: lost, Size: 1}))
	must(t, c.PutDerived(ctx, &catalog.Derived{Repository: "r", Name: "m", Stamp: "s", Blob: sha("other"), Size: 2}))

	must(t, c.LoseBlob(ctx, lost))
	must(t, c.LoseBlob(ctx, lost))
	must(t, c.LoseBlob(ctx, millpond.Digest{}))
	_, err = c.Holder(ctx, "l", lost)
	kind(t, "holder of what is lost", err, millpond.NotFound)

	h.Blob = millpond.Digest{}
	got, err := c.Holding(ctx, "l", h.Key)
	must(t, err)
	same(t, "holding", got, h)
	got, err = c.Holding(ctx, "l", other.Key)
	must(t, err)
	same(t, "other holding", got, other)
	a.Documents = []catalog.Document{document(2), document(1)}
	all.Documents = nil
	for _, want := range []*catalog.Answer{a, all} {
		got, err := c.Answer(ctx, want.Question)
		must(t, err)
		same(t, "answer", got, want)
	}
	_, err = c.Derived(ctx, "r", "n", "s", "")
	kind(t, "derived", err, millpond.NotFound)

	must(t, c.LoseBlob(ctx, document(2).Blob)) // the first
	a.Documents = a.Documents[1:]
	gotA, err := c.Answer(ctx, a.Question)
	must(t, err)
	same(t, "answer without its first document", gotA, a)
	named, err := c.Named(ctx, []millpond.Digest{lost, sha("other")})
	must(t, err)
	same(t, "named", maps.Collect(maps.All(named)), map[millpond.Digest]bool{sha("other"): true})
	totals, err := c.Totals(ctx)
	must(t, err)
	same(t, "totals", totals, catalog.Totals{Answers: 2, Holdings: 2, Derived: 1, HeldBytes: 100, DerivedBytes: 2})
}

func testUses(t *testing.T, open Open) {
	ctx := t.Context()
	oldest := func(t *testing.T, c catalog.Catalog) (blobs []millpond.Digest) {
		t.Helper()
		for u, err := range c.Oldest(ctx) {
			must(t, err)
			blobs = append(blobs, u.Blob)
		}
		return blobs
	}
	blobs := func(names ...string) (ds []millpond.Digest) {
		for _, n := range names {
			ds = append(ds, sha(n))
		}
		return ds
	}
	t.Run("least recently used first", func(t *testing.T) {
		c := fresh(t, open)
		put(t, c, "l", "1", "one", at(10))
		put(t, c, "l", "2", "two", at(20))
		put(t, c, "l", "3", "three", at(30))
		put(t, c, "m", "3", "three", at(31))
		same(t, "never read", oldest(t, c), blobs("one", "two", "three"))
		must(t, c.Used(ctx, []catalog.Use{{Blob: sha("one"), Size: 100, At: at(50)}, {Blob: sha("nothing"), At: at(1)}, {Blob: sha("three"), At: at(5)}}))
		same(t, "one was read", oldest(t, c), blobs("two", "three", "one"))
		for u, err := range c.Oldest(ctx) {
			must(t, err)
			same(t, "the first", u, catalog.Use{Blob: sha("two"), Size: 100, At: at(20)})
			break
		}
	})
	t.Run("what must stay", func(t *testing.T) {
		c := fresh(t, open)
		keep := put(t, c, "l", "1", "keep", at(1))
		keep.Keep = true
		must(t, c.PutHolding(ctx, keep))
		put(t, c, "m", "1", "keep", at(1)) // the same blob, without Keep
		gone := put(t, c, "l", "2", "gone", at(2))
		put(t, c, "l", "3", "shared", at(3))
		shared := put(t, c, "m", "3", "shared", at(3))
		must(t, c.PutAnswer(ctx, fullAnswer("l", "p")))
		must(t, c.PutDerived(ctx, &catalog.Derived{Repository: "r", Name: "n", Stamp: "s", Blob: sha("derived")}))
		must(t, c.Used(ctx, []catalog.Use{{Blob: sha("derived"), At: at(9)}, {Blob: document(0).Blob, At: at(9)}}))
		gone.Blob, shared.Blob = millpond.Digest{}, millpond.Digest{}
		must(t, c.PutHolding(ctx, gone))
		must(t, c.PutHolding(ctx, shared))
		same(t, "oldest", oldest(t, c), blobs("shared"))

		ask := append(blobs("keep", "gone", "shared", "derived", "nothing"), document(0).Blob, document(2).Blob, document(0).Text, millpond.Digest{})
		named, err := c.Named(ctx, ask)
		must(t, err)
		for d, is := range named {
			if !is {
				delete(named, d)
			}
		}
		want := map[millpond.Digest]bool{document(0).Blob: true, document(2).Blob: true}
		for _, d := range blobs("keep", "shared", "derived") {
			want[d] = true
		}
		same(t, "named", named, want)

		keep.Keep = false
		must(t, c.PutHolding(ctx, keep))
		same(t, "released", oldest(t, c), blobs("keep", "shared"))
	})
	t.Run("many, evicted and used meanwhile", func(t *testing.T) {
		c := fresh(t, open)
		const all = 700 // more than any page
		for i := range all {
			put(t, c, "l", fmt.Sprint(i), fmt.Sprint(i), at(i/2)) // two of each time
		}
		seen := map[millpond.Digest]bool{}
		var last time.Time
		n := 0
		for u, err := range c.Oldest(ctx) {
			must(t, err)
			if seen[u.Blob] || u.At.Before(last) {
				t.Fatalf("blob %d: yielded twice (%v), or %v comes after %v", n, seen[u.Blob], u.At, last)
			}
			seen[u.Blob], last = true, u.At
			if n++; n%2 == 0 {
				must(t, c.LoseBlob(ctx, u.Blob))
			} else {
				must(t, c.Used(ctx, []catalog.Use{{Blob: u.Blob, At: at(10_000)}}))
			}
		}
		if n != all {
			t.Errorf("got %d blobs; want %d", n, all)
		}
		if left := oldest(t, c); len(left) != all/2 {
			t.Errorf("left: got %d; want %d", len(left), all/2)
		}
		got, err := c.Totals(ctx)
		must(t, err)
		same(t, "totals", got, catalog.Totals{Holdings: all, HeldBytes: all / 2 * 100})
	})
}
