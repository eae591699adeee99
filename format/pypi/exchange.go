package pypi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"millpond"
	"millpond/format"
)

// Exchanges are where uv and publish actions exchange a CI job's identity token: at the root of the host that they upload to.
func (Format) Exchanges() []format.Exchange {
	return []format.Exchange{
		{Methods: "GET HEAD", Path: "/_/oidc/audience", About: "The audience that identity tokens must have, for uv and publish actions.", Serve: getAudience},
		{Methods: "POST", Path: "/_/oidc/mint-token", About: "Exchanges an identity token, for uv and publish actions.", Serve: mintToken},
		{Methods: "POST", Path: "/_/oidc/burn-token", About: "Ends a token that was minted.", Serve: burnToken},
	}
}

func getAudience(w http.ResponseWriter, r *http.Request, d format.Desk, _ []string) {
	word := d.Audience()
	if word == "" {
		failExchange(w, r, d, &millpond.Error{Kind: millpond.Unready, Why: "this pond does not know its own name", Hint: "set public_url"})
		return
	}
	sayExchange(w, map[string]any{"audience": word})
}

func mintToken(w http.ResponseWriter, r *http.Request, d format.Desk, _ []string) {
	identity, err := tokenOf(r)
	if err != nil {
		failExchange(w, r, d, err)
		return
	}
	t, err := d.Exchange(r.Context(), identity, "")
	if err != nil {
		failExchange(w, r, d, err)
		return
	}
	sayExchange(w, map[string]any{"success": true, "token": t.Secret, "expires": t.Expires.Unix()})
}

func burnToken(w http.ResponseWriter, r *http.Request, d format.Desk, _ []string) {
	secret, err := tokenOf(r)
	if err == nil {
		err = d.Burn(r.Context(), secret)
	}
	if err != nil {
		failExchange(w, r, d, err)
		return
	}
	sayExchange(w, map[string]any{"success": true})
}

// tokenLimit bounds a body that has nothing in it but a token.
const tokenLimit = 64 << 10

// tokenOf is the one member that these clients send; others are not looked at. One that is there twice is refused.
func tokenOf(r *http.Request) (token string, err error) {
	bad := func(err error) error {
		if _, ok := errors.AsType[*millpond.Error](err); ok {
			return err
		}
		return &millpond.Error{Kind: millpond.Invalid, Why: "the body is no JSON object with one token", Err: err}
	}
	in := &io.LimitedReader{R: r.Body, N: tokenLimit}
	d := newJSONReader(in)
	twice := false
	err = d.members(func(name string) error {
		if name != "token" {
			return d.skip()
		}
		twice = token != ""
		token, err = d.text()
		return err
	})
	switch {
	case err != nil:
		return "", bad(err)
	case twice || token == "":
		return "", bad(nil)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return "", bad(err)
	}
	return token, nil
}

func sayExchange(w http.ResponseWriter, said map[string]any) {
	body, _ := json.Marshal(said) // of texts and a number
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(body, '\n'))
}

// failExchange answers as these clients read it: what is wrong with an identity token is 422.
func failExchange(w http.ResponseWriter, r *http.Request, d format.Desk, err error) {
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
	body, _ := json.Marshal(map[string]any{ // of texts
		"message": "Token request failed",
		"errors":  []map[string]string{{"code": strings.ReplaceAll(kind.String(), " ", "-"), "description": why}},
	})
	f.Body = string(body) + "\n"
	format.Fail(w, r, d.Now(), err, f)
}
