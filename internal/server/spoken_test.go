package server

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond/format/raw"
	"millpond/internal/auth"
	"millpond/repo"
)

// TestRefusedBucket: S3's clients read in S3's XML what is refused before a handler has seen it, others in plain words.
func TestRefusedBucket(t *testing.T) {
	h := newHouse(t)
	configs := []repo.Config{{Name: "files", Format: raw.Format{}, Public: true}, {Name: "team", Format: raw.Format{}}}
	if err := h.pond.Configure(t.Context(), repo.Settings{PublicURL: housePublic}, configs); err != nil {
		t.Fatal(err)
	}
	if err := h.auth.Configure(auth.Settings{PublicURL: housePublic, Passwords: true, Repositories: []auth.Repository{
		{Name: "files", Format: "raw", Read: []string{"anonymous"}}, {Name: "team", Format: "raw"},
	}}); err != nil {
		t.Fatal(err)
	}
	var list []Repository
	for _, one := range h.pond.Repositories() {
		list = append(list, one)
	}
	public, err := url.Parse(housePublic)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.server.Configure(Settings{PublicURL: public}, list); err != nil {
		t.Fatal(err)
	}
	signed := func(ago time.Duration) http.Header {
		date := h.now().Add(-ago).UTC().Format("20060102T150405Z")
		return http.Header{"X-Amz-Date": {date}, "X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"},
			"Authorization": {"AWS4-HMAC-SHA256 Credential=nobody/" + date[:8] + "/here/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + strings.Repeat("ab", 32)}}
	}
	for _, tt := range []struct {
		name, method, path string
		header             http.Header
		status             int
		code               string
	}{
		{"a signature that does not fit", "GET", "/files/key", signed(0), 403, "SignatureDoesNotMatch"},
		{"the same, of the list of buckets", "GET", "/", signed(0), 403, "SignatureDoesNotMatch"},
		{"a clock that is wrong", "PUT", "/files/key", signed(time.Hour), 403, "RequestTimeTooSkewed"},
		{"signed as it was once, for a private bucket", "GET", "/team/key?AWSAccessKeyId=a&Signature=b&Expires=9999999999", http.Header{}, 400, "InvalidRequest"},
		{"the same, for a bucket of everybody's", "GET", "/files/key?AWSAccessKeyId=a&Signature=b&Expires=9999999999", http.Header{}, 400, "InvalidRequest"},
		{"signed as it was once, in the header", "GET", "/files/key", http.Header{"Authorization": {"AWS a:b"}}, 400, "InvalidRequest"},
		{"no credential for a private bucket", "GET", "/team/?list-type=2", http.Header{}, 403, "AccessDenied"},
		{"no credential for a bucket that is not there", "GET", "/nothing/?list-type=2", http.Header{}, 403, "AccessDenied"},
		{"a bucket that is not there", "GET", "/nothing/key", http.Header{"X-Amz-Date": {"x"}, "Authorization": {"Bearer " + h.admin}}, 403, "AccessDenied"},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Host = "pond.example"
		r.Header = tt.header
		w := httptest.NewRecorder()
		h.server.ServeHTTP(w, r)
		if body := w.Body.String(); w.Code != tt.status || !strings.Contains(body, "<Code>"+tt.code+"</Code>") || w.Header().Get("Content-Type") != "application/xml" {
			t.Errorf("%s: got %d %s, want %d %s in XML", tt.name, w.Code, body, tt.status, tt.code)
		}
	}
	plain := h.send("Bearer mp_bad", "GET", "/files/key", nil)
	if plain.Code != 401 || strings.Contains(plain.Body.String(), "<Code>") {
		t.Errorf("a bad token outside S3: got %d %s, want 401 in words", plain.Code, plain.Body)
	}
}
