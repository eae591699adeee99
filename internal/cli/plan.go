package cli

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"millpond/internal/auth"
	"millpond/internal/config"
	"millpond/internal/server"
	"millpond/repo"
)

// A plan is all that serve was told, by the configuration, the flags and the environment, read and checked.
type plan struct {
	file         string // the configuration; "" if there is none
	listen       string
	data         string
	tls          tlsPlan
	pond         repo.Settings
	public       *url.URL // nil if it is not set
	server       server.Settings
	auth         auth.Settings
	log          logPlan
	repositories []repo.Config
	adopted      []config.Adoption // where upstreams came from, if the configuration does not say
	recalled     bool              // adopted is what was said at an earlier start
	downloads    int               // at once; 0 is the engine's own limit
	waiting      int
	advisories   []config.Feed
	purge, heads []config.Receiver
	notice       time.Duration // between the word that it stops and the end of its listeners
}

// A tlsPlan says which certificate the pond shows.
type tlsPlan struct {
	local     bool // signed by an authority of the pond's own
	cert, key string
}

func (t tlsPlan) on() bool { return t.local || t.cert != "" }

// A logPlan says what is logged, and how.
type logPlan struct {
	text     bool
	level    slog.Level
	noAccess bool
}

// handler is where log records go.
func (l logPlan) handler(w *server.Lines) slog.Handler {
	o := &slog.HandlerOptions{Level: l.level}
	if l.text {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}

// access is where the line of each request goes.
func (l logPlan) access(w *server.Lines) slog.Handler {
	if l.text {
		return l.handler(w)
	}
	return server.AccessLog(w, l.level)
}

// settings are the server's, for a listener at an address.
func (p *plan) settings(at net.Addr) server.Settings {
	s := p.server
	s.PublicURL, s.Offline = p.public, p.pond.Offline
	if tcp, ok := at.(*net.TCPAddr); ok {
		s.Loopback, s.Port = tcp.IP.IsLoopback(), fmt.Sprint(tcp.Port)
	}
	s.TLS = p.tls.on()
	return s
}

// A proof is how listeners prove who they are.
type proof struct {
	config    *tls.Config          // nil is plain http
	certs     *server.Certificates // what Use is given is shown from then on; nil unless they come from files
	authority *server.Authority    // nil unless it is the pond's own
}

// ca is the authority to trust, if it is the pond's own.
func (p *proof) ca() []byte {
	if p.authority == nil {
		return nil
	}
	return p.authority.PEM()
}

// renew makes a change of what is to be proved, which use carries out.
func (p *proof) renew(next *plan) (use func(), err error) {
	switch {
	case p.authority != nil:
		return func() {}, p.authority.SignFor(next.hosts()...) // what it signs for besides does no harm
	case p.certs != nil:
		cert, err := server.ReadCertificate(next.tls.cert, next.tls.key)
		return func() { p.certs.Use(cert) }, err
	}
	return func() {}, nil
}

// proof reads or makes what listeners prove themselves with.
func (p *plan) proof() (*proof, error) {
	switch {
	case p.tls.local:
		name, _ := os.Hostname() // without it, clients use another name
		a, err := server.OpenAuthority(filepath.Join(p.data, "tls"), p.hosts(), []string{name}, nil)
		if err != nil {
			return nil, err
		}
		return &proof{config: a.Config(), authority: a}, nil
	case p.tls.cert != "":
		cert, err := server.ReadCertificate(p.tls.cert, p.tls.key)
		if err != nil {
			return nil, err
		}
		certs := &server.Certificates{}
		certs.Use(cert)
		return &proof{config: certs.Config(), certs: certs}, nil
	}
	return &proof{}, nil
}

// kept are the settings, besides those with which a reload is refused, in which another plan differs and that are taken at a start only.
func (p *plan) kept(next *plan) (keys []string) {
	for _, one := range []struct {
		key     string
		differs bool
	}{
		{"log", p.log != next.log}, {"notice", p.notice != next.notice},
		{"limits.downloads", p.downloads != next.downloads}, {"limits.waiting", p.waiting != next.waiting},
	} {
		if one.differs {
			keys = append(keys, one.key)
		}
	}
	return keys
}

// hosts are what clients may call this pond where TLS is spoken, as far as the configuration says.
func (p *plan) hosts() []string {
	var all []string
	if p.public != nil {
		all = append(all, p.public.Hostname())
	}
	listen := []string{p.listen}
	for _, c := range p.repositories {
		all = append(all, c.Hosts...)
		if address, plain := server.SplitListen(c.Listen); !plain {
			listen = append(listen, address)
		}
	}
	for _, address := range listen {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
			if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
				all = append(all, host)
			}
		}
	}
	return all
}

// at is where a repository is, for the clients of this machine: its own place if it has one that is as safe as the pond's.
func (p *plan) at(c *repo.Config, listener net.Addr) *url.URL {
	base := p.base(listener)
	if len(c.Hosts) > 0 {
		u := &url.URL{Scheme: base.Scheme, Host: c.Hosts[0], Path: "/"}
		if port := base.Port(); port != "" {
			u.Host = net.JoinHostPort(c.Hosts[0], port)
		}
		return u
	}
	address, plain := server.SplitListen(c.Listen)
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" || plain && p.tls.on() {
		return base.JoinPath(c.Name + "/")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = base.Hostname()
	}
	u := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/"}
	if p.tls.on() {
		u.Scheme = "https"
	}
	return u
}

// base is the pond's address for the clients of this machine.
func (p *plan) base(at net.Addr) *url.URL {
	if p.public != nil {
		u := *p.public
		return u.JoinPath("/")
	}
	u := &url.URL{Scheme: "http", Host: at.String(), Path: "/"}
	if p.tls.on() {
		u.Scheme = "https"
	}
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		u.Host = net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
	}
	return u
}
