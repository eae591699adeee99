package cli

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"millpond/internal/config"
	"millpond/repo"
)

// banner says what is served, where from and where to, and what each client needs.
func banner(w io.Writer, r *running) {
	p := r.plan
	base := p.base(r.listener.Addr())
	var b strings.Builder
	fmt.Fprintf(&b, "millpond %s serves %s\n", r.process.Version, base)
	fmt.Fprintf(&b, "data in %s\n", p.data)
	if p.file != "" {
		fmt.Fprintf(&b, "configured by %s\n", p.file)
	}
	if p.pond.Offline {
		b.WriteString("offline: no upstream is asked\n")
	}
	if tcp, ok := r.listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		b.WriteString("warning: everyone who can reach this address may read\n")
	}
	if p.tls.local {
		fmt.Fprintf(&b, "clients must trust this pond's authority: %s/tls/ca.pem, or %s-/ca.pem\n", p.data, base)
	}
	if r.setup != "" {
		fmt.Fprintf(&b, "nobody can publish yet; within an hour make the first user:\n  millpond login %s --setup --user NAME\n  setup secret: %s\n", base, r.setup)
	}
	for _, a := range p.adopted {
		if !slices.ContainsFunc(p.repositories, func(c repo.Config) bool { return c.Name == a.Format }) {
			note(&b, a)
		}
	}
	for _, c := range p.repositories {
		info := c.Format.Info()
		fmt.Fprintf(&b, "\n%-9s %s\n", c.Name, info.Title)
		if c.Listen != "" {
			fmt.Fprintf(&b, "  listens on %s\n", c.Listen)
		}
		for _, host := range c.Hosts {
			fmt.Fprintf(&b, "  is all of the host %s\n", host)
		}
		origins(&b, p, &c)
		if info.SetUp == nil {
			continue
		}
		if set := info.SetUp(p.at(&c, r.listener.Addr())); len(set) > 0 {
			lines := strings.Split(strings.TrimRight(set[0].Text, "\n"), "\n")
			fmt.Fprintf(&b, "  %-7s %s\n", set[0].Client, strings.Join(lines, "\n          "))
		}
	}
	io.WriteString(w, b.String()+"\n") // nobody may be looking
}

// origins says where a repository reads through to, and who said so.
func origins(b *strings.Builder, p *plan, c *repo.Config) {
	found := map[string]config.Adoption{}
	for _, a := range p.adopted {
		if a.Format == c.Name && a.Refused == "" && a.URL != "" {
			found[strings.TrimSuffix(a.URL, "/")] = a
		}
	}
	for _, u := range c.Upstreams {
		switch {
		case u.Sibling != "":
			fmt.Fprintf(b, "  from    the repository %s\n", u.Sibling)
		case u.URL != nil:
			shown := *u.URL
			shown.User, shown.RawQuery = nil, ""
			fmt.Fprintf(b, "  from    %s", shown.String())
			if a, ok := found[strings.TrimSuffix(shown.String(), "/")]; ok {
				fmt.Fprintf(b, " (%s", a.From)
				if a.Password != "" {
					b.WriteString(", with its password")
				}
				b.WriteByte(')')
			}
			b.WriteByte('\n')
		}
	}
	if len(c.Upstreams) == 0 {
		b.WriteString("  host only: it has no upstream\n")
	}
	for _, a := range p.adopted {
		if a.Format == c.Name {
			note(b, a)
		}
	}
}

// note says what was found and not taken, and what should be known of what was.
func note(b *strings.Builder, a config.Adoption) {
	if a.Refused != "" {
		shown := a
		shown.Note = ""
		fmt.Fprintf(b, "  note    %s\n", shown)
	}
	if a.Note != "" {
		fmt.Fprintf(b, "  note    %s\n", a.Note)
	}
}
