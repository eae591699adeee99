package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millpond"
)

// Verbs that only the pond's own routes have, beside the words' own.
const (
	verbOpen  millpond.Verb = "open"  // anyone
	verbSelf  millpond.Verb = "self"  // whoever is known, about themselves
	verbStats millpond.Verb = "stats" // whoever may read every repository, operators, and clients on the pond's own machine
	verbHere  millpond.Verb = "here"  // operators, and clients on the pond's own machine
)

// pondWide is what rights are asked of where no repository is concerned: only a grant for all repositories covers it.
const pondWide = ""

// A scope says of what a route's verb is asked.
type scope int

const (
	inPond  scope = iota // of the pond as a whole
	inPath               // of the repository, and the package, that the path names
	inBody               // of any repository at all: which, the body says, and the pond's own door asks again
	inQuery              // of the repository that the query names, else of the pond as a whole
)

// A route is one of the pond's own addresses. They are data, so that a test can walk them and a document can be made of
// them.
type route struct {
	path    string // segments, of which "{name}" is any one; a subtree if it ends in "/" below "/-/"
	methods string // "GET HEAD"
	verb    millpond.Verb
	scope   scope
	about   string   // what it does, in one line
	query   []string // parameters it knows
	in, out any      // zero values of what it takes and gives; nil for neither
	plain   bool     // answers errors as text, not as JSON
	large   bool     // takes a body as large as the repository's files
	calm    bool     // is done for a login session however old its proof is, or asks for a new one by itself
	atRoot  bool     // answers where a repository is the root of a host or a listener too
	serve   func(s *Server, c *call) error
}

func (r *route) takes(method string) bool { return slices.Contains(strings.Fields(r.methods), method) }

// A call is one request to a route.
type call struct {
	*response
	r    *http.Request
	t    *table
	args []string // what stands for the {names} of the path, unescaped, in their order
	// route is which of the path's routes takes the method.
	route *route
}

// arg is what stands for a {name} of the path.
func (c *call) arg(name string) string {
	i := 0
	for segment := range strings.SplitSeq(c.route.path, "/") {
		if len(segment) == 0 || segment[0] != '{' {
			continue
		}
		if segment == "{"+name+"}" {
			return c.args[i]
		}
		i++
	}
	return ""
}

// sensitive reports whether the route changes something that an unlocked browser alone should not: everything that needs a right.
func (r *route) sensitive(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && r.verb != verbOpen && !r.calm
}

// calmly is the route as one that is calm.
func (r route) calmly() route {
	r.calm = true
	return r
}

// match reports whether an escaped path is one of the route's, and what stands for its {names}. The segments are unescaped
// after they are told apart: "%2f" is part of a name.
func (r *route) match(escaped string) (args []string, ok bool) {
	if !strings.Contains(r.path, "{") {
		under := len(r.path) > len("/-/") && r.path[len(r.path)-1] == '/' && strings.HasPrefix(escaped, r.path)
		return nil, escaped == r.path || under
	}
	want, got := r.path, escaped
	for want != "" || got != "" {
		var w, g string
		w, want, _ = strings.Cut(want, "/")
		g, got, _ = strings.Cut(got, "/")
		if w == "" || w[0] != '{' {
			if w != g {
				return nil, false
			}
			continue
		}
		name, err := url.PathUnescape(g)
		if err != nil || name == "" || strings.ContainsFunc(name, isControl) {
			return nil, false
		}
		args = append(args, name)
	}
	return args, strings.Count(r.path, "/") == strings.Count(escaped, "/")
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// routes are all addresses of the pond's own.
func routes() []route {
	return slices.Concat([]route{
		{path: "/", methods: "GET HEAD", verb: verbOpen, plain: true, about: "The landing page.", serve: (*Server).landing},
		{path: "/-/livez", methods: "GET HEAD", verb: verbOpen, plain: true, atRoot: true, about: "Whether the process answers.", serve: (*Server).livez},
		{path: "/-/readyz", methods: "GET HEAD", verb: verbOpen, plain: true, atRoot: true, about: "Whether the pond can serve what it holds.", query: []string{"verbose"}, serve: (*Server).readyz},
		{path: "/-/metrics", methods: "GET HEAD", verb: verbStats, plain: true, about: "Figures for a monitor.", serve: (*Server).serveMetrics},
		{path: "/-/ca.pem", methods: "GET HEAD", verb: verbOpen, plain: true, atRoot: true, about: "The authority to trust.", serve: (*Server).authority},
		{path: "/-/ui/", methods: "GET HEAD", verb: verbOpen, plain: true, about: "Files of the pages.", serve: (*Server).assets},
		{path: "/-/api", methods: "GET HEAD", verb: verbOpen, about: "This description.", serve: (*Server).describe},
		{path: "/-/api/why", methods: "GET HEAD", verb: verbStats, about: "What becomes of a package or a version, and why.", query: []string{"in", "package", "version", "purl"}, out: Answer{}, serve: (*Server).apiWhy},
		{path: "/-/api/stats", methods: "GET HEAD", verb: verbStats, about: "The pond's figures.", out: Answer{}, serve: (*Server).apiStats},
		{path: "/-/api/check", methods: "POST", verb: verbHere, about: "Looks for damage while the pond runs.", query: []string{"read_data", "repair"}, out: Answer{}, serve: (*Server).apiCheck},
	}, selfRoutes(), peopleRoutes(), publisherRoutes(), claimRoutes(), packageRoutes(), takedownRoutes(), eventRoutes(), exchangeRoutes(), canaryRoutes(), pageRoutes())
}

// find are the routes of an escaped path: one for each set of methods. A path without {names} comes before one with them.
func find(routes []route, escaped string) (of []*route, args []string) {
	for _, braces := range []bool{false, true} {
		for i := range routes {
			r := &routes[i]
			if strings.Contains(r.path, "{") != braces {
				continue
			}
			if a, ok := r.match(escaped); ok && (len(of) == 0 || of[0].path == r.path) {
				of, args = append(of, r), a
			}
		}
		if len(of) > 0 {
			return of, args
		}
	}
	return nil, nil
}

// choose is the route that takes the method; nil, and the methods that are taken, if none does.
func choose(of []*route, method string) (*route, string) {
	var allow []string
	for _, r := range of {
		if r.takes(method) {
			return r, ""
		}
		allow = append(allow, strings.Fields(r.methods)...)
	}
	return nil, strings.Join(allow, ", ")
}
