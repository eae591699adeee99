package format

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A logKey is the public key of a transparency log, and the id that its entries name it by.
type logKey struct {
	key *ecdsa.PublicKey
	id  [sha256.Size]byte
}

func newLogKey(der []byte) (logKey, error) {
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return logKey{}, err
	}
	key, ok := k.(*ecdsa.PublicKey)
	if !ok {
		return logKey{}, errors.New("the key of a log is no ECDSA key")
	}
	return logKey{key, sha256.Sum256(der)}, nil
}

// A whole number in JSON, or in quotes, as protocol buffers write long ones.
type quotedInt int64

func (n *quotedInt) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	*n = quotedInt(v)
	return err
}

// A logEntry is what a transparency log says of a signature.
type logEntry struct {
	Index quotedInt `json:"logIndex"`
	LogID struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
	Time    quotedInt `json:"integratedTime"`
	Promise struct {
		Signed []byte `json:"signedEntryTimestamp"`
	} `json:"inclusionPromise"`
	Body []byte `json:"canonicalizedBody"`
}

// logged is when a trusted log saw the signature.
func (t *Trust) logged(s *Signed) (time.Time, error) {
	last := errNotLogged
	for _, text := range s.Entries {
		var e logEntry
		if err := json.Unmarshal(text, &e); err != nil {
			last = fmt.Errorf("its entry of a log cannot be read: %w", err)
			continue
		}
		for _, k := range t.logs {
			if !bytes.Equal(k.id[:], e.LogID.KeyID) {
				continue
			}
			if err := e.check(k, s); err != nil {
				last = err
				continue
			}
			return time.Unix(int64(e.Time), 0), nil
		}
	}
	return time.Time{}, last
}

// check says what is wrong with an entry: that the log did not sign it, or that it is of another signature.
func (e *logEntry) check(k logKey, s *Signed) error {
	signed, err := json.Marshal(map[string]any{ // sorted by name, without spaces: canonical
		"body": base64.StdEncoding.EncodeToString(e.Body), "integratedTime": int64(e.Time), "logID": hex.EncodeToString(k.id[:]), "logIndex": int64(e.Index),
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(signed)
	if !ecdsa.VerifyASN1(k.key, sum[:], e.Promise.Signed) {
		return errors.New("the log's signature of its entry does not fit")
	}
	if !e.about(s) {
		return errors.New("its entry of a log is of another signature")
	}
	return nil
}

// about reports whether the entry is of this payload, this signature and this certificate.
func (e *logEntry) about(s *Signed) bool {
	type hash struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"value"`
	}
	var body struct {
		Kind string `json:"kind"`
		Spec struct {
			PayloadHash hash `json:"payloadHash"` // of a dsse
			Signatures  []struct {
				Signature string `json:"signature"`
				Verifier  []byte `json:"verifier"`
			} `json:"signatures"`
			Content struct { // of an intoto
				PayloadHash hash `json:"payloadHash"`
				Envelope    struct {
					Signatures []struct {
						Sig       []byte `json:"sig"`
						PublicKey []byte `json:"publicKey"`
					} `json:"signatures"`
				} `json:"envelope"`
			} `json:"content"`
		} `json:"spec"`
	}
	if json.Unmarshal(e.Body, &body) != nil {
		return false
	}
	sum := sha256.Sum256(s.Payload)
	of := hash{"sha256", hex.EncodeToString(sum[:])}
	same := func(sig string, certificate []byte) bool {
		b, err := base64.StdEncoding.DecodeString(sig)
		block, _ := pem.Decode(certificate)
		return err == nil && bytes.Equal(b, s.Signature) && block != nil && bytes.Equal(block.Bytes, s.Certificate)
	}
	switch body.Kind {
	case "dsse":
		return body.Spec.PayloadHash == of && len(body.Spec.Signatures) == 1 && same(body.Spec.Signatures[0].Signature, body.Spec.Signatures[0].Verifier)
	case "intoto":
		c := body.Spec.Content
		return c.PayloadHash == of && len(c.Envelope.Signatures) == 1 && same(string(c.Envelope.Signatures[0].Sig), c.Envelope.Signatures[0].PublicKey)
	}
	return false
}
