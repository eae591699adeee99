package repo_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/repo"
)

// sessionsThere is how many upload sessions BenchmarkStartBesideUploads leaves behind: F53 asks for 1000000.
var sessionsThere = flag.Int("sessions", 10_000, "how many upload sessions are left in BenchmarkStartBesideUploads") // never changed

// takedownsThere is how many takedowns BenchmarkStartBesideTakedowns begins with: a feed of advisories may bring 300000.
var takedownsThere = flag.Int("takedowns", 10_000, "how many takedowns stand in BenchmarkStartBesideTakedowns") // never changed

// BenchmarkStartBesideUploads is F53: how long a pond takes to open beside so many upload sessions that nobody has finished,
// and beside none.
func BenchmarkStartBesideUploads(b *testing.B) {
	for _, n := range []int{0, *sessionsThere} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			startBeside(b, n, func(i int) *catalog.Entry {
				return &catalog.Entry{Kind: "upload", ID: fmt.Sprintf("%032d", i), Owner: "ann", Value: []byte(`{"Repository":"r","Package":"alpha"}`), Expires: time.Now().Add(24 * time.Hour)}
			})
		})
	}
}

// BenchmarkStartBesideTakedowns is how long a pond takes to open beside so many takedowns, and what they need of memory.
func BenchmarkStartBesideTakedowns(b *testing.B) {
	for _, n := range []int{0, *takedownsThere} {
		b.Run(fmt.Sprintf("takedowns=%d", n), func(b *testing.B) {
			startBeside(b, n, func(i int) *catalog.Entry {
				value, err := json.Marshal(&repo.Takedown{
					ID: fmt.Sprintf("t%011d", i), Format: "npm", Package: fmt.Sprintf("evil-package-%d", i), Affected: []repo.Span{{Before: "99.9.9"}},
					Advisory: fmt.Sprintf("MAL-2026-%d", i), Why: "Malicious code in evil-package (npm)", By: "feed osv", Time: time.Now(),
				})
				if err != nil {
					b.Fatal(err)
				}
				return &catalog.Entry{Kind: "takedown", ID: fmt.Sprintf("t%011d", i), Value: value}
			})
		})
	}
}

// startBeside measures the opening of a pond whose catalog has n such entries.
func startBeside(b *testing.B, n int, entry func(i int) *catalog.Entry) {
	dir := b.TempDir()
	c, err := sql.Open(b.Context(), dir, sql.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < n; {
		if err := c.Update(b.Context(), millpond.Actor{Name: "ann"}, func(tx catalog.Tx) error {
			for until := min(n, i+5000); i < until; i++ {
				if err := tx.AddEntry(entry(i)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		blobs, err := disk.Open(dir, disk.Options{})
		if err != nil {
			b.Fatal(err)
		}
		records, err := sql.Open(context.Background(), dir, sql.Options{})
		if err != nil {
			b.Fatal(err)
		}
		pond, err := repo.New(context.Background(), repo.Parts{Blobs: blobs, Catalog: records})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
		for _, close := range []func() error{func() error { return pond.Close(context.Background()) }, records.Close, blobs.Close} {
			if err := close(); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
	}
}
