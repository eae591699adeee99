package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"

	"millpond"
)

// checkIssuer is Invalid for an address that is no issuer's.
func checkIssuer(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && !(u.Scheme == "http" && loopbackHost(u.Hostname())) {
		return wrong(millpond.Invalid, fmt.Sprintf("%q is no issuer", text), "https://HOST, exactly as its tokens say it")
	}
	return nil
}

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// issuers keep the keys of those who sign identity tokens.
type issuers struct {
	auth *Auth
	mu   sync.Mutex // guards all; never held across I/O
	all  map[string]*issuer
}

type issuer struct {
	mu     sync.Mutex // one question at a time; held across it
	keys   []jose.JSONWebKey
	asked  time.Time // when the keys were last asked for
	worked time.Time
}

// How often the keys of an issuer are asked for: because a token names one that is not known, and in any case.
const (
	keysAgain = 5 * time.Minute
	keysStale = 24 * time.Hour
)

// keys are the keys of an issuer with that id, or all if the id is "" and there is but one. While the issuer is ill, those
// known go on being used. Unready if none were ever had.
func (s *issuers) keys(ctx context.Context, address, id string) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	if s.all == nil {
		s.all = map[string]*issuer{}
	}
	i := s.all[address]
	if i == nil {
		i = new(issuer)
		s.all[address] = i
	}
	s.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	now := s.auth.now()
	fit := i.fit(id)
	due := fit == nil || now.Sub(i.worked) > keysStale
	var failure error
	if due && now.Sub(i.asked) >= keysAgain || i.worked.IsZero() && now.Sub(i.asked) >= 10*time.Second {
		i.asked = now
		// The answer is of use to others too: who asked first may go away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		keys, err := s.auth.discover(ctx, address)
		if err == nil {
			i.keys, i.worked = keys, now
			fit = i.fit(id)
		}
		failure = err
	}
	switch {
	case fit != nil:
		return fit, nil
	case i.worked.IsZero():
		return nil, &millpond.Error{Kind: millpond.Unready, Why: "the issuer's keys cannot be had now", After: now.Add(10 * time.Second), Err: failure}
	}
	return nil, forged("its issuer has no such key")
}

func (i *issuer) fit(id string) []jose.JSONWebKey {
	var out []jose.JSONWebKey
	for _, k := range i.keys {
		if k.KeyID == id || id == "" && len(i.keys) == 1 {
			out = append(out, k)
		}
	}
	return out
}

// discover asks an issuer for its keys, where its own discovery document says.
func (a *Auth) discover(ctx context.Context, address string) ([]jose.JSONWebKey, error) {
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	origin, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if err := a.fetch(ctx, origin, strings.TrimSuffix(address, "/")+"/.well-known/openid-configuration", &document); err != nil {
		return nil, err
	}
	if document.Issuer != address {
		return nil, fmt.Errorf("%s says that it is %q", address, document.Issuer)
	}
	var set jose.JSONWebKeySet
	if err := a.fetch(ctx, origin, document.Keys, &set); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, k := range set.Keys {
		if k.Valid() && k.IsPublic() {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// fetch reads a small JSON document from an origin that the operator named, or from where that one pointed: then from
// public addresses over https only.
func (a *Auth) fetch(ctx context.Context, origin *url.URL, address string, into any) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	client := a.clientFor(origin)
	if u.Scheme != origin.Scheme || u.Host != origin.Host {
		if u.Scheme != "https" {
			return fmt.Errorf("%s is not https", u.Redacted())
		}
		client = a.foreign()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", u.Redacted(), resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(into)
}

var errRedirect = errors.New("it points elsewhere, which is not followed")

// clientFor talks to an origin that the operator named, and follows no redirect away from it.
func (a *Auth) clientFor(origin *url.URL) *http.Client {
	c := http.Client{Timeout: 15 * time.Second}
	if a.http != nil {
		c = *a.http
	}
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != origin.Scheme || r.URL.Host != origin.Host || len(via) > 3 {
			return errRedirect
		}
		return nil
	}
	return &c
}

// foreign talks to public addresses.
func (a *Auth) foreign() *http.Client {
	d := &net.Dialer{Timeout: 10 * time.Second, Control: func(network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !public(ap.Addr()) {
			return fmt.Errorf("%s is no public address", ap.Addr())
		}
		return nil
	}}
	return &http.Client{
		Timeout:       15 * time.Second,
		Transport:     &http.Transport{DialContext: d.DialContext, TLSHandshakeTimeout: 10 * time.Second, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

// notPublic are addresses that net/netip takes for global unicast and that are not everybody's.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("::/96"),
}

func public(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Zone() != "" {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
