package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millpond/repo"
)

// A figure is how a collector gives a figure: its name, what it is, its value, and pairs of labels.
type figure = func(name, help string, value float64, pairs ...string)

// work gives the figures of writing, and of what the pond does by itself.
func (p *pondCollector) work(out chan<- prometheus.Metric, stats repo.Stats, gauge, count figure) {
	w := stats.Writing
	buckets := make(map[float64]uint64, len(w.Commits))
	for _, c := range w.Commits {
		buckets[c.Most.Seconds()] = c.Count
	}
	out <- prometheus.MustNewConstHistogram(prometheus.NewDesc("millpond_commit_seconds", "Time to make writes of the catalog durable, many at once.", nil, nil), w.Count, w.Took.Seconds(), buckets)
	gauge("write_queue", "Writes of the catalog that wait.", float64(w.Waiting))
	gauge("wal_bytes", "Bytes that were written and are not yet in their place in the catalog.", float64(w.Log))
	gauge("event_seq", "The number of the last change.", float64(stats.Seq))
	count("evicted_total", "Files that were given up to make room, since the start.", float64(stats.Evicted))
	count("evicted_bytes_total", "Bytes of them.", float64(stats.Freed))
	if stats.Orphans >= 0 {
		gauge("orphan_bytes", "Bytes that nothing names and that are too young to be swept, as the last sweep found them.", float64(stats.Orphans))
	}
	count("upstream_url_leaks_total", "Documents for clients that named an upstream's address, since the start.", float64(stats.Leaks))
	for format, n := range stats.Holds {
		gauge("holds", "Versions that rules hold back for a time, in the listings that were read lately.", float64(n), "format", format)
	}
}

// times gives when work last went well, and how long what ends by itself is still good.
func (p *pondCollector) times(stats repo.Stats, gauge figure) {
	s := p.s
	done := map[string]time.Time{}
	for job, at := range stats.Done {
		done[job] = at
	}
	if s.parts.Jobs != nil {
		for job, at := range s.parts.Jobs() {
			done[job] = at
		}
	}
	if r := s.bird.Load(); r != nil && !r.success.IsZero() {
		done["canary"] = r.success
	}
	for job, at := range done {
		gauge("last_success_timestamp", "When work of the pond's own last went well, in unix seconds.", float64(at.UnixMilli())/1000, "job", job)
	}
	now := time.Now()
	for what, end := range s.ends() {
		gauge("expiry_seconds", "How long what ends by itself is still good; negative once it is not.", end.Sub(now).Seconds(), "what", what)
	}
}

// ends are when the certificates end that clients see: the pond's own, and its authority's if it has one.
func (s *Server) ends() map[string]time.Time {
	all := map[string]time.Time{}
	if block, _ := pem.Decode(s.parts.CA); block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			all["authority"] = cert.NotAfter
		}
	}
	if shown := s.shown(); shown != nil && len(shown.Certificate) > 0 {
		if cert, err := x509.ParseCertificate(shown.Certificate[0]); err == nil {
			all["certificate"] = cert.NotAfter
		}
	}
	return all
}

// shown is the certificate that the pond shows to a client that names no host; nil if it speaks plain HTTP.
func (s *Server) shown() *tls.Certificate {
	s.entrances.mu.Lock()
	how := s.entrances.how.TLS
	s.entrances.mu.Unlock()
	if how == nil || how.GetCertificate == nil {
		return nil
	}
	cert, err := how.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return nil
	}
	return cert
}
