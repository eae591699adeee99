package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"millpond/format"
	"millpond/policy"
	"millpond/repo"
)

// Repositories are the repositories as package repo takes them. What Load has returned gives no error here, except for
// files that have changed since.
func (c *Config) Repositories(formats []format.Format) ([]repo.Config, error) {
	all, errs := c.build(formats)
	if len(errs) > 0 {
		return nil, errors.Join(ordered(errs)...)
	}
	return all, nil
}

// Settings are those of the pond as a whole.
func (c *Config) Settings() repo.Settings {
	return repo.Settings{Offline: c.Offline, PublicURL: c.PublicURL, MaxBytes: int64(c.Limits.MaxBytes), LowFree: int64(c.Limits.LowFree)}
}

// A builder makes repo.Configs, and collects what is wrong.
type builder struct {
	c    *Config
	errs []error
}

func (b *builder) wrong(path, why string, args ...any) {
	b.errs = append(b.errs, b.c.at(path, why, args...))
}

func (c *Config) build(formats []format.Format) ([]repo.Config, []error) {
	b := builder{c: c}
	var all []repo.Config
	for i := range c.Repos {
		all = append(all, b.repository(&c.Repos[i], formats))
	}
	b.rings()
	b.shared(all)
	b.claimedTwice()
	return all, b.errs
}

// shared complains about hosts and listeners that two repositories would have.
func (b *builder) shared(all []repo.Config) {
	hosts, listeners := map[string]string{}, map[string]string{}
	root := ""
	for _, c := range all {
		if c.Root {
			if root != "" {
				b.wrong("repositories."+c.Name+".root", "%s has it already", root)
			}
			root = c.Name
		}
		for _, host := range c.Hosts {
			if other := hosts[host]; other != "" {
				b.wrong("repositories."+c.Name+".host", "%s has the host %s already", other, host)
			}
			hosts[host] = c.Name
		}
		if c.Listen == "" {
			continue
		}
		address := strings.TrimPrefix(c.Listen, "http://")
		if other := listeners[address]; other != "" {
			b.wrong("repositories."+c.Name+".listen", "%s listens on %s already", other, address)
		}
		listeners[address] = c.Name
	}
}

// claimedTwice complains about a claim that two repositories of a format have: a name is published where it is claimed, and the
// second would take none.
func (b *builder) claimedTwice() {
	first := map[[2]string]string{}
	for i := range b.c.Repos {
		r := &b.c.Repos[i]
		for k, text := range r.Claims {
			key := [2]string{r.Format, text}
			if other := first[key]; other != "" && other != r.Name {
				b.wrong(fmt.Sprintf("repositories.%s.claims[%d]", r.Name, k), "%s claims %s already; a claim counts in all repositories of the format", other, text)
				continue
			}
			first[key] = r.Name
		}
	}
}

func (b *builder) repository(r *Repository, formats []format.Format) repo.Config {
	path := "repositories." + r.Name
	if why := badName(r.Name); why != "" {
		b.wrong(path, "%s", why)
	}
	out := repo.Config{Name: r.Name, Format: formatNamed(formats, r.Format), Fresh: r.Fresh, Absent: r.Absent, Options: r.Options}
	switch {
	case r.Format == "":
		b.wrong(path, "it has no format; one of %s is needed", strings.Join(formatNames(formats), ", "))
	case out.Format == nil:
		b.wrong(path+".format", "unknown format %q%s", r.Format, didYouMean(r.Format, formatNames(formats)))
	}
	b.word(path+".merge", r.Merge, "hide", "union")
	out.Union = r.Merge == "union"
	read := r.Read
	if read == nil {
		read = b.c.Read
	}
	if _, _, err := net.SplitHostPort(b.c.Listen); read == nil && err == nil {
		const why = "others can reach the pond on %s, so read must say who may read: read: [anonymous] is everybody"
		if b.c.Adopting {
			b.wrong("listen", why, b.c.Listen)
		} else {
			b.wrong(path, why, b.c.Listen)
		}
	}
	b.places(path, r, &out)
	out.Public = slices.Contains(read, "anonymous")
	b.subjects(path+".read", read)
	for _, list := range []struct {
		key      string
		subjects []string
	}{{"publish", r.Publish}, {"maintain", r.Maintain}, {"own", r.Own}} {
		at := path + "." + list.key
		b.subjects(at, list.subjects)
		if slices.Contains(list.subjects, "anonymous") {
			b.wrong(at, "anonymous may read, and nothing more: name who it shall be")
		}
	}
	out.Volatile, out.Unpublish, out.ReadOnly, out.MaxFile = r.Volatile, r.Unpublish, !r.Hosted, int64(r.MaxFile)
	out.ClaimedOnly = r.ClaimedOnly
	if r.MaxFile == 0 {
		b.wrong(path+".max_file", "nothing fits into 0 bytes; hosted: false takes no publishes")
	}
	b.claims(path+".claims", r.Claims, out.Format)
	out.Claims = r.Claims
	for _, f := range r.Fill {
		at := path + ".fill"
		if f.Pattern != "*" {
			at += "." + f.Pattern
			if _, err := policy.ParsePattern(f.Pattern); err != nil {
				b.wrong(at, "%v", err)
			}
		}
		b.word(at, f.Mode, string(repo.Store), string(repo.Redirect), string(repo.Pass), string(repo.CachedOnly))
		out.Fill = append(out.Fill, repo.Fill{Pattern: f.Pattern, Mode: repo.Mode(f.Mode)})
	}
	out.Policy = b.policy(path, r.Rules, out.Format)
	names := b.names(path, r.Upstreams)
	for i := range r.Upstreams {
		at := fmt.Sprintf("%s.upstreams[%d]", path, i)
		b.claims(at+".names", r.Upstreams[i].Names, out.Format)
		out.Upstreams = append(out.Upstreams, b.upstream(at, &r.Upstreams[i], names[i], r))
	}
	return out
}

// places are the hosts and the listener of a repository's own, and whether it is what the root is for.
func (b *builder) places(path string, r *Repository, out *repo.Config) {
	if out.Root = r.Root; r.Root && out.Format != nil {
		if _, ok := out.Format.(format.Strayer); !ok {
			b.wrong(path+".root", "clients of %s ask nothing of the root of a host", r.Format)
		}
	}
	for _, host := range r.Host {
		name := strings.ToLower(strings.TrimSuffix(host, "."))
		if !hostName(name) {
			b.wrong(path+".host", "%q is not the name of a host, like %s.pond.example", host, r.Name)
			continue
		}
		out.Hosts = append(out.Hosts, name)
		if public, err := url.Parse(b.c.PublicURL); b.c.PublicURL == "" {
			b.wrong(path+".host", "it needs public_url, by which the pond's own pages are told apart from what is at %s", name)
		} else if err == nil && strings.EqualFold(public.Hostname(), name) {
			b.wrong(path+".host", "%s is the pond's own, by public_url", name)
		}
	}
	for _, host := range r.Tunnels {
		name := strings.ToLower(strings.TrimSuffix(host, "."))
		switch {
		case r.Listen == "" || out.Format != nil && !out.Format.Info().Proxy:
			b.wrong(path+".tunnels", "a tunnel begins at a listener of the repository's own, of a format that answers as a proxy")
		case !hostName(name):
			b.wrong(path+".tunnels", "%q is not the name of a host", host)
		default:
			out.Tunnels = append(out.Tunnels, name)
		}
	}
	if r.Listen == "" {
		return
	}
	out.Listen = r.Listen
	address := strings.TrimPrefix(r.Listen, "http://")
	if why := badAddress(address); why != "" {
		b.wrong(path+".listen", "%s", why)
		return
	}
	if at := (&url.URL{Scheme: "http", Host: address}); listensAt(b.c.Listen, at) || listensAt(address, &url.URL{Scheme: "http", Host: b.c.Listen}) {
		b.wrong(path+".listen", "the pond itself listens on %s", address)
	}
	saidWho := r.Read != nil || b.c.lines["read"] > 0 || b.c.over["read"] != ""
	if !saidWho && loopback(b.c.Listen) && !loopback(address) {
		b.wrong(path+".listen", "others can reach the repository on %s, so read must say who may read: read: [anonymous] is everybody", address)
	}
}

// hostName reports whether a host may be called that, in lower case. An address is none.
func hostName(s string) bool {
	if net.ParseIP(s) != nil || len(s) > 253 || s == "localhost" {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		ok := label != "" && len(label) < 64 && label[0] != '-' && label[len(label)-1] != '-'
		for i := range len(label) {
			c := label[i]
			ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_')
		}
		if !ok {
			return false
		}
	}
	return true
}

// word complains about a word that is not one of those known.
func (b *builder) word(path, word string, known ...string) {
	if word != "" && !slices.Contains(known, word) {
		b.wrong(path, "unknown word %q%s", word, didYouMean(word, known))
	}
}

// badName says why a repository cannot be called that; "" if it can.
func badName(name string) string {
	switch name {
	case "-", "_", "v2", ".well-known":
		return fmt.Sprintf("no repository can be called %s: protocols need that place on a server", name)
	}
	ok := name != "" && len(name) <= 64 && name[0] != '.' && name[0] != '-'
	for i := range len(name) {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Sprintf("no repository can be called %q: lower-case letters, digits, \".\", \"_\" and \"-\" are taken, a letter or digit first", name)
	}
	return ""
}

// policy reads rules, with errors at their lines.
func (b *builder) policy(path string, rules []map[string]any, g format.Format) *policy.Policy {
	p, err := policy.Parse(rules)
	if err == nil && g != nil {
		_, err = p.For(g) // package repo does so again
	}
	each(err, func(err error) {
		e, ok := errors.AsType[*policy.RuleError](err)
		if !ok {
			b.wrong(path+".rules", "%v", err)
			return
		}
		at := fmt.Sprintf("%s.rules[%d]", path, e.Rule-1)
		if e.Key != "" {
			at += "." + e.Key
		}
		b.wrong(at, "%s", e.Why)
	})
	return p
}

// claims checks patterns of names, in the format's own syntax where it has one.
func (b *builder) claims(path string, all []string, of format.Format) {
	for i, one := range all {
		at := fmt.Sprintf("%s[%d]", path, i)
		if _, own := of.(format.Claimer); own {
			if one == "" {
				b.wrong(at, "it is empty")
			}
		} else if _, err := policy.ParsePattern(one); err != nil {
			b.wrong(at, "%v", err)
		}
	}
}
