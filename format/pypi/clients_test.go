package pypi

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// client runs a real client, and returns what it printed and whether it was content.
func client(t *testing.T, dir, name string, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "XDG_DATA_HOME="+home, "NO_COLOR=1", "COLUMNS=400",
		"TWINE_USERNAME=__token__", "TWINE_PASSWORD=t", "TWINE_NON_INTERACTIVE=1", "UV_PUBLISH_TOKEN=t", "UV_NO_CONFIG=1", "FLIT_USERNAME=__token__",
		"FLIT_PASSWORD=t", "POETRY_HTTP_BASIC_POND_USERNAME=__token__", "POETRY_HTTP_BASIC_POND_PASSWORD=t", "POETRY_KEYRING_ENABLED=0",
		"PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring", "PIP_DISABLE_PIP_VERSION_CHECK=1")
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// TestRealClients publishes with each client that is installed: a new file, the same again, other bytes, without the right.
func TestRealClients(t *testing.T) {
	for _, c := range []struct {
		name string
		args func(base, dir string) []string
		// says is what it prints of a refusal because of other bytes.
		says string
	}{
		{"twine", func(base, dir string) []string {
			return []string{"upload", "--repository-url", base + "/legacy/", dir + "/dist/*"}
		},
			"File already exists ("},
		{"uv", func(base, dir string) []string {
			return []string{"publish", "--publish-url", base + "/legacy/", dir + "/dist/*"}
		},
			"File already exists ("},
		{"uv --check-url", func(base, dir string) []string {
			return []string{"publish", "--publish-url", base + "/legacy/", "--check-url", base + "/simple/", dir + "/dist/*"}
		}, "do not match"},
		{"poetry", func(base, dir string) []string { return []string{"publish", "-r", "pond", "--no-interaction"} }, "409"},
	} {
		t.Run(c.name, func(t *testing.T) {
			program, _, _ := strings.Cut(c.name, " ")
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("%s is not installed", program)
			}
			s := newShelf(t)
			base := s.serve()
			dir := t.TempDir()
			lay := func(code string) {
				t.Helper()
				file, body := aWheel("alpha", "1.0", code)
				source, packed := aSdist("alpha", "1.0")
				project := "[project]\nname = \"alpha\"\nversion = \"1.0\"\nrequires-python = \">=3.8\"\n"
				for name, text := range map[string][]byte{"dist/" + file: body, "dist/" + source: packed, "pyproject.toml": []byte(project),
					"poetry.toml": []byte("[repositories.pond]\nurl = \"" + base + "/legacy/\"\n")} {
					path := filepath.Join(dir, name)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, text, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			lay("x = 1\n")
			args := c.args(base, dir)
			for _, time := range []string{"publish", "publish again"} {
				if out, ok := client(t, dir, program, args...); !ok {
					t.Fatalf("%s: %s", time, out)
				}
			}
			if files := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body)).Files; len(files) != 2 {
				t.Errorf("page has %+v, want both files", files)
			}
			s.wantEvents("twice the same", "publish", "publish")
			lay("x = 2\n")
			if out, ok := client(t, dir, program, args...); ok || !strings.Contains(out, c.says) {
				t.Errorf("other bytes: content %v, printed %s; want %q", ok, out, c.says)
			}
			if strings.Contains(c.name, "check-url") {
				return // it never comes to send anything
			}
			s.nobody.Store(true)
			if out, ok := client(t, dir, program, args...); ok || !strings.Contains(out, "this wants a credential") && !strings.HasPrefix(program, "poetry") {
				t.Errorf("without the right: content %v, printed %s", ok, out)
			}
		})
	}
}

// TestFlit builds and publishes a module, as flit does in one go.
func TestFlit(t *testing.T) {
	if _, err := exec.LookPath("flit"); err != nil {
		t.Skip("flit is not installed")
	}
	s := newShelf(t)
	base := s.serve()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"alpha.py":       "\"\"\"A test.\"\"\"\n__version__ = \"1.0\"\n",
		"pyproject.toml": "[build-system]\nrequires = [\"flit_core >=3.2\"]\nbuild-backend = \"flit_core.buildapi\"\n[project]\nname = \"alpha\"\ndynamic = [\"version\", \"description\"]\n",
		".pypirc":        "[distutils]\nindex-servers = pond\n[pond]\nrepository = " + base + "/legacy/\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, ok := client(t, dir, "flit", "publish", "--pypirc", filepath.Join(dir, ".pypirc"), "--repository", "pond", "--no-use-vcs"); !ok {
		t.Fatalf("publish: %s", out)
	}
	if files := parsePage(t, []byte(get(t, base+"/simple/alpha/", typeJSON).body)).Files; len(files) != 2 {
		t.Errorf("page has %+v, want wheel and sdist", files)
	}
}
