package server

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/internal/audit"
	"millpond/repo"
)

// Heads are the ends of the log that the pond has signed. *audit.Notary has them.
type Heads interface {
	Heads() (heads []audit.Signed, problems []string, err error)
	KeyText() string
}

// Records are the record of changes. catalog.Catalog has them.
type Records interface {
	catalog.Log
	Events(ctx context.Context, seq int64) iter.Seq2[millpond.Event, error]
}

// The documents of the calls about events.
type (
	// EventDocument is one change.
	EventDocument struct {
		Epoch      int64           `json:"epoch"`
		Seq        int64           `json:"seq"`
		Time       time.Time       `json:"time"`
		Actor      string          `json:"actor,omitempty"`
		Token      string          `json:"token,omitempty"`
		Client     string          `json:"client,omitempty"`
		Request    string          `json:"request,omitempty"`
		Verb       string          `json:"verb"`
		Repository string          `json:"repository,omitempty"`
		Layer      string          `json:"layer,omitempty"`
		Package    string          `json:"package,omitempty"`
		Version    string          `json:"version,omitempty"`
		File       string          `json:"file,omitempty"`
		Detail     json.RawMessage `json:"detail,omitempty"`
		Hash       string          `json:"hash,omitempty"`
	}
	// LinkDocument is a link of the chain: Hash is SHA-256 of the hash before it (32 zero bytes before the first) and of SHA-256
	// of Body, which is BodyHash where the caller may not see the event.
	LinkDocument struct {
		Epoch    int64  `json:"epoch"`
		Seq      int64  `json:"seq"`
		Body     string `json:"body,omitempty"` // JSON, as it was hashed
		BodyHash string `json:"body_hash,omitempty"`
		Hash     string `json:"hash"`
	}
	// HeadDocument is the end of the log at some time.
	HeadDocument struct {
		Epoch int64     `json:"epoch"`
		Seq   int64     `json:"seq"`
		Hash  string    `json:"hash"`
		Time  time.Time `json:"time,omitzero"`
	}
	// VerifyDocument are heads that were noted earlier, to compare the log with.
	VerifyDocument struct {
		Heads []HeadDocument `json:"heads,omitempty"`
	}
	// VerifiedDocument says whether the log is what it was.
	VerifiedDocument struct {
		OK     bool         `json:"ok"`
		Events int64        `json:"events"`
		Head   HeadDocument `json:"head"`
		Signed int          `json:"signed"`          // heads that the pond itself had signed, which were compared too
		Key    string       `json:"key,omitempty"`   // what their signatures are checked with
		Epoch  int64        `json:"epoch,omitempty"` // of the first event that is wrong
		Seq    int64        `json:"seq,omitempty"`
		Why    string       `json:"why,omitempty"`
	}
)

func eventRoutes() []route {
	return []route{
		{path: "/-/api/events", methods: "GET HEAD", verb: millpond.VerbAudit, scope: inQuery, out: []EventDocument{}, serve: (*Server).listEvents,
			about: "What has changed: JSON, JSON lines (Accept: application/x-ndjson) or CSV (Accept: text/csv). follow=1 with JSON lines waits for more.",
			query: []string{"after", "before", "since", "until", "actor", "verb", "repository", "package", "version", "newest", "limit", "follow"}},
		op("GET", "/-/api/audit/head", millpond.VerbAudit, inPond, "The end of the log.", (*Server).logHead),
		{path: "/-/api/audit/chain", methods: "GET HEAD", verb: millpond.VerbAudit, scope: inQuery, out: []LinkDocument{}, serve: (*Server).listChain,
			about: "The record of changes as it is chained, as JSON lines: for who verifies it elsewhere. Of what the caller may not see there is the hash of its body.",
			query: []string{"after", "repository"}},
		op("POST", "/-/api/audit/verify", millpond.VerbAudit, inPond, "Reads the whole log and compares it with itself, with the heads that the pond has signed, and with heads noted earlier.", (*Server).verifyLog),
	}
}

func (s *Server) records() (Records, error) {
	if s.parts.Records == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "this pond keeps no record of changes"}
	}
	return s.parts.Records, nil
}

// most events in one JSON document; lines have no end.
const mostEvents = 1000

func (s *Server) listEvents(c *call) error {
	records, err := s.records()
	if err != nil {
		return err
	}
	f, follow, err := readFilter(c.r.URL.Query())
	if err != nil {
		return err
	}
	accept := c.r.Header.Get("Accept")
	lines, table := strings.Contains(accept, "application/x-ndjson"), strings.Contains(accept, "text/csv")
	switch {
	case follow && !lines:
		return &millpond.Error{Kind: millpond.Invalid, Why: "only JSON lines can be followed", Hint: "send Accept: application/x-ndjson"}
	case follow && (f.Newest || f.Limit > 0 || f.Before > 0 || !f.Until.IsZero()):
		return &millpond.Error{Kind: millpond.Invalid, Why: "what is followed has no end: no newest, limit, before or until"}
	case c.r.Method == http.MethodHead:
		return sendJSON(c, http.StatusOK, []EventDocument{})
	case lines:
		return s.streamEvents(c, records, f, follow)
	case table:
		return s.tableEvents(c, records, f)
	}
	if f.Limit == 0 || f.Limit > mostEvents {
		f.Limit = mostEvents
	}
	out := []EventDocument{}
	for e, err := range records.Find(c.r.Context(), f) {
		if err != nil {
			return err
		}
		out = append(out, describeEvent(e))
	}
	return sendJSON(c, http.StatusOK, out)
}

// streamEvents writes an event a line, as it comes.
func (s *Server) streamEvents(c *call, records Records, f catalog.Filter, follow bool) error {
	h := c.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h["Cache-Control"] = noStore
	line := json.NewEncoder(c.response)
	for e, err := range records.Find(c.r.Context(), f) {
		if err == nil {
			err = line.Encode(describeEvent(e))
			f.After = e.Seq
		}
		if err != nil {
			return c.cut(err)
		}
	}
	if !follow {
		return nil
	}
	c.Flush()
	ctx, end := context.WithCancel(c.r.Context())
	defer end()
	defer context.AfterFunc(s.staying, end)()
	for e, err := range records.Events(ctx, f.After) {
		if c.r.Context().Err() != nil {
			return c.cut(c.r.Context().Err())
		}
		if s.staying.Err() != nil {
			return nil // what it was told is whole; it comes again, to who serves then
		}
		if err == nil {
			err = s.stillMay(c)
		}
		if err == nil && matches(&f, &e) {
			err = line.Encode(describeEvent(&e))
		}
		if err != nil {
			return c.cut(err)
		}
		c.Flush()
	}
	return nil
}

// A Lasting knows callers as they are now, for connections that last.
type Lasting interface {
	// Still is Unauthenticated once what the caller came with has ended.
	Still(c repo.Caller) (repo.Caller, error)
}

// stillMay asks again, of a call that lasts, what was asked before it began.
func (s *Server) stillMay(c *call) error {
	l, ok := s.parts.Callers.(Lasting)
	if !ok {
		return nil
	}
	now, err := l.Still(c.caller)
	if err != nil {
		return err
	}
	c.caller = now
	return c.t.may(c)
}

// cut ends an answer of which something was sent, so that nobody takes what they have as whole; what was not begun can
// still be told.
func (c *call) cut(err error) error {
	if c.status == 0 {
		return err
	}
	c.Failed(err)
	panic(http.ErrAbortHandler)
}

// matches reports whether an event is one that a filter without an end chooses.
func matches(f *catalog.Filter, e *millpond.Event) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	return same(f.Actor, e.Actor.Name) && same(f.Verb, e.Verb) && same(f.Repository, e.Repository) && same(f.Package, e.Key.Package) &&
		same(f.Version, e.Key.Version) && !e.Time.Before(f.Since)
}

var csvHeader = []string{"epoch", "seq", "time", "actor", "token", "client", "request", "verb", "repository", "layer", "package", "version", "file", "detail", "hash"}

func (s *Server) tableEvents(c *call, records Records, f catalog.Filter) error {
	h := c.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", `attachment; filename="events.csv"`)
	h["Cache-Control"] = noStore
	w := csv.NewWriter(c.response)
	if err := w.Write(csvHeader); err != nil {
		return c.cut(err)
	}
	for e, err := range records.Find(c.r.Context(), f) {
		if err == nil {
			err = w.Write(row(e))
		}
		if err != nil {
			return c.cut(err)
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return c.cut(err)
	}
	return nil
}

func row(e *millpond.Event) []string {
	cells := []string{strconv.FormatInt(e.Epoch, 10), strconv.FormatInt(e.Seq, 10), e.Time.UTC().Format(time.RFC3339Nano), e.Actor.Name, e.Token, e.Client,
		e.Request, e.Verb, e.Repository, e.Layer, e.Key.Package, e.Key.Version, e.Key.File, string(e.Detail), e.Hash.String()}
	for i, cell := range cells[3:] {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			cells[i+3] = "'" + cell // a spreadsheet would take it for a formula
		}
	}
	return cells
}

func describeEvent(e *millpond.Event) EventDocument {
	return EventDocument{Epoch: e.Epoch, Seq: e.Seq, Time: e.Time, Actor: e.Actor.Name, Token: e.Token, Client: e.Client, Request: e.Request, Verb: e.Verb,
		Repository: e.Repository, Layer: e.Layer, Package: e.Key.Package, Version: e.Key.Version, File: e.Key.File, Detail: e.Detail, Hash: e.Hash.String()}
}

// readFilter reads what events are asked for.
func readFilter(q url.Values) (f catalog.Filter, follow bool, err error) {
	number := func(name string) int64 {
		text := q.Get(name)
		if text == "" || err != nil {
			return 0
		}
		n, bad := strconv.ParseInt(text, 10, 63)
		if bad != nil || n < 0 {
			err = &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s is %s, which is no number", name, quote(text))}
		}
		return n
	}
	moment := func(name string) time.Time {
		text := q.Get(name)
		if text == "" || err != nil {
			return time.Time{}
		}
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, bad := time.Parse(layout, text); bad == nil {
				return t
			}
		}
		err = &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s is %s, which is no time", name, quote(text)), Hint: "2026-01-31, or 2026-01-31T12:00:00Z"}
		return time.Time{}
	}
	f = catalog.Filter{After: number("after"), Before: number("before"), Since: moment("since"), Until: moment("until"), Actor: q.Get("actor"), Verb: q.Get("verb"),
		Repository: q.Get("repository"), Package: q.Get("package"), Version: q.Get("version"), Newest: q.Get("newest") == "1", Limit: int(min(number("limit"), 1<<30))}
	return f, q.Get("follow") == "1", err
}

// listChain writes a link a line.
func (s *Server) listChain(c *call) error {
	records, err := s.records()
	if err != nil {
		return err
	}
	f, _, err := readFilter(c.r.URL.Query())
	if err != nil {
		return err
	}
	all := c.caller.Rights != nil && c.caller.Rights.May(millpond.VerbAudit, pondWide, "")
	h := c.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h["Cache-Control"] = noStore
	if c.r.Method == http.MethodHead {
		c.WriteHeader(http.StatusOK)
		return nil
	}
	line := json.NewEncoder(c.response)
	for l, err := range records.Chain(c.r.Context(), f.After) {
		if err == nil {
			one := LinkDocument{Epoch: l.Event.Epoch, Seq: l.Event.Seq, Hash: l.Event.Hash.String()}
			if all || f.Repository != "" && l.Event.Repository == f.Repository { // whose audit the route has asked for
				one.Body = string(l.Body)
			} else {
				one.BodyHash = millpond.SHA256(l.Body).String()
			}
			err = line.Encode(one)
		}
		if err != nil {
			return c.cut(err)
		}
	}
	return nil
}

func (s *Server) logHead(c *call, _ nothing) (HeadDocument, error) {
	records, err := s.records()
	if err != nil {
		return HeadDocument{}, err
	}
	h, err := records.Head(c.r.Context())
	return describeHead(h), err
}

func describeHead(h catalog.Head) HeadDocument {
	return HeadDocument{Epoch: h.Epoch, Seq: h.Seq, Hash: h.Hash.String(), Time: h.Time}
}

func (s *Server) verifyLog(c *call, in VerifyDocument) (*VerifiedDocument, error) {
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	var heads []catalog.Head
	for _, h := range in.Heads {
		d, err := millpond.ParseDigest(h.Hash)
		if err != nil {
			return nil, err
		}
		heads = append(heads, catalog.Head{Epoch: h.Epoch, Seq: h.Seq, Hash: d, Time: h.Time})
	}
	var signed []audit.Signed
	var problems []string
	key := ""
	if s.parts.Heads != nil {
		if signed, problems, err = s.parts.Heads.Heads(); err != nil {
			return nil, err
		}
		key = s.parts.Heads.KeyText()
		for i := range signed {
			heads = append(heads, signed[i].Head())
		}
	}
	wrong, n, err := records.Verify(c.r.Context(), heads)
	if err != nil {
		return nil, err
	}
	head, err := records.Head(c.r.Context())
	if err != nil {
		return nil, err
	}
	out := &VerifiedDocument{OK: wrong == nil && problems == nil, Events: n, Head: describeHead(head), Signed: len(signed), Key: key}
	if problems != nil {
		out.Why = "the file of signed heads is not what it was: " + problems[0]
	}
	if wrong != nil {
		out.Epoch, out.Seq, out.Why = wrong.Epoch, wrong.Seq, wrong.Why
	}
	return out, nil
}
