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

// A mount is a repository at its place.
type mount struct {
	name       string
	config     repo.Config
	info       format.Info
	repository Repository
	handler    http.Handler // as anonymous, for reading; made once
	counters   *counters
}

// A table is where everything is. It is replaced whole when the configuration changes, and never changed.
type table struct {
	settings  Settings
	routes    []route
	order     []*mount
	mounts    map[string]*mount
	roots     []string // further places of mounts, longest first: "/packages/"
	rooted    map[string][]*mount
	lobbies   map[string]*mount  // places at the root, and a repository of the format that wants each
	hosts     map[string]*root   // repositories that are the root of a host, by its name
	stray     *mount             // is given what clients lose on their way to a repository; nil for nobody
	doors     map[string]*root   // and of a listener, by its address as configured
	atRoots   []route            // those that answer where a repository is the root too
	exchanges map[string][]route // of the formats whose clients exchange tokens at a root, by format: also where a repository of it is the root
	origins   *http.CrossOriginProtection
	private   bool   // some repository is not for everybody
	under     string // path of the public URL without its last slash: "/pond"; "" if it has none
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
	return checkRoots(public, repositories)
}

func invalid(format string, args ...any) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf(format, args...)}
}

// Configure replaces the settings and where everything is. If it fails nothing has changed. Requests under way finish with
// what they began with.
func (s *Server) Configure(settings Settings, repositories []Repository) error {
	t := &table{settings: settings, routes: routes(), mounts: map[string]*mount{}, rooted: map[string][]*mount{}, hosts: map[string]*root{}, doors: map[string]*root{}, lobbies: map[string]*mount{}, exchanges: map[string][]route{}}
	t.atRoots = slices.DeleteFunc(slices.Clone(t.routes), func(r route) bool { return !r.atRoot })
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
	t.origins = http.NewCrossOriginProtection()
	if u := settings.PublicURL; u != nil {
		if err := t.origins.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return invalid("public_url %s: %v", u, err)
		}
		t.under = strings.TrimSuffix(u.Path, "/")
	}
	for i, one := range repositories {
		m := &mount{name: configs[i].Name, config: configs[i], repository: one}
		m.info = m.config.Format.Info()
		nobody := repo.Caller{}
		if s.parts.Callers != nil {
			nobody.Accounts = s.parts.Callers.AccountsFor(nobody, m.name, m.info.Name, settings.PublicURL)
		}
		m.handler = m.config.Format.Handler(one.For(nobody))
		m.counters = s.metrics.of(m.info.Name)
		t.private = t.private || !m.config.Public
		if !slices.ContainsFunc(t.order, func(o *mount) bool { return o.info.Name == m.info.Name }) {
			t.exchanges[m.info.Name] = exchangesOf(m)
			t.routes = append(t.routes, t.exchanges[m.info.Name]...)
		}
		t.mounts[m.name] = m
		t.order = append(t.order, m)
		t.addRoots(m)
		for _, root := range m.info.Roots {
			if t.rooted[root] == nil {
				t.roots = append(t.roots, root)
			}
			t.rooted[root] = append(t.rooted[root], m)
		}
		t.addLobby(m)
		if m.config.Root {
			t.stray = m // checkRoots has seen that there is one, and that its format knows what is its own
		}
	}
	slices.SortFunc(t.roots, func(a, b string) int { return len(b) - len(a) })
	s.table.Store(t)
	return nil
}

// inner is the path of a URL as the client escaped it, without the path of public_url if a front server has left it there.
func (t *table) inner(u *url.URL) string {
	escaped := u.EscapedPath()
	if t.under == "" || !strings.HasPrefix(escaped, t.under+"/") {
		return escaped
	}
	if first, _, _ := strings.Cut(escaped[1:], "/"); t.mounts[first] != nil {
		return escaped
	}
	return escaped[len(t.under):]
}

// isOwn reports whether a URL is one of the pond's own: of a page or of a call.
func (t *table) isOwn(u *url.URL) bool {
	path := t.inner(u)
	return path == "/" || strings.HasPrefix(path, "/-/") && !t.strays(path)
}

// strays reports whether a path that no route and no repository has is one that the stray's clients mean for it.
func (t *table) strays(escaped string) bool {
	if t.stray == nil || !t.stray.config.Format.(format.Strayer).Strays(escaped) {
		return false
	}
	of, _ := find(t.routes, escaped)
	return len(of) == 0
}

// A target is what a request is for: routes of one path, or a mount and the path below it.
type target struct {
	routes        []*route // one for each set of methods
	args          []string
	mount         *mount // with an error: the one that the caller may not enter
	path, rawPath string // of URL, below the mount
	redirect      string // the mount's own address, asked for without its slash; relative
	lobby         *mount // any repository of the format that answers, where the URL names none
	welcome       bool   // it is one of a login: nobody is turned away
}

// resolve finds what a request is for, by its path as the client escaped it.
func (t *table) resolve(method string, u *url.URL, as *repo.Caller) (target, error) {
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
		return t.below(m, method, as, "", path, raw, 1+len(m.name))
	}
	if of, args := find(t.routes, escaped); len(of) > 0 {
		return target{routes: of, args: args}, nil
	}
	if m := t.lobbies[escaped]; m != nil {
		return target{lobby: m, path: path, rawPath: raw}, nil
	}
	for _, root := range t.roots {
		rest, ok := strings.CutPrefix(escaped, root)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		for _, m := range t.rooted[root] {
			if m.name == name && (t.lobbies[root] == nil || mayEnter(as, &m.config)) {
				return t.below(m, method, as, root[:len(root)-1], path, raw, len(root)+len(name))
			}
		}
		if m := t.lobbies[root]; m != nil {
			return target{lobby: m, path: path, rawPath: raw}, nil
		}
		return target{}, t.unknown(name, as)
	}
	if t.strays(escaped) {
		to := target{mount: t.stray, path: path, rawPath: raw}
		if err := t.enter(&to, method, as); err != nil {
			return target{mount: t.stray}, t.unknown(first, as) // and not which repository has the root
		}
		return to, nil
	}
	return target{}, t.unknown(first, as)
}

// below is the path of a request within a mount: what comes after the first end bytes, which hold the repository's name
// and are the same in both forms of the path, behind the root through which the request came.
func (t *table) below(m *mount, method string, as *repo.Caller, root, path, raw string, end int) (target, error) {
	to := target{mount: m, path: root + path[end:]}
	if raw != "" {
		to.rawPath = root + raw[end:]
	}
	if err := t.enter(&to, method, as); err != nil {
		return target{mount: m}, err
	}
	if path[end:] == "" && !m.info.Bare {
		to.path, to.rawPath, to.redirect = root+"/", "", m.name+"/"
	}
	return to, nil
}

// enter lets a caller into a mount who may know of it, or who is about to say who they are.
func (t *table) enter(to *target, method string, as *repo.Caller) error {
	m := to.mount
	if w, ok := m.config.Format.(format.Welcomer); ok && !known(as) {
		to.welcome = w.Welcomes(method, (&url.URL{Path: to.path, RawPath: to.rawPath}).EscapedPath())
	}
	if !mayEnter(as, &m.config) && !to.welcome {
		return t.unknown(m.name, as)
	}
	return nil
}

// unknown is the answer for a repository that is not there, and the same for one that the caller may not read: who may not
// know of it cannot tell the two apart. Where all may be read it names them.
func (t *table) unknown(name string, as *repo.Caller) error {
	if t.private {
		if known(as) {
			return &millpond.Error{Kind: millpond.Denied, Why: "no repository " + quote(name) + ", or " + as.Name + " may not read it"}
		}
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
