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
