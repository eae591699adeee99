package fetch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"golang.org/x/sync/semaphore"

	"millpond"
)

// An Upstream is one origin as an Engine knows it: its settings, its breaker, its budget.
type Upstream struct {
	e         *Engine
	settings  Settings
	origin    string // of settings.URL; "" for a directory
	dir       string // of a file:// URL; "" otherwise
	guard     *guard
	transport *http.Transport
	also      map[string]bool
	realms    map[string]bool // origins of token services that the credentials may go to
	bearer    bearer
	agent     string

	username, password, token, session string  // secrets: in no error and no log
	lender                             *lender // of the keys that requests are signed with; nil if the settings have one

	connect, first, idle time.Duration
	least                int64
	slots, relays        *semaphore.Weighted
	budget               budget
	pace                 pace

	mu       sync.Mutex          // guards breakers
	breakers map[string]*breaker // by origin

	allowance                           allowance
	alarm                               atomic.Pointer[string]
	requests, failures, bytes, inFlight atomic.Int64
}

// State tells how an upstream is.
type State struct {
	Name     string    `json:"name"`
	URL      string    `json:"url"`
	Open     bool      `json:"open"`           // the breaker is open: it is not asked
	Until    time.Time `json:"until,omitzero"` // when it is asked again
	Why      string    `json:"why,omitzero"`   // the last failure, in words; "" if all is well
	Alarm    string    `json:"alarm,omitzero"` // what an operator must mend: "credentials of pypi refused"; "" if nothing
	Requests int64     `json:"requests"`
	Failures int64     `json:"failures"`
	Bytes    int64     `json:"bytes"`
	InFlight int       `json:"in_flight"`
	// Limit and Left are how many requests the upstream takes in a time of its own, and how many of them are left, as it last
	// said; a Limit of 0 is none that was said.
	Limit int64 `json:"limit,omitzero"`
	Left  int64 `json:"left,omitzero"`
}

const (
	connectLimit = 3 * time.Second
	shakeLimit   = 5 * time.Second
	mostRelays   = 8 // questions at once, beside the downloads
	mostBreakers = 64
)

// Upstream begins to know an upstream. Engines forget upstreams that are no longer used; two with equal settings share
// their breaker and budget. It is Invalid if the settings cannot be used.
func (e *Engine) Upstream(s Settings) (*Upstream, error) {
	e.init()
	u, key, err := e.newUpstream(s)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("upstream %s: %v", s.Name, err)}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.upstreams[key].Value(); known != nil {
		return known, nil
	}
	e.upstreams[key] = weak.Make(u)
	// The cleanup must not lead to u, or u would never be forgotten.
	runtime.AddCleanup(u, func(t *http.Transport) {
		t.CloseIdleConnections()
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.upstreams[key].Value() == nil {
			delete(e.upstreams, key)
		}
	}, u.transport)
	if s.Insecure {
		e.log.Warn("TLS certificates of an upstream are not verified", "upstream", s.Name)
	}
	return u, nil
}

func (e *Engine) newUpstream(s Settings) (u *Upstream, key string, err error) {
	if s.URL == nil {
		return nil, "", ban("it has no URL")
	}
	s = s.clone()
	u = &Upstream{e: e, settings: s, username: s.Username, password: s.Password, token: s.Token, session: s.Session,
		connect: connectLimit, first: orDefault(s.FirstByte, 10*time.Second), idle: orDefault(s.Idle, 30*time.Second),
		least: orDefault(s.MinRate, 1<<10), slots: semaphore.NewWeighted(int64(orDefault(s.Connections, 64))),
		relays: semaphore.NewWeighted(mostRelays), breakers: map[string]*breaker{}}
	if s.URL.User != nil && u.username == "" && u.password == "" && u.token == "" {
		u.username = s.URL.User.Username()
		u.password, _ = s.URL.User.Password()
	}
	u.settings.URL.User = nil
	switch s.URL.Scheme {
	case "file":
		if s.URL.Host != "" && s.URL.Host != "localhost" || !strings.HasPrefix(s.URL.Path, "/") {
			return nil, "", ban("a directory reads file:///path/")
		}
		u.dir = s.URL.Path
	case "http", "https":
		if s.URL.Host == "" {
			return nil, "", ban("its URL has no host")
		}
		u.origin = originOf(s.URL)
	default:
		return nil, "", ban(fmt.Sprintf("its URL has the scheme %q, which is none of http, https and file", s.URL.Scheme))
	}
	if s.Netrc && u.dir == "" && u.username == "" && u.password == "" && u.token == "" {
		if u.username, u.password, err = netrcFor(s.URL); err != nil {
			return nil, "", err
		}
	}
	switch {
	case s.Region == "" || u.username != "" && u.password != "":
	case u.username != "" || u.password != "" || u.token != "":
		return nil, "", ban("region: requests are signed with username and password, the id and the secret of an access key, or with the key of this machine's role if there is neither")
	default:
		u.lender = &lender{ask: newRole(s).ask}
	}
	if u.also, err = newAlso(s.Also); err != nil {
		return nil, "", err
	}
	if u.realms, err = newAlso(s.Realms); err != nil || u.realms["*"] {
		return nil, "", ban("auth_realms: an origin reads https://host or https://host:port")
	}
	if u.guard, err = newGuard(s, u.connect); err != nil {
		return nil, "", err
	}
	roots := (*x509.CertPool)(nil)
	if len(s.CA) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(s.CA) {
			return nil, "", ban("its CA holds no certificate")
		}
	}
	u.agent = "millpond"
	if e.Version != "" {
		u.agent += "/" + e.Version
	}
	if s.Contact != "" {
		u.agent += " (+" + s.Contact + ")"
	}
	u.transport = &http.Transport{
		Proxy:                  u.guard.proxyOf,
		DialContext:            u.guard.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, InsecureSkipVerify: s.Insecure, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    shakeLimit,
		ResponseHeaderTimeout:  u.first,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    orDefault(s.Connections, 64),
		MaxResponseHeaderBytes: 256 << 10,
		ReadBufferSize:         64 << 10,
		DisableCompression:     true, // what is asked for is unpacked by the one who knows what it is
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
	return u, s.key(u.username, u.password), nil
}

// clone copies what a caller might change later.
func (s Settings) clone() Settings {
	at := *s.URL
	s.URL = &at
	s.Header = s.Header.Clone()
	s.Also = slices.Clone(s.Also)
	s.Realms = slices.Clone(s.Realms)
	s.AllowAddresses = slices.Clone(s.AllowAddresses)
	s.CA = slices.Clone(s.CA)
	if s.Proxy != nil {
		proxy := *s.Proxy
		s.Proxy = &proxy
	}
	return s
}

// key is the same for equal settings, and tells nothing of them.
func (s Settings) key(username, password string) string {
	at, proxy := s.URL.String(), ""
	if s.Proxy != nil {
		proxy = s.Proxy.String()
	}
	s.URL, s.Proxy = nil, nil
	b, err := json.Marshal(struct {
		Settings           Settings
		At, Proxy          string
		Username, Password string
	}{s, at, proxy, username, password})
	if err != nil {
		panic(err) // plain fields only
	}
	sum := sha256.Sum256(b)
	return string(sum[:])
}

// Settings are the upstream's own.
func (u *Upstream) Settings() Settings { return u.settings.clone() }

// State tells how the upstream is.
func (u *Upstream) State() State {
	s := State{Name: u.settings.Name, URL: safe(u.settings.URL), Requests: u.requests.Load(), Failures: u.failures.Load(),
		Bytes: u.bytes.Load(), InFlight: int(u.inFlight.Load()), Limit: u.allowance.limit.Load(), Left: u.allowance.left.Load()}
	if words := u.alarm.Load(); words != nil {
		s.Alarm = *words
	}
	now := u.e.now()
	if u.dir == "" {
		s.Open, s.Until, s.Why = u.breaker(u.origin).state(now)
	}
	if s.Why == "" { // else the first of its other origins that is ill
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, origin := range slices.Sorted(maps.Keys(u.breakers)) {
			if _, _, why := u.breakers[origin].state(now); why != "" {
				s.Why = cmp.Or(s.Why, why)
			}
		}
	}
	return s
}

func (u *Upstream) failed() {
	u.failures.Add(1)
	u.e.failures.Add(1)
}

// breaker is the one of an origin. Documents may name origins without end, so those that are well are forgotten.
func (u *Upstream) breaker(origin string) *breaker {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.breakers[origin]
	if b == nil {
		if len(u.breakers) >= mostBreakers {
			now := u.e.now()
			maps.DeleteFunc(u.breakers, func(_ string, b *breaker) bool { return b.idle(now) })
		}
		b = &breaker{}
		u.breakers[origin] = b
	}
	return b
}

// both returns a context that also ends when the engine stops. The caller calls end.
func (u *Upstream) both(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(u.e.ctx, func() { cancel(errStopping) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
