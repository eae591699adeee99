package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// A verb is what a route lets its caller do. Every route declares one.
type verb string

const (
	verbOpen    verb = "open"    // anyone
	verbRead    verb = "read"    // whoever may read every repository, and clients on the pond's own machine
	verbOperate verb = "operate" // clients on the pond's own machine
)

// A route is one of the pond's own addresses. They are data, so that a test can walk them.
type route struct {
	prefix  string // exact; a subtree if it ends in "/" and is more than "/-/"
	methods string // "GET HEAD"
	verb    verb
	serve   func(s *Server, x *response, r *http.Request, t *table) error
}

func (r *route) takes(method string) bool { return slices.Contains(strings.Fields(r.methods), method) }

func (r *route) allow() string { return strings.Join(strings.Fields(r.methods), ", ") }

// routes are all addresses of the pond's own.
func routes() []route {
	return []route{
		{"/", "GET HEAD", verbOpen, (*Server).landing},
		{"/-/livez", "GET HEAD", verbOpen, (*Server).livez},
		{"/-/readyz", "GET HEAD", verbOpen, (*Server).readyz},
		{"/-/metrics", "GET HEAD", verbRead, (*Server).serveMetrics},
		{"/-/ca.pem", "GET HEAD", verbOpen, (*Server).authority},
		{"/-/ui/", "GET HEAD", verbOpen, (*Server).assets},
		{"/-/api/why", "GET HEAD", verbRead, (*Server).apiWhy},
		{"/-/api/stats", "GET HEAD", verbRead, (*Server).apiStats},
		{"/-/api/check", "POST", verbOperate, (*Server).apiCheck},
	}
}

// A mount is a repository at its place.
type mount struct {
	name       string
	config     repo.Config
	info       format.Info
	repository Repository
	handler    http.Handler // as anonymous; made once
	counters   *counters
}

// A table is where everything is. It is replaced whole when the configuration changes, and never changed.
type table struct {
	settings Settings
	routes   []route
	order    []*mount
	mounts   map[string]*mount
	roots    []string // further places of mounts, longest first: "/packages/"
	rooted   map[string][]*mount
	private  bool   // some repository is not for everybody
	under    string // path of the public URL without its last slash: "/pond"; "" if it has none
}

// reserved are the first path elements that protocols need at the root of a host.
func reserved(name string) bool {
	switch name {
	case "-", "_", "v2", ".well-known":
		return true
	}
	return false
}

// CheckMounts reports what is wrong with the names of repositories, or with the address that clients know, as a server
// would find it: Invalid, with the words.
func CheckMounts(public *url.URL, repositories []repo.Config) error {
	if public != nil && public.EscapedPath() != public.Path {
		return invalid("public_url %s: its path has characters that need escaping", public)
	}
	taken := map[string]string{} // first elements of roots, and the format that needs them
	for _, c := range repositories {
		info := c.Format.Info()
		for _, root := range info.Roots {
			if len(root) < 3 || root[0] != '/' || root[len(root)-1] != '/' {
				return fmt.Errorf("format %s: root %q does not begin and end in a slash", info.Name, root)
			}
			first, _, _ := strings.Cut(root[1:], "/")
			taken[first] = info.Title
		}
	}
	seen := map[string]bool{}
	for _, c := range repositories {
		switch name := c.Name; {
		case reserved(name), name == "", url.PathEscape(name) != name, name == ".", name == "..":
			return invalid("no repository can be called %q", name)
		case seen[name]:
			return invalid("two repositories are called %q", name)
		case taken[name] != "":
			return invalid("no repository can be called %q: clients of %s need that place on the server", name, taken[name])
		}
		seen[c.Name] = true
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf(format, args...)}
}

// Configure replaces the settings and where everything is. If it fails nothing has changed. Requests under way finish with
// what they began with.
func (s *Server) Configure(settings Settings, repositories []Repository) error {
	t := &table{settings: settings, routes: routes(), mounts: map[string]*mount{}, rooted: map[string][]*mount{}}
	configs := make([]repo.Config, len(repositories))
	for i, one := range repositories {
		configs[i] = one.Config()
	}
	if err := CheckMounts(settings.PublicURL, configs); err != nil {
		return err
	}
	if settings.MaxBody == 0 {
		t.settings.MaxBody = 64 << 20
	}
	if u := settings.PublicURL; u != nil {
		t.under = strings.TrimSuffix(u.Path, "/")
	}
	for i, one := range repositories {
		m := &mount{name: configs[i].Name, config: configs[i], repository: one}
		m.info = m.config.Format.Info()
		m.handler = m.config.Format.Handler(one.For(repo.Caller{}))
		m.counters = s.metrics.of(m.info.Name)
		t.private = t.private || !m.config.Public
		t.mounts[m.name] = m
		t.order = append(t.order, m)
		for _, root := range m.info.Roots {
			if t.rooted[root] == nil {
				t.roots = append(t.roots, root)
			}
			t.rooted[root] = append(t.rooted[root], m)
		}
	}
	slices.SortFunc(t.roots, func(a, b string) int { return len(b) - len(a) })
	s.table.Store(t)
	return nil
}

// A target is what a request is for: a route, or a mount and the path below it.
type target struct {
	route         *route
	mount         *mount
	path, rawPath string // of URL, below the mount
	redirect      string // the mount's own address, asked for without its slash; relative
}

// resolve finds what a URL is for, by its path as the client escaped it.
func (t *table) resolve(u *url.URL) (target, error) {
	escaped, path, raw := u.EscapedPath(), u.Path, u.RawPath
	if escaped == "" || escaped[0] != '/' {
		return target{}, &millpond.Error{Kind: millpond.Invalid, Why: quote(escaped) + " is not a path of this pond"}
	}
	first, _, _ := strings.Cut(escaped[1:], "/")
	if t.under != "" && t.mounts[first] == nil && strings.HasPrefix(escaped, t.under+"/") {
		// The front server passes on the path of public_url instead of cutting it.
		escaped, path = escaped[len(t.under):], path[len(t.under):]
		if raw != "" {
			raw = raw[len(t.under):]
		}
		first, _, _ = strings.Cut(escaped[1:], "/")
	}
	if m := t.mounts[first]; m != nil {
		return t.below(m, "", path, raw, 1+len(m.name))
	}
	for i := range t.routes {
		r := &t.routes[i]
		if escaped == r.prefix || len(r.prefix) > 1 && r.prefix[len(r.prefix)-1] == '/' && strings.HasPrefix(escaped, r.prefix) {
			return target{route: r}, nil
		}
	}
	for _, root := range t.roots {
		rest, ok := strings.CutPrefix(escaped, root)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		for _, m := range t.rooted[root] {
			if m.name == name {
				return t.below(m, root[:len(root)-1], path, raw, len(root)+len(name))
			}
		}
		return target{}, t.unknown(name)
	}
	return target{}, t.unknown(first)
}

// below is the path of a request within a mount: what comes after the first end bytes, which hold the repository's name
// and are the same in both forms of the path, behind the root through which the request came.
func (t *table) below(m *mount, root, path, raw string, end int) (target, error) {
	if !m.config.Public {
		return target{}, t.unknown(m.name)
	}
	to := target{mount: m, path: root + path[end:]}
	if raw != "" {
		to.rawPath = root + raw[end:]
	}
	if path[end:] == "" {
		to.path, to.rawPath, to.redirect = root+"/", "", m.name+"/"
	}
	return to, nil
}

// unknown is the answer for a repository that is not there, and the same for one that the caller may not read: who may not
// know of it cannot tell the two apart. Where all may be read it names them.
func (t *table) unknown(name string) error {
	if t.private {
		return &refusal{status: http.StatusUnauthorized, kind: millpond.Unauthenticated, challenge: challenge,
			why: "no repository " + quote(name) + ", or it wants a credential"}
	}
	names := make([]string, len(t.order))
	for i, m := range t.order {
		names[i] = m.name
	}
	e := &millpond.Error{Kind: millpond.NotFound, Why: "no repository " + quote(name)}
	if len(names) > 0 {
		e.Hint = "repositories of this pond: " + strings.Join(names, ", ")
	} else {
		e.Hint = "this pond has no repositories yet"
	}
	return e
}
