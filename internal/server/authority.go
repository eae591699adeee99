package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Authority is a pond's own certificate authority, for teams without one: its certificate is what clients are told to
// trust, and it signs for the pond's own names only. Whoever steals its key cannot use it to stand in for anything else:
// its certificate says which names it may sign for, and clients hold it to that.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
	now  func() time.Time

	mu    sync.Mutex // guards hosts and leaf; held while a new one is signed (a fraction of a millisecond)
	hosts []string   // that leaves are for
	leaf  *tls.Certificate
}

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
)

// OpenAuthority reads the authority kept in dir, or makes one and keeps it there, readable by its owner only. Leaves are for
// the hosts, names or addresses, and for loopback. now is the clock; nil is time.Now.
//
// An authority cannot learn names: if it may not sign for one of must it is an error, and the words say what to do. Those of
// wish that it may not sign for are left out.
func OpenAuthority(dir string, must, wish []string, now func() time.Time) (*Authority, error) {
	if now == nil {
		now = time.Now
	}
	a := &Authority{now: now}
	must = append([]string{"localhost", "127.0.0.1", "::1"}, must...)
	err := a.read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = a.create(dir, append(slices.Clone(must), wish...))
	}
	if err != nil {
		return nil, err
	}
	if a.cert.NotAfter.Before(now().Add(leafLife)) {
		return nil, fmt.Errorf("the authority in %s ends on %s: remove the folder, start again, and let clients trust the new one",
			dir, a.cert.NotAfter.Format(time.DateOnly))
	}
	if err := a.SignFor(must...); err != nil {
		return nil, fmt.Errorf("the authority in %s: %w", dir, err)
	}
	for _, host := range wish {
		if a.permits(host) {
			if err := a.SignFor(host); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// SignFor makes the leaves from now on be for these hosts too, or says for which the authority may not sign; then nothing has
// changed.
func (a *Authority) SignFor(hosts ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Clone(a.hosts)
	for _, host := range hosts {
		switch {
		case host == "" || slices.Contains(all, host):
		case a.permits(host):
			all = append(all, host)
		default:
			return fmt.Errorf("it may not sign for %s: remove its folder, start again, and let clients trust the new one", host)
		}
	}
	if len(all) > len(a.hosts) {
		a.hosts, a.leaf = all, nil
	}
	return nil
}

// PEM is the authority's certificate, for clients to trust.
func (a *Authority) PEM() []byte { return a.pem }

// Config is for a listener. The certificate it answers with is renewed in time.
func (a *Authority) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.certificate() }}
}

// certificate is the leaf, made anew when two thirds of its life are over.
func (a *Authority) certificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.leaf != nil && a.now().Before(a.leaf.Leaf.NotAfter.Add(-leafLife/3)) {
		return a.leaf, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "millpond"},
		NotBefore:    a.now().Add(-time.Hour),
		NotAfter:     a.now().Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range a.hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	a.leaf = &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}
	return a.leaf, nil
}

// permits reports whether the authority's certificate lets it sign for a host.
func (a *Authority) permits(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return slices.ContainsFunc(a.cert.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(ip) })
	}
	return slices.ContainsFunc(a.cert.PermittedDNSDomains, func(d string) bool {
		return strings.EqualFold(host, d) || len(host) > len(d) && strings.EqualFold(host[len(host)-len(d)-1:], "."+d)
	})
}

func (a *Authority) read(dir string) error {
	certPEM, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return fmt.Errorf("read the pond's authority: %w", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		return fmt.Errorf("read the pond's authority: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("read the pond's authority in %s: %w", dir, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("read the pond's authority in %s: its key is none that millpond made", dir)
	}
	a.cert, a.key, a.pem = pair.Leaf, key, certPEM
	return nil
}

func (a *Authority) create(dir string, hosts []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	name, _ := os.Hostname() // only for people to tell two ponds apart
	t := &x509.Certificate{
		SerialNumber:                serial,
		Subject:                     pkix.Name{CommonName: strings.TrimSpace("millpond authority " + name)},
		NotBefore:                   a.now().Add(-time.Hour),
		NotAfter:                    a.now().Add(authorityLife),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	for _, host := range hosts {
		if addr, err := netip.ParseAddr(host); err == nil {
			if addr = addr.Unmap(); !addr.IsLoopback() && !addr.IsUnspecified() {
				t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())})
			}
		} else if host != "" && !slices.Contains(t.PermittedDNSDomains, host) {
			t.PermittedDNSDomains = append(t.PermittedDNSDomains, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make the pond's authority: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make the pond's authority: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep the pond's authority: %w", err)
	}
	// The key first: a certificate without its key would be given to clients and then made anew.
	for _, file := range []struct {
		name, kind string
		der        []byte
	}{{"ca.key", "PRIVATE KEY", secret}, {"ca.pem", "CERTIFICATE", der}} {
		body := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der})
		if err := writeSecret(filepath.Join(dir, file.name), body); err != nil {
			return fmt.Errorf("keep the pond's authority: %w", err)
		}
	}
	return a.read(dir)
}

// writeSecret replaces a file whole, readable by its owner only.
func writeSecret(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
}
