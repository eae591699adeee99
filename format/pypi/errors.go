package pypi

import (
	"errors"
	"net/http"
	"time"

	"millpond"
	"millpond/format"
)

// longestRetry bounds Retry-After: pip sleeps as long as it is told, five times over.
const longestRetry = 5 * time.Second

// errMethod is what a method is answered with that an address does not take.
type errMethod struct{}

func (errMethod) Error() string {
	return "there is nothing to send to this address; files are published to legacy/"
}

// Unwrap gives the error its kind.
func (e errMethod) Unwrap() error { return &millpond.Error{Kind: millpond.Unsupported, Why: e.Error()} }

// fail answers with words in plain text, which is what pip, uv and twine print if they print anything.
func fail(w http.ResponseWriter, r *http.Request, repo format.Repo, err error) {
	why, hint := format.Words(err)
	f := format.Failure{Type: "text/plain; charset=utf-8", Body: why + "\n", MostRetry: longestRetry}
	if hint != "" {
		f.Body += hint + "\n"
	}
	if _, ok := errors.AsType[errMethod](err); ok {
		f.Status = http.StatusMethodNotAllowed
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	}
	if millpond.Is(err, millpond.Gone) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		f.Status = http.StatusNotFound // to pip all ends are the same, and uv goes on after this one only
	}
	if _, ok := errors.AsType[*notAcceptable](err); ok {
		f.Status = http.StatusNotAcceptable
	}
	format.Fail(w, r, repo.Now(), err, f)
}

func notFound(k millpond.Key, why string) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: why}
}
