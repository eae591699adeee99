package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"millpond"
)

func TestPublishYankDeleteRestore(t *testing.T) {
	h := newHouse(t)
	ann := h.user("ann", "maintainer priv")
	var done PublishedDocument
	put := func(version, body string, status int) {
		t.Helper()
		w := h.send(bearer(ann), "POST", "/-/api/repositories/priv/publish/Widget-"+version+".paper", strings.NewReader(body))
		if w.Code != status {
			t.Fatalf("publish %s = %d %s, want %d", version, w.Code, w.Body, status)
		}
		if status == 200 {
			if err := json.Unmarshal(w.Body.Bytes(), &done); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("1", "one", 200)
	if want := (PublishedDocument{Repository: "priv", Package: "widget", Version: "1", File: "text", New: true}); done != want {
		t.Errorf("published %+v, want %+v", done, want)
	}
	put("1", "one", 200)
	if done.New {
		t.Errorf("the same bytes again: %+v, want nothing new", done)
	}
	put("1", "other bytes", 409)
	put("2", "two", 200)

	show := func() (p PackageDocument) {
		t.Helper()
		h.ask(ann, "GET", "/-/api/repositories/priv/packages/Widget", nil, 200, &p)
		return p
	}
	if p := show(); p.Name != "widget" || len(p.Versions) != 2 || p.Versions[1].By != "ann" || p.Versions[1].Files[0].Size != 3 {
		t.Errorf("hosted: %+v, want widget with two versions by ann", p)
	}
	first := func() VersionDocument {
		t.Helper()
		p := show()
		i := slices.IndexFunc(p.Versions, func(v VersionDocument) bool { return v.Name == "1" })
		if i < 0 {
			t.Fatalf("hosted: %+v, want a version 1", p)
		}
		return p.Versions[i]
	}
	h.ask(ann, "POST", "/-/api/repositories/priv/packages/widget/yank", Change{Version: "1", Why: "leaks"}, 204, nil)
	if v := first(); !v.Yanked || v.YankedWhy != "leaks" || !v.Files[0].Yanked {
		t.Errorf("yanked: %+v, want it said of version and file", v)
	}
	h.ask(ann, "POST", "/-/api/repositories/priv/packages/widget/unyank", Change{Version: "1"}, 204, nil)
	if v := first(); v.Yanked || v.YankedWhy != "" {
		t.Errorf("unyanked: %+v, want no word of it", v)
	}
	h.ask(ann, "POST", "/-/api/repositories/priv/packages/widget/yank", Change{Version: "9"}, 404, nil)
	h.ask(ann, "POST", "/-/api/repositories/priv/packages/widget/yank", Change{}, 400, nil)

	h.ask(ann, "POST", "/-/api/repositories/priv/packages/widget/delete", Change{Version: "1", Why: "old"}, 204, nil)
	if p := show(); len(p.Versions) != 1 || len(p.Deleted) == 0 || p.Deleted[0].Why != "old" || p.Deleted[0].By != "ann" {
		t.Errorf("deleted: %+v, want one version left and one deleted", p)
	}
	if w := h.send(bearer(ann), "GET", "/priv/widget/1", nil); w.Code == 200 {
		t.Errorf("a deleted version is served: %d %s", w.Code, w.Body)
	}
	h.ask(ann, "POST", "/-/api/repositories/priv/packages/widget/restore", Change{Version: "1"}, 204, nil)
	if w := h.send(bearer(ann), "GET", "/priv/widget/1", nil); w.Code != 200 || w.Body.String() != "one" {
		t.Errorf("a restored version: %d %s, want its bytes", w.Code, w.Body)
	}
	h.ask(h.admin, "PUT", "/-/api/repositories/priv/packages/widget/merge", Merge{Merge: "union"}, 204, nil)
	h.ask(h.admin, "PUT", "/-/api/repositories/priv/packages/widget/merge", Merge{Merge: "mix"}, 400, nil)
	if p := show(); p.Merge != "union" {
		t.Errorf("merge is %q, want union", p.Merge)
	}
}

func TestPromoteIsAllOrNothing(t *testing.T) {
	h := newHouse(t)
	h.send(bearer(h.admin), "PUT", "/draft/widget/1", strings.NewReader("one"))
	h.send(bearer(h.admin), "PUT", "/draft/widget/2", strings.NewReader("two"))
	h.send(bearer(h.admin), "PUT", "/priv/widget/2", strings.NewReader("not two"))
	ask := PromotionDocument{From: "draft", To: "priv", Items: []KeyDocument{{Package: "Widget", Version: "1"}, {Package: "widget", Version: "2"}}}
	h.ask(h.admin, "POST", "/-/api/promote", ask, 409, nil)
	if w := h.send(bearer(h.admin), "GET", "/priv/widget/1", nil); w.Code != 404 {
		t.Errorf("after a promotion that failed, version 1 = %d %s, want 404", w.Code, w.Body)
	}
	ask.Items = ask.Items[:1]
	ask.DryRun = true
	h.ask(h.admin, "POST", "/-/api/promote", ask, 200, nil)
	if w := h.send(bearer(h.admin), "GET", "/priv/widget/1", nil); w.Code != 404 {
		t.Errorf("after a dry run, version 1 = %d %s, want 404", w.Code, w.Body)
	}
	ask.DryRun = false
	var got PromotedDocument
	h.ask(h.admin, "POST", "/-/api/promote", ask, 200, &got)
	if len(got.Items) != 1 || got.Items[0].Package != "widget" || !got.Items[0].New {
		t.Errorf("promoted %+v, want widget 1, new", got)
	}
	if w := h.send(bearer(h.admin), "GET", "/priv/widget/1", nil); w.Body.String() != "one" {
		t.Errorf("promoted version 1 = %d %q, want its bytes", w.Code, w.Body)
	}
	h.ask(h.admin, "POST", "/-/api/promote", PromotionDocument{From: "draft", To: "nowhere", Items: ask.Items}, 403, nil)
	h.ask(h.admin, "POST", "/-/api/promote", PromotionDocument{From: "draft", To: "priv"}, 400, nil)
}

func TestTakedown(t *testing.T) {
	h := newHouse(t)
	h.send(bearer(h.admin), "PUT", "/pub/widget/1", strings.NewReader("one"))
	var made TakedownDocument
	h.ask(h.admin, "POST", "/-/api/takedowns", TakedownDocument{PURL: "pkg:paper/Widget@1", Why: "malware"}, 200, &made)
	if made.ID == "" || made.Package != "widget" || made.Format != "paper" || made.By != "root" {
		t.Errorf("taken down: %+v, want widget by root", made)
	}
	if w := h.send("", "GET", "/pub/widget/1", nil); w.Code != 403 || !strings.Contains(w.Body.String(), "malware") {
		t.Errorf("taken down, GET = %d %s, want 403 and the words", w.Code, w.Body)
	}
	var all []TakedownDocument
	if h.ask(h.admin, "GET", "/-/api/takedowns", nil, 200, &all); len(all) != 1 || all[0].ID != made.ID {
		t.Errorf("takedowns: %+v, want the one", all)
	}
	h.ask(h.admin, "DELETE", "/-/api/takedowns/"+made.ID+"?why=mistake", nil, 204, nil)
	if w := h.send("", "GET", "/pub/widget/1", nil); w.Code != 200 {
		t.Errorf("lifted, GET = %d %s, want 200", w.Code, w.Body)
	}
	for name, in := range map[string]TakedownDocument{
		"no reason": {Format: "paper", Package: "x"}, "nothing named": {Why: "x"}, "unknown format": {Format: "stone", Package: "x", Why: "x"},
		"two ways": {PURL: "pkg:paper/x", Format: "paper", Why: "x"}, "no digest": {Digest: "sha256:zz", Why: "x"}, "an id of one's own": {ID: "1", PURL: "pkg:paper/x", Why: "x"},
	} {
		t.Run(name, func(t *testing.T) { h.ask(h.admin, "POST", "/-/api/takedowns", in, 400, nil) })
	}
}

func TestClaims(t *testing.T) {
	h := newHouse(t)
	h.ask(h.admin, "POST", "/-/api/claims", ClaimDocument{Repository: "node", Pattern: "@acme/*"}, 204, nil)
	before := h.upstream.Load()
	if w := h.send(bearer(h.admin), "GET", "/node/@acme%2fwidget", nil); w.Code != 404 || h.upstream.Load() != before {
		t.Errorf("a claimed name: %d %s after %d requests upstream, want 404 after none", w.Code, w.Body, h.upstream.Load()-before)
	}
	var all []ClaimDocument
	h.ask(h.admin, "GET", "/-/api/claims", nil, 200, &all)
	if len(all) != 1 || all[0].Pattern != "@acme/*" || all[0].By != "root" {
		t.Errorf("claims: %+v, want the one by root", all)
	}
	if h.ask("", "GET", "/-/api/claims", nil, 200, &all); len(all) != 0 {
		t.Errorf("anonymous is told of claims of a private repository: %+v", all)
	}
	h.ask(h.admin, "DELETE", "/-/api/claims?repository=node&pattern="+url.QueryEscape("@acme/*"), nil, 204, nil)
	h.ask(h.admin, "DELETE", "/-/api/claims?repository=node&pattern="+url.QueryEscape("@acme/*"), nil, 404, nil)
}

func TestEvents(t *testing.T) {
	h := newHouse(t)
	h.send(bearer(h.admin), "PUT", "/priv/widget/1", strings.NewReader("one"))
	var events []EventDocument
	h.ask(h.admin, "GET", "/-/api/events?verb=publish", nil, 200, &events)
	if len(events) != 1 || events[0].Actor != "root" || events[0].Package != "widget" || events[0].Client != "192.0.2.7" || events[0].Request == "" || events[0].Token == "" || events[0].Hash == "" {
		t.Fatalf("publish events: %+v, want one by root, with client, request, token and hash", events)
	}
	w := h.send(bearer(h.admin), "GET", "/-/api/events?package=widget", nil, header("Accept", "application/x-ndjson"))
	var line EventDocument
	if err := json.Unmarshal(w.Body.Bytes(), &line); err != nil || line.Seq != events[0].Seq || strings.Count(w.Body.String(), "\n") != 1 {
		t.Errorf("JSON lines: %q (%v), want the one event", w.Body, err)
	}
	w = h.send(bearer(h.admin), "GET", "/-/api/events?package=widget", nil, header("Accept", "text/csv"))
	if rows := strings.Split(strings.TrimSpace(w.Body.String()), "\n"); len(rows) != 2 || !strings.Contains(rows[1], "widget") {
		t.Errorf("CSV: %q, want a header and the one event", w.Body)
	}
	for _, bad := range []string{"after=x", "after=-1", "since=yesterday", "follow=1"} {
		h.ask(h.admin, "GET", "/-/api/events?"+bad, nil, 400, nil)
	}
	var v VerifiedDocument
	h.ask(h.admin, "POST", "/-/api/audit/verify", nil, 200, &v)
	if !v.OK || v.Events < 1 || v.Head.Seq != v.Events {
		t.Errorf("verify: %+v, want all of it well", v)
	}
	h.ask(h.admin, "POST", "/-/api/audit/verify", VerifyDocument{Heads: []HeadDocument{{Epoch: v.Head.Epoch, Seq: v.Head.Seq + 5, Hash: v.Head.Hash}}}, 200, &v)
	if v.OK || v.Why == "" {
		t.Errorf("verify against a head that is gone: %+v, want what is wrong", v)
	}
}

func TestCellsAreNoFormulas(t *testing.T) {
	e := &millpond.Event{Verb: "publish", Key: millpond.Key{Package: "=cmd()", Version: "-1", File: "@x"}, Seq: 7}
	if got := row(e); got[10] != "'=cmd()" || got[11] != "'-1" || got[12] != "'@x" || got[1] != "7" {
		t.Errorf("row = %q, want what begins like a formula quoted", got)
	}
}

func TestTokensAndPeople(t *testing.T) {
	h := newHouse(t)
	ann := h.user("ann", "publisher priv acme-*")
	var who WhoDocument
	h.ask(ann, "GET", "/-/api/whoami", nil, 200, &who)
	if who.Name != "ann" || who.Token == "" || len(who.May) != 2 {
		t.Errorf("whoami = %+v, want ann, her token, pub and priv", who)
	}
	h.ask("", "GET", "/-/api/whoami", nil, 200, &who)
	h.ask("", "GET", "/-/api/tokens", nil, 401, nil)
	var narrow TokenDocument
	h.ask(ann, "POST", "/-/api/tokens", NewToken{Name: "reads", Verbs: []millpond.Verb{millpond.VerbRead}}, 200, &narrow)
	h.ask(narrow.Secret, "POST", "/-/api/tokens", NewToken{Verbs: []millpond.Verb{millpond.VerbPublish}}, 403, nil)
	var all []TokenDocument
	h.ask(ann, "GET", "/-/api/tokens", nil, 200, &all)
	if len(all) != 2 || slices.ContainsFunc(all, func(d TokenDocument) bool { return d.Secret != "" }) {
		t.Errorf("tokens: %+v, want two without secrets", all)
	}
	h.ask(ann, "DELETE", "/-/api/tokens/"+narrow.ID, nil, 204, nil)
	h.ask(narrow.Secret, "GET", "/-/api/whoami", nil, 401, nil)
	h.ask(ann, "POST", "/-/api/logout", nil, 204, nil)
	h.ask(ann, "GET", "/-/api/whoami", nil, 401, nil)

	h.ask(h.admin, "POST", "/-/api/users", NewUser{Name: "bob", Password: "a long enough password"}, 204, nil)
	h.ask(h.admin, "POST", "/-/api/groups", NewGroup{Name: "team"}, 204, nil)
	h.ask(h.admin, "PUT", "/-/api/groups/team/members/bob", nil, 204, nil)
	h.ask(h.admin, "POST", "/-/api/grants", NewGrant{Subject: "group:team", Role: "reader", Repository: "priv"}, 200, nil)
	var bob TokenDocument
	h.ask("", "POST", "/-/api/login", LoginDocument{Name: "bob", Password: "a long enough password"}, 200, &bob)
	h.ask("", "POST", "/-/api/login", LoginDocument{Name: "bob", Password: "another"}, 401, nil)
	h.ask(bob.Secret, "GET", "/-/api/whoami", nil, 200, &who)
	if !slices.Contains(who.Groups, "team") {
		t.Errorf("bob's groups are %q, want team", who.Groups)
	}
	h.ask(bob.Secret, "PUT", "/-/api/users/bob/password", Passwords{Current: "a long enough password", Password: "quite another password"}, 204, nil)
	h.ask(h.admin, "POST", "/-/api/users/bob/disable", nil, 204, nil)
	h.ask(bob.Secret, "GET", "/-/api/whoami", nil, 401, nil)
}

func TestBodiesAreReadStrictly(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct{ name, body string }{
		{"unknown key", `{"name": "x", "admin": true}`}, {"key twice", `{"name": "x", "name": "y"}`}, {"another case", `{"Name": "x"}`},
		{"a letter that folds", `{"pa` + "\u017f" + `sword": "x"}`}, {"two documents", `{"name": "x"} {}`}, {"cut", `{"name": "x"`}, {"wrong type", `{"name": 7}`}, {"not an object", `[1]`},
		{"deep", strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.send(bearer(h.admin), "POST", "/-/api/services", strings.NewReader(c.body))
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); w.Code != 400 || err != nil || p.Error == "" || p.Kind != "invalid" {
				t.Errorf("%s = %d %s, want 400 and a Problem", c.body, w.Code, w.Body)
			}
		})
	}
	if w := h.send(bearer(h.admin), "POST", "/-/api/services", strings.NewReader(`name=x`), header("Content-Type", "application/x-www-form-urlencoded")); w.Code != 400 {
		t.Errorf("a form = %d %s, want 400", w.Code, w.Body)
	}
}

// TestDescriptionCoversEveryRoute reads the document as a client would.
func TestDescriptionCoversEveryRoute(t *testing.T) {
	h := newHouse(t)
	var d struct {
		OpenAPI    string `json:"openapi"`
		Paths      map[string]map[string]struct{ Summary string }
		Components struct{ Schemas map[string]json.RawMessage }
	}
	w := h.ask("", "GET", "/-/api", nil, 200, &d)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("openapi is %q, want 3.1.0", d.OpenAPI)
	}
	for _, r := range h.server.table.Load().routes {
		for _, m := range strings.Fields(r.methods) {
			if d.Paths[r.path][strings.ToLower(m)].Summary == "" {
				t.Errorf("%s %s is not described", m, r.path)
			}
		}
	}
	rest := w.Body.String()
	for {
		_, after, more := strings.Cut(rest, "#/components/schemas/")
		if !more {
			break
		}
		name, _, _ := strings.Cut(after, `"`)
		if d.Components.Schemas[name] == nil || string(d.Components.Schemas[name]) == "null" {
			t.Errorf("the schema %s is named and not given", name)
		}
		rest = after
	}
	if w := h.send("", "DELETE", "/-/api/users", nil); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("DELETE /-/api/users = %d, Allow %q; want 405 and GET, HEAD, POST", w.Code, w.Header().Get("Allow"))
	}
}

// TestEventsOfSomeNames: who may audit some names of a repository reads of those, and of no others.
func TestEventsOfSomeNames(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"acme-x", "other"} {
		h.send(bearer(h.admin), "PUT", "/priv/"+name+"/1", strings.NewReader("one"))
	}
	some := h.user("some", "auditor priv acme-*")
	var events []EventDocument
	h.ask(some, "GET", "/-/api/events?repository=priv&package=acme-x", nil, 200, &events)
	if len(events) != 1 || events[0].Package != "acme-x" {
		t.Errorf("of its own name: %+v, want the one event", events)
	}
	for _, path := range []string{"events?repository=priv", "events?repository=priv&package=other", "events?package=acme-x", "audit/chain?repository=priv", "audit/chain?repository=priv&package=acme-x"} {
		h.ask(some, "GET", "/-/api/"+path, nil, 403, nil)
	}
	h.ask(h.user("all", "auditor priv"), "GET", "/-/api/events?repository=priv", nil, 200, nil)
}

// TestReadyThoughSomebodyLeft: a client that leaves while it asks how the pond is makes it ill for nobody else.
func TestReadyThoughSomebodyLeft(t *testing.T) {
	h := newHouse(t)
	left, leave := context.WithCancel(t.Context())
	leave()
	h.send("", "GET", "/-/readyz", nil, func(r *http.Request) { *r = *r.WithContext(left) })
	if w := h.send("", "GET", "/-/readyz", nil); w.Code != 200 {
		t.Errorf("after a client that left: %d %s", w.Code, w.Body)
	}
}
