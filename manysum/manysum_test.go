package manysum_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"millpond/manysum"
)

// closing counts how often it is closed.
type closing struct {
	io.Reader
	closed *int
}

func (c closing) Close() error { *c.closed++; return nil }

func given(texts [][]byte, wrap func(io.Reader) io.Reader, sums [][sha256.Size]byte, closed []int) func() (manysum.Text, bool, error) {
	i := -1
	return func() (manysum.Text, bool, error) {
		if i++; i >= len(texts) {
			return manysum.Text{}, false, nil
		}
		return manysum.Text{ReadCloser: closing{wrap(bytes.NewReader(texts[i])), &closed[i]}, Sum: &sums[i]}, true, nil
	}
}

func fast(t testing.TB) {
	t.Helper()
	if !manysum.Fast() {
		t.Skip("this machine hashes one text after another")
	}
}

func TestSumsAreSums(t *testing.T) {
	fast(t)
	random := rand.New(rand.NewPCG(1, 2))
	var every [][]byte
	for n := range 300 {
		every = append(every, make([]byte, n))
	}
	for _, n := range []int{16<<10 - 64, 16<<10 - 9, 16<<10 - 8, 16<<10 - 1, 16 << 10, 16<<10 + 1, 32 << 10, 100_000, 1 << 20} {
		every = append(every, make([]byte, n))
	}
	for _, b := range every {
		for i := range b {
			b[i] = byte(random.Uint32())
		}
	}
	for range 30 {
		random.Shuffle(len(every), func(i, j int) { every[i], every[j] = every[j], every[i] })
		texts := every[:random.IntN(len(every)+1)]
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader} {
			sums, closed := make([][sha256.Size]byte, len(texts)), make([]int, len(texts))
			if err := manysum.All(given(texts, wrap, sums, closed)); err != nil {
				t.Fatal(err)
			}
			for i, text := range texts {
				if want := sha256.Sum256(text); sums[i] != want {
					t.Errorf("of %d texts, one of %d bytes: %x, want %x", len(texts), len(text), sums[i], want)
				}
				if closed[i] != 1 {
					t.Errorf("a text is closed %d times", closed[i])
				}
			}
		}
	}
}

func TestErrorsOfTexts(t *testing.T) {
	fast(t)
	for _, broke := range []error{errors.New("broke"), io.ErrUnexpectedEOF} { // a text that is cut short is no text
		t.Run(broke.Error(), func(t *testing.T) { errorsOfTexts(t, broke) })
	}
}

func errorsOfTexts(t *testing.T, broke error) {
	texts := make([][]byte, 40)
	for i := range texts {
		texts[i] = make([]byte, 100+i)
	}
	for at := range texts {
		sums, closed := make([][sha256.Size]byte, len(texts)), make([]int, len(texts))
		i := -1
		next := given(texts, func(r io.Reader) io.Reader {
			if i++; i == at {
				return io.MultiReader(io.LimitReader(r, 50), iotest.ErrReader(broke))
			}
			return r
		}, sums, closed)
		given := 0
		err := manysum.All(func() (manysum.Text, bool, error) { given++; return next() })
		if !errors.Is(err, broke) {
			t.Errorf("text %d breaks: %v, want its error", at, err)
		}
		for i := range min(given, len(texts)) {
			if closed[i] != 1 {
				t.Errorf("text %d breaks: %d is closed %d times", at, i, closed[i])
			}
		}
		given = 0
		err = manysum.All(func() (manysum.Text, bool, error) {
			if given++; given > at {
				return manysum.Text{}, false, broke
			}
			return manysum.Text{ReadCloser: io.NopCloser(bytes.NewReader(texts[0])), Sum: &sums[0]}, true, nil
		})
		if !errors.Is(err, broke) {
			t.Errorf("there is no text %d: %v, want its error", at, err)
		}
	}
}

func BenchmarkAll(b *testing.B) {
	fast(b)
	texts := make([][]byte, 64)
	for i := range texts {
		texts[i] = make([]byte, 20_000+1000*i)
	}
	total := 0
	for _, text := range texts {
		total += len(text)
	}
	sums, closed := make([][sha256.Size]byte, len(texts)), make([]int, len(texts))
	b.SetBytes(int64(total))
	for b.Loop() {
		if err := manysum.All(given(texts, func(r io.Reader) io.Reader { return r }, sums, closed)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOne(b *testing.B) {
	text := make([]byte, 50_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		sha256.Sum256(text)
	}
}
