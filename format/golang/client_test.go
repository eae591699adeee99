package golang

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A workshop is a folder with a main module, and a go command of its own beside this machine's settings.
type workshop struct {
	t         testing.TB
	dir, home string
	env       []string
}

func newWorkshop(t testing.TB, proxy, sumdb string, files ...string) *workshop {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command here")
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{t: t, dir: t.TempDir(), home: t.TempDir()}
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "GOPATH=" + w.home, "GOCACHE=" + strings.TrimSpace(string(cache)),
		"GOPROXY=" + proxy, "GOSUMDB=" + sumdb, "GOFLAGS=-modcacherw", "GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off", "CGO_ENABLED=0",
	}
	telemetry := filepath.Join(w.home, ".config", "go", "telemetry") // or it writes there when the test is over
	if err := os.MkdirAll(telemetry, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(telemetry, "mode"), []byte("off"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(w.dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// run runs the go command and returns what it said, with its own folders left out.
func (w *workshop) run(args ...string) (string, error) {
	cmd := exec.CommandContext(w.t.Context(), "go", args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	out, err := cmd.CombinedOutput()
	return strings.NewReplacer(w.home, "HOME", w.dir, "DIR").Replace(string(out)), err
}

func (w *workshop) ok(args ...string) string {
	w.t.Helper()
	out, err := w.run(args...)
	if err != nil {
		w.t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fails runs a command that must fail, and say all of words.
func (w *workshop) fails(args []string, words ...string) {
	w.t.Helper()
	out, err := w.run(args...)
	if err == nil {
		w.t.Errorf("go %s went well:\n%s", strings.Join(args, " "), out)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			w.t.Errorf("go %s said\n%s\nwant %q in it", strings.Join(args, " "), out, word)
		}
	}
}

func (w *workshop) file(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Error(err)
	}
	return string(b)
}

const app = "module app.example/app\n\ngo 1.21\n"

// The client says and writes the same as against the upstream itself; again with the upstream and the database dead and an
// empty module cache.
func TestCase01TheClientSeesNoDifference(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, "git.example/base", "v0.2.0", "module git.example/base\n")
	need := testMod + "\ngo 1.21\n\nrequire git.example/base v0.2.0\n"
	const sub = "package sub\n\nimport _ \"git.example/base\"\n"
	u.publish(t, testPath, "v1.0.0", need, "sub/sub.go", sub)
	u.publish(t, testPath, "v1.1.0", need, "sub/sub.go", sub)
	u.publish(t, "git.example/Acme/old", "v2.0.0+incompatible", "module git.example/Acme/old\n")
	p := newPond(t, []string{u.URL}, verifiedBy(u), option("verify", "required"))
	commands := [][]string{
		{"list", "-m", "-versions", testPath},
		{"get", testPath + "/sub@latest"},
		{"mod", "download", "-json", testPath + "@v1.0.0"},
		{"mod", "tidy"},
		{"mod", "graph"},
		{"build", "./..."},
		{"mod", "verify"},
		{"list", "-m", "-u", "all"},
		{"mod", "download", "git.example/Acme/old@v2.0.0+incompatible"},
	}
	do := func(proxy string) string {
		w := newWorkshop(t, proxy, u.Database, "go.mod", app, "main.go", "package main\n\nimport _ \""+testPath+"/sub\"\n\nfunc main() {}\n")
		var said strings.Builder
		for _, c := range commands {
			said.WriteString("$ go " + strings.Join(c, " ") + "\n" + w.ok(c...))
		}
		said.WriteString(w.file("go.mod") + w.file("go.sum"))
		return said.String()
	}
	want := do(u.URL)
	if !strings.Contains(want, "v1.0.0 v1.1.0") || !strings.Contains(want, "all modules verified") {
		t.Fatalf("against the upstream itself:\n%s", want)
	}
	if got := do(p.URL + "/golang"); got != want {
		t.Errorf("through the pond:\n%s\nwant\n%s", got, want)
	}
	u.Close()
	p.pass(time.Hour)
	if got := do(p.URL + "/golang"); got != want {
		t.Errorf("with upstream and database dead:\n%s\nwant\n%s", got, want)
	}
}

func TestCase08TheNextProxyIsAskedOnlyAboutWhatIsAbsent(t *testing.T) {
	u, second := newUpstream(t), newUpstream(t)
	second.publish(t, testPath, "v1.0.0", testMod)
	p := newPond(t, []string{u.URL})
	w := newWorkshop(t, p.URL+"/golang,"+second.URL, "off", "go.mod", app)
	u.ill(at+"v1.0.0.info", 500)
	w.fails([]string{"mod", "download", testPath + "@v1.0.0"}, "503")
	if len(second.paths()) > 0 {
		t.Errorf("the second proxy was asked %q", second.paths())
	}
	u.ill(at+"v1.0.0.info", 404)
	p.pass(time.Minute)
	w.ok("mod", "download", testPath+"@v1.0.0")
	if len(second.paths()) == 0 {
		t.Errorf("the second proxy was not asked")
	}
}

func TestCase09TheClientShowsWhyAndStops(t *testing.T) {
	u, second := newUpstream(t), newUpstream(t)
	for _, one := range []*upstream{u, second} {
		one.publish(t, testPath, "v1.0.0", testMod)
		one.publish(t, testPath, "v1.1.0", testMod)
		one.publish(t, "git.example/user", "v1.0.0", "module git.example/user\n\ngo 1.16\n\nrequire "+testPath+" v1.0.0\n",
			"u.go", "package x\n\nimport _ \""+testPath+"\"\n")
	}
	p := newPond(t, []string{u.URL})
	p.rules(map[string]any{"block": []any{testPath + "@v1.0.0"}, "why": "it mines coins"})
	proxies := p.URL + "/golang," + second.URL
	w := newWorkshop(t, proxies, "off", "go.mod", app)
	w.fails([]string{"get", testPath + "@v1.0.0"}, "403", "it mines coins")
	w.fails([]string{"mod", "download", testPath + "@v1.0.0"}, "403", "it mines coins")

	// The blocked version is superseded: its go.mod is read, and nothing else of it.
	const main = "package main\n\nimport _ \"git.example/user\"\n\nfunc main() {}\n"
	w = newWorkshop(t, proxies, "off", "main.go", main,
		"go.mod", "module app.example/app\n\ngo 1.16\n\nrequire (\n\tgit.example/user v1.0.0\n\t"+testPath+" v1.1.0\n)\n")
	w.ok("mod", "tidy")
	w.ok("build", "./...")
	// It is selected: the client says why not.
	w = newWorkshop(t, proxies, "off", "main.go", main, "go.mod", "module app.example/app\n\ngo 1.16\n\nrequire git.example/user v1.0.0\n")
	w.fails([]string{"mod", "tidy"}, "it mines coins")
	if len(second.paths()) > 0 {
		t.Errorf("the second proxy was asked %q", second.paths())
	}
}

func TestCase10TheClientIsWarnedOfARetraction(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, testPath, "v1.1.0", testMod)
	u.publish(t, testPath, "v1.2.0", testMod+"\nretract v1.1.0 // it loses data\n")
	p := newPond(t, []string{u.URL})
	w := newWorkshop(t, p.URL+"/golang", "off", "go.mod", app)
	if out := w.ok("list", "-m", "-versions", testPath); out != testPath+" v1.0.0 v1.2.0\n" {
		t.Errorf("versions %q; want those that are not retracted", out)
	}
	w.ok("get", testPath+"@v1.1.0")
	if out := w.ok("list", "-m", "-u", "-retracted", "-f", "{{.Retracted}}", testPath); !strings.Contains(out, "it loses data") {
		t.Errorf("the client says %q; want the retraction's words", out)
	}
	// The version that retracts is blocked here: what it retracts is not offered either.
	p.rules(map[string]any{"block": []any{testPath + "@v1.2.0"}})
	w = newWorkshop(t, p.URL+"/golang", "off", "go.mod", app)
	w.ok("get", testPath+"@latest")
	if mod := w.file("go.mod"); !strings.Contains(mod, testPath+" v1.0.0") {
		t.Errorf("go.mod after get @latest:\n%s\nwant v1.0.0", mod)
	}
}

func TestCase18OfflineGetOfAPackageBelowAModule(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod, "deep/down/d.go", "package down\n")
	p := newPond(t, []string{u.URL})
	for _, offline := range []bool{false, true} {
		p.settings.Offline = offline
		p.configure()
		w := newWorkshop(t, p.URL+"/golang", "off", "go.mod", app)
		w.ok("get", testPath+"/deep/down@v1.0.0")
		u.ill(at+"list", 500)
	}
}

// The go command wants the database for a toolchain whatever GONOSUMDB says.
func TestCase21Toolchain(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the fake toolchain is a shell script")
	}
	u := newUpstream(t)
	version := "v0.0.1-go1.99.0." + runtime.GOOS + "-" + runtime.GOARCH
	u.publish(t, "golang.org/toolchain", version, "module golang.org/toolchain\n",
		"bin/go", "#!/bin/sh\necho a toolchain from the pond\n", "bin/gofmt", "", "lib/x", "",
		"pkg/tool/"+runtime.GOOS+"_"+runtime.GOARCH+"/x", "", "src/_go.mod", "module std\n")
	p := newPond(t, []string{u.URL}, verifiedBy(u), option("verify", "required"))
	for range 2 {
		w := newWorkshop(t, p.URL+"/golang", u.Database, "go.mod", app)
		w.env = append(w.env, "GOTOOLCHAIN=go1.99.0", "GONOSUMDB=golang.org", "GONOPROXY=none")
		if out := w.ok("version"); !strings.HasSuffix(out, "a toolchain from the pond\n") {
			t.Errorf("go version said %q", out)
		}
		u.Close()
	}
}

func TestCase23TheClientUsesOnlyWhatIsHeld(t *testing.T) {
	u := newUpstream(t)
	u.publish(t, testPath, "v1.0.0", testMod)
	u.publish(t, testPath, "v1.1.0", testMod)
	p := newPond(t, []string{u.URL})
	newWorkshop(t, p.URL+"/golang", "off", "go.mod", app).ok("mod", "download", testPath+"@v1.0.0")
	u.forget()
	w := newWorkshop(t, p.URL+"/golang/cached-only", "off", "go.mod", app)
	w.ok("get", testPath+"@latest")
	if mod := w.file("go.mod"); !strings.Contains(mod, testPath+" v1.0.0") {
		t.Errorf("go.mod:\n%s\nwant the version that is held", mod)
	}
	w.fails([]string{"get", testPath + "@v1.1.0"}, "not held here")
	if len(u.paths()) > 0 {
		t.Errorf("the upstream was asked %q", u.paths())
	}
}
