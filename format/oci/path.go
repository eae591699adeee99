package oci

import (
	"fmt"
	"net/url"
	"strings"

	"millpond"
)

// A Kind is what a path asks for.
type Kind int

// The kinds of path. Where reading and writing share one, the method tells them apart.
const (
	Ping      Kind = iota // /v2/
	Catalog               // /v2/_catalog
	Manifest              // {image}/manifests/{tag or digest}
	Blob                  // {image}/blobs/{digest}
	Uploads               // {image}/blobs/uploads/
	Session               // {image}/blobs/uploads/{id}
	Tags                  // {image}/tags/list
	Referrers             // {image}/referrers/{digest}
)

// A Path is one URL of the protocol, below the repository's mount.
type Path struct {
	Kind   Kind
	Image  string          // as the client spells it
	Tag    string          // of a Manifest, where it is no digest
	Digest millpond.Digest // of a Manifest, a Blob or Referrers
	ID     string          // of a Session
}

const root = "/v2/"

// Parse reads an escaped path, from the right: an image may be called a/manifests/b, or blobs/uploads. What cannot be a URL
// of the protocol is Invalid or NotFound, with the protocol's own code.
func Parse(escaped string) (Path, error) {
	rest, ok := strings.CutPrefix(escaped, root)
	if !ok {
		if escaped == "/v2" {
			return Path{}, nil
		}
		return Path{}, coded(codeNameUnknown, &millpond.Error{Kind: millpond.NotFound, Why: "everything of this protocol is below /v2/"})
	}
	switch rest {
	case "":
		return Path{}, nil
	case "_catalog":
		return Path{Kind: Catalog}, nil
	}
	if strings.IndexByte(rest, '%') >= 0 {
		parts := strings.Split(rest, "/")
		for i, part := range parts {
			plain, err := url.PathUnescape(part)
			if err != nil || strings.IndexByte(plain, '/') >= 0 {
				return Path{}, badName(rest)
			}
			parts[i] = plain
		}
		rest = strings.Join(parts, "/")
	}
	before, last, ok := cutLast(rest)
	if !ok {
		return Path{}, badName(rest)
	}
	image, word, ok := cutLast(before)
	if !ok {
		return Path{}, coded(codeNameUnknown, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%.300q is no path of this protocol", rest)})
	}
	p := Path{Image: image}
	var err error
	switch {
	case word == "manifests":
		p.Kind = Manifest
		if strings.IndexByte(last, ':') >= 0 {
			p.Digest, err = parseDigest(last)
		} else if p.Tag = last; !isTag(last) {
			err = coded(codeManifestUnknown, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%.150q can be no tag", last)})
		}
	case word == "blobs" && last == "uploads":
		p.Kind = Uploads
	case word == "blobs":
		p.Kind = Blob
		p.Digest, err = parseDigest(last)
	case word == "uploads" && strings.HasSuffix(image, "/blobs"):
		p.Image = strings.TrimSuffix(image, "/blobs")
		p.Kind, p.ID = Session, last
		if last == "" {
			p.Kind = Uploads
		}
	case word == "tags" && last == "list":
		p.Kind = Tags
	case word == "referrers":
		p.Kind = Referrers
		p.Digest, err = parseDigest(last)
	default:
		return Path{}, coded(codeNameUnknown, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%.300q is no path of this protocol", rest)})
	}
	if !isName(p.Image) {
		return Path{}, badName(p.Image)
	}
	if err != nil {
		return p, err
	}
	return p, nil
}

func cutLast(s string) (before, last string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// String is the path as clients send it.
func (p Path) String() string {
	switch p.Kind {
	case Ping:
		return root
	case Catalog:
		return root + "_catalog"
	}
	return root + p.Image + p.below()
}

// below is what comes after the image.
func (p Path) below() string {
	switch p.Kind {
	case Manifest:
		if p.Tag != "" {
			return "/manifests/" + p.Tag
		}
		return "/manifests/" + p.Digest.String()
	case Blob:
		return "/blobs/" + p.Digest.String()
	case Uploads:
		return "/blobs/uploads/"
	case Session:
		return "/blobs/uploads/" + p.ID
	case Tags:
		return "/tags/list"
	}
	return "/referrers/" + p.Digest.String()
}

// isTag reports whether a manifest can be tagged so.
func isTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isWord(c) && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func isPlain(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// isName reports whether an image can be called so: components of lower-case letters and digits, with separators between
// them: a dot, one or two underscores, any number of hyphens.
func isName(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for one := range strings.SplitSeq(s, "/") {
		if one == "" || !isPlain(one[0]) || !isPlain(one[len(one)-1]) {
			return false
		}
		for i := 1; i < len(one); {
			if isPlain(one[i]) {
				i++
				continue
			}
			from := i
			for !isPlain(one[i]) {
				i++
			}
			switch between := one[from:i]; {
			case between == ".", between == "_", between == "__", strings.Trim(between, "-") == "":
			default:
				return false
			}
		}
	}
	return true
}

// parseDigest reads a digest of one of the two algorithms that this registry knows.
func parseDigest(s string) (millpond.Digest, error) {
	d, err := millpond.ParseDigest(s)
	if err == nil && d.Algorithm() != "sha256" && d.Algorithm() != "sha512" {
		err = &millpond.Error{Kind: millpond.Invalid, Why: "digests are sha256 or sha512 here, not " + d.Algorithm()}
	}
	if err != nil {
		why := err.Error()
		return millpond.Digest{}, coded(codeDigestInvalid, &millpond.Error{Kind: millpond.Invalid, Why: why[:min(len(why), 300)]})
	}
	return d, nil
}

func badName(name string) error {
	return coded(codeNameInvalid, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.300q is no image name", name),
		Hint: "lower-case letters and digits, with . _ __ or - between them, in components between slashes"})
}
