package inflate_test

import (
	"bytes"
	"compress/gzip"
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

func gzipped(t testing.TB, text []byte, h gzip.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Header = h
	_, err := w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gunzipped compares with compress/gzip.
func gunzipped(z *inflate.Gzip, file []byte) error {
	var want []byte
	theirs, wrong := gzip.NewReader(bytes.NewReader(file))
	if wrong == nil {
		want, wrong = io.ReadAll(theirs)
	}
	for how, source := range map[string]io.Reader{
		"whole": bytes.NewReader(file), "bytes": iotest.OneByteReader(bytes.NewReader(file)),
	} {
		var got []byte
		err := z.Reset(source)
		if err == nil {
			got, err = io.ReadAll(z)
		}
		for _, kind := range []error{io.EOF, io.ErrUnexpectedEOF, gzip.ErrHeader, gzip.ErrChecksum} {
			if errors.Is(err, kind) != errors.Is(wrong, kind) {
				return fmt.Errorf("%s: %v, compress/gzip says %v", how, err, wrong)
			}
		}
		if n := min(len(got), len(want)); (err == nil) != (wrong == nil) || !bytes.Equal(got[:n], want[:n]) || err == nil && len(got) != len(want) {
			return fmt.Errorf("%s: %d bytes, %v; compress/gzip reads %d, %v", how, len(got), err, len(want), wrong)
		}
	}
	return nil
}

func TestGzip(t *testing.T) {
	z := new(inflate.Gzip)
	prose := texts()["prose"]
	plain := gzipped(t, prose, gzip.Header{})
	all := gzip.Header{Name: "name", Comment: "a comm\u00e9nt", Extra: []byte("extra")}
	summed := gzipped(t, prose[:1000], gzip.Header{Name: "x"})
	summed[3] |= 1 << 1
	summed = slices.Insert(summed, 12, 0x2b, 0x89)
	for _, c := range []struct {
		name string
		file []byte
		text []byte
		err  error
	}{
		{"plain", plain, prose, nil},
		{"of nothing", gzipped(t, nil, gzip.Header{}), nil, nil},
		{"with all that a head may have", gzipped(t, prose, all), prose, nil},
		{"two in a row", slices.Concat(plain, gzipped(t, prose[:99], all)), slices.Concat(prose, prose[:99]), nil},
		{"nothing of it", nil, nil, io.EOF},
		{"half a head", plain[:5], nil, io.ErrUnexpectedEOF},
		{"no gzip", []byte("<html><body>no gzip</body></html>"), nil, gzip.ErrHeader},
		{"something behind it", slices.Concat(plain, []byte("something else")), prose, gzip.ErrHeader},
		{"half a head behind it", slices.Concat(plain, plain[:5]), prose, io.ErrUnexpectedEOF},
		{"zeros behind it", slices.Concat(plain, make([]byte, 512)), prose, gzip.ErrHeader},
		{"another sum", flipped(plain, len(plain)-8), prose, gzip.ErrChecksum},
		{"another size", flipped(plain, len(plain)-1), prose, gzip.ErrChecksum},
		{"without its end", plain[:len(plain)-3], prose, io.ErrUnexpectedEOF},
		{"a long name", gzipped(t, prose, gzip.Header{Name: strings.Repeat("x", 511)}), prose, nil},
		{"a name too long", gzipped(t, prose, gzip.Header{Name: strings.Repeat("x", 512)}), nil, gzip.ErrHeader},
		{"a sum of the head that is another's", summed, nil, gzip.ErrHeader},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []byte
			err := z.Reset(bytes.NewReader(c.file))
			if err == nil {
				got, err = io.ReadAll(z)
			}
			if !errors.Is(err, c.err) || !bytes.Equal(got, c.text) {
				t.Errorf("%d bytes, %v; want %d, %v", len(got), err, len(c.text), c.err)
			}
			if err := gunzipped(z, c.file); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGzipSourceBreaks has a source that breaks off between two files, which is no end.
func TestGzipSourceBreaks(t *testing.T) {
	z := new(inflate.Gzip)
	file := gzipped(t, []byte("text"), gzip.Header{})
	for _, broke := range []error{io.ErrUnexpectedEOF, errors.New("broke")} {
		err := z.Reset(io.MultiReader(bytes.NewReader(file), iotest.ErrReader(broke)))
		if err == nil {
			_, err = io.Copy(io.Discard, z)
		}
		if err != broke {
			t.Errorf("%v, want %v", err, broke)
		}
		if err := z.Reset(iotest.ErrReader(broke)); err != broke {
			t.Errorf("before the first: %v, want %v", err, broke)
		}
	}
}

// TestGzipHeadSum has a sum of its head, which compress/gzip reads and does not write.
func TestGzipHeadSum(t *testing.T) {
	z := new(inflate.Gzip)
	taken := 0
	file := gzipped(t, []byte("text"), gzip.Header{Name: "x"})
	file[3] |= 1 << 1
	for sum := range 1 << 16 {
		b := slices.Insert(bytes.Clone(file), 12, byte(sum), byte(sum>>8))
		err := z.Reset(bytes.NewReader(b))
		if err == nil {
			taken++
			if err := gunzipped(z, b); err != nil {
				t.Error(err)
			}
		} else if err != gzip.ErrHeader {
			t.Fatal(err)
		}
	}
	if taken != 1 {
		t.Errorf("%d sums are taken, want one", taken)
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestGzipDamageIsSeen(t *testing.T) {
	z := new(inflate.Gzip)
	random := rand.New(rand.NewPCG(5, 6))
	file := slices.Concat(gzipped(t, texts()["prose"][:3000], gzip.Header{Name: "n", Extra: []byte("e")}), gzipped(t, nil, gzip.Header{}))
	for range 1000 {
		hurt := bytes.Clone(file[:random.IntN(len(file)+1)])
		if len(hurt) > 0 {
			hurt[random.IntN(len(hurt))] ^= 1 << random.IntN(8)
		}
		if err := gunzipped(z, hurt); err != nil {
			t.Fatalf("%v\n%x", err, hurt)
		}
	}
}

func FuzzAsGzip(f *testing.F) {
	f.Add(gzipped(f, texts()["prose"][:1000], gzip.Header{Name: "n", Comment: "c", Extra: []byte("e")}))
	z := new(inflate.Gzip)
	f.Fuzz(func(t *testing.T, file []byte) {
		if bytes.Count(file, []byte{0xff}) > 2000 {
			return // a bomb
		}
		if err := gunzipped(z, file); err != nil {
			t.Error(err)
		}
	})
}
