package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"millpond/internal/server"
)

// A team begins with nothing: the first user, a service with a token of its own, a package that is published, withdrawn and
// looked at, and a log that says so.
func TestTeamPublishes(t *testing.T) {
	quiet(t)
	t.Setenv("XDG_CONFIG_HOME", "")
	u := runCommand(t, bench{}, "--listen", "127.0.0.1:0", "--upstream", "pypi=none", "--upstream", "npm=none", "--upstream", "golang=none")
	m := regexp.MustCompile(`setup secret: (\S+)`).FindStringSubmatch(u.out.String())
	if m == nil {
		t.Fatalf("serve printed no setup secret:\n%s", u.out)
	}
	do := func(in string, want int, args ...string) string {
		t.Helper()
		code, out, errs := typed(in, args...)
		if code != want {
			t.Fatalf("millpond %s = %d\n%s%s\nwant %d\n%s", strings.Join(args, " "), code, out, errs, want, u.log)
		}
		return out + errs
	}
	if out := do("nonsense\na long password\n", ExitLogin, "login", u.base, "--setup", "--user", "ann"); strings.Contains(out, "a long password") {
		t.Errorf("a refused login shows the password: %s", out)
	}
	do(m[1]+"\na long password\n", 0, "login", u.base, "--setup", "--user", "ann")
	if out := do("", 0, "whoami"); !strings.HasPrefix(out, "ann\n") {
		t.Errorf("whoami = %q, want ann", out)
	}
	do("", 0, "service", "add", "ci")
	do("", 0, "grant", "add", "user:ci", "publisher", "pypi", "demo")
	secret, _, _ := strings.Cut(do("", 0, "service", "token", "ci", "--verb", "publish"), "\n")

	file := filepath.Join(t.TempDir(), "demo-1.0-py3-none-any.whl")
	if err := os.WriteFile(file, wheel(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := do("", 0, "publish", file, "-r", "pypi", "--token", secret); !strings.HasPrefix(out, "published demo 1.0") {
		t.Errorf("publish = %q", out)
	}
	if out := do("", 0, "publish", file, "-r", "pypi", "--token", secret); !strings.Contains(out, "was there already") {
		t.Errorf("publish again = %q", out)
	}
	do("", ExitDenied, "yank", "pypi", "demo", "1.0", "--token", secret)
	do("", 0, "yank", "pypi", "demo", "1.0", "--why", "broken")
	var shown server.PackageDocument
	if err := json.Unmarshal([]byte(do("", 0, "show", "pypi", "demo", "--json")), &shown); err != nil || len(shown.Versions) != 1 || !shown.Versions[0].Yanked || shown.Versions[0].By != "ci" {
		t.Errorf("show = %+v, %v; want 1.0 of ci, yanked", shown, err)
	}
	do("", 0, "claim", "add", "pypi", "acme-*")
	if out := do("", 0, "claim"); !strings.Contains(out, "acme-*") {
		t.Errorf("claim = %q", out)
	}
	do("", 0, "user", "disable", "ci")
	do("", ExitLogin, "whoami", "--token", secret)
	if out := do("", 0, "audit", "--package", "demo"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "publish") || !strings.Contains(out, "yank") {
		t.Errorf("audit of demo = %q, want its publish and its yank", out)
	}
	heads := filepath.Join(t.TempDir(), "heads")
	for range 2 {
		do("", 0, "audit", "--verify", "--heads", heads)
	}
	if out := do("", 0, "audit", "--verify", "--here", "--heads", heads); !strings.Contains(out, "each as it was written") {
		t.Errorf("audit --verify --here = %q", out)
	}
	// Who may see the events of one repository verifies them all, and is shown no other.
	do("", 0, "service", "add", "watch")
	do("", 0, "grant", "add", "user:watch", "auditor", "pypi")
	watch, _, _ := strings.Cut(do("", 0, "service", "token", "watch"), "\n")
	do("", ExitDenied, "audit", "--verify", "--here", "--token", watch)
	var report chainReport
	if err := json.Unmarshal([]byte(do("", 0, "audit", "--verify", "--repository", "pypi", "--json", "--token", watch)), &report); err != nil || report.Events < 8 || report.Seen == 0 || report.Seen >= report.Events {
		t.Errorf("the auditor of pypi verified %+v, %v; want all events, and to be shown some", report, err)
	}
	// Each error says what to do.
	for _, c := range []struct {
		want int
		args string
	}{
		{ExitNotFound, "user remove nobody"}, {ExitNotFound, "user disable nobody"}, {ExitConflict, "user add ann"}, {ExitNotFound, "group remove nobody"},
		{ExitNotFound, "group remove nobody ann"}, {ExitNotFound, "service remove nobody"}, {ExitNotFound, "grant add user:nobody reader"}, {ExitUsage, "grant add user:ci lord"},
		{ExitNotFound, "grant remove nothing"}, {ExitNotFound, "token revoke nothing"}, {ExitNotFound, "service revoke ci nothing"}, {ExitNotFound, "publisher remove nothing"},
		{ExitNotFound, "claim remove pypi nothing"}, {ExitNotFound, "takedown lift nothing"}, {ExitUsage, "takedown pkg:pypi/demo"}, {ExitUsage, "promote pypi pypi demo"},
		{ExitNotFound, "show pypi nothing"}, {ExitNotFound, "yank pypi nothing 1.0"}, {ExitNotFound, "merge pypi nothing hide"}, {ExitNotFound, "repo show nothing"},
		{ExitNotFound, "set-up nothing"},
	} {
		var said problem
		out := do("", c.want, append(strings.Fields(c.args), "--json")...)
		if err := json.Unmarshal([]byte(out), &said); err != nil || said.Error == "" || said.Hint == "" {
			t.Errorf("millpond %s --json says %s; want what happened and what to do, %v", c.args, out, err)
		}
	}
	do("", 0, "status")
	do("", 0, "logout")
	do("", ExitLogin, "token", "--url", u.base)
	u.stop()
}
