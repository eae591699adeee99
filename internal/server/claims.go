package server

import (
	"time"

	"millpond"
	"millpond/repo"
)

// The documents of the calls about claims and takedowns.
type (
	// ClaimDocument is a pattern of names that are ours.
	ClaimDocument struct {
		Repository string `json:"repository"`
		Pattern    string `json:"pattern"`
		Merge      string `json:"merge,omitempty"`
		Force      bool   `json:"force,omitempty"` // also if names that it covers were read from an upstream already

		Configured bool      `json:"configured,omitempty"` // it stands in the configuration
		By         string    `json:"by,omitempty"`
		Time       time.Time `json:"time,omitzero"`
	}
	// TakedownDocument is what is taken down everywhere: versions of a package, or bytes.
	TakedownDocument struct {
		ID       string      `json:"id,omitempty"`
		Format   string      `json:"format,omitempty"` // the word in the configuration, the package-url type, or what OSV calls the ecosystem
		Package  string      `json:"package,omitempty"`
		Version  string      `json:"version,omitempty"`  // this one
		Versions string      `json:"versions,omitempty"` // a range in the format's own words; neither is all
		PURL     string      `json:"purl,omitempty"`     // instead of format, package and version
		Digest   string      `json:"digest,omitempty"`
		Affected []repo.Span `json:"affected,omitempty"` // or what an advisory says of versions; any of them
		Advisory string      `json:"advisory,omitempty"` // the record of a feed that asked for it
		Why      string      `json:"why"`
		By       string      `json:"by,omitempty"`
		Time     time.Time   `json:"time,omitzero"`
	}
	// Reason says why.
	Reason struct {
		Why string `json:"why,omitempty"`
	}
)

func claimRoutes() []route {
	return []route{
		op("GET", "/-/api/claims", millpond.VerbRead, inBody, "The claims of the repositories that the caller may know of.", (*Server).listClaims),
		op("POST", "/-/api/claims", millpond.VerbGrant, inBody, "Claims a pattern of names. 409, with the names, if some were read from an upstream already.", (*Server).addClaim),
		op("DELETE", "/-/api/claims", millpond.VerbGrant, inBody, "Gives a claim up.", (*Server).removeClaim).asking("repository", "pattern"),
	}
}

func takedownRoutes() []route {
	return []route{
		op("GET", "/-/api/takedowns", millpond.VerbOperate, inPond, "What is taken down.", (*Server).listTakedowns),
		op("POST", "/-/api/takedowns", millpond.VerbOperate, inPond, "Takes a package, versions of it, or bytes down, everywhere.", (*Server).takeDown),
		op("DELETE", "/-/api/takedowns/{id}", millpond.VerbOperate, inPond, "Lifts a takedown.", (*Server).liftTakedown).asking("why"),
	}
}

func (s *Server) listClaims(c *call, _ nothing) ([]ClaimDocument, error) {
	all, err := s.parts.Pond.Claims(c.r.Context(), c.caller)
	out := make([]ClaimDocument, len(all))
	for i, one := range all {
		out[i] = ClaimDocument{Repository: one.Repository, Pattern: one.Pattern, Merge: one.Merge, Configured: one.Configured, By: one.By, Time: one.Time}
	}
	return out, err
}

func (s *Server) addClaim(c *call, in ClaimDocument) (nothing, error) {
	if in.Configured || in.By != "" || !in.Time.IsZero() || in.Pattern == "" {
		return nothing{}, &millpond.Error{Kind: millpond.Invalid, Why: "a claim is a repository and a pattern, and may have merge and force"}
	}
	if err := c.enters(in.Repository); err != nil {
		return nothing{}, err
	}
	return nothing{}, s.parts.Pond.AddClaim(c.r.Context(), c.caller, in.Repository, in.Pattern, in.Merge, in.Force)
}

func (s *Server) removeClaim(c *call, _ nothing) (nothing, error) {
	q := c.r.URL.Query()
	if err := c.enters(q.Get("repository")); err != nil {
		return nothing{}, err
	}
	return nothing{}, s.parts.Pond.RemoveClaim(c.r.Context(), c.caller, q.Get("repository"), q.Get("pattern"))
}

// enters reports, as an error like that for one that is absent, that a repository named in a body is not for the caller.
func (c *call) enters(repository string) error {
	m := c.t.mounts[repository]
	if m == nil || !mayEnter(&c.caller, &m.config) && (c.caller.Rights == nil || !c.caller.Rights.May(c.route.verb, repository, "")) {
		return c.t.unknown(repository, &c.caller)
	}
	return nil
}

func (s *Server) listTakedowns(c *call, _ nothing) ([]TakedownDocument, error) {
	all, err := s.parts.Pond.Takedowns(c.r.Context(), c.caller)
	out := make([]TakedownDocument, len(all))
	for i := range all {
		out[i] = *describeTakedown(&all[i])
	}
	return out, err
}

func (s *Server) takeDown(c *call, in TakedownDocument) (*TakedownDocument, error) {
	if in.ID != "" || in.By != "" || !in.Time.IsZero() || in.Advisory != "" {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "id, advisory, by and time are the pond's to say"}
	}
	t := repo.Takedown{Format: in.Format, Package: in.Package, Version: in.Version, Versions: in.Versions, Affected: in.Affected, Why: in.Why}
	if in.PURL != "" {
		if in.Format != "" || in.Package != "" || in.Version != "" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a purl stands for format, package and version: give one or the other"}
		}
		var err error
		if t.Format, t.Package, t.Version, err = ParsePURL(in.PURL); err != nil {
			return nil, err
		}
	}
	if in.Digest != "" {
		d, err := millpond.ParseDigest(in.Digest)
		if err != nil {
			return nil, err
		}
		t.Digest = d
	}
	switch {
	case t.Package == "" && t.Digest == (millpond.Digest{}):
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a package or a digest is needed"}
	case t.Why == "":
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "it must be said why"}
	}
	if t.Package != "" {
		known := false
		for _, m := range c.t.order {
			if m.info.Name != t.Format && m.info.PURL != t.Format && !m.info.Advised(t.Format) {
				continue
			}
			name, err := m.config.Format.Canon(t.Package)
			if err != nil {
				return nil, err
			}
			if t.Version+t.Versions == "" {
				t.Affected = repo.Released(m.config.Format, t.Format, t.Affected)
			}
			t.Format, t.Package, known = m.info.Name, name, true
			break
		}
		if !known {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "no repository of this pond is of format " + quote(t.Format)}
		}
	}
	done, err := s.parts.Pond.TakeDown(c.r.Context(), c.caller, t)
	if err != nil {
		return nil, err
	}
	return describeTakedown(done), nil
}

func describeTakedown(t *repo.Takedown) *TakedownDocument {
	return &TakedownDocument{ID: t.ID, Format: t.Format, Package: t.Package, Version: t.Version, Versions: t.Versions, Affected: t.Affected, Advisory: t.Advisory, Digest: t.Digest.String(), Why: t.Why, By: t.By, Time: t.Time}
}

func (s *Server) liftTakedown(c *call, _ nothing) (nothing, error) {
	return nothing{}, s.parts.Pond.LiftTakedown(c.r.Context(), c.caller, c.arg("id"), c.r.URL.Query().Get("why"))
}

// orEmpty makes an empty JSON list of no list.
func orEmpty[T any](list []T, err error) ([]T, error) {
	if list == nil {
		list = []T{}
	}
	return list, err
}
