package fetch

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

// A desk is a token service, and a registry's door that wants its tokens.
type desk struct {
	*faulty.Server
	realm    string // "" is its own
	asked    atomic.Int64
	mu       sync.Mutex // guards what follows
	scopes   []string
	auth     []string // Authorization headers that came to the token service
	lifetime string   // of tokens, as JSON
	refuse   int      // tokens that are refused though they were given
	wants    string   // the error of a challenge to a token that is not good enough
	good     string
}

func newDesk(t *testing.T) *desk {
	d := &desk{Server: faulty.New(t), good: "Bearer t-"}
	d.Handle("/token", func(w http.ResponseWriter, r *http.Request) {
		n := d.asked.Add(1)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.scopes = append(d.scopes, r.URL.Query().Get("scope"))
		d.auth = append(d.auth, r.Header.Get("Authorization"))
		fmt.Fprintf(w, `{"token":"t-%d-%s"%s}`, n, r.URL.Query().Get("scope"), d.lifetime)
	})
	return d
}

// door answers a path to those who have a token.
func (d *desk) door(path, body string) {
	d.Handle(path, func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		realm := d.realm
		if realm == "" {
			realm = d.URL + "/token"
		}
		token := r.Header.Get("Authorization")
		if !strings.HasPrefix(token, d.good) || d.refuse > 0 {
			if strings.HasPrefix(token, d.good) {
				d.refuse--
			}
			challenge := fmt.Sprintf(`Bearer realm=%q,service="up.example",scope="repository:placeholder:pull"`, realm)
			if token != "" && d.wants != "" {
				challenge += `,error="` + d.wants + `"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, body)
	})
}

func (d *desk) want(t *testing.T, what string, n int64) {
	t.Helper()
	if got := d.asked.Load(); got != n {
		t.Errorf("%s: the token service was asked %d times, want %d (%q)", what, got, n, d.scopes)
	}
}

func (r *rig) ask(path, scope string) (string, error) {
	doc, err := r.up.Get(r.t.Context(), Request{URL: r.srv.URL + path, Scope: scope})
	if err != nil {
		return "", err
	}
	defer doc.Close()
	b := make([]byte, doc.Size)
	_, err = doc.ReadAt(b, 0)
	return string(b), err
}

func TestCase16Token(t *testing.T) {
	d := newDesk(t)
	d.door("/a/one", "one of a")
	d.door("/a/two", "two of a")
	d.door("/b/one", "one of b")
	d.lifetime = `,"expires_in":300`
	r := newRigOn(t, d.Server)
	good := func(path, scope, want string) {
		t.Helper()
		if got, err := r.ask(path, scope); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
	}
	good("/a/one", "repository:a:pull", "one of a")
	good("/a/two", "repository:a:pull", "two of a")
	d.want(t, "one image", 1)
	if d.scopes[0] != "repository:a:pull" || d.auth[0] != "" {
		t.Errorf("the token was asked for %q with %q: the scope is ours, and there is no credential", d.scopes[0], d.auth[0])
	}
	good("/b/one", "repository:b:pull", "one of b")
	d.want(t, "another image", 2)
	r.clock.pass(291 * time.Second)
	good("/a/one", "repository:a:pull", "one of a")
	d.want(t, "ended", 3)
	d.mu.Lock()
	d.refuse = 1
	d.mu.Unlock()
	good("/a/one", "repository:a:pull", "one of a")
	d.want(t, "refused once", 4)
	d.mu.Lock()
	d.refuse, d.lifetime = 100, ""
	d.mu.Unlock()
	_, err := r.ask("/a/one", "repository:a:pull")
	wantError(t, err, millpond.BadUpstream, "refused access (401)")
	d.mu.Lock()
	d.refuse, d.wants = 100, "insufficient_scope"
	d.mu.Unlock()
	_, err = r.ask("/a/none", "repository:a:pull")
	wantError(t, err, millpond.NotFound, "")
	_, err = r.ask("/a/one", "repository:c:pull")
	wantError(t, err, millpond.NotFound, "does not show it")
	d.mu.Lock()
	d.refuse = 0
	d.mu.Unlock()
	asked := d.asked.Load()
	good("/a/one", "repository:d:pull", "one of a")
	r.clock.pass(51 * time.Second)
	good("/a/one", "repository:d:pull", "one of a")
	d.want(t, "a token that does not say how long it is good lasts a minute", asked+2)
}

func TestCase16OneFlight(t *testing.T) {
	d := newDesk(t)
	d.door("/a", "a")
	r := newRigOn(t, d.Server)
	if _, err := r.ask("/a", "s0"); err != nil { // the challenge is known from now on
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if got, err := r.ask("/a", "s1"); err != nil || got != "a" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	all.Wait()
	d.want(t, "thirty at once", 2)
}

func TestCase15Realm(t *testing.T) {
	const scope = "repository:a:pull"
	secret := func(_ *Engine, s *Settings) { s.Username, s.Password = "ann", "s3cret" }
	t.Run("its own origin is given the credentials", func(t *testing.T) {
		d := newDesk(t)
		d.door("/a", "a")
		r := newRigOn(t, d.Server, secret)
		if got, err := r.ask("/a", scope); err != nil || got != "a" || !strings.HasPrefix(d.auth[0], "Basic ") {
			t.Errorf("got %q, %v, with %q", got, err, d.auth)
		}
	})
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprintf("another origin, named in auth_realms: %v", named), func(t *testing.T) {
			d, other := newDesk(t), newDesk(t)
			d.realm = other.URL + "/token"
			d.door("/a", "a")
			r := newRigOn(t, d.Server, secret, func(_ *Engine, s *Settings) {
				s.Also, s.AllowAddresses = []string{other.URL}, []string{"127.0.0.0/8"}
				if named {
					s.Realms = []string{other.URL}
				}
			})
			got, err := r.ask("/a", scope)
			if err != nil || got != "a" || len(other.auth) != 1 || (other.auth[0] != "") != named {
				t.Errorf("got %q, %v; the token service saw %q", got, err, other.auth)
			}
		})
	}
	for _, realm := range []string{"http://elsewhere.example/token", "https://127.0.0.1:1/token", "https://169.254.169.254/token", "/token", "ftp://up.example/"} {
		t.Run("never: "+realm, func(t *testing.T) {
			d := newDesk(t)
			d.realm = realm
			d.door("/a", "a")
			r := newRigOn(t, d.Server, secret)
			_, err := r.ask("/a", scope)
			wantError(t, err, millpond.BadUpstream, "token")
		})
	}
}

// TestCase15Redirect: a token goes no further than the registry that it is for: where that redirects to is asked without, and an
// address that is not public is not asked at all.
func TestCase15Redirect(t *testing.T) {
	for name, allowed := range map[string]bool{"to a file store": true, "to a private address": false} {
		t.Run(name, func(t *testing.T) {
			d, store := newDesk(t), faulty.New(t)
			var asked, seen atomic.Int64
			store.Handle("/blob", func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if r.Header.Get("Authorization") != "" {
					seen.Add(1)
				}
				fmt.Fprint(w, "bytes")
			})
			d.Handle("/a", func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.Header.Get("Authorization"), d.good) {
					w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="up.example"`, d.URL+"/token"))
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				http.Redirect(w, r, store.URL+"/blob", http.StatusTemporaryRedirect)
			})
			r := newRigOn(t, d.Server, func(_ *Engine, s *Settings) {
				s.Username, s.Password, s.Also = "ann", "s3cret", []string{store.URL}
				if allowed {
					s.AllowAddresses = []string{"127.0.0.0/8"}
				}
			})
			got, err := r.ask("/a", "repository:a:pull")
			if allowed && (err != nil || got != "bytes" || asked.Load() != 1) {
				t.Errorf("got %q, %v, and the store was asked %d times", got, err, asked.Load())
			}
			if !allowed {
				wantError(t, err, millpond.BadUpstream, "")
			}
			if !allowed && asked.Load() > 0 || seen.Load() > 0 {
				t.Errorf("the store was asked %d times, %d of them with a credential", asked.Load(), seen.Load())
			}
		})
	}
}

func TestChallenge(t *testing.T) {
	for text, want := range map[string]string{
		`Bearer realm="https://a.example/t",service="s"`:                 "https://a.example/t|s|",
		`bearer Realm="https://a.example/t\"x", error = "invalid_token"`: `https://a.example/t"x||invalid_token`,
		`Bearer service=s,realm=https://a.example/t`:                     "https://a.example/t|s|",
		`Basic realm="x"`:          "",
		`Bearer`:                   "",
		`Bearer realm="unfinished`: "unfinished||",
		`Bearer scope="repository:a:pull,push",realm="r",service="a=b, c"`: "r|a=b, c|",
	} {
		got := ""
		if from, problem := challengeOf(http.Header{"Www-Authenticate": {text}}); from != nil {
			got = from.at + "|" + from.service + "|" + problem
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	r := newRig(t)
	r.srv.Put("/some", faulty.Object{Body: noise(1000)})
	r.srv.Put("/whole", faulty.Object{Body: noise(500), NoRange: true})
	r.srv.Put("/none", faulty.Object{Body: []byte{}})
	for path, want := range map[string]int64{"/some": 1000, "/whole": 500, "/none": 0} {
		r.srv.Forget()
		for _, scope := range []string{"", "repository:a:pull"} {
			if got, err := r.up.Head(t.Context(), File{URL: r.srv.URL + path, Scope: scope}); err != nil || got.Size != want {
				t.Errorf("%s, scope %q: got %+v, %v, want %d", path, scope, got, err, want)
			}
		}
		if heads, gets := r.srv.Count("HEAD", path), r.srv.Count("GET", path); heads != 1 || gets != 1 {
			t.Errorf("%s: asked %d times by HEAD and %d by GET, want one of each: a redirect may be signed for GET", path, heads, gets)
		}
	}
	_, err := r.up.Head(t.Context(), File{URL: r.srv.URL + "/absent"})
	wantError(t, err, millpond.NotFound, "")
}
