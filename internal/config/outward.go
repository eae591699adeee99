package config

import (
	"fmt"
	"net/url"
	"path"
	"time"

	"millpond/policy"
)

// shortestPoll is how often a feed is looked at, at most.
const shortestPoll = 10 * time.Second

// checkOutward is everything wrong with feeds, and with who is told something.
func (c *Config) checkOutward() []error {
	var errs []error
	wrong := func(path, why string, args ...any) { errs = append(errs, c.at(path, why, args...)) }
	for i, f := range c.Advisories {
		at := fmt.Sprintf("advisories[%d]", i)
		if u, err := url.Parse(f.At); err != nil || f.At == "" || u.Scheme != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
			wrong(at+".at", "a directory or a URL is needed, as in /var/lib/osv or https://feed.example/all.zip; a secret belongs into token")
		}
		if f.Every != 0 && f.Every < shortestPoll {
			wrong(at+".every", "it is %s at least", policy.FormatDuration(shortestPoll))
		}
		for k, id := range f.IDs {
			if _, err := path.Match(id, ""); err != nil || id == "" {
				wrong(fmt.Sprintf("%s.ids[%d]", at, k), "%q is no pattern of ids, as MAL-* is", id)
			}
		}
	}
	for i, r := range c.Purge {
		if u, err := url.Parse(r.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			wrong(fmt.Sprintf("purge[%d].url", i), "an http or https address is needed; a secret belongs into token")
		}
	}
	for i, r := range c.Heads {
		if u, err := url.Parse(r.URL); err != nil || u.User != nil || u.Scheme == "" {
			wrong(fmt.Sprintf("heads[%d].url", i), "an address is needed: file:///path, syslog:, syslog://host:port or https://…; a secret belongs into token")
		}
	}
	return errs
}

// feeds writes feeds. Secrets are left to the environment.
func (p *printer) feeds(key string, all []Feed) {
	if len(all) == 0 {
		p.line("#%s: [https://feed.example/all.zip]", key)
		return
	}
	p.line("%s:", key)
	for i, f := range all {
		p.line("  - at: %s", scalar(f.At))
		if f.Name != "" {
			p.line("    name: %s", scalar(f.Name))
		}
		if len(f.IDs) > 0 {
			p.line("    ids: %s", flow(f.IDs))
		}
		if f.Every > 0 {
			p.line("    every: %s", policy.FormatDuration(f.Every))
		}
		p.token(key, i, f.Token)
	}
}

// receivers writes who is told something.
func (p *printer) receivers(key string, all []Receiver) {
	if len(all) == 0 {
		p.line("#%s: []", key)
		return
	}
	p.line("%s:", key)
	for i, r := range all {
		p.line("  - url: %s", scalar(r.URL))
		p.token(key, i, r.Token)
	}
}

func (p *printer) token(key string, i int, token string) {
	if token == "" {
		return
	}
	if i > 0 {
		key += fmt.Sprint("_", i+1)
	}
	p.line("    token: ${%s} # from the environment", secretName(key, "token"))
}
