package npm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// Welcomes implements format.Welcomer.
func (Format) Welcomes(method, escapedPath string) bool {
	if !strings.HasPrefix(escapedPath, "/-/") {
		return false
	}
	p, err := Parse(escapedPath)
	switch {
	case err != nil:
		return false
	case p.Kind == Login:
		return method == http.MethodPut
	case p.Kind == WebLogin, p.Kind == Exchange:
		return method == http.MethodPost
	}
	return p.Kind == WebDone && (method == http.MethodGet || method == http.MethodHead)
}

// account answers what clients do about themselves.
func (h *handler) account(w http.ResponseWriter, r *http.Request, p Path) error {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	post, del := r.Method == http.MethodPost, r.Method == http.MethodDelete
	switch {
	case p.Kind == Login && r.Method == http.MethodPut:
		return h.putLogin(w, r, p)
	case p.Kind == WebLogin && post:
		return h.postWebLogin(w, r)
	case p.Kind == WebDone && get:
		return h.getWebDone(w, r, p)
	case p.Kind == Logout && del, p.Kind == TokenByKey && del:
		if err := h.repo.Revoke(r.Context(), p.Name); err != nil {
			return err
		}
		return writeStatus(w, http.StatusOK, map[string]any{"ok": true})
	case p.Kind == WhoAmI && get:
		who, err := h.who()
		if err != nil {
			return err
		}
		return writeStatus(w, http.StatusOK, map[string]string{"username": who})
	case p.Kind == Profile && get:
		who, err := h.who()
		if err != nil {
			return err
		}
		return writeStatus(w, http.StatusOK, map[string]any{"name": who, "tfa": false})
	case p.Kind == Tokens && get:
		return h.getTokens(w, r)
	case p.Kind == Tokens && post:
		return h.postToken(w, r)
	case p.Kind == Exchange && post:
		return h.postExchange(w, r, p)
	}
	return otherMethod
}

// who is the caller's name.
func (h *handler) who() (string, error) {
	if name := h.repo.Who().Name; name != "" {
		return name, nil
	}
	return "", &millpond.Error{Kind: millpond.Unauthenticated, Why: "you are not logged in", Hint: "npm login --registry …"}
}

// putLogin checks a password and makes a token: npm login --auth-type=legacy.
func (h *handler) putLogin(w http.ResponseWriter, r *http.Request, p Path) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var asked struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if json.Unmarshal(body, &asked) != nil || asked.Name != p.Name || asked.Password == "" {
		return refused("the body has not the name of the address, and a password")
	}
	token, err := h.repo.Login(r.Context(), asked.Name, asked.Password, format.Token{})
	if err != nil {
		return err
	}
	id := "org.couchdb.user:" + asked.Name
	return writeStatus(w, http.StatusCreated, map[string]any{"ok": true, "id": id, "token": token.Secret})
}

// postWebLogin begins a login in a browser. An error sends npm to its prompt.
func (h *handler) postWebLogin(w http.ResponseWriter, r *http.Request) error {
	ticket, err := h.repo.BeginLogin(r.Context())
	if err != nil {
		return err
	}
	done := Path{Kind: WebDone, Name: ticket.ID}
	return writeStatus(w, http.StatusOK, map[string]string{"loginUrl": ticket.URL, "doneUrl": baseOf(h.repo, r) + done.String()})
}

// getWebDone answers with the token once the person has logged in, and when to ask again before that.
func (h *handler) getWebDone(w http.ResponseWriter, r *http.Request, p Path) error {
	token, err := h.repo.PollLogin(r.Context(), p.Name)
	if !millpond.Is(err, millpond.Throttled) {
		if err != nil {
			return err
		}
		return writeStatus(w, http.StatusOK, map[string]string{"token": token.Secret})
	}
	wait := time.Second
	if e, ok := errors.AsType[*millpond.Error](err); ok && !e.After.IsZero() {
		wait = min(max(e.After.Sub(h.repo.Now()), time.Second), 10*time.Second)
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Round(time.Second)/time.Second)))
	return writeStatus(w, http.StatusAccepted, map[string]any{})
}

// A tokenView is a token as npm lists it.
type tokenView struct {
	Token    string   `json:"token"` // what of it can be shown; of a new one the whole
	Key      string   `json:"key"`
	Name     string   `json:"name,omitempty"`
	Created  string   `json:"created"`
	Updated  string   `json:"updated"`
	Used     *string  `json:"last_used"`
	Expires  *string  `json:"expires"`
	Readonly bool     `json:"readonly"`
	CIDR     []string `json:"cidr_whitelist"` // none: tokens are not bound to addresses here
	Packages []string `json:"packages,omitempty"`
}

func viewToken(t *format.Token) tokenView {
	v := tokenView{Token: t.Secret, Key: t.ID, Name: t.Name, Created: writeTime(t.Created), Updated: writeTime(t.Created), Packages: t.Names}
	if v.Token == "" {
		v.Token = "mp_" + t.ID
	}
	v.Readonly = len(t.Verbs) > 0
	for _, verb := range t.Verbs {
		v.Readonly = v.Readonly && verb == millpond.VerbRead
	}
	for _, one := range []struct {
		at time.Time
		to **string
	}{{t.Used, &v.Used}, {t.Expires, &v.Expires}} {
		if !one.at.IsZero() {
			text := writeTime(one.at)
			*one.to = &text
		}
	}
	return v
}

func (h *handler) getTokens(w http.ResponseWriter, r *http.Request) error {
	tokens, err := h.repo.Tokens(r.Context())
	if err != nil {
		return err
	}
	objects := make([]tokenView, 0, len(tokens))
	for i := range tokens {
		objects = append(objects, viewToken(&tokens[i]))
	}
	return writeStatus(w, http.StatusOK, map[string]any{"objects": objects, "total": len(objects), "urls": map[string]string{}})
}

// postToken makes a token as narrow as is asked for. What cannot be kept to is refused, lest the token be wider.
func (h *handler) postToken(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var asked struct {
		Name        string          `json:"name"`
		TokenName   string          `json:"token_name"`
		Readonly    bool            `json:"readonly"`
		CIDR        []string        `json:"cidr_whitelist"`
		CIDRs       []string        `json:"cidr"`
		Expires     json.RawMessage `json:"expires"`
		Packages    []string        `json:"packages"`
		Scopes      []string        `json:"scopes"`
		Orgs        []string        `json:"orgs"`
		AllPackages bool            `json:"packages_all"`
		Permission  string          `json:"packages_and_scopes_permission"`
		OrgsMay     string          `json:"orgs_permission"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the body is not what npm sends for a token", Err: err}
	}
	if len(asked.CIDR)+len(asked.CIDRs) > 0 {
		return refused("tokens are not bound to addresses here")
	}
	if len(asked.Orgs) > 0 {
		return refused("there are no organisations here: name packages or scopes")
	}
	t := format.Token{Name: asked.Name, Repositories: []string{h.repo.Name()}}
	if t.Name == "" {
		t.Name = asked.TokenName
	}
	if t.Name == "" {
		t.Name = "npm token create"
	}
	switch {
	case asked.Readonly, asked.Permission == "read-only":
		t.Verbs = []millpond.Verb{millpond.VerbRead}
	case asked.Permission == "no-access":
		return refused("a token that may do nothing is none")
	}
	if !asked.AllPackages {
		t.Names = append(t.Names, asked.Packages...)
		for _, scope := range asked.Scopes {
			t.Names = append(t.Names, "@"+strings.TrimPrefix(scope, "@")+"/*")
		}
	}
	if t.Expires, err = expiry(asked.Expires, h.repo.Now()); err != nil {
		return err
	}
	made, err := h.repo.NewToken(r.Context(), t)
	if err != nil {
		return err
	}
	return writeStatus(w, http.StatusCreated, viewToken(made))
}

// expiry reads until when a token is wanted: a number of days, or a date. The zero time is the default.
func expiry(raw json.RawMessage, now time.Time) (time.Time, error) {
	if len(raw) == 0 || string(raw) == "null" || string(raw) == `""` {
		return time.Time{}, nil
	}
	text := strings.Trim(string(raw), `"`)
	if days, err := strconv.Atoi(text); err == nil && days > 0 && days <= 36500 {
		return now.Add(time.Duration(days) * 24 * time.Hour), nil
	}
	if t, ok := readTime(text); ok && t.After(now) {
		return t, nil
	}
	return time.Time{}, refused("%.60q is no number of days and no date to come", text)
}

// postExchange makes a token for one package out of a CI job's identity token, which comes in the place of a credential.
func (h *handler) postExchange(w http.ResponseWriter, r *http.Request, p Path) error {
	answer, err := exchanged(r, p.Package, h.repo.Exchange)
	if err != nil {
		return err
	}
	return writeStatus(w, http.StatusCreated, answer)
}

// errNoAccess is what changing who may do what is answered: it is not done with npm.
var errNoAccess = &millpond.Error{Kind: millpond.Unsupported, Why: "who may do what is not set with npm here", Hint: "see the members of the repository in the pond's own pages or with millpond grant"}

// getAccess says who may do what with a package, as far as the caller may know: about themselves.
func (h *handler) getAccess(w http.ResponseWriter, r *http.Request, p Path) error {
	if _, err := h.repo.Package(r.Context(), p.Package); err != nil {
		return err
	}
	switch p.Name {
	case "visibility":
		return writeStatus(w, http.StatusOK, map[string]bool{"public": h.repo.Public()})
	case "access":
		word := "restricted"
		if h.repo.Public() {
			word = "public"
		}
		return writeStatus(w, http.StatusOK, map[string]string{"access": word})
	}
	who, err := h.who()
	if err != nil {
		return err
	}
	return writeStatus(w, http.StatusOK, map[string]string{who: h.grant(r, p.Package)})
}

// grant is what the caller may do with a package, in npm's word.
func (h *handler) grant(r *http.Request, name string) string {
	if h.repo.May(r.Context(), millpond.VerbPublish, name) == nil {
		return "read-write"
	}
	return "read-only"
}

// mostListed is how many packages are looked through for those of one person.
const mostListed = 1000

// getMember lists the packages that were published here, and what the caller may do with them. Nobody is told about others.
func (h *handler) getMember(w http.ResponseWriter, r *http.Request, p Path) error {
	who, err := h.who()
	if err != nil {
		return err
	}
	if p.Name != "user/"+who+"/package" {
		return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("nothing is told here about %s", p.Name)}
	}
	all := map[string]string{}
	looked := 0
	for c, err := range h.held.Names(r.Context()) {
		if err != nil {
			return err
		}
		if looked++; looked > mostListed {
			break
		}
		if one, err := h.held.Package(r.Context(), c.Name); err == nil && hosts(one) && !empty(one) {
			all[c.Name] = h.grant(r, c.Name)
		}
	}
	return writeStatus(w, http.StatusOK, all)
}
