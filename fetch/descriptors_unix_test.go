//go:build unix

package fetch

import (
	"fmt"
	"syscall"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
)

// F38: while this process can open nothing, downloads fail and say why; no upstream is thought ill for it, so that all is well as
// soon as something can be opened again.
func TestF38NoDescriptorsIsNoIllness(t *testing.T) {
	r, b := newRig(t), noise(3000)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := was
	none.Cur = 0 // what is open stays so
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	back := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
	defer back()
	for i := range 3 * rowLimit {
		path := fmt.Sprintf("/f%d", i)
		r.srv.Put(path, faulty.Object{Body: b})
		r.bad(r.file(path, b), millpond.BadUpstream, "this pond is out of files to open")
	}
	back()
	if s := r.up.State(); s.Open {
		t.Errorf("the upstream is thought ill: %+v", s)
	}
	r.good(r.file("/f0", b), b)
}
