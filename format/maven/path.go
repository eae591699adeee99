package maven

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"millpond"
	"millpond/format"
)

// A Kind is one kind of URL of the layout.
type Kind uint8

// The kinds, and what each answers with.
const (
	File     Kind = iota + 1 // <group>/<artifact>/<version>/<artifact>-<version>…: a file of a version
	Metadata                 // <directory>/maven-metadata.xml
	Catalog                  // archetype-catalog.xml: project templates
	Prefixes                 // .meta/prefixes.txt: below what paths there is anything at all
	Index                    // .index/<name>: what an upstream tells the search of editors
)

// A Path is a URL of the layout below the repository's mount, unescaped and checked.
type Path struct {
	Kind     Kind
	Dir      []string // of Metadata: the directory's segments
	Group    string   // of a File: "com.acme"
	Artifact string
	Base     string // of a File: the directory's version, "1.0-SNAPSHOT" for all its builds
	Version  string // of a File: that in its name: Base, or one build of it
	Name     string // of a File, and of an Index
	Sum      string // the algorithm if the sum of what the rest names is meant: "sha1"; else ""
}

const (
	metadataName = "maven-metadata.xml"
	indexDir     = ".index"
)

// sums are the algorithms that files may have sums of, strongest first. Never changed.
var sums = []string{"sha512", "sha256", "sha1", "md5"}

// longest bounds a segment: no file system takes longer ones.
const longest = 255

// Parse reads the escaped path of a URL below the mount, with its leading slash. What is not of the layout is NotFound.
func Parse(escaped string) (Path, error) {
	segments, ok := split(escaped)
	if !ok {
		return Path{}, unknown(escaped)
	}
	var p Path
	last := len(segments) - 1
	if name := segments[last]; isSum(name) {
		if dot := strings.LastIndexByte(name, '.'); dot > 0 {
			p.Sum, segments[last] = name[dot+1:], name[:dot]
		}
	}
	if p.Sum != "" && isSum(segments[last]) {
		return Path{}, unknown(escaped) // a sum has no sum
	}
	switch {
	case segments[last] == metadataName:
		p.Kind, p.Dir = Metadata, segments[:last]
		ok = len(p.Dir) > 0 && isDirectory(p.Dir)
	case last == 0 && segments[0] == "archetype-catalog.xml":
		p.Kind = Catalog
	case last == 1 && segments[0] == ".meta" && segments[1] == "prefixes.txt":
		p.Kind = Prefixes
	case last == 1 && segments[0] == indexDir:
		p.Kind, p.Name = Index, segments[1]
		ok = isSegment(p.Name)
	default:
		ok = p.parseFile(segments)
	}
	if !ok {
		return Path{}, unknown(escaped)
	}
	return p, nil
}

func unknown(escaped string) error {
	return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("no file of a Maven repository can be at %.200q", escaped)}
}

func isSum(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	return dot >= 0 && slices.Contains(sums, name[dot+1:])
}

// parseFile reads …/<artifact>/<version>/<file>.
func (p *Path) parseFile(segments []string) bool {
	if p.Kind = File; !p.parseVersion(segments[:len(segments)-1]) {
		return false
	}
	p.Name = segments[len(segments)-1]
	rest, ok := strings.CutPrefix(p.Name, p.Artifact+"-")
	if !ok {
		return false
	}
	p.Version = p.Base
	after, ok := strings.CutPrefix(rest, p.Base)
	if !ok {
		release, snapshot := strings.CutSuffix(p.Base, snapshotWord)
		build, cut := strings.CutPrefix(rest, release)
		if !snapshot || !cut {
			return false
		}
		n := stampLength(build)
		if n == 0 {
			return false
		}
		p.Version, after = release+build[:n], build[n:]
	}
	return len(after) > 1 && (after[0] == '.' || after[0] == '-')
}

// parseVersion reads …/<artifact>/<version>, the directory of a version.
func (p *Path) parseVersion(segments []string) bool {
	n := len(segments)
	if n < 3 || !isDirectory(segments[:n-1]) {
		return false
	}
	p.Group, p.Artifact, p.Base = strings.Join(segments[:n-2], "."), segments[n-2], segments[n-1]
	return true
}

// isDirectory reports whether segments can be those of an artifact: a dot in a group's word would make two paths of one name.
func isDirectory(segments []string) bool {
	group := segments[:len(segments)-1]
	if isSnapshot(segments[len(segments)-1]) && len(group) > 1 {
		group = group[:len(group)-1] // the directory of a SNAPSHOT
	}
	return !slices.ContainsFunc(group, func(s string) bool { return strings.Contains(s, ".") })
}

// split unescapes the segments of a path, each once. It reports false for what is no path of files.
func split(escaped string) ([]string, bool) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok || len(rest) > 4096 {
		return nil, false
	}
	segments := strings.Split(rest, "/")
	for i, s := range segments {
		if strings.IndexByte(s, '%') >= 0 {
			if s, ok = format.Unescape(s); !ok || strings.IndexByte(s, '%') >= 0 {
				return nil, false // nobody names a file so, and it would read as another path
			}
			segments[i] = s
		}
		if !isSegment(s) {
			return nil, false
		}
	}
	return segments, true
}

// isSegment reports whether s can be a word of a coordinate or the name of a file.
func isSegment(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > longest || !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if refused[s[i]] {
			return false
		}
	}
	return true
}

// refused are the characters that no word has. Never changed.
var refused = func() (table [256]bool) {
	for c := range byte(' ' + 1) {
		table[c] = true
	}
	for _, c := range []byte("/\\:<>\"|?*\x7f") {
		table[c] = true
	}
	return table
}()

// Package is the name of the package: of a File its coordinate, of Metadata that of the artifact that the directory can be.
func (p Path) Package() string {
	if p.Kind == File {
		return p.Group + ":" + p.Artifact
	}
	return dirPackage(p.Dir)
}

func dirPackage(dir []string) string {
	n := len(dir) - 1
	if n <= 0 {
		return strings.Join(dir, "")
	}
	var b strings.Builder
	b.Grow(lengthOf(dir))
	for i, word := range dir {
		switch i {
		case 0:
		case n:
			b.WriteByte(':')
		default:
			b.WriteByte('.')
		}
		b.WriteString(word)
	}
	return b.String()
}

// lengthOf is that of a directory's words with something between each two and behind the last.
func lengthOf(dir []string) int {
	n := len(dir)
	for _, word := range dir {
		n += len(word)
	}
	return n
}

// Snapshot is the coordinate whose builds a Metadata path tells; ok is false if its directory is none of a SNAPSHOT.
func (p Path) Snapshot() (pkg, base string, ok bool) {
	n := len(p.Dir) - 1
	if p.Kind != Metadata || n < 2 || !isSnapshot(p.Dir[n]) {
		return "", "", false
	}
	return dirPackage(p.Dir[:n]), p.Dir[n], true
}

// Key is the key of the file that a File path names; with a Sum, of the upstream's own file of that sum.
func (p Path) Key() millpond.Key {
	k := millpond.Key{Package: p.Package(), Version: p.Version, File: p.Name}
	if p.Sum != "" {
		k.File += "." + p.Sum
	}
	return k
}

// String is the path escaped, with its leading slash: what Parse reads.
func (p Path) String() string {
	var segments []string
	switch p.Kind {
	case File:
		segments = append(strings.Split(p.Group, "."), p.Artifact, p.Base, p.Name)
	case Metadata:
		segments = append(slices.Clone(p.Dir), metadataName)
	case Catalog:
		segments = []string{"archetype-catalog.xml"}
	case Prefixes:
		segments = []string{".meta", "prefixes.txt"}
	case Index:
		segments = []string{indexDir, p.Name}
	}
	if p.Sum != "" {
		segments[len(segments)-1] += "." + p.Sum
	}
	room := len(segments)
	for _, s := range segments {
		room += len(s)
	}
	var b strings.Builder
	b.Grow(room) // and more, where there is something to escape
	for _, s := range segments {
		b.WriteByte('/')
		escape(&b, s)
	}
	return b.String()
}

// plain is what stays beside letters and digits in the words of a path.
const plain = "-._~+!$&'(),=@"

func escape(b *strings.Builder, s string) { b.WriteString(format.Escape(s, plain)) }
