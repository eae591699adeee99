package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"millpond/fetch"
	"millpond/format/oci"
	"millpond/internal/auth"
	"millpond/repo"
)

// imageHouse is a house with a public repository of images, which reads through, and a private one.
func imageHouse(t *testing.T) *house {
	h := newHouse(t)
	configs := []repo.Config{
		{Name: "images", Format: oci.Format{}, Public: true, Options: map[string]string{"ns": "registry.example"}, Upstreams: []repo.Upstream{{Settings: fetch.Settings{Name: "up", URL: h.upURL}}}},
		{Name: "team", Format: oci.Format{}},
	}
	if err := h.pond.Configure(t.Context(), repo.Settings{PublicURL: housePublic}, configs); err != nil {
		t.Fatal(err)
	}
	if err := h.auth.Configure(auth.Settings{PublicURL: housePublic, Passwords: true, Repositories: []auth.Repository{
		{Name: "images", Format: "oci", Read: []string{"anonymous"}}, {Name: "team", Format: "oci"},
	}}); err != nil {
		t.Fatal(err)
	}
	var list []Repository
	for _, one := range h.pond.Repositories() {
		list = append(list, one)
	}
	public, err := url.Parse(housePublic)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.server.Configure(Settings{PublicURL: public}, list); err != nil {
		t.Fatal(err)
	}
	return h
}

func wantAnswer(t testing.TB, what string, r *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	if r.Code != status || !strings.Contains(r.Body.String(), code) {
		t.Errorf("%s: got %d %s, want %d %s", what, r.Code, r.Body, status, code)
	}
}

func TestCase17DockerTokens(t *testing.T) {
	h := imageHouse(t)
	token := func(authorization, query string) string {
		t.Helper()
		r := h.send(authorization, "GET", "/-/token?service=pond.example"+query, nil)
		var said struct {
			Token, Access string
			ExpiresIn     int `json:"expires_in"`
		}
		if err := json.Unmarshal(r.Body.Bytes(), &said); err != nil || r.Code != 200 || said.Token == "" || said.ExpiresIn < 60 {
			t.Fatalf("a token for %s: got %d %s", query, r.Code, r.Body)
		}
		return "Bearer " + said.Token
	}
	root := "Bearer " + h.admin
	reader := "Bearer " + h.user("reader", "reader team")
	encoded := base64.RawURLEncoding.EncodeToString
	unsigned := encoded([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encoded([]byte(`{"sub":"root","access":[{"type":"repository","name":"team/app","actions":["pull","push"]}]}`)) + "."
	other := imageHouse(t)
	var said struct{ Token string }
	if err := json.Unmarshal(other.send("Bearer "+other.admin, "GET", "/-/token?service=pond.example&scope=repository:team/app:pull,push", nil).Body.Bytes(), &said); err != nil || said.Token == "" {
		t.Fatal("another pond gives no token", err)
	}
	foreign := "Bearer " + said.Token
	altered := func(pass string) string { // in its middle: the last letter of base64 may have bits that say nothing
		b := []byte(pass)
		i := len("Bearer ") + (len(b)-len("Bearer "))/2
		b[i] = map[bool]byte{true: 'B', false: 'A'}[b[i] == 'A']
		return string(b)
	}
	wantAnswer(t, "ping, anonymous", h.send("", "GET", "/v2/", nil), 401, "UNAUTHORIZED")
	if got := h.send("", "GET", "/v2/", nil).Header().Get("Www-Authenticate"); !strings.HasPrefix(got, `Bearer realm="https://pond.example/-/token",service="pond.example"`) {
		t.Errorf("the challenge is %q", got)
	}
	wantAnswer(t, "ping, known", h.send(root, "GET", "/v2/", nil), 200, "{}")
	wantAnswer(t, "docker login", h.send(token(root, ""), "GET", "/v2/", nil), 200, "{}")
	wantAnswer(t, "a bad credential", h.send("Bearer mp_bad", "GET", "/v2/team/app/tags/list", nil), 401, "UNAUTHORIZED")
	post := h.send(root, "POST", "/v2/team/app/blobs/uploads/", nil)
	if post.Code != http.StatusAccepted {
		t.Fatalf("push with a token of the pond's: %d %s", post.Code, post.Body)
	}
	for what, one := range map[string]struct {
		authorization, method, path string
		want                        int
		code                        string
	}{
		"push with a pass":                  {token(root, "&scope=repository:team/app:pull,push"), "POST", "/v2/team/app/blobs/uploads/", 202, ""},
		"for A on B":                        {token(root, "&scope=repository:team/app:pull,push"), "POST", "/v2/team/other/blobs/uploads/", 401, "UNAUTHORIZED"},
		"push with a pull token":            {token(root, "&scope=repository:team/app:pull"), "POST", "/v2/team/app/blobs/uploads/", 401, "UNAUTHORIZED"},
		"a prefix of a name":                {token(root, "&scope=repository:team/app:pull,push"), "POST", "/v2/team/app-evil/blobs/uploads/", 401, "UNAUTHORIZED"},
		"two scopes in one":                 {token(root, "&scope=repository:team/x:pull+repository:team/app:push"), "POST", "/v2/team/app/blobs/uploads/", 202, ""},
		"a wildcard":                        {token(root, "&scope=repository:*:pull,push"), "POST", "/v2/team/app/blobs/uploads/", 404, "NAME_UNKNOWN"},
		"a wildcard below a name":           {token(root, "&scope=repository:team/*:pull,push"), "POST", "/v2/team/app/blobs/uploads/", 404, "NAME_UNKNOWN"},
		"another case":                      {token(root, "&scope=repository:team/App:pull,push"), "POST", "/v2/team/app/blobs/uploads/", 404, "NAME_UNKNOWN"},
		"what is read of a subset":          {token(reader, "&scope=repository:team/app:pull,push"), "GET", "/v2/team/app/tags/list", 404, "NAME_UNKNOWN"},
		"what is not in a subset":           {token(reader, "&scope=repository:team/app:pull,push"), "POST", "/v2/team/app/blobs/uploads/", 403, "DENIED"},
		"every action":                      {token(root, "&scope=repository:team/app:*"), "POST", "/v2/team/app/blobs/uploads/", 202, ""},
		"without algorithm":                 {"Bearer " + unsigned, "POST", "/v2/team/app/blobs/uploads/", 401, "UNAUTHORIZED"},
		"another pond's":                    {foreign, "POST", "/v2/team/app/blobs/uploads/", 401, "UNAUTHORIZED"},
		"altered":                           {altered(token(root, "&scope=repository:team/app:pull,push")), "POST", "/v2/team/app/blobs/uploads/", 401, "UNAUTHORIZED"},
		"anonymous, private":                {token("", "&scope=repository:team/app:pull"), "GET", "/v2/team/app/tags/list", 401, "UNAUTHORIZED"},
		"anonymous, private, without token": {"", "GET", "/v2/team/app/manifests/latest", 401, "UNAUTHORIZED"},
		"anonymous, and nobody knows":       {"", "GET", "/v2/none/app/manifests/latest", 401, "UNAUTHORIZED"},
	} {
		upstream := h.upstream.Load()
		wantAnswer(t, what, h.send(one.authorization, one.method, one.path, nil), one.want, one.code)
		if n := h.upstream.Load(); n != upstream {
			t.Errorf("%s: %d upstream requests", what, n-upstream)
		}
	}
	// A token that was ended ends what was given for it.
	h.user("pusher", "publisher team")
	var made TokenDocument
	h.ask(h.admin, "POST", "/-/api/services/pusher/tokens", NewToken{Name: "u"}, 200, &made)
	pass := token("Bearer "+made.Secret, "&scope=repository:team/app:pull,push")
	wantAnswer(t, "a pass of a pusher", h.send(pass, "POST", "/v2/team/app/blobs/uploads/", nil), 202, "")
	h.ask(h.admin, "DELETE", "/-/api/services/pusher/tokens/"+made.ID, nil, 204, nil)
	wantAnswer(t, "a pass of a token that was ended", h.send(pass, "POST", "/v2/team/app/blobs/uploads/", nil), 401, "UNAUTHORIZED")

	form := h.send("", "POST", "/-/token", strings.NewReader(url.Values{"grant_type": {"password"}, "username": {"root"}, "password": {h.admin}, "scope": {"repository:team/app:pull"}, "service": {"x"}}.Encode()),
		func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") })
	wantAnswer(t, "a form", form, 200, "access_token")
	form = h.send("", "POST", "/-/token", strings.NewReader(url.Values{"username": {"root"}, "password": {"wrong"}}.Encode()),
		func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") })
	wantAnswer(t, "a form with a bad password", form, 401, "UNAUTHORIZED")
}

func TestCase19Routes(t *testing.T) {
	h := imageHouse(t)
	for what, one := range map[string]struct {
		path     string
		want     int
		upstream bool
	}{
		"path form":                         {"/v2/images/a/b/tags/list", 404, true},
		"the only one for its namespace":    {"/v2/c/d/tags/list?ns=registry.example", 404, true},
		"another namespace":                 {"/v2/a/b/manifests/x?ns=evil.example", 401, false},
		"no repository, no namespace":       {"/v2/a/b/manifests/x", 401, false},
		"a private one's name, and its ns":  {"/v2/team/b/manifests/x?ns=registry.example", 401, false},
		"an image with a bad name":          {"/v2/images/A/manifests/x", 400, false},
		"not of the protocol":               {"/v2/images/a/junk", 404, false},
		"an image called blobs/uploads":     {"/v2/images/blobs/uploads/tags/list", 404, true},
		"an image called as a path is":      {"/v2/images/a/manifests/b/manifests/1", 404, true},
		"an image called as its repository": {"/v2/images/images/tags/list", 404, true},
		"path beats the namespace":          {"/v2/images/e/f/tags/list?ns=Registry.example", 404, true},
		"path, and a foreign namespace":     {"/v2/images/a/b/tags/list?ns=evil.example", 404, false},
	} {
		before := h.upstream.Load()
		r := h.send("", "GET", one.path, nil)
		if asked := h.upstream.Load() > before; r.Code != one.want || asked != one.upstream {
			t.Errorf("%s: got %d %s, upstream asked: %v; want %d, %v", what, r.Code, r.Body, asked, one.want, one.upstream)
		}
	}
	if r := h.send("", "GET", "/v2/a/b/tags/list?ns=registry.example", nil); r.Header().Get("OCI-Namespace") != "registry.example" {
		t.Errorf("OCI-Namespace is %q", r.Header().Get("OCI-Namespace"))
	}
	wantAnswer(t, "known, no repository", h.send("Bearer "+h.admin, "GET", "/v2/none/a/tags/list", nil), 404, "NAME_UNKNOWN")
	wantAnswer(t, "catalog", h.send("Bearer "+h.admin, "GET", "/v2/_catalog?n=5", nil), 200, "repositories")
}
