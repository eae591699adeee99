package formattest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strconv"
	"testing"
	"time"

	"millpond/format"
)

// An Attester signs attestations as a CI job does that an authority certifies and a log sees. The zero fields are good;
// change them to sign badly.
type Attester struct {
	t         testing.TB
	authority *x509.Certificate
	key       *ecdsa.PrivateKey // of the authority
	log       *ecdsa.PrivateKey

	Issuer, Repository, Owner string // of the job, in its certificate
	Subject                   string // its URI there
	Late                      time.Duration
	Other                     bool // the log saw another payload
}

// NewAttester makes an authority and a log.
func NewAttester(t testing.TB) *Attester {
	t.Helper()
	a := &Attester{t: t, key: newKey(t), log: newKey(t), Issuer: "https://ci.example", Repository: "17", Owner: "4", Subject: "https://ci.example/acme/app"}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: Epoch().AddDate(-1, 0, 0),
		NotAfter: Epoch().AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.authority = a.certify(tpl, tpl, a.key)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *Attester) certify(tpl, by *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tpl, by, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// Roots are what format.ReadTrust reads: the authority, and the log if it is asked for.
func (a *Attester) Roots(withLog bool) string {
	a.t.Helper()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.authority.Raw}))
	if !withLog {
		return text
	}
	return text + string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: a.logKey()}))
}

func (a *Attester) logKey() []byte {
	a.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&a.log.PublicKey)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// Sign signs a payload with a key that is good for ten minutes, as a dsse entry of the log or, of an older kind, an intoto.
func (a *Attester) Sign(kind string, payload []byte) *format.Signed {
	a.t.Helper()
	key := newKey(a.t)
	uri, err := url.Parse(a.Subject)
	if err != nil {
		a.t.Fatal(err)
	}
	at := Epoch()
	tpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: at, NotAfter: at.Add(10 * time.Minute), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, URIs: []*url.URL{uri}}
	for last, text := range map[int]string{8: a.Issuer, 15: a.Repository, 17: a.Owner} {
		value, err := asn1.MarshalWithParams(text, "utf8")
		if err != nil {
			a.t.Fatal(err)
		}
		tpl.ExtraExtensions = append(tpl.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, last}, Value: value})
	}
	s := &format.Signed{Type: "application/vnd.in-toto+json", Payload: payload, Certificate: a.certify(tpl, a.authority, key).Raw}
	s.Signature = sign(a.t, key, append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(s.Type), s.Type, len(payload)), payload...))
	s.Entries = []json.RawMessage{a.entry(kind, s, at.Add(time.Minute+a.Late))}
	return s
}

func sign(t testing.TB, key *ecdsa.PrivateKey, text []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(text)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func (a *Attester) entry(kind string, s *format.Signed, at time.Time) json.RawMessage {
	sum := sha256.Sum256(s.Payload)
	if a.Other {
		sum = sha256.Sum256([]byte("another payload"))
	}
	hash := map[string]string{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate})
	sig := base64.StdEncoding.EncodeToString(s.Signature)
	spec := map[string]any{"payloadHash": hash, "signatures": []any{map[string]any{"signature": sig, "verifier": certificate}}}
	if kind == "intoto" {
		spec = map[string]any{"content": map[string]any{"payloadHash": hash,
			"envelope": map[string]any{"signatures": []any{map[string]any{"sig": []byte(sig), "publicKey": certificate}}}}}
	}
	body := a.json(map[string]any{"apiVersion": "0.0.1", "kind": kind, "spec": spec})
	id := sha256.Sum256(a.logKey())
	signed := a.json(map[string]any{"body": body, "integratedTime": at.Unix(), "logID": hex.EncodeToString(id[:]), "logIndex": 12})
	return a.json(map[string]any{"logIndex": "12", "logId": map[string]any{"keyId": id[:]}, "integratedTime": strconv.FormatInt(at.Unix(), 10),
		"inclusionPromise": map[string]any{"signedEntryTimestamp": sign(a.t, a.log, signed)}, "canonicalizedBody": body})
}

func (a *Attester) json(v any) []byte {
	a.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}
