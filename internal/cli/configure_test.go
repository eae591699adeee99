package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigCheckRefusesWhatAStartWould: what package config cannot see for itself, the pond's own parts are asked about.
func TestConfigCheckRefusesWhatAStartWould(t *testing.T) {
	quiet(t)
	for name, c := range map[string]struct{ text, want string }{
		"redirected without the credential": {`repositories: {a: {format: npm, upstreams: ["https://u:p@upstream.example/"], fill: redirect}}`, "wants a credential"},
		"a subject that nobody can be":      {`repositories: {a: {format: npm, publish: [pond]}}`, "pond"},
		"the pond's own address, otherwise": {"listen: 127.0.0.1:8080\nrepositories: {a: {format: pear, listen: 'localhost:8080'}}", "the pond itself listens on"},
		"all addresses, and one of them":    {"listen: ':8080'\nread: [anonymous]\nrepositories: {a: {format: pear, listen: '127.0.0.1:8080'}}", "the pond itself listens on"},
		"a provider twice":                  {"public_url: https://pond.example/\nauth: {oidc: [{issuer: https://login.example, client_id: a}, {issuer: https://login.example, client_id: b}]}", "stands here twice"},
		"a public_url with escapes":         {"public_url: https://pond.example/a%20b/\n", "bad.yaml:1: public_url: its path has characters"},
		"a head that goes nowhere":          {"heads:\n- file:///heads\n- syslog://nowhere\n- url: gopher://a.example\n", "bad.yaml:3: heads[1].url: it is \"syslog:\""},
		"and another one":                   {"heads:\n- file:///heads\n- syslog://nowhere\n- url: gopher://a.example\n", "bad.yaml:4: heads[2].url: it is file:///path"},
		"a certificate that is none":        {"offline: true\ntls:\n  key: bad.yaml\n  cert: bad.yaml\n", "bad.yaml:4: tls.cert: read the certificate"},
		"nothing wrong":                     {"repositories: {a: {format: npm, upstreams: ['https://upstream.example/'], fill: redirect}}", ""},
		"another port":                      {"listen: 127.0.0.1:8080\nrepositories: {a: {format: pear, listen: 'localhost:8081'}}", ""},
		"any port, twice":                   {"listen: 127.0.0.1:0\nrepositories: {a: {format: pear, listen: '127.0.0.1:0'}}", ""},
	} {
		file := filepath.Join(t.TempDir(), "bad.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		errs, want := newScreen(), ExitOK
		if c.want != "" {
			want = ExitUsage
		}
		if code := Main(t.Context(), Process{Args: []string{"config", "check", file}, Out: io.Discard, Err: errs}); code != want || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: %d, %q; want %d, and %q", name, code, errs, want, c.want)
		}
	}
}
