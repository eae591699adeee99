package golang

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"millpond"
)

// A machine has a go command with these settings, and these files.
type machine struct {
	env   map[string]string // nil: go is not installed
	files map[string]string
	err   error
}

func (m machine) Run(_ context.Context, name string, args ...string) (string, error) {
	if m.env == nil {
		return "", &millpond.Error{Kind: millpond.NotFound, Why: name + " is not installed", Err: exec.ErrNotFound}
	}
	b, err := json.Marshal(m.env)
	return string(b), errors.Join(err, m.err)
}

func (m machine) Getenv(string) string { return "" }

func (m machine) ReadFile(path string) ([]byte, error) {
	if s, ok := m.files[path]; ok {
		return []byte(s), nil
	}
	return nil, fs.ErrNotExist
}

func TestAdopt(t *testing.T) {
	const key = "sum.example+1234abcd+AAAA"
	table := map[string]string{"/go/src/cmd/go/internal/modfetch/key.go": "package modfetch\n\nvar known = map[string]string{\n\t\"sum.example\": \"" + key + "\",\n}\n"}
	for _, c := range []struct {
		name string
		m    machine
		want []string // URL user:password, in order
		sum  string
		priv string
		note []string
	}{
		{"go is not installed", machine{}, nil, "", "", nil},
		{"as it comes", machine{files: table, env: map[string]string{"GOPROXY": "https://upstream.example,direct", "GOSUMDB": "sum.example", "GOROOT": "/go"}},
			[]string{"https://upstream.example/ :"}, key, "", []string{`"direct" was dropped`}},
		{"several, in order", machine{env: map[string]string{"GOPROXY": "https://a.upstream.example/go/|http://b.upstream.example,off", "GOSUMDB": "off"}},
			[]string{"https://a.upstream.example/go/ :", "http://b.upstream.example/ :"}, "", "", []string{"comma", `"off" was dropped`, "no checksum database"}},
		{"credentials", machine{env: map[string]string{"GOPROXY": "https://ci:s3cret@upstream.example/go", "GOSUMDB": key + " https://db.example/x"}},
			[]string{"https://upstream.example/go/ ci:s3cret"}, key + " https://db.example/x", "", nil},
		{"direct only", machine{env: map[string]string{"GOPROXY": "direct", "GOSUMDB": key}}, []string{" :"}, "", "", []string{`"direct" was dropped`}},
		{"a folder", machine{env: map[string]string{"GOPROXY": "file:///cache/download,https://upstream.example", "GOSUMDB": key}},
			[]string{"https://upstream.example/ :"}, key, "", []string{"no http or https address"}},
		{"a database whose key is not known", machine{files: table, env: map[string]string{"GOPROXY": "https://upstream.example", "GOSUMDB": "other.example https://db.example", "GOROOT": "/go"}},
			[]string{"https://upstream.example/ :"}, "other.example https://db.example", "", []string{"the key of the checksum database other.example is not known"}},
		{"private modules", machine{env: map[string]string{"GOPROXY": "https://upstream.example", "GOSUMDB": key, "GONOSUMDB": "git.acme.example", "GOPRIVATE": "git.acme.example"}},
			[]string{"https://upstream.example/ :"}, key, "git.acme.example", []string{"claim these names"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := (Format{}).Info().Upstreams(t.Context(), c.m)
			if err != nil {
				t.Fatal(err)
			}
			var urls []string
			notes := ""
			for _, a := range got {
				urls = append(urls, fmt.Sprintf("%s %s:%s", a.URL, a.Username, a.Password))
				notes += a.Note
				if a.From != "go env GOPROXY" || a.URL != "" && (a.Options["sumdb"] != c.sum || a.Options["no_sum"] != c.priv) {
					t.Errorf("adopted %+v; want sumdb %q, no_sum %q", a, c.sum, c.priv)
				}
			}
			if strings.Join(urls, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("upstreams %q; want %q", urls, c.want)
			}
			for _, part := range c.note {
				if !strings.Contains(notes, part) {
					t.Errorf("notes %q; want %q among them", notes, part)
				}
			}
			if len(c.note) == 0 && notes != "" {
				t.Errorf("notes %q; want none", notes)
			}
			if strings.Contains(notes, "s3cret") {
				t.Errorf("notes %q tell a password", notes)
			}
		})
	}
	if _, err := (Format{}).Info().Upstreams(t.Context(), machine{env: map[string]string{}, err: errors.New("broken")}); err == nil {
		t.Errorf("a go command that fails: no error")
	}
}

// The key table of the installed toolchain is where it is looked for, and is read.
func TestKnownKeyOfThisToolchain(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("no go command here")
	}
	goroot := strings.TrimSpace(string(root))
	src, err := os.ReadFile(goroot + "/src/cmd/go/internal/modfetch/key.go")
	if err != nil {
		t.Skip("a toolchain without its source")
	}
	_, rest, _ := strings.Cut(string(src), "string{")
	_, rest, _ = strings.Cut(rest, `"`)
	name, _, _ := strings.Cut(rest, `"`)
	if key := knownKey(osFiles{}, goroot, name); !strings.HasPrefix(key, name+"+") {
		t.Errorf("the key of %q is %q", name, key)
	}
	if key := knownKey(osFiles{}, goroot, "other.example"); key != "" {
		t.Errorf("the key of a name that is not there is %q", key)
	}
}

type osFiles struct{ machine }

func (osFiles) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func TestSetUp(t *testing.T) {
	for base, want := range map[string]string{
		"https://pond.example/golang/":      "GOPROXY=https://pond.example/golang",
		"http://127.0.0.1:8080/team/golang": "GOPROXY=http://127.0.0.1:8080/team/golang",
	} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		snippets := (Format{}).Info().SetUp(u)
		if len(snippets) == 0 || !strings.HasSuffix(snippets[0].Text, want) {
			t.Errorf("set-up at %s: %+v; want %s first", base, snippets, want)
		}
		if plain := strings.Contains(snippets[0].Note, "plain http"); plain != (u.Scheme == "http") {
			t.Errorf("set-up at %s: note %q", base, snippets[0].Note)
		}
	}
}
