package auth

import (
	"encoding/hex"
	"io"
	"runtime"
	"strings"
	"testing"

	"millpond"
)

// allocated is how many bytes f asked for, all in all.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestHeadersSignedManyTimes: to refuse a stranger's signature costs no more than what they have sent, though it names one long
// header again and again.
func TestHeadersSignedManyTimes(t *testing.T) {
	g, s, _ := signingRig(t)
	var spelt strings.Builder
	for i := range 1 << 11 { // one name in every spelling
		spelt.WriteString(";x-")
		for bit := range 11 {
			spelt.WriteByte("aA"[i>>bit&1])
		}
	}
	for what, names := range map[string]string{"x-a": strings.Repeat(";x-a", 8000), "x-aaaaaaaaaaa": spelt.String()} {
		r := request("GET", "http://pond.example/raw/f", "")
		r.Header.Set(what, strings.Repeat("a ", 15_000))
		s.sign(r, g.clock.Now(), emptySum)
		field := strings.Replace(r.Header.Get("Authorization"), s.id, "nobody", 1)
		r.Header.Set("Authorization", strings.Replace(field, "SignedHeaders=host", "SignedHeaders=host"+names, 1))
		var err error
		if n := allocated(func() { _, err = g.identify(r) }); n > 8<<20 {
			t.Errorf("%s: %d MiB were allocated to refuse it, want no more than 8", what, n>>20)
		}
		if !millpond.Is(err, millpond.Unauthenticated) {
			t.Errorf("%s: got %v, want unauthenticated", what, err)
		}
	}
}

// TestEndlessTrailer: what stands behind the last chunk is kept until it is checked, and so is bounded.
func TestEndlessTrailer(t *testing.T) {
	g, s, _ := signingRig(t)
	for what, line := range map[string]string{"empty lines": "\r\n", "signatures": "x-amz-trailer-signature:" + strings.Repeat("0", 64) + "\r\n", "names": "x-a:b\r\n"} {
		r := request("PUT", "http://pond.example/raw/f", "")
		before := s.sign(r, g.clock.Now(), "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
		date := r.Header.Get("X-Amz-Date")
		scope := date[:8] + "/eu-central-1/s3/aws4_request"
		text := strings.Join([]string{"AWS4-HMAC-SHA256-PAYLOAD", date, scope, before, emptySum, emptySum}, "\n")
		sum := hex.EncodeToString(mac(s.key(scope), text))
		const most = 64 << 20
		sent := &counting{Reader: io.MultiReader(strings.NewReader("0;chunk-signature="+sum+"\r\n"), io.LimitReader(&again{text: line}, most))}
		r.Body = io.NopCloser(sent)
		if _, err := g.identify(r); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); !millpond.Is(err, millpond.Denied) {
			t.Errorf("%s: got %v, want denied", what, err)
		}
		if sent.n > 1<<20 {
			t.Errorf("%s: %d bytes behind the last chunk were read, and kept", what, sent.n)
		}
	}
}

// again reads the same text for ever.
type again struct {
	text string
	at   int
}

func (a *again) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], a.text[a.at:])
		n, a.at = n+k, (a.at+k)%len(a.text)
	}
	return n, nil
}

type counting struct {
	io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}
