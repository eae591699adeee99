package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAnAuthorityLearnsHostsThatItMaySignFor adds a host while it runs.
func TestAnAuthorityLearnsHostsThatItMaySignFor(t *testing.T) {
	a, err := OpenAuthority(t.TempDir(), []string{"pond.example"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := func() string {
		t.Helper()
		cert, err := a.Config().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(cert.Leaf.DNSNames, " ")
	}
	before := names()
	if err := a.SignFor("other.example"); err == nil || names() != before {
		t.Errorf("a host that it may not sign for: %v, names %s; want an error and nothing changed", err, names())
	}
	if err := a.SignFor("npm.pond.example"); err != nil || !strings.Contains(names(), "npm.pond.example") {
		t.Errorf("a host below its own: %v, names %s; want it among them", err, names())
	}
}

// trusts reports whether a client that trusts the authority would accept the config's certificate for a name at a time.
func trusts(t *testing.T, ca []byte, c *tls.Config, name string, at time.Time) error {
	t.Helper()
	cert, err := c.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("the authority's PEM cannot be read")
	}
	_, err = cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at})
	return err
}

func TestAuthoritySignsForItsNamesOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	a, err := OpenAuthority(dir, []string{"pond.example", "192.0.2.9"}, []string{"box"}, clock)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]", "pond.example", "192.0.2.9", "box"} {
		if err := trusts(t, a.PEM(), a.Config(), name, now); err != nil {
			t.Errorf("%s: %v, want it trusted", name, err)
		}
	}
	if err := trusts(t, a.PEM(), a.Config(), "other.example", now); err == nil {
		t.Error("other.example is trusted")
	}
	if a.permits("other.example") || a.permits("192.0.2.10") || !a.permits("x.pond.example") || a.permits("evilpond.example") {
		t.Error("permits: want names below pond.example, and neither other.example, 192.0.2.10 nor evilpond.example")
	}
	key, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || key.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: %v, %v; want mode 0600", key.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); left != nil {
		t.Errorf("left over: %v", left)
	}

	again, err := OpenAuthority(dir, nil, []string{"laptop"}, clock)
	if err != nil || !bytes.Equal(again.PEM(), a.PEM()) {
		t.Errorf("opened again: %v, the same authority: %t", err, again != nil && bytes.Equal(again.PEM(), a.PEM()))
	}
	if _, err := OpenAuthority(dir, []string{"new.example"}, nil, clock); err == nil || !strings.Contains(err.Error(), "may not sign for new.example") {
		t.Errorf("a name that the authority may not sign for: %v, want the words", err)
	}
	now = now.Add(authorityLife - time.Hour)
	if _, err := OpenAuthority(dir, nil, nil, clock); err == nil || !strings.Contains(err.Error(), "ends on") {
		t.Errorf("an authority at its end: %v, want the words", err)
	}
}

func TestLeafIsRenewed(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	a, err := OpenAuthority(t.TempDir(), nil, nil, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.certificate()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(leafLife / 2)
	if same, err := a.certificate(); err != nil || same != first {
		t.Errorf("half-way through: another certificate (%v)", err)
	}
	now = now.Add(leafLife / 4)
	next, err := a.certificate()
	if err != nil || next == first || !next.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Errorf("after three quarters of its life: %v, renewed: %t", err, next != first)
	}
}

func TestCertificatesAreReplacedWhileListening(t *testing.T) {
	dir := t.TempDir()
	var read [2]*tls.Certificate
	for i, name := range []string{"a", "b"} {
		at := filepath.Join(dir, name)
		if _, err := OpenAuthority(at, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		var err error
		if read[i], err = ReadCertificate(filepath.Join(at, "ca.pem"), filepath.Join(at, "ca.key")); err != nil { // any pair will do
			t.Fatal(err)
		}
	}
	var c Certificates
	config := c.Config()
	for _, want := range read {
		c.Use(want)
		if got, err := config.GetCertificate(nil); err != nil || got != want {
			t.Errorf("after Use: %v, the certificate that was given: %t", err, got == want)
		}
	}
	if _, err := ReadCertificate(filepath.Join(dir, "a", "ca.pem"), filepath.Join(dir, "b", "ca.key")); err == nil {
		t.Error("a certificate with another's key was taken")
	}
	broken := filepath.Join(dir, "a", "ca.pem")
	if err := os.WriteFile(broken, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCertificate(broken, filepath.Join(dir, "a", "ca.key")); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("a broken file: %v, want an error that names it", err)
	}
}
