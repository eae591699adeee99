package debian

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// A desk is a machine on which commands say what a test says.
type desk map[string]string

func (d desk) Run(_ context.Context, name string, args ...string) (string, error) {
	if said, ok := d[name]; ok {
		return said, nil
	}
	return "", &millpond.Error{Kind: millpond.NotFound, Why: name + " is not installed"}
}
func (d desk) Getenv(string) string { return "" }
func (desk) ReadFile(path string) ([]byte, error) {
	return nil, &millpond.Error{Kind: millpond.NotFound, Why: "no " + path}
}

// TestConfigure: what set-up writes for apt; that apt takes it is shown by the script setup_sources.
func TestConfigure(t *testing.T) {
	base, err := url.Parse("https://pond.example/pkg/debian/")
	if err != nil {
		t.Fatal(err)
	}
	installed := desk{"apt-config": "SOURCES='/etc/apt/sources.list.d/'\nAUTH='/etc/apt/auth.conf.d/'\n"}
	said := "Types: deb\nURIs: https://pond.example/pkg/debian\n"
	setup := format.ClientSetup{Client: "apt", Base: base, Token: "mp_x", Read: func(_ context.Context, path string) ([]byte, error) {
		if path != "setup.sources" {
			t.Errorf("%q is read", path)
		}
		return []byte(said), nil
	}}
	all, err := Format{}.Configure(t.Context(), installed, setup)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v; want the source and the token", all, err)
	}
	want := []string{"/etc/apt/sources.list.d/millpond.sources", said,
		"/etc/apt/auth.conf.d/millpond.conf", "machine https://pond.example/pkg/debian login token password mp_x\n"}
	for i, r := range all {
		text, err := r.Edit("what was there")
		if err != nil || r.File != want[2*i] || text != want[2*i+1] || r.Secret != (i == 1) {
			t.Errorf("%s becomes %q (secret: %v), %v, want %s %q", r.File, text, r.Secret, err, want[2*i], want[2*i+1])
		}
	}
	for what, c := range map[string]struct {
		m    desk
		said string
		want millpond.Kind
	}{
		"no apt":              {desk{}, said, millpond.NotFound},
		"apt says nothing":    {desk{"apt-config": "\n"}, said, millpond.Unsupported},
		"the page is no pond": {installed, "<html>", millpond.BadUpstream},
	} {
		said = c.said
		if _, err := (Format{}).Configure(t.Context(), c.m, setup); !millpond.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	setup.Client = "yum"
	if _, err := (Format{}).Configure(t.Context(), installed, setup); !millpond.Is(err, millpond.Unsupported) || !strings.Contains(err.Error(), "yum") {
		t.Errorf("yum: %v", err)
	}
}
