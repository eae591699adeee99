package seekable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"millpond"
)

// text is n bytes that look like an index: they shrink, and no two places are alike.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"version":"%d.%d.%d","sha":"%x"},`, i/100, i/10%10, i%10, uint64(i)*0x9E3779B97F4A7C15)
	}
	return b.Bytes()[:n]
}

// noise is n bytes that do not shrink.
func noise(n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{7})
	c.Read(b)
	return b
}

// compress writes b in steps of that many bytes.
func compress(t testing.TB, b []byte, step int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out)
	for rest := b; len(rest) > 0; {
		k := min(step, len(rest))
		if n, err := w.Write(rest[:k]); n != k || err != nil {
			t.Fatalf("Write of %d bytes = %d, %v", k, n, err)
		}
		rest = rest[k:]
	}
	if got := w.Size(); got != int64(len(b)) {
		t.Fatalf("Size of the writer = %d, want %d", got, len(b))
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("second Close: %v", err)
	}
	return out.Bytes()
}

func open(t testing.TB, packed []byte) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatalf("NewReader of %d bytes: %v", len(packed), err)
	}
	return r
}

var texts = []struct {
	name string
	text []byte
	step int
}{
	{"nothing", nil, 1},
	{"one byte", []byte("x"), 1},
	{"small", text(3000), 3000},
	{"a frame less one", text(FrameSize - 1), 100_000},
	{"a frame", text(FrameSize), FrameSize},
	{"a frame and one", text(FrameSize + 1), FrameSize + 1},
	{"many frames in odd steps", text(2*FrameSize + 4321), 77_777},
	{"many frames at once", text(2*FrameSize + 4321), 3 * FrameSize},
	{"noise", noise(2*FrameSize + 5), 1 << 17},
	{"one letter", bytes.Repeat([]byte("a"), 3*FrameSize), 1 << 20},
}

func TestRoundTrip(t *testing.T) {
	for _, test := range texts {
		t.Run(test.name, func(t *testing.T) {
			packed := compress(t, test.text, test.step)
			r := open(t, packed)
			if got := r.Size(); got != int64(len(test.text)) {
				t.Fatalf("Size = %d, want %d", got, len(test.text))
			}
			got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
			if err != nil || !bytes.Equal(got, test.text) {
				t.Fatalf("read %d bytes (equal %t), %v; want %d", len(got), bytes.Equal(got, test.text), err, len(test.text))
			}
			whole := make([]byte, len(test.text)+1)
			if n, err := r.ReadAt(whole, 0); n != len(test.text) || err != io.EOF || !bytes.Equal(whole[:n], test.text) {
				t.Fatalf("ReadAt of one more than all = %d, %v; want %d, EOF", n, err, len(test.text))
			}
		})
	}
}

// Anybody's zstd must read the files without knowing of the table.
func TestPlainDecoder(t *testing.T) {
	for _, test := range texts {
		t.Run(test.name, func(t *testing.T) {
			packed := compress(t, test.text, test.step)
			z, err := zstd.NewReader(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			got, err := io.ReadAll(z)
			if err != nil || !bytes.Equal(got, test.text) {
				t.Fatalf("stream decoder read %d bytes (equal %t), %v; want %d", len(got), bytes.Equal(got, test.text), err, len(test.text))
			}
			tool, err := exec.LookPath("zstd")
			if err != nil {
				t.Skip("no zstd tool here: checked with the library only")
			}
			file := filepath.Join(t.TempDir(), "text.zst")
			if err := os.WriteFile(file, packed, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err = exec.Command(tool, "-dc", file).Output()
			if err != nil || !bytes.Equal(got, test.text) {
				t.Fatalf("zstd -d gave %d bytes (equal %t), %v; want %d", len(got), bytes.Equal(got, test.text), err, len(test.text))
			}
		})
	}
}

func TestReadAtAnyOffset(t *testing.T) {
	want := text(3*FrameSize + 100)
	r := open(t, compress(t, want, 1<<16))
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		off := rnd.IntN(len(want) + 1)
		n := rnd.IntN(1 << rnd.IntN(22))
		p := make([]byte, n)
		got, err := r.ReadAt(p, int64(off))
		k := min(n, len(want)-off)
		if got != k || !bytes.Equal(p[:got], want[off:off+k]) {
			t.Fatalf("ReadAt(%d bytes, %d) = %d, %v; want %d (equal %t)", n, off, got, err, k, bytes.Equal(p[:got], want[off:off+got]))
		}
		if (err == io.EOF) != (k < n) || err != nil && err != io.EOF {
			t.Fatalf("ReadAt(%d bytes, %d) of %d: error %v", n, off, len(want), err)
		}
	}
	if n, err := r.ReadAt(make([]byte, 1), int64(len(want))); n != 0 || err != io.EOF {
		t.Errorf("ReadAt at the end = %d, %v; want 0, EOF", n, err)
	}
	if n, err := r.ReadAt(make([]byte, 1), int64(len(want))+FrameSize*9); n != 0 || err != io.EOF {
		t.Errorf("ReadAt far behind the end = %d, %v; want 0, EOF", n, err)
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("ReadAt(-1) = %v; want an error", err)
	}
}

func TestConcurrentReaders(t *testing.T) {
	want := text(4 * FrameSize)
	r := open(t, compress(t, want, 1<<17))
	var g sync.WaitGroup
	for i := range 8 {
		g.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(i)))
			for range 40 {
				off := rnd.IntN(len(want))
				p := make([]byte, min(rnd.IntN(1<<19), len(want)-off))
				if n, err := r.ReadAt(p, int64(off)); n != len(p) || err != nil || !bytes.Equal(p, want[off:off+len(p)]) {
					t.Errorf("ReadAt(%d bytes, %d) = %d, %v (equal %t)", len(p), off, n, err, bytes.Equal(p, want[off:off+len(p)]))
					return
				}
			}
		})
	}
	g.Wait()
}

// counter counts reads behind the table.
type counter struct {
	io.ReaderAt
	reads int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.ReaderAt.ReadAt(p, off)
}

func TestSequentialReadsDecodeEachFrameOnce(t *testing.T) {
	want := text(3 * FrameSize)
	packed := compress(t, want, 1<<17)
	c := &counter{ReaderAt: bytes.NewReader(packed)}
	r, err := NewReader(c, int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	c.reads = 0
	p := make([]byte, 4096)
	for off := int64(0); off < r.Size(); off += int64(len(p)) {
		if _, err := r.ReadAt(p, off); err != nil {
			t.Fatalf("ReadAt(%d): %v", off, err)
		}
	}
	if c.reads != 3 {
		t.Errorf("reading 3 frames in small steps took %d reads of the file, want 3", c.reads)
	}
}

func TestDamage(t *testing.T) {
	want := text(2*FrameSize + 10)
	packed := compress(t, want, 1<<17)
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(packed)) }
	end := len(packed)
	tests := []struct {
		name string
		file []byte
	}{
		{"nothing", nil},
		{"no zstd at all", []byte(strings.Repeat("no such thing ", 10))},
		{"cut at the end", edit(func(b []byte) []byte { return b[:end-1] })},
		{"cut at the start", edit(func(b []byte) []byte { return b[1:] })},
		{"frames doubled", edit(func(b []byte) []byte { return append(b[:1000:1000], b...) })},
		{"more frames than bytes", edit(func(b []byte) []byte { b[end-9], b[end-6] = 0xff, 0xff; return b })},
		{"fewer frames", edit(func(b []byte) []byte { b[end-9]--; return b })},
		{"descriptor", edit(func(b []byte) []byte { b[end-5] = 0x80; return b })},
		{"text longer than a frame", edit(func(b []byte) []byte { b[end-9-1]++; return b })},
		{"text shorter than its frame", edit(func(b []byte) []byte { b[end-9-4]--; return b })},
		{"frame boundary moved", edit(func(b []byte) []byte { b[end-9-24]++; b[end-9-16]--; return b })},
		{"bit in the first frame", edit(func(b []byte) []byte { b[5000] ^= 4; return b })},
		{"bit in the table's head", edit(func(b []byte) []byte { b[end-9-24-8] ^= 1; return b })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := NewReader(bytes.NewReader(test.file), int64(len(test.file)))
			if err == nil {
				_, err = io.Copy(io.Discard, io.NewSectionReader(r, 0, r.Size()))
			}
			if !millpond.Is(err, millpond.Corrupt) {
				t.Errorf("reading = %v (%v), want Corrupt", err, millpond.KindOf(err))
			}
		})
	}
}

var errDisk = errors.New("the disk is ill")

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) { return 0, errDisk }

func TestErrorsOfTheDiskAreNotDamage(t *testing.T) {
	if _, err := NewReader(&failing{}, 100); !errors.Is(err, errDisk) {
		t.Errorf("NewReader = %v, want %v", err, errDisk)
	}
	for writes := range 3 {
		w := NewWriter(&failing{left: writes})
		_, err := w.Write(text(2 * FrameSize))
		if err == nil {
			err = w.Close()
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("after %d writes: %v, want %v", writes, err, errDisk)
		}
		if err := w.Close(); !errors.Is(err, errDisk) {
			t.Errorf("after %d writes: Close after the failure = %v, want %v", writes, err, errDisk)
		}
	}
	w := NewWriter(io.Discard)
	w.Close()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write after Close succeeded")
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{}, int64(0))
	f.Add(compress(f, text(5000), 999), int64(17))
	f.Add(compress(f, nil, 1), int64(0))
	f.Add(compress(f, bytes.Repeat([]byte("ab"), FrameSize), 1<<20), int64(FrameSize-1))
	f.Fuzz(func(t *testing.T, file []byte, off int64) {
		r, err := NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		if r.Size() < 0 {
			t.Fatalf("Size = %d", r.Size())
		}
		p := make([]byte, 100)
		n, err := r.ReadAt(p, off)
		if n < len(p) && err == nil {
			t.Fatalf("ReadAt(%d bytes, %d) of %d = %d without an error", len(p), off, r.Size(), n)
		}
		if off < 0 && n != 0 {
			t.Fatalf("ReadAt(%d) gave %d bytes", off, n)
		}
		whole, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if err == nil && int64(len(whole)) != r.Size() {
			t.Fatalf("read %d bytes of %d without an error", len(whole), r.Size())
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("text"), uint16(2), uint32(1))
	f.Add([]byte{}, uint16(1), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, step uint16, times uint32) {
		want := bytes.Repeat(b, int(times%1000)) // so that there can be several frames
		if len(want) > 4*FrameSize {
			want = want[:4*FrameSize]
		}
		r := open(t, compress(t, want, max(1, int(step))))
		got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes (equal %t), %v; want %d", len(got), bytes.Equal(got, want), err, len(want))
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			t := text(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				w := NewWriter(io.Discard)
				w.Write(t)
				w.Close()
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			packed := compress(b, text(size), size)
			buf := make([]byte, 128<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(packed), int64(len(packed)))
				if err != nil {
					b.Fatal(err)
				}
				io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.NewSectionReader(r, 0, r.Size())}, buf)
			}
		})
	}
}
