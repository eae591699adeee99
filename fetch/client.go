package fetch

import (
	"net/http"
	"net/url"
	"time"
)

// Client talks to one address that the operator has named and that is no upstream: a feed of advisories, a cache to purge,
// a place where the log's heads are kept. It dials as an Upstream does, so private addresses are fine and link-local ones
// never are, leaves by the same proxy, and follows no redirect to another origin. It gives up after limit.
func Client(at *url.URL, limit time.Duration) (*http.Client, error) {
	g, err := newGuard(Settings{URL: at}, connectLimit)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout: limit,
		Transport: &http.Transport{Proxy: g.proxyOf, DialContext: g.DialContext, TLSHandshakeTimeout: shakeLimit, DisableKeepAlives: true,
			MaxResponseHeaderBytes: 256 << 10, ForceAttemptHTTP2: true},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if originOf(next.URL) != originOf(at) {
				return ban("redirects to " + safe(next.URL) + ", which is another origin")
			}
			if len(via) > mostHops {
				return ban("redirects without end")
			}
			return nil
		},
	}, nil
}
