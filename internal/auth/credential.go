package auth

import (
	"encoding/base64"
	"net/http"
	"strings"

	"millpond"
)

// CookieName is the login session's cookie. Over plain http, which is loopback only, a browser takes no cookie with that
// prefix: there it is PlainCookieName.
const (
	CookieName      = "__Host-millpond"
	PlainCookieName = "millpond"
)

// A Proof is how a request proves who sent it.
type Proof struct {
	Kind   ProofKind
	User   string // with a Password
	Secret string // the token, password, cookie value or identity token
}

// A ProofKind is one of the ways to prove it.
type ProofKind int

// The ways.
const (
	Nothing   ProofKind = iota // the request is anonymous
	Token                      // of the pond's own
	Password                   // of a person
	Cookie                     // of a login session, counting under /-/ only
	Identity                   // a signed token of some issuer, good for nothing but Exchange
	Signature                  // the request is signed, as S3's are
	Linked                     // its address is a signed link
)

var (
	errTwo       = wrong(millpond.Invalid, "the request has more than one credential", "send one Authorization header, and no credential in the URL")
	errQuery     = wrong(millpond.Invalid, "a credential stands in the URL, where logs keep it", "send it in an Authorization header, and revoke it")
	errMalformed = wrong(millpond.Unauthenticated, "the credential cannot be read", "send a token as the password of Basic or as Bearer")
)

// Credential reads how a request proves who sent it: Basic with any user name and a token as password, Basic with a user's
// own password, Bearer, a bare token in Authorization, or under /-/ the cookie of a login session. Invalid if there are two
// or one stands in the URL; Unauthenticated if it cannot be read.
func Credential(r *http.Request) (Proof, error) {
	if r.URL.User != nil || r.URL.RawQuery != "" && inQuery(r) {
		return Proof{}, errQuery
	}
	if r.URL.RawQuery != "" {
		if signedQuery(r) {
			return Proof{Kind: Signature}, nil
		}
		if strings.Contains(r.URL.RawQuery, linkQuery+"=") {
			return Proof{Kind: Linked}, nil
		}
	}
	var p Proof
	switch fields := r.Header["Authorization"]; len(fields) {
	case 0:
	case 1:
		var err error
		if p, err = authorization(fields[0]); err != nil {
			return Proof{}, err
		}
	default:
		return Proof{}, errTwo
	}
	if len(r.Header["Cookie"]) == 0 || !strings.HasPrefix(r.URL.Path, "/-/") {
		return p, nil
	}
	for _, c := range r.Cookies() {
		if c.Name != CookieName && (c.Name != PlainCookieName || r.TLS != nil) || c.Value == "" {
			continue
		}
		if p.Kind != Nothing {
			return Proof{}, errTwo
		}
		p = Proof{Kind: Cookie, Secret: c.Value}
	}
	return p, nil
}

// authorization reads the header.
func authorization(field string) (Proof, error) {
	field = strings.Trim(field, " \t")
	scheme, rest, spaced := strings.Cut(field, " ")
	rest = strings.TrimLeft(rest, " ")
	switch {
	case !spaced && tokenID(field) != "":
		return Proof{Kind: Token, Secret: field}, nil
	case !spaced || rest == "":
		return Proof{}, errMalformed
	case strings.EqualFold(scheme, "Bearer"):
		if strings.Count(rest, ".") == 2 && strings.HasPrefix(rest, "eyJ") {
			return Proof{Kind: Identity, Secret: rest}, nil
		}
		return Proof{Kind: Token, Secret: rest}, nil
	case scheme == sigAlgorithm:
		return Proof{Kind: Signature}, nil
	case strings.EqualFold(scheme, "Basic"):
		return basic(rest)
	}
	return Proof{}, errMalformed
}

func basic(text string) (Proof, error) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return Proof{}, errMalformed
	}
	user, password, ok := strings.Cut(string(raw), ":")
	switch {
	case !ok || strings.ContainsFunc(string(raw), func(c rune) bool { return c < ' ' || c == 0x7f }):
		return Proof{}, errMalformed
	case tokenID(user) != "" && (password == "" || password == "x-oauth-basic"): // https://TOKEN@pond.example
		return Proof{Kind: Token, Secret: user}, nil
	case tokenID(user) != "" && user != password:
		return Proof{}, errTwo
	case password == "":
		return Proof{}, errMalformed
	case strings.HasPrefix(password, tokenPrefix) || user == "" || user == "__token__":
		return Proof{Kind: Token, Secret: password}, nil
	}
	return Proof{Kind: Password, User: user, Secret: password}, nil
}

// inQuery reports whether a query names a credential, under a name that is for one or by its look.
func inQuery(r *http.Request) bool {
	for name, values := range r.URL.Query() {
		switch strings.ToLower(strings.ReplaceAll(name, "-", "_")) {
		case "access_token", "_authtoken", "auth_token", "private_token", "api_key", "apikey", "authorization":
			return true
		}
		for _, v := range values {
			if tokenID(v) != "" {
				return true
			}
		}
	}
	return false
}
