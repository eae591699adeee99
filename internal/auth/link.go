package auth

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	linkLife  = time.Hour
	longLink  = 7 * 24 * time.Hour
	linkQuery = "mp-sig"
)

// linkKey names the key that links are signed with: all others are void.
func (s *Settings) linkKey() string { return cmp.Or(s.LinkKey, "1") }

// A link is what a signed address says.
type link struct {
	method, path string // path is that of the pond, unescaped; of a prefix it ends in a slash
	prefix       bool
	expires      time.Time
	key, maker   string
	version      string // of the bytes; "" is whatever is there then
	most         string // bytes that may be put; "" is no limit of its own
	signature    []byte
}

// readLink reads the link of a request. Invalid if a credential comes with it: two are none.
func readLink(r *http.Request) (*link, error) {
	q := r.URL.Query()
	if len(r.Header["Authorization"]) > 0 {
		return nil, errTwo
	}
	for name, values := range q {
		if strings.HasPrefix(name, "mp-") && len(values) != 1 {
			return nil, wrong(millpond.Invalid, "the link says "+name+" twice", "")
		}
	}
	l := &link{method: q.Get("mp-method"), path: r.URL.Path, key: q.Get("mp-kid"), maker: q.Get("mp-by"), version: q.Get("mp-v"), most: q.Get("mp-max")}
	if l.method == "" {
		l.method = http.MethodGet
	}
	if under := q.Get("mp-under"); under != "" {
		l.path, l.prefix = under, true
	} else {
		l.path = q.Get("mp-path")
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(q.Get(linkQuery))
	exp, expErr := strconv.ParseInt(q.Get("mp-exp"), 10, 64)
	if err != nil || expErr != nil || l.path == "" || l.prefix && !strings.HasSuffix(l.path, "/") {
		return nil, wrong(millpond.Denied, "the link cannot be read", "was it cut short?")
	}
	l.signature, l.expires = sum, time.Unix(exp, 0)
	return l, nil
}

// sum is what the link is signed with.
func (l *link) sum(key []byte) []byte {
	return mac(key, fmt.Sprintf("%q %q %v %d %q %q %q %q", l.method, l.path, l.prefix, l.expires.Unix(), l.key, l.maker, l.version, l.most))
}

// covers reports whether the link is for a path.
func (l *link) covers(path string) bool {
	if !l.prefix {
		return path == l.path
	}
	return strings.HasPrefix(path, l.path) && !strings.Contains(path, "/../")
}

// query are the parameters that make an address the link.
func (l *link) query() url.Values {
	q := url.Values{"mp-exp": {strconv.FormatInt(l.expires.Unix(), 10)}, "mp-kid": {l.key}, "mp-by": {l.maker},
		linkQuery: {base64.RawURLEncoding.EncodeToString(l.signature)}}
	for name, v := range map[string]string{"mp-v": l.version, "mp-max": l.most} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if l.method != http.MethodGet {
		q.Set("mp-method", l.method)
	}
	if l.prefix {
		q.Set("mp-under", l.path)
	} else {
		q.Set("mp-path", l.path)
	}
	return q
}

// underOf is the path of public_url, without a slash at its end.
func underOf(public string) string {
	u, err := url.Parse(public)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

// SignLink implements format.Linker. The link is made with the caller's token, and ends with it.
func (x *accounts) SignLink(ctx context.Context, f format.Link) (url.Values, error) {
	a := x.auth
	if x.who.token == nil {
		return nil, wrong(millpond.Denied, "a link is made with a token, and ends with it", "send a token; millpond token add makes one")
	}
	now := a.now()
	l := &link{method: f.Method, path: "/" + x.repository + f.Path, prefix: f.Prefix, expires: f.Expires, key: a.state.Load().settings.linkKey(), maker: x.who.token.ID, version: f.Version}
	if f.Most > 0 {
		l.most = strconv.FormatInt(f.Most, 10)
	}
	if l.expires.IsZero() {
		l.expires = now.Add(linkLife)
	}
	switch {
	case l.method != http.MethodGet && l.method != http.MethodPut:
		return nil, wrong(millpond.Invalid, "a link is for GET or for PUT", "")
	case !l.expires.After(now) || l.expires.After(now.Add(longLink)):
		return nil, wrong(millpond.Invalid, "a link ends within the next 7 days", "")
	case x.repository == "":
		return nil, wrong(millpond.Invalid, "a link is for a file of a repository", "")
	}
	key, err := a.signing.keyFor(ctx, "link "+l.key)
	if err != nil {
		return nil, err
	}
	l.signature = l.sum(key)
	return l.query(), nil
}
