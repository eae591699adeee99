package debian

import (
	"fmt"
	"slices"
	"strings"

	"millpond"
)

// digest is one of the file's digests, "" if the Release does not list it.
func (f *madeFile) digest(algorithm string) string {
	switch algorithm {
	case "sha256":
		return f.SHA256
	case "sha512":
		return f.SHA512
	case "md5":
		return f.MD5
	}
	return ""
}

// setDigest is the other way round.
func (f *madeFile) setDigest(algorithm, hex string) {
	switch algorithm {
	case "sha256":
		f.SHA256 = hex
	case "sha512":
		f.SHA512 = hex
	case "md5":
		f.MD5 = hex
	}
}

// releaseDigests are the algorithms whose digests a Release of our own lists: SHA256, and those of the option.
func releaseDigests(option string) ([]string, error) {
	out := []string{"sha256"}
	for _, one := range strings.Fields(option) {
		algorithm := map[string]string{"SHA256": "sha256", "SHA512": "sha512", "MD5Sum": "md5"}[one]
		if algorithm == "" {
			return nil, &millpond.Error{Kind: millpond.Unready, Why: fmt.Sprintf("the option release_digests has %q in it, which is not SHA512 or MD5Sum", one)}
		}
		if !slices.Contains(out, algorithm) {
			out = append(out, algorithm)
		}
	}
	return out, nil
}
