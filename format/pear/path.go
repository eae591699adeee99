package pear

import (
	"fmt"
	"strings"

	"millpond"
	"millpond/format"
)

// A Kind is one kind of URL of the protocol.
type Kind uint8

// The kinds.
const (
	Channel     Kind = iota + 1 // channel.xml
	Releases                    // rest/r/<package>/allreleases.xml
	Releases2                   // rest/r/<package>/allreleases2.xml
	Ref                         // rest/r/<package>/stable.txt and its siblings; File is the name without .txt
	ReleaseFile                 // rest/r/<package>/{V.xml,v2.V.xml,package.V.xml,deps.V.txt}
	Archive                     // get/<Name>-V.tgz
	PackageDoc                  // rest/p/<package>/{info,maintainers,maintainers2}.xml
	ChannelDoc                  // rest/{p,c,m}/…: File is the path below rest/, escaped
	Submit                      // the channel's root: takes an archive
)

// A Path is a URL below a repository's mount, or below a channel that was asked for in absolute form.
type Path struct {
	Kind    Kind
	Channel string // lower case; "" where the address does not say
	Name    string // of the package, as it was written
	Version string
	File    string // canonical
}

// Package is the record's name: the channel's alone for what belongs to no package.
func (p Path) Package() string {
	if p.Name == "" {
		return p.Channel
	}
	return p.Channel + "/" + strings.ToLower(p.Name)
}

// Key addresses the file or the document.
func (p Path) Key() millpond.Key {
	return millpond.Key{Package: p.Package(), Version: p.Version, File: p.File}
}

const longestPath = 1024

// Parse reads the escaped path of a URL below the mount, with its leading slash. Where the repository is the root of a host
// the path names no channel: Channel is "" then. Invalid if no path could be spelt so.
func Parse(escaped string) (Path, error) {
	if len(escaped) > longestPath {
		return Path{}, invalid(escaped[:80]+"…", "it is too long")
	}
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return Path{}, invalid(escaped, "it does not begin with a slash")
	}
	first, below, _ := strings.Cut(rest, "/")
	if first == "channel.xml" || first == "rest" || first == "get" || rest == "" {
		return ParseIn("", escaped)
	}
	if below == "" && !strings.HasSuffix(rest, "/") {
		return Path{}, invalid(escaped, "nothing is there")
	}
	channel := strings.ToLower(first)
	if !isChannel(channel) {
		return Path{}, invalid(escaped, "no channel is called so")
	}
	return ParseIn(channel, escaped[1+len(first):])
}

// ParseIn reads the escaped path of a URL of a channel, with its leading slash.
func ParseIn(channel, escaped string) (Path, error) {
	if len(escaped) > longestPath {
		return Path{}, invalid(escaped[:80]+"…", "it is too long")
	}
	p := Path{Channel: channel}
	if !strings.Contains(escaped, "%") {
		return p.read(escaped)
	}
	plain, ok := format.Unescape(escaped)
	if !ok || strings.ContainsAny(plain, "\\%") {
		return Path{}, invalid(escaped, "it is escaped in a way that no name needs")
	}
	return p.read(plain)
}

func (p Path) read(path string) (Path, error) {
	switch {
	case path == "/channel.xml":
		p.Kind, p.File = Channel, "channel.xml"
		return p, nil
	case path == "/":
		p.Kind = Submit
		return p, nil
	}
	if file, ok := strings.CutPrefix(path, "/get/"); ok {
		return p.readArchive(path, file)
	}
	rest, ok := strings.CutPrefix(path, "/rest/")
	if !ok {
		return Path{}, invalid(path, "a channel has no such address")
	}
	folder, below, _ := strings.Cut(rest, "/")
	name, file, deep := strings.Cut(below, "/")
	switch {
	case folder == "r" && deep && isName(name):
		p.Name = strings.ToLower(name)
		return p.readRelease(path, file)
	case folder == "p" && deep && isName(name) && (file == "info.xml" || file == "maintainers.xml" || file == "maintainers2.xml"):
		p.Kind, p.Name, p.File = PackageDoc, strings.ToLower(name), file
		return p, nil
	case (folder == "p" && below == "packages.xml") || (folder == "c" && below == "categories.xml") || (folder == "m" && below == "allmaintainers.xml"),
		folder == "c" && deep && isWords(name) && (file == "info.xml" || file == "packages.xml" || file == "packagesinfo.xml"),
		folder == "m" && deep && isWords(name) && file == "info.xml":
		p.Kind, p.File = ChannelDoc, escapeWords(rest)
		return p, nil
	}
	return Path{}, invalid(path, "a channel has no such address")
}

func (p Path) readRelease(path, file string) (Path, error) {
	switch file {
	case "allreleases.xml":
		p.Kind = Releases
		return p, nil
	case "allreleases2.xml":
		p.Kind = Releases2
		return p, nil
	case "latest.txt", "stable.txt", "beta.txt", "alpha.txt", "devel.txt", "snapshot.txt":
		p.Kind, p.File = Ref, strings.TrimSuffix(file, ".txt")
		return p, nil
	}
	version := versionOf(file)
	if version == "" {
		return Path{}, invalid(path, "no document of a release is called so")
	}
	p.Kind, p.Version, p.File = ReleaseFile, version, file
	return p, nil
}

// versionOf is the version that the name of a release's document says, "" if it is no such name.
func versionOf(file string) string {
	for _, one := range [...]struct{ before, behind string }{{"v2.", ".xml"}, {"package.", ".xml"}, {"deps.", ".txt"}, {"", ".xml"}} {
		v, ok := strings.CutPrefix(file, one.before)
		if !ok {
			continue
		}
		if v, ok = strings.CutSuffix(v, one.behind); ok && isVersion(v) {
			return v
		}
	}
	return ""
}

func (p Path) readArchive(path, file string) (Path, error) {
	stem, ok := strings.CutSuffix(file, ".tgz")
	i := strings.LastIndexByte(stem, '-')
	if !ok || i < 0 || !isName(stem[:i]) || !isVersion(stem[i+1:]) {
		return Path{}, invalid(path, "an archive is called Name-1.0.0.tgz")
	}
	p.Kind, p.Name, p.Version = Archive, stem[:i], stem[i+1:]
	p.File = strings.ToLower(stem[:i]) + "-" + p.Version + ".tgz"
	return p, nil
}

// String is the path that Parse reads.
func (p Path) String() string {
	at := "/"
	if p.Channel != "" {
		at += p.Channel + "/"
	}
	switch p.Kind {
	case Channel:
		return at + "channel.xml"
	case Releases:
		return at + "rest/r/" + strings.ToLower(p.Name) + "/allreleases.xml"
	case Releases2:
		return at + "rest/r/" + strings.ToLower(p.Name) + "/allreleases2.xml"
	case Ref:
		return at + "rest/r/" + strings.ToLower(p.Name) + "/" + p.File + ".txt"
	case ReleaseFile:
		return at + "rest/r/" + strings.ToLower(p.Name) + "/" + p.File
	case Archive:
		return at + "get/" + p.Name + "-" + p.Version + ".tgz"
	case PackageDoc:
		return at + "rest/p/" + strings.ToLower(p.Name) + "/" + p.File
	case ChannelDoc:
		return at + "rest/" + p.File
	}
	return at
}

func invalid(path, why string) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("there is nothing at %q: %s", path, why)}
}

// isWords reports whether a category or a person can be called so.
func isWords(s string) bool {
	if s == "" || len(s) > 100 || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alnum(c) && !strings.ContainsRune(" _.&+-", rune(c)) {
			return false
		}
	}
	return true
}

// escapeWords escapes what may stand in such names and not in a URL.
func escapeWords(path string) string { return format.Escape(path, "/-_.+") }
