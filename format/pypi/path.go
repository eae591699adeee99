package pypi

import (
	"net/url"
	"strings"

	"millpond"
)

// A Kind is what a URL of the protocol asks for.
type Kind int

// The kinds.
const (
	Root        Kind = iota // /                                                  publishing; nothing to read
	Legacy                  // /legacy/                                           publishing; nothing to read
	Index                   // /simple/                                           all projects; publishing
	Page                    // /simple/<project>/                                 the files of one
	File                    // /packages/<project>/<d16>/<file>
	ByDigest                // /packages/<2>/<2>/<60>/<file>                      where a lock file of the upstream points
	ByName                  // /packages/<tag>/<letter>/<project>/<file>          what recipes of other package managers build
	Provenance              // /integrity/<project>/<version>/<file>/provenance
	ProjectJSON             // /pypi/<project>/json
	VersionJSON             // /pypi/<project>/<version>/json
)

// A Path is a URL of the protocol as a value, relative to the repository. Parse(p.String()) is p.
type Path struct {
	Kind    Kind
	Project string // as the client spells it
	Version string // as the client spells it
	Digest  string // of a File its first 16 hex digits, or "-"; of ByDigest all 64
	Tag     string // of ByName: "source", or a wheel's Python tag
	Name    string // of the file, without Side
	Side    string // one of the sides of a file where that is asked for instead of it; "" for the file itself
	Bare    bool   // the URL ends otherwise than String's usual form: without its final slash, or for JSON with one
}

// The sides of a file: documents that have its URL and an ending.
const (
	Metadata  = ".metadata"
	Signature = ".asc"
	// Attested is the provenance of a file that was published here, as the integrity URL serves it.
	Attested = ".provenance"
	// Described is the PKG-INFO of an sdist that was published here. No page advertises it.
	Described = ".pkg-info"
)

// sides never changes.
var sides = [...]string{Metadata, Signature, Attested, Described}

// noDigest stands in a file's URL where none was declared.
const noDigest = "-"

// Parse reads an escaped path, as url.URL.EscapedPath gives it. NotFound if the protocol has no such URL, Invalid if it
// holds what can be in no name: control characters, slashes or backslashes in disguise, letters beyond ASCII.
func Parse(escaped string) (Path, error) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok || rest == "/" {
		return Path{}, errNoPath
	}
	bare := true
	if rest == "" || rest[len(rest)-1] == '/' {
		rest, bare = strings.TrimSuffix(rest, "/"), false
	}
	var seg [5]string
	n := 0
	for rest != "" || n == 0 {
		var one string
		one, rest, ok = strings.Cut(rest, "/")
		if n == len(seg) || ok && rest == "" || one == "" && n > 0 {
			return Path{}, errNoPath
		}
		if strings.IndexByte(one, '%') >= 0 {
			var err error
			if one, err = url.PathUnescape(one); err != nil {
				return Path{}, invalid("the path has a %% that begins no escape")
			}
		}
		if !cleanSegment(one) {
			return Path{}, invalid("%.200q can be no part of a path here", one)
		}
		seg[n] = one
		n++
	}
	return parseSegments(seg[:n], bare)
}

// errNoPath never changes.
var errNoPath error = &millpond.Error{Kind: millpond.NotFound, Why: "there is no such page here",
	Hint: "the index is at simple/"}

func parseSegments(seg []string, bare bool) (Path, error) {
	p := Path{Kind: Root}
	switch n := len(seg); {
	case n == 1 && seg[0] == "":
		return p, nil
	case n == 1 && seg[0] == "legacy":
		p = Path{Kind: Legacy, Bare: bare}
	case n == 1 && seg[0] == "simple":
		p = Path{Kind: Index, Bare: bare}
	case n == 2 && seg[0] == "simple":
		p = Path{Kind: Page, Project: seg[1], Bare: bare}
	case n == 3 && seg[0] == "pypi" && seg[2] == "json":
		p = Path{Kind: ProjectJSON, Project: seg[1], Bare: !bare}
	case n == 4 && seg[0] == "pypi" && seg[3] == "json":
		p = Path{Kind: VersionJSON, Project: seg[1], Version: seg[2], Bare: !bare}
	case n == 5 && seg[0] == "integrity" && seg[4] == "provenance":
		p = Path{Kind: Provenance, Project: seg[1], Version: seg[2], Name: seg[3], Bare: !bare}
	case seg[0] == "packages" && bare && n == 4:
		p = Path{Kind: File, Project: seg[1], Digest: seg[2]}
		if !isHex(p.Digest, 16) && p.Digest != noDigest {
			return Path{}, errNoPath
		}
		p.Name, p.Side = cutSide(seg[3])
	case seg[0] == "packages" && bare && n == 5 && isHex(seg[1], 2) && isHex(seg[2], 2) && isHex(seg[3], 60):
		p = Path{Kind: ByDigest, Digest: seg[1] + seg[2] + seg[3]}
		p.Name, p.Side = cutSide(seg[4])
	case seg[0] == "packages" && bare && n == 5 && len(seg[2]) == 1 && strings.EqualFold(seg[2], seg[3][:1]):
		p = Path{Kind: ByName, Tag: seg[1], Project: seg[3]}
		if seg[2] != seg[3][:1] {
			p.Bare = true // the letter in the other case
		}
		p.Name, p.Side = cutSide(seg[4])
	default:
		return Path{}, errNoPath
	}
	if p.Name != "" && !cleanName(p.Name) {
		return Path{}, invalid("%.200q can be no file's name", p.Name)
	}
	return p, nil
}

// String is the escaped path.
func (p Path) String() string {
	slash, unslash := "/", ""
	if p.Bare {
		slash, unslash = "", "/"
	}
	switch p.Kind {
	case Legacy:
		return "/legacy" + slash
	case Index:
		return "/simple" + slash
	case Page:
		return "/simple/" + escape(p.Project) + slash
	case ProjectJSON:
		return "/pypi/" + escape(p.Project) + "/json" + unslash
	case VersionJSON:
		return "/pypi/" + escape(p.Project) + "/" + escape(p.Version) + "/json" + unslash
	case Provenance:
		return "/integrity/" + escape(p.Project) + "/" + escape(p.Version) + "/" + escape(p.Name) + "/provenance" + unslash
	case File:
		return "/packages/" + escape(p.Project) + "/" + p.Digest + "/" + escape(p.Name) + p.Side
	case ByDigest:
		return "/packages/" + p.Digest[:2] + "/" + p.Digest[2:4] + "/" + p.Digest[4:] + "/" + escape(p.Name) + p.Side
	case ByName:
		letter := p.Project[:1]
		if p.Bare {
			letter = otherCase(letter)
		}
		return "/packages/" + escape(p.Tag) + "/" + escape(letter) + "/" + escape(p.Project) + "/" + escape(p.Name) + p.Side
	}
	return "/"
}

func otherCase(letter string) string {
	if up := strings.ToUpper(letter); up != letter {
		return up
	}
	return strings.ToLower(letter)
}

// cutSide splits "x.whl.metadata". A name that is nothing but a side is a name.
func cutSide(name string) (file, side string) {
	for _, side := range sides {
		if file, ok := strings.CutSuffix(name, side); ok && file != "" {
			return file, side
		}
	}
	return name, ""
}

// cleanSegment reports whether an unescaped part of a path can be one: printable ASCII, and no way up.
func cleanSegment(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '/' || c == '\\' {
			return false
		}
	}
	return s != "." && s != ".."
}

// longestFile bounds file names as file systems do.
const longestFile = 255

// cleanName reports whether a file can be called that, here and upstream: a letter or digit first, then printable ASCII
// without slashes and colons.
func cleanName(s string) bool {
	return s != "" && len(s) <= longestFile && isAlnum(s[0]) && cleanSegment(s) && strings.IndexByte(s, ':') < 0 &&
		s[len(s)-1] != ' ' && s[len(s)-1] != '.'
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range n {
		if c := s[i]; !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// escape is a path segment as we write it: everything but unreserved characters is escaped, "+" too, which some clients
// would take for a blank.
func escape(s string) string {
	for i := range len(s) {
		if !unreserved(s[i]) {
			return string(appendEscaped(make([]byte, 0, len(s)+8), s))
		}
	}
	return s
}

func unreserved(c byte) bool { return isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~' }

func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
