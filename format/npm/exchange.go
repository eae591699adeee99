package npm

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"millpond"
	"millpond/format"
)

// Exchanges is where npm exchanges a CI job's identity token: at the root of the host that it publishes to, whatever lies below
// in its registry's address.
func (Format) Exchanges() []format.Exchange {
	return []format.Exchange{{Methods: "POST", Path: "/" + exchangePath + "{package}", About: "Exchanges an identity token, for npm.",
		Serve: func(w http.ResponseWriter, r *http.Request, d format.Desk, args []string) {
			answer, err := exchanged(r, args[0], d.Exchange)
			if err == nil {
				err = writeStatus(w, http.StatusCreated, answer)
			}
			if err != nil {
				failExchange(w, r, d, err)
			}
		}}}
}

// exchanged is what npm is answered that sends an identity token as Bearer, and no body.
func exchanged(r *http.Request, pkg string, exchange func(ctx context.Context, identity, pkg string) (*format.Token, error)) (map[string]any, error) {
	scheme, identity, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || identity == "" {
		return nil, &millpond.Error{Kind: millpond.Unauthenticated, Why: "an exchange wants the job's identity token as Bearer"}
	}
	token, err := exchange(r.Context(), strings.TrimSpace(identity), pkg)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"token_type": "oidc", "token": token.Secret, "token_id": token.ID, "created": writeTime(token.Created), "expires": writeTime(token.Expires),
	}, nil
}

func failExchange(w http.ResponseWriter, r *http.Request, d format.Desk, err error) {
	why, hint := format.Words(err)
	if hint != "" {
		why += "; " + hint
	}
	body, _ := json.Marshal(map[string]string{"error": why, "message": why}) // of texts
	format.Fail(w, r, d.Now(), err, format.Failure{Type: "application/json", Body: string(body) + "\n"})
}
