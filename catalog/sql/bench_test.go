package sql_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

// rows is how many records the benchmarks find in the catalog. The cost of a look-up should not depend on it.
const rows = 20_000

func benchAnswer(i int) *catalog.Answer {
	now := time.UnixMilli(1_700_000_000_000)
	return &catalog.Answer{
		Question: catalog.Question{Layer: "pypi/upstream", Kind: "package", Package: fmt.Sprint("name-", i)},
		Record:   make([]byte, 2000),
		Documents: []catalog.Document{{
			URL: fmt.Sprint("https://upstream.example/simple/name-", i, "/"), Accept: "application/json", ETag: `"abc"`, Type: "application/json",
			Text: millpond.SHA256([]byte{byte(i)}), Blob: millpond.SHA256(fmt.Append(nil, "document", i)), Size: 4000,
		}},
		Checked: now, Fresh: now.Add(time.Minute), Changed: now,
	}
}

func benchHolding(i int) *catalog.Holding {
	d := millpond.SHA256(fmt.Append(nil, "bytes", i))
	return &catalog.Holding{
		Layer: "pypi/upstream", Key: millpond.Key{Package: fmt.Sprint("name-", i/10), Version: fmt.Sprint("1.", i), File: fmt.Sprint("name-1.", i, ".tar.gz")},
		Blob: d, SHA256: d, Digests: []millpond.Digest{d}, Size: 1000, Type: "application/gzip",
		URL: fmt.Sprint("https://upstream.example/files/", i), Modified: time.UnixMilli(1_700_000_000_000),
	}
}

func benchDerived(i int) *catalog.Derived {
	return &catalog.Derived{
		Repository: "pypi", Name: fmt.Sprint("simple/name-", i), Stamp: "s1", Encoding: "gzip", Type: "text/html",
		Blob: millpond.SHA256(fmt.Append(nil, "derived", i)), Size: 500, Modified: time.UnixMilli(1_700_000_000_000),
	}
}

// filled is a catalog with rows records of each kind.
func filled(b *testing.B) catalog.Catalog {
	c := open(b, b.TempDir())
	fill := func(put func(i int) error) {
		next := atomic.Int64{}
		done := make(chan error)
		const workers = 64 // so that they share commits
		for range workers {
			go func() {
				var err error
				for i := next.Add(1) - 1; i < rows && err == nil; i = next.Add(1) - 1 {
					err = put(int(i))
				}
				done <- err
			}()
		}
		for range workers {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	}
	fill(func(i int) error { return c.PutAnswer(b.Context(), benchAnswer(i)) })
	fill(func(i int) error { return c.PutHolding(b.Context(), benchHolding(i)) })
	fill(func(i int) error { return c.PutDerived(b.Context(), benchDerived(i)) })
	b.ReportAllocs()
	b.ResetTimer()
	return c
}

func BenchmarkAnswer(b *testing.B) {
	c := filled(b)
	for i := 0; b.Loop(); i++ {
		q := catalog.Question{Layer: "pypi/upstream", Kind: "package", Package: fmt.Sprint("name-", i*7919%rows)}
		if _, err := c.Answer(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHolding(b *testing.B) {
	c := filled(b)
	for i := 0; b.Loop(); i++ {
		n := i * 7919 % rows
		k := millpond.Key{Package: fmt.Sprint("name-", n/10), Version: fmt.Sprint("1.", n), File: fmt.Sprint("name-1.", n, ".tar.gz")}
		if _, err := c.Holding(b.Context(), "pypi/upstream", k); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDerived(b *testing.B) {
	c := filled(b)
	for i := 0; b.Loop(); i++ {
		if _, err := c.Derived(b.Context(), "pypi", fmt.Sprint("simple/name-", i*7919%rows), "s1", "gzip"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNamed(b *testing.B) {
	c := filled(b)
	for i := 0; b.Loop(); i++ {
		d := benchHolding(i * 7919 % rows).Blob
		if named, err := c.Named(b.Context(), []millpond.Digest{d}); err != nil || !named[d] {
			b.Fatal(named, err)
		}
	}
}

func BenchmarkTotals(b *testing.B) {
	c := filled(b)
	for b.Loop() {
		if _, err := c.Totals(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutAnswer(b *testing.B) {
	c := filled(b)
	for i := 0; b.Loop(); i++ {
		if err := c.PutAnswer(b.Context(), benchAnswer(i*7919%(2*rows))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutHolding(b *testing.B) {
	c := filled(b)
	for i := 0; b.Loop(); i++ {
		if err := c.PutHolding(b.Context(), benchHolding(i*7919%(2*rows))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConfirm(b *testing.B) {
	c := filled(b)
	for i := 0; b.Loop(); i++ {
		if err := c.Confirm(b.Context(), benchAnswer(i*7919%rows).Question, time.Now(), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

func benchUpdate(c catalog.Catalog, b *testing.B) error {
	return c.Update(b.Context(), millpond.Actor{Name: "bench"}, func(tx catalog.Tx) error {
		return tx.Emit(millpond.Event{Verb: "publish", Repository: "pypi", Key: millpond.Key{Package: "name"}})
	})
}

// BenchmarkUpdate is one writer alone: each update has a commit of its own.
func BenchmarkUpdate(b *testing.B) {
	c := open(b, b.TempDir())
	for b.Loop() {
		if err := benchUpdate(c, b); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdateTogether is 64 writers, who share commits.
func BenchmarkUpdateTogether(b *testing.B) {
	c := open(b, b.TempDir())
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := benchUpdate(c, b); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
