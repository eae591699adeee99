package npm

import (
	"fmt"
	"net/url"
	"strings"

	"millpond"
)

// A Kind is what a path asks for.
type Kind int

// The kinds of path. Where reading and writing share a path, the method tells them apart.
const (
	Unknown      Kind = iota // below "-/", and nothing that this format knows: an answer, not an error
	Packument                // {p}
	Manifest                 // {p}/{version, tag or range}
	Tarball                  // {p}/-/{file}
	Revision                 // {p}/-rev/{rev}
	FileRevision             // {p}/-/{file}/-rev/{rev}
	Tags                     // -/package/{p}/dist-tags
	Tag                      // -/package/{p}/dist-tags/{tag}
	Login                    // -/user/org.couchdb.user:{user}
	WebLogin                 // -/v1/login
	Logout                   // -/user/token/{token}
	WhoAmI                   // -/whoami
	Tokens                   // -/npm/v1/tokens
	Profile                  // -/npm/v1/user
	Search                   // -/v1/search
	Bulk                     // -/npm/v1/security/advisories/bulk
	Audit                    // -/npm/v1/security/audits
	QuickAudit               // -/npm/v1/security/audits/quick
	Keys                     // -/npm/v1/keys
	Attestations             // -/npm/v1/attestations/{p}@{v}
	Ping                     // -/ping
	WebDone                  // -/v1/done/{ticket}: where WebLogin sends the client to wait
	TokenByKey               // -/npm/v1/tokens/token/{key}
	Exchange                 // -/npm/v1/oidc/token/exchange/package/{p}
	Access                   // -/package/{p}/{access, visibility, collaborators}
	Member                   // -/user/{user}/package, -/org/{org}/…, -/team/{org}/…
)

// A Path is one URL of the protocol, below the repository's mount.
type Path struct {
	Kind    Kind
	Package string // canonical
	Spec    string // of a Manifest: version, tag or range; of Attestations: the version
	File    string
	Tag     string
	Rev     string
	Name    string // the user of Login, the token of Logout and TokenByKey, the ticket of WebDone, the word of Access, the path of Member
}

// fixed are the paths below "-/" that hold no names.
var fixed = map[string]Kind{
	"v1/login":                        WebLogin,
	"whoami":                          WhoAmI,
	"npm/v1/tokens":                   Tokens,
	"npm/v1/user":                     Profile,
	"v1/search":                       Search,
	"npm/v1/security/advisories/bulk": Bulk,
	"npm/v1/security/audits":          Audit,
	"npm/v1/security/audits/quick":    QuickAudit,
	"npm/v1/keys":                     Keys,
	"ping":                            Ping,
}

// exchangePath is what the path of an Exchange begins with.
const exchangePath = "-/npm/v1/oidc/token/exchange/package/"

// Parse reads an escaped path, with or without its leading slash. Every element is unescaped once. Invalid means that no
// registry could have such a URL: an empty element, "." or "..", a control character, a backslash, a slash where none may
// be, a name that npm never allowed.
func Parse(escaped string) (Path, error) {
	escaped = strings.TrimPrefix(escaped, "/")
	var room [8]string
	parts := room[:0]
	for one := range strings.SplitSeq(escaped, "/") {
		if len(parts) == cap(parts) {
			return Path{}, invalid(escaped)
		}
		part, ok := element(one)
		if !ok {
			return Path{}, invalid(escaped)
		}
		parts = append(parts, part)
	}
	if parts[0] == "-" && len(parts) > 1 && (parts[1] != "-" || len(parts) != 3) {
		return parseOwn(escaped, parts[1:])
	}
	name, rest, ok := cutName(parts)
	if !ok {
		return Path{}, invalid(escaped)
	}
	p := Path{Package: name}
	if len(rest) == 3 && rest[0] == "-" && rest[1] != "" && strings.HasPrefix(name, rest[1]+"/") {
		// @s/n/-/@s/n-1.0.0.tgz, as some registries spell it.
		rest = []string{"-", rest[2]}
	}
	for i, part := range rest {
		if scope, file, scoped := strings.Cut(part, "/"); scoped {
			if i != 1 || rest[0] != "-" || !strings.HasPrefix(name, scope+"/") {
				return Path{}, invalid(escaped)
			}
			rest[i] = file
		}
	}
	switch {
	case len(rest) == 0:
		p.Kind = Packument
	case len(rest) == 1 && rest[0] != "-" && rest[0] != "-rev":
		p.Kind, p.Spec = Manifest, rest[0]
	case len(rest) == 2 && rest[0] == "-":
		p.Kind, p.File = Tarball, rest[1]
	case len(rest) == 2 && rest[0] == "-rev":
		p.Kind, p.Rev = Revision, rest[1]
	case len(rest) == 4 && rest[0] == "-" && rest[2] == "-rev":
		p.Kind, p.File, p.Rev = FileRevision, rest[1], rest[3]
	default:
		return Path{}, invalid(escaped)
	}
	return p, nil
}

// parseOwn reads what is below "-/".
func parseOwn(escaped string, parts []string) (Path, error) {
	if kind, ok := fixed[strings.TrimPrefix(escaped, "-/")]; ok {
		return Path{Kind: kind}, nil
	}
	switch {
	case parts[0] == "package" && len(parts) > 2:
		name, rest, ok := cutName(parts[1:])
		switch {
		case !ok:
			return Path{}, invalid(escaped)
		case len(rest) == 1 && rest[0] == "dist-tags":
			return Path{Kind: Tags, Package: name}, nil
		case len(rest) == 2 && rest[0] == "dist-tags" && !strings.Contains(rest[1], "/"):
			return Path{Kind: Tag, Package: name, Tag: rest[1]}, nil
		case len(rest) == 1 && (rest[0] == "access" || rest[0] == "visibility" || rest[0] == "collaborators"):
			return Path{Kind: Access, Package: name, Name: rest[0]}, nil
		}
	case len(parts) == 3 && strings.HasPrefix(escaped, "-/v1/done/") && !strings.Contains(parts[2], "/"):
		return Path{Kind: WebDone, Name: parts[2]}, nil
	case len(parts) == 5 && strings.HasPrefix(escaped, "-/npm/v1/tokens/token/") && !strings.Contains(parts[4], "/"):
		return Path{Kind: TokenByKey, Name: parts[4]}, nil
	case len(parts) > 6 && strings.HasPrefix(escaped, exchangePath):
		name, rest, ok := cutName(parts[6:])
		if !ok || len(rest) > 0 {
			return Path{}, invalid(escaped)
		}
		return Path{Kind: Exchange, Package: name}, nil
	case (parts[0] == "org" || parts[0] == "team") && len(parts) > 1,
		parts[0] == "user" && len(parts) == 3 && parts[2] == "package" && !strings.Contains(parts[1], "/"):
		return Path{Kind: Member, Name: strings.Join(parts, "/")}, nil
	case len(parts) > 3 && strings.HasPrefix(escaped, "-/npm/v1/attestations/"):
		last := len(parts) - 1
		i := strings.LastIndexByte(parts[last], '@')
		if i <= 0 || i == len(parts[last])-1 {
			return Path{}, invalid(escaped)
		}
		version := parts[last][i+1:]
		parts[last] = parts[last][:i]
		name, rest, ok := cutName(parts[3:])
		if !ok || len(rest) > 0 || strings.Contains(version, "/") {
			return Path{}, invalid(escaped)
		}
		return Path{Kind: Attestations, Package: name, Spec: version}, nil
	case parts[0] == "user" && len(parts) > 1:
		if user, ok := strings.CutPrefix(parts[1], "org.couchdb.user:"); ok && user != "" && !strings.Contains(user, "/") {
			switch {
			case len(parts) == 2:
				return Path{Kind: Login, Name: user}, nil
			case len(parts) == 4 && parts[2] == "-rev" && !strings.Contains(parts[3], "/"):
				return Path{Kind: Login, Name: user, Rev: parts[3]}, nil
			}
		}
		if parts[1] == "token" && len(parts) == 3 && !strings.Contains(parts[2], "/") {
			return Path{Kind: Logout, Name: parts[2]}, nil
		}
	}
	return Path{Kind: Unknown}, nil
}

// String is the path as npm itself spells it, escaped, without a leading slash: Parse returns the same Path for it.
func (p Path) String() string {
	switch p.Kind {
	case Packument:
		return escapeName(p.Package)
	case Manifest:
		return escapeName(p.Package) + "/" + url.PathEscape(p.Spec)
	case Tarball:
		return tarballPath(p.Package, p.File)
	case Revision:
		return escapeName(p.Package) + "/-rev/" + url.PathEscape(p.Rev)
	case FileRevision:
		return tarballPath(p.Package, p.File) + "/-rev/" + url.PathEscape(p.Rev)
	case Tags:
		return "-/package/" + escapeName(p.Package) + "/dist-tags"
	case Tag:
		return "-/package/" + escapeName(p.Package) + "/dist-tags/" + url.PathEscape(p.Tag)
	case Attestations:
		return "-/npm/v1/attestations/" + escapeName(p.Package) + "@" + url.PathEscape(p.Spec)
	case Login:
		s := "-/user/org.couchdb.user:" + url.PathEscape(p.Name)
		if p.Rev != "" {
			s += "/-rev/" + url.PathEscape(p.Rev)
		}
		return s
	case Logout:
		return "-/user/token/" + url.PathEscape(p.Name)
	case WebDone:
		return "-/v1/done/" + url.PathEscape(p.Name)
	case TokenByKey:
		return "-/npm/v1/tokens/token/" + url.PathEscape(p.Name)
	case Exchange:
		return exchangePath + escapeName(p.Package)
	case Access:
		return "-/package/" + escapeName(p.Package) + "/" + p.Name
	case Member:
		words := strings.Split(p.Name, "/")
		for i := range words {
			words[i] = url.PathEscape(words[i])
		}
		return "-/" + strings.Join(words, "/")
	}
	for path, kind := range fixed {
		if kind == p.Kind {
			return "-/" + path
		}
	}
	return "-/unknown"
}

// tarballPath is where a file lies below the mount: the spelling that lock files hold.
func tarballPath(name, file string) string {
	if scope, base, ok := strings.Cut(name, "/"); ok {
		return scope + "/" + url.PathEscape(base) + "/-/" + url.PathEscape(file)
	}
	return url.PathEscape(name) + "/-/" + url.PathEscape(file)
}

// escapeName is a name as one element.
func escapeName(name string) string {
	if scope, base, ok := strings.Cut(name, "/"); ok {
		return scope + "%2f" + url.PathEscape(base)
	}
	return url.PathEscape(name)
}

// cutName takes the package's name off the front of unescaped elements: one element, or two where the first is a scope.
func cutName(parts []string) (name string, rest []string, ok bool) {
	name, rest = parts[0], parts[1:]
	if name[0] == '@' && !strings.Contains(name, "/") {
		if len(rest) == 0 {
			return "", nil, false
		}
		name, rest = name+"/"+rest[0], rest[1:]
	}
	return name, rest, validName(name)
}

// element unescapes one element of a path. A slash may be in it only as part of "@scope/…".
func element(s string) (string, bool) {
	if strings.IndexByte(s, '%') >= 0 {
		var err error
		if s, err = url.PathUnescape(s); err != nil {
			return "", false
		}
	}
	if s == "" || s == "." || s == ".." {
		return "", false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == 0x7f, c == '\\':
			return "", false
		case c == '/':
			base := s[i+1:]
			if s[0] != '@' || i < 2 || base == "" || base == "." || base == ".." || strings.IndexByte(base, '/') >= 0 {
				return "", false
			}
		}
	}
	return s, true
}

func invalid(escaped string) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.300q is no address of an npm registry", escaped)}
}

// Strays implements format.Strayer: npm drops the path of the registry where a lock file names the public default (11.3 and some
// after it), and tools join paths to hosts. These are files, and what is below "/-/npm/v1/".
func (Format) Strays(escaped string) bool {
	if strings.HasPrefix(escaped, "/-/npm/v1/") {
		return true
	}
	if !strings.Contains(escaped, "/-/") {
		return false
	}
	p, err := Parse(escaped)
	return err == nil && p.Kind == Tarball
}
