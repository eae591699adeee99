package golang

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"

	"millpond"
	"millpond/format"
)

// A Kind is one kind of URL of the protocol.
type Kind uint8

// The kinds, and what each answers with.
const (
	List         Kind = iota + 1 // <module>/@v/list: versions, one a line
	Latest                       // <module>/@latest: the .info of the newest
	Query                        // <module>/@v/<query>.info: the .info of what a branch, a hash or a loose version means now
	Info                         // <module>/@v/<version>.info
	Mod                          // <module>/@v/<version>.mod
	Zip                          // <module>/@v/<version>.zip
	Index                        // index: what versions became known when
	SumSupported                 // sumdb/<name>/supported: whether database traffic may come this way
	SumLatest                    // sumdb/<name>/latest: the signed head of the log
	SumLookup                    // sumdb/<name>/lookup/<module>@<version>: the hashes of a version
	SumTile                      // sumdb/<name>/tile/…: a piece of the log
	Upload                       // upload: a module zip is put here
)

// A Path is a URL of the protocol below the repository's mount. Its names are unescaped and checked.
type Path struct {
	Kind     Kind
	Cached   bool   // below cached-only/: only what is held here
	Module   string // of all but Index, Upload, SumSupported, SumLatest and SumTile
	Version  string // canonical; of a Query the query
	Database string // of the Sum kinds: the name of the checksum database
	Tile     string // of a SumTile: "tile/8/0/001", as tlog spells it
}

const cachedOnly = "cached-only/"

// Parse reads the escaped path of a URL below the mount, with its leading slash. What is not of the protocol is NotFound.
func Parse(escaped string) (Path, error) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if ok {
		rest, ok = unescape(rest)
	}
	if !ok {
		return Path{}, unknown(escaped)
	}
	var p Path
	rest, p.Cached = strings.CutPrefix(rest, cachedOnly)
	switch sum, isSum := strings.CutPrefix(rest, "sumdb/"); {
	case isSum:
		ok = p.parseSum(sum)
	case rest == "index":
		p.Kind, ok = Index, true
	case rest == "upload" && !p.Cached:
		p.Kind, ok = Upload, true
	default:
		ok = p.parseModule(rest)
	}
	if !ok {
		return Path{}, unknown(escaped)
	}
	return p, nil
}

func unknown(escaped string) error {
	return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("no Go module is served at %.200q", escaped)}
}

// parseModule reads "<module>/@latest" and "<module>/@v/<file>".
func (p *Path) parseModule(s string) bool {
	i := strings.Index(s, "/@")
	if i < 0 {
		return false
	}
	var err error
	if p.Module, err = unescapePath(s[:i]); err != nil {
		return false
	}
	rest := s[i+1:]
	if rest == "@latest" {
		p.Kind = Latest
		return true
	}
	rest, ok := strings.CutPrefix(rest, "@v/")
	if !ok {
		return false
	}
	if rest == "list" {
		p.Kind = List
		return true
	}
	dot := strings.LastIndexByte(rest, '.')
	if dot < 0 {
		return false
	}
	if p.Version, err = module.UnescapeVersion(rest[:dot]); err != nil {
		return false
	}
	canonical := suits(p.Module, p.Version)
	switch rest[dot:] {
	case ".info":
		p.Kind = Info
		if !canonical {
			p.Kind = Query
			return isQuery(p.Version)
		}
		return true
	case ".mod":
		p.Kind = Mod
		return canonical
	case ".zip":
		p.Kind = Zip
		return canonical
	}
	return false
}

// unescapePath is module.UnescapePath. Of a path in which nothing is escaped, as of nearly all, it makes no copy.
func unescapePath(escaped string) (string, error) {
	for i := range len(escaped) {
		if c := escaped[i]; c == '!' || 'A' <= c && c <= 'Z' || c >= 0x80 {
			return module.UnescapePath(escaped)
		}
	}
	return escaped, module.CheckPath(escaped)
}

// isCanonical reports whether version can be that of an immutable version of the module: v2.0.0 of a module without /v2 is
// a query, which an upstream may resolve to v2.0.0+incompatible.
func isCanonical(path, version string) bool {
	return suits(path, version) && module.CheckPath(path) == nil
}

// suits is isCanonical for a path that is known to be one.
func suits(path, version string) bool {
	if version == "" || module.CanonicalVersion(version) != version {
		return false
	}
	_, major, ok := module.SplitPathVersion(path)
	return ok && module.CheckPathMajor(version, major) == nil
}

// isQuery reports whether s may be asked of an upstream: not the words that the go command resolves by itself, nor what a
// command further up could take for an option.
func isQuery(s string) bool {
	switch s {
	case "latest", "upgrade", "patch":
		return false
	}
	return s[0] != '-'
}

// parseSum reads what follows "sumdb/". The name of a database may itself contain slashes.
func (p *Path) parseSum(s string) bool {
	var name, rest string
	if before, ok := strings.CutSuffix(s, "/supported"); ok {
		p.Kind, name = SumSupported, before
	} else if before, ok := strings.CutSuffix(s, "/latest"); ok {
		p.Kind, name = SumLatest, before
	} else if i := strings.Index(s, "/lookup/"); i >= 0 {
		p.Kind, name, rest = SumLookup, s[:i], s[i+len("/lookup/"):]
		if !p.parseLookup(rest) {
			return false
		}
	} else if i := strings.LastIndex(s, "/tile/"); i >= 0 {
		p.Kind, name, p.Tile = SumTile, s[:i], s[i+1:]
		if t, err := tlog.ParseTilePath(p.Tile); err != nil || t.H != tileHeight {
			return false
		}
	}
	p.Database = name
	return p.Kind != 0 && isDatabase(name)
}

// parseLookup reads "<module>@<version>".
func (p *Path) parseLookup(s string) bool {
	path, version, ok := strings.Cut(s, "@")
	if !ok {
		return false
	}
	var err error
	if p.Module, err = module.UnescapePath(path); err != nil {
		return false
	}
	if p.Version, err = module.UnescapeVersion(version); err != nil {
		return false
	}
	return suits(p.Module, p.Version)
}

// isDatabase reports whether name can be that of a checksum database: a host, or a host and a path.
func isDatabase(name string) bool {
	return module.CheckImportPath(name) == nil && !strings.Contains(name, "+")
}

// Key is the key of the file that the path names: of an Info, Mod, Zip, SumLookup or SumTile, or of the document that a
// SumLatest is.
func (p Path) Key() millpond.Key {
	switch p.Kind {
	case Info:
		return millpond.Key{Package: p.Module, Version: p.Version, File: p.Version + ".info"}
	case Mod:
		return millpond.Key{Package: p.Module, Version: p.Version, File: p.Version + ".mod"}
	case Zip:
		return millpond.Key{Package: p.Module, Version: p.Version, File: p.Version + ".zip"}
	case SumLatest:
		return millpond.Key{Package: sumPackage + p.Database, File: "latest"}
	case SumLookup:
		return lookupKey(p.Database, p.Module, p.Version)
	case SumTile:
		return millpond.Key{Package: sumPackage + p.Database, File: p.Tile}
	}
	return millpond.Key{Package: p.Module}
}

// String is the path escaped, with its leading slash: what Parse reads.
func (p Path) String() string {
	s := "/"
	if p.Cached {
		s += cachedOnly
	}
	switch p.Kind {
	case Index:
		return s + "index"
	case Upload:
		return s + "upload"
	case SumSupported:
		return s + "sumdb/" + p.Database + "/supported"
	case SumLatest:
		return s + "sumdb/" + p.Database + "/latest"
	case SumLookup:
		return s + "sumdb/" + p.Database + "/lookup/" + escapePath(p.Module) + "@" + escapeVersion(p.Version)
	case SumTile:
		return s + "sumdb/" + p.Database + "/" + p.Tile
	}
	s += escapePath(p.Module)
	switch p.Kind {
	case Latest:
		return s + "/@latest"
	case List:
		return s + "/@v/list"
	case Info, Query:
		return s + "/@v/" + escapeVersion(p.Version) + ".info"
	case Mod:
		return s + "/@v/" + escapeVersion(p.Version) + ".mod"
	case Zip:
		return s + "/@v/" + escapeVersion(p.Version) + ".zip"
	}
	return s
}

// escapePath is a checked module path as a URL has it. It has no character that wants a percent sign.
func escapePath(path string) string {
	escaped, err := module.EscapePath(path)
	if err != nil {
		return path // not checked: nothing is served under such a path
	}
	return escaped
}

// escapeVersion is a checked version or query as a URL has it.
func escapeVersion(version string) string {
	escaped, err := module.EscapeVersion(version)
	if err != nil {
		escaped = version
	}
	return format.Escape(escaped, "-._~+!")
}

// unescape decodes percent signs, once. It reports false for what would then read as another path, and for what is no text.
func unescape(s string) (string, bool) {
	plain, ok := format.Unescape(s)
	odd := func(r rune) bool { return r == '\\' || r == '%' || r < ' ' || r == 0x7f }
	return plain, ok && (len(plain) == len(s) || utf8.ValidString(plain) && !strings.ContainsFunc(plain, odd))
}
