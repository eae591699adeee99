package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
		Transport: named{&http.Transport{Proxy: g.proxyOf, DialContext: g.DialContext, TLSHandshakeTimeout: shakeLimit, DisableKeepAlives: true,
			MaxResponseHeaderBytes: 256 << 10, ForceAttemptHTTP2: true}},
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

// named says who asks.
type named struct{ http.RoundTripper }

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "millpond")
	return n.RoundTripper.RoundTrip(r)
}

// A Post sends a document in JSON to the one address that it is of. Any answer but 2xx is an error, and no error names the
// address, whose query may hold a secret.
type Post func(ctx context.Context, body []byte) error

// PostTo is the Post to an address, by its Client, with token as a bearer if it is not "".
func PostTo(at *url.URL, token string, limit time.Duration) (Post, error) {
	client, err := Client(at, limit)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, body []byte) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
		if err != nil {
			return errors.New("the address cannot be asked")
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(r)
		if err != nil {
			if e, ok := errors.AsType[*url.Error](err); ok {
				err = e.Err
			}
			return err
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // what it says is not read
		if resp.StatusCode < 200 || resp.StatusCode >= 300 {
			return fmt.Errorf("it answered %s", resp.Status)
		}
		return nil
	}, nil
}
