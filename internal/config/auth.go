package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"millpond/policy"
)

// Subjects is a list of who may do something, with bare names as the names of users: "user:ci" for "ci".
func Subjects(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		if out[i] = s; s != "anonymous" && s != "authenticated" && !strings.Contains(s, ":") {
			out[i] = "user:" + s
		}
	}
	return out
}

// ReadersOf is who may read a repository: its own list, or else the pond's.
func (c *Config) ReadersOf(r *Repository) []string {
	if r.Read != nil {
		return Subjects(r.Read)
	}
	return Subjects(c.Read)
}

// subjects complains about what stands for nobody.
func (b *builder) subjects(path string, list []string) {
	for i, s := range Subjects(list) {
		if s == "anonymous" || s == "authenticated" {
			continue
		}
		kind, name, _ := strings.Cut(s, ":")
		if kind != "user" && kind != "group" || !subjectName(name) {
			b.wrong(fmt.Sprintf("%s[%d]", path, i), "%q is nobody: write anonymous, authenticated, user:NAME or group:NAME", list[i])
		}
	}
}

// defaultGrace is what auth_grace says where nothing is said.
const defaultGrace = 24 * time.Hour

func subjectName(name string) bool {
	ok := name != "" && len(name) <= 64
	for i := range len(name) {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && strings.IndexByte("._-@+", c) >= 0)
	}
	return ok
}

// checkAuth is everything wrong with auth.
func (c *Config) checkAuth() []error {
	var errs []error
	wrong := func(path, why string, args ...any) { errs = append(errs, c.at(path, why, args...)) }
	if !slices.Contains([]string{"on", "off"}, c.Auth.Passwords) {
		wrong("auth.passwords", "it is on or off, not %q", c.Auth.Passwords)
	}
	if k := c.Auth.LinkKey; k == "" || len(k) > 32 || strings.Trim(k, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		wrong("auth.link_key", "it is a name of up to 32 letters and digits, not %q", k)
	}
	if c.Auth.Grace <= 0 {
		wrong("auth.auth_grace", "it must be longer than nothing")
	}
	for i, p := range c.Auth.OIDC {
		at := fmt.Sprintf("auth.oidc[%d]", i)
		if !issuer(p.Issuer) {
			wrong(at+".issuer", "%q is no issuer: write https://HOST, exactly as it says it", p.Issuer)
		}
		if slices.ContainsFunc(c.Auth.OIDC[:i], func(o OIDC) bool { return o.Issuer == p.Issuer }) {
			wrong(at+".issuer", "%s stands here twice", p.Issuer)
		}
		if p.ClientID == "" {
			wrong(at+".client_id", "it is needed")
		}
		for k, allow := range p.Allow {
			if group, ok := strings.CutPrefix(allow, "group:"); ok && !subjectName(group) || allow == "" || strings.ContainsAny(allow, " \t") {
				wrong(fmt.Sprintf("%s.allow[%d]", at, k), "%q is neither a pattern of e-mail addresses nor group:NAME", allow)
			}
		}
		if c.PublicURL == "" {
			wrong(at, "it sends people back to public_url, which is not set")
		}
	}
	for i, s := range c.Auth.Issuers {
		at := fmt.Sprintf("auth.issuers[%d]", i)
		if !issuer(s.URL) {
			wrong(at, "%q is no issuer: write https://HOST, exactly as its tokens say it", s.URL)
		}
		if slices.ContainsFunc(c.Auth.Issuers[:i], func(o Issuer) bool { return o.URL == s.URL }) {
			wrong(at, "%s stands here twice", s.URL)
		}
		if known := []string{"github", "gitlab"}; s.Kind != "" && !slices.Contains(known, s.Kind) {
			wrong(at+".kind", "unknown word %q%s", s.Kind, didYouMean(s.Kind, known))
		}
		if c.PublicURL == "" {
			wrong(at, "its tokens are made for the host of public_url, which is not set")
		}
	}
	return errs
}

// issuer reports whether an address can be an issuer's: https, and http on this machine only.
func issuer(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" &&
		(u.Scheme == "https" || u.Scheme == "http" && loopbackHost(u.Hostname()))
}

// auth writes the setting of that name. Secrets are left to the environment.
func (p *printer) auth(a *Auth) {
	if a.Passwords == "on" && a.LinkKey == "1" && len(a.OIDC)+len(a.Issuers) == 0 && policy.FormatDuration(a.Grace) == policy.FormatDuration(defaultGrace) {
		p.line("#auth: {passwords: on}")
		return
	}
	p.line("auth:")
	p.line("  passwords: %s", a.Passwords)
	p.line("  link_key: %s", scalar(a.LinkKey))
	p.line("  auth_grace: %s", policy.FormatDuration(a.Grace))
	if len(a.OIDC) > 0 {
		p.line("  oidc:")
	}
	for i, o := range a.OIDC {
		p.line("    - issuer: %s", scalar(o.Issuer))
		p.line("      client_id: %s", scalar(o.ClientID))
		if o.ClientSecret != "" {
			owner := "oidc"
			if i > 0 {
				owner += fmt.Sprint("_", i+1)
			}
			p.line("      client_secret: ${%s} # from the environment", secretName(owner, "client_secret"))
		}
		if o.GroupsClaim != "" {
			p.line("      groups_claim: %s", scalar(o.GroupsClaim))
		}
		if len(o.Allow) > 0 {
			p.line("      allow: %s", flow(o.Allow))
		}
		if o.WithoutAuthTime {
			p.line("      without_auth_time: true")
		}
	}
	if len(a.Issuers) > 0 {
		p.line("  issuers:")
	}
	for _, s := range a.Issuers {
		p.line("    - issuer: %s", scalar(s.URL))
		if s.Kind != "" {
			p.line("      kind: %s", scalar(s.Kind))
		}
	}
}
