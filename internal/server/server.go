// Package server is the pond's face on HTTP: it decides which repository a request is for, says who asks, hands the request
// to the repository's format, and writes down what happened: log line, metrics, Cache-Status.
//
// Paths are matched as the client escaped them and are never cleaned: flat apt repositories ask for "/./", npm and OCI send
// "%2f", and whoever cleans them before the format's Parse has two ideas of one name.
package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
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
	Stuck(now time.Time, within time.Duration) error
	Canary(ctx context.Context, text []byte) (*repo.Canary, error)
	Check(ctx context.Context, o repo.CheckOptions) (*repo.Report, error)
	Hosting
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
	Callers Callers // who asks; nil knows nobody, and everybody is anonymous
	People  People  // nil keeps none
	Records Records // of what has changed; nil has none
	Heads   Heads   // of the record, signed; nil has none
	Version string
	Log     *slog.Logger // what goes wrong; nil discards
	Access  slog.Handler // one record a request; nil keeps none
	// Jobs are when work that the pond does not do by itself last went well; nil has none.
	Jobs func() map[string]time.Time
	CA   []byte // PEM of the pond's own authority, given out at /-/ca.pem; nil if it has none
	// Dial connects a tunnel to a host, as host:port; nil is fetch.Tunnel.
	Dial func(ctx context.Context, address string) (net.Conn, error)
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
	// SharedMaxAge is how long caches that several clients share may keep what never changes; 0 is as long as anybody.
	SharedMaxAge time.Duration
	// Misses is how many requests of a client may be answered from upstreams in ten minutes; 0 is no limit. The pond's own machine
	// has none.
	Misses int
	// MaxBody is the largest request body; 0 is 64 MiB.
	MaxBody int64
	// Port is that of the listener that all repositories share, and TLS whether it is spoken there: where the pond's pages
	// are for a client that came to a listener of a repository's own, if there is no PublicURL.
	Port string
	TLS  bool
}

// A Server serves a pond. Make it with New, give it repositories with Configure, and tell it with SetReady when it may say
// that it is ready. It is safe for use by many goroutines.
type Server struct {
	parts    Parts
	metrics  *metrics
	table    atomic.Pointer[table]
	state    atomic.Pointer[string] // why the server is not ready; nil if it is
	figures  atomic.Pointer[statsAnswer]
	flown    atomic.Pointer[canary]                // the one that is under way; nil for none
	bird     atomic.Pointer[canaryResult]          // of the last one; nil while there is no public URL
	wayOut   func(*http.Request) (*url.URL, error) // the proxy by which the canary leaves
	masked   atomic.Bool                           // a front server passes clients on as if they were programs of this machine
	instance []string
	nodeID   string // what request ids begin with
	requests atomic.Uint64
	pool     sync.Pool     // of *response
	patience time.Duration // how long a client may take nothing of what is sent to it
	headers  time.Duration // how long it may take to send a request's header
	beat     time.Duration // how often a loop that accepts shows that it moves
	still    time.Duration // how long it may stand still

	staying   context.Context // ends when the server ends: what lasts for as long as its client wants ends with it
	depart    context.CancelFunc
	leaving   atomic.Bool // each answer is the last of its connection
	entrances entrances
	quota     quota
	tunnels   tunnels
	notes     sync.Map // of note, by repository
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
		wayOut:   http.ProxyFromEnvironment,
		instance: []string{p.Pond.Instance()},
		nodeID:   strconv.FormatUint(uint64(time.Now().UnixNano())>>10&0xffffffff, 36) + "-",
		patience: defaultPatience,
		headers:  10 * time.Second,
		beat:     time.Second,
		still:    stillAfter,
	}
	s.staying, s.depart = context.WithCancel(context.Background()) // endAll ends it
	s.entrances.begun = make(chan struct{})
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
	trace  repo.Trace
	budget budget
	url    url.URL
	id     [1]string
}

var (
	nosniff = []string{"nosniff"} // never changed

	lastAnswer = []string{"close"}           // never changed
	cspBytes   = []string{contentPolicy}     // never changed
	noStore    = []string{"no-store"}        // never changed
	challenge  = `Basic realm="millpond"`    // what a caller without a credential is told
	plainText  = "text/plain; charset=utf-8" // of the server's own words
)

// contentPolicy makes whatever a package holds inert in a browser: no script, nothing loaded, an origin of its own.
const contentPolicy = "sandbox; default-src 'none'"

// ServeHTTP answers one request that came to the listener that all repositories share.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.answer(w, r, nil) }

// answer answers one request that came to a door; nil is the listener that all repositories share.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, d *door) {
	t := s.table.Load()
	if r.ProtoMajor == 2 {
		if one := newStream(w, s.patience); one != nil {
			defer one.end() // after finish
			w = one
		}
	}
	x := s.pool.Get().(*response)
	ex := &exchange{}
	ex.id[0] = s.nodeID + strconv.FormatUint(s.requests.Add(1), 36)
	x.begin(s, w, r, ex)
	x.peer.door = d
	defer s.finish(x, r)
	h := w.Header()
	h["X-Request-Id"] = ex.id[:]
	h["X-Content-Type-Options"] = nosniff
	if s.leaving.Load() {
		h["Connection"] = lastAnswer
	}
	if len(r.Header["Cdn-Loop"]) > 0 { // it comes from a pond, which would know itself
		h["Millpond-Instance"] = s.instance
	}
	if err := s.serve(x, r, t); err != nil {
		s.fail(x, r, err)
	}
}

// serve finds who is to answer. What it returns was not answered yet.
func (s *Server) serve(x *response, r *http.Request, t *table) error {
	if err := t.settings.peer(&x.peer, r); err != nil {
		return err
	}
	if r.Method == http.MethodConnect {
		return s.connect(x, r, t)
	}
	if err := t.place(x, r); err != nil {
		return err
	}
	if err := s.checkLoop(r); err != nil {
		return err
	}
	own := x.at == nil && t.isOwn(r.URL)
	x.json = own && strings.HasPrefix(t.inner(r.URL), "/-/api")
	if t.origins.Check(r) != nil {
		return &millpond.Error{Kind: millpond.Denied, Why: "a page of another origin may not ask for this"}
	}
	if err := s.identify(x, r, t, own); err != nil {
		return err
	}
	to, err := t.target(x, r)
	if to.mount != nil {
		x.repository = to.mount.name
	}
	if err != nil {
		x.missing = millpond.VerbRead
		return err
	}
	if len(to.routes) > 0 {
		return s.serveRoute(x, r, t, to)
	}
	if to.lobby != nil {
		return s.serveLobby(x, r, t, to)
	}
	return s.serveMount(x, r, t, to)
}

// limitBody bounds what the client sends.
func (s *Server) limitBody(x *response, r *http.Request, most int64) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = newBody(x, r, most)
	}
}

// mostOf is how much a caller may send to a repository: who may publish there, as much as a file may have, as text.
func (t *table) mostOf(c *repo.Caller, m *mount) int64 {
	if c.Rights == nil || m.config.ReadOnly || !c.Rights.May(millpond.VerbPublish, m.name, "") {
		return t.settings.MaxBody
	}
	file := m.config.MaxFile
	if file == 0 {
		file = defaultMaxFile
	}
	return t.settings.MaxBody + file + file/2 // base64, and what stands around it
}

// defaultMaxFile is repo.Config.MaxFile where that is 0.
const defaultMaxFile = 16 << 30

func (s *Server) serveRoute(x *response, r *http.Request, t *table, to target) error {
	route, allow := choose(to.routes, r.Method)
	if route == nil {
		x.route = to.routes[0].path
		x.Header().Set("Allow", allow)
		return &refusal{status: http.StatusMethodNotAllowed, why: r.Method + " is not for " + to.routes[0].path}
	}
	x.route = route.path
	c := &call{response: x, r: r, t: t, args: to.args, route: route}
	if m := t.mounts[c.arg("repository")]; m != nil {
		x.repository = m.name
	}
	if err := t.may(c); err != nil {
		x.missing = route.verb
		return err
	}
	if route.sensitive(r.Method) {
		if err := s.provedLately(c); err != nil {
			return err
		}
	}
	most := t.settings.MaxBody
	if m := t.mounts[c.arg("repository")]; m != nil && route.large {
		most = t.mostOf(&x.caller, m)
	}
	s.limitBody(x, r, most)
	return route.serve(s, c)
}

func (s *Server) serveMount(x *response, r *http.Request, t *table, to target) error {
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
	ctx := repo.WithTrace(r.Context(), &ex.trace)
	if passed := r.Header["Cdn-Loop"]; len(passed) > 0 {
		ctx = fetch.WithVia(ctx, passed) // upstreams are told of every pond on the way, so that a ring of them ends
	}
	if x.at != nil {
		ctx = format.AtRoot(ctx, x.at.address(x.peer))
	}
	inner := r.WithContext(ctx)
	ex.trace.Scheme, ex.trace.Anew = x.peer.scheme, repo.Anew(r.Header)
	if t.settings.Misses > 0 && !x.peer.local() {
		ex.budget = budget{&s.quota, x.caller.Name, x.peer.addr, t.settings.Misses, x.start}
		ex.trace.Budget = &ex.budget
	}
	ex.url = *r.URL
	ex.url.Path, ex.url.RawPath = to.path, to.rawPath
	inner.Host = x.peer.host
	if !x.peer.proxied { // what an absolute-form request line says of the address is not believed
		ex.url.Scheme, ex.url.Host, ex.url.User = "", "", nil
	}
	inner.URL = &ex.url
	s.limitBody(x, inner, t.mostOf(&x.caller, m))
	s.handlerFor(x, inner, t, m, to.welcome).ServeHTTP(x, inner)
	return nil
}
