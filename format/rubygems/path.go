package rubygems

import (
	"strings"

	"millpond"
)

// A Kind is what a path asks for.
type Kind int

// The kinds.
const (
	Root Kind = iota + 1
	Versions
	Names
	Info
	Specs    // File is its name
	Quick    // File is name-version
	Gem      // File is name-version
	Push     // POST
	Yank     // DELETE
	Owners   // of Package; File is the ending
	Key      // an API key for a password
	Profile  // of who asks
	About    // JSON of Package
	Releases // JSON of Package's versions
	Latest   // JSON of Package's newest version
	Search   // JSON of the gems that a query finds
)

// A Path is a path below the repository, read.
type Path struct {
	Kind    Kind
	Package string
	File    string
}

var errPath = &millpond.Error{Kind: millpond.NotFound, Why: "this repository of gems has no such path"} // never changed

// Parse reads a path as the client sent it. What is no path of this ecosystem is NotFound.
func Parse(path string) (Path, error) {
	switch path {
	case "/":
		return Path{Kind: Root}, nil
	case "/versions":
		return Path{Kind: Versions}, nil
	case "/names":
		return Path{Kind: Names}, nil
	case "/specs.4.8.gz", "/latest_specs.4.8.gz", "/prerelease_specs.4.8.gz":
		return Path{Kind: Specs, File: path[1:]}, nil
	case "/api/v1/gems":
		return Path{Kind: Push}, nil
	case "/api/v1/gems/yank":
		return Path{Kind: Yank}, nil
	case "/api/v1/api_key":
		return Path{Kind: Key}, nil
	case "/api/v1/profile/me.yaml":
		return Path{Kind: Profile}, nil
	case "/api/v1/search.json":
		return Path{Kind: Search}, nil
	}
	if len(path) > 1000 {
		return Path{}, errPath
	}
	if name, ok := strings.CutPrefix(path, "/info/"); ok {
		return named(Info, name, "")
	}
	if file, ok := strings.CutPrefix(path, "/gems/"); ok {
		return filed(Gem, file, ".gem")
	}
	if file, ok := strings.CutPrefix(path, "/quick/Marshal.4.8/"); ok {
		return filed(Quick, file, ".gemspec.rz")
	}
	if rest, ok := strings.CutPrefix(path, "/api/v1/gems/"); ok {
		if name, end, ok := strings.Cut(rest, "/"); ok {
			switch end {
			case "owners", "owners.yaml", "owners.json":
				return named(Owners, name, strings.TrimPrefix(end, "owners"))
			}
			return Path{}, errPath
		}
		if name, ok := strings.CutSuffix(rest, ".json"); ok {
			return named(About, name, "")
		}
	}
	if rest, ok := strings.CutPrefix(path, "/api/v1/versions/"); ok {
		if name, ok := strings.CutSuffix(rest, "/latest.json"); ok {
			return named(Latest, name, "")
		}
		if name, ok := strings.CutSuffix(rest, ".json"); ok {
			return named(Releases, name, "")
		}
	}
	return Path{}, errPath
}

func named(kind Kind, name, file string) (Path, error) {
	if !isName(name) {
		return Path{}, errPath
	}
	return Path{Kind: kind, Package: name, File: file}, nil
}

func filed(kind Kind, file, end string) (Path, error) {
	full, ok := strings.CutSuffix(file, end)
	if !ok || len(splits(full)) == 0 {
		return Path{}, errPath
	}
	return Path{Kind: kind, File: full}, nil
}

// String is the path.
func (p Path) String() string {
	switch p.Kind {
	case Root:
		return "/"
	case Versions:
		return "/versions"
	case Names:
		return "/names"
	case Info:
		return "/info/" + p.Package
	case Specs:
		return "/" + p.File
	case Quick:
		return "/quick/Marshal.4.8/" + p.File + ".gemspec.rz"
	case Gem:
		return "/gems/" + p.File + ".gem"
	case Push:
		return "/api/v1/gems"
	case Yank:
		return "/api/v1/gems/yank"
	case Owners:
		return "/api/v1/gems/" + p.Package + "/owners" + p.File
	case Key:
		return "/api/v1/api_key"
	case Profile:
		return "/api/v1/profile/me.yaml"
	case Search:
		return "/api/v1/search.json"
	case About:
		return "/api/v1/gems/" + p.Package + ".json"
	case Releases:
		return "/api/v1/versions/" + p.Package + ".json"
	case Latest:
		return "/api/v1/versions/" + p.Package + "/latest.json"
	}
	return ""
}

// splits are the names and versions that name-version may mean, the longest name first: foo-2-bar-1.0.0-java may be the gem
// foo-2-bar, and might be foo.
func splits(full string) []millpond.Key {
	var out []millpond.Key
	for i := len(full) - 2; i > 0; i-- {
		if full[i] == '-' && isDigit(full[i+1]) && isName(full[:i]) && isVersion(full[i+1:]) {
			out = append(out, millpond.Key{Package: full[:i], Version: full[i+1:]})
		}
	}
	return out
}

// gemFile is the name of a version's gem, and quickFile that of its quick spec.
func gemFile(name, version string) string   { return name + "-" + version + ".gem" }
func quickFile(name, version string) string { return name + "-" + version + ".gemspec.rz" }
