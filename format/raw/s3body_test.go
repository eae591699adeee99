package raw

import (
	"encoding/base64"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// unsignedEnd is a body that turns out at its end not to be what was signed.
type unsignedEnd struct{ io.Reader }

func (b unsignedEnd) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = &millpond.Error{Kind: millpond.Denied, Why: "the body is not what was signed", Err: format.ErrSignature}
	}
	return n, err
}

// TestDocumentsCountAtTheirEnd says of a document that names what to delete, or which parts make a file, that nothing of it is
// believed before all of it has come: who has seen a signed request could send it again with other names in it.
func TestDocumentsCountAtTheirEnd(t *testing.T) {
	const text = "<Delete><Object><Key>a</Key></Object></Delete>"
	for _, c := range []struct {
		name   string
		body   io.Reader
		header []string
		code   string // "" is good
	}{
		{"as it was signed", strings.NewReader(text), nil, ""},
		{"not what was signed", unsignedEnd{strings.NewReader(text)}, nil, "SignatureDoesNotMatch"},
		{"not what was signed, with spaces behind", unsignedEnd{strings.NewReader(text + "\n\n")}, nil, "SignatureDoesNotMatch"},
		{"another MD5", strings.NewReader(text), []string{"Content-Md5", base64.StdEncoding.EncodeToString(make([]byte, 16))}, "BadDigest"},
		{"another sha256", strings.NewReader(text), []string{"X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(make([]byte, 32))}, "BadDigest"},
		{"larger than it may be", io.MultiReader(strings.NewReader(text), strings.NewReader(strings.Repeat(" ", mostXML))), nil, "MalformedXML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/?delete", c.body)
			r.ContentLength = -1
			for i := 0; i < len(c.header); i += 2 {
				r.Header.Set(c.header[i], c.header[i+1])
			}
			var in s3Deletes
			err := readXML(r, &in)
			got := ""
			if err != nil {
				got = s3Code(r, err)
			}
			if got != c.code || err == nil && len(in.Object) != 1 {
				t.Errorf("got %q (%v) and %+v, want %q", got, err, in, c.code)
			}
		})
	}
}
