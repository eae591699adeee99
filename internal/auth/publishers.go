package auth

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/repo"
)

// An Issuer is one whose identity tokens can be exchanged: what the operator trusts to say which CI job is which.
type Issuer struct {
	URL  string // exactly as its tokens say it: https, or http on loopback
	Kind string // "github", "gitlab" or "": which claims a rule must name
}

// A PublisherRule says which jobs may publish which names: those whose identity token comes from the issuer and has all of
// the claims, exactly. The claim "workflow_path" is GitHub's workflow_ref without repository and ref.
type PublisherRule struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"` // what events call the job: "publisher:" and this
	Issuer     string            `json:"issuer"`
	Claims     map[string]string `json:"claims"`
	Repository string            `json:"repository"`
	Names      []string          `json:"names"` // patterns
	Created    time.Time         `json:"created"`
	By         string            `json:"by,omitempty"`
}

// required are claims that a rule must name, so that nobody else fits by registering a name again.
func (k Issuer) required() []string {
	switch k.Kind {
	case "github":
		return []string{"repository_id", "repository_owner_id", "workflow_path"}
	case "gitlab":
		return []string{"project_id", "namespace_id"}
	}
	return []string{"sub"}
}

// check is Invalid for a rule that would let in more than it seems to.
func (p *PublisherRule) check(s *Settings) error {
	n := slices.IndexFunc(s.Issuers, func(i Issuer) bool { return i.URL == p.Issuer })
	switch {
	case n < 0:
		return wrong(millpond.Invalid, fmt.Sprintf("no issuer %q is trusted here", p.Issuer), "an operator adds it to auth.issuers in the configuration")
	case !slices.ContainsFunc(s.Repositories, func(r Repository) bool { return r.Name == p.Repository }):
		return wrong(millpond.Invalid, fmt.Sprintf("there is no repository %q", p.Repository), "'millpond repo' lists those that there are")
	case len(p.Names) == 0 || len(p.Names) > 1000:
		return wrong(millpond.Invalid, "a rule names what can be published by it", "")
	case checkName(p.Name) != nil:
		return wrong(millpond.Invalid, fmt.Sprintf("a rule cannot be called %q", p.Name), "lower-case letters, digits, . _ - @ +")
	}
	for _, name := range p.Names {
		if err := checkPattern(name); err != nil {
			return err
		}
	}
	for name, value := range p.Claims {
		switch name {
		case "iss", "aud", "exp", "iat", "nbf", "jti":
			return wrong(millpond.Invalid, "a rule cannot name the claim "+name, "")
		}
		if value == "" {
			return wrong(millpond.Invalid, "the claim "+name+" is empty", "")
		}
	}
	for _, name := range s.Issuers[n].required() {
		if p.Claims[name] == "" {
			return wrong(millpond.Invalid, "a rule for this issuer must name the claim "+name, "ids, for names can be registered again")
		}
	}
	if s.Issuers[n].Kind == "" && len(p.Claims) < 2 {
		return wrong(millpond.Invalid, "a rule must name sub and one claim more", "")
	}
	return nil
}

// matches reports whether a job is one that the rule means. Jobs of pull and merge requests run what strangers wrote: they
// fit only a rule that says so.
func (p *PublisherRule) matches(issuer string, claims map[string]any) bool {
	if p.Issuer != issuer || len(p.Claims) == 0 {
		return false
	}
	for name, want := range p.Claims {
		if got, ok := claimText(claims, name); !ok || got != want {
			return false
		}
	}
	for _, name := range []string{"event_name", "pipeline_source"} {
		event, _ := claimText(claims, name)
		request := strings.HasPrefix(event, "pull_request") || strings.Contains(event, "merge_request") || event == "external_pull_request_event"
		if request && p.Claims[name] != event {
			return false
		}
	}
	return true
}

// claimText is a claim as rules spell it.
func claimText(claims map[string]any, name string) (string, bool) {
	if name == "workflow_path" {
		ref, ok1 := claimText(claims, "workflow_ref")
		repository, ok2 := claimText(claims, "repository")
		rest, ok3 := strings.CutPrefix(ref, repository+"/")
		path, _, ok4 := strings.Cut(rest, "@")
		return path, ok1 && ok2 && ok3 && ok4
	}
	switch v := claims[name].(type) {
	case string:
		return v, true
	case bool:
		return fmt.Sprint(v), true
	case interface{ String() string }: // json.Number
		return v.String(), true
	}
	return "", false
}

// Publishers are the rules of repositories in which the caller may grant, sorted by id.
func (a *Auth) Publishers(ctx context.Context, c repo.Caller) ([]PublisherRule, error) {
	w := a.who(c)
	if w.user == nil {
		return nil, a.refused(c.Actor)
	}
	s := a.state.Load()
	var out []PublisherRule
	for _, id := range slices.Sorted(maps.Keys(s.publishers)) {
		if p := s.publishers[id]; w.May(millpond.VerbGrant, p.Repository, "") {
			out = append(out, *p)
		}
	}
	return out, nil
}

// AddPublisher makes a rule: for who may grant and publish all the names that it covers.
func (a *Auth) AddPublisher(ctx context.Context, c repo.Caller, p PublisherRule) (*PublisherRule, error) {
	p.ID, p.Created, p.By = random(idLength, lower), a.now().UTC(), c.Name
	err := a.act(ctx, c, "publisher-add", p.Name, func() any { return p }, func(tx catalog.Tx, w *identity) error {
		if !w.anywhere() {
			return denied(w, "make publisher rules")
		}
		if err := p.check(w.of.settings); err != nil {
			return err
		}
		if err := w.mayRule(&p); err != nil {
			return err
		}
		return put(tx, kindPublisher, p.ID, p.Repository, never, &p)
	})
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func (i *identity) mayRule(p *PublisherRule) error {
	for _, names := range p.Names {
		if !i.holds(millpond.VerbGrant, p.Repository, names) || !i.holds(millpond.VerbPublish, p.Repository, names) {
			return denied(i, "let others publish "+names+" in "+p.Repository)
		}
	}
	return nil
}

// RemovePublisher ends a rule, and with it the tokens that were made by it alone.
func (a *Auth) RemovePublisher(ctx context.Context, c repo.Caller, id string) error {
	return a.act(ctx, c, "publisher-remove", id, nil, func(tx catalog.Tx, w *identity) error {
		if !w.anywhere() {
			return denied(w, "end publisher rules")
		}
		p, err := get[PublisherRule](tx, kindPublisher, id)
		if err != nil {
			return err
		}
		if err := w.mayRule(p); err != nil {
			return err
		}
		return tx.DropEntry(kindPublisher, id)
	})
}
