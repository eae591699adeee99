package mem_test

import (
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/blobtest"
	"millpond/blob/mem"
)

func TestStore(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return mem.New() })
}

func TestStoreWithALimit(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return &mem.Store{Limit: 64 << 20} })
}

func TestLimit(t *testing.T) {
	s := &mem.Store{Limit: 100}
	free := func(want int64) {
		t.Helper()
		if r, err := s.Room(t.Context()); r != (blob.Room{Free: want, Total: 100}) || err != nil {
			t.Fatalf("Room = %+v, %v; want %d of 100", r, err, want)
		}
	}
	put := func(n int) (blob.Writer, millpond.Digest) {
		t.Helper()
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		if _, err := w.Write(make([]byte, n)); err != nil {
			t.Fatalf("Write of %d: %v", n, err)
		}
		d, err := w.Commit(t.Context())
		if err != nil {
			t.Fatalf("Commit of %d: %v", n, err)
		}
		return w, d
	}
	_, d := put(60)
	free(40)
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.(blob.Hint).Expect(41); !millpond.Is(err, millpond.Full) {
		t.Errorf("Expect(41) with 40 free = %v, want Full", err)
	}
	if n, err := w.Write(make([]byte, 41)); n != 0 || !millpond.Is(err, millpond.Full) {
		t.Errorf("Write of 41 with 40 free = %d, %v; want Full", n, err)
	}
	if _, err := w.Write(make([]byte, 40)); err != nil {
		t.Errorf("Write of 40 with 40 free: %v", err)
	}
	free(0)
	if _, err := s.Create(t.Context()); !millpond.Is(err, millpond.Full) {
		t.Errorf("Create with nothing free = %v, want Full", err)
	}
	w.Discard()
	free(40)
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	free(100)
	put(60)
	w, err = s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 30))
	w.Close()
	free(10)
	if err := s.Tidy(t.Context(), time.Now().Add(time.Minute), nil); err != nil {
		t.Fatal(err)
	}
	free(40)
	put(40) // other bytes
	free(0)
	s.Limit = 200
	if _, again := put(60); again != d {
		t.Fatalf("the same bytes have digests %s and %s", d, again)
	}
	if r, _ := s.Room(t.Context()); r.Free != 100 {
		t.Errorf("after sealing held bytes Free = %d, want 100", r.Free)
	}
}

func TestSealedFollowsTheClock(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 999, time.UTC)
	s := &mem.Store{Now: func() time.Time { return now }}
	for range 2 {
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info, err := s.Stat(t.Context(), d); err != nil || !info.Sealed.Equal(now.Truncate(time.Second)) {
			t.Errorf("Sealed = %v, %v; want %v in whole seconds", info.Sealed, err, now)
		}
		now = now.Add(time.Hour)
	}
}
