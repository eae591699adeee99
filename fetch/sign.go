package fetch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sign puts an AWS Signature Version 4 on a request for a bucket of the upstream's region. What a body says is not signed: there is none but in questions that are relayed.
func (u *Upstream) sign(r *http.Request, by accessKey, now time.Time) {
	const algorithm = "AWS4-HMAC-SHA256"
	date := now.UTC().Format("20060102T150405Z")
	payload := hexSum("")
	if r.Body != nil {
		payload = "UNSIGNED-PAYLOAD"
	}
	r.Header.Set("X-Amz-Date", date)
	r.Header.Set("X-Amz-Content-Sha256", payload)
	if by.session != "" {
		r.Header.Set("X-Amz-Security-Token", by.session)
	}
	names := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n%s\n%s\n", r.Method, escapeStrictly(r.URL.Path, "/"), signedQuery(r.URL))
	for _, name := range names {
		value := r.URL.Host
		if name != "host" {
			value = strings.Join(strings.Fields(strings.Join(r.Header.Values(name), ",")), " ")
		}
		fmt.Fprintf(&text, "%s:%s\n", name, value)
	}
	signed := strings.Join(names, ";")
	fmt.Fprintf(&text, "\n%s\n%s", signed, payload)

	scope := date[:8] + "/" + u.settings.Region + "/s3/aws4_request"
	key := []byte("AWS4" + by.secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = macOf(key, part)
	}
	sum := macOf(key, algorithm+"\n"+date+"\n"+scope+"\n"+hexSum(text.String()))
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%x", algorithm, by.id, scope, signed, sum))
}

func macOf(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// signedQuery is the query as it is signed: in order, and escaped strictly.
func signedQuery(at *url.URL) string {
	var all []string
	for name, values := range at.Query() {
		for _, value := range values {
			all = append(all, escapeStrictly(name, "")+"="+escapeStrictly(value, ""))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "&")
}

// escapeStrictly escapes all but letters, digits, "-._~" and the further ones given.
func escapeStrictly(s, also string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~"+also, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
