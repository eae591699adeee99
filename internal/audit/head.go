// Package audit lets others check the log of changes: it signs the ends of the log as they come, so that a tail that was
// cut off shows, verifies the log against what was signed, and writes events for people and programs to read.
//
// The signed heads are lines of a file that is only ever appended to. It is worth most as a copy elsewhere: who can change
// the catalog here can change this file too, but not sign a new one without the key, which is in neither.
package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
)

// A Signed is a head of the log with the pond's signature: one line of the file.
type Signed struct {
	Epoch int64           `json:"epoch"`
	Seq   int64           `json:"seq"`
	Hash  millpond.Digest `json:"hash"`
	Time  time.Time       `json:"time"`  // of the event
	Noted time.Time       `json:"noted"` // when it was signed
	Key   string          `json:"key"`   // the public key, in hex
	Sig   []byte          `json:"sig"`   // Ed25519
}

// message is what is signed: no other thing that a key of ours may sign begins so.
func (s *Signed) message() []byte {
	return fmt.Appendf(nil, "millpond head 1\n%d\n%d\n%s\n%d\n%d\n", s.Epoch, s.Seq, s.Hash, s.Time.UnixMilli(), s.Noted.UnixMilli())
}

// Sign signs a head at a time. Times are whole milliseconds.
func Sign(key ed25519.PrivateKey, h catalog.Head, now time.Time) *Signed {
	s := &Signed{
		Epoch: h.Epoch, Seq: h.Seq, Hash: h.Hash, Time: h.Time.UTC().Truncate(time.Millisecond), Noted: now.UTC().Truncate(time.Millisecond),
		Key: hex.EncodeToString(key.Public().(ed25519.PublicKey)),
	}
	s.Sig = ed25519.Sign(key, s.message())
	return s
}

// Check says what is wrong with the signature; nil is nothing.
func (s *Signed) Check(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("a public key has %d bytes, not %d", ed25519.PublicKeySize, len(key))
	}
	if s.Key != hex.EncodeToString(key) {
		return errors.New("it was signed with another key")
	}
	if !ed25519.Verify(key, s.message(), s.Sig) {
		return errors.New("its signature does not fit")
	}
	return nil
}

// Head is the head that was signed, its Time when that was.
func (s *Signed) Head() catalog.Head {
	return catalog.Head{Epoch: s.Epoch, Seq: s.Seq, Hash: s.Hash, Time: s.Noted}
}

// ParseKey reads a public key as Signed has it.
func ParseKey(s string) (ed25519.PublicKey, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is no public key: it should be %d hex digits", s, 2*ed25519.PublicKeySize)}
	}
	return b, nil
}

// longestLine is the longest line that Read takes for one of ours.
const longestLine = 4096

// Read reads signed heads and checks them with the key. Lines that are not what the key signed are left out, and said in
// words. What a crash left of a line is left out without a word: a last line that does not end, or one that a sink has ended to go on
// behind it.
func Read(r io.Reader, key ed25519.PublicKey) (heads []Signed, problems []string, err error) {
	lines := bufio.NewReaderSize(r, longestLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF {
			return heads, problems, nil
		}
		long := err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull {
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return heads, problems, err
		}
		var s Signed
		switch {
		case long:
			problems = append(problems, fmt.Sprintf("line %d is no signed head: it is too long", n))
		case torn(line):
		case json.Unmarshal(line, &s) != nil:
			problems = append(problems, fmt.Sprintf("line %d is no signed head", n))
		default:
			if err := s.Check(key); err != nil {
				problems = append(problems, fmt.Sprintf("line %d, head %d: %v", n, s.Seq, err))
				continue
			}
			heads = append(heads, s)
		}
	}
}

// torn reports whether a line is the beginning of a signed head, and no more of it. Who could have cut it could as well have taken
// it out.
func torn(line []byte) bool {
	const begin = `{"epoch":`
	line = bytes.TrimSuffix(line, []byte("\n"))
	known := bytes.HasPrefix(line, []byte(begin)) || len(line) > 0 && strings.HasPrefix(begin, string(line))
	return known && bytes.IndexByte(line, '}') < 0
}
