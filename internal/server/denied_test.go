package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"millpond"
	"millpond/internal/auth"
	"millpond/repo"
)

// counting notes what it is told of refusals.
type counting struct {
	*auth.Auth
	told []string
}

func (c *counting) Refused(by millpond.Actor, v millpond.Verb, repository string) {
	c.told = append(c.told, strings.Join([]string{by.Name, string(v), repository}, " "))
	c.Auth.Refused(by, v, repository)
}

// TestDenialsAreCounted asks for what may not be had, and for what may: each refusal is counted once, by its verb, where it
// was known whom it concerns.
func TestDenialsAreCounted(t *testing.T) {
	h := newHouse(t)
	reader := h.user("reader", "reader priv")
	told := &counting{Auth: h.auth}
	h.server.parts.Callers = told
	for _, c := range []struct {
		name, token, method, path, body string
		status                          int
		want, metric                    string
	}{
		{"a repository that it may not know of", reader, "GET", "/other/x/1", "", 403, "reader read other", "read"},
		{"one that is not there", reader, "GET", "/absent/x/1", "", 403, "reader read ", "read"},
		{"a verb that it has not", reader, "PUT", "/priv/x/1", "one", 403, "reader publish priv", "publish"},
		{"another", reader, "PATCH", "/priv/x/1", "", 403, "reader yank priv", "yank"},
		{"a call of the pond's", reader, "POST", "/-/api/takedowns", "{}", 403, "reader operate ", "operate"},
		{"a call in a repository", reader, "POST", "/-/api/repositories/priv/packages/x/delete", "{}", 403, "reader delete priv", "delete"},
		{"an operator's call", reader, "POST", "/-/api/check", "", 403, "reader operate ", "operate"},
		{"by nobody", "", "GET", "/priv/x/1", "", 401, " read priv", "read"},
		{"publishing by nobody", "", "PUT", "/pub/x/1", "one", 401, " publish pub", "publish"},
		{"a bad token, which identity counts itself", "mp_nonsense", "GET", "/pub/x/1", "", 401, "", "credential"},
		{"a bad password, which is no want of a right", "", "POST", "/-/api/login", `{"name":"root","password":"x"}`, 401, "", ""},
		{"who is known only", "", "GET", "/-/api/tokens", "", 401, "", ""},
		{"what is not there", reader, "GET", "/priv/x/1", "", 404, "", ""},
		{"what may be had", "", "GET", "/-/livez", "", 200, "", ""},
	} {
		told.told = nil
		before := denials(h)
		w := h.send(bearer(c.token), c.method, c.path, strings.NewReader(c.body))
		if w.Code != c.status || strings.Join(told.told, "; ") != c.want {
			t.Errorf("%s: %s %s = %d %s, told %q; want %d and %q", c.name, c.method, c.path, w.Code, w.Body, told.told, c.status, c.want)
		}
		after := denials(h)
		for verb, n := range after {
			if grown := n - before[verb]; grown != 0 && verb != c.metric || verb == c.metric && grown != 1 {
				t.Errorf("%s: denied_total of %s grew by %g, want it for %q only, by 1", c.name, verb, grown, c.metric)
			}
		}
		if c.metric != "" && after[c.metric] == 0 {
			t.Errorf("%s: denied_total has no %s: %v", c.name, c.metric, after)
		}
	}
}

// denials are the figures of denied_total by verb.
func denials(h *house) map[string]float64 {
	h.t.Helper()
	out := map[string]float64{}
	all, err := h.server.metrics.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() != "millpond_denied_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			out[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return out
}

// seeing notes the paths that identity sees.
type seeing struct {
	*auth.Auth
	paths []string
}

func (s *seeing) Identify(ctx context.Context, r *http.Request) (repo.Caller, error) {
	s.paths = append(s.paths, r.URL.EscapedPath())
	return s.Auth.Identify(ctx, r)
}

// TestCookiesBehindAFrontServerThatKeepsThePath logs in where the pond is below a path, which the front server passes on or
// cuts off: the login counts on the pond's own places, and nowhere else.
func TestCookiesBehindAFrontServerThatKeepsThePath(t *testing.T) {
	h := newHouse(t)
	saw := &seeing{Auth: h.auth}
	h.server.parts.Callers = saw
	public, _ := url.Parse("https://pond.example/pond/")
	var list []Repository
	for _, one := range h.pond.Repositories() {
		list = append(list, one)
	}
	if err := h.server.Configure(Settings{PublicURL: public, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, list); err != nil {
		t.Fatal(err)
	}
	session, err := h.auth.LogIn(t.Context(), "192.0.2.7", "root", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	cookie := header("Cookie", auth.CookieName+"="+session.Cookie)
	for _, c := range []struct {
		path, want string // the name that the pond knows
	}{
		{"/-/api/whoami", "root"}, {"/pond/-/api/whoami", "root"}, {"/pond/%2d/api/whoami", ""}, {"/pond/pond/-/api/whoami", ""},
	} {
		var who WhoDocument
		w := h.send("", "GET", c.path, nil, cookie)
		json.Unmarshal(w.Body.Bytes(), &who) // an error has no name
		if who.Name != c.want {
			t.Errorf("GET %s with a cookie = %d, as %q; want %q", c.path, w.Code, who.Name, c.want)
		}
	}
	for _, path := range []string{"/pond/priv/-/x", "/priv/-/x"} {
		if w := h.send("", "GET", path, nil, cookie); w.Code != 401 {
			t.Errorf("GET %s with a cookie only = %d, want 401: it counts on the pond's own places only", path, w.Code)
		}
	}
	saw.paths = nil
	h.send("", "GET", "/pond/-/api/repositories/a%2fb/packages/c%2Fd", nil)
	if len(saw.paths) != 1 || saw.paths[0] != "/-/api/repositories/a%2fb/packages/c%2Fd" {
		t.Errorf("identity saw %q, want the path as it was escaped, without the prefix", saw.paths)
	}
}
