package server

import (
	"net/http"
	"net/url"
	"strings"

	"millpond"
	"millpond/fetch"
	"millpond/repo"
)

// An Answer is what /-/api/why, stats and check answer: one of its fields, and Error if it could not.
type Answer struct {
	Why   []*repo.Explanation `json:"why,omitempty"` // one for each repository of the format that was asked about
	Stats *StatsAnswer        `json:"stats,omitempty"`
	Check *repo.Report        `json:"check,omitempty"`
	Error string              `json:"error,omitempty"` // instead: see Problem
	Hint  string              `json:"hint,omitempty"`
}

// A StatsAnswer is what the pond says of itself.
type StatsAnswer struct {
	Version      string             `json:"version"`
	Instance     string             `json:"instance"`
	Offline      bool               `json:"offline"`
	Served       int64              `json:"served"`     // bytes sent to clients since the start
	Saved        int64              `json:"saved"`      // of them, those for which no upstream was asked
	SavedAsks    int64              `json:"saved_asks"` // requests for which no upstream was asked
	Pond         repo.Stats         `json:"pond"`
	Repositories []RepositoryAnswer `json:"repositories"`
}

// A RepositoryAnswer is what the pond says of one repository.
type RepositoryAnswer struct {
	Name      string        `json:"name"`
	Format    string        `json:"format"`
	Upstreams []fetch.State `json:"upstreams"`
}

// apiStats answers the pond's figures.
func (s *Server) apiStats(c *call) error {
	r, t := c.r, c.t
	stats, err := s.parts.Pond.Stats(r.Context())
	if err != nil {
		return err
	}
	a := &StatsAnswer{Version: s.parts.Version, Instance: s.instance[0], Offline: t.settings.Offline, Pond: stats,
		Served: s.metrics.served.Load(), Saved: s.metrics.saved.Load(), SavedAsks: s.metrics.savedRequests.Load()}
	for _, m := range t.order {
		one := RepositoryAnswer{Name: m.name, Format: m.info.Name, Upstreams: m.repository.Upstreams()}
		for i := range one.Upstreams {
			one.Upstreams[i].URL = redact(one.Upstreams[i].URL)
		}
		a.Repositories = append(a.Repositories, one)
	}
	return sendJSON(c, http.StatusOK, &Answer{Stats: a})
}

// apiWhy explains what becomes of a package or a version: ?in= a repository or a format, &package=, &version=; or ?purl=.
func (s *Server) apiWhy(c *call) error {
	r, t := c.r, c.t
	q := r.URL.Query()
	in, pkg, version := q.Get("in"), q.Get("package"), q.Get("version")
	if purl := q.Get("purl"); purl != "" {
		var err error
		if in, pkg, version, err = ParsePURL(purl); err != nil {
			return err
		}
	}
	if in == "" || pkg == "" {
		return &millpond.Error{Kind: millpond.Invalid, Why: "a repository or format, and a package, are needed",
			Hint: "millpond why pypi requests 2.31.0"}
	}
	var of []*mount
	if m := t.mounts[in]; m != nil {
		of = append(of, m)
	} else {
		for _, m := range t.order {
			if m.info.Name == in || m.info.PURL == in {
				of = append(of, m)
			}
		}
	}
	if len(of) == 0 {
		return t.unknown(in, &c.caller)
	}
	a := &Answer{}
	for _, m := range of {
		name, err := m.config.Format.Canon(pkg)
		if err != nil {
			return err
		}
		e, err := m.repository.Why(r.Context(), name, version)
		if err != nil {
			return err
		}
		a.Why = append(a.Why, e)
	}
	return sendJSON(c, http.StatusOK, a)
}

// apiCheck looks for damage while the pond runs. It takes as long as it takes; ?read_data=1 and ?repair=1.
func (s *Server) apiCheck(c *call) error {
	q := c.r.URL.Query()
	report, err := s.parts.Pond.Check(c.r.Context(), repo.CheckOptions{ReadData: q.Get("read_data") == "1", Repair: q.Get("repair") == "1"})
	if err != nil {
		return err
	}
	return sendJSON(c, http.StatusOK, &Answer{Check: report})
}

// ParsePURL reads a package-url: "pkg:npm/%40acme/widget@1.0.0" is of type npm, the package "@acme/widget" and version
// 1.0.0. Qualifiers and subpath are left out.
func ParsePURL(s string) (kind, pkg, version string, err error) {
	bad := func(why string) error {
		return &millpond.Error{Kind: millpond.Invalid, Why: quote(s) + " is not a package-url: " + why, Hint: "pkg:type/name@version"}
	}
	rest, ok := strings.CutPrefix(s, "pkg:")
	if !ok {
		return "", "", "", bad("it does not begin with pkg:")
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	kind, rest, ok = strings.Cut(strings.Trim(rest, "/"), "/")
	if !ok || kind == "" || rest == "" {
		return "", "", "", bad("it names a type, or a package, but not both")
	}
	if at := strings.LastIndexByte(rest, '@'); at > 0 && !strings.Contains(rest[at:], "/") {
		rest, version = rest[:at], rest[at+1:]
	}
	if pkg, err = url.PathUnescape(rest); err == nil {
		version, err = url.PathUnescape(version)
	}
	if err != nil || pkg == "" {
		return "", "", "", bad("its escapes cannot be read")
	}
	return strings.ToLower(kind), pkg, version, nil
}

// redact is a URL without its secrets: no user, no query.
func redact(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
