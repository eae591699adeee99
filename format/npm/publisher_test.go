package npm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

func TestPublishFile(t *testing.T) {
	p := newPress(t)
	ctx := context.Background()
	tgz := pack(
		entry{name: "package/package.json", text: `{"name":"@acme/native","version":"1.0.0","license":"MIT","scripts":{"test":"x"}}`},
		entry{name: "package/binding.gyp", text: "{}"}, entry{name: "package/README.md", text: "# native"},
	)
	publish := func(token string, body []byte, options map[string]string) (*format.Published, error) {
		f := format.PublishedFile{Name: "x.tgz", Size: int64(len(body)), Options: options, Body: bytes.NewReader(body)}
		return Format{}.PublishFile(ctx, p.as(token), f)
	}
	got, err := publish("pub-token", tgz, nil)
	want := format.Published{Key: millpond.Key{Package: "@acme/native", Version: "1.0.0", File: "native-1.0.0.tgz"}, New: true}
	if err != nil || *got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	if got, err = publish("pub-token", tgz, nil); err != nil || got.New {
		t.Errorf("again: got %+v, %v; want it not new", got, err)
	}
	doc := p.doc("@acme%2fnative")
	for want, path := range map[string][]string{
		`"# native"`:           {"readme"},
		`{"latest":"1.0.0"}`:   {"dist-tags"},
		`"node-gyp rebuild"`:   {"versions", "1.0.0", "scripts", "install"},
		`"x"`:                  {"versions", "1.0.0", "scripts", "test"},
		`"@acme/native@1.0.0"`: {"versions", "1.0.0", "_id"},
		`{"name":"pub"}`:       {"versions", "1.0.0", "_npmUser"},
		fmt.Sprintf("%q", p.url+"@acme/native/-/native-1.0.0.tgz"): {"versions", "1.0.0", "dist", "tarball"},
	} {
		if got := at(doc, path...); got != want {
			t.Errorf("%v: got %s, want %s", path, got, want)
		}
	}
	if got := at(p.doc("@acme%2fnative", "Accept", corgi), "versions", "1.0.0", "hasInstallScript"); got != "true" {
		t.Errorf("hasInstallScript: got %q, want true", got)
	}
	for what, c := range map[string]struct {
		token string
		body  []byte
		tag   string
		kind  millpond.Kind
	}{
		"a reader":         {"reader-token", tgz, "", millpond.Denied},
		"nobody":           {"", tgz, "", millpond.Unauthenticated},
		"no tarball":       {"pub-token", []byte("x"), "", millpond.Invalid},
		"a range as a tag": {"pub-token", tgz, "^1", millpond.Invalid},
		"other bytes":      {"pub-token", pack(entry{name: "p/package.json", text: `{"name":"@acme/native","version":"1.0.0"}`}), "", millpond.Conflict},
		"a capital name":   {"pub-token", pack(entry{name: "p/package.json", text: `{"name":"Native","version":"1.0.0"}`}), "", millpond.Invalid},
	} {
		if _, err := publish(c.token, c.body, map[string]string{"tag": c.tag}); !millpond.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", what, err, c.kind)
		}
	}
}

// A computer runs commands here.
type computer struct{}

func (computer) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return string(out), err
}
func (computer) Getenv(key string) string             { return os.Getenv(key) }
func (computer) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func TestPackWithRealNPM(t *testing.T) {
	p := newPress(t)
	s := newShell(t, p, "ada-token")
	s.write("pkg/package.json", `{"name":"@acme/packed","version":"1.0.0","files":["lib"]}`)
	s.write("pkg/lib/x.js", "x\n")
	s.write("pkg/secret.txt", "not to be packed\n")
	for _, one := range s.env {
		if key, value, _ := strings.Cut(one, "="); key == "HOME" || strings.HasPrefix(key, "npm_config_") {
			t.Setenv(key, value)
		}
	}
	var out bytes.Buffer
	name, err := Format{}.Pack(context.Background(), computer{}, s.home+"/pkg", "", &out)
	if err != nil || name != "acme-packed-1.0.0.tgz" {
		t.Fatalf("got %q, %v", name, err)
	}
	got, err := unpack(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil || got.files != 2 {
		t.Errorf("got %+v, %v; want package.json and lib/x.js", got, err)
	}
	if _, err := (Format{}).Pack(context.Background(), computer{}, s.home+"/pkg", "2.0.0", &out); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("another version: got %v, want Invalid", err)
	}
}
