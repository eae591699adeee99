package server

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millpond"
	"millpond/internal/auth"
	"millpond/repo"
)

// metrics are the figures of one server, in a registry of its own. Labels come from the configuration, the method and the
// trace's result, never from a package or a client: their number is bounded.
type metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	requests *prometheus.CounterVec
	cache    *prometheus.CounterVec
	ttfb     *prometheus.HistogramVec
	denied   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	upstream prometheus.Histogram
	reloads  *prometheus.CounterVec
	open     prometheus.Gauge

	served, saved, savedRequests atomic.Int64 // bytes, bytes, requests

	mu      sync.Mutex // guards formats; held for a look-up only
	formats map[string]*counters
	own     *counters // of the pond's own routes
}

// results are those of repo.Trace, and "" for a request that reached no repository's records.
var results = [...]string{"", "hit", "stale", "revalidated", "miss", "coalesced", "absent", "blocked", "unstored", "derived", "other"}

// resultIndex finds a result; what is not known is "other".
func resultIndex(result string) int {
	for i, r := range results {
		if r == result {
			return i
		}
	}
	return len(results) - 1
}

var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}

func methodIndex(method string) int {
	for i, m := range methods {
		if m == method {
			return i
		}
	}
	return len(methods) - 1
}

// counters are those of one format, found by index: a request looks nothing up by its labels.
type counters struct {
	format   string
	seconds  prometheus.Observer
	cache    [len(results)]prometheus.Counter
	ttfb     [len(results)]prometheus.Observer
	requests [len(methods)][600]atomic.Pointer[prometheus.Counter] // by status; made when first seen
}

func newMetrics(s *Server) *metrics {
	buckets := []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 12, 30, 120}
	sum := func(name, help string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "millpond", Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "millpond", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "millpond", Name: name, Help: help,
			Buckets: buckets}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: vec("http_requests_total", "Requests answered.", "format", "verb", "status"),
		cache:    vec("cache_requests_total", "Requests to repositories, by what the cache did.", "format", "result"),
		ttfb:     histogram("ttfb_seconds", "Time to the header of the answer.", "result"),
		seconds:  histogram("http_request_seconds", "Time to the end of the answer.", "format"),
		denied:   vec("denied_total", "Requests refused for want of a right, by its verb, or of a good credential.", "verb"),
		upstream: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "millpond", Name: "upstream_seconds",
			Help: "Time a request waited for upstreams, where it did.", Buckets: buckets}),
		reloads: vec("config_reloads_total", "Reloads of the configuration.", "result"),
		open:    prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "millpond", Name: "connections", Help: "Client connections open now."}),
		formats: map[string]*counters{},
	}
	m.registry.MustRegister(m.requests, m.cache, m.ttfb, m.seconds, m.denied, m.upstream, m.reloads, m.open,
		sum("served_bytes_total", "Bytes of bodies sent to clients.", &m.served),
		sum("saved_bytes_total", "Bytes served without any upstream being asked for them.", &m.saved),
		sum("saved_requests_total", "Requests served without any upstream being asked.", &m.savedRequests),
		&pondCollector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
	m.own = m.of("")
	for _, result := range []string{"ok", "failed"} {
		m.reloads.WithLabelValues(result) // a figure that begins at 0 can be seen to grow
	}
	for _, verb := range []string{"credential", string(millpond.VerbRead), string(millpond.VerbPublish)} {
		m.denied.WithLabelValues(verb)
	}
	return m
}

// of returns the counters of a format; they live as long as the server, whatever is configured meanwhile.
func (m *metrics) of(format string) *counters {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.formats[format]; c != nil {
		return c
	}
	c := &counters{format: format, seconds: m.seconds.WithLabelValues(format)}
	for i, r := range results {
		if format == "" {
			break // the pond's own routes have no cache
		}
		label := r
		if label == "" {
			label = "none"
		}
		c.cache[i] = m.cache.WithLabelValues(format, label)
		c.ttfb[i] = m.ttfb.WithLabelValues(label)
	}
	m.formats[format] = c
	return c
}

// count adds one request.
func (m *metrics) count(x *response, method string, took time.Duration) {
	c := m.own
	if x.mount != nil {
		c = x.mount.counters
	}
	status := x.status
	if status < 0 || status >= 600 {
		status = 0
	}
	verb := methodIndex(method)
	at := &c.requests[verb][status]
	n := at.Load()
	if n == nil {
		one := m.requests.WithLabelValues(c.format, methods[verb], statusLabel(status))
		n = &one
		at.Store(n)
	}
	(*n).Inc()
	c.seconds.Observe(took.Seconds())
	m.served.Add(x.bytes)
	if x.mount == nil {
		return
	}
	t := &x.ex.trace
	i := resultIndex(t.Result)
	c.cache[i].Inc()
	if !x.first.IsZero() {
		c.ttfb[i].Observe(x.first.Sub(x.start).Seconds())
	}
	if t.Upstream > 0 {
		m.upstream.Observe(t.Upstream.Seconds())
	}
	switch t.Result {
	case "hit", "stale", "derived":
		if t.Upstream == 0 && status < 400 {
			m.saved.Add(x.bytes)
			m.savedRequests.Add(1)
		}
	}
}

func statusLabel(status int) string {
	if status == 0 {
		return "cut"
	}
	return string([]byte{byte('0' + status/100), byte('0' + status/10%10), byte('0' + status%10)})
}

func (s *Server) serveMetrics(c *call) error {
	if !c.t.settings.Metrics {
		return &refusal{status: http.StatusNotFound, why: "this pond's metrics are off"}
	}
	s.metrics.handler.ServeHTTP(c.response, c.r)
	return nil
}

// A pondCollector gives the figures that the pond keeps by itself, read when they are asked for.
type pondCollector struct{ s *Server }

// Describe gives nothing: the upstreams and layers, and so the figures, depend on the configuration.
func (*pondCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the pond's figures; if they cannot be read, it leaves them out.
func (p *pondCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // the registry gives no context
	defer cancel()
	up := 1.0
	stats, err := p.s.parts.Pond.Stats(ctx)
	if err != nil {
		up = 0
	}
	emit := func(kind prometheus.ValueType, name, help string, value float64, pairs ...string) {
		var names, values []string
		for i := 0; i+1 < len(pairs); i += 2 {
			names, values = append(names, pairs[i]), append(values, pairs[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("millpond_"+name, help, names, nil), kind, value, values...)
	}
	gauge := func(name, help string, value float64, pairs ...string) {
		emit(prometheus.GaugeValue, name, help, value, pairs...)
	}
	count := func(name, help string, value float64, pairs ...string) {
		emit(prometheus.CounterValue, name, help, value, pairs...)
	}
	gauge("catalog_readable", "1 if the pond's records can be read.", up)
	p.upstreams(gauge, count)
	if r := p.s.bird.Load(); r != nil {
		gauge("canary_ok", "1 if a file was last read back through public_url.", flag(r.err == nil))
		gauge("canary_seconds", "How long that took.", r.took.Seconds())
		gauge("canary_buffered", "1 if what is in front of the pond passes an answer on when it is whole.", flag(r.buffered))
	}
	p.times(stats, gauge)
	if err != nil {
		return
	}
	f := stats.Fetch
	gauge("fills", "Downloads under way.", float64(f.Fills))
	gauge("followers", "Readers of downloads under way.", float64(f.Followers))
	gauge("fill_waiting", "Readers waiting for a download to begin.", float64(f.Waiting))
	count("fetched_bytes_total", "Bytes taken from upstreams.", float64(f.Bytes))
	count("corrupt_total", "Downloads refused because their bytes were not the declared ones.", float64(f.Corrupt))
	count("flagged_total", "Files of upstreams that were fetched and that publishing would refuse.", float64(stats.Flagged))
	gauge("inspection_due", "Fetched files that are still to be looked through for what publishing would refuse.", float64(stats.Due))
	count("upstream_loops_total", "Answers refused because they came from this pond.", float64(f.Loops))
	gauge("disk_free_bytes", "Free space for bytes; negative if not known.", float64(stats.Free))
	gauge("disk_low", "1 if the disk is low, so that what is fetched is not kept.", flag(stats.Low))
	gauge("writes_stopped", "1 if writes have stopped until a restart.", flag(stats.Stopped != ""))
	p.work(out, stats, gauge, count)
	gauge("held_files", "Files held.", float64(stats.Held))
	gauge("answers", "Upstream answers kept.", float64(stats.Answers))
	gauge("derived_bytes", "Bytes of documents computed from records.", float64(stats.DerivedBytes))
	for layer, bytes := range stats.Layers {
		gauge("held_bytes", "Bytes held, by layer.", float64(bytes), "layer", layer)
	}
}

func (p *pondCollector) upstreams(gauge, count func(string, string, float64, ...string)) {
	for _, m := range p.s.table.Load().order {
		for _, u := range m.repository.Upstreams() {
			name := m.name + "/" + u.Name
			gauge("upstream_state", "0 if the upstream is asked, 1 while it is not because it is ill.", flag(u.Open), "upstream", name)
			gauge("upstream_in_flight", "Requests to the upstream under way.", float64(u.InFlight), "upstream", name)
			count("upstream_requests_total", "Requests sent to the upstream.", float64(u.Requests-u.Failures), "upstream", name, "status", "ok")
			count("upstream_requests_total", "Requests sent to the upstream.", float64(u.Failures), "upstream", name, "status", "failed")
			if u.Limit > 0 {
				gauge("upstream_ratelimit", "Requests that the upstream takes in a time of its own, as it last said.", float64(u.Limit), "upstream", name)
				gauge("upstream_ratelimit_remaining", "Those of them that are left.", float64(u.Left), "upstream", name)
			}
			count("upstream_bytes_total", "Bytes taken from the upstream.", float64(u.Bytes), "upstream", name)
		}
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var _ Pond = (*repo.Pond)(nil)
var _ Repository = (*repo.Repository)(nil)
var _ Callers = (*auth.Auth)(nil)
var _ People = (*auth.Auth)(nil)
