package repo

import (
	"bytes"
	"context"
	"io"
	"strings"
)

// A leakFinder passes a document on and looks for addresses of upstreams in it: who reads one there fetches past the pond, its
// rules and what it holds.
type leakFinder struct {
	io.Writer
	addresses [][]byte
	tail      []byte // the end of what has passed, in which an address may have begun
	found     bool
}

// addressesOf are the addresses of a repository's upstreams, as they would stand in a document.
func (c *Config) addressesOf() (all [][]byte) {
	for _, u := range c.Upstreams {
		if u.URL == nil || u.URL.Host == "" {
			continue
		}
		bare := *u.URL
		bare.User, bare.RawQuery, bare.Fragment = nil, "", ""
		all = append(all, []byte(strings.TrimSuffix(bare.String(), "/")+"/"))
	}
	return all
}

// Write implements io.Writer.
func (f *leakFinder) Write(b []byte) (int, error) {
	longest := 0
	for _, a := range f.addresses {
		longest = max(longest, len(a))
	}
	if !f.found && longest > 0 {
		joint := append(f.tail, b[:min(len(b), longest-1)]...)
		for _, a := range f.addresses {
			f.found = f.found || bytes.Contains(joint, a) || bytes.Contains(b, a)
		}
		if len(b) >= longest-1 {
			f.tail = append(f.tail[:0], b[len(b)-(longest-1):]...)
		} else {
			f.tail = append(f.tail[:0:0], joint[max(0, len(joint)-(longest-1)):]...)
		}
	}
	return f.Writer.Write(b)
}

// leaked counts a document that names an upstream's address.
func (p *Pond) leaked(ctx context.Context, repository, name string) {
	p.jobs.mu.Lock()
	p.jobs.leaks++
	p.jobs.mu.Unlock()
	p.log.WarnContext(ctx, "a document names the address of an upstream: who follows it goes past the pond", "repository", repository, "document", name)
}
