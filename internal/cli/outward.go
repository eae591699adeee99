package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"millpond/fetch"
	"millpond/internal/audit"
	"millpond/internal/config"
	"millpond/internal/takedown"
)

const (
	feedLimit = 10 * time.Minute // how long a feed may take
	hookLimit = 15 * time.Second
)

// checkOutward is an error for each that the plan names and that cannot be talked to at all.
func (p *plan) checkOutward(c *config.Config) error {
	var errs []error
	for i, r := range p.heads {
		if _, err := sinkAt(r); err != nil {
			errs = append(errs, c.Problem(fmt.Sprintf("heads[%d].url", i), err))
		}
	}
	return errors.Join(errs...)
}

// sinks are where the signed heads of the log go.
func (p *plan) sinks() (all []audit.Sink, err error) {
	for _, r := range p.heads {
		s, err := sinkAt(r)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func sinkAt(r config.Receiver) (audit.Sink, error) {
	return audit.SinkAt(r.URL, func(at *url.URL) (func(context.Context, []byte) error, error) {
		return fetch.PostTo(at, r.Token, hookLimit)
	})
}

// An outward is what a pond does towards others than clients and upstreams: it looks at feeds of advisories, tells those who
// purge caches of takedowns, and sends the signed heads of the log elsewhere. One at a time runs.
type outward struct {
	end  context.CancelFunc
	work sync.WaitGroup
}

// begin starts what a plan says, after what an earlier plan has started was ended.
func (o *outward) begin(ctx context.Context, r *running, p *plan) {
	o.stop()
	ctx, o.end = context.WithCancel(ctx)
	sinks, err := p.sinks()
	if err != nil { // the plan was checked
		r.log.Error("signed heads go nowhere", "error", err)
	}
	r.house.notary.SendTo(sinks...)
	scratch := filepath.Join(p.data, "scratch", "advisories")
	if len(p.advisories) > 0 { // with what a killed pond has left there
		if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
			r.log.Error("feeds of advisories have no room", "error", err)
		}
	}
	for _, f := range p.advisories {
		feed := &takedown.Feed{Name: nameOf(f), At: f.At, IDs: f.IDs, Every: f.Every, Token: f.Token, Pond: r.house.pond, Scratch: scratch, Log: r.log}
		if strings.Contains(f.At, "://") {
			if p.pond.Offline {
				continue // nobody outside is asked anything
			}
			if feed.Client, err = clientOf(f.At, feedLimit); err != nil {
				r.log.Error("a feed of advisories cannot be asked", "feed", feed.Name, "error", err)
				continue
			}
		}
		o.work.Go(func() { feed.Run(ctx) })
	}
	for _, one := range p.purge {
		u, err := url.Parse(one.URL)
		if err != nil { // the configuration was checked
			continue
		}
		post, err := fetch.PostTo(u, one.Token, hookLimit)
		if err != nil {
			r.log.Error("those who purge caches cannot be told of takedowns", "error", err)
			continue
		}
		purge := &takedown.Purge{URL: u, Post: post, Catalog: r.house.catalog, Places: r.places, Log: r.log}
		o.work.Go(func() { purge.Run(ctx) })
	}
}

// stop ends what runs, and waits for it.
func (o *outward) stop() {
	if o.end != nil {
		o.end()
	}
	o.work.Wait()
}

func clientOf(address string, limit time.Duration) (*http.Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return fetch.Client(u, limit)
}

// nameOf is what a feed is called in the log of changes.
func nameOf(f config.Feed) string {
	if f.Name != "" {
		return f.Name
	}
	if u, err := url.Parse(f.At); err == nil && u.Host != "" {
		return u.Host
	}
	return filepath.Base(f.At)
}

// places are the paths below which the repositories of a format are, as clients of the pond's own address have them.
func (r *running) places(format string) []string {
	all := []string{}
	for _, one := range r.house.pond.Repositories() {
		c := one.Config()
		info := c.Format.Info()
		if format != "" && info.Name != format {
			continue
		}
		all = append(all, "/"+c.Name+"/")
		for _, root := range info.Roots {
			all = append(all, root+c.Name+"/")
		}
	}
	return all
}
