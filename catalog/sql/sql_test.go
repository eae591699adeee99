package sql_test

import (
	"testing"

	"millpond/catalog"
	"millpond/catalog/catalogtest"
	"millpond/catalog/sql"
)

// open opens the catalog in dir and closes it when the test ends.
func open(t testing.TB, dir string) catalog.Catalog {
	t.Helper()
	c, err := sql.Open(t.Context(), dir, sql.Options{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// openAny opens the catalog in dir; the suite closes it.
func openAny(t testing.TB, dir string) catalog.Catalog {
	t.Helper()
	c, err := sql.Open(t.Context(), dir, sql.Options{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return c
}

func TestCatalog(t *testing.T) {
	catalogtest.Run(t, openAny)
}

func TestKill(t *testing.T) {
	catalogtest.Kill(t, openAny)
}
