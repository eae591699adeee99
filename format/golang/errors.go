package golang

import (
	"net/http"
	"strings"
	"unicode"

	"millpond"
	"millpond/format"
)

// fail answers with an error as the go command shows it: plain text, the words on the first line and what to do on the
// second. It shows 8 lines and 648 bytes up to the first blank line, and nothing at all if a rune is not graphic.
func (h handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := failure(err)
	switch millpond.KindOf(err) {
	case millpond.NotFound, millpond.Invalid, millpond.Unsupported:
		// 400 and 501 would end the client's walk. That a newer client asks what we cannot read is no reason for it.
		f.Status, f.Cache = http.StatusNotFound, maxAge
	case millpond.Gone:
		// A takedown. After 410 the client would ask the next entry of its list, which may have what was taken down.
		f.Status = http.StatusForbidden
	}
	if h.held {
		switch millpond.KindOf(err) {
		case millpond.NotFound, millpond.Offline, millpond.BadUpstream, millpond.Invalid, millpond.Unsupported:
			f.Status, f.Cache, f.Body = http.StatusNotFound, "", "not held here\n"
		}
	}
	format.Fail(w, r, h.repo.Now(), err, f)
}

// failUpload answers with an error to whoever publishes, who walks no list: the status is the kind's own.
func (h handler) failUpload(w http.ResponseWriter, r *http.Request, err error) {
	format.Fail(w, r, h.repo.Now(), err, failure(err))
}

func failure(err error) format.Failure {
	why, hint := format.Words(err)
	f := format.Failure{Type: typeText, Body: graphic(why) + "\n"}
	if hint != "" {
		f.Body += graphic(hint) + "\n"
	}
	return f
}

// graphic is s on one line, with nothing in it that would make the go command hide it.
func graphic(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar:
			return '?'
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, s)
}
