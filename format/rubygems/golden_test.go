package rubygems

import (
	"bytes"
	"compress/zlib"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden: a gemspec as gem build writes it, and what is made of it: the line of the info, and the quick spec. Other tests
// let Ruby read such quick specs; this one sees every byte that changes.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/gemspec.yaml")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := readGemspec(text)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := spec.quick(&packed); err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	marshal, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	line := spec.line(strings.Repeat("ab", 32), time.Date(2026, 11, 21, 8, 3, 12, 0, time.UTC))
	for name, got := range map[string][]byte{"info.txt": []byte(line + "\n"), "gemspec.marshal": marshal} {
		path := "testdata/" + name
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
