package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
)

func TestOpenReadsVerifiesAndKeeps(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, small, small + 1, small + lastBytes + 1, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d chunked=%v", n, chunked), func(t *testing.T) {
				r, b := newRig(t), noise(n)
				r.srv.Put("/f", faulty.Object{Body: b, ETag: `"1"`, Chunked: chunked, Type: "application/x-thing"})
				f := r.file("/f", b)
				var sealed Sealed
				f.Sealed = func(_ context.Context, s Sealed) error { sealed = s; return nil }
				r.good(f, b)
				r.held(b)
				if sealed.Blob != millpond.SHA256(b) || sealed.Size != int64(n) || sealed.Type != "application/x-thing" ||
					sealed.URL.String() != f.URL || sealed.Wire != int64(n) || sealed.Duration <= 0 {
					t.Errorf("told %+v", sealed)
				}
				r.srv.Want(t, "/f", 1)
				r.good(f, b) // of what has just ended
				r.srv.Want(t, "/f", 1)
			})
		}
	}
}

func TestLastBytesWaitForTheSeal(t *testing.T) {
	const n = 3 << 20
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked=%v", chunked), func(t *testing.T) {
			r, b := newRig(t), noise(n)
			r.srv.Put("/f", faulty.Object{Body: b, Chunked: chunked})
			f := r.file("/f", b)
			sealing, seal := make(chan struct{}), make(chan struct{})
			f.Sealed = func(context.Context, Sealed) error {
				close(sealing)
				<-seal
				return nil
			}
			body, err := r.up.Open(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			<-sealing
			if got := body.Arrived(); got != n-lastBytes {
				t.Errorf("%d bytes may be read before the seal, want %d", got, n-lastBytes)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if body.Await(ctx, n) || !body.Await(ctx, n-lastBytes) {
				t.Error("Await lets the end be read before the seal, or does not let the rest be read")
			}
			close(seal)
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, b) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if !body.Await(ctx, n) || body.Size() != n {
				t.Errorf("after the end: size %d", body.Size())
			}
		})
	}
	t.Run("an error of Sealed fails the download", func(t *testing.T) {
		r, b := newRig(t), noise(n)
		r.srv.Put("/f", faulty.Object{Body: b})
		f := r.file("/f", b)
		f.Sealed = func(context.Context, Sealed) error { return errors.New("catalog is on fire") }
		r.bad(f, millpond.Internal, "catalog is on fire")
		r.held(b) // which the sweep takes
	})
}

func TestVerifyIsAskedBeforeTheSeal(t *testing.T) {
	r, b := newRig(t), noise(2<<20)
	r.srv.Put("/f", faulty.Object{Body: b})
	f := r.file("/f", b)
	f.Verify = func(_ context.Context, ra io.ReaderAt, size int64) error {
		got, err := io.ReadAll(io.NewSectionReader(ra, 0, size))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("Verify sees %d bytes, %v", len(got), err)
		}
		r.held()
		return &millpond.Error{Kind: millpond.Corrupt, Why: "h1 differs"}
	}
	r.bad(f, millpond.Corrupt, "h1 differs")
	r.held()
	f.Want = []millpond.Digest{millpond.SHA256([]byte("x"))}
	f.Verify = func(context.Context, io.ReaderAt, int64) error { t.Error("asked about wrong bytes"); return nil }
	r.bad(f, millpond.Corrupt, "not the declared ones")
}

func TestCallbacksThatPanic(t *testing.T) {
	r, b := newRig(t), noise(1000)
	r.srv.Put("/f", faulty.Object{Body: b})
	f := r.file("/f", b)
	f.Sniff = func(head []byte) error { _ = head[1<<20]; return nil }
	r.bad(f, millpond.Internal, "a download panicked")
	f.Sniff, f.Verify = nil, func(context.Context, io.ReaderAt, int64) error { panic("not a zip") }
	r.bad(f, millpond.Internal, "a download panicked")
	f.Verify = nil
	r.good(f, b)
}

func TestDropKeepsNothing(t *testing.T) {
	for _, n := range []int{1000, 3 << 20} {
		r, b := newRig(t), noise(n)
		r.srv.Put("/f", faulty.Object{Body: b})
		f := r.file("/f", b)
		f.Drop = true
		f.Sealed = func(context.Context, Sealed) error { t.Error("sealed"); return nil }
		r.good(f, b)
		r.held()
		r.srv.Order("/f", "always lie")
		r.bad(f, millpond.Corrupt, "not the declared ones")
		r.held()
	}
}

func TestGetWritesTheBytes(t *testing.T) {
	r, b := newRig(t), noise(2<<20)
	f := File{ID: "built", URL: "x", Size: -1, Want: []millpond.Digest{millpond.SHA256(b)}}
	f.Get = func(_ context.Context, w io.Writer) error { _, err := w.Write(b); return err }
	r.good(f, b)
	r.held(b)
	f.ID = "fails"
	f.Get = func(_ context.Context, w io.Writer) error { w.Write(b[:100]); return errors.New("the build broke") }
	r.bad(f, millpond.Internal, "the build broke")
	r.srv.Want(t, "", 0)
}

func TestSizesAndLimits(t *testing.T) {
	b := noise(2 << 20)
	for _, chunked := range []bool{false, true} {
		r := newRig(t)
		r.srv.Put("/f", faulty.Object{Body: b, Chunked: chunked})
		f := r.file("/f", nil)
		f.Size = int64(len(b)) + 1
		r.bad(f, millpond.Corrupt, "where 2097153 were declared")
		f.Size = int64(len(b)) - 1
		r.bad(f, millpond.Corrupt, "where 2097151 were declared")
		f.Size, f.Limit = -1, 1<<20
		r.bad(f, millpond.BadUpstream, "larger than the limit of 1 MiB")
		f.Limit = int64(len(b))
		r.good(f, b)
	}
}

func TestSeekAndCloseWhileItGrows(t *testing.T) {
	const n = 4 << 20
	r, b := newRig(t), noise(n)
	r.srv.Put("/f", faulty.Object{Body: b})
	gate := r.srv.Gate("/f", 2<<20)
	body, err := r.up.Open(t.Context(), r.file("/f", b))
	if err != nil {
		t.Fatal(err)
	}
	if at, err := body.Seek(-100, io.SeekEnd); at != n-100 || err != nil {
		t.Errorf("seek to %d, %v", at, err)
	}
	waiting, err := r.up.Open(t.Context(), r.file("/f", b))
	if err != nil {
		t.Fatal(err)
	}
	waiting.Seek(3<<20, io.SeekStart)
	ended := make(chan error)
	go func() {
		_, err := waiting.Read(make([]byte, 10))
		ended <- err
	}()
	waiting.Close()
	if err := <-ended; err == nil {
		t.Error("a Read of a closed body had no error")
	}
	gate.Open()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, b[n-100:]) {
		t.Errorf("the end: %d bytes, %v", len(got), err)
	}
	body.Close()
	if _, err := body.Read(make([]byte, 1)); err == nil {
		t.Error("read from a closed body")
	}
}
