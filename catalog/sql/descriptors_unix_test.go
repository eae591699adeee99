//go:build unix

package sql

import (
	"context"
	"syscall"
	"testing"

	"millpond"
	"millpond/catalog"
)

// F38: a read for which no further file can be opened is refused as what the operator must see to, and nothing is thought damaged:
// all is well when there are descriptors again.
func TestF38NoDescriptors(t *testing.T) {
	c, _ := opened(t, t.TempDir())
	must(t, set(c, "a", "1"))
	var was syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was))
	none := was
	none.Cur = 0 // what is open stays so
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	back := func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)) }
	defer back()
	// Each view within another wants a connection of its own.
	var deeper func(n int) error
	deeper = func(n int) error {
		return c.View(context.Background(), func(tx catalog.Tx) error {
			if _, err := tx.Setting("a"); err != nil || n == 0 {
				return err
			}
			return deeper(n - 1)
		})
	}
	refused(t, "a view that needs another file", deeper(3), millpond.Unready, changesName, "cannot be opened once more")
	back()
	must(t, deeper(3))
	must(t, set(c, "a", "2"))
	if found, err := c.Check(context.Background()); err != nil || found != nil {
		t.Errorf("Check = %q, %v, want nothing", found, err)
	}
}
