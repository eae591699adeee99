package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

// A keysmith is the services that give access keys: those of a machine, of a container and of a cluster. The n-th key is
// "KEYn", and good for an hour.
type keysmith struct {
	*httptest.Server
	now    func() time.Time
	asked  atomic.Int64 // for keys
	away   atomic.Bool
	before func() // each key
}

const identityToken = "token of this pod"

func newKeysmith(t *testing.T) *keysmith {
	t.Helper()
	for _, one := range os.Environ() {
		if name, _, _ := strings.Cut(one, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	k := &keysmith{now: time.Now}
	k.Server = httptest.NewServer(http.HandlerFunc(k.serve))
	t.Cleanup(k.Close)
	return k
}

func (k *keysmith) serve(w http.ResponseWriter, r *http.Request) {
	const form = `{"Code":"Success","AccessKeyId":"KEY%d","SecretAccessKey":"hush%[1]d","Token":"lent%[1]d","Expiration":"%[2]s"}`
	give := func(form string) {
		if k.before != nil {
			k.before()
		}
		fmt.Fprintf(w, form, k.asked.Add(1), k.now().Add(time.Hour).UTC().Format(time.RFC3339))
	}
	token := r.Header.Get("X-Aws-Ec2-Metadata-Token")
	switch at := r.Method + " " + r.URL.Path; {
	case k.away.Load():
		http.Error(w, "away, hush", http.StatusServiceUnavailable)
	case at == "PUT /latest/api/token" && r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != "":
		fmt.Fprint(w, "session")
	case at == "GET /latest/meta-data/iam/security-credentials/" && token == "session":
		fmt.Fprint(w, "the-role\n")
	case at == "GET /latest/meta-data/iam/security-credentials/the-role" && token == "session":
		give(form)
	case at == "GET /container" && r.Header.Get("Authorization") == "of the container":
		give(form)
	case at == "POST /sts/" && r.FormValue("Action") == "AssumeRoleWithWebIdentity" && r.FormValue("RoleArn") == "arn:role" &&
		r.FormValue("WebIdentityToken") == identityToken && r.FormValue("RoleSessionName") == "millpond" && r.FormValue("Version") == "2011-06-15":
		give(`<AssumeRoleWithWebIdentityResponse xmlns="urn:x"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>KEY%d</AccessKeyId>` +
			`<SecretAccessKey>hush%[1]d</SecretAccessKey><SessionToken>lent%[1]d</SessionToken><Expiration>%[2]s</Expiration></Credentials>` +
			`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
	case at == "GET /elsewhere":
		http.Redirect(w, r, "/container", http.StatusFound)
	default:
		http.Error(w, "not so, hush", http.StatusForbidden)
	}
}

// bucket is a rig whose upstream signs with keys that it is lent.
func (k *keysmith) bucket(t *testing.T) *rig {
	r := newRig(t, func(_ *Engine, s *Settings) { s.Region = "here" })
	k.now = r.clock.Now
	return r
}

// signedBy is the id and the session of the key that the last request of a path was signed with.
func signedBy(t *testing.T, srv *faulty.Server, path string) string {
	t.Helper()
	all := srv.Requests(path)
	if len(all) == 0 {
		return "nobody"
	}
	h := all[len(all)-1].Header
	_, by, _ := strings.Cut(h.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(by, "/")
	return strings.TrimSpace(id + " " + h.Get("X-Amz-Security-Token"))
}

// TestLentKeys: without a key in the settings it is found where clients of such buckets find it, in their order.
func TestLentKeys(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name string
		env  map[string]string // "U" in it is the address of the services
		want string
	}{
		{"of the machine", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "U/"}, "KEY1 lent1"},
		{"of the container", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "U/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "of the container"}, "KEY1 lent1"},
		{"of the container, with a token in a file", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "U/container",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN": "old", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file("container", "of the container")}, "KEY1 lent1"},
		{"of the cluster", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": file("pod", identityToken), "AWS_ROLE_ARN": "arn:role", "AWS_ENDPOINT_URL_STS": "U/sts",
			"AWS_CONTAINER_CREDENTIALS_FULL_URI": "U/nothing"}, "KEY1 lent1"},
		{"of the environment", map[string]string{"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "U/container"}, "ENV"},
		{"of the environment, lent", map[string]string{"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "x"}, "ENV x"},
		{"a redirect is not followed", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "U/elsewhere", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "of the container"}, ""},
		{"refused", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "U/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "old"}, ""},
		{"no token of a pod", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": filepath.Join(dir, "none"), "AWS_ROLE_ARN": "arn:role", "AWS_ENDPOINT_URL_STS": "U/sts"}, ""},
		{"no machine", map[string]string{"AWS_EC2_METADATA_DISABLED": "true", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "U"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKeysmith(t)
			for name, value := range tt.env {
				t.Setenv(name, strings.Replace(value, "U/", k.URL+"/", 1))
			}
			r := k.bucket(t)
			b := noise(100)
			r.srv.Put("/f", faulty.Object{Body: b})
			if tt.want != "" {
				r.good(r.file("/f", b), b)
				if got := signedBy(t, r.srv, "/f"); got != tt.want {
					t.Errorf("signed by %q, want %q", got, tt.want)
				}
				return
			}
			_, err := r.read(r.file("/f", b))
			if !millpond.Is(err, millpond.BadUpstream) || !strings.Contains(err.Error(), "no access key") || strings.Contains(fmt.Sprintf("%v %+v", err, errors.Unwrap(err)), "hush") {
				t.Errorf("got %v, want that there is no access key, and no secret in it", err)
			}
			if n := len(r.srv.Requests("")); n != 0 {
				t.Errorf("the bucket was asked %d times without a signature", n)
			}
			if s := r.up.State(); s.Open || !strings.Contains(s.Alarm, "no access key") {
				t.Errorf("the state is %+v, want an alarm about the key, and no word against the bucket", s)
			}
		})
	}
}

// TestLentKeysEnd: a key is asked for anew before it ends, and while that cannot be done the old one is used to its end; what
// cannot be signed is not asked for.
func TestLentKeysEnd(t *testing.T) {
	k := newKeysmith(t)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", k.URL)
	r := k.bucket(t)
	n := 0
	ask := func(what, want string) {
		t.Helper()
		n++
		path, b := fmt.Sprintf("/f%d", n), noise(100+n)
		r.srv.Put(path, faulty.Object{Body: b})
		_, err := r.read(r.file(path, b))
		if got := signedBy(t, r.srv, path); got != want {
			t.Errorf("%s: signed by %q (%v), want %q", what, got, err, want)
		}
	}
	ask("first", "KEY1 lent1")
	r.clock.pass(50 * time.Minute)
	ask("before its end", "KEY1 lent1")
	r.clock.pass(6 * time.Minute)
	ask("shortly before its end", "KEY2 lent2")
	k.away.Store(true)
	r.clock.pass(57 * time.Minute)
	ask("the service away", "KEY2 lent2")
	ask("the service away, soon after", "KEY2 lent2")
	r.clock.pass(4 * time.Minute)
	ask("after its end", "nobody")
	k.away.Store(false)
	ask("the service back, not asked again yet", "nobody")
	r.clock.pass(lentPause)
	ask("the service back", "KEY3 lent3")
	if got := k.asked.Load(); got != 3 {
		t.Errorf("%d keys were given, want 3", got)
	}
}

// TestLentKeysAtOnce: of many who want a key one asks, and while there is a good one nobody waits for the next.
func TestLentKeysAtOnce(t *testing.T) {
	clock := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var moved atomic.Int64
	now := func() time.Time { return clock.Add(time.Duration(moved.Load())) }
	begun, go_on := make(chan struct{}, 10), make(chan struct{})
	var asked atomic.Int64
	l := &lender{ask: func(context.Context) (accessKey, error) {
		begun <- struct{}{}
		<-go_on
		return accessKey{id: fmt.Sprint(asked.Add(1)), secret: "hush", until: now().Add(time.Hour)}, nil
	}}
	all := func(readers int) *sync.WaitGroup {
		var wg sync.WaitGroup
		for range readers {
			wg.Go(func() {
				if key, err := l.current(t.Context(), now); err != nil || key.id == "" {
					t.Errorf("got %q, %v", key.id, err)
				}
			})
		}
		return &wg
	}
	first := all(20)
	<-begun
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := l.current(gone, now); !millpond.Is(err, millpond.Canceled) {
		t.Errorf("who has left: %v, want canceled", err)
	}
	go_on <- struct{}{}
	first.Wait()
	moved.Add(int64(56 * time.Minute))
	next := all(1)
	<-begun
	all(20).Wait() // though the one who asks has no answer
	go_on <- struct{}{}
	next.Wait()
	if key, _ := l.current(t.Context(), now); key.id != "2" || asked.Load() != 2 {
		t.Errorf("got key %s after %d questions, want the second of two", key.id, asked.Load())
	}
}

// TestContainerAddress: the token of a container goes nowhere else without TLS.
func TestContainerAddress(t *testing.T) {
	for _, tt := range []struct{ relative, full, want string }{
		{"/v2/creds?id=1", "", "http://169.254.170.2/v2/creds?id=1"},
		{"/v2", "https://other.example/", "http://169.254.170.2/v2"},
		{"@other.example/", "", ""},
		{"", "https://keys.example/x", "https://keys.example/x"},
		{"", "http://169.254.170.23/v1/credentials", "http://169.254.170.23/v1/credentials"},
		{"", "http://[fd00:ec2::23]/v1/credentials", "http://[fd00:ec2::23]/v1/credentials"},
		{"", "http://127.0.0.1:1/x", "http://127.0.0.1:1/x"},
		{"", "http://localhost/x", "http://localhost/x"},
		{"", "http://keys.example/x", ""},
		{"", "http://169.254.169.254/x", ""},
		{"", "http://127.0.0.1.keys.example/x", ""},
		{"", "http://me@127.0.0.1/x", ""},
		{"", "ftp://127.0.0.1/x", ""},
	} {
		if got, err := containerAddress(tt.relative, tt.full); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q, %q: got %q, %v, want %q", tt.relative, tt.full, got, err, tt.want)
		}
	}
}
