package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millpond"
	"millpond/format/all"
	"millpond/repo"
)

// A bench is a machine whose only client is pip, set up as it says.
type bench struct{ index string }

func (b bench) Run(_ context.Context, name string, args ...string) (string, error) {
	switch {
	case name != "pip" || b.index == "":
		return "", &millpond.Error{Kind: millpond.NotFound, Why: name + " is not installed", Err: exec.ErrNotFound}
	case strings.Join(args, " ") == "config list":
		return "global.index-url='" + b.index + "'\n", nil
	}
	return "", nil // pip has no more to say
}
func (bench) Getenv(string) string            { return "" }
func (bench) ReadFile(string) ([]byte, error) { return nil, os.ErrNotExist }

// A slow machine answers when it is let.
type slow struct {
	bench
	let chan struct{}
}

func (s slow) Run(ctx context.Context, name string, args ...string) (string, error) {
	<-s.let
	return s.bench.Run(ctx, name, args...)
}

// quiet clears what the environment of the test says to millpond.
func quiet(t *testing.T) {
	t.Helper()
	for _, name := range []string{"CONFIG", "DATA", "LISTEN", "URL", "TOKEN", "READ", "OFFLINE", "TLS"} {
		t.Setenv("MILLPOND_"+name, "")
		os.Unsetenv("MILLPOND_" + name)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_DATA_HOME", "")
}

func TestServeWithNothingSaidAdopts(t *testing.T) {
	quiet(t)
	up := upstream(t, wheel(t))
	u := runCommand(t, bench{up.URL + "/simple/"}, "--listen", "127.0.0.1:0")
	out := u.out.String()
	data := filepath.Join(os.Getenv("HOME"), ".local", "share", "millpond")
	if !strings.Contains(out, "from    "+up.URL+"/simple/ (") || !strings.Contains(out, "data in "+data) {
		t.Errorf("serve printed\n%s\nwant the adopted upstream, where it was found, and data in %s", out, data)
	}
	for _, f := range all.Formats() {
		if !strings.Contains(out, "\n"+f.Info().Name) || !strings.Contains(out, f.Info().Title) {
			t.Errorf("serve printed nothing of %s:\n%s", f.Info().Name, out)
		}
	}
	if n := strings.Count(out, "host only"); n != len(all.Formats())-1 {
		t.Errorf("%d formats are said to host only, want all but pypi:\n%s", n, out)
	}
	if resp, _ := u.get(u.file()); resp.StatusCode != 200 {
		t.Errorf("a file through the adopted upstream = %s\n%s", resp.Status, u.log)
	}
	u.stop()

	// The next start asks nobody before it is ready, and then whether anything is new.
	let := make(chan struct{})
	u = runCommand(t, slow{bench{up.URL + "/changed/simple/"}, let}, "--listen", "127.0.0.1:0")
	if out := u.out.String(); !strings.Contains(out, "from    "+up.URL+"/simple/ (") || !strings.Contains(out, "as adopted on") {
		t.Errorf("a second start printed\n%s\nwant the upstream of the first", out)
	}
	if resp, _ := u.get(u.file()); resp.StatusCode != 200 {
		t.Errorf("a file, while the clients are being asked = %s\n%s", resp.Status, u.log)
	}
	close(let)
	u.reloaded()
	if _, page := u.get(""); !bytes.Contains(page, []byte(up.URL+"/changed/simple/")) {
		t.Errorf("the landing page does not show what the clients say by now:\n%s", page)
	}
	u.stop()

	u = runCommand(t, bench{"http://127.0.0.1:1/pypi/simple/"}, "--listen", "127.0.0.1:0", "--upstream", "pypi=")
	if !strings.Contains(u.out.String(), "pypi") || strings.Contains(u.out.String(), up.URL) {
		t.Errorf("with --upstream pypi= serve printed\n%s\nwant no upstream of pypi", u.out)
	}
	u.stop()
}

func TestServeByFlagsEnvironmentAndFile(t *testing.T) {
	quiet(t)
	up := upstream(t, wheel(t))
	dir := t.TempDir()
	file := filepath.Join(dir, "pond.yaml")
	write(t, file, "data: data\nrepositories:\n  wheels:\n    format: pypi\n    upstreams: ["+up.URL+"/simple/]\n    rules:\n      - hold: 7d\n        why: be patient\n")
	t.Setenv("MILLPOND_LISTEN", "127.0.0.1:0")
	t.Setenv("MILLPOND_CONFIG", file)
	u := runCommand(t, bench{})
	if resp, _ := u.get("wheels/simple/demo/"); resp.StatusCode != 200 {
		t.Errorf("GET wheels/simple/demo/ = %s", resp.Status)
	}
	if _, page := u.get(""); !bytes.Contains(page, []byte("hold: 7d")) {
		t.Errorf("the landing page does not show the rule:\n%s", page)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "catalog.db")); err != nil {
		t.Errorf("a relative data directory belongs beside the file: %v", err)
	}

	// SIGHUP reads the file again.
	write(t, file, "data: data\nrepositories:\n  other:\n    format: pypi\n    upstreams: ["+up.URL+"/simple/]\n")
	u.signals <- syscall.SIGHUP
	u.reloaded()
	if resp, _ := u.get("other/simple/demo/"); resp.StatusCode != 200 {
		t.Errorf("after a reload GET other/simple/demo/ = %s\n%s", resp.Status, u.log)
	}
	u.stop()

	u = runCommand(t, bench{}, "--offline", "--data", filepath.Join(dir, "elsewhere"))
	if !strings.Contains(u.out.String(), "offline: no upstream is asked") || !strings.Contains(u.out.String(), "elsewhere") {
		t.Errorf("serve --offline --data printed\n%s", u.out)
	}
	if resp, body := u.get("other/simple/demo/"); resp.StatusCode != 503 {
		t.Errorf("offline and not held: %s %q, want 503", resp.Status, body)
	}
	u.stop()
}

func TestExitCodesAndWords(t *testing.T) {
	quiet(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	write(t, bad, "lisen: 127.0.0.1:1\nrepositories:\n  pypi:\n    format: pypy\n")
	good := filepath.Join(dir, "good.yaml")
	write(t, good, "repositories:\n  pypi:\n    format: pypi\n")
	clash := filepath.Join(dir, "clash.yaml")
	write(t, clash, "repositories:\n  packages:\n    format: pypi\n")
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string
		errs []string
	}{
		{"version", []string{"version"}, 0, "millpond test", nil},
		{"no command", nil, ExitUsage, "", []string{"--help"}},
		{"unknown command", []string{"serv"}, ExitUsage, "", []string{"serv"}},
		{"help", []string{"--help"}, 0, "Usage: millpond <command>", nil},
		{"help command", []string{"help"}, 0, "Usage: millpond <command>", nil},
		{"help config", []string{"help", "config"}, 0, "public_url", nil},
		{"help of nonsense", []string{"help", "nonsense"}, ExitUsage, "", []string{"config"}},
		{"serve with a bad file", []string{"serve", "--config", bad}, ExitUsage, "", []string{"bad.yaml:1", "mean listen", "bad.yaml:4", "mean pypi"}},
		{"serve with no file", []string{"serve", "--config", filepath.Join(dir, "nothing.yaml")}, ExitUsage, "", []string{"nothing.yaml", "millpond init"}},
		{"serve with a bad upstream", []string{"serve", "--upstream", "pypi"}, ExitUsage, "", []string{"--upstream", "FORMAT=URL"}},
		{"serve to the world without saying who may read", []string{"serve", "--config", good, "--listen", "0.0.0.0:0"}, ExitUsage, "", []string{"read", "anonymous"}},
		{"config check of a good file", []string{"config", "check", good}, 0, "sound", nil},
		{"config check of a bad file", []string{"config", "check", bad}, ExitUsage, "", []string{"bad.yaml:1", "bad.yaml:4"}},
		{"config check for programs", []string{"config", "check", good, "--json"}, 0, `"ok": true`, nil},
		{"config check of a bad file for programs", []string{"config", "check", bad, "--json"}, ExitUsage, "bad.yaml:4", nil},
		{"config check of a name that the server cannot have", []string{"config", "check", clash}, ExitUsage, "", []string{`"packages"`}},
		{"check of nothing", []string{"check", "--data", filepath.Join(dir, "nothing")}, ExitNoStore, "", []string{"there is no data"}},
		{"stats of no pond", []string{"stats", "--url", "http://127.0.0.1:1/"}, ExitFailed, "", []string{"no pond runs at http://127.0.0.1:1/", "millpond serve"}},
		{"why without a package", []string{"why", "pypi"}, ExitUsage, "", []string{"a package is needed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := command(c.args...)
			if code != c.code || !strings.Contains(out, c.out) {
				t.Errorf("millpond %s = %d\n%s%s\nwant %d with %q", strings.Join(c.args, " "), code, out, errs, c.code, c.out)
			}
			for _, want := range c.errs {
				if !strings.Contains(errs, want) {
					t.Errorf("millpond %s said\n%s\nwant %q in it", strings.Join(c.args, " "), errs, want)
				}
			}
			if c.code != 0 && strings.Contains(out, "sound") {
				t.Errorf("an error was printed to standard output: %q", out)
			}
		})
	}
}

func TestInitWritesWhatWasFound(t *testing.T) {
	quiet(t)
	t.Chdir(t.TempDir())
	process := func(args ...string) (int, string, string) {
		out, errs := newScreen(), newScreen()
		code := Main(t.Context(), Process{Args: args, Out: out, Err: errs, Machine: bench{"https://upstream.example/simple/"}})
		return code, out.String(), errs.String()
	}
	code, out, errs := process("init")
	if code != 0 || !strings.Contains(out, "millpond serve --config millpond.yaml") || !strings.Contains(errs, "https://upstream.example/simple/") {
		t.Fatalf("millpond init = %d\n%s%s", code, out, errs)
	}
	if code, out, errs := process("config", "check", "millpond.yaml"); code != 0 {
		t.Errorf("the file that init wrote is not sound: %d\n%s%s", code, out, errs)
	}
	text, err := os.ReadFile("millpond.yaml")
	if err != nil || !bytes.Contains(text, []byte("https://upstream.example/simple/")) {
		t.Errorf("millpond.yaml, %v:\n%s\nwant the adopted upstream in it", err, text)
	}
	if code, _, errs := process("init"); code != ExitConflict || !strings.Contains(errs, "is there already") {
		t.Errorf("a second init = %d %q, want it refused", code, errs)
	}
	if after, _ := os.ReadFile("millpond.yaml"); !bytes.Equal(after, text) {
		t.Error("a second init changed the file")
	}
	if code, out, _ := process("init", "--output", "-"); code != 0 || out != string(text) {
		t.Errorf("init --output - = %d and printed another text than it wrote:\n%s", code, out)
	}
}

func TestTerminalIsNotObeyedBy(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain text\twith\nlines\n", "plain text\twith\nlines\n"},
		{"größer", "größer"},
		{"\x1b[31mred\x1b]0;title\x07", `\u001b[31mred\u001b]0;title\u0007`},
		{"over\rwritten\b", `over\u000dwritten\u0008`},
		{"c1 \u009b31m", `c1 \u009b31m`},
		{"bidi \u202egnp", `bidi \u202egnp`},
		{"broken \xff utf8", "broken ? utf8"},
	} {
		var b bytes.Buffer
		n, err := (&plain{w: &b}).Write([]byte(c.in))
		if b.String() != c.want || n != len(c.in) || err != nil {
			t.Errorf("%q is printed as %q (%d, %v), want %q", c.in, b.String(), n, err, c.want)
		}
	}
}

func TestWhySaysWhatMatters(t *testing.T) {
	var b bytes.Buffer
	explain(&b, &repo.Explanation{Repository: "pypi", Package: "demo", Version: "2.0", Rule: "hold: 7d", Words: "2.0 was published 4 hours ago",
		Verdict: millpond.Verdict{Opinion: millpond.Hold, Why: "2.0 was published 4 hours ago"}, WouldBe: []string{"size would deny it"},
		Layers: []repo.LayerWord{{Layer: "", State: "has no such package"}, {Layer: "up", State: "has it"}},
		Files:  []repo.FileWord{{Name: "demo-2.0.tar.gz", Size: 2048, Held: true, Words: "held back"}}})
	for _, want := range []string{"demo 2.0 in pypi: 2.0 was published 4 hours ago\n", "decided by  hold: 7d", "verdict     hold\n", "size would deny it", "hosted", "has no such package", "demo-2.0.tar.gz", "2.0 KiB", "held back"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("explain printed\n%s\nwant %q in it", b.String(), want)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
