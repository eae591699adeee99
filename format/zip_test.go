package format_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"millpond"
	"millpond/format"
)

// zipOf is an archive of so many empty members, whose names have so many letters.
func zipOf(t *testing.T, members, letters int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	name := []byte(strings.Repeat("x", letters))
	for i := range members {
		binary.LittleEndian.PutUint32(name, uint32(i)|0x80808080)
		if _, err := z.CreateRaw(&zip.FileHeader{Name: string(name)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// few makes the end of an archive of more than 65,535 members say that there are only as many as are over: the end that
// counts further is taken out, and archive/zip compares 16 bits.
func few(archive []byte) []byte {
	long := bytes.LastIndex(archive, []byte("PK\x06\x06"))
	end := bytes.Clone(archive[len(archive)-22:])
	for _, at := range []int{8, 10} {
		binary.LittleEndian.PutUint16(end[at:], uint16(binary.LittleEndian.Uint64(archive[long+32:])))
	}
	binary.LittleEndian.PutUint32(end[12:], uint32(binary.LittleEndian.Uint64(archive[long+40:])))
	binary.LittleEndian.PutUint32(end[16:], uint32(binary.LittleEndian.Uint64(archive[long+48:])))
	return append(bytes.Clone(archive[:long]), end...)
}

func TestS04OpenZipIsBounded(t *testing.T) {
	small, full, over := zipOf(t, 3, 8), zipOf(t, format.MostMembers, 8), zipOf(t, format.MostMembers+1, 8)
	for _, c := range []struct {
		name    string
		archive []byte
		members int
		why     string
	}{
		{"three members", small, 3, ""},
		{"as many as may be", full, format.MostMembers, ""},
		{"one more", over, 0, "more than 200000 members"},
		{"one more, and an end that says less", few(over), 0, "more than 200000 members"},
		{"endless names", zipOf(t, 1100, 0xffff), 0, "longer than 64 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			z, err := format.OpenZip(bytes.NewReader(c.archive), int64(len(c.archive)))
			if c.why != "" {
				if millpond.KindOf(err) != millpond.TooLarge || !strings.Contains(err.Error(), c.why) {
					t.Fatalf("got %v, want TooLarge, %q", err, c.why)
				}
				return
			}
			if err != nil || len(z.File) != c.members {
				t.Fatalf("got %v, want %d members", err, c.members)
			}
			f, err := z.File[c.members-1].Open()
			if err != nil {
				t.Fatal(err)
			}
			if err := iotest.TestReader(f, nil); err != nil && err != io.EOF {
				t.Errorf("its last member: %v", err)
			}
		})
	}
	if _, err := format.OpenZip(bytes.NewReader(small[:len(small)-1]), int64(len(small)-1)); err == nil {
		t.Error("a cut archive is opened")
	}
}

// TestMembersUnpackAsEverywhere reads members side by side, again and again, whole, damaged and cut short: what unpacks them is
// used by one after the other.
func TestMembersUnpackAsEverywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for i := range 40 {
		f, err := w.Create(fmt.Sprint("member-", i))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, random.IntN(20_000))
		for j := range b {
			b[j] = byte(random.IntN(1 + i*6)) // from one letter to noise
		}
		f.Write(b)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := packed.Bytes()
	for damage := range 12 {
		archive := bytes.Clone(whole)
		if damage > 0 {
			archive[random.IntN(len(archive)*9/10)] ^= 1 << random.IntN(8)
		}
		ours, err := format.OpenZip(bytes.NewReader(archive), int64(len(archive)))
		theirs, wrong := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
		if (err == nil) != (wrong == nil) {
			t.Fatalf("damage %d: OpenZip %v, archive/zip %v", damage, err, wrong)
		}
		if err != nil {
			continue
		}
		var wait sync.WaitGroup
		for i := range ours.File {
			wait.Go(func() {
				got, err := member(ours.File[i])
				want, wrong := member(theirs.File[i])
				if (err == nil) != (wrong == nil) || err == nil && !bytes.Equal(got, want) {
					t.Errorf("damage %d, member %d: %d bytes, %v; want %d bytes, %v", damage, i, len(got), err, len(want), wrong)
				}
			})
		}
		wait.Wait()
	}
}

// member reads a member, leaves it half-way, and reads all of it.
func member(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	io.CopyN(io.Discard, r, 100)
	r.Close()
	r.Close()
	if r, err = f.Open(); err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
