package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"millpond"
	"millpond/repo"
)

const (
	canaryEvery = time.Minute
	canaryLimit = 15 * time.Second // pip's own, for a server that says nothing
	canaryHalf  = time.Second      // how long the second half waits for the first to arrive
)

// A canary is a file that is read back through the public URL: by it the pond finds out whether clients reach it there.
type canary struct {
	name string // which nobody else knows
	text []byte
	file *repo.Canary
	half chan struct{} // closed when the first half has arrived
	late atomic.Bool   // it did not, while it was waited for
}

// A canaryResult is how it went.
type canaryResult struct {
	at       time.Time // when it was asked for
	took     time.Duration
	success  time.Time // when it last went well; zero if it never did
	err      error     // in words for people; nil if it went well
	buffered bool      // what is in front of the pond passes an answer on when it is whole
}

// WatchCanary writes a small file each minute, reads it back through the public URL, and drops it, until ctx ends; nothing while
// there is no public URL. That is no change, needs no right and is counted as nobody's request. An offline pond does it too: the
// address is its own. It begins when the server serves. What becomes of it stands at /-/readyz?verbose, in a metric, and in the log when it changes.
func (s *Server) WatchCanary(ctx context.Context) {
	select { // until it is known which certificate is shown
	case <-s.entrances.begun:
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(canaryEvery)
	defer tick.Stop()
	for {
		s.sendCanary(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sendCanary does it once.
func (s *Server) sendCanary(ctx context.Context) {
	public := s.table.Load().settings.PublicURL
	if public == nil {
		s.bird.Store(nil)
		return
	}
	last := s.bird.Load()
	if last == nil {
		last = &canaryResult{}
	}
	r := &canaryResult{at: time.Now(), success: last.success}
	r.buffered, r.err = s.canaryThrough(ctx, public)
	r.took = time.Since(r.at)
	if ctx.Err() != nil {
		return // it was cut by the stop
	}
	if r.err == nil {
		r.success = r.at
	}
	s.bird.Store(r)
	switch {
	case r.err != nil && last.err == nil:
		s.parts.Log.Warn("clients may not reach the pond at its public_url", "public_url", public.String(), "error", r.err)
	case r.err == nil && last.err != nil:
		s.parts.Log.Info("the pond is reached at its public_url again", "public_url", public.String())
	case r.buffered != last.buffered && r.err == nil:
		s.parts.Log.Info("what is in front of the pond passes answers on", "buffered", r.buffered)
	}
}

// canaryThrough writes the file, reads it through an address, and drops it.
func (s *Server) canaryThrough(ctx context.Context, public *url.URL) (buffered bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, canaryLimit)
	defer cancel()
	c := &canary{name: rand.Text(), text: []byte(rand.Text() + rand.Text()), half: make(chan struct{})}
	if c.file, err = s.parts.Pond.Canary(ctx, c.text); err != nil {
		return false, fmt.Errorf("a file cannot be written: %w", err)
	}
	s.flown.Store(c)
	defer func() {
		s.flown.Store(nil)
		err = errors.Join(err, c.file.Drop(context.WithoutCancel(ctx)))
	}()
	client := &http.Client{
		Transport:     &http.Transport{Proxy: s.wayOut, TLSClientConfig: &tls.Config{RootCAs: s.trusted()}, DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, public.JoinPath("-", "canary", c.name).String(), nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("User-Agent", "millpond canary")
	r.Header.Set("Cdn-Loop", "canary") // has a pond say in any answer which one it is
	resp, err := client.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return false, fmt.Errorf("public_url does not answer: %w", err)
	}
	defer resp.Body.Close()
	return s.judgeCanary(c, public, resp)
}

// judgeCanary says in words what is wrong with an answer.
func (s *Server) judgeCanary(c *canary, public *url.URL, resp *http.Response) (buffered bool, err error) {
	if is := resp.Header.Get("Millpond-Instance"); is != "" && is != s.instance[0] {
		return false, fmt.Errorf("public_url leads to another pond, %s", quote(is))
	}
	got := make([]byte, len(c.text)/2)
	n, err := io.ReadFull(resp.Body, got)
	if err == nil && resp.StatusCode == http.StatusOK && bytes.Equal(got, c.text[:n]) {
		close(c.half)
		rest, err := io.ReadAll(io.LimitReader(resp.Body, int64(len(c.text))+1))
		switch {
		case err != nil:
			return false, fmt.Errorf("public_url cuts answers short: %w", err)
		case !bytes.Equal(rest, c.text[n:]):
			return false, errors.New("public_url answers with other bytes than were sent")
		case s.masked.Load():
			return false, errors.New("public_url leads here by way of a front server that does not say for whom it asks: it must pass on Host, and send X-Forwarded-For and X-Forwarded-Proto")
		}
		return c.late.Load(), nil
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return false, fmt.Errorf("public_url answers something else: %s, to %s", resp.Status, quote(resp.Header.Get("Location")))
	case resp.StatusCode == http.StatusNotFound && resp.Header.Get("Millpond-Instance") != "":
		return false, fmt.Errorf("public_url leads here, but not to its path %s: the front server must pass it on, or cut it off, as a whole", public.Path)
	case resp.StatusCode != http.StatusOK:
		return false, fmt.Errorf("public_url answers something else: %s, %s", resp.Status, quote(kind))
	case resp.Header.Get("Millpond-Instance") == "":
		return false, fmt.Errorf("public_url answers something else: %s %s", quote(kind), quote(string(got[:n])))
	}
	return false, fmt.Errorf("public_url answers with other bytes than were sent: %s", quote(string(got[:n])))
}

// trusted are the authorities by which the public URL may prove itself: the machine's, and those of the certificate that the
// pond shows.
func (s *Server) trusted() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(s.parts.CA)
	if cert := s.shown(); cert != nil {
		for _, der := range cert.Certificate {
			if one, err := x509.ParseCertificate(der); err == nil {
				pool.AddCert(one)
			}
		}
	}
	return pool
}

// canaryRoutes is where the file is read.
func canaryRoutes() []route {
	return []route{{path: "/-/canary/{name}", methods: "GET", verb: verbOpen, plain: true, about: "A file by which the pond finds out whether it is reached at its public_url: for itself alone.", serve: (*Server).serveCanary}}
}

// serveCanary gives out the file to who knows its name. The second half waits for the first to arrive, so that what is in front
// of the pond shows whether it keeps answers back.
func (s *Server) serveCanary(c *call) error {
	h := c.response.Header()
	h["Millpond-Instance"] = s.instance
	is := s.flown.Load()
	if is == nil || is.name != c.arg("name") {
		return &refusal{status: http.StatusNotFound, kind: millpond.NotFound, why: "there is no such file"}
	}
	c.response.quiet = true
	if public := c.t.settings.PublicURL; public != nil {
		s.masked.Store(c.peer.here127() && !isLoopback(hostname(public.Host)))
	}
	file, err := is.file.Open(c.r.Context())
	if err != nil {
		return err
	}
	defer file.Close()
	text := make([]byte, len(is.text))
	if _, err := io.ReadFull(file, text); err != nil {
		return fmt.Errorf("read the canary: %w", err)
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	n := len(text) / 2
	if _, err := c.response.Write(text[:n]); err != nil {
		return nil // the client has left
	}
	c.response.Flush()
	wait := time.NewTimer(canaryHalf)
	defer wait.Stop()
	select {
	case <-is.half:
	case <-wait.C:
		is.late.Store(true)
	case <-c.r.Context().Done():
		return nil
	}
	c.response.Write(text[n:])
	return nil
}
