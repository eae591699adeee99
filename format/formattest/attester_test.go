package formattest

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// TestVerifyAttestations: what is signed by the job that publishes, certified and logged, is verified; whatever of that is
// otherwise is refused in words.
func TestVerifyAttestations(t *testing.T) {
	const job = `{"iss":"https://ci.example","sub":"repo:acme/app","repository_id":"17","repository_owner_id":4}`
	good := func(*Attester) {}
	for _, c := range []struct {
		name, claims string
		kind         string
		job          func(*Attester)
		spoil        func(*format.Signed)
		withoutLog   bool
		want         string // in the words of the refusal; "" is none
	}{
		{name: "by the job", claims: job, job: good},
		{name: "of an older kind", claims: job, kind: "intoto", job: good},
		{name: "by somebody with a token", job: good},
		{name: "without a log", claims: job, withoutLog: true, job: good},
		{name: "by its subject, where a token has no ids", claims: `{"iss":"https://ci.example","sub":"https://ci.example/acme/app"}`, job: good},
		{name: "another payload", job: good, spoil: func(s *format.Signed) { s.Payload = []byte("{} ") }, want: "signature does not fit"},
		{name: "another type", job: good, spoil: func(s *format.Signed) { s.Type = "text/plain" }, want: "signature does not fit"},
		{name: "no signature", job: good, spoil: func(s *format.Signed) { s.Signature = nil }, want: "signature does not fit"},
		{name: "no certificate", job: good, spoil: func(s *format.Signed) { s.Certificate = nil }, want: "cannot be read"},
		{name: "no entry", job: good, spoil: func(s *format.Signed) { s.Entries = nil }, want: "no log that is trusted"},
		{name: "an entry that is no JSON", job: good, spoil: func(s *format.Signed) { s.Entries[0] = []byte("[") }, want: "cannot be read"},
		{name: "another time than the log signed", job: good, spoil: func(s *format.Signed) {
			s.Entries[0] = []byte(strings.Replace(string(s.Entries[0]), `"integratedTime":"1`, `"integratedTime":"2`, 1))
		}, want: "log's signature"},
		{name: "signed when the certificate was good no more", job: func(a *Attester) { a.Late = 3e12 }, want: "its certificate was good from"},
		{name: "the log saw another", job: func(a *Attester) { a.Other = true }, want: "another signature"},
		{name: "another repository", claims: job, job: func(a *Attester) { a.Repository = "18" }, want: `repository_id "17"`},
		{name: "another owner", claims: job, job: func(a *Attester) { a.Owner = "5" }, want: `repository_owner_id "4"`},
		{name: "another issuer", claims: job, job: func(a *Attester) { a.Issuer = "https://evil.example" }, want: `iss "https://ci.example"`},
		{name: "another subject", claims: `{"iss":"https://ci.example","sub":"https://ci.example/evil"}`, job: good, want: "the job that publishes is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := NewAttester(t)
			c.job(a)
			if c.kind == "" {
				c.kind = "dsse"
			}
			s := a.Sign(c.kind, []byte("{}"))
			if c.spoil != nil {
				c.spoil(s)
			}
			trust, err := format.ReadTrust(a.Roots(!c.withoutLog))
			if err != nil {
				t.Fatal(err)
			}
			var claims []byte
			if c.claims != "" {
				claims = []byte(c.claims)
			}
			err = trust.Verify(s, claims)
			if c.want == "" && err != nil || c.want != "" && (!millpond.Is(err, millpond.Invalid) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("another authority", func(t *testing.T) {
		a, other := NewAttester(t), NewAttester(t)
		trust, err := format.ReadTrust(other.Roots(false))
		if err != nil {
			t.Fatal(err)
		}
		if err := trust.Verify(a.Sign("dsse", nil), nil); !millpond.Is(err, millpond.Invalid) || !strings.Contains(err.Error(), "no authority") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another log", func(t *testing.T) {
		a, other := NewAttester(t), NewAttester(t)
		trust, err := format.ReadTrust(a.Roots(false) + strings.TrimPrefix(other.Roots(true), other.Roots(false)))
		if err != nil {
			t.Fatal(err)
		}
		if err := trust.Verify(a.Sign("dsse", nil), nil); !strings.Contains(err.Error(), "no log that is trusted") {
			t.Errorf("got %v", err)
		}
	})
}

// TestReadTrust: what cannot be read verifies nothing, and says so.
func TestReadTrust(t *testing.T) {
	a := NewAttester(t)
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, []byte(a.Roots(true)), 0o600); err != nil {
		t.Fatal(err)
	}
	if trust, err := format.ReadTrust(" "); trust != nil || err != nil {
		t.Errorf("nothing: %v, %v", trust, err)
	}
	if trust, err := format.ReadTrust(file); trust == nil || err != nil {
		t.Errorf("a file: %v, %v", trust, err)
	}
	key := strings.TrimPrefix(a.Roots(true), a.Roots(false))
	for name, text := range map[string]string{
		"no file": file + ".not", "keys only": key, "another thing": "-----BEGIN X-----\nAAAA\n-----END X-----\n",
		"no certificate": "-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString([]byte("x")) + "\n-----END CERTIFICATE-----\n",
	} {
		if trust, err := format.ReadTrust(text); trust != nil || !millpond.Is(err, millpond.Unready) {
			t.Errorf("%s: %v, %v, want unready", name, trust, err)
		}
	}
}

func FuzzVerifyAttestations(f *testing.F) {
	a := NewAttester(f)
	s := a.Sign("dsse", []byte("{}"))
	trust, err := format.ReadTrust(a.Roots(true))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Payload, s.Signature, s.Certificate, []byte(s.Entries[0]), []byte(`{"iss":"https://ci.example"}`))
	f.Fuzz(func(t *testing.T, payload, signature, certificate, entry, claims []byte) {
		err := trust.Verify(&format.Signed{Type: s.Type, Payload: payload, Signature: signature, Certificate: certificate, Entries: []json.RawMessage{entry}}, claims)
		if err == nil && string(payload) != "{}" {
			t.Errorf("verified %q, which nobody signed", payload)
		}
	})
}
