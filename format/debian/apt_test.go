package debian

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/format/formattest"
)

// An aptRoot is a private root of the real apt, which touches nothing of the machine.
type aptRoot struct {
	t      testing.TB
	dir    string
	config string
}

func newAPT(t testing.TB, sources string) *aptRoot {
	t.Helper()
	for _, program := range []string{"apt-get", "dpkg", "gpgv"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	dir, err := os.MkdirTemp("", "apt-root-") // a short path: apt makes file names of it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a := &aptRoot{t: t, dir: dir, config: filepath.Join(dir, "apt.conf")}
	for _, d := range []string{"etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d", "etc/apt/trusted.gpg.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial",
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/alternatives", "var/log/apt", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a.write("var/lib/dpkg/status", "")
	a.write("etc/apt/sources.list", sources)
	a.write("apt.conf", fmt.Sprintf(`Dir %q; Dir::State::status %q; Dir::Etc %q; Dir::Log %q;
#clear DPkg::Post-Invoke; #clear APT::Update::Post-Invoke; #clear APT::Update::Post-Invoke-Success; #clear DPkg::Pre-Install-Pkgs;
APT::Sandbox::User "root"; APT::Architecture "amd64"; APT::Architectures { "amd64"; }; Acquire::Retries "0"; Acquire::Languages "none";
APT::Update::Error-Mode "any"; Acquire::http::Proxy "DIRECT"; DPkg::Options { "--root=%s"; "--force-not-root"; "--force-script-chrootless"; };
DPkg::Path ""; APT::Get::Assume-Yes "true"; Debug::NoLocking "true"; APT::Color "0";
`, dir, dir+"/var/lib/dpkg/status", dir+"/etc/apt", dir+"/var/log/apt", dir))
	return a
}

func (a *aptRoot) write(path, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, path), []byte(text), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

// run runs apt-get and returns what it said.
func (a *aptRoot) run(args ...string) (string, error) {
	cmd := exec.Command("apt-get", args...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.config, "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "http_proxy=", "TMPDIR="+a.dir+"/tmp")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must fails the test unless apt-get ends well and says nothing of warnings.
func (a *aptRoot) must(args ...string) string {
	a.t.Helper()
	out, err := a.run(args...)
	if err != nil || strings.Contains(out, "\nW: ") || strings.Contains(out, "\nE: ") {
		a.t.Fatalf("apt-get %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// installed is the version of a package in the root.
func (a *aptRoot) installed(name string) string {
	out, err := exec.Command("dpkg-query", "--admindir="+a.dir+"/var/lib/dpkg", "-W", "-f", "${Version}", name).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// TestAPT: update and install, cold, warm with the upstream dead, and offline, by the archive's own key.
func TestAPT(t *testing.T) {
	t.Parallel()
	key := aKey(t, "upstream")
	h, a := house(t, nil)
	a.Key = key
	a.Set("pool/main/h/hello/hello_1.0_amd64.deb", deb(t, "hello", "1.0", "amd64", "", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	armor, err := key.public(true)
	if err != nil {
		t.Fatal(err)
	}
	root := func() *aptRoot {
		r := newAPT(t, "")
		r.write("key.asc", string(armor))
		r.write("etc/apt/sources.list", fmt.Sprintf("deb [signed-by=%s/key.asc] %s/r stable main\n", r.dir, h.URL))
		return r
	}
	cold := root()
	cold.must("update")
	cold.must("install", "hello")
	if got := cold.installed("hello"); got != "1.0" {
		t.Errorf("hello is installed as %q, want 1.0", got)
	}
	if out := cold.must("update"); !strings.Contains(out, "Hit:") {
		t.Errorf("an update that brings nothing new is no hit:\n%s", out)
	}
	a.Up.Refuse()
	h.Pass(48 * time.Hour)
	warm := root()
	warm.must("update")
	warm.must("install", "hello")
}

// TestCase01Flapping: while the upstream lays new Releases, file by file and in any order, eight clients update and install
// from its suite at the same time, again and again, and none of them ever fails.
func TestCase01Flapping(t *testing.T) {
	for name, byHash := range map[string]bool{"an archive that keeps indexes by hash": true, "an archive that forgets what it replaces": false} {
		t.Run(name, func(t *testing.T) {
			h, a := house(t, map[string]string{"architectures": "amd64"})
			a.ByHash = byHash
			date := formattest.Epoch().AddDate(-1, 0, 0)
			a.Set("pool/main/h/hello/hello_1.0_amd64.deb", deb(t, "hello", "1.0", "amd64", "", 0))
			a.Lay(t, date)
			roots := make([]*aptRoot, 8)
			for i := range roots {
				roots[i] = newAPT(t, fmt.Sprintf("deb [trusted=yes by-hash=force] %s/r stable main\n", h.URL))
			}
			roots[0].must("update") // a set is held that belongs together: from now on it is replaced by such, or stays
			stop := make(chan struct{})
			var publishing sync.WaitGroup
			releases := 0
			publishing.Go(func() {
				for n := 1; ; n++ {
					select {
					case <-stop:
						releases = n
						return
					default:
					}
					a.Set(fmt.Sprintf("pool/main/h/hello/hello_1.%d_amd64.deb", n%20), deb(t, "hello", fmt.Sprintf("1.%d", n%20), "amd64", "", n))
					a.Lay(t, date.Add(time.Duration(n)*time.Second))
					h.Pass(61 * time.Second)
				}
			})
			rounds := 4
			if n, err := strconv.Atoi(os.Getenv("DEBIANTEST_ROUNDS")); err == nil {
				rounds = n // fifty, in the long run of test.sh
			}
			for round := range rounds {
				var all sync.WaitGroup
				for i, r := range roots {
					all.Go(func() {
						if out, err := r.run("update"); err != nil || strings.Contains(out, "W: ") || strings.Contains(out, "E: ") {
							t.Errorf("round %d, client %d: %v\n%s", round, i, err, out)
						}
					})
				}
				all.Wait()
				if t.Failed() {
					break
				}
			}
			close(stop)
			publishing.Wait()
			versions := map[string]bool{}
			p, err := h.As(formattest.Owner).Repo().Package(t.Context(), "dists/stable")
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range p.Versions {
				versions[v.Name] = true
			}
			t.Logf("%d rounds of 8 clients, while %d Releases were laid; %d snapshots are kept, the last of %v", rounds, releases, len(versions), p.Versions[0].Published)
			if len(versions) < 2 {
				t.Error("no new Release was ever taken")
			}
		})
	}
}
