package cli

import (
	"bytes"
	"cmp"
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

// defaultURL is where a pond listens that nobody told where.
const defaultURL = "http://127.0.0.1:8080/"

// A remote is a running pond that commands talk to. What is not said is what 'login' has remembered.
type remote struct {
	URL   *url.URL `env:"MILLPOND_URL" help:"The pond to ask; else the one that 'login' remembers, else ${pond}." placeholder:"URL"`
	Token string   `env:"MILLPOND_TOKEN" help:"A token, if the pond wants one; else the one that 'login' remembers." placeholder:"TOKEN"`
	CA    string   `name:"ca" env:"MILLPOND_CA" help:"File with the authority to trust, of a pond with 'tls: local'." placeholder:"FILE"`
}

// output is the flag of the commands that print what programs may read.
type output struct {
	JSON bool `name:"json" help:"Print JSON, errors too."`
}

// AfterApply tells the process, so that errors are JSON too.
func (o *output) AfterApply(p *Process) error {
	p.json = o.JSON
	return nil
}

// api is what the commands that ask and print have in common.
type api struct {
	remote
	output
}

// AfterApply fills in what was not said.
func (a *api) AfterApply(p *Process) error {
	if err := a.output.AfterApply(p); err != nil {
		return err
	}
	return a.remote.AfterApply()
}

// AfterApply fills in what was not said from what 'login' has remembered. A token goes to the pond only that gave it.
func (r *remote) AfterApply() error {
	if r.URL == nil {
		if r.URL = (loginFile{}).current(); r.URL == nil {
			r.URL, _ = url.Parse(defaultURL)
		}
	}
	if r.URL.Host == "" || r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is no address of a pond", r.URL.Redacted()), Hint: "such as https://pond.example/"}
	}
	r.URL = r.URL.JoinPath("/")
	known, err := loginFile{}.of(r.URL)
	if err != nil {
		return err
	}
	r.Token, r.CA = cmp.Or(r.Token, known.Token), cmp.Or(r.CA, known.CA)
	return nil
}

// A request is one question to the pond.
type request struct {
	method string
	path   []string // below /-/api, each a segment that is escaped here
	at     *url.URL // what is asked in place of path and query; who asks is told to the pond only
	query  url.Values
	in     any // sent as JSON, if it is not nil
	body   io.Reader
	size   int64 // of body
	accept string
}

// call sends a question and reads the answer into out, which may be nil.
func (r *remote) call(ctx context.Context, q request, out any) error {
	resp, err := r.send(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent || out == nil {
		return nil
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return r.strange(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", r.URL.Redacted(), err)
	}
	return nil
}

// tell asks for a change, and says that it was made.
func (a *api) tell(ctx context.Context, p *Process, q request, words string, args ...any) error {
	if err := a.call(ctx, q, nil); err != nil {
		return err
	}
	return a.done(p, words, args...)
}

// list asks for a list, and draws each of what is in it.
func list[T any](ctx context.Context, a *api, p *Process, path []string, draw func(row func(cells ...any), one T)) error {
	all := []T{}
	if err := a.call(ctx, request{method: "GET", path: path}, &all); err != nil {
		return err
	}
	return a.show(p, all, func(row func(...any)) {
		for _, one := range all {
			draw(row, one)
		}
	})
}

// ask sends one question of the kinds that have one Answer. It waits as long as the pond works.
func (r *remote) ask(ctx context.Context, method, path string, query url.Values) (*server.Answer, error) {
	var a server.Answer
	if err := r.call(ctx, request{method: method, path: []string{path}, query: query}, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

// send sends a question and returns the answer if it is no error.
func (r *remote) send(ctx context.Context, q request) (*http.Response, error) {
	u := r.URL.JoinPath("-/api")
	var escaped strings.Builder
	escaped.WriteString(u.EscapedPath())
	for _, segment := range q.path {
		escaped.WriteString("/" + url.PathEscape(segment))
		u.Path += "/" + segment
	}
	u.RawPath, u.RawQuery = escaped.String(), q.query.Encode()
	if q.at != nil {
		u = q.at
	}
	body := q.body
	if q.in != nil {
		text, err := json.Marshal(q.in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if q.in != nil {
		req.Header.Set("Content-Type", "application/json")
	} else if q.body != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
		req.ContentLength = q.size
	}
	req.Header.Set("Accept", cmp.Or(q.accept, "application/json"))
	if r.Token != "" && u.Host == r.URL.Host && u.Scheme == r.URL.Scheme {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
	transport, err := r.transport()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme {
			return http.ErrUseLastResponse // the token is for the pond that was named
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, r.unreachable(err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, r.refused(resp)
	}
	return resp, nil
}

func (r *remote) transport() (*http.Transport, error) {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		DisableKeepAlives:   true,
		ForceAttemptHTTP2:   true,
	}
	if !loopback(r.URL.Hostname()) {
		t.Proxy = http.ProxyFromEnvironment
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
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return t, nil
}

// A problem is how the pond answers an error, and how --json prints one.
type problem struct {
	Error string   `json:"error"`
	Kind  string   `json:"kind"`
	Hint  string   `json:"hint,omitempty"`
	Names []string `json:"names,omitempty"` // that stand in the way
}

// A refusal is an error of the pond's with the names that stand in the way.
type refusal struct {
	err   *millpond.Error
	names []string
}

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }

// refused is the error that the pond answered.
func (r *remote) refused(resp *http.Response) error {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return r.strange(resp)
	}
	var p problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4<<20)).Decode(&p); err != nil || p.Error == "" {
		return &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("%s answered %s", r.URL.Redacted(), resp.Status)}
	}
	e := &millpond.Error{Kind: kindOf(p.Kind, resp.StatusCode), Why: p.Error, Hint: p.Hint}
	if seconds, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil {
		e.After = time.Now().Add(seconds)
	}
	if e.Kind == millpond.Unauthenticated && e.Hint == "" {
		e.Hint = "millpond login " + r.URL.Redacted()
	}
	if len(p.Names) > 0 {
		return &refusal{e, p.Names}
	}
	return e
}

// kindOf is the kind that the pond named, else the one that its status is of.
func kindOf(name string, status int) millpond.Kind {
	byStatus := millpond.Internal
	for k := millpond.Unready; k >= millpond.Internal; k-- {
		if k.String() == name {
			return k
		}
		if k.Status() == status {
			byStatus = k
		}
	}
	return byStatus
}

// strange is an answer that no pond gives.
func (r *remote) strange(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // what could be read says more than why no more could
	return &millpond.Error{Kind: kindOf("", resp.StatusCode), Why: strings.TrimSpace(fmt.Sprintf("%s answered %s: %s", r.URL.Redacted(), resp.Status, strings.TrimSpace(string(text)))),
		Hint: "is that the address of a pond?"}
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
