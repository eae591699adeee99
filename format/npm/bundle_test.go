package npm

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"millpond"
	"millpond/catalog"
	"millpond/format/formattest"
	"millpond/repo"
)

// bundleOf is the provenance of a tarball that the job of a signs, with its certificate by itself, or as older bundles have it
// in a chain.
func bundleOf(t *testing.T, a *formattest.Attester, j *job, chain bool) string {
	t.Helper()
	sum := sha512.Sum512(j.tgz)
	s := a.Sign("intoto", fmt.Appendf(nil, `{"predicateType":"https://slsa.dev/provenance/v1","subject":[{"digest":{"sha512":%q}}]}`, hex.EncodeToString(sum[:])))
	material := map[string]any{"tlogEntries": s.Entries}
	if raw := map[string]any{"rawBytes": s.Certificate}; chain {
		material["x509CertificateChain"] = map[string]any{"certificates": []any{raw}}
	} else {
		material["certificate"] = raw
	}
	text, err := json.Marshal(map[string]any{"verificationMaterial": material,
		"dsseEnvelope": map[string]any{"payload": s.Payload, "payloadType": s.Type, "signatures": []any{map[string]any{"sig": s.Signature}}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProvenanceIsVerified: where a root is configured, a bundle that is not signed under it refuses the publish.
func TestProvenanceIsVerified(t *testing.T) {
	a := formattest.NewAttester(t)
	for _, c := range []struct {
		name   string
		bundle func(j *job) string
		status int
		says   string
	}{
		{"good", func(j *job) string { return bundleOf(t, a, j, false) }, 201, ""},
		{"in a chain", func(j *job) string { return bundleOf(t, a, j, true) }, 201, ""},
		{"under another root", func(j *job) string { return bundleOf(t, formattest.NewAttester(t), j, false) }, 400, "not good"},
		{"without a signature", func(j *job) string { return strings.Replace(bundleOf(t, a, j, false), `"sig":"`, `"not":"`, 1) }, 400, "signature does not fit"},
		{"without signatures", func(j *job) string {
			return strings.Replace(bundleOf(t, a, j, false), `"signatures":`, `"not":`, 1)
		}, 400, "0 signatures"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPress(t, func(c *repo.Config) { c.Options = map[string]string{optRoots: a.Roots(true)} })
			j := newJob("@acme/new", "1.0.0")
			j.bundle = c.bundle(j)
			if got := p.put(c.status, "pub-token", j); !strings.Contains(got, c.says) {
				t.Errorf("got %s, want %q", got, c.says)
			}
			var log []*millpond.Event
			for e, err := range p.records.Find(t.Context(), catalog.Filter{}) {
				if err != nil {
					t.Fatal(err)
				}
				log = append(log, e)
			}
			if c.status != 201 {
				if len(log) != 0 {
					t.Errorf("refused, and the log has %+v", log)
				}
				return
			}
			if len(log) != 1 || !strings.Contains(string(log[0].Detail), `"attestations":"verified"`) {
				t.Errorf("the log says %+v, want that the attestations were verified", log)
			}
		})
	}
}
