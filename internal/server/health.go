package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"millpond/repo"
)

// stillAfter is how long something may stand still that never does in a process which is well.
const stillAfter = 5 * time.Second

// Alive says what of the process has not moved in the last five seconds, and would in a process started anew; nil if all does.
// Each loop that accepts connections, and each writer of the catalog, shows once a second that it moves, also where it has
// nothing to do. Nothing here touches storage. A writer inside a write to the disk is not counted as still, however long that
// takes: a disk that needs ten seconds for an fsync needs them after a restart too, which would only take from all readers
// what is served without the disk's help; /-/readyz?verbose tells of it. A full hall is not still either.
func (s *Server) Alive() error {
	e, now := &s.entrances, time.Now()
	e.mu.Lock()
	all := e.all()
	e.mu.Unlock()
	for _, one := range all {
		if still := one.gate.still(now); still > s.still {
			return fmt.Errorf("nothing has been accepted at %s for %s", one.gate.Addr(), still.Round(time.Second))
		}
	}
	return s.parts.Pond.Stuck(now, s.still)
}

// livez says whether the process is alive, as Alive does.
func (s *Server) livez(c *call) error {
	if err := s.Alive(); err != nil {
		return text(c.response, c.r, http.StatusServiceUnavailable, "not alive: "+err.Error()+"\n")
	}
	return text(c.response, c.r, http.StatusOK, "ok\n")
}

// A statsAnswer is what the pond's figures were a moment ago, so that health checks cost it little.
type statsAnswer struct {
	at    time.Time
	stats repo.Stats
	err   error
}

// statsSoon reads the pond's figures, or returns those of the last two seconds.
func (s *Server) statsSoon(ctx context.Context) (repo.Stats, error) {
	if a := s.figures.Load(); a != nil && time.Since(a.at) < 2*time.Second {
		return a.stats, a.err
	}
	// The answer is for others too: who asked first may go away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	stats, err := s.parts.Pond.Stats(ctx)
	s.figures.Store(&statsAnswer{at: time.Now(), stats: stats, err: err})
	return stats, err
}

// readyz says whether this node can serve what it holds. Upstreams do not count, and degraded is ready: ?verbose says what
// is wrong.
func (s *Server) readyz(c *call) error {
	x, r := c.response, c.r
	why := ""
	if state := s.state.Load(); state != nil {
		why = *state
	}
	stats, err := s.statsSoon(r.Context())
	if err != nil && why == "" {
		why = "the pond's records cannot be read"
	}
	status, word := http.StatusOK, "ready"
	if why != "" {
		status, word = http.StatusServiceUnavailable, "not ready: "+why
	}
	var b strings.Builder
	b.WriteString(word + "\n")
	if r.URL.Query().Has("verbose") {
		s.listParts(&b, c, stats, err)
	}
	return text(x, r, status, b.String())
}

// listParts lists the parts of the pond, one a line: "ok", "degraded" or "failed", the part, and the words.
func (s *Server) listParts(b *strings.Builder, c *call, stats repo.Stats, err error) {
	line := func(state, part, words string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-8s %-10s %s", state, part, words), " ") + "\n")
	}
	if err != nil {
		line("failed", "catalog", "cannot be read")
	} else {
		if since := stats.Writing.Since; since > stillAfter {
			line("degraded", "catalog", "the disk has been busy with one write for "+since.Round(time.Second).String())
		} else {
			line("ok", "catalog", "")
		}
		switch {
		case stats.Stopped != "":
			line("degraded", "store", "writes have stopped: "+stats.Stopped)
		case stats.Low:
			line("degraded", "store", fmt.Sprintf("the disk is low, %s free: what is fetched is not kept", bytesText(stats.Free)))
		default:
			line("ok", "store", "")
		}
	}
	if r := s.bird.Load(); r != nil {
		switch {
		case r.err != nil:
			line("degraded", "canary", r.err.Error())
		case r.buffered:
			line("ok", "canary", "through public_url; the front server passes answers on when they are whole, so that clients see nothing of a slow one")
		default:
			line("ok", "canary", "through public_url")
		}
	}
	t := c.t
	if !t.readsAll(&c.caller) {
		return // who may not read a repository is not told of its upstreams
	}
	for _, m := range t.order {
		if m.config.Listen != "" {
			if s.isOpen(m.config.Listen) {
				line("ok", "listener "+m.config.Listen, "")
			} else {
				line("degraded", "listener "+m.config.Listen, "nobody listens there")
			}
		}
		if words := s.noteOf(m.name, time.Now()); words != "" {
			line("degraded", "repository "+m.name, words)
		}
		for _, u := range m.repository.Upstreams() {
			name := "upstream " + m.name + "/" + u.Name
			switch {
			case t.settings.Offline:
				line("ok", name, "not asked: the pond is offline")
			case u.Alarm != "":
				line("degraded", name, u.Alarm)
			case u.Open:
				line("degraded", name, "not asked until "+u.Until.UTC().Format(time.TimeOnly+" UTC")+": "+u.Why)
			default:
				line("ok", name, "")
			}
		}
	}
}

// authority gives out the certificate that clients must trust, of a pond with an authority of its own.
func (s *Server) authority(c *call) error {
	x, r := c.response, c.r
	if s.parts.CA == nil {
		return &refusal{status: http.StatusNotFound, why: "this pond has no certificate authority of its own"}
	}
	h := x.Header()
	h.Set("Content-Type", "application/x-pem-file")
	h.Set("Content-Disposition", `attachment; filename="millpond-ca.pem"`)
	return send(x, r, http.StatusOK, string(s.parts.CA))
}

func text(x *response, r *http.Request, status int, body string) error {
	h := x.Header()
	h.Set("Content-Type", plainText)
	h["Cache-Control"] = noStore
	return send(x, r, status, body)
}

func send(x *response, r *http.Request, status int, body string) error {
	x.Header().Set("Content-Length", fmt.Sprint(len(body)))
	x.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(x, body) // the client that has left is told nothing
	}
	return nil
}

// bytesText is a size for people.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
