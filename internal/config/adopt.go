package config

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"millpond/format"
)

// An Adoption is one thing that was found out about this machine's clients: an upstream that was taken from them, one that
// was not, or only words.
type Adoption struct {
	Format string
	format.Adopted
	Refused string // why it is no upstream; "" if it is one
}

// String is the adoption for people: no password is in it.
func (a Adoption) String() string {
	var b strings.Builder
	b.WriteString(a.Format)
	if a.URL != "" {
		b.WriteString(": " + redacted(a.URL))
		if a.Username != "" || a.Password != "" {
			b.WriteString(" with the password of " + cmp.Or(a.Username, "its user"))
		}
		b.WriteString(" (" + a.From + ")")
	} else if a.From != "" {
		b.WriteString(": " + a.From)
	}
	if a.Refused != "" {
		b.WriteString(": not adopted: " + a.Refused)
	}
	if a.Note != "" {
		b.WriteString(": " + a.Note)
	}
	return oneLine(b.String())
}

// Adopt asks the clients of this machine, through their formats, where they read from, and makes that the upstreams of the
// repositories that nobody named any for. It does nothing for a configuration that has its own repositories. What it did is
// returned in the order of the repositories, for printing; what a format could not find out is among it, in words.
//
// Passwords are adopted only if the pond listens on loopback alone: it would serve one person's rights to everybody. A
// client that is set up with this pond already names no upstream; then those of the last adoption are taken, which is kept
// in the data directory without its passwords.
func (c *Config) Adopt(ctx context.Context, m format.Machine, formats []format.Format, now time.Time) []Adoption {
	if !c.Adopting {
		return nil
	}
	var all []Adoption
	remembered, err := recall(c.Data)
	if err != nil {
		all = append(all, Adoption{Format: "earlier adoptions", Refused: err.Error()})
	}
	answers := make([]answer, len(c.Repos))
	var asking sync.WaitGroup
	for i := range c.Repos {
		r, f := &c.Repos[i], formatNamed(formats, c.Repos[i].Format)
		if !c.asks(r, formats) {
			continue
		}
		asking.Go(func() {
			answers[i].asked = true
			answers[i].found, answers[i].err = f.Info().Upstreams(ctx, m)
		})
	}
	asking.Wait()
	var nothing []string
	for i, a := range answers {
		if !a.asked {
			continue
		}
		r := &c.Repos[i]
		if a.err != nil {
			all = append(all, Adoption{Format: r.Format, Refused: a.err.Error()})
		}
		judged, self := c.judge(r.Format, a.found)
		if (self || a.err != nil) && !slices.ContainsFunc(judged, adopted) {
			judged = append(judged, remembered.of(c, r.Format)...)
		}
		if a.err == nil && len(judged) == 0 {
			nothing = append(nothing, r.Format)
		}
		all = append(all, judged...)
		r.take(judged)
	}
	if err := c.remember(all, nothing, remembered, now); err != nil {
		all = append(all, Adoption{Format: "adoptions", Refused: "they cannot be remembered: " + err.Error()})
	}
	return all
}

// answer is what one format found out.
type answer struct {
	asked bool
	found []format.Adopted
	err   error
}

func adopted(a Adoption) bool { return a.Refused == "" && a.URL != "" }

// judge decides which of the upstreams found are taken. self reports whether one of them is this pond.
func (c *Config) judge(name string, found []format.Adopted) (judged []Adoption, self bool) {
	for _, one := range found {
		a := Adoption{Format: name, Adopted: one}
		if one.URL == "" {
			judged = append(judged, a)
			continue
		}
		u, err := url.Parse(one.URL)
		switch {
		case err != nil:
			a.URL, a.Refused = "", "it is not a URL"
		case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file":
			a.Refused = "the pond reads http, https and files"
		case u.Host == "" && u.Scheme != "file":
			a.Refused = "it names no host"
		case u.RawQuery != "" || u.Fragment != "":
			a.Refused = "it has more than a path"
		case c.self(u):
			a.Refused, self = "this client is set up with this very pond; say where it reads from: --upstream "+name+"=URL", true
		}
		if u != nil && u.User != nil { // a format should have taken it out
			if a.Username == "" && a.Password == "" {
				a.Username = u.User.Username()
				a.Password, _ = u.User.Password()
			}
			u.User = nil
			a.URL = u.String()
		}
		if (a.Username != "" || a.Password != "") && !c.Loopback() {
			a.Username, a.Password = "", ""
			a.Note = strings.TrimPrefix(a.Note+"; its password was left out, since others than this machine can reach the pond", "; ")
		}
		same := func(other Adoption) bool { return other.URL == a.URL && other.URL != "" && adopted(other) }
		if adopted(a) && slices.ContainsFunc(judged, same) {
			continue
		}
		judged = append(judged, a)
	}
	return judged, self
}

// take makes adoptions the upstreams of the repository. An option that all of them have alike is the repository's, others
// are the upstream's own.
func (r *Repository) take(adoptions []Adoption) {
	taken := slices.DeleteFunc(slices.Clone(adoptions), func(a Adoption) bool { return !adopted(a) })
	for i, a := range taken {
		u := Upstream{URL: a.URL, Username: a.Username, Password: a.Password, From: a.From, Options: map[string]string{}}
		if !strings.HasSuffix(u.URL, "/") {
			u.URL += "/"
		}
		for name, value := range a.Options {
			alike := func(other Adoption) bool { return other.Options[name] == value }
			if i == 0 && len(taken) == 1 || !slices.ContainsFunc(taken, func(o Adoption) bool { return !alike(o) }) {
				if r.Options == nil {
					r.Options = map[string]string{}
				}
				r.Options[name] = value
				continue
			}
			u.Options[name] = value
		}
		r.Upstreams = append(r.Upstreams, u)
	}
}

// withoutPassword is a URL fit for a file, with a variable in the place of its password.
func withoutPassword(address, name string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return scalar(address), false
	}
	if _, has := u.User.Password(); !has {
		return scalar(address), false
	}
	user := u.User.Username()
	u.User = url.User(user)
	before, after, _ := strings.Cut(u.String(), "@")
	return quoted(before + ":${" + name + "}@" + after), true
}

// redacted is a URL without its credentials.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	if u.User != nil {
		u.User = url.User("…")
		return strings.Replace(u.String(), url.PathEscape("…"), "…", 1)
	}
	return u.String()
}
