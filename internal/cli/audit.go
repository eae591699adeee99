package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"time"

	"millpond"
	"millpond/internal/audit"
	"millpond/internal/server"
	"millpond/policy"
)

type auditCommand struct {
	api
	Verify     bool   `help:"Read the whole log, compare it with itself and with the heads in --heads, and say whether it is what it was."`
	Heads      string `help:"With --verify: a file of heads noted earlier, a JSON document a line. The new head is added to it if all is well." placeholder:"FILE"`
	Key        string `help:"With --heads: the file is one that the pond sends signed heads to; they must be signed with this key, and nothing is added." placeholder:"HEX"`
	Here       bool   `help:"With --verify: read the chain and verify it on this machine, instead of asking the pond for its word. With --repository, who may see that one's events only is given hashes of the others, and verifies them all."`
	Since      string `help:"From then on: 2026-11-21, a time as RFC 3339 writes it, or 24h ago." placeholder:"TIME"`
	Until      string `help:"Until then." placeholder:"TIME"`
	Actor      string `help:"Of one person or service." placeholder:"NAME"`
	Verb       string `help:"Of one verb." placeholder:"VERB"`
	Repository string `help:"Of one repository." placeholder:"NAME"`
	Package    string `help:"Of one package." placeholder:"NAME"`
	Of         string `name:"of-version" help:"Of one version." placeholder:"VERSION"`
	Limit      int    `help:"At most so many." placeholder:"N"`
	Follow     bool   `help:"Go on waiting for more."`
	Format     string `enum:"text,jsonl,csv" default:"text" help:"text, jsonl (a JSON document a line), or csv."`
}

// Run shows or verifies the log.
func (c *auditCommand) Run(ctx context.Context, p *Process) error {
	if c.Verify {
		return c.verify(ctx, p)
	}
	if c.Heads != "" {
		return &millpond.Error{Kind: millpond.Invalid, Why: "--heads is for --verify"}
	}
	if c.Key != "" || c.Here {
		return &millpond.Error{Kind: millpond.Invalid, Why: "--key and --here are for --verify"}
	}
	q := url.Values{}
	for key, value := range map[string]string{"actor": c.Actor, "verb": c.Verb, "repository": c.Repository, "package": c.Package, "version": c.Of} {
		if value != "" {
			q.Set(key, value)
		}
	}
	for key, value := range map[string]string{"since": c.Since, "until": c.Until} {
		t, err := readTime(value, time.Now())
		if err != nil {
			return err
		}
		if !t.IsZero() {
			q.Set(key, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if c.Limit > 0 {
		q.Set("limit", fmt.Sprint(c.Limit))
	}
	if c.Follow {
		q.Set("follow", "1")
	}
	ask := request{method: "GET", path: []string{"events"}, query: q, accept: "application/x-ndjson"}
	if c.Format == "csv" {
		ask.accept = "text/csv"
	}
	resp, err := c.send(ctx, ask)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if c.Format != "text" || c.JSON {
		_, err = io.Copy(p.Out, resp.Body)
	} else {
		err = showEvents(p.Out, resp.Body)
	}
	if err != nil {
		return &millpond.Error{Kind: millpond.BadUpstream, Why: "the log ended early: this is not all of it", Err: err}
	}
	if c.Follow {
		return &millpond.Error{Kind: millpond.Unready, Why: "the pond tells no more: it is being stopped", Hint: "follow again once it runs, with --since"}
	}
	return nil
}

// showEvents draws an event a line, as it comes.
func showEvents(w io.Writer, lines io.Reader) error {
	d := json.NewDecoder(lines)
	for {
		var e server.EventDocument
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		actor := e.Actor
		if actor == "" {
			actor = "anonymous"
		}
		fmt.Fprintln(w, line([]any{fmt.Sprintf("%8d  %s  %-12s %-10s %s", e.Seq, when(e.Time), actor, e.Verb, e.Repository),
			millpond.Key{Package: e.Package, Version: e.Version, File: e.File}}))
	}
}

// readTime reads a day, a moment, or how long ago.
func readTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := policy.ParseDuration(s); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is no time", s), Hint: "2026-11-21, 2026-11-21T12:00:00Z, or 24h or 7d (ago)"}
}

// verify lets the pond read its whole log, and compares it with heads that were noted elsewhere.
func (c *auditCommand) verify(ctx context.Context, p *Process) error {
	in := server.VerifyDocument{}
	if c.Heads != "" {
		var err error
		if in.Heads, err = c.readHeads(); err != nil {
			return err
		}
	} else if c.Key != "" {
		return &millpond.Error{Kind: millpond.Invalid, Why: "--key is for --verify with --heads"}
	}
	if c.Here || c.Repository != "" {
		report, err := c.verifyHere(ctx, p, in.Heads)
		if err != nil {
			return err
		}
		if c.Heads != "" && c.Key == "" && report.Head.Seq > 0 && (len(in.Heads) == 0 || in.Heads[len(in.Heads)-1].Hash != report.Head.Hash) {
			if err := noteHead(c.Heads, report.Head); err != nil {
				return err
			}
		}
		return c.show(p, report, func(row func(...any)) {
			row(fmt.Sprintf("%d events, each as it was written; %d of them were shown", report.Events, report.Seen))
			row(fmt.Sprintf("%d heads noted earlier were compared", report.Heads))
			row(fmt.Sprintf("the head is event %d of epoch %d, %s", report.Head.Seq, report.Head.Epoch, report.Head.Hash))
		})
	}
	bar := p.working("the pond reads its log")
	var out server.VerifiedDocument
	err := c.call(ctx, request{method: "POST", path: []string{"audit", "verify"}, in: in}, &out)
	bar.done()
	if err != nil {
		return err
	}
	if !out.OK {
		if c.JSON {
			if err := printJSON(p.Out, out); err != nil {
				return err
			}
			return &exit{code: ExitUnverified}
		}
		if out.Seq == 0 {
			return &exit{ExitUnverified, &millpond.Error{Kind: millpond.Corrupt, Why: out.Why}}
		}
		return &exit{ExitUnverified, &millpond.Error{Kind: millpond.Corrupt, Why: fmt.Sprintf("the log is not what it was, from event %d of epoch %d on: %s", out.Seq, out.Epoch, out.Why)}}
	}
	if c.Heads != "" && c.Key == "" && out.Head.Seq > 0 && (len(in.Heads) == 0 || in.Heads[len(in.Heads)-1].Hash != out.Head.Hash) {
		if err := noteHead(c.Heads, out.Head); err != nil {
			return err
		}
	}
	return c.show(p, out, func(row func(...any)) {
		row(fmt.Sprintf("%d events, each as it was written", out.Events))
		if c.Heads != "" {
			row(fmt.Sprintf("%d heads noted earlier are in it", len(in.Heads)))
		}
		if out.Key != "" {
			row(fmt.Sprintf("%d heads that the pond has signed are in it; their key is %s", out.Signed, out.Key))
		}
		row(fmt.Sprintf("the head is event %d of epoch %d, %s", out.Head.Seq, out.Head.Epoch, out.Head.Hash))
	})
}

// readHeads reads the heads of the file; none if there is no such file yet.
func (c *auditCommand) readHeads() ([]server.HeadDocument, error) {
	if c.Key != "" {
		return c.readSigned()
	}
	path := c.Heads
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var heads []server.HeadDocument
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var h server.HeadDocument
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil || h.Hash == "" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s:%d: no head of a log", path, n)}
		}
		heads = append(heads, h)
	}
	return heads, lines.Err()
}

// readSigned reads the heads of a file that the pond sends them to. Who forged one of them, or another, is found out.
func (c *auditCommand) readSigned() (heads []server.HeadDocument, err error) {
	key, err := audit.ParseKey(c.Key)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(c.Heads)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	signed, problems, err := audit.Read(f, key)
	if err != nil {
		return nil, err
	}
	if problems != nil {
		return nil, &exit{ExitUnverified, &millpond.Error{Kind: millpond.Corrupt, Why: c.Heads + " is not what the pond has sent there: " + problems[0]}}
	}
	for i := range signed {
		h := signed[i].Head()
		heads = append(heads, server.HeadDocument{Epoch: h.Epoch, Seq: h.Seq, Hash: h.Hash.String(), Time: h.Time})
	}
	return heads, nil
}

func noteHead(path string, h server.HeadDocument) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
