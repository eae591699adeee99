package format_test

import (
	"testing"

	"millpond/format"
)

func TestAdvised(t *testing.T) {
	for _, c := range []struct {
		osv, ecosystem string
		want           bool
	}{
		{"PyPI", "PyPI", true}, {"PyPI", "pypi", true}, {"PyPI", "PyPI:3", true}, {"crates", "crates.upstream.example", true},
		{"Go", "Godot", false}, {"", "", false}, {"", "Debian:12", false}, {"npm", ":npm", false},
	} {
		if got := (&format.Info{OSV: c.osv}).Advised(c.ecosystem); got != c.want {
			t.Errorf("OSV %q advised by %q: got %v, want %v", c.osv, c.ecosystem, got, c.want)
		}
	}
}
