package pypi

import (
	"net/url"
	"strconv"
	"strings"

	"millpond"
)

// The media types of pages.
const (
	typeHTML      = "text/html"
	typeV1HTML    = "application/vnd.pypi.simple.v1+html"
	typeJSON      = "application/vnd.pypi.simple.v1+json"
	typeIntegrity = "application/vnd.pypi.integrity.v1+json"

	latestHTML = "application/vnd.pypi.simple.latest+html"
	latestJSON = "application/vnd.pypi.simple.latest+json"
)

// A form is one representation of a page.
type form int

// The forms, in the order in which they are offered.
const (
	formHTML form = iota
	formV1HTML
	formJSON
	forms
)

// suffix ends the name of the derived document.
func (f form) suffix() string { return [...]string{".html", ".v1html", ".json"}[f] }

// contentType is what the form is sent as.
func (f form) contentType() string {
	return [...]string{typeHTML + "; charset=utf-8", typeV1HTML, typeJSON}[f]
}

// named is the form that a media type names.
func named(media string) (form, bool) {
	switch {
	case strings.EqualFold(media, typeHTML):
		return formHTML, true
	case strings.EqualFold(media, typeV1HTML), strings.EqualFold(media, latestHTML):
		return formV1HTML, true
	case strings.EqualFold(media, typeJSON), strings.EqualFold(media, latestJSON):
		return formJSON, true
	}
	return 0, false
}

// negotiate chooses the form: what ?format= asks for, else the most wanted by Accept, else HTML, because pip takes a 406 as
// the word that there is no such project.
func negotiate(accept []string, query string) (form, error) {
	if query != "" {
		values, _ := url.ParseQuery(query) // what cannot be read asks for nothing
		if want, ok := values["format"]; ok {
			f, ok := named(strings.ReplaceAll(want[0], " ", "+")) // an unescaped "+" reads as a blank
			if !ok {
				return 0, &notAcceptable{want[0]}
			}
			return f, nil
		}
	}
	var weights [forms]weight
	for _, field := range accept {
		for one := range strings.SplitSeq(field, ",") {
			weigh(&weights, one)
		}
	}
	best := formHTML
	for f := range forms {
		if weights[f].q > weights[best].q {
			best = f
		}
	}
	return best, nil
}

// A weight is how much a form is wanted, by the most specific range that covers it.
type weight struct {
	specific int // 0 none, 1 */*, 2 type/*, 3 the type itself
	q        float64
}

func weigh(weights *[forms]weight, one string) {
	media, params, _ := strings.Cut(one, ";")
	media = strings.TrimSpace(media)
	q, ok := quality(params)
	if !ok {
		return
	}
	set := func(f form, specific int) {
		if w := &weights[f]; specific > w.specific || specific == w.specific && q > w.q {
			*w = weight{specific, q}
		}
	}
	switch {
	case media == "*/*":
		for f := range forms {
			set(f, 1)
		}
	case strings.EqualFold(media, "text/*"):
		set(formHTML, 2)
	case strings.EqualFold(media, "application/*"):
		set(formV1HTML, 2)
		set(formJSON, 2)
	default:
		if f, ok := named(media); ok {
			set(f, 3)
		}
	}
}

// quality reads the q of a range; 1 if it has none, not ok if it cannot be read.
func quality(params string) (q float64, ok bool) {
	for params != "" {
		var one string
		one, params, _ = strings.Cut(params, ";")
		key, value, _ := strings.Cut(one, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return min(q, 1), err == nil && q >= 0
	}
	return 1, true
}

// acceptsIntegrity reports whether a client takes provenance: the type itself, JSON, or anything.
func acceptsIntegrity(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	for _, field := range accept {
		for one := range strings.SplitSeq(field, ",") {
			media, params, _ := strings.Cut(one, ";")
			q, ok := quality(params)
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "", "*/*", "application/*", "application/json", typeIntegrity:
				if ok && q > 0 {
					return true
				}
			}
		}
	}
	return false
}

// notAcceptable is the error of a client that asked for a form there is not.
type notAcceptable struct{ want string }

func (e *notAcceptable) Error() string {
	return "there is no page of type " + strconv.Quote(e.want) + "; ask for " + typeJSON + " or text/html"
}

// Unwrap gives the error its kind.
func (e *notAcceptable) Unwrap() error {
	return &millpond.Error{Kind: millpond.Invalid, Why: e.Error()}
}
