package npm

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"millpond"
)

func TestSplitTakesTheTarballOut(t *testing.T) {
	data := []byte("\xff\xef\xbe//bytes, and more of them")
	plain := base64.StdEncoding.EncodeToString(data)
	for name, c := range map[string]struct{ body, rest string }{
		"plain":       {`{"_attachments":{"a":{"data":"` + plain + `"}}}`, `{"_attachments":{"a":{"data":""}}}`},
		"slashes":     {`{"_attachments":{"a":{"data":"` + strings.ReplaceAll(plain, "/", `\/`) + `"}}}`, `{"_attachments":{"a":{"data":""}}}`},
		"line breaks": {`{"_attachments":{"a":{"data":"` + plain[:5] + `\r\n` + plain[5:] + `\n"}}}`, `{"_attachments":{"a":{"data":""}}}`},
		"escaped key": {`{"\u005fattachments":{"a":{"d\u0061ta":"` + plain + `"}}}`, `{"\u005fattachments":{"a":{"d\u0061ta":""}}}`},
		"spaces":      {` { "x" : [{"data":"no"}] , "_attachments" : { "a" : { "n" : 1, "data" : "` + plain + `" } } } `, ` { "x" : [{"data":"no"}] , "_attachments" : { "a" : { "n" : 1, "data" : "" } } } `},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.body), iotest.OneByteReader(strings.NewReader(c.body))} {
			var got bytes.Buffer
			rest, err := split(r, func(string) (io.Writer, error) { return &got, nil })
			if err != nil || string(rest) != c.rest || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("%s: got rest %s, data %q, %v; want %s, %q", name, rest, got.Bytes(), err, c.rest, data)
			}
		}
	}
	for _, body := range []string{
		`{"versions":{"a":{"data":"AAAA"}}}`, `{"_attachments":{"a":{"data":["AAAA"]}}}`, `{"_attachments":["data","AAAA"]}`,
		`{"x":{"_attachments":{"data":"AAAA"}}}`, `{"_attachments":{"a.sigstore":{"data":"{}"}}}`,
	} {
		rest, err := split(strings.NewReader(body), func(name string) (io.Writer, error) { return nil, fmt.Errorf("diverted %s", name) })
		if err != nil || string(rest) != body {
			t.Errorf("%s: got %s, %v; want nothing diverted", body, rest, err)
		}
	}
	for _, data := range []string{`A`, `AA==AAAA`, `\u0041AAA`, "AA\nAA", `A A=`} {
		_, err := split(strings.NewReader(`{"_attachments":{"a":{"data":"`+data+`"}}}`), func(string) (io.Writer, error) { return io.Discard, nil })
		if !millpond.Is(err, millpond.Invalid) {
			t.Errorf("data %q: got %v, want Invalid", data, err)
		}
	}
}

// A large tarball passes through without being held: what is kept of the body is what stands around it.
func TestSplitHoldsNoTarball(t *testing.T) {
	const size = 96 << 20
	group := strings.Repeat("AAAA", 1<<14)
	body := io.MultiReader(strings.NewReader(`{"_attachments":{"a":{"data":"`), io.LimitReader(&repeated{text: group}, size), strings.NewReader(`"}}}`))
	n := &pieces{}
	rest, err := split(body, func(string) (io.Writer, error) { return n, nil })
	if err != nil || len(rest) > 100 || n.n != size/4*3 || n.largest > 64<<10 {
		t.Errorf("got %d bytes of rest, %d decoded in pieces of up to %d, %v; want %d decoded", len(rest), n.n, n.largest, err, size/4*3)
	}
}

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// Pieces counts bytes, and the largest write.
type pieces struct{ n, largest int }

func (c *pieces) Write(p []byte) (int, error) {
	c.n += len(p)
	c.largest = max(c.largest, len(p))
	return len(p), nil
}
