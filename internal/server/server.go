// Package server is the pond's face on HTTP: it decides which repository a request is for, says who asks, hands the request
// to the repository's format, and writes down what happened: log line, metrics, Cache-Status.
//
// Paths are matched as the client escaped them and are never cleaned: flat apt repositories ask for "/./", npm and OCI send
// "%2f", and whoever cleans them before the format's Parse has two ideas of one name.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/fetch"
	"millpond/format"
	"millpond/repo"
)

// A Pond is what the server asks of all repositories together. *repo.Pond is one.
type Pond interface {
	Instance() string
	Stats(ctx context.Context) (repo.Stats, error)
	Check(ctx context.Context, o repo.CheckOptions) (*repo.Report, error)
}

// A Repository is what the server asks of one repository. *repo.Repository is one.
type Repository interface {
	Config() repo.Config
	For(c repo.Caller) format.Repo
	Upstreams() []fetch.State
	Why(ctx context.Context, pkg, version string) (*repo.Explanation, error)
}

// Parts are what a Server is made of.
type Parts struct {
	Pond    Pond
	Version string
	Log     *slog.Logger // what goes wrong; nil discards
	Access  slog.Handler // one record a request; nil keeps none
	CA      []byte       // PEM of the pond's own authority, given out at /-/ca.pem; nil if it has none
}

// Settings may change while the server runs.
type Settings struct {
	// PublicURL is where clients reach the pond; nil believes what they say.
	PublicURL *url.URL
	// Loopback says that the server listens on loopback only: a request must then name a loopback host, or PublicURL's. A
	// web page can rebind its own name to loopback, and would otherwise read the pond as the person who looks at it.
	Loopback bool
	// Trusted are the addresses of front servers whose X-Forwarded-* is believed.
	Trusted []netip.Prefix
	// Metrics serves figures at /-/metrics.
	Metrics bool
	// Offline says that no upstream is asked, for the landing page.
	Offline bool
	// MaxBody is the largest request body; 0 is 64 MiB.
	MaxBody int64
}

// A Server serves a pond. Make it with New, give it repositories with Configure, and tell it with SetReady when it may say
// that it is ready. It is safe for use by many goroutines.
type Server struct {
	parts    Parts
	metrics  *metrics
	table    atomic.Pointer[table]
	state    atomic.Pointer[string] // why the server is not ready; nil if it is
	canary   atomic.Pointer[statsAnswer]
	instance []string
	nodeID   string // what request ids begin with
	requests atomic.Uint64
	pool     sync.Pool     // of *response
	patience time.Duration // how long a client may take nothing of what is sent to it
	headers  time.Duration // how long it may take to send a request's header
}

// defaultPatience is how long a client may take nothing of what is sent to it.
const defaultPatience = time.Minute

// New makes a server that is not ready and has no repositories.
func New(p Parts) *Server {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		parts:    p,
		instance: []string{p.Pond.Instance()},
		nodeID:   strconv.FormatUint(uint64(time.Now().UnixNano())>>10&0xffffffff, 36) + "-",
		patience: defaultPatience,
		headers:  10 * time.Second,
	}
	s.pool.New = func() any { return new(response) }
	s.metrics = newMetrics(s)
	s.SetReady("starting")
	s.table.Store(&table{})
	return s
}

// SetReady tells /-/readyz why the server is not ready, or with "" that it is.
func (s *Server) SetReady(whyNot string) {
	if whyNot == "" {
		s.state.Store(nil)
		return
	}
	s.state.Store(&whyNot)
}

// Reloaded counts a reload of the configuration, and whether it was taken.
func (s *Server) Reloaded(err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	s.metrics.reloads.WithLabelValues(result).Inc()
}

// An exchange is what outlives the handler of a request: a download that the request began may still write to its trace.
type exchange struct {
	trace repo.Trace
	url   url.URL
	id    [1]string
}

var (
	nosniff   = []string{"nosniff"}         // never changed
	cspBytes  = []string{contentPolicy}     // never changed
	noStore   = []string{"no-store"}        // never changed
	challenge = `Basic realm="millpond"`    // what a caller without a credential is told
	plainText = "text/plain; charset=utf-8" // of the server's own words
)

// contentPolicy makes whatever a package holds inert in a browser: no script, nothing loaded, an origin of its own.
const contentPolicy = "sandbox; default-src 'none'"

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := s.table.Load()
	x := s.pool.Get().(*response)
	ex := &exchange{}
	ex.id[0] = s.nodeID + strconv.FormatUint(s.requests.Add(1), 36)
	x.begin(s, w, r, ex)
	defer s.finish(x, r)
	h := w.Header()
	h["X-Request-Id"] = ex.id[:]
	h["X-Content-Type-Options"] = nosniff
	h["Millpond-Instance"] = s.instance
	if err := s.serve(x, r, t); err != nil {
		s.fail(x, r, err)
	}
}

// serve finds who is to answer. What it returns was not answered yet.
func (s *Server) serve(x *response, r *http.Request, t *table) error {
	peer, err := t.settings.peer(r)
	if err != nil {
		return err
	}
	x.peer = peer
	if err := t.settings.checkHost(peer.host); err != nil {
		return err
	}
	if err := s.checkLoop(r); err != nil {
		return err
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = newBody(x, r, t.settings.MaxBody)
	}
	to, err := t.resolve(r.URL)
	if err != nil {
		return err
	}
	if to.route != nil {
		return s.serveRoute(x, r, t, to.route)
	}
	return s.serveMount(x, r, to)
}

func (s *Server) serveRoute(x *response, r *http.Request, t *table, route *route) error {
	x.route = route.prefix
	if !route.takes(r.Method) {
		x.Header().Set("Allow", route.allow())
		return &refusal{status: http.StatusMethodNotAllowed, why: r.Method + " is not for " + route.prefix}
	}
	if route.verb != verbOpen && !t.mayAsk(route.verb, x.peer) {
		return &millpond.Error{Kind: millpond.Denied, Why: route.prefix + " answers to clients on the pond's own machine only",
			Hint: "run millpond there"}
	}
	return route.serve(s, x, r, t)
}

func (s *Server) serveMount(x *response, r *http.Request, to target) error {
	m, ex := to.mount, x.ex
	x.mount = m
	ex.trace.Repository = m.name
	if to.redirect != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		if r.URL.RawQuery != "" {
			to.redirect += "?" + r.URL.RawQuery
		}
		x.Header().Set("Location", to.redirect)
		x.WriteHeader(http.StatusMovedPermanently)
		return nil
	}
	x.Header()["Content-Security-Policy"] = cspBytes
	ctx := repo.WithTrace(r.Context(), &ex.trace)
	if passed := r.Header["Cdn-Loop"]; len(passed) > 0 {
		ctx = fetch.WithVia(ctx, passed) // upstreams are told of every pond on the way, so that a ring of them ends
	}
	inner := r.WithContext(ctx)
	ex.url = *r.URL
	ex.url.Path, ex.url.RawPath = to.path, to.rawPath
	// The address as this client knows it, for whoever writes absolute URLs; what an absolute-form request line said of it
	// is not believed.
	ex.url.Scheme, ex.url.Host = x.peer.scheme, x.peer.host
	inner.Host = x.peer.host
	inner.URL = &ex.url
	m.handler.ServeHTTP(x, inner)
	return nil
}

// mayAsk reports whether a caller may use one of the pond's own routes.
func (t *table) mayAsk(v verb, p peer) bool {
	switch v {
	case verbRead:
		return !t.private || p.local()
	default:
		return p.local()
	}
}
