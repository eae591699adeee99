package repo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// Relay implements format.Tools.
func (b *bound) Relay(ctx context.Context, q format.Question) (*http.Response, error) {
	if err := b.readable(""); err != nil {
		return nil, err
	}
	if b.scope(fresh) == held {
		return nil, &millpond.Error{Kind: millpond.Offline, Why: fmt.Sprintf("%s cannot pass this question on: the pond is offline", b.config.Name)}
	}
	TraceOf(ctx).Result = "unstored"
	var last error = &millpond.Error{Kind: millpond.NotFound, Why: b.config.Name + " has no upstream to ask"}
	for _, l := range b.layers {
		resp, err := l.relay(ctx, q)
		if err == nil && resp.StatusCode != http.StatusNotFound {
			return resp, nil
		}
		if err == nil {
			resp.Body.Close()
			err = &millpond.Error{Kind: millpond.NotFound, Why: l.layerName() + " does not answer such questions"}
		}
		if last = err; !millpond.Is(err, millpond.NotFound) {
			break
		}
	}
	return nil, last
}

func (l *upstream) relay(ctx context.Context, q format.Question) (*http.Response, error) {
	ref, err := url.Parse(q.URL)
	if err != nil || ref.IsAbs() || ref.Host != "" {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a relayed question stays below its upstream's address", Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, q.Method, l.settings.URL.ResolveReference(ref).String(), bytes.NewReader(q.Body))
	if err != nil {
		return nil, err
	}
	if q.Type != "" {
		req.Header.Set("Content-Type", q.Type)
	}
	if q.Accept != "" {
		req.Header.Set("Accept", q.Accept)
	}
	limit := q.Limit
	if limit == 0 {
		limit = 16 << 20
	}
	t := TraceOf(ctx)
	t.Layer = l.name
	began := time.Now()
	defer func() { t.Upstream += time.Since(began) }()
	return l.up.Relay(ctx, req, limit)
}

// SignLink implements format.Linker.
func (b *bound) SignLink(ctx context.Context, l format.Link) (url.Values, error) {
	verb := millpond.VerbRead
	if l.Method == http.MethodPut {
		verb = millpond.VerbPublish
	}
	if err := b.May(ctx, verb, l.Package); err != nil {
		return nil, err
	}
	signer, ok := b.Accounts.(format.Linker)
	if !ok {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond signs no links"}
	}
	q, err := signer.SignLink(ctx, l)
	if err != nil {
		return nil, err
	}
	return q, b.pond.catalog.Update(ctx, b.caller.Actor, func(tx catalog.Tx) error {
		return tx.Emit(millpond.Event{Verb: "link", Repository: b.config.Name, Key: millpond.Key{Package: l.Package},
			Detail: detail("method", l.Method, "path", l.Path, "below", l.Prefix, "until", q.Get("mp-exp"))})
	})
}

// steward is who keeps the grants, for a package that is hosted.
func (b *bound) steward(ctx context.Context, v millpond.Verb, pkg string) (format.Steward, error) {
	if err := b.May(ctx, v, pkg); err != nil {
		return nil, err
	}
	if _, err := b.Hosted(ctx, pkg); err != nil {
		return nil, err
	}
	s, ok := b.Accounts.(format.Steward)
	if !ok {
		return nil, errNoAccounts
	}
	return s, nil
}

// Owners implements format.Steward.
func (b *bound) Owners(ctx context.Context, pkg string) ([]string, error) {
	s, err := b.steward(ctx, millpond.VerbPublish, pkg)
	if err != nil {
		return nil, err
	}
	return s.Owners(ctx, pkg)
}

// AddOwner implements format.Steward.
func (b *bound) AddOwner(ctx context.Context, pkg, name string) (bool, error) {
	s, err := b.steward(ctx, millpond.VerbGrant, pkg)
	if err != nil {
		return false, err
	}
	return s.AddOwner(ctx, pkg, name)
}

// RemoveOwner implements format.Steward.
func (b *bound) RemoveOwner(ctx context.Context, pkg, name string) error {
	s, err := b.steward(ctx, millpond.VerbGrant, pkg)
	if err != nil {
		return err
	}
	return s.RemoveOwner(ctx, pkg, name)
}

// Claimed implements format.Tools.
func (b *bound) Claimed(name string) bool {
	if b.claimed(name) {
		return true
	}
	hides, _, err := b.hosts(b.pond.life, name)
	if err == nil && !hides {
		hides, err = b.hostsBelow(b.pond.life, name)
	}
	return err != nil || hides // in doubt it is ours
}

// Aside implements format.Asider.
func (b *bound) Aside(ctx context.Context) context.Context {
	t := *TraceOf(ctx)
	return WithTrace(ctx, &t)
}

// Ruled implements format.Tools.
func (b *bound) Ruled() bool { return b.policy != nil }

// Ahead implements format.Tools.
func (b *bound) Ahead(_ context.Context, keys ...millpond.Key) {
	if b.scope(fresh) == held {
		return
	}
	for _, k := range keys {
		b.pond.ahead(func(ctx context.Context) {
			b.fetchAhead(ctx, k, 0)
		})
	}
}

// mostLed is how far a file may lead: to others, and from those to others again.
const mostLed = 4

// fetchAhead fetches a file that nobody waits for, and those that it leads to. Who comes for one that failed hears why.
func (b *bound) fetchAhead(ctx context.Context, k millpond.Key, depth int) {
	c, err := b.read(ctx, k, opening{asking: true, ahead: true})
	if err != nil || c.ReadSeekCloser == nil {
		return
	}
	var led []millpond.Key
	if leader, ok := b.config.Format.(format.Leader); ok && depth < mostLed {
		led = leader.Leads(k, c, b.option)
	}
	drain(c)
	for _, k := range led {
		b.fetchAhead(ctx, k, depth+1)
	}
}

// drain reads to the end, which waits for the seal: so no more than a few fills that nobody waits for run at once.
func drain(c *millpond.Content) {
	io.Copy(io.Discard, c) // whether it failed is told to File.Failed
	c.Close()
}

// Option implements format.Tools.
func (b *bound) Option(name string) string { return b.option(name) }

// Name implements format.Tools.
func (b *bound) Name() string { return b.config.Name }

// Now implements format.Tools.
func (b *bound) Now() time.Time { return b.pond.now() }

// Public implements format.Tools.
func (b *bound) Public() bool { return b.config.Public }

// Base implements format.Tools.
func (b *bound) Base(r *http.Request) *url.URL {
	if u := format.RootOf(r.Context()); u != nil {
		return u
	}
	u := b.Root(r)
	u.Path += b.config.Name + "/"
	return u
}

// Root implements format.Tools. The configured address wins; without one the request's own is believed, which the server
// has checked: its scheme is the trace's where a front server speaks TLS for the pond.
func (b *bound) Root(r *http.Request) *url.URL {
	if u := format.RootOf(r.Context()); u != nil {
		return u
	}
	if public := b.pond.settings().PublicURL; public != "" {
		if u, err := url.Parse(public); err == nil {
			if !strings.HasSuffix(u.Path, "/") {
				u.Path += "/"
			}
			return u
		}
	}
	u := &url.URL{Scheme: TraceOf(r.Context()).Scheme, Host: r.Host, Path: "/"}
	if u.Scheme == "" {
		u.Scheme = "http"
		if r.TLS != nil {
			u.Scheme = "https"
		}
	}
	return u
}

// unjudged reports whether the format asks for a file to be served whatever the rules say of its version.
func (r *Repository) unjudged(k millpond.Key) bool {
	u, ok := r.config.Format.(format.Exempter)
	return ok && u.Exempt(k, r.option)
}

// apart reports whether what is kept under a name belongs to no package at all, as the files of a checksum database do.
// Patterns of packages' names, in rules, grants and settings of upstreams, say nothing of it.
func (r *Repository) apart(name string) bool { return r.unjudged(millpond.Key{Package: name}) }

// parallel runs f for each item, at most n at once, and returns the first error.
func parallel[T any](ctx context.Context, n int, items []T, f func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, n)
	for _, item := range items {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return context.Cause(ctx)
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := f(ctx, item); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
