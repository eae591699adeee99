package npm

import (
	"encoding/json"
	"net/http"
	"time"

	"millpond"
	"millpond/format"
)

// fail answers an error as npm shows it: {"error":"why. hint"}.
//
// 404 is the end for every client, so only what is not there is a 404; 410 would make pnpm repeat a tarball for 70 s, and
// 5xx makes npm repeat a write, so Gone and Unsupported have other statuses than elsewhere.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	why, hint := format.Words(err)
	body := why
	if hint != "" {
		body += ". " + hint
	}
	f := format.Failure{Type: "application/json"}
	switch kind := millpond.KindOf(err); kind {
	case millpond.Gone:
		f.Status = http.StatusNotFound
		if r.Method == http.MethodPut {
			f.Status = http.StatusConflict // a number that was deleted is taken for ever
		}
	case millpond.Invalid:
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			f.Status = http.StatusNotFound
		}
	case millpond.Unsupported:
		f.Status = http.StatusMethodNotAllowed
		w.Header().Set("Allow", "GET, HEAD")
		if p, err := Parse(r.URL.EscapedPath()); err == nil && (p.Kind == Access || p.Kind == Member) {
			f.Status = http.StatusNotImplemented
		}
	case millpond.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case millpond.Throttled, millpond.BadUpstream, millpond.Offline, millpond.Corrupt:
		f.MostRetry = 10 * time.Second
	}
	text, _ := json.Marshal(map[string]string{"error": body}) // strings always marshal
	f.Body = string(text)
	format.Fail(w, r, h.repo.Now(), err, f)
}
