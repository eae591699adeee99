package inflate_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"millpond/inflate"
)

// texts are of every sort that packs differently.
func texts() map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n, letters int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.IntN(letters))
		}
		return b
	}
	words := strings.Fields("func return error if err != nil { } the of package import range := context Context string []byte for")
	var prose strings.Builder
	for prose.Len() < 110_000 {
		prose.WriteString(words[random.IntN(len(words))])
		prose.WriteByte(" \n\t"[random.IntN(3)])
	}
	var rare []byte // letters so seldom that their codes have fifteen bits
	for i := range 18 {
		rare = append(rare, bytes.Repeat([]byte{byte(i * 11)}, 1<<i/3+1)...)
	}
	random.Shuffle(len(rare), func(i, j int) { rare[i], rare[j] = rare[j], rare[i] })
	far := noise(32<<10, 256)
	return map[string][]byte{
		"nothing":         {},
		"a byte":          {'x'},
		"one letter":      bytes.Repeat([]byte{'a'}, 110_000),
		"two letters":     bytes.Repeat([]byte{'a', 'b'}, 60_000),
		"seven letters":   bytes.Repeat([]byte("abcdefg"), 20_000),
		"eight letters":   bytes.Repeat([]byte("abcdefgh"), 20_000),
		"noise":           noise(120_000, 256),
		"four letters":    noise(120_000, 4),
		"some letters":    noise(120_000, 90),
		"prose":           []byte(prose.String()),
		"prose and noise": []byte(prose.String()[:50_000] + string(noise(40_001, 256)) + prose.String()[50_000:90_000] + string(noise(30_000, 256)) + "end"),
		"rare letters":    rare,
		"far back":        slices.Concat(far, far, far, far, far, far),
		"almost too far":  slices.Concat(far[1:], []byte{'x'}, far[1:], far[1:], far[2:]),
	}
}

func packed(t testing.TB, text []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err == nil {
		_, err = w.Write(text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var levels = []int{flate.NoCompression, flate.HuffmanOnly, 1, 6}

// TestUnpacks reads what another packed, in pieces of all sorts.
func TestUnpacks(t *testing.T) {
	r := new(inflate.Reader)
	for name, text := range texts() {
		for _, level := range levels {
			stream := packed(t, text, level)
			for how, source := range map[string]io.Reader{
				"whole":     bytes.NewReader(stream),
				"halves":    iotest.HalfReader(bytes.NewReader(stream)),
				"bytes":     iotest.OneByteReader(bytes.NewReader(stream)),
				"early end": iotest.DataErrReader(bytes.NewReader(stream)),
			} {
				if how == "bytes" && len(text) > 100_000 && name != "prose and noise" {
					continue // that takes long
				}
				r.Reset(source)
				got, err := io.ReadAll(iotest.HalfReader(r))
				if err != nil || !bytes.Equal(got, text) {
					t.Fatalf("%s, level %d, %s: %d bytes, %v; want %d, the same", name, level, how, len(got), err, len(text))
				}
				if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Fatalf("%s, level %d, %s: after the end Read = %d, %v", name, level, how, n, err)
				}
			}
			r.Reset(bytes.NewReader(stream))
			var all bytes.Buffer
			if n, err := r.WriteTo(&all); n != int64(len(text)) || err != nil || !bytes.Equal(all.Bytes(), text) {
				t.Fatalf("%s, level %d: WriteTo = %d, %v; want %d, the same", name, level, n, err, len(text))
			}
		}
	}
}

// judged compares with compress/flate: what that takes, and only that, is taken.
func judged(r *inflate.Reader, stream []byte) error {
	want, wrong := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(stream)), 4<<20))
	for how, source := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "bytes": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		r.Reset(source)
		got, err := io.ReadAll(io.LimitReader(r, 4<<20))
		if (err == nil) != (wrong == nil) || errors.Is(err, io.ErrUnexpectedEOF) != errors.Is(wrong, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%s: %v, compress/flate says %v", how, err, wrong)
		}
		if n := min(len(got), len(want)); !bytes.Equal(got[:n], want[:n]) || err == nil && len(got) != len(want) {
			return fmt.Errorf("%s: %d bytes, %v; compress/flate reads %d others, %v", how, len(got), err, len(want), wrong)
		}
	}
	return nil
}

func TestDamageIsSeen(t *testing.T) {
	r := new(inflate.Reader)
	random := rand.New(rand.NewPCG(3, 4))
	for name, text := range texts() {
		text = text[:min(len(text), 20_000)]
		for _, level := range levels {
			stream := packed(t, text, level)
			for range 30 {
				hurt := bytes.Clone(stream[:random.IntN(len(stream)+1)])
				for range random.IntN(3) {
					if len(hurt) > 0 {
						hurt[random.IntN(min(len(hurt), 1+random.IntN(len(hurt))))] ^= 1 << random.IntN(8)
					}
				}
				if err := judged(r, hurt); err != nil {
					t.Fatalf("%s, level %d: %v\n%x", name, level, err, hurt[:min(len(hurt), 500)])
				}
			}
		}
	}
}

// A stream is written bit by bit.
type stream struct {
	b []byte
	n int
}

// put adds the low bits of v, the lowest first.
func (s *stream) put(v, bits int) *stream {
	for i := range bits {
		if s.n%8 == 0 {
			s.b = append(s.b, 0)
		}
		s.b[s.n/8] |= byte(v>>i&1) << (s.n % 8)
		s.n++
	}
	return s
}

// code adds a code, which is written with its first bit first.
func (s *stream) code(v, bits int) *stream {
	for i := bits - 1; i >= 0; i-- {
		s.put(v>>i, 1)
	}
	return s
}

// block begins a last block whose codes have those lengths, told one by one with five bits each.
func block(lit, dist []int) *stream {
	s := new(stream).put(1, 1).put(2, 2).put(len(lit)-257, 5).put(len(dist)-1, 5).put(15, 4)
	for _, symbol := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} {
		if symbol < 16 {
			s.put(4, 3) // lengths up to 15 are told in four bits, as themselves
		} else {
			s.put(0, 3)
		}
	}
	for _, n := range slices.Concat(lit, dist) {
		s.code(n, 4)
	}
	return s
}

// of are n lengths, all zero but those that are given in pairs: a symbol, and its length.
func of(n int, pairs ...int) []int {
	all := make([]int, n)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

// TestCodesAreWhole tries codes that are none, or that nobody writes.
func TestCodesAreWhole(t *testing.T) {
	r := new(inflate.Reader)
	fixed := func() *stream { return new(stream).put(1, 1).put(1, 2) }
	a := func(s *stream) *stream { return s.code(0x30+'a', 8) }
	long := of(257, 'a', 1, 'b', 2, 'c', 3, 'd', 4, 'e', 5, 'f', 6, 'g', 7, 'h', 8, 'i', 9, 'j', 10, 'k', 11, 'l', 12, 'm', 13, 'n', 14, 'o', 15, 256, 15)
	for _, c := range []struct {
		name   string
		stream *stream
		ok     bool
	}{
		{"the end only", block(of(257, 256, 1), of(1)).code(0, 1), true},
		{"the code's other bit", block(of(257, 256, 1), of(1)).code(1, 1).put(0, 64), false},
		{"no code at all", block(of(257), of(1)).put(0, 64), false},
		{"no end", block(of(257, 'a', 1, 'b', 1), of(1)).put(0, 64), false},
		{"codes missing", block(of(257, 'a', 2, 256, 2), of(1)).put(0, 64), false},
		{"one code of two bits", block(of(257, 256, 2), of(1)).put(0, 64), false},
		{"a code too many", block(of(257, 'a', 1, 'b', 1, 256, 1), of(1)).put(0, 64), false},
		{"codes of fifteen bits", block(long, of(1)).code(0x7ffe, 15).code(0, 1).code(0x7fff, 15), true},
		{"one distance", block(of(258, 'a', 2, 'b', 2, 256, 2, 257, 2), of(1, 0, 1)).code(0, 2).code(3, 2).code(0, 1).code(2, 2), true},
		{"its other bit", block(of(258, 'a', 2, 'b', 2, 256, 2, 257, 2), of(1, 0, 1)).code(0, 2).code(3, 2).code(1, 1).put(0, 64), false},
		{"a match without distances", block(of(258, 'a', 2, 'b', 2, 256, 2, 257, 2), of(1)).code(0, 2).code(3, 2).put(0, 64), false},
		{"distances missing", block(of(258, 'a', 2, 'b', 2, 256, 2, 257, 2), of(2, 0, 2, 1, 2)).code(2, 2), false},
		{"287 codes", block(of(287, 'a', 1, 256, 1), of(1)).code(1, 1), false},
		{"31 distances", block(of(257, 'a', 1, 256, 1), of(31)).code(1, 1), false},
		{"a match before the beginning", a(fixed()).code(1, 7).code(1, 5).code(0, 7), false},
		{"a match from the beginning", a(fixed()).code(1, 7).code(0, 5).code(0, 7), true},
		{"the longest match", a(fixed()).code(0xc5, 8).code(0, 5).code(0, 7), true},
		{"258 told with bits", a(fixed()).code(0xc4, 8).put(31, 5).code(0, 5).code(0, 7), true},
		{"length 286", a(fixed()).code(0xc6, 8).code(0, 5).code(0, 7), false},
		{"length 287", a(fixed()).code(0xc7, 8).code(0, 5).code(0, 7), false},
		{"distance 30", a(fixed()).code(1, 7).code(30, 5).put(0, 64), false},
		{"distance 31", a(fixed()).code(1, 7).code(31, 5).put(0, 64), false},
		{"a block of no sort", new(stream).put(1, 1).put(3, 2).put(0, 64), false},
		{"stored", new(stream).put(1, 1).put(0, 7).put(2, 16).put(0xfffd, 16).put('x', 8).put('y', 8), true},
		{"stored, of no bytes", new(stream).put(1, 1).put(0, 7).put(0, 16).put(0xffff, 16), true},
		{"stored, told twice differently", new(stream).put(1, 1).put(0, 7).put(2, 16).put(0xfffc, 16).put('x', 8).put('y', 8), false},
		{"stored, cut short", new(stream).put(1, 1).put(0, 7).put(2, 16).put(0xfffd, 16).put('x', 8), false},
		{"nothing", new(stream), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			// With more behind the stream the fast decoder reads it, else the careful one.
			for _, behind := range []int{0, 100} {
				b := append(bytes.Clone(c.stream.b), make([]byte, behind)...)
				r.Reset(bytes.NewReader(b))
				_, err := io.ReadAll(io.LimitReader(r, 1<<20))
				if (err == nil) != c.ok && !(behind > 0 && errors.Is(err, io.ErrUnexpectedEOF)) && !strings.Contains(c.name, "cut short") && c.name != "nothing" {
					t.Errorf("with %d bytes behind it: %v, want it taken: %t", behind, err, c.ok)
				}
				if err := judged(r, b); err != nil {
					t.Errorf("with %d bytes behind it: %v", behind, err)
				}
			}
		})
	}
}

// TestRest finds what is behind a stream, and asks for no more than that.
func TestRest(t *testing.T) {
	r := new(inflate.Reader)
	behind := "and this is behind it, in two parts"
	for name, text := range texts() {
		text = text[:min(len(text), 30_000)]
		for _, level := range levels {
			stream := packed(t, text, level)
			for _, source := range []io.Reader{
				strings.NewReader(string(stream) + behind),
				io.MultiReader(bytes.NewReader(stream), iotest.ErrReader(errors.New("asked for too much"))),
				io.MultiReader(iotest.OneByteReader(bytes.NewReader(stream)), strings.NewReader(behind)),
			} {
				r.Reset(source)
				if n, err := io.Copy(io.Discard, r); n != int64(len(text)) || err != nil {
					t.Fatalf("%s, level %d: %d bytes, %v; want %d", name, level, n, err, len(text))
				}
				rest, err := io.ReadAll(io.MultiReader(bytes.NewReader(r.Rest()), source))
				if err == nil && string(rest) != behind {
					t.Fatalf("%s, level %d: behind it is %q, want %q", name, level, rest, behind)
				}
			}
		}
	}
}

func TestErrorsOfTheSource(t *testing.T) {
	r := new(inflate.Reader)
	broke := errors.New("broke")
	stream := packed(t, texts()["prose"], 6)
	for _, at := range []int{0, 1, 100, len(stream) / 2, len(stream) - 1} {
		r.Reset(io.MultiReader(bytes.NewReader(stream[:at]), iotest.ErrReader(broke)))
		if _, err := io.Copy(io.Discard, r); err != broke {
			t.Errorf("a source that breaks at %d: %v, want its error", at, err)
		}
	}
	r.Reset(stuck{})
	if _, err := io.Copy(io.Discard, r); err != io.ErrNoProgress {
		t.Errorf("a source that gives nothing: %v, want %v", err, io.ErrNoProgress)
	}
}

// stuck gives neither bytes nor an error.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func FuzzAsFlate(f *testing.F) {
	for _, text := range texts() {
		for _, level := range levels {
			if s := packed(f, text[:min(len(text), 3000)], level); len(s) < 3000 {
				f.Add(s)
			}
		}
	}
	r := new(inflate.Reader)
	f.Fuzz(func(t *testing.T, stream []byte) {
		if err := judged(r, stream); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkUnpack(b *testing.B) {
	for _, name := range []string{"prose", "some letters", "one letter"} {
		text := texts()[name]
		stream := packed(b, text, 6)
		b.Run(name, func(b *testing.B) {
			r := new(inflate.Reader)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r.Reset(bytes.NewReader(stream))
				if n, err := io.Copy(io.Discard, r); n != int64(len(text)) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
