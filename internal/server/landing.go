package server

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millpond/fetch"
	"millpond/format"
	"millpond/internal/ui"
	"millpond/repo"
)

// landing is the page at "/": what is here, how it is, and what a client needs.
func (s *Server) landing(c *call) error {
	x, r, t := c.response, c.r, c.t
	if t.front(x, r) {
		return nil
	}
	base := t.base(x.peer)
	p := &ui.Page{Version: s.parts.Version, Base: base.String(), Offline: t.settings.Offline, CA: s.parts.CA != nil}
	if !t.readsAll(&x.caller) {
		p.Alarms = append(p.Alarms, "Repositories that you may not read are not shown.")
	} else if stats, err := s.statsSoon(r.Context()); err != nil {
		p.Alarms = append(p.Alarms, "The pond's records cannot be read; its log says more.")
	} else {
		p.Figures, p.Alarms = figures(stats, t.settings.Offline)
	}
	for _, m := range t.order {
		if mayRead(&x.caller, &m.config) {
			p.Repositories = append(p.Repositories, m.draw(t.at(m, x.peer), t.settings.Offline))
		}
	}
	var b bytes.Buffer
	if err := ui.Landing(&b, p); err != nil {
		return err
	}
	h := x.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", ui.ContentPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h["Cache-Control"] = noStore
	return send(x, r, http.StatusOK, b.String())
}

func figures(stats repo.Stats, offline bool) (figures []ui.Fact, alarms []string) {
	figures = append(figures, ui.Fact{Label: "held files", Text: fmt.Sprint(stats.Held)}, ui.Fact{Label: "held bytes", Text: bytesText(stats.HeldBytes)})
	if stats.Free >= 0 {
		figures = append(figures, ui.Fact{Label: "free on disk", Text: bytesText(stats.Free)})
	}
	if !offline {
		figures = append(figures, ui.Fact{Label: "fetched since start", Text: bytesText(stats.Fetch.Bytes)})
	}
	if stats.Stopped != "" {
		alarms = append(alarms, "Writes have stopped until a restart: "+stats.Stopped+". What is held is still served.")
	} else if stats.Low {
		alarms = append(alarms, "The disk is low: what is fetched is passed on but not kept.")
	}
	return figures, alarms
}

// base is the pond's address as a client knows it; its path ends in "/".
func (t *table) base(p peer) *url.URL {
	if u := t.settings.PublicURL; u != nil {
		c := *u
		c.Path = strings.TrimSuffix(c.Path, "/") + "/"
		return &c
	}
	u := &url.URL{Scheme: p.scheme, Host: p.host, Path: "/"}
	if p.door != nil {
		u.Host = net.JoinHostPort(hostname(p.host), t.settings.Port)
		if u.Scheme = "http"; t.settings.TLS {
			u.Scheme = "https"
		}
	}
	return u
}

func (m *mount) draw(at *url.URL, offline bool) ui.Repository {
	one := ui.Repository{Name: m.name, Title: m.info.Title, URL: at.String(), Facts: m.facts()}
	if m.info.SetUp != nil {
		one.SetUp = m.info.SetUp(at)
	}
	states := map[string]fetch.State{}
	for _, u := range m.repository.Upstreams() {
		states[u.Name] = u
	}
	for _, u := range m.config.Upstreams {
		if u.Sibling != "" {
			one.Upstreams = append(one.Upstreams, ui.Upstream{Name: u.Sibling, State: "ok", Words: "another repository of this pond"})
			continue
		}
		shown := ui.Upstream{Name: u.Name}
		if u.URL != nil {
			shown.URL = redact(u.URL.String())
		}
		shown.State, shown.Words = health(states[u.Name], offline)
		one.Upstreams = append(one.Upstreams, shown)
	}
	return one
}

// health is the state of an upstream, and the words.
func health(u fetch.State, offline bool) (state, words string) {
	switch {
	case offline:
		return "idle", "not asked: the pond is offline"
	case u.Alarm != "":
		return "alarm", u.Alarm
	case u.Open:
		return "ill", "not asked until " + u.Until.UTC().Format(time.TimeOnly+" UTC") + ": " + u.Why
	case u.Requests == 0:
		return "idle", "not asked yet"
	case u.Failures > 0:
		return "ok", fmt.Sprintf("%d requests, %d failed", u.Requests, u.Failures)
	}
	return "ok", fmt.Sprintf("%d requests", u.Requests)
}

// facts are what the repository does beyond the defaults.
func (m *mount) facts() []ui.Fact {
	c := &m.config
	var facts []ui.Fact
	add := func(label, text string) { facts = append(facts, ui.Fact{Label: label, Text: text}) }
	for _, rule := range c.Policy.Names() {
		add("rule", rule)
	}
	if len(c.Claims) > 0 {
		add("claims", strings.Join(c.Claims, ", ")+": never asked of an upstream")
	}
	if c.Listen != "" {
		add("listens", "on "+c.Listen+", where it is the root")
	}
	if c.Union {
		add("merge", "union: each version from the first layer that has it")
	}
	for _, f := range c.Fill {
		if f.Mode != repo.Store {
			add("fill", cmp.Or(f.Pattern, "*")+": "+string(f.Mode))
		}
	}
	return facts
}

// assets serves the files that pages name.
func (s *Server) assets(c *call) error {
	x, r := c.response, c.r
	path := r.URL.EscapedPath()
	name := path[strings.LastIndexByte(path, '/')+1:]
	body, contentType := ui.Asset(name)
	if body == nil {
		return &refusal{status: http.StatusNotFound, why: "no such file"}
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	h := x.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", ui.ContentPolicy)
	h.Set("Etag", tag)
	h.Set("Cache-Control", "max-age=300")
	if r.Header.Get("If-None-Match") == tag {
		x.WriteHeader(http.StatusNotModified)
		return nil
	}
	return send(x, r, http.StatusOK, string(body))
}

// front lets a format answer that has a word in the root: by the request alone, whoever may read what.
func (t *table) front(x *response, r *http.Request) bool {
	names := map[format.Fronter][]string{}
	var order []format.Fronter
	for _, m := range t.order {
		f, ok := m.config.Format.(format.Fronter)
		if !ok {
			continue
		}
		if _, known := names[f]; !known {
			order, names[f] = append(order, f), nil
		}
		if mayRead(&x.caller, &m.config) {
			names[f] = append(names[f], m.name)
		}
	}
	for _, f := range order {
		if f.Front(x, r, names[f]) {
			return true
		}
	}
	return false
}
