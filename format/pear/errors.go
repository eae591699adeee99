package pear

import (
	"net/http"

	"millpond"
	"millpond/format"
)

const typeText = "text/plain; charset=utf-8"

// fail answers with an error. The client prints the status line and nothing else, so the words stand there as well.
func (h handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	why, hint := format.Words(err)
	f := format.Failure{Type: typeText, Body: why + "\n"}
	if hint != "" {
		f.Body += hint + "\n"
	}
	switch millpond.KindOf(err) {
	case millpond.Invalid:
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			f.Status = http.StatusNotFound // nothing can be there
		}
	case millpond.Blocked, millpond.Denied:
		f.Phrase = why
	}
	format.Fail(w, r, h.repo.Now(), err, f)
}
