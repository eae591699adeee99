package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"millpond"
	"millpond/format/all"
)

// A desk answers the calls of the API with what a test says, and notes them. It stands in for no pond: what is tested by it
// is what the command line makes of answers.
type desk struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string          // "METHOD path?query body authorization", in order
	answer map[string]string // by "METHOD path": a status, and a body
}

func newDesk(t *testing.T, answer map[string]string) *desk {
	t.Helper()
	quiet(t)
	t.Setenv("XDG_CONFIG_HOME", "")
	d := &desk{answer: answer}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		path := strings.TrimPrefix(r.URL.EscapedPath(), "/-/api/")
		d.mu.Lock()
		d.asked = append(d.asked, strings.TrimRight(fmt.Sprintf("%s %s?%s %s %s", r.Method, path, r.URL.RawQuery, body, r.Header.Get("Authorization")), " "))
		status, text, ok := strings.Cut(d.answer[r.Method+" "+path], " ")
		d.mu.Unlock()
		if !ok {
			status, text = "204", ""
		}
		if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
			w.Header().Set("Content-Type", "application/json")
		}
		var code int
		fmt.Sscan(status, &code)
		w.WriteHeader(code)
		io.WriteString(w, text)
	}))
	t.Cleanup(d.Close)
	t.Setenv("MILLPOND_URL", d.URL)
	return d
}

// last is the last call.
func (d *desk) last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		return ""
	}
	return d.asked[len(d.asked)-1]
}

// typed runs a command with something piped in.
func typed(in string, args ...string) (code int, out, errs string) {
	o, e := newScreen(), newScreen()
	code = Main(context.Background(), Process{Args: args, In: strings.NewReader(in), Out: o, Err: e, Version: "test"})
	return code, o.String(), e.String()
}

func TestWhatCommandsAsk(t *testing.T) {
	d := newDesk(t, map[string]string{
		"POST tokens":             `200 {"id":"t1","secret":"mp_t1_x","owner":"ann"}`,
		"POST services/ci/tokens": `200 {"id":"t2","secret":"mp_t2_x","owner":"ci"}`,
		"POST oidc/exchange":      `200 {"id":"t3","secret":"mp_t3_x","owner":"publisher:x"}`,
		"POST promote":            `200 {"items":[{"repository":"pypi","package":"demo","version":"1.0","new":true}]}`,
		"POST takedowns":          `200 {"id":"d1","format":"pypi","package":"demo","why":"bad"}`,
		"POST grants":             `200 {"id":"g1","subject":"user:ann","role":"publisher"}`,
		"POST publishers":         `200 {"id":"p1","name":"x"}`,
		"GET whoami":              `200 {"name":"ann","may":[]}`,
		"GET claims":              `200 [{"Repository":"pypi","Pattern":"acme-*"}]`,
	})
	t.Setenv("MILLPOND_TOKEN", "mp_a_b")
	for _, c := range []struct{ args, in, want, out string }{
		{"yank pypi demo 1.0 --why broken", "", `POST repositories/pypi/packages/demo/yank? {"version":"1.0","why":"broken"}`, "yanked demo 1.0"},
		{"yank npm @acme/x 1.0", "", `POST repositories/npm/packages/@acme%2Fx/yank? {"version":"1.0"}`, "yanked @acme/x 1.0"},
		{"unyank pypi demo 1.0 demo-1.0.whl", "", `POST repositories/pypi/packages/demo/unyank? {"version":"1.0","file":"demo-1.0.whl"}`, "took the yank"},
		{"delete pypi demo 1.0", "", `POST repositories/pypi/packages/demo/delete? {"version":"1.0"}`, "deleted demo 1.0"},
		{"delete pypi demo --all", "", `POST repositories/pypi/packages/demo/delete? {}`, "deleted demo"},
		{"restore pypi demo 1.0", "", `POST repositories/pypi/packages/demo/restore? {"version":"1.0"}`, "restored demo 1.0"},
		{"merge pypi demo default", "", `PUT repositories/pypi/packages/demo/merge? {"merge":""}`, "merge default"},
		{"promote staging pypi demo@1.0 @a/b", "", `POST promote? {"from":"staging","to":"pypi","items":[{"package":"demo","version":"1.0"},{"package":"@a/b"}]}`, "demo 1.0  promoted to pypi"},
		{"promote staging pypi demo@1.0 --why tested", "", `POST promote? {"from":"staging","to":"pypi","items":[{"package":"demo","version":"1.0"}],"why":"tested"}`, "demo 1.0  promoted to pypi"},
		{"takedown pkg:pypi/demo@1.0 --why bad", "", `POST takedowns? {"purl":"pkg:pypi/demo@1.0","why":"bad"}`, "took down pypi demo"},
		{"takedown lift d1 --why fine", "", `DELETE takedowns/d1?why=fine`, "lifted d1"},
		{"claim add pypi acme-* --force", "", `POST claims? {"repository":"pypi","pattern":"acme-*","force":true}`, "is claimed"},
		{"claim", "", `GET claims?`, "acme-*"},
		{"claim remove pypi acme-*", "", `DELETE claims?pattern=acme-%2A&repository=pypi`, "no claim"},
		{"user add bob --password", "pw\n", `POST users? {"name":"bob","password":"pw"}`, "added bob"},
		{"user disable bob", "", `POST users/bob/disable?`, "disabled bob"},
		{"user password", "old\nnew\n", `PUT users/ann/password? {"current":"old","password":"new"}`, "the password of ann"},
		{"group add devs ann bob", "", `PUT groups/devs/members/bob?`, "ann, bob"},
		{"service token ci --verb publish --repository pypi --package acme-*", "", `POST services/ci/tokens? {"verbs":["publish"],"repositories":["pypi"],"names":["acme-*"]}`, "mp_t2_x\n"},
		{"grant add user:ann publisher pypi acme-*", "", `POST grants? {"subject":"user:ann","role":"publisher","repository":"pypi","names":"acme-*"}`, "(g1)"},
		{"token add --name laptop", "", `POST tokens? {"name":"laptop"}`, "mp_t1_x\n"},
		{"token revoke t1", "", `DELETE tokens/t1?`, "revoked t1"},
		{"publisher add x pypi acme-a --issuer https://issuer.example --claim sub=1", "", `POST publishers? {"name":"x","issuer":"https://issuer.example","claims":{"sub":"1"},"repository":"pypi","names":["acme-a"]}`, "(p1)"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, out, errs := typed(c.in, strings.Fields(c.args)...)
			want := strings.TrimRight(c.want+" Bearer mp_a_b", " ")
			if got := strings.Join(strings.Fields(d.last()), " "); code != 0 || got != strings.Join(strings.Fields(want), " ") || !strings.Contains(out, c.out) {
				t.Errorf("millpond %s = %d asked\n%s\nwant\n%s\nprinted %q %q, want %q", c.args, code, d.last(), want, out, errs, c.out)
			}
		})
	}
	if code, _, errs := typed("identity\n", "token", "exchange", "pypi", "acme-a"); code != 0 || strings.Contains(d.last(), "Bearer") || !strings.Contains(d.last(), `{"token":"identity","repository":"pypi","package":"acme-a"}`) {
		t.Errorf("token exchange = %d %s asked %s, want the identity token alone", code, errs, d.last())
	}
}

func TestWhatIsRefused(t *testing.T) {
	d := newDesk(t, nil)
	for _, c := range []struct {
		name, answer string
		code         int
		words        []string
	}{
		{"nobody", `401 {"error":"who are you?","kind":"unauthenticated"}`, ExitLogin, []string{"who are you?", "millpond login " + d.URL}},
		{"denied", `403 {"error":"ann may not","kind":"denied"}`, ExitDenied, []string{"ann may not"}},
		{"blocked", `403 {"error":"held","kind":"blocked"}`, ExitBlocked, []string{"held"}},
		{"absent", `404 {"error":"no demo","kind":"not found","hint":"look elsewhere"}`, ExitNotFound, []string{"no demo", "look elsewhere"}},
		{"gone", `410 {"error":"was deleted","kind":"gone"}`, ExitNotFound, []string{"was deleted"}},
		{"names in the way", `409 {"error":"names were read","kind":"conflict","names":["acme-a","acme-\u001b[31m"]}`, ExitConflict, []string{"names were read", "  acme-a\n", `acme-\u001b[31m`}},
		{"never right", `400 {"error":"bad","kind":"invalid"}`, ExitUsage, []string{"bad"}},
		{"our fault", `500 {"error":"internal","kind":"internal"}`, ExitFailed, []string{"internal"}},
		{"of a status only", `409 {"error":"there already"}`, ExitConflict, []string{"there already"}},
		{"no pond", `200 <html>`, ExitFailed, []string{"is that the address of a pond?"}},
		{"no pond, absent", `404 nothing here`, ExitNotFound, []string{"is that the address of a pond?"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.answer = map[string]string{"GET whoami": c.answer}
			code, out, errs := command("whoami")
			if code != c.code || out != "" {
				t.Errorf("of %s: exit code %d, printed %q; want %d", c.answer, code, out, c.code)
			}
			for _, want := range c.words {
				if !strings.Contains(errs, want) {
					t.Errorf("of %s said %q, want %q in it", c.answer, errs, want)
				}
			}
			_, _, errs = command("whoami", "--json")
			var p problem
			if err := json.Unmarshal([]byte(errs), &p); err != nil || p.Error == "" || p.Kind == "" {
				t.Errorf("with --json said %q: %v", errs, err)
			}
		})
	}
	if code, _, errs := command("delete", "pypi", "demo"); code != ExitUsage || !strings.Contains(errs, "--all") {
		t.Errorf("delete without a version = %d %q, want a word that it must be meant", code, errs)
	}
	if code, _, errs := command("whoami", "--url", "ftp://pond"); code != ExitUsage || !strings.Contains(errs, "no address of a pond") {
		t.Errorf("a bad address = %d %q", code, errs)
	}
	_, codes, _ := command("help", "exit-codes")
	for _, want := range []string{"\n3 ", "\n12 "} {
		if !strings.Contains(codes, want) {
			t.Errorf("help exit-codes printed\n%s\nwant %q", codes, want)
		}
	}
}

func TestTokenGoesToItsPondOnly(t *testing.T) {
	other := newDesk(t, nil)
	d := newDesk(t, map[string]string{"POST login": `200 {"id":"t1","secret":"mp_t1_x","owner":"ann"}`, "GET whoami": `200 {"name":"ann","may":[]}`})
	t.Setenv("MILLPOND_URL", "")
	os.Unsetenv("MILLPOND_URL")
	if code, _, errs := typed("pw\n", "login", d.URL, "--user", "ann"); code != 0 {
		t.Fatalf("login = %d %s", code, errs)
	}
	path := filepath.Join(os.Getenv("HOME"), ".config", "millpond", "login.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("login.json: %v, %v, want mode 0600", info, err)
	}
	if code, out, _ := command("whoami"); code != 0 || !strings.Contains(out, "ann") || !strings.HasSuffix(d.last(), "Bearer mp_t1_x") {
		t.Errorf("whoami after login = %d %q, asked %q", code, out, d.last())
	}
	command("whoami", "--url", other.URL)
	if got := other.last(); !strings.HasPrefix(got, "GET whoami") || strings.Contains(got, "mp_t1_x") {
		t.Errorf("another pond was asked %q, want no token", got)
	}
	// A repository with a host of its own is asked how its clients are set up, and is told no token of the pond's.
	at, err := url.Parse(other.URL + "/-/api/setup.sources")
	if err != nil {
		t.Fatal(err)
	}
	pond, err := url.Parse(d.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	known := &remote{URL: pond, Token: "mp_t1_x"}
	if resp, err := known.send(t.Context(), request{method: "GET", at: at}); err == nil {
		resp.Body.Close()
	}
	if got := other.last(); !strings.HasPrefix(got, "GET setup.sources") || strings.Contains(got, "mp_t1_x") {
		t.Errorf("another host was asked %q, want no token", got)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command("whoami"); code != ExitUsage || !strings.Contains(errs, "can be read by others") {
		t.Errorf("with a file that others can read: %d %q", code, errs)
	}
	os.Chmod(path, 0o600)
	if code, _, errs := command("logout"); code != 0 || !strings.HasPrefix(d.last(), "POST logout") {
		t.Errorf("logout = %d %q, asked %q", code, errs, d.last())
	}
	if text, _ := os.ReadFile(path); strings.Contains(string(text), "mp_t1_x") {
		t.Errorf("after logout %s has the token still: %s", path, text)
	}
}

func TestLoginInABrowserWaits(t *testing.T) {
	d := newDesk(t, map[string]string{
		"POST login/tickets":   `200 {"id":"k1","url":"https://pond.example/-/login?code=k","every":0.001,"expires":"2026-11-21T12:00:00Z"}`,
		"GET login/tickets/k1": `429 {"error":"not yet","kind":"throttled"}`,
	})
	asked := make(chan int)
	go func() {
		defer close(asked)
		for polls := 0; polls < 2; {
			d.mu.Lock()
			polls = strings.Count(strings.Join(d.asked, "\n"), "GET login/tickets/k1")
			if polls >= 2 {
				d.answer = map[string]string{"GET login/tickets/k1": `200 {"id":"t1","secret":"mp_t1_x","owner":"ann"}`}
			}
			d.mu.Unlock()
		}
	}()
	code, out, errs := command("login")
	<-asked
	if code != 0 || !strings.Contains(errs, "https://pond.example/-/login?code=k") || !strings.Contains(out, "as ann") {
		t.Errorf("login = %d %q %q, want the page, then who it is", code, out, errs)
	}
	if strings.Contains(out+errs, "mp_t1_x") {
		t.Errorf("login printed the token: %q %q", out, errs)
	}
}

func TestPublishChoosesARepository(t *testing.T) {
	d := newDesk(t, nil)
	file := filepath.Join(t.TempDir(), "demo-1.0.whl")
	write(t, file, "bytes")
	const two = `200 [{"name":"pypi","format":"pypi","hosted":true,"may":["read","publish"]},{"name":"npm","format":"npm","hosted":true,"may":["read"%s]}]`
	d.answer = map[string]string{"GET repositories": fmt.Sprintf(two, ""), "POST repositories/pypi/publish/demo-1.0.whl": `200 {"repository":"pypi","package":"demo","version":"1.0","file":"demo-1.0.whl","new":true}`}
	if code, out, errs := command("publish", file, "--tag", "next"); code != 0 || out != "published demo 1.0 demo-1.0.whl in pypi\n" || d.last() != "POST repositories/pypi/publish/demo-1.0.whl?tag=next bytes" {
		t.Errorf("publish = %d %q %q, asked %q", code, out, errs, d.last())
	}
	d.answer["GET repositories"] = fmt.Sprintf(two, `,"publish"`)
	if code, _, errs := command("publish", file); code != ExitUsage || !strings.Contains(errs, "pypi, npm") || !strings.Contains(errs, "--repository") {
		t.Errorf("publish to either of two = %d %q, want to be asked which", code, errs)
	}
	if code, _, errs := command("publish", file, "-r", "pypi"); code != 0 {
		t.Errorf("publish -r pypi = %d %q", code, errs)
	}
	d.answer["GET repositories"] = `200 []`
	if code, _, _ := command("publish", file); code != ExitLogin {
		t.Errorf("publish as nobody = %d, want %d", code, ExitLogin)
	}
	if code, _, _ := command("publish", file, "--token", "x"); code != ExitDenied {
		t.Errorf("publish where nothing may be published = %d, want %d", code, ExitDenied)
	}
}

func TestAuditShowsAndVerifies(t *testing.T) {
	const head = `{"epoch":1,"seq":2,"hash":"sha256:aa"}`
	d := newDesk(t, map[string]string{
		"GET events":        `200 {"seq":1,"time":"2026-11-21T12:00:00Z","actor":"ann\u001b[2J","verb":"publish","repository":"pypi","package":"demo","version":"1.0"}` + "\n" + `{"seq":2,"time":"2026-11-21T12:00:01Z","verb":"yank"}` + "\n",
		"POST audit/verify": `200 {"ok":true,"events":2,"head":` + head + `}`,
	})
	code, out, errs := command("audit", "--since", "2026-11-20T00:00:00Z", "--actor", "ann", "--package", "demo")
	if code != 0 || strings.Contains(out, "\x1b") || !strings.Contains(out, "publish") || !strings.Contains(out, "demo 1.0") || strings.Count(out, "\n") != 2 {
		t.Errorf("audit = %d %q %q", code, out, errs)
	}
	if want := "GET events?actor=ann&package=demo&since=2026-11-20T00%3A00%3A00Z"; d.last() != want {
		t.Errorf("asked %q, want %q", d.last(), want)
	}
	heads := filepath.Join(t.TempDir(), "heads")
	for range 2 { // the second time the head is known
		if code, out, errs := command("audit", "--verify", "--heads", heads); code != 0 || !strings.Contains(out, "2 events") {
			t.Errorf("audit --verify = %d %q %q", code, out, errs)
		}
	}
	if text, _ := os.ReadFile(heads); string(text) != head+"\n" {
		t.Errorf("heads noted: %q, want %q once", text, head)
	}
	if !strings.Contains(d.last(), `{"heads":[`+head+`]}`) {
		t.Errorf("asked %q, want the head that was noted", d.last())
	}
	d.answer["POST audit/verify"] = `200 {"ok":false,"events":1,"epoch":1,"seq":1,"why":"event 1 was changed","head":` + head + `}`
	if code, _, errs := command("audit", "--verify"); code != ExitUnverified || !strings.Contains(errs, "event 1 was changed") {
		t.Errorf("audit --verify of a log that was altered = %d %q", code, errs)
	}
	if code, _, errs := command("audit", "--since", "yesterday"); code != ExitUsage || !strings.Contains(errs, "no time") {
		t.Errorf("audit --since yesterday = %d %q", code, errs)
	}
}

func TestCompletionKnowsTheCommands(t *testing.T) {
	quiet(t)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, errs := command("completion", shell)
		if code != 0 || !strings.Contains(out, "takedown") || !strings.Contains(out, "with-token") {
			t.Errorf("completion %s = %d %s, want takedown and with-token in it:\n%s", shell, code, errs, out)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	_, script, _ := command("completion", "bash")
	for line, want := range map[string]string{
		"millpond pub":             "publish publisher",
		"millpond token rev":       "revoke",
		"millpond publish --repos": "--repository",
		"millpond merge a b un":    "union",
	} {
		words := strings.Fields(line)
		run := script + fmt.Sprintf("\nCOMP_WORDS=(%s); COMP_CWORD=%d; _millpond; echo ${COMPREPLY[@]}\n", line, len(words)-1)
		out, err := exec.Command(bash, "-c", run).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q completes to %q (%v), want %q", line, got, err, want)
		}
	}
}

func TestSetUpAndBack(t *testing.T) {
	d := newDesk(t, map[string]string{
		"GET repositories": `200 [{"name":"py","format":"pypi"},{"name":"npm","format":"npm"},{"name":"golang","format":"golang"}]`,
		"POST tokens":      `200 {"id":"t1","secret":"mp_t1_x","owner":"ann"}`,
	})
	home := os.Getenv("HOME")
	rc := filepath.Join(home, ".pypirc")
	const mine = "# mine\n[distutils]\nindex-servers = own\n\n[own]\nrepository = https://own.example/\n"
	write(t, rc, mine)
	if err := os.Chmod(rc, 0o640); err != nil {
		t.Fatal(err)
	}
	snapshot := func() string {
		var b strings.Builder
		filepath.Walk(home, func(path string, info os.FileInfo, err error) error {
			if err == nil && !strings.Contains(path, "millpond") && path != filepath.Join(home, ".config") {
				text, _ := os.ReadFile(path)
				fmt.Fprintf(&b, "%s %s %s\n", path, info.Mode(), text)
			}
			return nil
		})
		return b.String()
	}
	before := snapshot()
	for _, client := range []string{"twine", "uv", "bun"} {
		if code, out, errs := command("set-up", client, "--print"); code != 0 || !strings.Contains(out, d.URL) {
			t.Errorf("set-up %s --print = %d %q %q", client, code, out, errs)
		}
		if after := snapshot(); after != before {
			t.Errorf("set-up %s --print changed something:\n%s\nwas\n%s", client, after, before)
		}
		if code, _, errs := command("set-up", client, "--with-token"); code != 0 {
			t.Fatalf("set-up %s = %d %s", client, code, errs)
		}
		if after := snapshot(); !strings.Contains(after, "mp_t1_x") || !strings.Contains(after, "# mine\n") {
			t.Errorf("after set-up %s: want the token and what was there:\n%s", client, after)
		}
		if info, err := os.Stat(rc); client == "twine" && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("a file with a token has mode %v, want 0600", info.Mode())
		}
		if code, _, errs := command("set-up", client); code != ExitConflict || !strings.Contains(errs, "unset-up") {
			t.Errorf("set-up %s again = %d %q", client, code, errs)
		}
		if code, _, errs := command("unset-up", client); code != 0 || !strings.HasPrefix(d.last(), "DELETE tokens/t1") {
			t.Errorf("unset-up %s = %d %q, asked %q, want the token ended", client, code, errs, d.last())
		}
		if after := snapshot(); after != before {
			t.Errorf("after unset-up %s:\n%s\nwant\n%s", client, after, before)
		}
	}
	command("set-up", "twine")
	now, _ := os.ReadFile(rc)
	write(t, rc, string(now)+"# more\n")
	if code, _, errs := command("unset-up", "twine"); code != ExitConflict || !strings.Contains(errs, "was changed since") {
		t.Errorf("unset-up of what was changed since = %d %q", code, errs)
	}
	if code, _, errs := command("set-up", "twine", "--undo", "--force"); code != 0 {
		t.Errorf("set-up --undo --force = %d %q", code, errs)
	}
	if text, _ := os.ReadFile(rc); string(text) != mine {
		t.Errorf("after --undo --force: %q, want %q", text, mine)
	}
	if code, _, errs := command("unset-up", "twine"); code != ExitNotFound {
		t.Errorf("unset-up of nothing = %d %q", code, errs)
	}
	if code, _, errs := command("set-up", "make"); code != ExitNotFound || !strings.Contains(errs, "twine") {
		t.Errorf("set-up make = %d %q, want those that it knows", code, errs)
	}
}

// The clients that this machine has are set up for real, in a home of their own.
func TestSetUpOfInstalledClients(t *testing.T) {
	d := newDesk(t, map[string]string{"GET repositories": `200 [{"name":"py","format":"pypi"},{"name":"npm","format":"npm"},{"name":"golang","format":"golang"}]`})
	for _, key := range []string{"PIP_INDEX_URL", "PIP_CONFIG_FILE", "npm_config_registry", "NPM_CONFIG_REGISTRY", "NPM_CONFIG_USERCONFIG", "npm_config_userconfig", "GOPROXY", "GOENV"} {
		t.Setenv(key, "")
		os.Unsetenv(key)
	}
	for _, c := range []struct {
		client string
		file   string // that was there
		text   string
		ask    []string
		want   string
	}{
		{"pip", ".config/pip/pip.conf", "# a word\n[global]\ntimeout = 7\n", []string{"pip", "config", "get", "global.index-url"}, d.URL + "/py/simple/"},
		{"npm", ".npmrc", "; a word\nfund=false\n", []string{"npm", "config", "get", "registry"}, d.URL + "/npm/"},
		{"pnpm", ".npmrc", "; a word\nfund=false\n", []string{"npm", "config", "get", "registry"}, d.URL + "/npm/"},
		{"go", ".config/go/env", "GOFLAGS=-modcacherw\n", []string{"go", "env", "GOPROXY"}, d.URL + "/golang"},
	} {
		t.Run(c.client, func(t *testing.T) {
			if _, err := exec.LookPath(c.ask[0]); err != nil {
				t.Skip(c.ask[0] + " is not installed")
			}
			t.Chdir(t.TempDir())
			file := filepath.Join(os.Getenv("HOME"), c.file)
			os.MkdirAll(filepath.Dir(file), 0o755)
			write(t, file, c.text)
			if code, _, errs := command("set-up", c.client); code != 0 {
				t.Fatalf("set-up %s = %d %s", c.client, code, errs)
			}
			out, err := exec.Command(c.ask[0], c.ask[1:]...).Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
				t.Errorf("%s = %q (%v), want %q", strings.Join(c.ask, " "), got, err, c.want)
			}
			if code, _, errs := command("unset-up", c.client); code != 0 {
				t.Errorf("unset-up %s = %d %s", c.client, code, errs)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != c.text {
				t.Errorf("after unset-up %s: %q (%v), want %q", c.client, text, err, c.text)
			}
		})
	}
}

// Each format that can be published to can set its clients up.
func TestEveryFormatSetsUpClients(t *testing.T) {
	for _, f := range all.Formats() {
		if !strings.Contains(clients(all.Formats()), map[string]string{"pypi": "pip", "npm": "npm", "golang": "go"}[f.Info().Name]) {
			t.Errorf("%s sets up no client", f.Info().Name)
		}
	}
	if exitOf(&millpond.Error{Kind: millpond.Blocked}) != ExitBlocked {
		t.Error("blocked has no exit code of its own")
	}
}
