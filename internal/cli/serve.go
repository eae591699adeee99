package cli

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"millpond"
	"millpond/internal/auth"
	"millpond/internal/config"
	"millpond/internal/server"
)

type serveCommand struct {
	settings
}

// Run serves until a signal ends it.
func (c *serveCommand) Run(ctx context.Context, p *Process) error {
	load := func(ctx context.Context) (*plan, error) { return c.plan(ctx, p) }
	p.manager = managerOf(os.Getpid())
	var err error
	if p.sockets, err = handedOver(os.Getpid(), firstSocket); err != nil {
		return err
	}
	plan, err := c.recalled(p)
	if plan == nil && err == nil {
		bar := p.working("reading the configuration, and asking this machine's clients where they read from")
		plan, err = load(ctx)
		bar.done()
	}
	if err != nil {
		return &exit{ExitUsage, err}
	}
	return serve(ctx, p, plan, load)
}

// A running is a server with all that belongs to it.
type running struct {
	process  *Process
	plan     *plan
	load     func(context.Context) (*plan, error)
	log      *slog.Logger
	listener *net.TCPListener
	doors    map[string]bool // addresses of repositories' own listeners that are open
	house    *house
	server   *server.Server
	auth     *auth.Auth
	setup    string // the secret with which the first user is made; "" if there is one
	proof    *proof
	news     chan *plan // what this machine's clients say by now
	outward  outward
	patience time.Duration // how long the start waits for what stands in its way; 0 once the pond serves
	again    bool          // the configuration is to be read again as soon as the pond serves
}

// serve runs a pond until ctx ends or a signal says so.
func serve(ctx context.Context, p *Process, first *plan, load func(context.Context) (*plan, error)) (err error) {
	limitMemory()
	ballast := make([]byte, ballastSize)
	defer runtime.KeepAlive(ballast)
	lines := server.NewLines(p.Err)
	var beside sync.WaitGroup
	defer beside.Wait()
	besides, end := context.WithCancel(context.WithoutCancel(ctx)) // ends when this function does
	defer end()
	beside.Go(func() { lines.Run(besides) })

	r := &running{process: p, plan: first, load: load, log: slog.New(first.log.handler(lines)), news: make(chan *plan)}
	if p.manager != nil {
		p.manager.log = r.log
	}
	defer func() {
		if errors.Is(err, errStopped) {
			err = nil
		}
	}()
	r.patience = p.patienceOf(first.notice)
	if r.listener, err = r.listen(ctx, first.listen); err != nil {
		return err
	}
	defer r.listener.Close()
	if err = r.insist(ctx, func() (err error) {
		r.house, err = openHouse(ctx, houseParts{data: first.data, log: r.log, version: p.Version, downloads: first.downloads, waiting: first.waiting})
		return err
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.house.close(ctx)) }()
	if r.proof, err = first.proof(); err != nil {
		return err
	}
	if r.auth, err = auth.New(ctx, auth.Parts{Catalog: r.house.catalog, Log: r.log, Secrets: r.house.keys}); err != nil {
		return err
	}
	parts := server.Parts{Pond: r.house.pond, Callers: r.auth, People: r.auth, Records: r.house.catalog, Heads: r.house.notary, Version: p.Version, Log: r.log, CA: r.proof.ca(), Jobs: r.house.jobs}
	if !first.log.noAccess {
		parts.Access = first.log.access(lines)
	}
	r.server = server.New(parts)
	if err := r.configure(ctx, first); err != nil {
		if _, ok := errors.AsType[*exit](err); ok || errors.Is(err, errStopped) || millpond.Is(err, millpond.Unready) || millpond.Is(err, millpond.Denied) {
			return err
		}
		return &exit{ExitUsage, err}
	}
	r.patience = 0
	if err := r.unusedSockets(); err != nil {
		return err
	}
	if r.setup, err = r.auth.SetupSecret(ctx); err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait() // before the house is closed
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	work.Go(func() {
		if err := r.house.pond.Run(working); err != nil && working.Err() == nil {
			r.log.Error("the pond's own work has stopped", "error", err)
		}
	})
	work.Go(func() { r.auth.Run(working) })
	work.Go(func() { r.house.notary.Run(working) })
	r.outward.begin(working, r, first)
	defer r.outward.stop()
	serving, stop := context.WithCancel(ctx)
	defer stop()
	if first.recalled {
		work.Go(func() { r.askAgain(working, first) })
	}
	r.server.SetReady("")
	work.Go(debug.FreeOSMemory) // migrations and a hash of a password have taken 40 MB that nobody needs again
	banner(p.Out, r)
	p.manager.ready(r.plan.base(r.listener.Addr()).String())
	work.Go(func() { r.watch(working, stop) })
	work.Go(func() { p.manager.watch(working, r.server.Alive) })
	work.Go(func() { r.server.WatchCanary(serving) })
	how := server.Listening{TLS: r.proof.config, Notice: first.notice}
	if p.sockets.any() || first.notice > 0 {
		how.Linger = lingerTime // clients have somewhere else to go
	}
	return r.server.Serve(serving, r.listener, how)
}

// lingerTime is how long connections that are idle when the pond stops may still be used once.
const lingerTime = time.Second

// listen takes an address, or the socket for it that was handed over.
func (r *running) listen(ctx context.Context, address string) (l *net.TCPListener, err error) {
	err = r.insist(ctx, func() error {
		l, err = r.process.sockets.listen(ctx, address)
		return err
	})
	return l, err
}

// unusedSockets tells of sockets that were handed over and that nothing listens on.
func (r *running) unusedSockets() error {
	if !r.process.sockets.any() {
		return nil
	}
	words, err := r.process.sockets.unused()
	for _, one := range words {
		r.log.Warn("nothing listens on a socket that was handed over: who connects to it waits in vain", "socket", one)
	}
	return err
}

// listen takes the address. What stands in the way is said in words.
func listen(ctx context.Context, address string) (*net.TCPListener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l.(*net.TCPListener), nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &millpond.Error{Kind: millpond.Unready, Why: "another program listens on " + address + " already",
			Hint: "if it is a pond, use that one; else choose another port: --listen 127.0.0.1:8081"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, &exit{ExitUsage, &millpond.Error{Kind: millpond.Unready, Why: "cannot listen on " + address, Err: err, Hint: "--listen wants an address of this machine, or none: ':8080' is all of them"}}
	case errors.Is(err, syscall.EACCES):
		return nil, &millpond.Error{Kind: millpond.Denied, Why: "this user may not listen on " + address, Hint: "ports from 1024 on need no rights: --listen 127.0.0.1:8080"}
	}
	return nil, &exit{ExitUsage, &millpond.Error{Kind: millpond.Invalid, Why: "cannot listen on " + address, Err: err, Hint: "--listen wants host:port, such as 127.0.0.1:8080"}}
}

// configure gives the pond and the server what a plan says, all of it or nothing.
func (r *running) configure(ctx context.Context, next *plan) error {
	doors, err := r.open(ctx, next)
	if err != nil {
		return err
	}
	if err := r.hand(ctx, next); err != nil {
		for _, d := range doors {
			if d.Listener != nil {
				err = errors.Join(err, d.Listener.Close())
			}
		}
		return err
	}
	r.doors = map[string]bool{}
	for _, d := range doors {
		r.doors[d.Address] = true
	}
	r.server.Open(doors)
	if err := r.auth.Reconcile(ctx); err != nil { // the next start or reload does it
		r.log.Error("what was given for repositories that are gone has not ended yet", "error", err)
	}
	return nil
}

// open takes the addresses where a plan's repositories listen by themselves. Those that are open already stay.
func (r *running) open(ctx context.Context, next *plan) (doors []server.Door, err error) {
	for _, c := range next.repositories {
		if c.Listen == "" {
			continue
		}
		d := server.Door{Address: c.Listen}
		var address string
		if address, d.Plain = server.SplitListen(c.Listen); !r.doors[c.Listen] {
			if d.Listener, err = r.listen(ctx, address); err != nil {
				for _, d := range doors {
					if d.Listener != nil {
						err = errors.Join(err, d.Listener.Close())
					}
				}
				return nil, err
			}
		}
		doors = append(doors, d)
	}
	return doors, nil
}

// hand gives the pond, its identities and the server what a plan says, all or none.
func (r *running) hand(ctx context.Context, next *plan) error {
	if err := r.house.pond.Configure(ctx, next.pond, next.repositories); err != nil {
		return err
	}
	if err := r.auth.Configure(next.auth); err != nil {
		if next != r.plan {
			err = errors.Join(err, r.house.pond.Configure(ctx, r.plan.pond, r.plan.repositories))
		}
		return err
	}
	var list []server.Repository
	for _, one := range r.house.pond.Repositories() {
		list = append(list, one)
	}
	err := r.server.Configure(next.settings(r.listener.Addr()), list)
	if err != nil && next != r.plan {
		err = errors.Join(err, r.auth.Configure(r.plan.auth), r.house.pond.Configure(ctx, r.plan.pond, r.plan.repositories))
	}
	return err
}

// watch obeys signals until ctx ends: the first to stop stops in good order, the second at once.
func (r *running) watch(ctx context.Context, stop func()) {
	stopping := false
	if r.again {
		r.reload(ctx, r.load)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-r.process.Signals:
			switch {
			case s == syscall.SIGHUP:
				if !stopping {
					r.reload(ctx, r.load)
				}
			case stopping:
				r.log.Warn("stopped at once", "signal", s.String())
				if r.process.Exit != nil {
					r.process.Exit(ExitFailed)
				}
			default:
				stopping = true
				r.log.Info("stopping: requests under way may end; a second signal stops at once", "signal", s.String())
				r.process.manager.stopping()
				stop()
			}
		case next := <-r.news:
			switch {
			case stopping:
			case r.plan.recalled:
				r.reload(ctx, func(context.Context) (*plan, error) { return next, nil })
			default: // next may be of an older file
				r.log.Info("the clients were asked again meanwhile, when the configuration was reloaded")
			}
		}
	}
}

// askAgain asks this machine's clients, since the start has only recalled what they once said, and has the pond take what is
// new.
func (r *running) askAgain(ctx context.Context, first *plan) {
	next, err := r.load(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		r.log.Warn("this machine's clients could not be asked where they read from; what they said at an earlier start stays", "error", err)
		return
	case config.SameAdoptions(first.adopted, next.adopted):
		return
	}
	r.log.Info("this machine's clients read from elsewhere than at an earlier start")
	select {
	case r.news <- next:
	case <-ctx.Done():
	}
}

// reload takes a configuration that is read again, and the certificate. All of it is taken, or nothing.
func (r *running) reload(ctx context.Context, load func(context.Context) (*plan, error)) {
	r.process.manager.reloading()
	defer func() { r.process.manager.ready(r.plan.base(r.listener.Addr()).String()) }()
	err := func() error {
		next, err := load(ctx)
		if err != nil {
			return err
		}
		if next.listen != r.plan.listen || next.data != r.plan.data || next.tls.local != r.plan.tls.local || next.tls.on() != r.plan.tls.on() {
			return &millpond.Error{Kind: millpond.Unsupported, Why: "listen, data and the kind of tls cannot change while the pond runs", Hint: "restart it"}
		}
		use, err := r.proof.renew(next)
		if err != nil {
			return err
		}
		if err := r.configure(ctx, next); err != nil {
			return err
		}
		use()
		if kept := r.plan.kept(next); len(kept) > 0 {
			r.log.Warn("some settings count from the next start on only", "settings", strings.Join(kept, ", "))
		}
		r.plan = next
		r.outward.begin(ctx, r, next)
		return nil
	}()
	r.server.Reloaded(err)
	if err != nil {
		r.log.Error("the configuration was not reloaded; the old one stays", "error", err)
		return
	}
	r.log.Info("the configuration was reloaded", "file", r.plan.file)
}

// ballastSize is what the collector believes to be in use and nobody touches, so that it costs no memory. A pond's own data
// is a few megabytes, and would be looked through each time that as much garbage has come together, some fifty times a
// second under load: a quarter of all the work. With ballast the garbage may be that much more.
const ballastSize = 8 << 20

// limitMemory tells the runtime what the process's control group allows, unless the environment says otherwise.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := server.MemoryLimit(); limit > 0 && limit < math.MaxInt64/10 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}
