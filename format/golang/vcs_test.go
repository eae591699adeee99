package golang

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"millpond/fetch"
	"millpond/repo"
)

const gitSecret = "pond-git-secret"

// A gitHost is a git server on loopback that wants a name and a password, and the vanity host of its modules.
type gitHost struct {
	*httptest.Server
	t    *testing.T
	root string

	mu     sync.Mutex // guards the fields below
	asked  []string
	answer int           // instead of what it has; 0 is that
	hang   chan struct{} // closed when a pack was asked for that never comes; nil gives it
	meta   string        // instead of the vanity host's own
}

func newGitHost(t *testing.T) *gitHost {
	t.Helper()
	backend := ""
	if at, err := exec.Command("git", "--exec-path").Output(); err == nil {
		backend = filepath.Join(strings.TrimSpace(string(at)), "git-http-backend")
	}
	if _, err := os.Stat(backend); err != nil {
		t.Skip("git with its http-backend is not installed")
	}
	g := &gitHost{t: t, root: t.TempDir()}
	serve := &cgi.Handler{Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + g.root, "GIT_HTTP_EXPORT_ALL=1"}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.asked = append(g.asked, r.Method+" "+r.URL.Path)
		answer, hang, meta := g.answer, g.hang, g.meta
		if r.Method == http.MethodPost && hang != nil {
			g.hang = nil
		}
		g.mu.Unlock()
		if _, password, _ := r.BasicAuth(); password != gitSecret {
			answer = http.StatusUnauthorized
		}
		switch {
		case answer != 0:
			w.WriteHeader(answer)
		case r.Method == http.MethodPost && hang != nil:
			io.Copy(io.Discard, r.Body) // its end is when a client's leaving is seen
			close(hang)
			<-r.Context().Done()
		case r.URL.Query().Get("go-get") == "1":
			if meta == "" {
				meta = "go.acme.example/x git https://git.acme.example/team/x.git"
			}
			fmt.Fprintf(w, "<html><head><meta name=\"go-import\" content=%q></head></html>", meta)
		default:
			serve.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(g.Close)
	g.git("", "init", "-q", "-b", "main", "work")
	g.commit("one", map[string]string{"go.mod": "module git.acme.example/team/x.git\n", "x.go": "package x\n"}, "v1.0.0")
	g.commit("two", map[string]string{"sub/go.mod": "module git.acme.example/team/x.git/sub\n", "sub/s.go": "package sub\n"}, "sub/v0.1.0")
	g.git("work", "branch", "feature")
	g.commit("three", map[string]string{"go.mod": "module git.acme.example/team/x.git/v2\n"}, "v2.0.0")
	g.git("", "clone", "-q", "--bare", "work", "team/x.git")
	return g
}

func (g *gitHost) git(dir string, args ...string) string {
	g.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = filepath.Join(g.root, dir)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@acme.example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@acme.example")
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("git %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (g *gitHost) commit(words string, files map[string]string, tag string) {
	g.t.Helper()
	for name, text := range files {
		at := filepath.Join(g.root, "work", name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			g.t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			g.t.Fatal(err)
		}
	}
	g.git("work", "add", ".")
	g.git("work", "commit", "-q", "-m", words)
	g.git("work", "tag", "-f", tag)
}

// set changes what the host does.
func (g *gitHost) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *gitHost) requests() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.asked)
}

// newGitPond is a pond that builds the modules of git.acme.example and go.acme.example from g.
func newGitPond(t *testing.T, g *gitHost, change ...func(*repo.Config)) *pond {
	t.Helper()
	return newPond(t, []string{g.URL}, append([]func(*repo.Config){func(c *repo.Config) {
		u := &c.Upstreams[0]
		u.Username, u.Password = "pond", gitSecret
		u.Options = map[string]string{
			"vcs":       "git.acme.example go.acme.example",
			"vcs_hosts": "git.acme.example=" + g.URL + " go.acme.example=" + g.URL,
		}
	}}, change...)...)
}

// noTrace fails the test unless nothing of a command is left: no process that names the scratch folder, no folder of a run,
// no tree that was unpacked, and no secret in any file.
func (p *pond) noTrace() {
	p.t.Helper()
	filepath.WalkDir(p.scratch, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		rel, _ := filepath.Rel(p.scratch, path)
		if strings.Contains(rel, "/run-") || strings.Contains(rel, "/mod/") && strings.Contains(filepath.Base(rel), "@v1") && !strings.Contains(rel, "/mod/cache/") {
			p.t.Errorf("%s is left of a command", rel)
		}
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), gitSecret) {
			p.t.Errorf("%s has the credential", rel)
		}
		return nil
	})
	processes, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, one := range processes {
		if text, err := os.ReadFile(one); err == nil && strings.Contains(string(text), p.scratch) {
			p.t.Errorf("%s still runs", one)
		}
	}
}

func TestCase28TagBranchHashSubdirectoryMajorAndVanity(t *testing.T) {
	t.Parallel()
	g := newGitHost(t)
	p := newGitPond(t, g)
	const x = "/git.acme.example/team/x.git"
	p.want(x+"/@v/list", 200, "v1.0.0\n")
	info := p.want(x+"/@v/v1.0.0.info", 200, "*")
	if hash := g.git("work", "rev-parse", "v1.0.0"); !strings.Contains(info.Body, `"Version":"v1.0.0"`) || !strings.Contains(info.Body, hash) || !strings.Contains(info.Body, `"URL":"https://git.acme.example/team/x`) {
		t.Errorf(".info is %s, want v1.0.0 of commit %s", info.Body, hash)
	}
	p.want(x+"/@v/v1.0.0.mod", 200, "module git.acme.example/team/x.git\n")
	if head := p.do("HEAD", x+"/@v/v1.0.0.zip"); head.Status != 200 {
		t.Errorf("HEAD of a zip that is not made yet: %d, want 200", head.Status)
	}
	zip := p.want(x+"/@v/v1.0.0.zip", 200, "*")
	if !strings.HasPrefix(zip.Body, "PK\x03\x04") || !strings.Contains(zip.Body, "team/x.git@v1.0.0/x.go") {
		t.Errorf("the zip is %.100q", zip.Body)
	}
	feature := g.git("work", "rev-parse", "feature")
	for _, q := range []string{"feature", feature, feature[:12]} {
		if a := p.want(x+"/@v/"+q+".info", 200, "*"); !strings.Contains(a.Body, `"Version":"v1.0.1-0.`) || !strings.Contains(a.Body, feature[:12]) {
			t.Errorf("%s is %s, want a pseudo-version of %s", q, a.Body, feature[:12])
		}
	}
	p.want(x+"/sub/@v/list", 200, "v0.1.0\n")
	p.want(x+"/sub/@v/v0.1.0.mod", 200, "module git.acme.example/team/x.git/sub\n")
	p.want(x+"/v2/@v/list", 200, "v2.0.0\n")
	p.want(x+"/v2/@v/v2.0.0.zip", 200, "*")
	p.want("/go.acme.example/x/@v/v1.0.0.info", 200, "*")
	// what there is not is said so, and leaves the client free to ask for a shorter path
	p.want(x+"/@v/v1.9.9.info", 404, "*")
	p.want(x+"/@v/nobranch.info", 404, "*")
	p.want(x+"/nosub/@v/v1.0.0.mod", 404, "*")
	p.want("/git.acme.example/team/none.git/@v/list", 404, "*")
	p.noTrace()

	// what is made is kept: the host may go
	g.set(func() { g.answer = 500 })
	before := g.requests()
	p.want(x+"/@v/v1.0.0.zip", 200, zip.Body)
	p.want(x+"/v2/@v/v2.0.0.zip", 200, "*")
	if n := g.requests() - before; n != 0 {
		t.Errorf("%d requests for what is held", n)
	}
	// and what is not is an illness, never an absence
	p.want(x+"/sub/@v/v0.1.0.zip", 503, "*")
	p.want("/git.acme.example/team/other.git/@v/v1.0.0.info", 503, "*")
}

func TestCase28Refusals(t *testing.T) {
	t.Parallel()
	g := newGitHost(t)
	p := newGitPond(t, g)
	for _, c := range []struct{ name, path string }{
		{"a leading dash", "/git.acme.example/team/x.git/@v/-upload-pack=touch.info"},
		{"a leading dash and a version", "/git.acme.example/team/x.git/@v/--v1.0.0.info"},
		{"an address", "/127.0.0.1/team/x.git/@v/v1.0.0.info"},
		{"an address in octal", "/0177.1/team/x.git/@v/v1.0.0.info"},
		{"an address in hexadecimal", "/git.0x7f000001/team/x.git/@v/v1.0.0.info"},
		{"another host", "/git.other.example/team/x.git/@v/v1.0.0.info"},
		{"a host that ends alike", "/agit.acme.example/team/x.git/@v/v1.0.0.info"},
		{"an ext url", "/git.acme.example/ext::sh/@v/v1.0.0.info"},
		{"a checksum database", "/sumdb/sum.example/latest"},
	} {
		if a := p.want(c.path, 404, "*"); a.Status != 404 {
			t.Errorf("%s was not refused", c.name)
		}
	}
	if n := g.requests(); n != 0 {
		t.Errorf("%d requests of names that may not be built: %q", n, g.asked)
	}
	for _, c := range []struct{ name, meta, words string }{
		{"hg", "go.acme.example/x hg https://git.acme.example/team/x", "git alone"},
		{"svn", "go.acme.example/x svn https://git.acme.example/team/x", "git alone"},
		{"bzr", "go.acme.example/x bzr https://git.acme.example/team/x", "git alone"},
		{"fossil", "go.acme.example/x fossil https://git.acme.example/team/x", "git alone"},
		{"another host", "go.acme.example/x git https://git.other.example/team/x", "git.other.example"},
		{"a cloud's secrets", "go.acme.example/x git https://169.254.169.254/x", "169.254.169.254"},
		{"another port", "go.acme.example/x git https://git.acme.example:22/x", "git.acme.example:22"},
	} {
		g.set(func() { g.meta = c.meta })
		a := p.want("/go.acme.example/x/@v/v1.0."+fmt.Sprint(len(c.name))+".info", 403, "*")
		if !strings.Contains(a.Body, c.words) {
			t.Errorf("%s: refused with %q, want %q in it", c.name, a.Body, c.words)
		}
	}
	// schemes that would run something, or read files
	for _, scheme := range []string{"ssh://git.acme.example/x", "git+ssh://git.acme.example/x", "file:///etc", "ext::sh -c true"} {
		g.set(func() { g.meta = "go.acme.example/x git " + scheme })
		if a := p.get("/go.acme.example/x/@v/v1.3." + fmt.Sprint(len(scheme)) + ".info"); a.Status == 200 {
			t.Errorf("%s: 200 %q", scheme, a.Body)
		}
	}
	p.noTrace()
}

func TestS12CredentialOfGitStaysInThePond(t *testing.T) {
	t.Parallel()
	g := newGitHost(t)
	seen := make(chan string, 1)
	p := newGitPond(t, g)
	g.set(func() { g.hang = make(chan struct{}) })
	hang := g.hang
	go func() {
		<-hang // go and git run now
		var all strings.Builder
		for _, name := range []string{"cmdline", "environ"} {
			files, _ := filepath.Glob("/proc/[0-9]*/" + name)
			for _, one := range files {
				text, err := os.ReadFile(one)
				if err == nil && (name == "cmdline" || strings.Contains(string(text), p.scratch)) {
					all.Write(text)
					all.WriteByte('\n')
				}
			}
		}
		seen <- all.String()
		g.set(func() { g.answer = 500 })
		g.CloseClientConnections()
	}()
	a := p.want("/git.acme.example/team/x.git/@v/v1.0.0.info", 503, "*")
	text := <-seen
	if strings.Contains(text, gitSecret) || strings.Contains(a.Body, gitSecret) {
		t.Error("the credential was in the arguments or the environment of a process, or in an error")
	}
	if _, err := os.Stat("/proc/self/environ"); err == nil && !strings.Contains(text, "git.acme.example") {
		t.Errorf("git was not seen to run: %.300q", text)
	}
	// a credential that is refused is an illness
	g.set(func() { g.answer = 0 })
	p.config.Upstreams[0].Password = "wrong"
	p.configure()
	b := p.want("/git.acme.example/team/x.git/@v/v2.0.0+incompatible.info", 503, "*")
	if !strings.Contains(b.Body, "401") || strings.Contains(b.Body, "wrong") {
		t.Errorf("the refusal says %q, want 401 and no password", b.Body)
	}
}

func TestCase28KilledChildLeavesNothing(t *testing.T) {
	t.Parallel()
	g := newGitHost(t)
	p := newGitPond(t, g)
	hang := make(chan struct{})
	g.set(func() { g.hang = hang })
	go p.get("/git.acme.example/team/x.git/@v/v1.0.0.zip")
	<-hang
	p.stop() // ends what still runs
	p.noTrace()
}

func TestMovedTagIsRefused(t *testing.T) {
	t.Parallel()
	g := newGitHost(t)
	p := newGitPond(t, g)
	const x = "/git.acme.example/team/x.git"
	p.want(x+"/@v/v1.0.0.mod", 200, "*")
	g.commit("other", map[string]string{"go.mod": "module git.acme.example/team/x.git\n", "x.go": "package x // other\n"}, "v1.0.0")
	g.git("work", "push", "-q", "-f", "../team/x.git", "v1.0.0")
	if err := os.RemoveAll(p.scratch); err != nil { // the pond has lost what go remembers
		t.Fatal(err)
	}
	a := p.want(x+"/@v/v1.0.0.zip", 503, "*")
	if !strings.Contains(a.Body, "its tag was moved") {
		t.Errorf("refused with %q, want words about the tag", a.Body)
	}
	if e := p.event("corrupt", 0); e.Key.Version != "v1.0.0" {
		t.Errorf("the event is about %v", e.Key)
	}
}

// The modules of a claim are built from git, and the public upstream beside it hears of none of them on any route, also of
// those that there are not.
func TestClaimedModulesAreBuiltAndNoOtherUpstreamHears(t *testing.T) {
	t.Parallel()
	g := newGitHost(t)
	var asked atomic.Int64
	public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.NotFound(w, r)
	}))
	t.Cleanup(public.Close)
	at, err := url.Parse(public.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	p := newGitPond(t, g, func(c *repo.Config) {
		c.Claims = []string{"git.acme.example", "secret.example"}
		c.Upstreams = append(c.Upstreams, repo.Upstream{Settings: fetch.Settings{Name: "public", URL: at}})
	})
	const x = "/git.acme.example/team/x.git"
	p.want(x+"/@v/v1.0.0.info", 200, "*")
	p.want(x+"/@v/list", 200, "v1.0.0\n")
	p.want(x+"/@latest", 200, "*")
	p.want(x+"/@v/feature.info", 200, "*")
	for _, path := range []string{"/git.acme.example/@v/list", x + "/@v/v1.9.9.zip", x + "/@v/none.info", "/git.acme.example/none.git/@latest", "/secret.example/x/@v/v1.0.0.mod"} {
		p.want(path, 404, "*")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the public upstream was asked %d times about claimed names", n)
	}
	p.want("/up.example/x/@v/v1.0.0.mod", 404, "*")
	if n := asked.Load(); n != 1 {
		t.Errorf("the public upstream was asked %d times about a name of its own, want once", n)
	}
	for _, one := range g.asked {
		if strings.Contains(one, "up.example") || strings.Contains(one, "secret") {
			t.Errorf("the git host was asked %s", one)
		}
	}
}

func TestHostsOfGit(t *testing.T) {
	base, _ := url.Parse("https://git.acme.example:8443/")
	h, err := readHosts("git.acme.example/team, *.corp.example\ngo.acme.example", "mirror.example old.example=http://10.0.0.7:3000/git", base)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"git.acme.example": "https://git.acme.example:8443", "GIT.acme.example": "https://git.acme.example:8443", "go.acme.example": "https://go.acme.example",
		"a.corp.example": "https://a.corp.example", "corp.example": "", "mirror.example": "https://mirror.example", "old.example": "http://10.0.0.7:3000/git",
		"10.0.0.7": "", "localhost": "", "169.254.169.254": "", "evil.example": "", "": "",
	} {
		got := ""
		if at := h.of(host); at != nil {
			got = at.String()
		}
		if got != want {
			t.Errorf("%q is at %q, want %q", host, got, want)
		}
	}
	if _, err := readHosts("x.example", "old.example=ssh://old.example", base); err == nil {
		t.Error("an address of another scheme was taken")
	}
}
