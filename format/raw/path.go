package raw

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"millpond"
)

// A Kind is one kind of URL of the protocol.
type Kind uint8

// The kinds.
const (
	File    Kind = iota + 1 // <path>: a file
	Dir                     // <path>/, or the root: a directory
	Links                   // -/links: makes signed links
	Uploads                 // -/uploads: begins a resumable upload
	Upload                  // -/uploads/<id>: goes on with one
	Zip                     // -/zip/<path>/!/<member>: a member of an archive; without a member their list
	Install                 // -/install/<path>: a page that installs an app
	Device                  // -/install/<path>/!/<member>: what a device needs of it; without a member the page
	Vagrant                 // -/vagrant/<path>: a catalog of boxes
)

// A Path is a URL below the repository's mount. Its names are unescaped and checked.
type Path struct {
	Kind   Kind
	Name   string // of the file; of a Dir with its last slash, "" for the root; of an Upload its id
	Member string // of a Zip, or for a Device: manifest.plist, icon.png, or the app by its own name
}

// uploadChars are those of the name of an upload.
const uploadChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

const (
	longestSegment = 255
	longestPath    = 1024
	inside         = "/!/" // between an archive and what is in it
	manifestName   = "manifest.plist"
	iconName       = "icon.png"
)

// pages are the pond's own kinds that stand before a path.
var pages = [...]struct {
	prefix string
	kind   Kind
}{{"zip/", Zip}, {"install/", Install}, {"vagrant/", Vagrant}, {"uploads/", Upload}} // never changed

// Parse reads the escaped path of a URL below the mount, with its leading slash. Invalid if no path could be spelt so.
func Parse(escaped string) (Path, error) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return Path{}, invalid(escaped, "it does not begin with a slash")
	}
	if own, ok := strings.CutPrefix(rest, "-/"); ok {
		return parseOwn(escaped, own)
	}
	name, err := unescape(rest)
	if err != nil {
		return Path{}, err
	}
	if name == "" || name[len(name)-1] == '/' {
		return Path{Kind: Dir, Name: name}, checkDir(name)
	}
	return Path{Kind: File, Name: name}, check(name)
}

func parseOwn(escaped, own string) (Path, error) {
	switch own {
	case "links":
		return Path{Kind: Links}, nil
	case "uploads", "uploads/":
		return Path{Kind: Uploads}, nil
	}
	for _, page := range pages {
		rest, ok := strings.CutPrefix(own, page.prefix)
		if !ok {
			continue
		}
		p := Path{Kind: page.kind}
		var err error
		archive, member, within := strings.Cut(rest, inside)
		if !within && p.Kind == Zip {
			archive, within = strings.CutSuffix(rest, "/!")
		}
		if p.Kind == Upload { // a name that the pond itself has made
			if p.Name = rest; len(rest) > 4096 || strings.Trim(rest, uploadChars) != "" {
				return Path{}, unknown(escaped)
			}
			return p, nil
		}
		if within && p.Kind != Zip && p.Kind != Install {
			return Path{}, unknown(escaped)
		}
		if p.Name, err = unescape(archive); err != nil {
			return Path{}, err
		}
		if p.Member, err = unescape(member); err != nil {
			return Path{}, err
		}
		switch {
		case p.Kind == Zip && !within:
			return Path{}, unknown(escaped)
		case p.Kind == Install && within:
			if p.Kind = Device; p.Member != "" && p.Member != manifestName && p.Member != iconName && p.Member != base(p.Name) {
				return Path{}, unknown(escaped)
			}
		}
		if p.Member != "" {
			if err := check(p.Member); err != nil {
				return Path{}, err
			}
		}
		return p, check(p.Name)
	}
	return Path{}, unknown(escaped)
}

func unknown(escaped string) error {
	return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("there is nothing at %q", escaped)}
}

// unescape unescapes each segment once. A slash that was escaped is part of no name.
func unescape(escaped string) (string, error) {
	if !strings.Contains(escaped, "%") {
		return escaped, nil
	}
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil || strings.Contains(plain, "/") {
			return "", invalid(escaped, "an escape in it is wrong")
		}
		segments[i] = plain
	}
	return strings.Join(segments, "/"), nil
}

func invalid(name, why string) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is no path of a file: %s", shorten(name), why)}
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// checkDir is nil for the name of a directory, with its last slash; "" is the root.
func checkDir(name string) error {
	if name == "" {
		return nil
	}
	return check(name[:len(name)-1])
}

// check is nil for a path that a file can have.
func check(name string) error {
	if len(name) > longestPath {
		return invalid(name, "it is longer than 1024 bytes")
	}
	if !utf8.ValidString(name) {
		return invalid(name, "it is not UTF-8")
	}
	first := true
	for s := range strings.SplitSeq(name, "/") {
		switch {
		case s == "":
			return invalid(name, "a segment is empty")
		case s == "." || s == "..":
			return invalid(name, "a segment is "+s)
		case len(s) > longestSegment:
			return invalid(name, "a segment is longer than 255 bytes")
		case first && s == "-":
			return invalid(name, `what is below "-" is the pond's own`)
		}
		first = false
	}
	if i := strings.IndexFunc(name, forbidden); i >= 0 {
		return invalid(name, "it has a character that no name may have")
	}
	return nil
}

// highest is a code point that stands for no character. A name has none, so that it can mark the end of a directory.
const highest = '\U0010FFFF'

func forbidden(c rune) bool {
	return unicode.IsControl(c) || c == '\\' || c == highest || c == '\u2028' || c == '\u2029'
}

// String is the escaped path of which Parse makes p.
func (p Path) String() string {
	switch p.Kind {
	case Links:
		return "/-/links"
	case Uploads:
		return "/-/uploads"
	case Upload:
		return "/-/uploads/" + p.Name
	case Zip:
		return "/-/zip/" + escape(p.Name) + inside + escape(p.Member)
	case Install:
		return "/-/install/" + escape(p.Name)
	case Device:
		return "/-/install/" + escape(p.Name) + inside + escape(p.Member)
	case Vagrant:
		return "/-/vagrant/" + escape(p.Name)
	}
	return "/" + escape(p.Name)
}

// escape escapes all of a path but its slashes, so that neither a browser nor a client reads anything else in it.
func escape(name string) string {
	const plain = "-._~!$'()*,@/+=;:" // beside letters and digits
	n := 0
	for i := range len(name) {
		if !isPlain(name[i], plain) {
			n++
		}
	}
	if n == 0 {
		return name
	}
	var b strings.Builder
	b.Grow(len(name) + 2*n)
	for i := range len(name) {
		if c := name[i]; isPlain(c, plain) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isPlain(c byte, more string) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(more, c) >= 0
}

// base is the last segment of a path: the name of its file. A directory marker has none, and is ".".
func base(name string) string {
	if s := name[strings.LastIndexByte(name, '/')+1:]; s != "" {
		return s
	}
	return "."
}

// key is a version of a path; "" is the newest.
func key(name, version string) millpond.Key {
	return millpond.Key{Package: name, Version: version, File: base(name)}
}
