package cli

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"

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
	downloads    int               // at once; 0 is the engine's own limit
	waiting      int
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
		s.Loopback = tcp.IP.IsLoopback()
	}
	return s
}

// certificates are what the listener shows, made or read; ca is the authority to trust, if it is the pond's own. What Use is
// given later is shown from then on.
func (p *plan) certificates() (config *tls.Config, certs *server.Certificates, ca []byte, err error) {
	switch {
	case p.tls.local:
		var must []string
		if p.public != nil {
			must = append(must, p.public.Hostname())
		}
		if host, _, err := net.SplitHostPort(p.listen); err == nil && host != "" {
			if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
				must = append(must, host)
			}
		}
		name, _ := os.Hostname() // without it, clients use another name
		a, err := server.OpenAuthority(filepath.Join(p.data, "tls"), must, []string{name}, nil)
		if err != nil {
			return nil, nil, nil, err
		}
		return a.Config(), nil, a.PEM(), nil
	case p.tls.cert != "":
		cert, err := server.ReadCertificate(p.tls.cert, p.tls.key)
		if err != nil {
			return nil, nil, nil, err
		}
		certs = &server.Certificates{}
		certs.Use(cert)
		return certs.Config(), certs, nil, nil
	}
	return nil, nil, nil, nil
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
