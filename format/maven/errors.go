package maven

import (
	"encoding/json"
	"net/http"

	"millpond"
	"millpond/format"
)

// fail answers with an error as clients of Maven repositories print it: problem details (RFC 9457), and for those that print
// only the reason phrase the first words there too.
func (h handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	why, hint := format.Words(err)
	detail := why
	if hint != "" {
		detail += "; " + hint
	}
	kind := millpond.KindOf(err)
	f := format.Failure{Status: kind.Status(), Type: "application/problem+json"}
	if kind == millpond.NotFound {
		f.Cache = "max-age=60"
	}
	if kind == millpond.Unsupported && r.Method != http.MethodGet && r.Method != http.MethodHead {
		f.Status = http.StatusMethodNotAllowed
	}
	body, e := json.Marshal(problem{http.StatusText(f.Status), f.Status, detail})
	if e != nil {
		body = []byte("{}") // text and a number always marshal
	}
	f.Body = string(body) + "\n"
	if kind == millpond.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Basic realm="millpond", charset="UTF-8"`)
	}
	if r.Method == http.MethodPut && kind != millpond.Unauthenticated {
		f.Phrase = detail // all that Maven 3 prints of a refused upload
	}
	format.Fail(w, r, h.repo.Now(), err, f)
}

type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}
