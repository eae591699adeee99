package auth

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/repo"
)

// keys keeps one key.
type keys struct{}

func (keys) Secret(_ context.Context, name string, _ func() ([]byte, error)) ([]byte, error) {
	return []byte("key of " + name), nil
}

// signer signs requests as a client does, from the specification and without the code that it tests.
type signer struct{ id, secret string }

func (s signer) sign(r *http.Request, at time.Time, payload string) string {
	date := at.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", date)
	r.Header.Set("X-Amz-Content-Sha256", payload)
	names := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") || name == "range" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	scope := date[:8] + "/eu-central-1/s3/aws4_request"
	sum := s.sum(r, names, payload, date, scope)
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s", s.id, scope, strings.Join(names, ";"), sum))
	return sum
}

func (s signer) key(scope string) []byte {
	key := []byte("AWS4" + s.secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	return key
}

func (s signer) sum(r *http.Request, names []string, payload, date, scope string) string {
	q := r.URL.Query()
	q.Del("X-Amz-Signature")
	query := strings.ReplaceAll(q.Encode(), "+", "%20")
	text := r.Method + "\n" + r.URL.EscapedPath() + "\n" + query + "\n"
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		text += name + ":" + value + "\n"
	}
	text += "\n" + strings.Join(names, ";") + "\n" + payload
	return hex.EncodeToString(mac(s.key(scope), "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hexSum([]byte(text))))
}

func signingRig(t *testing.T) (*rig, signer, string) {
	t.Helper()
	g := start(t)
	g.signing.secrets = keys{}
	ann := g.user("ann", "owner raw *")
	secret := g.token(ann, token{Name: "s3"})
	id := tokenID(secret)
	s3, err := g.s3Secret(t.Context(), id)
	if err != nil || len(s3) != 40 {
		t.Fatalf("the secret access key is %q, %v", s3, err)
	}
	return g, signer{id, s3}, secret
}

func request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.9:1234"
	return r
}

// TestSignature: a request that fits is its token's; whatever is changed, it is nobody's.
func TestSignature(t *testing.T) {
	g, s, _ := signingRig(t)
	fresh := func() *http.Request {
		return request("PUT", "http://direct.example/raw/a%20b%2Bc%25/%C3%BC?x=1&y=a%20b", "hello")
	}
	r := fresh()
	s.sign(r, g.clock.Now(), hexSum([]byte("hello")))
	c, err := g.identify(r)
	if err != nil || c.Name != "ann" || c.Token != s.id || !c.Rights.May(millpond.VerbPublish, "raw", "x") {
		t.Fatalf("signed: got %+v, %v", c.Actor, err)
	}
	if body, err := io.ReadAll(r.Body); err != nil || string(body) != "hello" {
		t.Errorf("body: got %q, %v", body, err)
	}
	for what, change := range map[string]func(r *http.Request){
		"method": func(r *http.Request) { r.Method = "DELETE" }, "path": func(r *http.Request) { r.URL.Path = "/raw/x"; r.URL.RawPath = ""; r.RequestURI = "/raw/x" },
		"query": func(r *http.Request) { r.URL.RawQuery = "x=2" }, "host": func(r *http.Request) { r.Host = "other.example" },
		"signed header": func(r *http.Request) { r.Header.Set("Range", "bytes=1-2") }, "unsigned x-amz header": func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public") },
		"payload": func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", unsigned) },
		"signature": func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:len(r.Header.Get("Authorization"))-1]+"x")
		},
		"key": func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), s.id, "other", 1))
		},
	} {
		r := fresh()
		r.Header.Set("Range", "bytes=0-1")
		s.sign(r, g.clock.Now(), hexSum([]byte("hello")))
		change(r)
		if c, err := g.identify(r); err == nil {
			t.Errorf("another %s: got %q, want an error", what, c.Name)
		}
	}
	for what, at := range map[string]time.Time{"an hour old": g.clock.Now().Add(-time.Hour), "of tomorrow": g.clock.Now().Add(24 * time.Hour)} {
		r := fresh()
		s.sign(r, at, hexSum([]byte("hello")))
		if _, err := g.identify(r); err == nil {
			t.Errorf("%s: was taken", what)
		}
	}
	r = fresh()
	s.sign(r, g.clock.Now(), hexSum([]byte("other")))
	g.must(errOf(g.identify(r)))
	if _, err := io.ReadAll(r.Body); !millpond.Is(err, millpond.Denied) {
		t.Errorf("another body: got %v, want denied", err)
	}
	g.must(g.revoke(t.Context(), millpond.Actor{Name: "ann"}, s.id))
	r = fresh()
	s.sign(r, g.clock.Now(), hexSum([]byte("hello")))
	if _, err := g.identify(r); err == nil {
		t.Error("a revoked token still signs")
	}
}

func TestPresigned(t *testing.T) {
	g, s, _ := signingRig(t)
	sign := func(life string, at time.Time) *http.Request {
		date := at.UTC().Format("20060102T150405Z")
		scope := date[:8] + "/x/s3/aws4_request"
		q := url.Values{"X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {s.id + "/" + scope}, "X-Amz-Date": {date}, "X-Amz-Expires": {life}, "X-Amz-SignedHeaders": {"host"}}
		r := request("GET", "http://pond.example/raw/f?"+q.Encode(), "")
		q.Set("X-Amz-Signature", s.sum(r, []string{"host"}, unsigned, date, scope))
		return request("GET", "http://pond.example/raw/f?"+q.Encode(), "")
	}
	if c, err := g.identify(sign("3600", g.clock.Now().Add(-time.Hour+time.Minute))); err != nil || c.Name != "ann" {
		t.Errorf("in time: got %q, %v", c.Name, err)
	}
	for what, r := range map[string]*http.Request{"expired": sign("3600", g.clock.Now().Add(-2*time.Hour)), "too long": sign("604801", g.clock.Now()), "no time": sign("", g.clock.Now())} {
		if _, err := g.identify(r); err == nil {
			t.Errorf("%s: was taken", what)
		}
	}
	r := sign("3600", g.clock.Now())
	r.Header.Set("Authorization", "Bearer x")
	if _, err := g.identify(r); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("two credentials: got %v, want invalid", err)
	}
}

// TestCanonicalQuery: parameters are signed in the order of their names, of which one may begin with another.
func TestCanonicalQuery(t *testing.T) {
	for query, want := range map[string]string{
		"b=2&a=1":                         "a=1&b=2",
		"x-amz-meta-a-b=2&x-amz-meta-a=1": "x-amz-meta-a=1&x-amz-meta-a-b=2",
		"a2=x&a=y&a=b":                    "a=b&a=y&a2=x",
		"prefix=a%2Fb+c&list-type=2&X-Amz-Date=d": "X-Amz-Date=d&list-type=2&prefix=a%2Fb%20c",
		"uploads": "uploads=",
	} {
		if got := canonicalQuery(query); got != want {
			t.Errorf("canonicalQuery(%q) is %q, want %q", query, got, want)
		}
	}
}

// TestSignedChunks: one flipped bit anywhere in a body in chunks, and it never ends well.
func TestSignedChunks(t *testing.T) {
	g, s, _ := signingRig(t)
	build := func(trailer bool) (*http.Request, string) {
		payload := "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
		if trailer {
			payload += "-TRAILER"
		}
		r := request("PUT", "http://pond.example/raw/f", "")
		before := s.sign(r, g.clock.Now(), payload)
		date := r.Header.Get("X-Amz-Date")
		scope := date[:8] + "/eu-central-1/s3/aws4_request"
		var b strings.Builder
		for _, chunk := range []string{"hello ", "world", ""} {
			text := strings.Join([]string{"AWS4-HMAC-SHA256-PAYLOAD", date, scope, before, emptySum, hexSum([]byte(chunk))}, "\n")
			before = hex.EncodeToString(mac(s.key(scope), text))
			fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s", len(chunk), before, chunk)
			if chunk != "" {
				b.WriteString("\r\n")
			}
		}
		if trailer {
			const line = "x-amz-checksum-crc32:DUoRhQ=="
			text := strings.Join([]string{"AWS4-HMAC-SHA256-TRAILER", date, scope, before, hexSum([]byte(line + "\n"))}, "\n")
			fmt.Fprintf(&b, "%s\r\nx-amz-trailer-signature:%s\r\n", line, hex.EncodeToString(mac(s.key(scope), text)))
		}
		b.WriteString("\r\n")
		return r, b.String()
	}
	read := func(r *http.Request, body string) (string, error) {
		r.Body = io.NopCloser(strings.NewReader(body))
		if _, err := g.identify(r); err != nil {
			return "", err
		}
		got, err := io.ReadAll(r.Body)
		return string(got), err
	}
	for _, trailer := range []bool{false, true} {
		r, body := build(trailer)
		if got, err := read(r, body); err != nil || got != body {
			t.Errorf("trailer %v: got %q, %v; want %q", trailer, got, err, body)
		}
		for i := range body {
			r, _ := build(trailer)
			flipped := []byte(body)
			flipped[i] ^= 1
			got, err := read(r, string(flipped))
			if err == nil && body[i] != '\r' && i < len(body)-3 && !strings.EqualFold(got, body) { // a name's case, and what ends a line, mean nothing
				t.Errorf("trailer %v: bit of byte %d (%q) flipped, and it ended well", trailer, i, body[i])
			}
			if _, err := read(r, body[:i]); err == nil && i < len(body)-4 {
				t.Errorf("trailer %v: cut after %d bytes, and it ended well", trailer, i)
			}
		}
	}
}

// TestCase10Links: a link is for what it says, for as long as it says, and as long as its maker may.
func TestCase10Links(t *testing.T) {
	g, s, secret := signingRig(t)
	maker := g.bearer(secret)
	link := func(l format.Link) string {
		t.Helper()
		accounts := g.AccountsFor(maker, "raw", "raw", nil).(format.Linker)
		q, err := accounts.SignLink(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return "http://pond.example/raw" + l.Path + "?" + q.Encode()
	}
	get := link(format.Link{Method: "GET", Path: "/dir/f"})
	for _, method := range []string{"GET", "HEAD"} {
		c, err := g.identify(request(method, get, ""))
		if err != nil || c.Name != "ann" || !c.Rights.May(millpond.VerbRead, "raw", "dir/f") {
			t.Errorf("%s: got %q, %v", method, c.Name, err)
		}
		if c.Rights != nil && (c.Rights.May(millpond.VerbPublish, "raw", "dir/f") || c.Rights.May(millpond.VerbRead, "other", "x")) {
			t.Errorf("%s: the link lets more in than it is for", method)
		}
	}
	put := link(format.Link{Method: "PUT", Path: "/in/f", Most: 10})
	if c, err := g.identify(request("PUT", put, "x")); err != nil || !c.Rights.May(millpond.VerbPublish, "raw", "in/f") || c.Rights.May(millpond.VerbDelete, "raw", "in/f") {
		t.Errorf("PUT: got %v", err)
	}
	below := link(format.Link{Method: "GET", Path: "/foo/", Prefix: true})
	g.must(errOf(g.identify(request("GET", strings.Replace(below, "/raw/foo/?", "/raw/foo/a/b?", 1), ""))))
	altered := func(what, target, method string) {
		t.Helper()
		if c, err := g.identify(request(method, target, "")); err == nil {
			t.Errorf("another %s: got %q, want an error", what, c.Name)
		}
	}
	altered("method", get, "PUT")
	altered("method", put, "GET")
	altered("path", strings.Replace(get, "/raw/dir/f?", "/raw/dir/g?", 1), "GET")
	altered("path", strings.ReplaceAll(get, "dir", "rid"), "GET")
	altered("sibling", strings.Replace(below, "/raw/foo/?", "/raw/foo2/x?", 1), "GET")
	altered("expiry", strings.Replace(get, "mp-exp=1", "mp-exp=2", 1), "GET")
	altered("maker", strings.Replace(get, "mp-by="+s.id, "mp-by=other", 1), "GET")
	altered("key", strings.Replace(get, "mp-kid=1", "mp-kid=2", 1), "GET")
	altered("digest", get+"&mp-v=sha256:00", "GET")
	altered("limit", strings.Replace(put, "mp-max=10", "mp-max=99", 1), "PUT")
	r := request("GET", get, "")
	r.Header.Set("Authorization", "Bearer x")
	if _, err := g.identify(r); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("beside a credential: got %v, want invalid", err)
	}
	if _, err := (g.AccountsFor(maker, "raw", "raw", nil).(format.Linker)).SignLink(t.Context(), format.Link{Method: "GET", Path: "/f", Expires: g.clock.Now().Add(8 * 24 * time.Hour)}); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("of eight days: got %v, want invalid", err)
	}
	g.clock.add(time.Hour)
	altered("hour", get, "GET")
	get = link(format.Link{Method: "GET", Path: "/dir/f"})
	g.must(errOf(g.identify(request("GET", get, ""))))
	settings := *g.state.Load().settings
	settings.LinkKey = "2"
	g.must(g.Configure(settings))
	altered("key, which was changed,", get, "GET")
	altered("key's name", strings.Replace(get, "mp-kid=1", "mp-kid=2", 1), "GET")
	get = link(format.Link{Method: "GET", Path: "/dir/f"})
	g.must(errOf(g.identify(request("GET", get, ""))))
	g.must(g.revoke(t.Context(), millpond.Actor{Name: "ann"}, s.id))
	altered("life: its maker's token is revoked, and", get, "GET")
}

func errOf[T any](_ T, err error) error { return err }

// TestLinkWithinChange: a link lets in no more inside the transaction of a change than it does before it, and stands for
// nothing else of its maker.
func TestLinkWithinChange(t *testing.T) {
	g, _, secret := signingRig(t)
	maker := g.bearer(secret)
	q, err := g.AccountsFor(maker, "raw", "raw", nil).(format.Linker).SignLink(t.Context(), format.Link{Method: "PUT", Path: "/in/f"})
	g.must(err)
	c, err := g.identify(request("PUT", "http://pond.example/raw/in/f?"+q.Encode(), "x"))
	g.must(err)
	var now repo.Rights
	g.must(g.records.View(t.Context(), func(tx catalog.Tx) (err error) {
		now, err = c.Rights.Now(tx)
		return err
	}))
	still, err := g.Still(c)
	g.must(err)
	for when, rights := range map[string]repo.Rights{"before": c.Rights, "inside": now, "later": still.Rights} {
		if !rights.May(millpond.VerbPublish, "raw", "in/f") {
			t.Errorf("%s: the link is for nothing", when)
		}
		for _, v := range []millpond.Verb{millpond.VerbOverwrite, millpond.VerbMove, millpond.VerbDelete, millpond.VerbGrant} {
			if rights.May(v, "raw", "in/f") {
				t.Errorf("%s: a link to put a file lets its holder %s", when, v)
			}
		}
		if rights.May(millpond.VerbPublish, "other", "x") {
			t.Errorf("%s: the link is for another repository too", when)
		}
	}
}
