package golang

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// A desktop is a machine whose go command says what a test says.
type desktop map[string]string

func (d desktop) Run(_ context.Context, name string, args ...string) (string, error) {
	if said, ok := d[strings.Join(append([]string{name}, args...), " ")]; ok {
		return said, nil
	}
	return "", &millpond.Error{Kind: millpond.NotFound, Why: name + " is not installed"}
}
func (d desktop) Getenv(key string) string { return d["$"+key] }
func (desktop) ReadFile(path string) ([]byte, error) {
	return nil, &millpond.Error{Kind: millpond.NotFound, Why: "no " + path}
}

func TestConfigure(t *testing.T) {
	m := desktop{"go env GOENV": "/home/ann/.config/go/env\n", "$GOPROXY": "x"}
	at := func(s string) *url.URL { u, _ := url.Parse(s); return u }
	got, err := Format{}.Configure(t.Context(), m, format.ClientSetup{Client: "go", Base: at("https://pond.example:81/golang/"), Token: "mp_x"})
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v; want the proxy and the token", got, err)
	}
	if line := strings.Join(got[0].Run, " "); line != "go env -w GOPROXY=https://pond.example:81/golang" || got[0].File != "/home/ann/.config/go/env" || !strings.Contains(got[0].Note, "GOPROXY is set") {
		t.Errorf("%q changes %s (%s)", line, got[0].File, got[0].Note)
	}
	text, err := got[1].Edit("machine other login a password b\n")
	if want := "machine other login a password b\nmachine pond.example:81 login millpond password mp_x\n"; text != want || err != nil || got[1].File != "~/.netrc" || !got[1].Secret {
		t.Errorf("%s: %q, %v, want %q in a secret ~/.netrc", got[1].File, text, err, want)
	}
	got, err = Format{}.Configure(t.Context(), m, format.ClientSetup{Client: "go", Base: at("https://pond.example/golang/"), CA: "/ca.pem"})
	if err != nil || len(got) != 1 || !got[0].Trusts || !strings.Contains(got[0].Note, "GOPROXY is set") || !strings.Contains(got[0].Note, "SSL_CERT_FILE=/ca.pem") {
		t.Errorf("with an authority: %+v, %v, want both notes", got, err)
	}
	if _, err := (Format{}).Configure(t.Context(), m, format.ClientSetup{Client: "go", Base: at("http://pond.example/golang/"), Token: "mp_x"}); !millpond.Is(err, millpond.Unsupported) {
		t.Errorf("a token over plain http: %v, want Unsupported", err)
	}
	if _, err := (Format{}).Configure(t.Context(), desktop{"go env GOENV": "off\n"}, format.ClientSetup{Client: "go", Base: at("https://pond.example/golang/")}); !millpond.Is(err, millpond.Unsupported) {
		t.Errorf("GOENV off: %v, want Unsupported", err)
	}
}

var _ format.Configurer = Format{}
