package npm

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"millpond"
)

// digests are the hashes of dist.integrity and dist.shasum, strongest first, one of each algorithm: of several hashes of one
// algorithm, of which a client is content with any, the first.
func digests(integrity, shasum string) []millpond.Digest {
	var all []millpond.Digest
	for _, d := range parseIntegrity(integrity) {
		if !has(all, d.Algorithm()) {
			all = append(all, d)
		}
	}
	if !has(all, "sha1") {
		if sum, err := hex.DecodeString(shasum); err == nil {
			if d, err := millpond.NewDigest("sha1", sum); err == nil {
				all = append(all, d)
			}
		}
	}
	millpond.SortDigests(all)
	return all
}

// parseIntegrity reads "sha512-base64 sha1-base64?options"; what cannot be read is left out.
func parseIntegrity(s string) []millpond.Digest {
	var all []millpond.Digest
	for word := range strings.FieldsSeq(s) {
		algorithm, sum, ok := strings.Cut(word, "-")
		if !ok {
			continue
		}
		sum, _, _ = strings.Cut(sum, "?")
		raw, err := base64.StdEncoding.DecodeString(sum)
		if err != nil {
			continue
		}
		if d, err := millpond.NewDigest(strings.ToLower(algorithm), raw); err == nil {
			all = append(all, d)
		}
	}
	return all
}

// integrityOf is the digest as npm writes it.
func integrityOf(d millpond.Digest) string {
	raw, err := hex.DecodeString(d.Hex())
	if err != nil {
		return d.String()
	}
	return d.Algorithm() + "-" + base64.StdEncoding.EncodeToString(raw)
}

func has(ds []millpond.Digest, algorithm string) bool {
	for _, d := range ds {
		if d.Algorithm() == algorithm {
			return true
		}
	}
	return false
}

// disagree reports whether a client expects other bytes than those that have the given digests: it names hashes of an
// algorithm that is known here, and none of them is the one. The strongest algorithm that both name decides.
func disagree(expected, known []millpond.Digest) (want, got millpond.Digest, differ bool) {
	millpond.SortDigests(expected)
	for i, d := range expected {
		for _, k := range known {
			if k.Algorithm() != d.Algorithm() {
				continue
			}
			for _, e := range expected[i:] {
				if e == k {
					return want, got, false
				}
			}
			return d, k, true
		}
	}
	return want, got, false
}
