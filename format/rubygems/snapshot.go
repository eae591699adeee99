package rubygems

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"sync"
	"time"
)

// mostLengths is how many snapshots' digests are remembered; those of others are computed when somebody comes with one.
const mostLengths = 4096

// A snapshot is the log at one moment. It never changes: what is appended makes another one, over the same memory.
type snapshot struct {
	text     []byte
	md5, sha string
	modified time.Time
	of       *generation
}

// A generation is a base, whose lines are sorted by name, and all that was appended to it.
type generation struct {
	head, base int // where the base's lines begin and end
	began      time.Time

	mu      sync.Mutex // guards what follows
	five    hash.Hash
	two     hash.Hash
	lengths map[string]int // of its snapshots, by md5
	said    *nameList      // of the newest snapshot it was asked of

	gzMu     sync.Mutex // guards what follows
	gz       packer
	gzOf     *snapshot
	gzPacked []byte
}

// A nameList is the document of all names.
type nameList struct {
	of   *snapshot
	text []byte
	sum  sum
}

// begin is the first snapshot of a generation; lines are its base. The text is the generation's from now on.
func begin(now time.Time, text []byte) *snapshot {
	head := bytes.Index(text, []byte("---\n")) + 4
	g := &generation{head: head, base: len(text), began: now, five: md5.New(), two: sha256.New(), lengths: map[string]int{}}
	s := &snapshot{text: text, of: g, modified: now}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sign(s, text)
	return s
}

// append is the snapshot with further lines. It costs what they cost.
func (s *snapshot) append(now time.Time, lines string) *snapshot {
	g := s.of
	g.mu.Lock()
	defer g.mu.Unlock()
	n := &snapshot{text: append(s.text, lines...), of: g, modified: now}
	g.sign(n, n.text[len(s.text):])
	return n
}

// sign computes the digests of the newest snapshot, of which more is what the one before had not. g.mu is held.
func (g *generation) sign(s *snapshot, more []byte) {
	g.five.Write(more)
	g.two.Write(more)
	s.md5 = hex.EncodeToString(g.five.Sum(nil))
	s.sha = base64.StdEncoding.EncodeToString(g.two.Sum(nil))
	if len(g.lengths) >= mostLengths {
		clear(g.lengths)
	}
	g.lengths[s.md5] = len(s.text)
}

// began reports whether a client that asks from the byte from on, and whose copy has that md5, has an earlier state of this
// text: that many bytes or one more, as Bundler asks from its last byte on.
func (s *snapshot) began(from int, sum string) bool {
	g := s.of
	g.mu.Lock()
	n, ok := g.lengths[sum]
	g.mu.Unlock()
	if ok {
		return from <= n
	}
	n = from + 1
	if n < g.base || n > len(s.text) || s.text[n-1] != '\n' || len(sum) != 2*md5.Size {
		return false
	}
	of := md5.Sum(s.text[:n])
	return hex.EncodeToString(of[:]) == sum
}

// base is the line of a name in the base, without its newline; nil if it has none.
func (s *snapshot) base(name string) []byte {
	lo, hi := s.of.head, s.of.base // beginnings of lines; what is looked for is in between
	for lo < hi {
		at := lo + bytes.LastIndexByte(s.text[lo:(lo+hi)/2], '\n') + 1
		end := at + bytes.IndexByte(s.text[at:], '\n')
		of, _, _ := bytes.Cut(s.text[at:end], []byte(" "))
		switch c := bytes.Compare(of, []byte(name)); {
		case c == 0:
			return s.text[at:end]
		case c < 0:
			lo = end + 1
		default:
			hi = at
		}
	}
	return nil
}

// names is the document of all names, made once a snapshot.
func (s *snapshot) names(make func() []byte) *nameList {
	s.of.mu.Lock()
	said := s.of.said
	s.of.mu.Unlock()
	if said == nil || said.of != s {
		text := make()
		said = &nameList{of: s, text: text, sum: sumOf(text)}
		s.of.mu.Lock()
		s.of.said = said
		s.of.mu.Unlock()
	}
	return said
}
