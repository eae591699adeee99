package debian

import (
	"fmt"
	"net/http"
	"strings"

	"millpond"
	"millpond/format"
)

// fail answers with an error. apt prints the reason phrase of the status line and never the body, so the words stand there
// too; a plain 404 has none, for a phrase costs the connection and apt asks for many things that need not be there.
func (h handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	why, hint := format.Words(err)
	f := format.Failure{Type: typeText, Body: why + "\n"}
	if hint != "" {
		f.Body += hint + "\n"
	}
	phrase := why
	if hint != "" && millpond.Is(err, millpond.Blocked) {
		phrase += ", " + hint
	}
	switch millpond.KindOf(err) {
	case millpond.NotFound:
		f.Cache = revalidate
	case millpond.Unauthenticated, millpond.Range:
	default:
		if strings.HasPrefix(r.UserAgent(), "Debian APT-HTTP") {
			f.Phrase = phrase[:min(len(phrase), 200)]
		}
	}
	if millpond.Is(err, millpond.Unauthenticated) && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", "millpond"))
	}
	format.Fail(w, r, h.repo.Now(), err, f)
}
