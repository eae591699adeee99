package debian

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"millpond"
	"millpond/format"
)

// A Kind is one kind of URL of the protocol.
type Kind uint8

// The kinds, and what each answers with.
const (
	Release  Kind = iota + 1 // dists/<suite>/InRelease, Release or Release.gpg; also of a flat suite
	Index                    // dists/<path>: an index of a suite, by the path that its Release lists
	ByHash                   // <dir>/by-hash/<Algorithm>/<hex>: an index by its digest
	Pool                     // anything else: a package's file, or an index of a flat suite
	KeyFile                  // key.asc, key.gpg: the public key of the repository
	Sources                  // setup.sources: what apt is set up with
	Incoming                 // incoming/<file>: an upload by dput
)

// A Path is a URL of the protocol below the repository's mount. Its parts are unescaped and checked: no element of them is
// empty, "." or "..".
type Path struct {
	Kind    Kind
	At      time.Time // as it was then; zero is now
	Archive string    // the folders above dists; "" is the repository's root, and always of a Pool
	Suite   string    // of a Release: dists/<suite>, or of a flat suite its folder and a slash, "./" being the root
	// File is the last element of a Release, KeyFile, Sources and Incoming, the path below dists of an Index, the folder of a
	// ByHash, which is below dists too unless Flat says that there is none, and the whole path of a Pool.
	File      string
	Flat      bool
	Algorithm string // of a ByHash: as in digests, "sha256"
	Hex       string // of a ByHash
}

const (
	snapshotTime = "20060102T150405Z"
	distsDir     = "dists"
)

// hashFolders are the folders of by-hash, and the algorithms as digests name them; never changed.
var hashFolders = []struct {
	folder, algorithm string
	digits            int
}{{"SHA512", "sha512", 128}, {"SHA256", "sha256", 64}, {"SHA1", "sha1", 40}, {"MD5Sum", "md5", 32}}

// Parse reads the escaped path of a URL below the mount, with its leading slash. What is not of the protocol is NotFound.
func Parse(escaped string) (Path, error) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if ok {
		rest, ok = unescape(rest)
	}
	if !ok || !clean(rest) {
		return Path{}, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("nothing of an archive is served at %.200q", escaped)}
	}
	var p Path
	if after, ok := strings.CutPrefix(rest, "snapshot/"); ok {
		stamp, below, ok := strings.Cut(after, "/")
		if t, err := time.Parse(snapshotTime, stamp); ok && err == nil && t.Format(snapshotTime) == stamp && !strings.HasPrefix(below, "snapshot/") {
			p.At, rest = t, below
		}
	}
	if !p.parse(rest) {
		return Path{}, &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("nothing of an archive is served at %.200q", escaped)}
	}
	return p, nil
}

func (p *Path) parse(rest string) bool {
	if p.At.IsZero() {
		switch rest {
		case "key.asc", "key.gpg":
			p.Kind, p.File = KeyFile, rest
			return true
		case "setup.sources":
			p.Kind, p.File = Sources, rest
			return true
		}
		if name, ok := strings.CutPrefix(rest, "incoming/"); ok && name != "" && !strings.Contains(name, "/") {
			p.Kind, p.File = Incoming, name
			return true
		}
	}
	archive, below, inDists := cutDists(rest)
	dir, file := split(rest)
	if inDists {
		dir, file = split(below)
	}
	switch {
	case file == "":
		return false
	case isRelease(file) && !(inDists && (dir == "" || isIndexDir(dir))):
		p.Kind, p.File = Release, file
		if inDists {
			p.Archive, p.Suite = archive, join(archive, distsDir+"/"+dir)
		} else {
			p.Suite = flatName(dir)
		}
		return true
	}
	if folder, algorithm, hex, ok := cutByHash(dir, file); ok {
		p.Kind, p.Algorithm, p.Hex, p.Archive, p.File, p.Flat = ByHash, algorithm, hex, archive, folder, !inDists
		return !inDists || folder != ""
	}
	if strings.Contains("/"+dir+"/", "/by-hash/") {
		return false
	}
	if inDists {
		p.Kind, p.Archive, p.File = Index, archive, below
		return dir != ""
	}
	p.Kind, p.File = Pool, rest
	return true
}

// cutDists finds the last folder dists, under which suites are.
func cutDists(path string) (archive, below string, ok bool) {
	if below, ok := strings.CutPrefix(path, distsDir+"/"); ok && !strings.Contains("/"+below, "/"+distsDir+"/") {
		return "", below, true
	}
	i := strings.LastIndex(path, "/"+distsDir+"/")
	if i < 0 {
		return "", "", false
	}
	return path[:i], path[i+len("/"+distsDir+"/"):], true
}

func isRelease(file string) bool {
	return file == "InRelease" || file == "Release" || file == "Release.gpg"
}

// isIndexDir reports whether a Release in that folder is one of the small ones that stand beside Packages and Sources.
func isIndexDir(dir string) bool {
	_, last := split(dir)
	return strings.Contains(dir, "/") && (strings.HasPrefix(last, "binary-") || last == "source")
}

func cutByHash(dir, file string) (folder, algorithm, hex string, ok bool) {
	above, name := split(dir)
	folder, last := split(above)
	if last != "by-hash" {
		return "", "", "", false
	}
	for _, h := range hashFolders {
		if h.folder == name && len(file) == h.digits && strings.Trim(file, "0123456789abcdef") == "" {
			return folder, h.algorithm, file, true
		}
	}
	return "", "", "", false
}

func split(path string) (dir, file string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func join(dir, file string) string {
	if dir == "" {
		return file
	}
	return dir + "/" + file
}

// flatName is the name of the flat suite of a folder.
func flatName(dir string) string {
	if dir == "" {
		return "./"
	}
	return dir + "/"
}

// flatDir is the folder of a flat suite.
func flatDir(suite string) string { return strings.TrimSuffix(strings.TrimPrefix(suite, "./"), "/") }

// isFlat reports whether a suite is flat.
func isFlat(suite string) bool { return strings.HasSuffix(suite, "/") }

// archiveOf are the folders of the archive that a suite is in.
func archiveOf(suite string) string {
	if isFlat(suite) {
		return flatDir(suite)
	}
	archive, _, _ := cutDists(suite)
	return archive
}

// String is the path escaped, with its leading slash: what Parse reads.
func (p Path) String() string {
	s := ""
	if !p.At.IsZero() {
		s = "snapshot/" + p.At.UTC().Format(snapshotTime) + "/"
	}
	switch p.Kind {
	case Release:
		dir := p.Suite
		if isFlat(dir) {
			dir = flatDir(dir)
		}
		s += join(dir, p.File)
	case Index:
		s += join(p.Archive, distsDir+"/"+p.File)
	case ByHash:
		dir := p.File
		if !p.Flat {
			dir = join(p.Archive, distsDir+"/"+dir)
		}
		for _, h := range hashFolders {
			if h.algorithm == p.Algorithm {
				s += join(dir, "by-hash/"+h.folder+"/"+p.Hex)
			}
		}
	case Incoming:
		s += "incoming/" + p.File
	default:
		s += p.File
	}
	return "/" + escape(s)
}

// clean reports whether a decoded path can be that of a file. Elements "." are dropped by unescape before.
func clean(path string) bool {
	if path == "" || len(path) > 1000 {
		return false
	}
	for one := range strings.SplitSeq(path, "/") {
		if one == "" || one == "." || one == ".." {
			return false
		}
	}
	return true
}

// escape is a path as a URL has it. "+" and "~" are escaped as apt does it: some stores take a bare plus for a space.
func escape(path string) string { return format.Escape(path, "/-._:@=,") }

// unescape decodes percent signs, once, and drops the elements "." that apt sends for a flat suite. It reports false for what
// would then read as another path, and for what is no text.
func unescape(s string) (string, bool) {
	s, ok := format.Unescape(s)
	if !ok {
		return "", false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || strings.IndexByte(`\#?;%`, c) >= 0 {
			return "", false
		}
	}
	if strings.Contains(s, "/./") || strings.HasPrefix(s, "./") {
		s = strings.ReplaceAll("/"+s, "/./", "/")[1:]
	}
	return s, utf8.ValidString(s)
}
