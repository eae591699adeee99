package pypi

import (
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"millpond"
	"millpond/format"
)

// optRoots is the option that says what attestations are verified by.
const optRoots = "attestation_roots"

// What an attestation may state (PEP 740).
const (
	predicateSLSA    = "https://slsa.dev/provenance/v1"
	predicatePublish = "/attestations/publish/v1" // how it ends: the index that vouches stands before it
	statementType    = "https://in-toto.io/Statement/v1"
	payloadType      = "application/vnd.in-toto+json"
)

// provenanceOf checks the attestations that came with a file, and returns the provenance document that is kept beside it.
// What is stated must be about this very file; signatures are verified by what is trusted, none if that is nil. The parser
// refuses names that stand twice, of which two readers could take either.
func provenanceOf(text, file string, sum millpond.Digest, claims []byte, trust *format.Trust) ([]byte, error) {
	var all []jsontext.Value
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, invalid("attestations: they are no JSON array: %v", err)
	}
	if len(all) == 0 {
		return nil, invalid("attestations: the list is empty; leave it out if there are none")
	}
	stated := map[string]bool{}
	for _, one := range all {
		predicate, err := checkAttestation(one, file, sum, trust, claims)
		if err != nil {
			return nil, err
		}
		if stated[predicate] {
			return nil, invalid("attestations: two of them state %s", predicate)
		}
		stated[predicate] = true
	}
	publisher, err := publisherOf(claims)
	if err != nil {
		return nil, err
	}
	b := append(append([]byte(`{"version":1,"attestation_bundles":[{"publisher":`), publisher...), `,"attestations":[`...)
	for i, one := range all {
		if i > 0 {
			b = append(b, ',')
		}
		if err := one.Compact(); err != nil {
			return nil, invalid("attestations: %v", err)
		}
		b = append(b, one...)
	}
	return append(b, "]}]}\n"...), nil
}

// toldClaims are the claims of a CI job that everybody may know: others may name people.
var toldClaims = [...]string{ // never changed
	"iss", "sub", "repository", "ref", "sha", "workflow_ref", "environment", "project_path", "ci_config_ref_uri",
}

// publisherOf is who published, as a provenance document says it, of the claims of the CI job; nil claims are no job's. The
// two kinds of issuer that verifiers know are told by the claims that they alone have.
func publisherOf(claims []byte) ([]byte, error) {
	all := map[string]any{}
	if claims != nil {
		if err := json.Unmarshal(claims, &all); err != nil {
			return nil, err
		}
	}
	told := map[string]any{}
	text := func(name string) string { s, _ := all[name].(string); return s }
	for _, name := range toldClaims {
		if v := text(name); v != "" {
			told[name] = v
		}
	}
	out := map[string]any{"kind": "millpond", "claims": told}
	inside := func(ref, top string) string { // the path of a file in its repository
		path, _, _ := strings.Cut(ref, "@")
		return strings.TrimPrefix(strings.TrimPrefix(path, top), "/")
	}
	switch {
	case text("workflow_ref") != "" && text("repository") != "":
		out["kind"], out["repository"] = "GitHub", text("repository")
		out["workflow"] = strings.TrimPrefix(inside(text("workflow_ref"), text("repository")), ".github/workflows/")
	case text("ci_config_ref_uri") != "" && text("project_path") != "":
		out["kind"], out["repository"] = "GitLab", text("project_path")
		_, path, _ := strings.Cut(text("ci_config_ref_uri"), "//")
		out["workflow_filepath"] = inside(path, "")
	}
	if out["kind"] != "millpond" && text("environment") != "" {
		out["environment"] = text("environment")
	}
	return json.Marshal(out, json.Deterministic(true))
}

// checkAttestation returns what the attestation states, if it states it of this file.
func checkAttestation(text []byte, file string, sum millpond.Digest, trust *format.Trust, claims []byte) (string, error) {
	var a struct {
		Version  int `json:"version"`
		Material struct {
			Certificate  string           `json:"certificate"`
			Transparency []jsontext.Value `json:"transparency_entries"`
		} `json:"verification_material"`
		Envelope struct {
			Statement string `json:"statement"`
			Signature string `json:"signature"`
		} `json:"envelope"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return "", invalid("attestations: one cannot be read: %v", err)
	}
	if a.Version != 1 {
		return "", invalid("attestations: one is of version %d; 1 is expected", a.Version)
	}
	signed := format.Signed{Type: payloadType}
	for _, one := range []struct {
		what, value string
		into        *[]byte
	}{{"certificate", a.Material.Certificate, &signed.Certificate}, {"signature", a.Envelope.Signature, &signed.Signature}} {
		b, err := base64.StdEncoding.DecodeString(one.value)
		if err != nil || len(b) == 0 {
			return "", invalid("attestations: one has no %s", one.what)
		}
		*one.into = b
	}
	if len(a.Material.Transparency) == 0 {
		return "", invalid("attestations: one has no transparency entry")
	}
	raw, err := base64.StdEncoding.DecodeString(a.Envelope.Statement)
	if err != nil {
		return "", invalid("attestations: the statement of one is not base64: %v", err)
	}
	var s struct {
		Type    string `json:"_type"`
		Subject []struct {
			Name   string            `json:"name"`
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		Predicate string `json:"predicateType"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", invalid("attestations: the statement of one cannot be read: %v", err)
	}
	switch {
	case s.Type != statementType:
		return "", invalid("attestations: a statement is of type %.100q; %q is expected", s.Type, statementType)
	case s.Predicate != predicateSLSA && !strings.HasSuffix(s.Predicate, predicatePublish):
		return "", invalid("attestations: one states %.200q, which is not known here", s.Predicate)
	case len(s.Subject) != 1:
		return "", invalid("attestations: one is about %d files; one is expected", len(s.Subject))
	}
	subject := s.Subject[0]
	if !sameFileName(subject.Name, file) {
		return "", invalid("attestations: one is about %.200q; %s came", subject.Name, file)
	}
	if got := strings.ToLower(subject.Digest["sha256"]); got != sum.Hex() {
		return "", invalid("attestations: one is about a file with sha256 %.80q; the one that came has %s", got, sum.Hex())
	}
	if trust == nil {
		return s.Predicate, nil
	}
	signed.Payload = raw
	for _, e := range a.Material.Transparency {
		signed.Entries = append(signed.Entries, []byte(e))
	}
	return s.Predicate, trust.Verify(&signed, claims)
}

// sameFileName compares two file names by what they say: project, version and tags in any spelling.
func sameFileName(a, b string) bool {
	if a == b {
		return true
	}
	stemA, endA := splitEnd(a)
	stemB, endB := splitEnd(b)
	if !strings.EqualFold(endA, endB) {
		return false
	}
	partsA, partsB := strings.Split(stemA, "-"), strings.Split(stemB, "-")
	if endA != ".whl" {
		ownersA, ownersB := owners(a), owners(b)
		if len(ownersA) == 0 || len(ownersB) == 0 || ownersA[0] != ownersB[0] {
			return false
		}
		readA, _ := readName(a, ownersA[0])
		readB, _ := readName(b, ownersB[0])
		return compareVersions(readA.Version, readB.Version) == 0
	}
	if len(partsA) != len(partsB) || len(partsA) < 5 {
		return false
	}
	for i := range partsA {
		switch i {
		case 0:
			canonA, okA := canonName(partsA[0])
			canonB, okB := canonName(partsB[0])
			if !okA || !okB || canonA != canonB {
				return false
			}
		case 1:
			if compareVersions(normalVersion(partsA[1]), normalVersion(partsB[1])) != 0 {
				return false
			}
		default:
			if !sameTags(partsA[i], partsB[i]) {
				return false
			}
		}
	}
	return true
}

// sameTags compares sets of tags joined by dots.
func sameTags(a, b string) bool {
	set := func(s string) map[string]bool {
		tags := map[string]bool{}
		for tag := range strings.SplitSeq(strings.ToLower(s), ".") {
			tags[tag] = true
		}
		return tags
	}
	x, y := set(a), set(b)
	if len(x) != len(y) {
		return false
	}
	for tag := range x {
		if !y[tag] {
			return false
		}
	}
	return true
}
