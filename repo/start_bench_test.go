package repo_test

import (
	"context"
	"flag"
	"fmt"
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

// BenchmarkStartBesideUploads is F53: how long a pond takes to open beside so many upload sessions that nobody has finished,
// and beside none.
func BenchmarkStartBesideUploads(b *testing.B) {
	for _, n := range []int{0, *sessionsThere} {
		dir := b.TempDir()
		c, err := sql.Open(b.Context(), dir, sql.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < n; {
			if err := c.Update(b.Context(), millpond.Actor{Name: "ann"}, func(tx catalog.Tx) error {
				for until := min(n, i+5000); i < until; i++ {
					e := &catalog.Entry{Kind: "upload", ID: fmt.Sprintf("%032d", i), Owner: "ann", Value: []byte(`{"Repository":"r","Package":"alpha"}`), Expires: time.Now().Add(24 * time.Hour)}
					if err := tx.AddEntry(e); err != nil {
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
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
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
				for _, close := range []func() error{func() error { return pond.Close(context.Background()) }, records.Close, blobs.Close} {
					if err := close(); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
		})
	}
}
