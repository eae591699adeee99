package cargo

import (
	"fmt"
	"strings"

	"millpond"
)

// A Kind is one kind of URL of the protocol.
type Kind uint8

// The kinds, and what each answers with.
const (
	Config   Kind = iota + 1 // config.json: where files and the web API are
	Index                    // se/rd/serde: a crate's versions, one line each
	File                     // crates/<crate>/<version>/<sha256>.crate
	Download                 // crates/<crate>/<version>/download, and below api/v1: the same without the digest
	Search                   // api/v1/crates?q=
	New                      // api/v1/crates/new: a crate is put here
	Yank                     // api/v1/crates/<crate>/<version>/yank
	Unyank                   // api/v1/crates/<crate>/<version>/unyank
	Owners                   // api/v1/crates/<crate>/owners
	Me                       // me: where a person gets a token
)

// A Path is a URL of the protocol below the repository's mount. Its names are checked.
type Path struct {
	Kind    Kind
	API     bool   // of a Download: below api/v1
	Crate   string // as the URL spells it; of an Index in lower case
	Version string // of File, Download, Yank, Unyank
	Sum     string // of a File: the sha256 of its bytes, in lower-case hex
}

const api = "api/v1/crates"

// Parse reads the escaped path of a URL below the mount, with its leading slash. What is not of the protocol is NotFound.
func Parse(escaped string) (Path, error) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if ok && strings.Contains(rest, "%") {
		// Build metadata has a plus, which some clients escape; nothing else that may stand here is ever escaped.
		rest = strings.ReplaceAll(strings.ReplaceAll(rest, "%2B", "+"), "%2b", "+")
		ok = !strings.Contains(rest, "%")
	}
	if !ok {
		return Path{}, unknown(escaped)
	}
	switch rest {
	case "config.json":
		return Path{Kind: Config}, nil
	case "me":
		return Path{Kind: Me}, nil
	case api:
		return Path{Kind: Search}, nil
	case api + "/new":
		return Path{Kind: New}, nil
	}
	var p Path
	if below, is := strings.CutPrefix(rest, "crates/"); is {
		p, ok = parseFile(below)
	} else if below, is := strings.CutPrefix(rest, api+"/"); is {
		p, ok = parseAPI(below)
	} else {
		p, ok = parseIndex(rest)
	}
	if !ok {
		return Path{}, unknown(escaped)
	}
	return p, nil
}

func unknown(escaped string) error {
	return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("no crate is served at %.200q", escaped)}
}

// parseFile reads "<crate>/<version>/<sha256>.crate" and "<crate>/<version>/download".
func parseFile(s string) (Path, bool) {
	name, rest, _ := strings.Cut(s, "/")
	version, last, _ := strings.Cut(rest, "/")
	if !isName(name) || !isVersion(version) {
		return Path{}, false
	}
	p := Path{Kind: Download, Crate: name, Version: version}
	if last == "download" {
		return p, true
	}
	sum, ok := strings.CutSuffix(last, ".crate")
	p.Kind, p.Sum = File, sum
	return p, ok && isSum(sum)
}

// parseAPI reads what stands behind "api/v1/crates/".
func parseAPI(s string) (Path, bool) {
	name, rest, _ := strings.Cut(s, "/")
	if !isName(name) {
		return Path{}, false
	}
	if rest == "owners" {
		return Path{Kind: Owners, Crate: name}, true
	}
	version, last, _ := strings.Cut(rest, "/")
	p := Path{Crate: name, Version: version}
	switch last {
	case "yank":
		p.Kind = Yank
	case "unyank":
		p.Kind = Unyank
	case "download":
		p.Kind, p.API = Download, true
	default:
		return Path{}, false
	}
	return p, isVersion(version)
}

// parseIndex reads the path of an index file, which has to be the one that its name gives.
func parseIndex(s string) (Path, bool) {
	name := s[strings.LastIndexByte(s, '/')+1:]
	if !isName(name) || strings.ContainsFunc(name, upper) || len(s) != len(name)+len(folder(name)) || s[:len(s)-len(name)] != folder(name) {
		return Path{}, false
	}
	return Path{Kind: Index, Crate: name}, true
}

func upper(c rune) bool { return c >= 'A' && c <= 'Z' }

// folder is where the index file of a name lies, with a slash at its end.
func folder(name string) string {
	switch len(name) {
	case 0:
		return ""
	case 1:
		return "1/"
	case 2:
		return "2/"
	case 3:
		return "3/" + name[:1] + "/"
	}
	return name[:2] + "/" + name[2:4] + "/"
}

// String is the path of the URL, with its leading slash.
func (p Path) String() string {
	switch p.Kind {
	case Config:
		return "/config.json"
	case Index:
		return "/" + folder(p.Crate) + p.Crate
	case File:
		return "/crates/" + p.Crate + "/" + p.Version + "/" + p.Sum + ".crate"
	case Search:
		return "/" + api
	case New:
		return "/" + api + "/new"
	case Yank:
		return "/" + api + "/" + p.Crate + "/" + p.Version + "/yank"
	case Unyank:
		return "/" + api + "/" + p.Crate + "/" + p.Version + "/unyank"
	case Owners:
		return "/" + api + "/" + p.Crate + "/owners"
	case Me:
		return "/me"
	}
	if p.API {
		return "/" + api + "/" + p.Crate + "/" + p.Version + "/download"
	}
	return "/crates/" + p.Crate + "/" + p.Version + "/download"
}

// Key is the file that a File or a Download names.
func (p Path) Key() millpond.Key {
	return millpond.Key{Package: identity(p.Crate), Version: p.Version, File: fileName(p.Crate, p.Version)}
}

func fileName(crate, version string) string { return crate + "-" + version + ".crate" }

func isSum(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
