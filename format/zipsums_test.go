package format_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"millpond/format"
)

// membersOf is an archive of so many members, each of another size.
func membersOf(t testing.TB, count int) (archive []byte, sums [][sha256.Size]byte, total int64) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range count {
		text := bytes.Repeat([]byte(fmt.Sprintln("func", i, i*i)), i*i%700)
		w, err := z.Create(fmt.Sprintf("member-%03d", i))
		if err == nil {
			_, err = w.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		sums, total = append(sums, sha256.Sum256(text)), total+int64(len(text))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), sums, total
}

func opened(t testing.TB, archive []byte) []*zip.File {
	t.Helper()
	z, err := format.OpenZip(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	return z.File
}

func TestSumMembers(t *testing.T) {
	for _, count := range []int{0, 1, 3, 4, 15, 16, 17, 40, 200} {
		archive, want, total := membersOf(t, count)
		for range 3 { // what unpacks and hashes them is used again
			members := opened(t, archive)
			got := make([][sha256.Size]byte, count)
			if err := format.SumMembers(t.Context(), members, got, total); err != nil {
				t.Fatalf("%d members: %v", count, err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%d members: the sum of the %dth is %x, want %x", count, i, got[i], want[i])
				}
			}
			if total == 0 {
				continue
			}
			if err := format.SumMembers(t.Context(), members, got, total-1); !errors.Is(err, format.ErrUnpacked) {
				t.Errorf("%d members, and a byte less allowed than they have: %v", count, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := format.SumMembers(ctx, members, got, total); !errors.Is(err, context.Canceled) {
				t.Errorf("%d members, and the context ended: %v", count, err)
			}
		}
	}
}

// TestSumMembersSeesDamage hurts one member after the other: in its bytes, its sum, and its size, and by an end too soon.
func TestSumMembersSeesDamage(t *testing.T) {
	for _, count := range []int{3, 40} {
		whole, _, total := membersOf(t, count)
		for i, f := range opened(t, whole) {
			at, err := f.DataOffset()
			if err != nil {
				t.Fatal(err)
			}
			entry := bytes.LastIndex(whole, []byte(f.Name)) - 46 // in the directory
			for what, hurt := range map[string]func(b []byte){
				"its sum":     func(b []byte) { b[entry+16] ^= 1 },
				"its size":    func(b []byte) { b[entry+24]++ },
				"its bytes":   func(b []byte) { b[at] |= 6 }, // a block of no sort
				"an end soon": func(b []byte) { binary.LittleEndian.PutUint32(b[entry+20:], uint32(f.CompressedSize64)-1) },
			} {
				archive := bytes.Clone(whole)
				hurt(archive)
				err := format.SumMembers(t.Context(), opened(t, archive), make([][sha256.Size]byte, count), total+1)
				if err == nil {
					t.Errorf("of %d members, %s hurt in the %dth: taken", count, what, i)
				}
			}
		}
	}
}

// BenchmarkSumMembers is of an archive with a module's sizes.
func BenchmarkSumMembers(b *testing.B) {
	archive, sums, total := membersOf(b, 600)
	members := opened(b, archive)
	b.SetBytes(total)
	for b.Loop() {
		if err := format.SumMembers(b.Context(), members, sums, total); err != nil {
			b.Fatal(err)
		}
	}
}
