package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// ExchangeDocument asks for a short token for publishing in return for a CI job's identity token. The two places on the
// server's root where clients insist on it are written after those clients.
type ExchangeDocument struct {
	Token      string `json:"token"` // the job's identity token
	Repository string `json:"repository"`
	Package    string `json:"package,omitempty"` // empty is all that the job's publisher rules name
}

// The package-url types of the formats whose clients exchange at the root of the host: their protocols name no repository.
const (
	exchangePython = "pypi"
	exchangeNode   = "npm"
)

func exchangeRoutes() []route {
	root := func(method, path, about string, serve func(*Server, *call) error) route {
		return route{path: path, methods: method, verb: verbOpen, about: about, plain: true, atRoot: true, serve: serve}
	}
	return []route{
		op("POST", "/-/api/oidc/exchange", verbOpen, inPond, "Exchanges a CI job's identity token for a short token for publishing.", (*Server).exchange),
		root("GET HEAD", "/_/oidc/audience", "The audience that identity tokens must have, for uv and publish actions.", (*Server).audience),
		root("POST", "/_/oidc/mint-token", "Exchanges an identity token, for uv and publish actions.", (*Server).mintToken),
		root("POST", "/_/oidc/burn-token", "Ends a token that was minted.", (*Server).burnToken),
		root("POST", "/-/npm/v1/oidc/token/exchange/package/{package}", "Exchanges an identity token, for npm.", (*Server).exchangeNode),
	}
}

func (s *Server) exchange(c *call, in ExchangeDocument) (*TokenDocument, error) {
	if s.parts.Callers == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond exchanges no identity tokens"}
	}
	m := c.t.mounts[in.Repository]
	if m == nil || in.Token == "" {
		// What a repository is called is told to nobody before the token is.
		return nil, &millpond.Error{Kind: millpond.Denied, Why: "no publisher rule fits: the job may not publish in " + quote(in.Repository)}
	}
	pkg := in.Package
	if pkg != "" {
		var err error
		if pkg, err = m.config.Format.Canon(pkg); err != nil {
			return nil, err
		}
	}
	t, err := s.parts.Callers.AccountsFor(c.caller, m.name, m.info.Name, c.t.base(c.peer)).Exchange(c.r.Context(), in.Token, pkg)
	return (*TokenDocument)(t), err
}

// mint exchanges for all repositories of the format with that package-url type.
func (s *Server) mint(c *call, purl, identity, pkg string) (*format.Token, error) {
	if s.parts.Callers == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond exchanges no identity tokens"}
	}
	for _, m := range c.t.order {
		if m.info.PURL != purl {
			continue
		}
		if pkg != "" {
			var err error
			if pkg, err = m.config.Format.Canon(pkg); err != nil {
				return nil, err
			}
		}
		return s.parts.Callers.AccountsFor(c.caller, "", m.info.Name, c.t.base(c.peer)).Exchange(c.r.Context(), identity, pkg)
	}
	return nil, &millpond.Error{Kind: millpond.Denied, Why: "nothing of that kind is published here"}
}

// audience is never made of what the request calls this host: a token for another pond could be replayed here.
func (s *Server) audience(c *call) error {
	word := ""
	if s.parts.People != nil {
		word = s.parts.People.Audience()
	}
	if word == "" {
		return s.failPython(c, &millpond.Error{Kind: millpond.Unready, Why: "this pond does not know its own name", Hint: "set public_url"})
	}
	return sendJSON(c, http.StatusOK, map[string]string{"audience": word})
}

// tokenBody is the one key that these clients send; others are not looked at.
func tokenBody(r *http.Request) (string, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return "", bodyError(err)
	}
	if err := checkJSON(body); err != nil {
		return "", err
	}
	var in struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Token == "" {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: "the body has no token", Err: err}
	}
	return in.Token, nil
}

func (s *Server) mintToken(c *call) error {
	identity, err := tokenBody(c.r)
	if err != nil {
		return s.failPython(c, err)
	}
	t, err := s.mint(c, exchangePython, identity, "")
	if err != nil {
		return s.failPython(c, err)
	}
	return sendJSON(c, http.StatusOK, map[string]any{"success": true, "token": t.Secret, "expires": t.Expires.Unix()})
}

func (s *Server) burnToken(c *call) error {
	secret, err := tokenBody(c.r)
	if err != nil {
		return s.failPython(c, err)
	}
	if s.parts.People == nil {
		return s.failPython(c, &millpond.Error{Kind: millpond.NotFound, Why: "there is no such token"})
	}
	if err := s.parts.People.Burn(c.r.Context(), c.caller.Client, secret); err != nil {
		return s.failPython(c, err)
	}
	return sendJSON(c, http.StatusOK, map[string]any{"success": true})
}

// failPython answers as these clients read it: what is wrong with an identity token is 422.
func (s *Server) failPython(c *call, err error) error {
	why, hint := format.Words(err)
	if hint != "" {
		why += "; " + hint
	}
	kind := millpond.KindOf(err)
	f := format.Failure{Type: "application/json"}
	switch kind {
	case millpond.Invalid, millpond.Unauthenticated, millpond.Denied:
		f.Status = http.StatusUnprocessableEntity
	}
	body, bad := json.Marshal(map[string]any{
		"message": "Token request failed",
		"errors":  []map[string]string{{"code": strings.ReplaceAll(kind.String(), " ", "-"), "description": why}},
	})
	if bad != nil {
		return bad
	}
	f.Body = string(body) + "\n"
	format.Fail(c.response, c.r, time.Now(), err, f)
	return nil
}

// exchangeNode takes the identity token as Bearer; the body is empty.
func (s *Server) exchangeNode(c *call) error {
	scheme, identity, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || identity == "" {
		return s.failNode(c, &millpond.Error{Kind: millpond.Unauthenticated, Why: "an identity token is needed, as Bearer"})
	}
	t, err := s.mint(c, exchangeNode, strings.TrimSpace(identity), c.arg("package"))
	if err != nil {
		return s.failNode(c, err)
	}
	return sendJSON(c, http.StatusCreated, map[string]any{"token": t.Secret, "token_type": "oidc", "token_id": t.ID, "created": t.Created, "expires": t.Expires})
}

func (s *Server) failNode(c *call, err error) error {
	why, hint := format.Words(err)
	if hint != "" {
		why += "; " + hint
	}
	body, bad := json.Marshal(map[string]string{"error": why, "message": why})
	if bad != nil {
		return bad
	}
	format.Fail(c.response, c.r, time.Now(), err, format.Failure{Type: "application/json", Body: string(body) + "\n"})
	return nil
}
