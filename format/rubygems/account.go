package rubygems

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"millpond"
	"millpond/format"
)

// formOf reads the form that a request is.
func formOf(r *http.Request) (url.Values, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the form did not arrive whole", Err: err}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalid("the body is no form")
	}
	return form, nil
}

// postKey makes an API key of a name and a password: gem signin.
func (h handler) postKey(w http.ResponseWriter, r *http.Request) error {
	form, err := formOf(r)
	if err != nil {
		return err
	}
	t := format.Token{Name: form.Get("name"), Verbs: verbs(form), Repositories: []string{h.repo.Name()}}
	var made *format.Token
	if h.repo.Who().Name == "" {
		name, password, ok := r.BasicAuth()
		if !ok {
			return &millpond.Error{Kind: millpond.Unauthenticated, Why: "a key is made for a name and a password"}
		}
		made, err = h.repo.Login(r.Context(), name, password, t)
	} else {
		if t.Name == "" {
			t.Name = "gem"
		}
		made, err = h.repo.NewToken(r.Context(), t)
	}
	if err != nil {
		return err
	}
	return h.say(w, made.Secret)
}

// verbs are what a key with these scopes is for; none are all that its owner may.
func verbs(form url.Values) []millpond.Verb {
	var out []millpond.Verb
	for scope, verb := range map[string]millpond.Verb{"push_rubygem": millpond.VerbPublish, "yank_rubygem": millpond.VerbYank} {
		if form.Get(scope) == "true" {
			out = append(out, verb)
		}
	}
	if len(out) > 0 || form.Get("index_rubygems") == "true" {
		out = append(out, millpond.VerbRead)
	}
	slices.Sort(out)
	return out
}

// getProfile says who asks: gem signin wants to know which kind of second factor there is.
func (h handler) getProfile(w http.ResponseWriter, r *http.Request) error {
	name := h.repo.Who().Name
	if name == "" {
		basic, password, ok := r.BasicAuth()
		if !ok {
			return &millpond.Error{Kind: millpond.Unauthenticated, Why: "you are not logged in"}
		}
		_ = password // who may ask is judged when the key is made
		name = basic
	}
	text, err := yaml.Marshal(map[string]string{"handle": name, "mfa": "disabled"})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/yaml; charset=utf-8")
	return h.text(w, r, append([]byte("---\n"), text...))
}

// getOwners answers who may publish a gem.
func (h handler) getOwners(w http.ResponseWriter, r *http.Request, p Path) error {
	steward, err := h.steward()
	if err != nil {
		return err
	}
	names, err := steward.Owners(r.Context(), p.Package)
	if err != nil {
		return err
	}
	type owner struct {
		Handle string `yaml:"handle" json:"handle"`
	}
	owners := make([]owner, 0, len(names))
	for _, one := range names {
		owners = append(owners, owner{one})
	}
	if strings.HasSuffix(p.File, "json") {
		return h.json(w, r, owners)
	}
	text, err := yaml.Marshal(owners)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/yaml; charset=utf-8")
	return h.text(w, r, append([]byte("---\n"), text...))
}

// changeOwners makes somebody an owner of a gem, or takes that back: who gem calls an owner is granted the gem by the pond.
func (h handler) changeOwners(w http.ResponseWriter, r *http.Request, p Path) error {
	steward, err := h.steward()
	if err == nil {
		err = h.repo.May(r.Context(), millpond.VerbGrant, p.Package)
	}
	if err != nil {
		return err // and nothing is read of who may not
	}
	form, err := formOf(r)
	if err != nil {
		return err
	}
	name := form.Get("email") // which gem calls whatever was typed
	if r.Method == http.MethodDelete {
		if err := steward.RemoveOwner(r.Context(), p.Package, name); err != nil {
			return err
		}
		return h.say(w, "Owner removed successfully: "+name)
	}
	added, err := steward.AddOwner(r.Context(), p.Package, name)
	if err != nil {
		return err
	}
	if !added {
		return h.say(w, name+" is an owner already")
	}
	return h.say(w, "Owner added successfully: "+name)
}

func (h handler) steward() (format.Steward, error) {
	s, ok := h.repo.(format.Steward)
	if !ok {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond keeps no owners"}
	}
	return s, nil
}
