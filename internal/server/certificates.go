package server

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// Certificates are a certificate and its key in files, read again on Reload.
type Certificates struct {
	certFile, keyFile string
	now               atomic.Pointer[tls.Certificate]
}

// OpenCertificates reads the files, both PEM.
func OpenCertificates(certFile, keyFile string) (*Certificates, error) {
	c := &Certificates{certFile: certFile, keyFile: keyFile}
	return c, c.Reload()
}

// Reload reads the files again. If they cannot be used, what was read before stays.
func (c *Certificates) Reload() error {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read the certificate %s and its key %s: %w", c.certFile, c.keyFile, err)
	}
	c.now.Store(&cert)
	return nil
}

// Config is for a listener; connections made after a Reload get what it read.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
	}
}
