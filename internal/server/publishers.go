package server

import (
	"context"
	"time"

	"millpond"
	"millpond/internal/auth"
	"millpond/repo"
)

// Publishers are rules that say which CI jobs may publish which names.
type Publishers interface {
	Publishers(ctx context.Context, c repo.Caller) ([]auth.PublisherRule, error)
	AddPublisher(ctx context.Context, c repo.Caller, p auth.PublisherRule) (*auth.PublisherRule, error)
	RemovePublisher(ctx context.Context, c repo.Caller, id string) error
	// Audience is what identity tokens must be made for; "" if the pond does not know its own name.
	Audience() string
}

// PublisherDocument is such a rule.
type PublisherDocument struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name"` // what events call the job
	Issuer     string            `json:"issuer"`
	Claims     map[string]string `json:"claims"`
	Repository string            `json:"repository"`
	Names      []string          `json:"names"` // patterns
	Created    time.Time         `json:"created,omitzero"`
	By         string            `json:"by,omitempty"`
}

func publisherRoutes() []route {
	return []route{
		op("GET", "/-/api/publishers", millpond.VerbGrant, inBody, "The publisher rules of repositories in which the caller may grant.", (*Server).listPublishers),
		op("POST", "/-/api/publishers", millpond.VerbGrant, inBody, "Makes a publisher rule.", (*Server).addPublisher),
		op("DELETE", "/-/api/publishers/{id}", millpond.VerbGrant, inBody, "Takes a publisher rule back.", (*Server).removePublisher),
	}
}

func (s *Server) listPublishers(c *call, _ nothing) ([]PublisherDocument, error) {
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	all, err := p.Publishers(c.r.Context(), c.caller)
	out := make([]PublisherDocument, len(all))
	for i, one := range all {
		out[i] = PublisherDocument(one)
	}
	return out, err
}

func (s *Server) addPublisher(c *call, in PublisherDocument) (*PublisherDocument, error) {
	if in.ID != "" || in.By != "" || !in.Created.IsZero() {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "id, by and created are the pond's to say"}
	}
	if err := c.enters(in.Repository); err != nil {
		return nil, err
	}
	p, err := s.people()
	if err != nil {
		return nil, err
	}
	made, err := p.AddPublisher(c.r.Context(), c.caller, auth.PublisherRule(in))
	return (*PublisherDocument)(made), err
}

func (s *Server) removePublisher(c *call, _ nothing) (nothing, error) {
	return s.tell(func(p People) error { return p.RemovePublisher(c.r.Context(), c.caller, c.arg("id")) })
}
