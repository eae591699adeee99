package disk

import (
	"testing"

	"millpond"
)

// TestCheckChangesNothing: bytes that have not the digest that somebody wants stay, and take more.
func TestCheckChangesNothing(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	made, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := made.(*Writer)
	defer w.Close()
	half, whole := millpond.SHA256([]byte("half of ")), millpond.SHA256([]byte("half of it"))
	sum := millpond.NewHash("sha512")
	sum.Write([]byte("half of it"))
	long, err := millpond.NewDigest("sha512", sum.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, wrong bool, want ...millpond.Digest) {
		t.Helper()
		if err := w.Check(t.Context(), want...); millpond.Is(err, millpond.Corrupt) != wrong || !wrong && err != nil {
			t.Errorf("%s: got %v, want wrong bytes: %t", what, err, wrong)
		}
	}
	write("half of ")
	check("the half", false, half)
	check("the whole, of which half is there", true, whole)
	write("it")
	check("the half, when all is there", true, half)
	check("the right one and a wrong one", true, whole, half)
	check("both algorithms", false, whole, long)
	if d, err := w.Commit(t.Context(), whole, long); err != nil || d != whole {
		t.Errorf("commit: got %v %v, want %v", d, err, whole)
	}
	if err := w.Check(t.Context(), whole); err == nil {
		t.Error("a committed blob can still be checked")
	}
}
