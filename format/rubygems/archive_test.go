package rubygems

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"millpond"
)

// TestLittleOfAGem: what is kept in memory of a gem before and while it is looked through does not grow with it.
func TestLittleOfAGem(t *testing.T) {
	meta := [2]string{"metadata.gz", string(zipped(metadata("widget", "1.0", "")))}
	before := bytes.NewReader(tarred([][2]string{{"checksums.yaml.gz", strings.Repeat("x", mostMetadata+1)}, meta}))
	if _, err := readMetadata(before); !millpond.Is(err, millpond.TooLarge) {
		t.Errorf("large checksums before the metadata: got %v, want too large", err)
	}
	if read := before.Size() - int64(before.Len()); read > mostMetadata {
		t.Errorf("large checksums before the metadata: %d bytes were read", read)
	}
	parts := [][2]string{meta, {"data.tar.gz", string(zipped(string(tarred(nil))))}}
	if err := checkGem(bytes.NewReader(tarred(parts))); err != nil {
		t.Errorf("a gem of two parts: %v", err)
	}
	for i := range mostParts {
		parts = append(parts, [2]string{fmt.Sprint("more", i), ""})
	}
	if err := checkGem(bytes.NewReader(tarred(parts))); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("a gem of %d parts: got %v, want invalid", len(parts), err)
	}
}

// TestPartsTwice: of two parts of one name gem reads the later, and others the earlier: such a gem is none.
func TestPartsTwice(t *testing.T) {
	meta, data := string(zipped(metadata("widget", "1.0", ""))), string(zipped(string(tarred(nil))))
	other := string(zipped(metadata("gadget", "1.0", "")))
	for name, parts := range map[string][][2]string{
		"metadata": {{"metadata.gz", meta}, {"data.tar.gz", data}, {"metadata.gz", other}},
		"data":     {{"metadata.gz", meta}, {"data.tar.gz", data}, {"data.tar.gz", data}},
		"unpacked": {{"metadata.gz", meta}, {"data.tar.gz", data}, {"metadata", metadata("gadget", "1.0", "")}},
	} {
		if err := checkGem(bytes.NewReader(tarred(parts))); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("%s twice: got %v, want invalid", name, err)
		}
	}
}

// TestBinaryWords: old gems have plain words as !binary, which is base64: values, and names of fields.
func TestBinaryWords(t *testing.T) {
	text := metadata("widget", "1.0", "")
	for plain, binary := range map[string]string{
		"name: widget":   "!binary \"bmFtZQ==\": !binary |-\n  d2lk\n  Z2V0",
		"version: 1.0\n": "version: !binary |-\n    MS4w\n",
		`- - ">="`:       "- - !binary |-\n      Pj0=",
		"- Alice":        "- !binary |-\n  QWxpY2U=",
	} {
		if !strings.Contains(text, plain) {
			t.Fatalf("no %q in %s", plain, text)
		}
		text = strings.Replace(text, plain, binary, 1)
	}
	s, err := readGemspec([]byte(text))
	if err != nil {
		t.Fatalf("%v of %s", err, text)
	}
	if got, want := fmt.Sprint(s.name, s.version(), s.authors, s.ruby), "widget1.0[Alice] [{>= 0}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := readGemspec([]byte(strings.Replace(text, "MS4w", "%%%%", 1))); !millpond.Is(err, millpond.Invalid) {
		t.Errorf("what is no base64: got %v, want invalid", err)
	}
}
