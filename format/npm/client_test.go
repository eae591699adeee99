package npm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A shell runs the real npm against a press, with a home of its own.
type shell struct {
	t    *testing.T
	home string
	env  []string
}

func newShell(t *testing.T, p *press, token string) *shell {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed")
	}
	s := &shell{t: t, home: t.TempDir()}
	_, rest, _ := strings.Cut(p.url, ":")
	s.write(".npmrc", "registry="+p.url+"\n"+rest+":_authToken="+token+"\n")
	s.env = append(os.Environ(), "HOME="+s.home, "npm_config_userconfig="+filepath.Join(s.home, ".npmrc"), "npm_config_cache="+filepath.Join(s.home, "cache"),
		"npm_config_update_notifier=false", "npm_config_fetch_retries=0", "npm_config_audit=false", "npm_config_fund=false", "CI=")
	return s
}

func (s *shell) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// run runs a command in a folder of the home and returns what it printed.
func (s *shell) run(good bool, folder, line string, input ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	words := strings.Fields(line)
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Dir, c.Env = filepath.Join(s.home, folder), s.env
	c.Stdin = strings.NewReader(strings.Join(input, "\n"))
	out, err := c.CombinedOutput()
	if (err == nil) != good {
		s.t.Errorf("%s: got %v, want it good: %v\n%s", line, err, good, out)
	}
	return string(out)
}

func (s *shell) says(want, folder, line string) {
	s.t.Helper()
	if out := s.run(true, folder, line); !strings.Contains(out, want) {
		s.t.Errorf("%s: got %s, want %q in it", line, out, want)
	}
}

func TestRealNPMPublishes(t *testing.T) {
	p := newPress(t)
	s := newShell(t, p, "ada-token")
	s.write("pkg/package.json", `{"name":"@acme/tool","version":"1.0.0","description":"a tool","license":"MIT","scripts":{"postinstall":"true"},"dependencies":{}}`)
	s.write("pkg/README.md", "# tool\n")
	s.write("pkg/index.js", "module.exports = 1\n")
	s.run(true, "pkg", "npm publish")
	s.write("pkg/index.js", "module.exports = 2\n")
	s.run(false, "pkg", "npm publish") // the same version with other bytes: a new npm sees itself that it is there
	s.write("pkg/package.json", `{"name":"@acme/tool","version":"1.1.0","description":"a tool","license":"MIT"}`)
	s.run(true, "pkg", "npm publish --tag next")
	s.says("next: 1.1.0", "pkg", "npm dist-tag ls @acme/tool")
	s.run(true, "pkg", "npm dist-tag add @acme/tool@1.1.0 latest")
	s.run(true, "pkg", "npm dist-tag rm @acme/tool next")
	s.says("latest: 1.1.0", "pkg", "npm dist-tag ls @acme/tool")

	s.run(true, "pkg", "npm deprecate @acme/tool@1.0.0 old-one")
	s.says("old-one", "pkg", "npm view @acme/tool@1.0.0 deprecated")
	s.write("app/package.json", `{"name":"app","version":"1.0.0","private":true}`)
	s.run(true, "app", "npm install @acme/tool")
	s.says("ada", "pkg", "npm whoami")
	s.says("@acme/tool", "pkg", "npm search tool")
	s.says("@acme/tool", "pkg", "npm access list packages ada")
	s.says("read-write", "pkg", "npm access list collaborators @acme/tool")

	s.run(true, "pkg", "npm unpublish @acme/tool@1.1.0")
	s.says("1.0.0", "pkg", "npm view @acme/tool version")
	s.run(false, "pkg", "npm publish") // 1.1.0 was deleted
	s.run(true, "pkg", "npm unpublish @acme/tool --force")
	s.run(false, "pkg", "npm view @acme/tool version")
}

func TestRealNPMTokens(t *testing.T) {
	p := newPress(t)
	s := newShell(t, p, "ada-token")
	s.run(true, "", "npm ping")
	made := p.accounts.make(formatToken("laptop"), "ada")
	s.says(made.ID, "", "npm token list")
	s.run(true, "", "npm token revoke "+made.ID)
	if p.accounts.owner(made.Secret) != "" {
		t.Errorf("a revoked token is good")
	}
	other := newShell(t, p, p.accounts.make(formatToken("login"), "ada").Secret)
	other.says("ada", "", "npm whoami")
	other.run(true, "", "npm logout")
	if len(p.accounts.tokens) != 0 {
		t.Errorf("after logout: got %d tokens, want none", len(p.accounts.tokens))
	}
}
