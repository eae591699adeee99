package format

import (
	"net/url"
	"strings"
)

// An Adopted is an upstream that a client of this machine is set up with.
type Adopted struct {
	URL      string // without credentials
	From     string // where it was found, for people: "npm config get registry"
	Username string
	Password string
	Options  map[string]string // of the repository
	Note     string            // what was dropped or should be known; "" if nothing. An Adopted without URL is only a note
}

// Adopt reads the address of an upstream as a client has it: http or https, its credentials apart, query and fragment dropped,
// with a slash at the end. It reports false for what is no such address.
func Adopt(address string) (Adopted, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return Adopted{}, false
	}
	var a Adopted
	if u.User != nil {
		a.Username = u.User.Username()
		a.Password, _ = u.User.Password()
		u.User = nil
	}
	u.RawQuery, u.Fragment = "", ""
	a.URL = strings.TrimSuffix(u.String(), "/") + "/"
	return a, true
}
