package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"millpond"
	"millpond/internal/server"
)

// A remote is a running pond that commands talk to.
type remote struct {
	URL   *url.URL `env:"MILLPOND_URL" default:"http://127.0.0.1:8080/" help:"The pond to ask." placeholder:"URL"`
	Token string   `env:"MILLPOND_TOKEN" help:"A token, if the pond wants one." placeholder:"TOKEN"`
	CA    string   `name:"ca" env:"MILLPOND_CA" help:"File with the authority to trust, of a pond with 'tls: local'." placeholder:"FILE"`
}

// ask sends one question to /-/api and returns the answer. It waits as long as the pond works.
func (r *remote) ask(ctx context.Context, method, path string, query url.Values) (*server.Answer, error) {
	u := r.URL.JoinPath("-/api/" + path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if r.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		DisableKeepAlives:   true,
		ForceAttemptHTTP2:   true,
	}
	if !loopback(u.Hostname()) {
		transport.Proxy = http.ProxyFromEnvironment
	}
	if r.CA != "" {
		pem, err := os.ReadFile(r.CA)
		if err != nil {
			return nil, fmt.Errorf("read the authority to trust: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", r.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, r.unreachable(err)
	}
	defer resp.Body.Close()
	var a server.Answer
	body := io.LimitReader(resp.Body, 64<<20)
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		text, _ := io.ReadAll(io.LimitReader(body, 500))
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("%s answered %s: %s", r.URL.Redacted(), resp.Status, strings.TrimSpace(string(text))),
			Hint: "is that the address of a pond?"}
	}
	if err := json.NewDecoder(body).Decode(&a); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", r.URL.Redacted(), err)
	}
	if a.Error != "" {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: a.Error, Hint: a.Hint}
	}
	return &a, nil
}

// unreachable is an error of the connection in words.
func (r *remote) unreachable(err error) error {
	e := &millpond.Error{Kind: millpond.BadUpstream, Why: "no pond can be reached at " + r.URL.Redacted()}
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Why = "no pond runs at " + r.URL.Redacted()
		e.Hint = "start one with 'millpond serve', or name another with --url or MILLPOND_URL"
	case errors.As(err, &unknown):
		e.Why = "the certificate of " + r.URL.Redacted() + " is signed by an authority that this machine does not trust"
		e.Hint = "fetch the pond's own from " + r.URL.JoinPath("-/ca.pem").Redacted() + " and name it with --ca"
	default:
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // without the URL, which may hold a password
		}
		e.Err = err
	}
	return e
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
