package pypi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"millpond"
	"millpond/format/formattest"
	"millpond/repo"
)

// signedAttestation is an attestation of a file that the job of a signs.
func signedAttestation(t *testing.T, a *formattest.Attester, file, sum string) string {
	t.Helper()
	s := a.Sign("dsse", fmt.Appendf(nil, `{"_type":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicateType":%q}`, statementType, file, sum, predicateSLSA))
	text, err := json.Marshal(map[string]any{"version": 1,
		"verification_material": map[string]any{"certificate": s.Certificate, "transparency_entries": s.Entries},
		"envelope":              map[string]any{"statement": s.Payload, "signature": s.Signature}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAttestationsAreVerified: where a root is configured, what is not signed under it, by the job that publishes, refuses the
// upload whole.
func TestAttestationsAreVerified(t *testing.T) {
	file, body := aWheel("alpha", "1.0", "x")
	sum := millpond.SHA256(body).Hex()
	for _, c := range []struct {
		name   string
		spoil  func(a *formattest.Attester, text string) string
		roots  string // "" is the authority's and the log's
		status int
		says   string
	}{
		{name: "good", status: 200},
		{name: "not signed", spoil: func(*formattest.Attester, string) string { return attestation(file, sum, predicateSLSA) }, status: 400, says: "cannot be read"},
		{name: "signed under another root", spoil: func(*formattest.Attester, string) string {
			return signedAttestation(t, formattest.NewAttester(t), file, sum)
		}, status: 400, says: "not good"},
		{name: "another signature", spoil: func(_ *formattest.Attester, text string) string {
			_, sig, _ := strings.Cut(text, `"signature":"`)
			sig, _, _ = strings.Cut(sig, `"`)
			return strings.Replace(text, sig, base64.StdEncoding.EncodeToString([]byte("other")), 1)
		}, status: 400, says: "signature does not fit"},
		{name: "roots that are not there", roots: "/nowhere/roots.pem", status: 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := formattest.NewAttester(t)
			text := signedAttestation(t, a, file, sum)
			if c.spoil != nil {
				text = c.spoil(a, text)
			}
			if c.roots == "" {
				c.roots = a.Roots(true)
			}
			s := newShelf(t, func(config *repo.Config) { config.Options = map[string]string{optRoots: c.roots} })
			want(t, c.name, publish(t, s.serve(), file, "alpha", "1.0", body, "attestations", "["+text+"]"), c.status, c.says)
			if c.status != 200 {
				s.wantNothing()
				return
			}
			if log := s.Log(); len(log) != 1 || !strings.Contains(string(log[0].Detail), `"attestations":"verified"`) {
				t.Errorf("the log says %+v, want that the attestations were verified", log)
			}
		})
	}
}
