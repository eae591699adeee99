package rubygems

import (
	"net/http"
	"time"

	"millpond"
	"millpond/format"
)

const typeText = "text/plain; charset=utf-8"

// fail answers with an error in plain text. gem push shows the body; whoever reads an index shows the status at best.
func (h handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	why, hint := format.Words(err)
	f := format.Failure{Type: typeText, Body: why + "\n"}
	if hint != "" {
		f.Body += hint + "\n"
	}
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch millpond.KindOf(err) {
	case millpond.Invalid:
		f.Status = http.StatusUnprocessableEntity
		if reading {
			f.Status = http.StatusNotFound
		}
	case millpond.Gone:
		if !reading {
			f.Status = http.StatusConflict // a number that was deleted is taken for ever
		}
	case millpond.Unauthenticated:
		// Bundler's only clean stop: it tells how to set credentials.
		w.Header().Set("WWW-Authenticate", `Basic realm="millpond"`)
	case millpond.Throttled, millpond.BadUpstream, millpond.Offline, millpond.Corrupt:
		f.MostRetry = 10 * time.Second
	}
	format.Fail(w, r, h.repo.Now(), err, f)
}

func invalid(why string) error { return &millpond.Error{Kind: millpond.Invalid, Why: why} }
