package cargo

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// mostRetry is how long cargo is told to wait at most: it repeats three times in all, and sleeps as long as it is told.
const mostRetry = 5 * time.Second

// fail answers an error as cargo shows it: the words on two lines, and below api/ in the JSON that it reads there.
func (h handler) fail(w http.ResponseWriter, r *http.Request, p Path, err error) {
	status := 0
	switch millpond.KindOf(err) {
	case millpond.Gone, millpond.Blocked:
		// Whatever else is answered for an index ends the whole resolution, though nobody may need the crate.
		if p.Kind == Index {
			status = http.StatusNotFound
		}
	case millpond.Invalid:
		if p.Kind == Index || p.Kind == File || p.Kind == Download {
			status = http.StatusNotFound
		}
	case millpond.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Cargo login_url="`+loginPage(h.repo.Base(r))+`"`)
	}
	h.failAs(w, r, p, err, status)
}

func (h handler) failAs(w http.ResponseWriter, r *http.Request, p Path, err error, status int) {
	why, hint := format.Words(err)
	f := format.Failure{Status: status, Type: typeText, Body: why + "\n", MostRetry: mostRetry}
	if hint != "" {
		f.Body += hint + "\n"
	}
	switch p.Kind {
	case Search, New, Yank, Unyank, Owners:
		f.Type, f.Body = typeJSON, errorsJSON(why, hint)
	}
	format.Fail(w, r, h.repo.Now(), err, f)
}

// errorsJSON is an error as the web API has it.
func errorsJSON(why, hint string) string {
	if hint != "" {
		why = strings.TrimSuffix(why, ".") + ". " + hint
	}
	type detail struct {
		Detail string `json:"detail"`
	}
	b, err := json.Marshal(map[string][]detail{"errors": {{why}}})
	if err != nil {
		return `{"errors":[{"detail":"internal error"}]}`
	}
	return string(b)
}
