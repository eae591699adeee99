package server

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/catalog"
	"millpond/fetch"
	"millpond/format"
	"millpond/format/debian"
	"millpond/format/golang"
	"millpond/format/npm"
	"millpond/format/oci"
	"millpond/format/pypi"
	"millpond/repo"
)

// roleVerbs is what each role may do, written by hand from the rules and not from the code.
var roleVerbs = map[string][]millpond.Verb{
	"anonymous":  {},
	"reader":     {"read"},
	"publisher":  {"read", "publish"},
	"maintainer": {"read", "publish", "overwrite", "move", "yank", "delete", "promote"},
	"owner":      {"read", "publish", "overwrite", "move", "yank", "delete", "promote", "grant", "rule"},
	"operator":   {"operate"},
	"auditor":    {"audit"},
}

// wideRoles are granted in the whole pond, the others in priv alone.
var wideRoles = []string{"operator", "auditor"}

// mayCall says whether a role may use a route about priv.
func mayCall(role string, r *route) bool {
	may := slices.Contains(roleVerbs[role], r.verb)
	switch {
	case r.verb == verbOpen, r.verb == millpond.VerbRead && r.scope == inBody:
		return true
	case r.verb == verbSelf:
		return role != "anonymous"
	case r.verb == verbStats, r.verb == verbHere:
		return role == "operator"
	case r.scope == inPond || r.scope == inQuery:
		return may && slices.Contains(wideRoles, role)
	}
	return may
}

// example is a path of a route, about a package of a repository.
func (r *route) example(repository string) string {
	return strings.NewReplacer("{repository}", repository, "{package}", "widget", "{filename}", "widget-9.paper",
		"{user}", "nobody", "{group}", "nothing", "{id}", "none", "{ticket}", "a.b", "{code}", "none").Replace(r.path)
}

// walk asks every route as every role, and returns the decisions that are not the table's.
func walk(h *house, tokens map[string]string) (wrong []string) {
	for _, r := range h.server.table.Load().routes {
		if strings.Contains(r.path, "{ticket}") || strings.Contains(r.path, "oidc") || strings.HasPrefix(r.path, "/-/login") || r.path == "/-/api/login" || r.path == "/-/api/setup" || r.path == "/-/api/logout" {
			continue // they read another credential, and say 401 of it
		}
		for role := range roleVerbs {
			method := strings.Fields(r.methods)[0]
			events, upstream := h.events(), h.upstream.Load()
			w := h.send(bearer(tokens[role]), method, r.example("priv"), strings.NewReader("{}"))
			refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden
			switch want := mayCall(role, &r); {
			case want == refused && !(refused && r.scope != inPath && want):
				wrong = append(wrong, method+" "+r.path+" as "+role+": "+http.StatusText(w.Code)+" "+w.Body.String())
			case refused && h.events() != events:
				wrong = append(wrong, method+" "+r.path+" as "+role+": refused, and has changed something")
			case refused && h.upstream.Load() != upstream:
				wrong = append(wrong, method+" "+r.path+" as "+role+": refused, and asked an upstream")
			case refused && role == "anonymous" && r.verb != verbStats && r.verb != verbHere && (w.Code != 401 || w.Header().Get("Www-Authenticate") == ""):
				wrong = append(wrong, method+" "+r.path+" as anonymous: "+http.StatusText(w.Code)+" without a challenge")
			}
		}
	}
	return wrong
}

func roleTokens(h *house) map[string]string {
	tokens := map[string]string{}
	for role := range roleVerbs {
		switch {
		case role == "anonymous":
		case slices.Contains(wideRoles, role):
			tokens[role] = h.user("the-"+role, role+" *")
		default:
			tokens[role] = h.user("the-"+role, role+" priv")
		}
	}
	return tokens
}

// everything are rights that allow all.
type everything struct{}

func (everything) May(millpond.Verb, string, string) bool                { return true }
func (everything) Scope(millpond.Verb, string) string                    { return "*" }
func (everything) Now(catalog.Tx) (repo.Rights, error)                   { return everything{}, nil }
func (e everything) allow(c repo.Caller, err error) (repo.Caller, error) { c.Rights = e; return c, err }

// allowing are callers that may all.
type allowing struct{ Callers }

func (a allowing) Identify(ctx context.Context, r *http.Request) (repo.Caller, error) {
	return everything{}.allow(a.Callers.Identify(ctx, r))
}
func (a allowing) AccountsFor(c repo.Caller, repository, f string, base *url.URL) format.Accounts {
	return a.Callers.AccountsFor(c, repository, f, base)
}

func TestEveryRouteWantsItsVerb(t *testing.T) {
	h := newHouse(t)
	for _, one := range walk(h, roleTokens(h)) {
		t.Error(one)
	}
}

// TestTheWalkWouldFindAHole gives everybody all rights: a walk that finds nothing then looks at nothing.
func TestTheWalkWouldFindAHole(t *testing.T) {
	h := newHouse(t)
	tokens := roleTokens(h)
	h.server.parts.Callers = allowing{h.auth}
	if wrong := walk(h, tokens); len(wrong) < 50 {
		t.Errorf("with rights that allow all the walk finds %d holes, want many: %q", len(wrong), wrong)
	}
}

// TestMountsWantTheirVerb asks each repository for reading and for each kind of change, as each role.
func TestMountsWantTheirVerb(t *testing.T) {
	h := newHouse(t)
	tokens := roleTokens(h)
	tokens["scoped"] = h.user("scoped", "maintainer priv acme-*")
	roles := map[string][]millpond.Verb{"scoped": {}}
	for role, verbs := range roleVerbs {
		roles[role] = verbs
	}
	for _, repository := range []string{"pub", "priv", "other"} {
		if w := h.send(bearer(h.admin), "PUT", "/"+repository+"/widget/1", strings.NewReader("one")); w.Code != 200 {
			t.Fatalf("publish to %s = %d %s", repository, w.Code, w.Body)
		}
	}
	for _, c := range []struct {
		method, path string
		verb         millpond.Verb
	}{
		{"GET", "widget/1", millpond.VerbRead}, {"HEAD", "widget/1", millpond.VerbRead}, {"GET", "widget/none", millpond.VerbRead}, {"GET", "none/1", millpond.VerbRead},
		{"PUT", "widget/1", millpond.VerbPublish}, {"PATCH", "widget/none", millpond.VerbYank}, {"DELETE", "widget/none", millpond.VerbDelete},
	} {
		for role, verbs := range roles {
			for _, repository := range []string{"pub", "priv", "other", "absent"} {
				may := repository == "priv" && slices.Contains(verbs, c.verb) || repository == "pub" && c.verb == millpond.VerbRead
				events := h.events()
				w := h.send(bearer(tokens[role]), c.method, "/"+repository+"/"+c.path, strings.NewReader("one"))
				refused := w.Code == 401 || w.Code == 403
				if may == refused || w.Code >= 500 && repository != "pub" && w.Code != 501 {
					t.Errorf("%s /%s/%s as %s = %d %s, want allowed: %t", c.method, repository, c.path, role, w.Code, w.Body, may)
				}
				if refused && (h.events() != events || strings.Contains(w.Body.String(), "one\n") && w.Body.Len() == 3) {
					t.Errorf("%s /%s/%s as %s was refused, and changed or told something", c.method, repository, c.path, role)
				}
			}
		}
	}
	// What a scope covers it may, in every spelling of the credential; and an unreadable repository is as an absent one.
	scoped := tokens["scoped"]
	for name, authorization := range map[string]string{"bearer": "Bearer " + scoped, "odd case": "bEaReR " + scoped, "bare": scoped,
		"any user": basicAuth("ci", scoped), "no user": basicAuth("", scoped), "__token__": basicAuth("__token__", scoped)} {
		for path, want := range map[string]int{"/priv/acme-x/1": 200, "/priv/%61cme-x/1": 200, "/priv/ACME-X/1": 200, "/priv/widget/1": 403, "/other/acme-x/1": 403, "/absent/acme-x/1": 403,
			"/priv/acme/1": 403, "/priv/widget;x/1": 403, "//priv/acme-x/1": 403, "/%70riv/acme-x/1": 403} {
			if w := h.send(authorization, "PUT", path, strings.NewReader("one")); w.Code != want {
				t.Errorf("PUT %s with %s = %d %s, want %d", path, name, w.Code, w.Body, want)
			}
		}
	}
	there, absent := h.send(bearer(scoped), "GET", "/other/x/1", nil), h.send(bearer(scoped), "GET", "/absent/x/1", nil)
	if there.Code != 403 || strings.ReplaceAll(there.Body.String(), "other", "absent") != absent.Body.String() {
		t.Errorf("unreadable %d %s, absent %d %s; want the same 403", there.Code, there.Body, absent.Code, absent.Body)
	}
	for name, change := range map[string]func(*http.Request){
		"two headers":      func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+scoped) },
		"one in the query": func(r *http.Request) { r.URL.RawQuery = "access_token=" + scoped },
	} {
		if w := h.send(bearer(scoped), "GET", "/pub/widget/1", nil, change); w.Code != 400 {
			t.Errorf("%s = %d %s, want 400", name, w.Code, w.Body)
		}
	}
	if w := h.send("Bearer mp_nonsense", "GET", "/pub/widget/1", nil); w.Code != 401 || w.Header().Get("Www-Authenticate") == "" {
		t.Errorf("a bad token where anonymous may read = %d, want 401 with a challenge", w.Code)
	}
}

// TestRealFormatsRefuseStrangers asks private repositories of the real formats for each kind of path that they have, in
// several spellings: strangers are told nothing, and no upstream hears of it.
func TestRealFormatsRefuseStrangers(t *testing.T) {
	h := newHouse(t)
	stranger := h.user("stranger", "reader other")
	upstream := []repo.Upstream{{Settings: fetch.Settings{Name: "up", URL: h.upURL}}}
	configs := []repo.Config{{Name: "other", Format: paper{}}}
	for name, f := range map[string]format.Format{"py": pypi.Format{}, "node": npm.Format{}, "mods": golang.Format{}, "debs": debian.Format{}, "images": oci.Format{}, "more": oci.Format{}} {
		configs = append(configs, repo.Config{Name: name, Format: f, Upstreams: upstream})
	}
	h.reconfigured(Settings{}, configs...)
	digest := "sha256:" + strings.Repeat("a", 64)
	paths := map[string][]string{
		"py":   {"/", "/simple/", "/simple/requests/", "/simple/Requests/", "/simple/requests", "/pypi/requests/json", "/pypi/requests/2.0/json", "/legacy/", "/packages/ab/x.whl", "/packages/ab/x.whl.metadata", "/integrity/requests/2.0/x.whl/provenance"},
		"node": {"/", "/requests", "/@acme%2fwidget", "/@acme/widget", "/widget/-/widget-1.0.0.tgz", "/-/v1/search?text=x", "/-/whoami", "/-/ping", "/-/npm/v1/security/advisories/bulk", "/-/package/widget/dist-tags", "/-/npm/v1/keys"},
		"mods": {"/", "/example.org/m/@v/list", "/example.org/m/@v/v1.0.0.info", "/example.org/m/@v/v1.0.0.mod", "/example.org/m/@v/v1.0.0.zip", "/example.org/m/@latest", "/sumdb/sum.example/supported", "/sumdb/sum.example/lookup/example.org/m@v1.0.0", "/cached-only/example.org/m/@v/list"},
		"debs": {"/", "/dists/stable/InRelease", "/dists/stable/main/binary-amd64/Packages.gz", "/dists/stable/main/binary-amd64/by-hash/SHA256/" + digest[7:], "/pool/main/h/hello/hello_1.0_amd64.deb",
			"/pool/stable/main/h/hello/hello_1.0_amd64.deb", "/./InRelease", "/key.asc", "/setup.sources?suite=stable", "/incoming/hello_1.0_amd64.deb", "/snapshot/20260101T000000Z/dists/stable/InRelease"},
		"images": {"/v2/", "/v2/_catalog", "/v2/team/app/manifests/1.0.0", "/v2/team/app/manifests/" + digest, "/v2/team/app/blobs/" + digest, "/v2/team/app/blobs/uploads/", "/v2/team/app/blobs/uploads/X1",
			"/v2/team/app/tags/list", "/v2/team/app/referrers/" + digest, "/v2/team/app/blobs/uploads/?mount=" + digest + "&from=team/other"},
	}
	for repository, list := range paths {
		for _, path := range list {
			for _, spelt := range []string{path, "/" + path, path + "/", path + ";x", strings.Replace(path, "e", "%65", 1), strings.ToUpper(path), path + "%00", path + "/..%2f.."} {
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
					for name, want := range map[string]int{"": 401, bearer(stranger): 403} {
						w := h.send(name, method, "/"+repository+spelt, nil)
						if w.Code != want {
							t.Errorf("%s /%s%s as a stranger (known: %t) = %d %.100s, want %d", method, repository, spelt, name != "", w.Code, w.Body, want)
						}
					}
				}
			}
		}
	}
	// Below /v2/ of the whole pond a repository that one may not see is as one that is not there.
	for _, path := range []string{"team/app/manifests/1.0.0", "team/app/blobs/" + digest, "team/app/blobs/uploads/", "team/app/tags/list", "team/app/referrers/" + digest, "team/app", "team/app/tags/list%00"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			for _, name := range []string{"", bearer(stranger)} {
				there, not := h.send(name, method, "/v2/images/"+path, nil), h.send(name, method, "/v2/imagez/"+path, nil)
				if said := strings.ReplaceAll(not.Body.String(), "imagez", "images"); there.Code < 400 || there.Code != not.Code || there.Body.String() != said {
					t.Errorf("%s /v2/images/%s as a stranger (known: %t) = %d %.100s, of no repository %d %.100s", method, path, name != "", there.Code, there.Body, not.Code, said)
				}
			}
		}
	}
	if n := h.upstream.Load(); n != 0 {
		t.Errorf("strangers have caused %d requests upstream, want none", n)
	}
}
