package npm

import (
	"net/http"
	"strconv"
	"strings"
)

// abbreviated reports whether a request wants the abbreviated form: it names it, and does not prefer plain JSON.
func abbreviated(h http.Header) bool {
	const media = "application/vnd.npm.install-v1+json"
	fields := h["Accept"]
	if len(fields) == 1 {
		switch fields[0] { // what nearly all clients send
		case "*/*", "application/json":
			return false
		case "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*":
			return true
		}
	}
	short, plain := -1.0, -1.0
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(one, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case media:
				short = max(short, quality(params))
			case "application/json":
				plain = max(plain, quality(params))
			}
		}
	}
	return short > 0 && short >= plain
}

// quality is the q of a media type's parameters; 1 if there is none, 0 if it cannot be read.
func quality(params string) float64 {
	for one := range strings.SplitSeq(params, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(one), "q="); ok {
			q, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return 0
			}
			return q
		}
	}
	return 1
}
