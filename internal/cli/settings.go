package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"millpond/format"
	"millpond/format/all"
	"millpond/internal/auth"
	"millpond/internal/config"
	"millpond/internal/server"
	"millpond/repo"
)

// settings are the flags that say how a pond is to be. Flags win over MILLPOND_* variables, and those over the file.
type settings struct {
	Config    string   `help:"The configuration file. Also MILLPOND_CONFIG." placeholder:"FILE"`
	Data      string   `help:"The directory that everything is kept in. Also MILLPOND_DATA." placeholder:"DIR"`
	Listen    string   `help:"Where to listen; 127.0.0.1:8080 if nothing is said. Also MILLPOND_LISTEN." placeholder:"ADDR"`
	Offline   bool     `help:"Ask no upstream."`
	Upstream  []string `sep:"none" help:"Where a format reads from, instead of what this machine's clients are set up with; several in order. FORMAT=none, or FORMAT=, is none." placeholder:"FORMAT=URL"`
	TLS       string   `name:"tls" help:"'local' serves https with an authority of the pond's own." placeholder:"local"`
	Read      string   `help:"Who may read; needed where others can reach the pond. 'anonymous' is everybody." placeholder:"NAME"`
	PublicURL string   `name:"public-url" help:"Where clients reach the pond, if not where it listens." placeholder:"URL"`
}

// flags are those that were given.
func (s *settings) flags() []config.Flag {
	var given []config.Flag
	add := func(name, key, value string) {
		if value != "" {
			given = append(given, config.Flag{Name: name, Key: key, Value: value})
		}
	}
	add("--data", "data", s.Data)
	add("--listen", "listen", s.Listen)
	add("--tls", "tls", s.TLS)
	add("--read", "read", s.Read)
	add("--public-url", "public_url", s.PublicURL)
	if s.Offline {
		add("--offline", "offline", "true")
	}
	for _, u := range s.Upstream {
		if strings.HasSuffix(u, "=") { // --upstream pypi="$NOT_SET"
			u += "none"
		}
		add("--upstream", "upstream", u)
	}
	return given
}

func (s *settings) load(formats []format.Format) (*config.Config, error) {
	return config.Load(s.Config, os.LookupEnv, formats, s.flags()...)
}

// plan reads and checks everything, and asks this machine's clients where they read from if nobody said.
func (s *settings) plan(ctx context.Context, p *Process) (*plan, error) {
	formats := p.formats()
	c, err := s.load(formats)
	if err != nil {
		return nil, err
	}
	out := &plan{adopted: c.Adopt(ctx, p.machine(toTell), formats, time.Now())}
	return out, s.fill(out, c, formats)
}

// recalled is a plan that takes what this machine's clients said at an earlier start; nil if that does not do.
func (s *settings) recalled(p *Process) (*plan, error) {
	formats := p.formats()
	c, err := s.load(formats)
	if err != nil {
		return nil, err
	}
	adopted, ok := c.Recall(formats)
	if !ok {
		return nil, nil
	}
	out := &plan{adopted: adopted, recalled: true}
	return out, s.fill(out, c, formats)
}

// fill makes a plan of a configuration.
func (s *settings) fill(p *plan, c *config.Config, formats []format.Format) (err error) {
	if p.repositories, err = c.Repositories(formats); err != nil {
		return err
	}
	p.file = cmp.Or(s.Config, os.Getenv("MILLPOND_CONFIG"))
	p.listen, p.pond = c.Listen, c.Settings()
	if p.data, err = filepath.Abs(c.Data); err != nil {
		return err
	}
	if c.PublicURL != "" {
		if p.public, err = url.Parse(c.PublicURL); err != nil {
			return fmt.Errorf("public_url: %w", err)
		}
	}
	p.tls = tlsPlan{local: c.TLS.Local, cert: c.TLS.Cert, key: c.TLS.Key}
	if p.tls.cert != "" {
		if _, err := server.ReadCertificate(p.tls.cert, p.tls.key); err != nil {
			return c.Problem("tls.cert", err)
		}
	}
	p.server = server.Settings{Trusted: c.Proxies(), Metrics: c.Metrics, Misses: c.Limits.Misses, SharedMaxAge: c.SharedMaxAge}
	p.advisories, p.purge, p.heads = c.Advisories, c.Purge, c.Heads
	if err := p.checkOutward(c); err != nil {
		return err
	}
	p.auth = authOf(c, p.repositories)
	p.downloads, p.waiting, p.notice = c.Limits.Downloads, c.Limits.Waiting, c.Notice
	p.log = logPlan{text: c.Log.Format == "text", noAccess: !c.Log.Access}
	if err := p.log.level.UnmarshalText([]byte(cmp.Or(c.Log.Level, slog.LevelInfo.String()))); err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	return server.CheckMounts(p.public, p.repositories)
}

// authOf is what the configuration says of who may do what, and how they prove who they are.
func authOf(c *config.Config, repositories []repo.Config) auth.Settings {
	s := auth.Settings{PublicURL: c.PublicURL, Passwords: c.Auth.Passwords == "on", LinkKey: c.Auth.LinkKey, Grace: c.Auth.Grace}
	for _, p := range c.Auth.OIDC {
		s.Providers = append(s.Providers, auth.Provider{Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: p.ClientSecret, GroupsClaim: p.GroupsClaim, Allow: p.Allow, WithoutAuthTime: p.WithoutAuthTime})
	}
	for _, i := range c.Auth.Issuers {
		s.Issuers = append(s.Issuers, auth.Issuer{URL: i.URL, Kind: i.Kind})
	}
	for i := range c.Repos {
		r := &c.Repos[i]
		s.Repositories = append(s.Repositories, auth.Repository{Name: r.Name, Format: r.Format, Hosts: repositories[i].Hosts, Audience: repositories[i].Format.Info().Audience, Read: c.ReadersOf(r),
			Publish: config.Subjects(r.Publish), Maintain: config.Subjects(r.Maintain), Own: config.Subjects(r.Own)})
	}
	return s
}

// formats are those of this build, unless a test says otherwise.
func (p *Process) formats() []format.Format { return all.Formats() }

// How long a client's command may take.
const (
	toTell = 8 * time.Second  // what it is set up to; a cold npm takes two
	toSet  = time.Minute      // what somebody waits for
	toPack = 15 * time.Minute // a folder of any size
)

// machine is this computer, unless a test says otherwise.
func (p *Process) machine(patience time.Duration) format.Machine {
	if p.Machine != nil {
		return p.Machine
	}
	return config.Machine(patience)
}

// dataDir is where a command that only looks finds the data.
func (s *settings) dataDir(p *Process) (string, error) {
	if dir := cmp.Or(s.Data, os.Getenv("MILLPOND_DATA")); dir != "" {
		return filepath.Abs(dir)
	}
	c, err := s.load(p.formats())
	if err != nil {
		return "", &exit{ExitUsage, err}
	}
	return filepath.Abs(c.Data)
}
