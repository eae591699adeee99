package npm

import (
	"encoding/json"
	"strings"
	"testing"

	"millpond/format"
)

func formatToken(name string) format.Token { return format.Token{Name: name} }

func TestLoginAndTokens(t *testing.T) {
	p := newPress(t)
	p.want(401, "", "GET", "-/whoami", nil)
	p.want(401, "", "PUT", "-/user/org.couchdb.user:ada", []byte(`{"name":"ada","password":"wrong"}`))
	p.want(400, "", "PUT", "-/user/org.couchdb.user:ada", []byte(`{"name":"bob","password":"correct"}`))
	in := object(t, []byte(p.want(201, "", "PUT", "-/user/org.couchdb.user:ada", []byte(`{"name":"ada","password":"correct"}`))))
	token, _ := in["token"].(string)
	if got := p.want(200, token, "GET", "-/whoami", nil); got != `{"username":"ada"}` {
		t.Errorf("whoami: got %s", got)
	}
	made := object(t, []byte(p.want(201, token, "POST", "-/npm/v1/tokens", []byte(`{"name":"ci","readonly":true,"scopes":["@acme"],"expires":7}`))))
	for path, want := range map[string]string{
		"name": `"ci"`, "readonly": "true", "packages": `["@acme/*"]`, "expires": `"2026-11-28T12:00:00.000Z"`, "cidr_whitelist": "null",
	} {
		if got := at(made, path); got != want {
			t.Errorf("a new token: %s: got %s, want %s", path, got, want)
		}
	}
	for _, bad := range []string{`{"cidr_whitelist":["10.0.0.0/8"]}`, `{"orgs":["acme"]}`, `{"expires":"soon"}`, `{"packages_and_scopes_permission":"no-access"}`, `[]`} {
		p.want(400, token, "POST", "-/npm/v1/tokens", []byte(bad))
	}
	list := p.want(200, token, "GET", "-/npm/v1/tokens", nil)
	if strings.Contains(list, "secret") || !strings.Contains(list, `"key":`+at(made, "key")) {
		t.Errorf("the list of tokens is %s", list)
	}
	p.want(200, token, "DELETE", "-/npm/v1/tokens/token/"+made["key"].(string), nil)
	p.want(404, token, "DELETE", "-/npm/v1/tokens/token/"+made["key"].(string), nil)
	p.want(200, token, "DELETE", "-/user/token/"+token, nil)
	p.want(401, token, "GET", "-/whoami", nil)
}

func TestWebLogin(t *testing.T) {
	p := newPress(t)
	begun := object(t, []byte(p.want(200, "", "POST", "-/v1/login", []byte(`{}`))))
	done, ok := strings.CutPrefix(begun["doneUrl"].(string), p.url)
	if !ok || begun["loginUrl"] != "http://pond.example/-/login?t1" {
		t.Fatalf("got %v", begun)
	}
	p.want(202, "", "GET", done, nil)
	p.accounts.mu.Lock()
	p.accounts.tickets["t1"] = true
	p.accounts.mu.Unlock()
	got := object(t, []byte(p.want(200, "", "GET", done, nil)))
	if p.accounts.owner(got["token"].(string)) != "ada" {
		t.Errorf("the token of a web login is %v", got)
	}
	p.want(404, "", "GET", "-/v1/done/other", nil)
}

func TestExchange(t *testing.T) {
	p := newPress(t)
	got := object(t, []byte(p.want(201, "job-identity", "POST", "-/npm/v1/oidc/token/exchange/package/@acme%2fci", nil)))
	if token, _ := got["token"].(string); p.accounts.owner(token) != "ci" {
		t.Errorf("got %v", got)
	}
	p.want(403, "job-identity", "POST", "-/npm/v1/oidc/token/exchange/package/other", nil)
	p.want(401, "", "POST", "-/npm/v1/oidc/token/exchange/package/@acme%2fci", nil)
}

func TestAccessTellsOfTheCallerOnly(t *testing.T) {
	p := newPress(t)
	p.put(201, "pub-token", newJob("@acme/new", "1.0.0"))
	for token, want := range map[string]string{"pub-token": `{"pub":"read-write"}`, "reader-token": `{"reader":"read-only"}`} {
		if got := p.want(200, token, "GET", "-/package/@acme%2fnew/collaborators", nil); got != want {
			t.Errorf("%s: got %s, want %s", token, got, want)
		}
	}
	p.want(401, "", "GET", "-/package/@acme%2fnew/collaborators", nil)
	if got := p.want(200, "", "GET", "-/package/@acme%2fnew/visibility", nil); got != `{"public":true}` {
		t.Errorf("visibility: got %s", got)
	}
	if got := p.want(200, "pub-token", "GET", "-/user/pub/package", nil); got != `{"@acme/new":"read-write"}` {
		t.Errorf("packages of pub: got %s", got)
	}
	p.want(404, "pub-token", "GET", "-/user/ada/package", nil)
	p.want(501, "ada-token", "POST", "-/package/@acme%2fnew/access", []byte(`{"access":"public"}`))
}

func TestSearchFindsWhatIsHosted(t *testing.T) {
	p := newPress(t)
	p.put(201, "pub-token", newJob("@acme/new", "1.0.0"))
	p.put(201, "pub-token", newJob("acme-thing", "2.0.0"))
	var got struct {
		Total   int
		Objects []struct {
			Package struct{ Name, Version, Description string }
		}
	}
	if err := json.Unmarshal([]byte(p.want(200, "", "GET", "-/v1/search?text=acme&size=20", nil)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Total != 2 || len(got.Objects) != 2 || got.Objects[0].Package.Name != "@acme/new" || got.Objects[0].Package.Description != "pressed" {
		t.Errorf("got %+v, want @acme/new and acme-thing", got)
	}
}

func TestAuditKeepsHostedNamesBack(t *testing.T) {
	p := newPress(t)
	p.put(201, "pub-token", newJob("our-own", "1.0.0"))
	if got := p.want(200, "", "POST", "-/npm/v1/security/advisories/bulk", []byte(`{"our-own":["1.0.0"],"@acme/x":["1.0.0"]}`)); got != "{}" {
		t.Errorf("got %s", got)
	}
	if asked := p.up.Requests(root + "-/npm/v1/security/advisories/bulk"); len(asked) > 0 {
		t.Errorf("the upstream was asked %d times about names of ours only", len(asked))
	}
}
