package raw

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"millpond"
)

// Sums are the digests of a body, by algorithm, as bytes.
type Sums map[string][]byte

// hashes of what clients may declare. CRCs are no digests, and guard against accidents only.
var hashes = map[string]func() hash.Hash{ // never changed
	"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New,
	"crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"crc32c":    func() hash.Hash { return crc32.New(castagnoli) },
	"crc64nvme": func() hash.Hash { return crc64.New(nvme) },
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)              // never changed
	nvme       = crc64.MakeTable(0x9a6c9329ac4bc9b5)            // never changed
	standard   = [...]string{"md5", "sha1", "sha512"}           // that every file is given, besides the store's sha256; never changed
	shown      = [...]string{"md5", "sha1", "sha256", "sha512"} // never changed
)

// A summer takes several digests of what is written to it, side by side.
type summer struct {
	names []string
	all   []hash.Hash
}

func newSummer(more ...string) *summer {
	s := &summer{}
	s.add(standard[:]...)
	s.add(more...)
	return s
}

func (s *summer) add(names ...string) {
	for _, name := range names {
		if name != "sha256" { // the store's
			s.addHere(name)
		}
	}
}

// addHere adds one that the store does not take.
func (s *summer) addHere(name string) {
	if makeHash := hashes[name]; makeHash != nil && !slices.Contains(s.names, name) {
		s.names, s.all = append(s.names, name), append(s.all, makeHash())
	}
}

// sideBySide is the length from which on digests are taken on several processors.
const sideBySide = 64 << 10

// copy writes all of a body, and returns how much that was. What reading fails with is a *readError. While one piece of a
// large body is digested the next one is read.
func (s *summer) copy(w io.Writer, body io.Reader) (int64, error) {
	now, next := buffers.Get().(*[bufferSize]byte), buffers.Get().(*[bufferSize]byte)
	defer func() { buffers.Put(now); buffers.Put(next) }()
	var total int64
	n, err := readFull(body, now[:])
	for {
		var more int
		var wg sync.WaitGroup
		after := err
		if err == nil {
			wg.Go(func() { more, after = readFull(body, next[:]) })
		}
		writing := s.write(w, now[:n])
		wg.Wait() // the body is read by nobody when this returns
		if writing != nil {
			return total, writing
		}
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, &readError{err}
		}
		now, next, n, err = next, now, more, after
	}
}

// bufferSize is so small that a hundred uploads at once take no more memory than they may.
const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// readFull fills b, or reads to the end: the error is io.EOF then.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// A readError is a body that ended badly.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func (s *summer) write(w io.Writer, b []byte) error {
	if len(b) < sideBySide {
		for _, h := range s.all {
			h.Write(b)
		}
		_, err := w.Write(b)
		return err
	}
	var wg sync.WaitGroup
	for _, h := range s.all {
		wg.Go(func() { h.Write(b) })
	}
	_, err := w.Write(b)
	wg.Wait()
	return err
}

// sums are the digests of all that was written.
func (s *summer) sums() Sums {
	out := Sums{}
	for i, name := range s.names {
		out[name] = s.all[i].Sum(nil)
	}
	return out
}

// digests are the Sums that the house has a word for, strongest first, with the sha256 that the store took.
func (s Sums) digests(sha256 millpond.Digest) []millpond.Digest {
	var out []millpond.Digest
	for _, name := range [...]string{"sha512", "sha256", "sha1", "md5"} {
		if name == "sha256" {
			out = append(out, sha256)
			continue
		}
		if d, err := millpond.NewDigest(name, s[name]); err == nil {
			out = append(out, d)
		}
	}
	return out
}

// declared reads what a client says its body's digests are, or an upstream. Invalid if one cannot be read.
func declared(h http.Header) (Sums, error) {
	out := Sums{}
	set := func(header, algorithm string, sum []byte, err error) error {
		size := 0
		if makeHash := hashes[algorithm]; makeHash != nil {
			size = makeHash().Size()
		}
		if err != nil || size != len(sum) {
			return &millpond.Error{Kind: millpond.Invalid, Why: header + " has no digest that could be one of " + algorithm}
		}
		if old, ok := out[algorithm]; ok && string(old) != string(sum) {
			return &millpond.Error{Kind: millpond.Invalid, Why: "two headers declare different digests of " + algorithm}
		}
		out[algorithm] = sum
		return nil
	}
	for _, name := range shown {
		header := "X-Checksum-" + strings.ToUpper(name[:1]) + name[1:]
		if v := h.Get(header); v != "" {
			sum, err := hex.DecodeString(v)
			if err := set(header, name, sum, err); err != nil {
				return nil, err
			}
		}
	}
	if v := h.Get("Content-Md5"); v != "" {
		sum, err := base64.StdEncoding.DecodeString(v)
		if err := set("Content-MD5", "md5", sum, err); err != nil {
			return nil, err
		}
	}
	for _, header := range [...]string{"Content-Digest", "Repr-Digest", "Digest"} {
		for one := range strings.SplitSeq(strings.Join(h.Values(header), ","), ",") {
			name, text, ok := strings.Cut(strings.TrimSpace(one), "=")
			if !ok {
				continue
			}
			algorithm := map[string]string{"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}[strings.ToLower(name)]
			if algorithm == "" {
				continue // one that nobody here knows says nothing
			}
			sum, err := base64.StdEncoding.DecodeString(strings.Trim(text, ":"))
			if err := set(header, algorithm, sum, err); err != nil {
				return nil, err
			}
		}
	}
	for name := range hashes {
		header := "X-Amz-Checksum-" + name
		if v := h.Get(header); v != "" {
			sum, err := base64.StdEncoding.DecodeString(v)
			if err := set(header, name, sum, err); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// differs says which digest is not the declared one; nil if all are.
func (s Sums) differs(got Sums) error {
	for name, want := range s {
		if have, ok := got[name]; ok && string(have) != string(want) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the bytes that came have %s %x, not the declared %x", name, have, want),
				Hint: "nothing was kept; send it again", Err: errBadDigest}
		}
	}
	return nil
}

var errBadDigest = fmt.Errorf("bad digest")

// showSums tells the digests of a whole file in a response.
func showSums(h http.Header, digests []millpond.Digest) {
	values := make([]string, 0, 8) // of all fields, each a part of it
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	for _, d := range digests {
		switch d.Algorithm() {
		case "md5":
			set("X-Checksum-Md5", d.Hex())
		case "sha1":
			set("X-Checksum-Sha1", d.Hex())
		case "sha512":
			set("X-Checksum-Sha512", d.Hex())
		case "sha256":
			set("X-Checksum-Sha256", d.Hex())
			var sum [sha256.Size]byte
			if n, err := hex.Decode(sum[:], []byte(d.Hex())); err == nil && n == len(sum) {
				text := append(make([]byte, 0, 64), "sha-256=:"...)
				set("Repr-Digest", string(append(base64.StdEncoding.AppendEncode(text, sum[:]), ':')))
			}
		}
	}
}

// hexOf is the digest of an algorithm among several, in hex; "" if there is none.
func hexOf(digests []millpond.Digest, algorithm string) string {
	for _, d := range digests {
		if d.Algorithm() == algorithm {
			return d.Hex()
		}
	}
	return ""
}
