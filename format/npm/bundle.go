package npm

import (
	"encoding/base64"
	"encoding/json"

	"millpond/format"
)

// optRoots is the option that says what attestations are verified by.
const optRoots = "attestation_roots"

// A sigstoreBundle is what npm attaches to a publish with provenance.
type sigstoreBundle struct {
	Material struct {
		Certificate struct {
			Raw []byte `json:"rawBytes"`
		} `json:"certificate"`
		Chain struct {
			Certificates []struct {
				Raw []byte `json:"rawBytes"`
			} `json:"certificates"`
		} `json:"x509CertificateChain"`
		Entries []json.RawMessage `json:"tlogEntries"`
	} `json:"verificationMaterial"`
	Envelope struct {
		Payload    string `json:"payload"`
		Type       string `json:"payloadType"`
		Signatures []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
}

// attest checks that the attestations, if there are any, are about the tarball, and verifies them by what is trusted.
func (pub *publication) attest(repo format.Repo) error {
	if pub.bundle == nil {
		return nil
	}
	var b sigstoreBundle
	if err := json.Unmarshal(pub.bundle, &b); err != nil {
		return refused("the .sigstore is no JSON that could be read: %v", err)
	}
	payload, err := base64.StdEncoding.DecodeString(b.Envelope.Payload)
	if err != nil {
		return refused("the .sigstore has a payload that is not base64")
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(payload, &statement); err != nil {
		return refused("the .sigstore has no statement in it")
	}
	about := false
	for _, subject := range statement.Subject {
		about = about || subject.Digest["sha512"] == pub.digests[0].Hex()
	}
	if !about {
		return refused("the .sigstore is not about the tarball that it comes with")
	}
	pub.kind = statement.PredicateType
	trust, err := format.ReadTrust(repo.Option(optRoots))
	if pub.verified = trust.Word(); trust == nil || err != nil {
		return err
	}
	s := format.Signed{Type: b.Envelope.Type, Payload: payload, Certificate: b.Material.Certificate.Raw, Entries: b.Material.Entries}
	for i, c := range b.Material.Chain.Certificates {
		if i == 0 && s.Certificate == nil {
			s.Certificate = c.Raw
		} else {
			s.Between = append(s.Between, c.Raw)
		}
	}
	if len(b.Envelope.Signatures) != 1 {
		return refused("the .sigstore has %d signatures; one is expected", len(b.Envelope.Signatures))
	}
	s.Signature = b.Envelope.Signatures[0].Sig
	return trust.Verify(&s, repo.Who().Claims)
}
