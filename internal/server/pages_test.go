package server

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond/internal/auth"
)

// post sends a form as a browser of the pond's own pages does.
func (h *house) post(path string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	h.t.Helper()
	return h.send("", "POST", path, strings.NewReader(form.Encode()), append([]func(*http.Request){
		header("Content-Type", "application/x-www-form-urlencoded"), overTLS, header("Sec-Fetch-Site", "same-origin"), header("Origin", "https://pond.example")}, change...)...)
}

// overTLS is what a front server says of a request.
func overTLS(r *http.Request) {
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
}

func sessionOf(w *httptest.ResponseRecorder) *http.Cookie {
	for _, c := range w.Result().Cookies() {
		if c.Name == auth.CookieName {
			return c
		}
	}
	return nil
}

func withCookie(c *http.Cookie) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }
}

func TestLoginInABrowser(t *testing.T) {
	h := newHouse(t)
	right := url.Values{"name": {"root"}, "password": {"correct horse battery"}, "next": {"//evil.example/"}}
	w := h.post("/-/login", right)
	cookie := sessionOf(w)
	if w.Code != 303 || cookie == nil || !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Fatalf("login = %d %s, cookie %+v; want 303 and a cookie of this host alone", w.Code, w.Body, cookie)
	}
	for _, next := range []string{"//evil.example/", "/\\evil.example", "https://evil.example/", "/-/../x", "javascript:alert(1)", "/priv/"} {
		right.Set("next", next)
		if to := h.post("/-/login", right).Header().Get("Location"); to != "/-/" {
			t.Errorf("after a login with next=%q the browser goes to %q, want /-/", next, to)
		}
	}
	again := sessionOf(h.post("/-/login", right, withCookie(cookie)))
	if again == nil || again.Value == cookie.Value {
		t.Fatalf("a second login keeps the session %v", again)
	}
	if w := h.send("", "GET", "/-/api/users", nil, overTLS, withCookie(cookie)); w.Code != 401 {
		t.Errorf("the login whose place another has taken: %d, want 401", w.Code)
	}
	cookie = again
	page := h.send("", "GET", "/-/", nil, overTLS, withCookie(cookie))
	if page.Code != 200 || !strings.Contains(page.Body.String(), "root") || !strings.Contains(page.Body.String(), "Log out") {
		t.Errorf("the page of who is logged in = %d %s, want root", page.Code, page.Body)
	}
	csp := page.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(page.Body.String(), "<script") {
		t.Errorf("the page's policy is %q; want nothing but its own files, no frame, no script", csp)
	}
	if w := h.send("", "PUT", "/priv/widget/1", strings.NewReader("x"), overTLS, withCookie(cookie)); w.Code != 401 {
		t.Errorf("a cookie published: %d %s, want 401: it counts for pages only", w.Code, w.Body)
	}
	if w := h.send("", "GET", "/-/api/users", nil, overTLS, withCookie(cookie)); w.Code != 200 {
		t.Errorf("the API with a cookie = %d %s, want 200", w.Code, w.Body)
	}
	for name, change := range map[string]func(*http.Request){"another site": header("Sec-Fetch-Site", "cross-site"), "another origin": header("Origin", "https://evil.example")} {
		for _, path := range []string{"/-/api/groups", "/-/login", "/-/login/out", "/-/login/approve", "/priv/widget/1"} {
			if w := h.send("", "POST", path, strings.NewReader(`{"name": "evil"}`), overTLS, withCookie(cookie), change); w.Code != 403 {
				t.Errorf("POST %s from %s = %d %s, want 403", path, name, w.Code, w.Body)
			}
		}
	}
	if w := h.send("", "GET", "/-/api/users", nil, overTLS, withCookie(cookie), header("Origin", "https://evil.example")); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin may read the API: %v", w.Header())
	}
	out := h.post("/-/login/out", nil, withCookie(cookie))
	if c := sessionOf(out); out.Code != 303 || c == nil || c.MaxAge >= 0 {
		t.Errorf("log out = %d with %v, want the cookie forgotten", out.Code, c)
	}
	if w := h.send("", "GET", "/-/api/users", nil, overTLS, withCookie(cookie)); w.Code != 401 {
		t.Errorf("after log out the API = %d, want 401", w.Code)
	}
	if w := h.send("", "GET", "/-/login", nil, overTLS, withCookie(cookie)); w.Code != 200 || !strings.Contains(w.Body.String(), "Log in") {
		t.Errorf("after log out the login page = %d, want it shown", w.Code)
	}
}

// TestLoginEndsNoOtherCredential: what a client sends with a login beside a cookie, a token or a short one of another login,
// stays as it was.
func TestLoginEndsNoOtherCredential(t *testing.T) {
	h := newHouse(t)
	right := url.Values{"name": {"root"}, "password": {"correct horse battery"}}
	other, err := h.auth.LogIn(t.Context(), "192.0.2.7", "root", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	short, _, err := h.auth.Pass(t.Context(), other.Caller, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"token": h.user("ci"), "short token": short.Secret} {
		if w := h.post("/-/login", right, header("Authorization", bearer(secret))); w.Code != 303 || sessionOf(w) == nil {
			t.Fatalf("%s: the login = %d %s, want 303", name, w.Code, w.Body)
		}
		if w := h.send(bearer(secret), "GET", "/-/api/whoami", nil); w.Code != 200 {
			t.Errorf("%s: after a login it is %d %s, want 200", name, w.Code, w.Body)
		}
	}
}

// TestSensitiveCallsAskAgain: an unlocked browser reads, and changes nothing, once the proof is ten minutes old; a form without
// any script brings a new one. A token is asked for nothing.
func TestSensitiveCallsAskAgain(t *testing.T) {
	h := newHouse(t)
	password := url.Values{"name": {"root"}, "password": {"correct horse battery"}}
	cookie := sessionOf(h.post("/-/login", password))
	asks := map[string]string{} // of every call that changes something, what it answers
	change := func(who ...func(*http.Request)) {
		t.Helper()
		for _, r := range routes() {
			for _, method := range strings.Fields(r.methods) {
				if method == "GET" || method == "HEAD" || r.verb == verbOpen || r.path == "/-/api/logout" {
					continue
				}
				path := strings.NewReplacer("{repository}", "priv", "{package}", "widget").Replace(r.path)
				for strings.Contains(path, "{") {
					before, rest, _ := strings.Cut(path, "{")
					_, after, _ := strings.Cut(rest, "}")
					path = before + "nothing" + after
				}
				w := h.send("", method, path, strings.NewReader("{"), append([]func(*http.Request){overTLS, header("Sec-Fetch-Site", "same-origin")}, who...)...)
				asks[method+" "+r.path] = w.Header().Get("Www-Authenticate") + " " + w.Body.String()
			}
		}
	}
	const again = "insufficient_user_authentication"
	h.clock.Add(int64(auth.ProofLife))
	change(withCookie(cookie))
	for call, got := range asks {
		if strings.Contains(got, again) {
			t.Errorf("%s ten minutes after the login: %s", call, got)
		}
	}
	if len(asks) < 25 {
		t.Fatalf("only %d calls change something", len(asks))
	}
	h.clock.Add(int64(time.Minute))
	change(withCookie(cookie))
	for call, got := range asks {
		if call == "POST /-/login/approve" {
			if !strings.Contains(got, "Prove again that you are root") || !strings.Contains(got, `type="password"`) || strings.Contains(got, "<script") {
				t.Errorf("%s does not ask by a form: %s", call, got)
			}
		} else if !strings.HasPrefix(got, `Bearer error="`+again+`", max_age=600`) || !strings.Contains(got, "https://pond.example/-/login?again=1") {
			t.Errorf("%s eleven minutes after the login: %s, want to be asked for a proof", call, got)
		}
	}
	if w := h.send("", "GET", "/-/api/users", nil, overTLS, withCookie(cookie)); w.Code != 200 {
		t.Errorf("reading = %d %s, want 200: nothing is asked for it", w.Code, w.Body)
	}
	change(header("Authorization", h.admin))
	for call, got := range asks {
		if strings.Contains(got, again) {
			t.Errorf("%s with a token: %s", call, got)
		}
	}

	page := h.send("", "GET", "/-/login?again=1&next=/-/tokens", nil, overTLS, withCookie(cookie))
	if page.Code != 200 || !strings.Contains(page.Body.String(), `name="name" value="root"`) || !strings.Contains(page.Body.String(), `name="next" value="/-/tokens"`) {
		t.Errorf("the page that asks again = %d %s", page.Code, page.Body)
	}
	if w := h.post("/-/login", url.Values{"name": {"root"}, "password": {"wrong"}}, withCookie(cookie)); w.Code != 401 || sessionOf(w) != nil || !strings.Contains(w.Body.String(), "Prove again") {
		t.Errorf("a wrong password = %d %s, want 401 and to be asked again", w.Code, w.Body)
	}
	w := h.post("/-/login", url.Values{"name": {"root"}, "password": {"correct horse battery"}, "next": {"/-/tokens"}}, withCookie(cookie))
	proved := sessionOf(w)
	if w.Code != 303 || proved == nil || w.Header().Get("Location") != "/-/tokens" {
		t.Fatalf("the proof = %d %s to %q", w.Code, w.Body, w.Header().Get("Location"))
	}
	if w := h.send("", "POST", "/-/api/groups", strings.NewReader(`{"name": "friends"}`), overTLS, withCookie(proved), header("Sec-Fetch-Site", "same-origin"), header("Content-Type", "application/json")); w.Code != 204 {
		t.Errorf("after the proof = %d %s, want it done", w.Code, w.Body)
	}
}

func TestLoginThatIsRefused(t *testing.T) {
	h := newHouse(t)
	w := h.post("/-/login", url.Values{"name": {`"><script>alert(1)</script>`}, "password": {"x"}})
	if w.Code != 401 || sessionOf(w) != nil || strings.Contains(w.Body.String(), "<script>") || !strings.Contains(w.Body.String(), "<form") {
		t.Errorf("wrong name = %d %s, want the page again with the name inert", w.Code, w.Body)
	}
	w = h.send("", "POST", "/-/login", strings.NewReader("name=root&password=correct+horse+battery"), header("Content-Type", "application/x-www-form-urlencoded"))
	if w.Code != 403 || sessionOf(w) != nil || !strings.Contains(w.Body.String(), "https") {
		t.Errorf("login over plain http = %d %s, want it refused", w.Code, w.Body)
	}
}

// TestLetAClientHaveAToken is npm's login: a client begins, a person approves in a browser, the client polls.
func TestLetAClientHaveAToken(t *testing.T) {
	h := newHouse(t)
	var ticket TicketDocument
	h.ask("", "POST", "/-/api/login/tickets", nil, 200, &ticket)
	page, err := url.Parse(ticket.URL)
	if err != nil || page.Host != "pond.example" || page.Path != "/-/login" {
		t.Fatalf("the ticket's page is %q, want one of the pond", ticket.URL)
	}
	w := h.ask("", "GET", "/-/api/login/tickets/"+ticket.ID, nil, 429, nil)
	if w.Header().Get("Retry-After") == "" {
		t.Errorf("a poll too early: %v, want Retry-After", w.Header())
	}
	code := page.Query().Get("ticket")
	in := h.post("/-/login", url.Values{"name": {"root"}, "password": {"correct horse battery"}, "ticket": {code}})
	if to := in.Header().Get("Location"); to != "/-/login?ticket="+code {
		t.Fatalf("after the login the browser goes to %q, want the ticket's page", to)
	}
	cookie := sessionOf(in)
	shown := h.send("", "GET", "/-/login?ticket="+code, nil, overTLS, withCookie(cookie))
	if shown.Code != 200 || !strings.Contains(shown.Body.String(), "192.0.2.7") || !strings.Contains(shown.Body.String(), "Let it have a token") {
		t.Errorf("the ticket's page = %d %s, want who waits", shown.Code, shown.Body)
	}
	h.ask("", "GET", "/-/api/login/tickets/"+ticket.ID, nil, 429, nil)
	if w := h.post("/-/login/approve", url.Values{"ticket": {code}}); w.Code != 401 {
		t.Errorf("approved by nobody = %d, want 401", w.Code)
	}
	if w := h.post("/-/login/approve", url.Values{"ticket": {code}}, withCookie(cookie)); w.Code != 200 {
		t.Fatalf("approve = %d %s, want 200", w.Code, w.Body)
	}
	var token TokenDocument
	h.ask("", "GET", "/-/api/login/tickets/"+ticket.ID, nil, 200, &token)
	var who WhoDocument
	if h.ask(token.Secret, "GET", "/-/api/whoami", nil, 200, &who); who.Name != "root" {
		t.Errorf("the token is of %q, want root", who.Name)
	}
	h.ask("", "GET", "/-/api/login/tickets/"+ticket.ID, nil, 404, nil)
}

func TestExchangeAtTheRoot(t *testing.T) {
	h := newHouse(t)
	if w := h.send("", "GET", "/_/oidc/audience", nil); w.Code != 200 || !strings.Contains(w.Body.String(), `"millpond:pond.example"`) {
		t.Errorf("audience = %d %s, want the pond's own, whatever the Host", w.Code, w.Body)
	}
	for _, c := range []struct {
		name, path, authorization, body string
		status                          int
		want                            string
	}{
		{"no token", "/_/oidc/mint-token", "", `{}`, 422, `"errors":[`},
		{"no issuer is trusted", "/_/oidc/mint-token", "", `{"token": "x"}`, 501, `"description":`},
		{"npm, no credential", "/-/npm/v1/oidc/token/exchange/package/@acme%2fwidget", "", ``, 401, `"message":`},
		{"npm, no issuer is trusted", "/-/npm/v1/oidc/token/exchange/package/@acme%2fwidget", "Bearer eyJx.eyJ5.z", ``, 501, `"message":`},
		{"burn nothing", "/_/oidc/burn-token", "", `{"token": "x"}`, 404, `"errors":[`},
		{"any job, absent repository", "/-/api/oidc/exchange", "", `{"token": "x", "repository": "absent"}`, 403, `"kind"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.send(c.authorization, "POST", c.path, strings.NewReader(c.body))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%s = %d %s, want %d with %s", c.path, w.Code, w.Body, c.status, c.want)
			}
		})
	}
	var made TokenDocument
	h.ask(h.admin, "POST", "/-/api/tokens", NewToken{Name: "short"}, 200, &made)
	if w := h.send("", "POST", "/_/oidc/burn-token", strings.NewReader(`{"token": "`+made.Secret+`"}`)); w.Code != 200 {
		t.Errorf("burn = %d %s, want 200", w.Code, w.Body)
	}
	h.ask(made.Secret, "GET", "/-/api/whoami", nil, 401, nil)
}
