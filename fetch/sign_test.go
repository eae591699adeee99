package fetch

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
)

// TestSign compares with signatures that another program, which S3's own clients are made with, has put on the same requests.
func TestSign(t *testing.T) {
	for _, tt := range []struct{ name, url, session, want string }{
		{"a name that is escaped", "https://bucket.upstream.example/dir/a%20b%2Bc%25/%C3%BC.txt", "",
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=1cc0e2a15665f8fc2f34b0f6d7b9d7d8541a8bd0f28138cf8ab8f1527d1fb760"},
		{"a list, with a key that is lent", "https://bucket.upstream.example/?list-type=2&prefix=dir%2F&start-after=a%20b&delimiter=%2F", "TOKEN",
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=330cf0e5bd80a2a357cfcc1d347119e73736a6fb9b01066b733b74ce2ecf17ec"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodGet, tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			u := &Upstream{settings: Settings{Region: "eu-central-1"}}
			u.sign(r, accessKey{id: "KEYID", secret: "secret/key+1", session: tt.session}, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
			want := "AWS4-HMAC-SHA256 Credential=KEYID/20261121/eu-central-1/s3/aws4_request, " + tt.want
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("%s is signed\n%s, want\n%s", tt.url, got, want)
			}
		})
	}
}

// TestS12SignaturesStayWithTheirOrigin: neither a signature nor the token of a key goes where a bucket redirects to, and the
// secret goes nowhere.
func TestS12SignaturesStayWithTheirOrigin(t *testing.T) {
	other := faulty.New(t)
	b := noise(100)
	other.Put("/f", faulty.Object{Body: b})
	r := newRig(t, func(_ *Engine, s *Settings) {
		s.Region, s.Username, s.Password, s.Session = "here", "id", "hush", "lent"
		s.Also, s.AllowAddresses = []string{other.URL}, []string{"127.0.0.0/8"}
	})
	r.srv.Order("/f", "redirect "+other.URL+"/f")
	r.good(r.file("/f", b), b)
	h := r.srv.Requests("/f")[0].Header
	if !strings.HasPrefix(h.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=id/") || h.Get("X-Amz-Security-Token") != "lent" {
		t.Errorf("its own origin got %v", h)
	}
	for _, q := range append(other.Requests(""), r.srv.Requests("")...) {
		for name, values := range q.Header {
			text := strings.Join(values, " ")
			if strings.Contains(text, "hush") || q.Header.Get("Authorization") == "" && strings.Contains(text, "lent") {
				t.Errorf("somebody got %s: %v", name, values)
			}
		}
	}
	for _, q := range other.Requests("") {
		if q.Header.Get("Authorization") != "" {
			t.Errorf("another origin got %v", q.Header)
		}
	}
}

// TestRegionWantsAKey: half a key, and a key beside another credential, are mistakes.
func TestRegionWantsAKey(t *testing.T) {
	for _, s := range []Settings{{Username: "id"}, {Password: "hush"}, {Token: "hush"}} {
		s.Name, s.URL, s.Region = "up", mustParse("https://upstream.example/"), "here"
		if _, err := new(Engine).Upstream(s); err == nil || !strings.Contains(err.Error(), "access key") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%+v: got %v, want that an access key is missing", s, err)
		}
	}
}
