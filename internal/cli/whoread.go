package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
	"millpond/internal/server"
)

type whoReadCommand struct {
	output
	What  string   `arg:"" name:"purl-or-digest" help:"A package-url (pkg:pypi/demo@1.0, or pkg:pypi/demo for every version), or the digest of bytes (sha256:…)."`
	Logs  []string `arg:"" optional:"" name:"log" help:"Files with the pond's request log, .gz too; what is piped in if none is named."`
	Since string   `help:"From then on: 2026-11-21, a time as RFC 3339 writes it, or 24h ago." placeholder:"TIME"`
}

// A reading is who has read, as the request log says it.
type reading struct {
	Actor    string    `json:"actor,omitempty"` // "" is anonymous
	Client   string    `json:"client,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	Requests int       `json:"requests"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Read     []string  `json:"read"` // repository, version and file
}

// Run lists who has got bytes of a package, a version or a digest.
func (c *whoReadCommand) Run(ctx context.Context, p *Process) error {
	wanted, err := c.wanted(p)
	if err != nil {
		return err
	}
	since, err := readTime(c.Since, time.Now())
	if err != nil {
		return err
	}
	readers := map[[3]string]*reading{}
	lines := 0
	look := func(r io.Reader) error {
		return eachRequest(ctx, r, func(q *requestLine) {
			lines++
			if q.Time.Before(since) || !wanted(q) {
				return
			}
			who := [3]string{q.Actor, q.Client, q.Agent}
			one := readers[who]
			if one == nil {
				one = &reading{Actor: q.Actor, Client: q.Client, Agent: q.Agent, First: q.Time}
				readers[who] = one
			}
			one.Requests++
			one.First, one.Last = earlier(one.First, q.Time), later(one.Last, q.Time)
			if what := strings.Join(strings.Fields(q.Repository+" "+q.Package+" "+q.Version+" "+q.File), " "); !slices.Contains(one.Read, what) {
				one.Read = append(one.Read, what)
			}
		})
	}
	if len(c.Logs) == 0 && p.In != nil {
		err = look(p.In)
	}
	for _, name := range c.Logs {
		if err = errors.Join(err, inLog(name, look)); err != nil {
			break
		}
	}
	if err != nil {
		return err
	}
	if lines == 0 {
		return &millpond.Error{Kind: millpond.NotFound, Why: "there is no line of a request in what was read",
			Hint: "it is what the pond writes to standard error, with log: {format: json, access: true}: journalctl -u millpond -o cat | millpond who-read " + c.What}
	}
	all := make([]*reading, 0, len(readers))
	for _, one := range readers {
		slices.Sort(one.Read)
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *reading) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Actor, b.Actor), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Agent, b.Agent))
	})
	return c.show(p, all, func(row func(...any)) {
		for _, one := range all {
			row(cmp.Or(one.Actor, "anonymous"), one.Client, when(one.First), when(one.Last), fmt.Sprintf("%d×", one.Requests), one.Agent)
			for _, what := range one.Read {
				row("  " + what)
			}
		}
		if len(all) == 0 {
			row(fmt.Sprintf("nobody, in %d requests", lines))
		}
	})
}

// wanted reports of a request whether it is one that is asked for.
func (c *whoReadCommand) wanted(p *Process) (func(*requestLine) bool, error) {
	if !strings.HasPrefix(c.What, "pkg:") {
		d, err := millpond.ParseDigest(c.What)
		if err != nil {
			return nil, err
		}
		return func(q *requestLine) bool { return q.Digest == d.String() }, nil
	}
	kind, name, version, err := server.ParsePURL(c.What)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(p.formats(), func(f format.Format) bool { return f.Info().PURL == kind || f.Info().Name == kind })
	if i < 0 {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("no format here has packages of type %q", kind)}
	}
	f := p.formats()[i]
	if name, err = f.Canon(name); err != nil {
		return nil, err
	}
	return func(q *requestLine) bool {
		return q.Format == f.Info().Name && q.Package == name && q.Version+q.File != "" &&
			(version == "" || q.Version == version || q.Version != "" && f.Compare(q.Version, version) == 0)
	}, nil
}

// A requestLine is what is read of one line of the request log.
type requestLine struct {
	Time       time.Time `json:"time"`
	Msg        string    `json:"msg"`
	Actor      string    `json:"actor"`
	Client     string    `json:"client"`
	Agent      string    `json:"agent"`
	Method     string    `json:"method"`
	Format     string    `json:"format"`
	Repository string    `json:"repository"`
	Package    string    `json:"package"`
	Version    string    `json:"version"`
	File       string    `json:"file"`
	Digest     string    `json:"digest"`
	Status     int       `json:"status"`
}

// read reports whether the client has the bytes now: it got them, some of them, or had them already.
func (q *requestLine) read() bool {
	return q.Method == "GET" && (q.Status == 200 || q.Status == 206 || q.Status == 302 || q.Status == 304)
}

// longestLogLine is how much of one line is read: its path and its agent have bounds of their own.
const longestLogLine = 1 << 20

// eachRequest calls f for every request that a client has got bytes by. What a log's keeper has put before a line does no harm.
func eachRequest(ctx context.Context, r io.Reader, f func(*requestLine)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLogLine)
	for lines.Scan() {
		line := lines.Bytes()
		at := bytes.IndexByte(line, '{')
		if at < 0 || !bytes.Contains(line, []byte(`"msg":"request"`)) {
			continue
		}
		var q requestLine
		if json.Unmarshal(line[at:], &q) == nil && q.Msg == "request" && q.read() {
			f(&q)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return lines.Err()
}

// inLog opens a file of a log, unpacked.
func inLog(name string, look func(io.Reader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := look(r); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
