package server

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"millpond"
	"millpond/catalog"
	"millpond/internal/auth"
	"millpond/repo"
)

// A jobIssuer signs identity tokens of CI jobs, and is where people log in.
type jobIssuer struct {
	*httptest.Server
	key       *rsa.PrivateKey
	challenge string         // of the login that is under way
	person    map[string]any // who logs in
}

// issuer starts a jobIssuer that the house trusts.
func (h *house) issuer(kind string) *jobIssuer {
	h.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		h.t.Fatal(err)
	}
	i := &jobIssuer{key: key}
	mux := http.NewServeMux()
	answer := func(pattern string, document func(r *http.Request) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			status, d := document(r)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(d)
		})
	}
	answer("GET /.well-known/openid-configuration", func(*http.Request) (int, any) {
		return 200, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize",
			"token_endpoint": i.URL + "/token", "id_token_signing_alg_values_supported": []string{"RS256"}}
	})
	answer("GET /keys", func(*http.Request) (int, any) {
		return 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}}
	})
	answer("POST /token", func(r *http.Request) (int, any) {
		if r.FormValue("code") != "the-code" || r.FormValue("code_verifier") == "" || i.challenge == "" {
			return 400, map[string]string{"error": "invalid_grant"}
		}
		return 200, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": i.sign(h.t, i.person)}
	})
	i.Server = httptest.NewServer(mux)
	h.t.Cleanup(i.Close)
	s := h.people
	s.Issuers = append(s.Issuers, auth.Issuer{URL: i.URL, Kind: kind})
	s.Providers = append(s.Providers, auth.Provider{Issuer: i.URL, ClientID: "pond", ClientSecret: "canary-client"})
	if err := h.auth.Configure(s); err != nil {
		h.t.Fatal(err)
	}
	return i
}

func (i *jobIssuer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: i.key}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// job is the identity token of the job that releases.
func (i *jobIssuer) job(h *house, audience, id string) string {
	now := h.now().Unix()
	return i.sign(h.t, map[string]any{
		"iss": i.URL, "aud": audience, "iat": now, "nbf": now, "exp": now + 300, "jti": id, "sub": "repo:acme/widget:environment:release",
		"repository": "acme/widget", "repository_id": "17", "repository_owner_id": "4", "ref": "refs/tags/v1", "event_name": "push",
		"workflow_ref": "acme/widget/.github/workflows/release.yml@refs/tags/v1", "environment": "release", "sha": "0123abcd",
	})
}

// trusts adds the rule that lets that job publish names in a repository.
func (h *house) trusts(i *jobIssuer, repository string, names ...string) {
	h.t.Helper()
	h.ask(h.admin, "POST", "/-/api/publishers", PublisherDocument{Name: "widget", Issuer: i.URL, Repository: repository, Names: names,
		Claims: map[string]string{"repository_id": "17", "repository_owner_id": "4", "workflow_path": ".github/workflows/release.yml", "environment": "release"}}, 200, nil)
}

// told fails the test unless the last publish in a repository was by the job, and its event says which job.
func (h *house) told(what, repository string) {
	h.t.Helper()
	var last *millpond.Event
	for e, err := range h.catalog.Find(h.t.Context(), catalog.Filter{Repository: repository}) {
		if err != nil {
			h.t.Fatal(err)
		}
		if e.Verb == "publish" {
			last = e
		}
	}
	if last == nil {
		h.t.Fatalf("%s: nothing was published in %s", what, repository)
	}
	var detail struct{ Claims map[string]any }
	if err := json.Unmarshal(last.Detail, &detail); err != nil {
		h.t.Fatalf("%s: %v in %s", what, err, last.Detail)
	}
	if last.Name != "publisher:widget" || last.Token == "" || detail.Claims["repository_id"] != "17" || detail.Claims["sha"] != "0123abcd" {
		h.t.Errorf("%s: the event is %+v %s, want the job's name, token and claims", what, last, last.Detail)
	}
}

// nodeBody is what npm sends to publish @acme/widget, version 1.0.n.
func nodeBody(n int) []byte {
	version := fmt.Sprintf("1.0.%d", n)
	var tgz bytes.Buffer
	z := gzip.NewWriter(&tgz)
	w := tar.NewWriter(z)
	text := fmt.Sprintf(`{"name":"@acme/widget","version":%q}`, version)
	w.WriteHeader(&tar.Header{Name: "package/package.json", Mode: 0o644, Size: int64(len(text))}) // memory does not fail
	w.Write([]byte(text))
	w.Close()
	z.Close()
	body, err := json.Marshal(map[string]any{
		"_id": "@acme/widget", "name": "@acme/widget", "dist-tags": map[string]string{"latest": version},
		"versions":     map[string]any{version: map[string]any{"name": "@acme/widget", "version": version}},
		"_attachments": map[string]any{"w.tgz": map[string]any{"data": base64.StdEncoding.EncodeToString(tgz.Bytes()), "length": tgz.Len()}},
	})
	if err != nil {
		panic(err)
	}
	return body
}

// pythonForm is what twine and uv send to publish a wheel.
func pythonForm(name, version string) (contentType string, body []byte) {
	dir := name + "-" + version + ".dist-info/"
	var wheel bytes.Buffer
	z := zip.NewWriter(&wheel)
	for _, f := range [][2]string{
		{name + ".py", "x = 1\n"}, {dir + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{dir + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{dir + "RECORD", name + ".py,,\n" + dir + "METADATA,,\n" + dir + "WHEEL,,\n" + dir + "RECORD,,\n"},
	} {
		if w, err := z.Create(f[0]); err == nil {
			w.Write([]byte(f[1]))
		}
	}
	z.Close()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for _, f := range [][2]string{{":action", "file_upload"}, {"name", name}, {"version", version}, {"filetype", "bdist_wheel"}} {
		form.WriteField(f[0], f[1])
	}
	if part, err := form.CreateFormFile("content", name+"-"+version+"-py3-none-any.whl"); err == nil {
		part.Write(wheel.Bytes())
	}
	form.Close()
	return form.FormDataContentType(), b.Bytes()
}

// TestTrustedPublishing walks as CI jobs do: an identity token for a short token, with it a publish, and again with the same
// identity token a refusal. The identity token stands where npm sends its credential, and is not judged as one.
func TestTrustedPublishing(t *testing.T) {
	h := newHouse(t)
	i := h.issuer("github")
	h.trusts(i, "node", "@acme/*")
	h.trusts(i, "py", "acme-*")
	secret := func(what string, w *httptest.ResponseRecorder, status int) string {
		t.Helper()
		var made struct{ Token, Secret string }
		if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != status {
			t.Fatalf("%s = %d %s, want %d and a token", what, w.Code, w.Body, status)
		}
		return made.Token + made.Secret // the protocols call it the one, our own interface the other
	}
	publishNode := func(token string, n, status int) {
		t.Helper()
		if w := h.send(bearer(token), "PUT", "/node/@acme%2fwidget", bytes.NewReader(nodeBody(n))); w.Code != status {
			t.Errorf("publish @acme/widget 1.0.%d = %d %s, want %d", n, w.Code, w.Body, status)
		}
	}

	// npm: the root of the host, Bearer, no body; once for each package.
	identity := i.job(h, "npm:pond.example", "a")
	exchange := "/-/npm/v1/oidc/token/exchange/package/@acme%2fwidget"
	token := secret("npm's exchange", h.send(bearer(identity), "POST", exchange, nil), 201)
	publishNode(token, 1, 201)
	h.told("npm", "node")
	if w := h.send(bearer(identity), "POST", exchange, nil); w.Code != 401 {
		t.Errorf("npm's exchange again = %d %s, want 401", w.Code, w.Body)
	}
	if w := h.send(bearer(identity), "POST", "/-/npm/v1/oidc/token/exchange/package/other", nil); w.Code != 403 {
		t.Errorf("npm's exchange for a package of no rule = %d %s, want 403", w.Code, w.Body)
	}
	if w := h.send(bearer(identity), "PUT", "/node/@acme%2fwidget", bytes.NewReader(nodeBody(2))); w.Code != 401 {
		t.Errorf("publish with the identity token itself = %d %s, want 401", w.Code, w.Body)
	}
	if w := h.send(bearer(token), "PUT", "/node/other", bytes.NewReader(nodeBody(2))); w.Code != 403 {
		t.Errorf("publish another package with the token = %d %s, want 403", w.Code, w.Body)
	}

	// The same below the repository's own address, though it is private: whoever exchanges is nobody yet.
	below := "/node/-/npm/v1/oidc/token/exchange/package/@acme%2fwidget"
	publishNode(secret("the exchange below the repository", h.send(bearer(i.job(h, "npm:pond.example", "b")), "POST", below, nil), 201), 2, 201)
	h.told("below the repository", "node")

	// uv and the publish action: the audience, the exchange, the upload as __token__, and the token's end.
	var said struct{ Audience string }
	if err := json.Unmarshal(h.send("", "GET", "/_/oidc/audience", nil).Body.Bytes(), &said); err != nil || said.Audience != "millpond:pond.example" {
		t.Fatalf("the audience is %q, %v", said.Audience, err)
	}
	identity = i.job(h, said.Audience, "c")
	mint := func() *httptest.ResponseRecorder {
		return h.send("", "POST", "/_/oidc/mint-token", strings.NewReader(`{"token": "`+identity+`"}`))
	}
	token = secret("mint-token", mint(), 200)
	contentType, form := pythonForm("acme_widget", "1.0")
	upload := func() *httptest.ResponseRecorder {
		return h.send(basicAuth("__token__", token), "POST", "/py/legacy/", bytes.NewReader(form), header("Content-Type", contentType))
	}
	if w := upload(); w.Code != 200 {
		t.Errorf("upload = %d %s, want 200", w.Code, w.Body)
	}
	h.told("uv", "py")
	if w := mint(); w.Code != 422 || !strings.Contains(w.Body.String(), "used before") {
		t.Errorf("mint-token again = %d %s, want 422", w.Code, w.Body)
	}
	if w := h.send("", "POST", "/_/oidc/burn-token", strings.NewReader(`{"token": "`+token+`"}`)); w.Code != 200 {
		t.Errorf("burn-token = %d %s, want 200", w.Code, w.Body)
	}
	if w := upload(); w.Code != 401 {
		t.Errorf("upload with the burned token = %d %s, want 401", w.Code, w.Body)
	}

	// Any other job: our own address.
	asked := ExchangeDocument{Token: i.job(h, said.Audience, "d"), Repository: "node", Package: "@acme/widget"}
	var made TokenDocument
	h.ask("", "POST", "/-/api/oidc/exchange", asked, 200, &made)
	publishNode(made.Secret, 3, 201)
	h.told("our own exchange", "node")
	h.ask("", "POST", "/-/api/oidc/exchange", asked, 401, nil)
	h.clock.Add(int64(16 * 60 * 1e9))
	publishNode(made.Secret, 4, 401) // fifteen minutes are over

	for _, token := range []string{identity, made.Secret, token} {
		if strings.Contains(h.log.String(), token) {
			t.Errorf("the log holds a secret: %.20s…", token)
		}
	}
}

// TestLoginAtAProvider is a browser's: sent away, back with a code, and logged in, in this browser alone and once.
func TestLoginAtAProvider(t *testing.T) {
	h := newHouse(t)
	i := h.issuer("")
	begin := func() (query url.Values, browser *http.Cookie) {
		t.Helper()
		w := h.send("", "GET", "/-/login/provider?next=/-/tokens&issuer="+url.QueryEscape(i.URL), nil, overTLS)
		to, err := url.Parse(w.Header().Get("Location"))
		if w.Code != 303 || err != nil || !strings.HasPrefix(to.String(), i.URL+"/authorize?") {
			t.Fatalf("begin = %d to %q, want a page of the provider's", w.Code, w.Header().Get("Location"))
		}
		cookies := w.Result().Cookies()
		if len(cookies) != 1 || !cookies[0].HttpOnly || !cookies[0].Secure {
			t.Fatalf("begin sets %v, want one cookie that no script reads", cookies)
		}
		q := to.Query()
		if i.challenge = q.Get("code_challenge"); q.Get("redirect_uri") != "https://pond.example/-/login/callback" || i.challenge == "" {
			t.Fatalf("the provider is asked %v", q)
		}
		now := h.now().Unix()
		i.person = map[string]any{"iss": i.URL, "aud": "pond", "sub": "s-1", "iat": now, "exp": now + 60, "nonce": q.Get("nonce"),
			"preferred_username": "carl", "email": "carl@acme.example", "email_verified": true}
		return q, cookies[0]
	}
	back := func(q url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
		return h.send("", "GET", "/-/login/callback?code=the-code&state="+url.QueryEscape(q.Get("state")), nil, append(change, overTLS)...)
	}
	q, browser := begin()
	if w := back(q); w.Code != 401 || sessionOf(w) != nil {
		t.Errorf("another browser comes back = %d, want 401 and no login", w.Code)
	}
	w := back(q, withCookie(browser))
	session := sessionOf(w)
	if w.Code != 303 || session == nil || w.Header().Get("Location") != "/-/tokens" {
		t.Fatalf("back = %d %s to %q, want a login and the page that was asked for", w.Code, w.Body, w.Header().Get("Location"))
	}
	if w := back(q, withCookie(browser)); w.Code != 401 || sessionOf(w) != nil {
		t.Errorf("back a second time = %d, want 401", w.Code)
	}
	var who WhoDocument
	got := h.send("", "GET", "/-/api/whoami", nil, overTLS, withCookie(session))
	if err := json.Unmarshal(got.Body.Bytes(), &who); err != nil || who.Name != "carl" {
		t.Errorf("logged in as %q, %v: %s", who.Name, err, got.Body)
	}
	if w := h.send("", "GET", "/-/login/provider?issuer=https://evil.example", nil, overTLS); w.Code != 404 {
		t.Errorf("a provider that nobody named = %d to %q, want 404", w.Code, w.Header().Get("Location"))
	}
	q, browser = begin()
	i.person["nonce"] = "another"
	if w := back(q, withCookie(browser)); w.Code != 401 || sessionOf(w) != nil {
		t.Errorf("an answer to another question = %d, want 401", w.Code)
	}
	if strings.Contains(h.log.String(), "the-code") || strings.Contains(h.log.String(), "canary-client") {
		t.Error("the log holds the code or the client's secret")
	}
}

// TestBadCredentialOfAPublisher: a client that sends all of its file before it reads, and shows only the status line, is told
// what is wrong with its token.
func TestBadCredentialOfAPublisher(t *testing.T) {
	h := newHouse(t)
	server := httptest.NewServer(h.server)
	defer server.Close()
	for name, authorization := range map[string]string{"a token that was never made": "Bearer mp_abc_def", "nobody, in a private repository": ""} {
		req, err := http.NewRequest("POST", server.URL+"/py/legacy/", bytes.NewReader(make([]byte, 40<<20)))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "pond.example"
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var body bytes.Buffer
		body.ReadFrom(resp.Body) // what came is compared
		resp.Body.Close()
		words, _, _ := strings.Cut(body.String(), "\n")
		if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" || len(words) < 20 || !strings.HasPrefix(resp.Status, "401 "+words) {
			t.Errorf("%s: got %q and %q, want 401 with the words in both", name, resp.Status, body.String())
		}
	}
}

// TestLogInAtAPrivateRepository: who may not read yet may log in, by the repository's own protocol, and do nothing else.
func TestLogInAtAPrivateRepository(t *testing.T) {
	h := newHouse(t)
	var begun struct{ LoginURL, DoneURL string }
	w := h.send("", "POST", "/node/-/v1/login", strings.NewReader("{}"))
	if err := json.Unmarshal(w.Body.Bytes(), &begun); err != nil || w.Code != 200 {
		t.Fatalf("begin = %d %s", w.Code, w.Body)
	}
	page, err := url.Parse(begun.LoginURL)
	if err != nil || page.Host != "pond.example" || page.Path != "/-/login" {
		t.Errorf("the page is %q, want one of the pond's own", begun.LoginURL)
	}
	_, done, _ := strings.Cut(begun.DoneURL, "pond.example")
	if w := h.send("", "GET", done, nil); w.Code != 202 || w.Header().Get("Retry-After") == "" {
		t.Errorf("poll %s = %d %s, want 202 with Retry-After", done, w.Code, w.Body)
	}
	h.ask(h.admin, "POST", "/-/api/login/waiting/"+page.Query().Get("ticket")+"/approve", nil, 204, nil)
	var made struct{ Token string }
	if w := h.send("", "GET", done, nil); json.Unmarshal(w.Body.Bytes(), &made) != nil || w.Code != 200 {
		t.Fatalf("poll = %d %s, want a token", w.Code, w.Body)
	}
	if w := h.send(bearer(made.Token), "GET", "/node/-/whoami", nil); w.Code != 200 || !strings.Contains(w.Body.String(), "root") {
		t.Errorf("whoami = %d %s, want root", w.Code, w.Body)
	}
	in := h.send("", "PUT", "/node/-/user/org.couchdb.user:root", strings.NewReader(`{"name":"root","password":"correct horse battery"}`))
	if json.Unmarshal(in.Body.Bytes(), &made) != nil || in.Code != 201 {
		t.Errorf("log in with a password = %d %s, want 201 and a token", in.Code, in.Body)
	}
	if w := h.send("", "PUT", "/node/-/user/org.couchdb.user:root", strings.NewReader(`{"name":"root","password":"another"}`)); w.Code != 401 {
		t.Errorf("log in with a wrong password = %d %s, want 401", w.Code, w.Body)
	}
	for _, path := range []string{"/node/-/whoami", "/node/-/v1/login", "/node/-/npm/v1/tokens", "/node/left-pad", "/node/-/v1/search?text=x", "/node/"} {
		if w := h.send("", "GET", path, nil); w.Code != 401 {
			t.Errorf("GET %s as nobody = %d %s, want 401", path, w.Code, w.Body)
		}
	}
	public := h.pond.Repository("node").Config()
	public.Public = true
	if err := h.pond.Configure(t.Context(), repo.Settings{}, []repo.Config{public}); err != nil {
		t.Fatal(err)
	}
	if err := h.server.Configure(Settings{}, []Repository{h.pond.Repository("node")}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/node/-/whoami", "/node/-/npm/v1/tokens", "/node/-/npm/v1/user"} {
		if w := h.send("", "GET", path, nil); w.Code != 401 {
			t.Errorf("GET %s as nobody, where everybody may read = %d %s, want 401", path, w.Code, w.Body)
		}
	}
	if n := h.upstream.Load(); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}
