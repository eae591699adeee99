package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millpond"
	"millpond/fetch"
	"millpond/format"
	"millpond/repo"
)

// An Answer is what /-/api answers: one of its fields, and Error if it could not.
type Answer struct {
	Why   []*repo.Explanation `json:",omitempty"` // one for each repository of the format that was asked about
	Stats *StatsAnswer        `json:",omitempty"`
	Check *repo.Report        `json:",omitempty"`
	Error string              `json:",omitempty"`
	Hint  string              `json:",omitempty"`
}

// A StatsAnswer is what the pond says of itself.
type StatsAnswer struct {
	Version      string
	Instance     string
	Offline      bool
	Served       int64 // bytes sent to clients since the start
	Saved        int64 // of them, those for which no upstream was asked
	SavedAsks    int64 // requests for which no upstream was asked
	Pond         repo.Stats
	Repositories []RepositoryAnswer
}

// A RepositoryAnswer is what the pond says of one repository.
type RepositoryAnswer struct {
	Name, Format string
	Upstreams    []fetch.State
}

// apiStats answers the pond's figures.
func (s *Server) apiStats(x *response, r *http.Request, t *table) error {
	stats, err := s.parts.Pond.Stats(r.Context())
	if err != nil {
		return s.apiFail(x, r, err)
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
	return answer(x, r, http.StatusOK, &Answer{Stats: a})
}

// apiWhy explains what becomes of a package or a version: ?in= a repository or a format, &package=, &version=; or ?purl=.
func (s *Server) apiWhy(x *response, r *http.Request, t *table) error {
	q := r.URL.Query()
	in, pkg, version := q.Get("in"), q.Get("package"), q.Get("version")
	if purl := q.Get("purl"); purl != "" {
		var err error
		if in, pkg, version, err = parsePURL(purl); err != nil {
			return s.apiFail(x, r, err)
		}
	}
	if in == "" || pkg == "" {
		return s.apiFail(x, r, &millpond.Error{Kind: millpond.Invalid, Why: "a repository or format, and a package, are needed",
			Hint: "millpond why pypi requests 2.31.0"})
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
		return s.apiFail(x, r, t.unknown(in))
	}
	a := &Answer{}
	for _, m := range of {
		name, err := m.config.Format.Canon(pkg)
		if err != nil {
			return s.apiFail(x, r, err)
		}
		e, err := m.repository.Why(r.Context(), name, version)
		if err != nil {
			return s.apiFail(x, r, err)
		}
		a.Why = append(a.Why, e)
	}
	return answer(x, r, http.StatusOK, a)
}

// apiCheck looks for damage while the pond runs. It takes as long as it takes; ?read_data=1 and ?repair=1.
func (s *Server) apiCheck(x *response, r *http.Request, t *table) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return s.apiFail(x, r, &millpond.Error{Kind: millpond.Denied, Why: "a page of another origin may not ask for this"})
	}
	q := r.URL.Query()
	report, err := s.parts.Pond.Check(r.Context(), repo.CheckOptions{ReadData: q.Get("read_data") == "1", Repair: q.Get("repair") == "1"})
	if err != nil {
		return s.apiFail(x, r, err)
	}
	return answer(x, r, http.StatusOK, &Answer{Check: report})
}

func (s *Server) apiFail(x *response, r *http.Request, err error) error {
	a := &Answer{}
	a.Error, a.Hint = format.Words(err)
	f := format.Failure{Type: "application/json"}
	if e, ok := errors.AsType[*refusal](err); ok {
		f.Status, a.Error = e.status, e.why
		err = &millpond.Error{Kind: e.kind, Why: e.why}
	}
	body, jsonErr := json.Marshal(a)
	if jsonErr != nil {
		return jsonErr
	}
	f.Body = string(body) + "\n"
	format.Fail(x, r, time.Now(), err, f)
	return nil
}

func answer(x *response, r *http.Request, status int, a *Answer) error {
	body, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	h := x.Header()
	h.Set("Content-Type", "application/json")
	h["Cache-Control"] = noStore
	return send(x, r, status, string(body)+"\n")
}

// parsePURL reads a package-url: "pkg:npm/%40acme/widget@1.0.0" is of type npm, the package "@acme/widget" and version
// 1.0.0. Qualifiers and subpath are left out.
func parsePURL(s string) (kind, pkg, version string, err error) {
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
