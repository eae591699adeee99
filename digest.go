package millpond

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"sort"
	"strings"
)

// A Digest names bytes: "sha256:9f86…", the algorithm and lower-case hex. Digests are comparable; the zero Digest means
// "not known".
type Digest struct{ s string }

// algorithms in order of strength, strongest first. Those without a constructor are judged by a format's Verifier
// (h1 is the Go checksum database's hash of a module's tree).
var algorithms = [...]struct {
	name string
	size int // bytes
	new  func() hash.Hash
}{
	{"sha512", sha512.Size, sha512.New},
	{"sha384", sha512.Size384, sha512.New384},
	{"sha256", sha256.Size, sha256.New},
	{"blake2b-256", 32, nil},
	{"h1", sha256.Size, nil},
	{"sha1", sha1.Size, sha1.New},
	{"md5", md5.Size, md5.New},
}

func strength(algorithm string) int {
	for i, a := range algorithms {
		if a.name == algorithm {
			return i
		}
	}
	return -1
}

// NewDigest names the sum of an algorithm. It returns Invalid for an algorithm that is not known or a sum of another length.
func NewDigest(algorithm string, sum []byte) (Digest, error) {
	i := strength(algorithm)
	if i < 0 {
		return Digest{}, &Error{Kind: Invalid, Why: fmt.Sprintf("%q is not a known digest algorithm", algorithm)}
	}
	if len(sum) != algorithms[i].size {
		return Digest{}, &Error{Kind: Invalid, Why: fmt.Sprintf("a %s digest has %d bytes, not %d", algorithm, algorithms[i].size, len(sum))}
	}
	return Digest{algorithm + ":" + hex.EncodeToString(sum)}, nil
}

// ParseDigest reads "algorithm:hex". It returns Invalid for anything else, upper-case hex included.
func ParseDigest(s string) (Digest, error) {
	algorithm, sum, ok := strings.Cut(s, ":")
	if !ok || !isHex(sum) {
		return Digest{}, &Error{Kind: Invalid, Why: fmt.Sprintf("%q is not a digest: it should read algorithm:hex", s)}
	}
	i := strength(algorithm)
	if i < 0 {
		return Digest{}, &Error{Kind: Invalid, Why: fmt.Sprintf("%q is not a known digest algorithm", algorithm)}
	}
	if len(sum) != 2*algorithms[i].size {
		return Digest{}, &Error{Kind: Invalid, Why: fmt.Sprintf("a %s digest has %d hex digits, not %d", algorithm, 2*algorithms[i].size, len(sum))}
	}
	return Digest{s}, nil
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// SHA256 is the digest under which stores keep the bytes b.
func SHA256(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest{"sha256:" + hex.EncodeToString(sum[:])}
}

// IsZero reports whether the digest is not known.
func (d Digest) IsZero() bool { return d.s == "" }

// String is "algorithm:hex", or "" for the zero Digest.
func (d Digest) String() string { return d.s }

// Algorithm is the part before the colon.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(d.s, ":")
	return algorithm
}

// Hex is the part after the colon.
func (d Digest) Hex() string {
	_, sum, _ := strings.Cut(d.s, ":")
	return sum
}

// Hash returns a new hash of the digest's algorithm, or nil if only a format can compute it.
func (d Digest) Hash() hash.Hash { return NewHash(d.Algorithm()) }

// NewHash returns a new hash of an algorithm, or nil if only a format can compute it.
func NewHash(algorithm string) hash.Hash {
	if i := strength(algorithm); i >= 0 && algorithms[i].new != nil {
		return algorithms[i].new()
	}
	return nil
}

// Short is as much of the hex as a person needs to tell two digests apart.
func (d Digest) Short() string {
	h := d.Hex()
	return h[:min(12, len(h))]
}

// MarshalText writes String, so that digests stand in JSON as text.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.s), nil }

// UnmarshalText reads what MarshalText wrote; the empty text is the zero Digest.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	parsed, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// SortDigests orders digests strongest first, in place.
func SortDigests(ds []Digest) {
	sort.SliceStable(ds, func(i, j int) bool { return strength(ds[i].Algorithm()) < strength(ds[j].Algorithm()) })
}

// Strong reports whether nobody can make other bytes with this digest: md5 and sha1 are not strong.
func (d Digest) Strong() bool {
	i := strength(d.Algorithm())
	return i >= 0 && i < strength("sha1")
}
