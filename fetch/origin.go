package fetch

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// originOf is a URL's scheme, host and port, the port always written.
func originOf(u *url.URL) string { return strings.ToLower(u.Scheme) + "://" + hostPort(u) }

// mostHops is how many redirects are followed.
const mostHops = 5

// A ban says why a URL may not be asked, in words that follow the upstream's name.
type ban string

func (b ban) Error() string { return string(b) }

// may judges a URL before it is asked: from is where a redirect came from, nil for the first. The address its host resolves
// to is judged again when it is dialled.
func (u *Upstream) may(from, to *url.URL) error {
	if to.Scheme != "http" && to.Scheme != "https" || to.Host == "" {
		return ban("points to " + safe(to) + ", which is neither http nor https")
	}
	if from != nil && from.Scheme == "https" && to.Scheme == "http" {
		return ban("redirects from https to http, at " + safe(to))
	}
	if originOf(to) != u.origin && !(u.realms[originOf(to)] && from == nil) {
		if !u.lists(to) {
			if len(u.also) > 0 && (to.Scheme == "https" || u.settings.URL.Scheme == "http") {
				return ban("points to " + safe(to) + ", which is none of the origins in its also setting")
			}
			return ban("points to " + safe(to) + ", which is another origin and not https")
		}
	}
	if err := u.guard.check(to); err != nil {
		return ban("points to " + err.Error())
	}
	return nil
}

// lists reports whether another origin may be asked. Plain http has to be listed by name, and never where the upstream
// itself is https.
func (u *Upstream) lists(to *url.URL) bool {
	named := u.also[originOf(to)]
	if to.Scheme == "http" {
		return named && u.settings.URL.Scheme == "http"
	}
	return named || len(u.also) == 0 || u.also["*"]
}

// newAlso reads the also setting; nil where it is empty.
func newAlso(list []string) (map[string]bool, error) {
	var also map[string]bool
	for _, text := range list {
		if also == nil {
			also = map[string]bool{}
		}
		if text == "*" {
			also["*"] = true
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
			return nil, ban("also: an origin reads https://host or https://host:port")
		}
		also[originOf(u)] = true
	}
	return also, nil
}

// dress adds what this upstream's requests carry. Credentials and the configured headers go to its own origin only; a
// Transport never moves them along, for it follows no redirect. A request that is to be signed is signed with key.
func (u *Upstream) dress(r *http.Request, key accessKey) {
	if originOf(r.URL) == u.origin {
		for name, values := range u.settings.Header {
			r.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
		switch {
		case u.settings.Region != "":
			u.sign(r, key, u.e.now())
		case u.token != "":
			r.Header.Set("Authorization", "Bearer "+u.token)
		case u.username != "" || u.password != "":
			r.SetBasicAuth(u.username, u.password)
		}
	}
	r.Header.Set("User-Agent", u.agent)
	loops := Via(r.Context())
	if u.e.Instance != "" {
		loops = append(slices.Clone(loops), "millpond; id="+u.e.Instance)
	}
	if len(loops) > 0 {
		r.Header["Cdn-Loop"] = []string{strings.Join(loops, ", ")}
	}
}

// safe is a URL as it may be shown: no credentials, no query.
func safe(u *url.URL) string {
	c := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, Opaque: u.Opaque}
	if c.Opaque != "" {
		c.Opaque = "…"
	}
	return c.String()
}
