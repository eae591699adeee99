package disk_test

import (
	"testing"

	"millpond"
	"millpond/blob"
	"millpond/blob/disk"
)

func TestLow(t *testing.T) {
	free := int64(1000)
	room := func() (int64, int64, error) { return free, 5000, nil }
	s := open(t, t.TempDir(), disk.Options{Low: 200, Room: room})
	if got, err := s.Room(t.Context()); err != nil || got != (blob.Room{Free: 1000, Total: 5000}) {
		t.Fatalf("Room = %+v, %v; want 1000 of 5000", got, err)
	}
	begin := func() *disk.Writer {
		t.Helper()
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		t.Cleanup(func() { w.Close() })
		return w.(*disk.Writer)
	}
	expect := func(what string, err error, full bool) {
		t.Helper()
		if full && !millpond.Is(err, millpond.Full) || !full && err != nil {
			t.Errorf("%s = %v, want Full: %t", what, err, full)
		}
	}
	one, two := begin(), begin()
	expect("Expect(801) with 800 to spare", one.Expect(801), true)
	expect("Expect(500) with 800 to spare", one.Expect(500), false)
	expect("Expect(301) with 300 to spare", two.Expect(301), true)
	_, err := two.Write(make([]byte, 301))
	expect("Write of 301 with 300 to spare", err, true)
	_, err = two.Write(make([]byte, 300))
	expect("Write of 300 with 300 to spare", err, false)
	free -= 300 // as the disk says then
	_, err = two.Write(make([]byte, 1))
	expect("Write of 1 with nothing to spare", err, true)
	_, err = one.Write(make([]byte, 500))
	expect("Write of what was expected", err, false)
	free -= 500
	_, err = one.Write(make([]byte, 1))
	expect("Write of 1 more than was expected", err, true)
	_, err = s.Create(t.Context())
	expect("Create with nothing to spare", err, true)
	_, err = two.Commit(t.Context())
	expect("Commit with nothing to spare", err, false)
	free += 600
	_, err = one.Write(make([]byte, 100))
	expect("Write when room has returned", err, false)
}

// What was reserved is given back, however a writer ends.
func TestReservationsEnd(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{Room: func() (int64, int64, error) { return 1000, 1000, nil }})
	ends := map[string]func(w blob.Writer){
		"close":   func(w blob.Writer) {},
		"discard": func(w blob.Writer) { w.Discard() },
		"commit":  func(w blob.Writer) { w.Commit(t.Context()) },
		"corrupt": func(w blob.Writer) { w.Commit(t.Context(), millpond.SHA256([]byte("other"))) },
		"expect":  func(w blob.Writer) { w.(blob.Hint).Expect(10) },
	}
	for name, end := range ends {
		for range 3 {
			w, err := s.Create(t.Context())
			if err != nil {
				t.Fatalf("%s: Create: %v", name, err)
			}
			if err := w.(blob.Hint).Expect(1000); err != nil {
				t.Fatalf("%s: Expect of all there is: %v", name, err)
			}
			if _, err := w.Write([]byte(name)); err != nil {
				t.Fatalf("%s: Write: %v", name, err)
			}
			end(w)
			w.Close()
		}
	}
}
