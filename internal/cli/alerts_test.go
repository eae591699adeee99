package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// TestAlertsAndDashboard: what they print can be read by those for whom it is, and every figure that they name is one that a pond
// gives.
func TestAlertsAndDashboard(t *testing.T) {
	quiet(t)
	p := planFor(t, upstream(t, wheel(t)).URL+"/simple/")
	p.tls.local, p.listen = true, freePort(t)
	p.pond.PublicURL = "https://" + p.listen + "/"
	p.public = &url.URL{Scheme: "https", Host: p.listen, Path: "/"}
	u := run(t, p)
	ca := filepath.Join(p.data, "tls", "ca.pem")
	if code, _, errs := command("backup", filepath.Join(t.TempDir(), "b"), "--data", p.data); code != 0 {
		t.Fatalf("millpond backup = %d %s", code, errs)
	}
	client := trusting(t, ca)
	get := func(path string) string { t.Helper(); return client(u.base + path) }
	get("pypi/simple/demo/")
	get("pypi/simple/demo/")
	get("-/api/tokens") // nobody may
	var given string
	for ; !strings.Contains(given, `{job="canary"}`); time.Sleep(5 * time.Millisecond) { // nothing tells
		given = get("-/metrics")
	}
	for _, want := range []string{`millpond_last_success_timestamp{job="backup"} 1`, `millpond_last_success_timestamp{job="head"} 1`, `millpond_expiry_seconds{what="certificate"}`, `millpond_expiry_seconds{what="authority"}`, "millpond_canary_ok 1"} {
		if !strings.Contains(given, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	u.stop()
	has := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(millpond_[a-z_]+)`).FindAllStringSubmatch(given, -1) {
		has[m[1]] = true
	}
	for _, which := range []string{"alerts", "dashboard"} {
		code, out, errs := command(which)
		if code != 0 {
			t.Fatalf("millpond %s = %d %s", which, code, errs)
		}
		names := regexp.MustCompile(`millpond_[a-z_]+`).FindAllString(out, -1)
		if len(names) < 10 {
			t.Errorf("millpond %s names %d figures only:\n%s", which, len(names), out)
		}
		for _, name := range names {
			if !has[name] {
				t.Errorf("millpond %s names %s, which a pond does not give", which, name)
			}
		}
	}
	for _, args := range [][]string{{"alerts"}, {"alerts", "--json"}} {
		_, out, _ := command(args...)
		var rules struct {
			Groups []struct {
				Rules []struct{ Alert, Expr, For string }
			}
		}
		if err := yaml.Unmarshal([]byte(out), &rules); err != nil || len(rules.Groups) != 1 || len(rules.Groups[0].Rules) != len(alerts) {
			t.Fatalf("the rules of %q cannot be read: %v, %+v in\n%s", args, err, rules, out)
		}
		for i, r := range rules.Groups[0].Rules {
			if r.Alert != alerts[i].name || r.Expr != alerts[i].expr || r.For == "" {
				t.Errorf("%q: rule %d is read as %+v, want %+v", args, i, r, alerts[i])
			}
		}
	}
	_, out, _ := command("dashboard")
	var board struct{ Panels []struct{ Title string } }
	if err := json.Unmarshal([]byte(out), &board); err != nil || len(board.Panels) != len(panels) {
		t.Errorf("the dashboard cannot be read: %v, %d panels in\n%s", err, len(board.Panels), out)
	}
}

// trusting reads addresses of a pond with an authority of its own.
func trusting(t *testing.T, ca string) func(address string) string {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(tr.CloseIdleConnections)
	return func(address string) string {
		t.Helper()
		resp, err := (&http.Client{Transport: tr}).Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}
