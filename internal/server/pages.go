package server

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millpond"
	"millpond/format"
	"millpond/internal/auth"
	"millpond/internal/ui"
)

// The pages where people log in. They are forms that post to themselves: nothing here needs a script.

const pageCookie = "millpond-login" // of a login at a provider that is under way

func pageRoutes() []route {
	page := func(methods, path, about string, verb millpond.Verb, serve func(*Server, *call) error) route {
		return route{path: path, methods: methods, verb: verb, about: about, plain: true, serve: serve}
	}
	return []route{
		page("GET HEAD", "/-/", "The page of who is logged in.", verbOpen, (*Server).loginPage),
		page("GET HEAD", "/-/login", "The page to log in at, or to let a client that waits have a token; again asks also who is logged in.", verbOpen, (*Server).loginPage).asking("ticket", "next", "again"),
		page("POST", "/-/login", "Logs a person in with a password, or with the setup secret.", verbOpen, (*Server).logIn),
		page("POST", "/-/login/approve", "Lets a client that waits have a token.", verbSelf, (*Server).approveLogin).calmly(),
		page("POST", "/-/login/out", "Logs out.", verbOpen, (*Server).logOut),
		page("GET", "/-/login/provider", "Sends the browser to an identity provider.", verbOpen, (*Server).toProvider).asking("issuer", "ticket", "next", "again"),
		page("GET", "/-/login/callback", "Where an identity provider sends the browser back to.", verbOpen, (*Server).fromProvider).asking("state", "code", "error"),
	}
}

// nextPage is where a login leads: a page of the pond's own, whatever was asked for.
func nextPage(ticket, next string) string {
	if ticket != "" {
		return "/-/login?ticket=" + url.QueryEscape(ticket)
	}
	return auth.LocalPath(next)
}

func (s *Server) loginPage(c *call) error {
	q := c.r.URL.Query()
	p := &ui.Login{Ticket: q.Get("ticket"), Next: q.Get("next"), Again: q.Get("again") != ""}
	return s.drawLogin(c, http.StatusOK, p)
}

// drawLogin fills in what every such page says.
func (s *Server) drawLogin(c *call, status int, p *ui.Login) error {
	people, err := s.people()
	if err != nil {
		return err
	}
	p.Version, p.Root, p.Name = s.parts.Version, c.t.base(c.peer).Path, c.caller.Name
	p.Passwords, p.Providers = people.Passwords(), people.Providers()
	p.Again = p.Again && p.Name != ""
	if p.Done == "" && p.Ticket != "" && p.Name != "" && !p.Again {
		w, err := people.Ticket(c.r.Context(), p.Ticket)
		switch {
		case err == nil:
			p.Waiting = &ui.Waiting{Code: w.Code, Client: w.Client, Format: w.Format, Since: w.Created.UTC().Format(time.TimeOnly + " UTC")}
		case millpond.Is(err, millpond.NotFound):
			status = http.StatusNotFound
			p.Alarm, p.Hint = format.Words(err)
		default:
			return err
		}
	}
	var b bytes.Buffer
	if err := ui.DrawLogin(&b, p); err != nil {
		return err
	}
	h := c.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", ui.FormPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h["Cache-Control"] = noStore
	return send(c.response, c.r, status, b.String())
}

// drawRefusal draws the page again, with what went wrong; what is nobody's fault but the pond's stays an error.
func (s *Server) drawRefusal(c *call, err error, p *ui.Login) error {
	kind := millpond.KindOf(err)
	if kind == millpond.Internal {
		return err
	}
	c.Failed(err)
	p.Alarm, p.Hint = format.Words(err)
	return s.drawLogin(c, kind.Status(), p)
}

// readForm reads a form of the pond's own pages.
func readForm(r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the form cannot be read", Err: err}
	}
	return r.PostForm, nil
}

func (s *Server) logIn(c *call) error {
	people, err := s.people()
	if err != nil {
		return err
	}
	form, err := readForm(c.r)
	if err != nil {
		return err
	}
	if err := c.secure(); err != nil {
		return err
	}
	session, err := people.LogIn(c.r.Context(), c.caller.Client, form.Get("name"), form.Get("password"))
	if err != nil {
		return s.drawRefusal(c, err, &ui.Login{Ticket: form.Get("ticket"), Next: form.Get("next"), Typed: form.Get("name"), Again: strings.EqualFold(form.Get("name"), c.caller.Name)})
	}
	return c.enterPages(people, session, nextPage(form.Get("ticket"), form.Get("next")))
}

// secure refuses to set a cookie where anybody on the way could read it.
func (c *call) secure() error {
	if c.peer.scheme == "https" || c.peer.bare() {
		return nil
	}
	return &millpond.Error{Kind: millpond.Denied, Why: "people log in over https only: a password or cookie could be read on the way",
		Hint: "set tls in the configuration, or put a front server before the pond"}
}

// cookie is one that a page sets; its name says that it belongs to this host alone, where a browser takes such a name.
func (c *call) cookie(name, secureName, value string, life int) *http.Cookie {
	k := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: life}
	if c.peer.scheme == "https" {
		k.Name, k.Secure = secureName, true
	}
	return k
}

// enterPages gives the browser its login session, and sends it on.
func (c *call) enterPages(people People, session *auth.Session, next string) error {
	if err := people.LogOut(c.r.Context(), c.caller); err != nil { // of the login whose place this one takes
		return err
	}
	http.SetCookie(c.response, c.cookie(auth.PlainCookieName, auth.CookieName, session.Cookie, 0)) // ends with the browser
	return c.sendTo(next)
}

// sendTo redirects a browser to a page of the pond's own.
func (c *call) sendTo(path string) error { return c.redirect(c.t.under + path) }

func (c *call) redirect(to string) error {
	h := c.Header()
	h.Set("Location", to)
	h["Cache-Control"] = noStore
	h.Set("Content-Length", "0")
	c.WriteHeader(http.StatusSeeOther)
	return nil
}

func (s *Server) approveLogin(c *call) error {
	people, err := s.people()
	if err != nil {
		return err
	}
	form, err := readForm(c.r)
	if err != nil {
		return err
	}
	if err := s.provedLately(c); err != nil {
		return s.drawRefusal(c, plain(err), &ui.Login{Ticket: form.Get("ticket"), Again: true})
	}
	if err := people.ApproveTicket(c.r.Context(), c.caller, form.Get("ticket")); err != nil {
		return s.drawRefusal(c, err, &ui.Login{})
	}
	return s.drawLogin(c, http.StatusOK, &ui.Login{Done: "The client that waited has its token. You can close this page."})
}

func (s *Server) logOut(c *call) error {
	people, err := s.people()
	if err != nil {
		return err
	}
	if err := people.LogOut(c.r.Context(), c.caller); err != nil {
		return err
	}
	c.dropCookie()
	return c.sendTo("/-/login")
}

// dropCookie makes the browser forget its login.
func (c *call) dropCookie() {
	http.SetCookie(c.response, c.cookie(auth.PlainCookieName, auth.CookieName, "", -1))
}

func (s *Server) toProvider(c *call) error {
	people, err := s.people()
	if err != nil {
		return err
	}
	if err := c.secure(); err != nil {
		return err
	}
	q := c.r.URL.Query()
	to, err := people.BeginOIDC(c.r.Context(), c.caller.Client, auth.OIDCLogin{Issuer: q.Get("issuer"), Again: q.Get("again") != "",
		Callback: c.t.base(c.peer).JoinPath("-/login/callback").String(), Next: nextPage(q.Get("ticket"), q.Get("next"))})
	if err != nil {
		return err
	}
	http.SetCookie(c.response, c.cookie(pageCookie, "__Host-"+pageCookie, to.Cookie, 600))
	return c.redirect(to.URL)
}

func (s *Server) fromProvider(c *call) error {
	people, err := s.people()
	if err != nil {
		return err
	}
	if err := c.secure(); err != nil {
		return err
	}
	q := c.r.URL.Query()
	given, err := c.r.Cookie(c.cookie(pageCookie, "__Host-"+pageCookie, "", 0).Name)
	var session *auth.Session
	var next string
	switch {
	case err != nil:
		err = &millpond.Error{Kind: millpond.Unauthenticated, Why: "this browser began no login", Hint: "log in again"}
	case q.Get("error") != "":
		err = &millpond.Error{Kind: millpond.Unauthenticated, Why: "the identity provider refused: " + quote(q.Get("error"))}
	default:
		session, next, err = people.FinishOIDC(c.r.Context(), c.caller.Client, given.Value, q.Get("state"), q.Get("code"))
	}
	if err != nil {
		return s.drawRefusal(c, err, &ui.Login{})
	}
	http.SetCookie(c.response, c.cookie(pageCookie, "__Host-"+pageCookie, "", -1))
	return c.enterPages(people, session, auth.LocalPath(next))
}
