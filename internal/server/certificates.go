package server

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// Certificates are what a listener shows to its clients. They can be replaced while it listens.
type Certificates struct {
	now atomic.Pointer[tls.Certificate]
}

// ReadCertificate reads a certificate, with what it needs of a chain, and its key; both are PEM files.
func ReadCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s and its key %s: %w", certFile, keyFile, err)
	}
	return &cert, nil
}

// Use shows a certificate to everyone who connects from now on.
func (c *Certificates) Use(cert *tls.Certificate) { c.now.Store(cert) }

// Config is for a listener. Use must have been called.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
	}
}
