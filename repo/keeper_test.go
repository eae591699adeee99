package repo_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"millpond/blob"
	"millpond/blob/mem"
	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/repo"
)

// illFor is a store that fails its first sweeps, and notes when each began.
type illFor struct {
	blob.Store
	fails int
	begun []time.Time
}

func (s *illFor) Tidy(ctx context.Context, before time.Time, stays func(string) bool) error {
	s.begun = append(s.begun, time.Now())
	if len(s.begun) <= s.fails {
		return errors.New("an input/output error")
	}
	return s.Store.Tidy(ctx, before, stays)
}

// TestFailedSweepIsTriedAgainSoon: a pond sweeps two minutes after its start and daily, and within the hour where it failed.
func TestFailedSweepIsTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, started := t.TempDir(), time.Now()
		store := &illFor{Store: &mem.Store{}, fails: 2}
		records, err := sql.Open(t.Context(), dir, sql.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pond, err := repo.New(t.Context(), repo.Parts{
			Blobs: store, Catalog: records, Fetch: &fetch.Engine{Blobs: store}, Scratch: filepath.Join(dir, "scratch"),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 27*time.Hour)
		defer stop()
		if err := pond.Run(ctx); err != nil {
			t.Error(err)
		}
		var after []time.Duration
		for _, at := range store.begun {
			after = append(after, at.Sub(started).Round(time.Minute))
		}
		if want := []time.Duration{2 * time.Minute, 62 * time.Minute, 122 * time.Minute, 26*time.Hour + 2*time.Minute}; !slices.Equal(after, want) {
			t.Errorf("swept after %v; want %v", after, want)
		}
		if err := errors.Join(pond.Close(context.Background()), records.Close()); err != nil {
			t.Error(err)
		}
	})
}
