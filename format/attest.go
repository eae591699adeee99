package format

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"millpond"
)

// A Trust is what attestations are verified by: authorities that certify who signed, and logs that say when.
type Trust struct {
	roots, between *x509.CertPool
	logs           []logKey
}

// RootsHelp explains the option that ReadTrust reads, in every format that has it.
const RootsHelp = "certificates of authorities, and public keys of transparency logs, that attestations are verified by when they are published: PEM, or names of files; nothing keeps them unverified"

// ReadTrust reads certificates of authorities and public keys of transparency logs, all PEM: an option's value, or the names of
// files that hold them. It is nil, which verifies nothing, if the option is empty, and Unready if it cannot be read: nobody
// must take for verified what was not.
func ReadTrust(option string) (*Trust, error) {
	if strings.TrimSpace(option) == "" {
		return nil, nil
	}
	text := []byte(option)
	if !strings.Contains(option, "-----BEGIN ") {
		text = nil
		for _, name := range strings.Fields(option) {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, &millpond.Error{Kind: millpond.Unready, Why: "the roots of attestations cannot be read", Err: err}
			}
			text = append(append(text, b...), '\n')
		}
	}
	t := &Trust{roots: x509.NewCertPool(), between: x509.NewCertPool()}
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if err := t.add(block); err != nil {
			return nil, &millpond.Error{Kind: millpond.Unready, Why: "the roots of attestations cannot be read", Err: err}
		}
		found = found || block.Type == "CERTIFICATE"
	}
	if !found {
		return nil, &millpond.Error{Kind: millpond.Unready, Why: "the roots of attestations hold no certificate of an authority"}
	}
	return t, nil
}

func (t *Trust) add(block *pem.Block) error {
	switch block.Type {
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		if bytes.Equal(c.RawSubject, c.RawIssuer) {
			t.roots.AddCert(c)
		} else {
			t.between.AddCert(c)
		}
		return nil
	case "PUBLIC KEY":
		k, err := newLogKey(block.Bytes)
		t.logs = append(t.logs, k)
		return err
	}
	return fmt.Errorf("a %s is neither a certificate nor a public key", block.Type)
}

// Word says in the event of a publish what became of the attestations that came along.
func (t *Trust) Word() string {
	if t == nil {
		return "not verified"
	}
	return "verified"
}

// A Signed is an attestation that is to be verified: a DSSE envelope, and what proves who signed it and when.
type Signed struct {
	Type               string // of the payload
	Payload, Signature []byte
	Certificate        []byte   // DER
	Between            [][]byte // certificates between it and a root, as it came with them
	Entries            []json.RawMessage
}

// Verify verifies that the payload was signed by the holder of the certificate, that an authority certified it, that the
// time of that was, by a log's word, while the certificate was good, and, if claims are given, that it is the certificate of
// the CI job that has them. Without a log among the roots the certificate's own beginning is taken for the time. The error is
// Invalid, in words.
func (t *Trust) Verify(s *Signed, claims []byte) error {
	if err := t.verify(s, claims); err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "an attestation is not good: " + err.Error(), Hint: "sign it anew in the job that publishes it"}
	}
	return nil
}

func (t *Trust) verify(s *Signed, claims []byte) error {
	leaf, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return fmt.Errorf("its certificate cannot be read: %w", err)
	}
	if err := checkSignature(leaf, preAuth(s.Type, s.Payload), s.Signature); err != nil {
		return fmt.Errorf("its signature does not fit: %w", err)
	}
	at := leaf.NotBefore
	if len(t.logs) > 0 {
		if at, err = t.logged(s); err != nil {
			return err
		}
		if at.Before(leaf.NotBefore) || at.After(leaf.NotAfter) {
			return fmt.Errorf("it was signed at %s, and its certificate was good from %s to %s", at.UTC().Format(time.RFC3339),
				leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	between := t.between.Clone()
	for _, der := range s.Between {
		if c, err := x509.ParseCertificate(der); err == nil { // what cannot be read proves nothing
			between.AddCert(c)
		}
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: t.roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
	if err != nil {
		return fmt.Errorf("its certificate is of no authority that is trusted here: %w", err)
	}
	if claims == nil {
		return nil
	}
	return sameJob(leaf, claims)
}

// preAuth is what is signed of a DSSE envelope.
func preAuth(kind string, payload []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(kind), kind, len(payload)), payload...)
}

func checkSignature(c *x509.Certificate, text, sig []byte) error {
	algorithm := x509.UnknownSignatureAlgorithm
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			algorithm = x509.ECDSAWithSHA256
		case elliptic.P384():
			algorithm = x509.ECDSAWithSHA384
		case elliptic.P521():
			algorithm = x509.ECDSAWithSHA512
		}
	case ed25519.PublicKey:
		algorithm = x509.PureEd25519
	case *rsa.PublicKey:
		algorithm = x509.SHA256WithRSA
	}
	return c.CheckSignature(algorithm, text, sig)
}

// What a certificate says of the job that it was given to, by the last numbers of its extensions' names, and which claims of
// the job's identity token say the same.
var certified = []struct { // never changed
	last   int
	claims []string
}{
	{8, []string{"iss"}},
	{15, []string{"repository_id", "project_id"}},
	{17, []string{"repository_owner_id", "namespace_id"}},
	{13, []string{"sha"}},
}

// sameJob compares a certificate with the claims of an identity token. Issuer and ids must be equal; where a token has no ids,
// its subject must be the certificate's.
func sameJob(leaf *x509.Certificate, claims []byte) error {
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(claims))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return fmt.Errorf("the claims of the job cannot be read: %w", err)
	}
	said := func(name string) string {
		if v, ok := all[name]; ok {
			return fmt.Sprint(v)
		}
		return ""
	}
	ids := false
	for _, one := range certified {
		has := extension(leaf, one.last)
		for _, name := range one.claims {
			want := said(name)
			if want == "" {
				continue
			}
			if has != want {
				return fmt.Errorf("its certificate says %q where the job that publishes says %s %q", has, name, want)
			}
			ids = ids || one.last == 15
		}
	}
	if ids {
		return nil
	}
	var names []string
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	names = append(names, leaf.EmailAddresses...)
	if sub := said("sub"); sub != "" && slices.Contains(names, sub) || said("email") != "" && slices.Contains(leaf.EmailAddresses, said("email")) {
		return nil
	}
	return fmt.Errorf("its certificate is of %q, and the job that publishes is %q", names, said("sub"))
}

// extension is a text that a certificate says of the job; "" if it does not.
func extension(c *x509.Certificate, last int) string {
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, last}) {
			var s string
			if rest, err := asn1.Unmarshal(e.Value, &s); err == nil && len(rest) == 0 {
				return s
			}
		}
	}
	return ""
}

var errNotLogged = errors.New("no log that is trusted here has signed when it was made") // never changed
