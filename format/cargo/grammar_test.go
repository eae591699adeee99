package cargo

import (
	"slices"
	"strings"
	"testing"

	"millpond"
)

func TestCanon(t *testing.T) {
	for name, want := range map[string]string{
		"serde": "serde", "Inflector": "inflector", "foo-bar": "foo_bar", "foo_bar": "foo_bar", "Foo-Bar_x": "foo_bar_x", "2d": "2d",
		"": "", "a/b": "", "ä": "", "a b": "", "..": "", strings.Repeat("a", 64): strings.Repeat("a", 64), strings.Repeat("a", 65): "",
	} {
		got, err := Format{}.Canon(name)
		if got != want || (want == "") != millpond.Is(err, millpond.Invalid) {
			t.Errorf("Canon(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
}

// TestOrder holds the order of semver, and of build metadata behind it, in both directions for every pair.
func TestOrder(t *testing.T) {
	order := []string{
		"", "1", "1.0", "01.0.0", "v1.0.0", // no versions, in byte order
		"0.0.0-0", "0.0.0", "0.9.10", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
		"1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.0+1", "1.0.0+2", "1.0.0+10", "1.0.0+a", "1.0.1", "1.2.0", "1.10.0",
		"2.0.0", "18446744073709551615.0.0",
	}
	slices.Sort(order[:5])
	for i, a := range order {
		for j, b := range order {
			got := Format{}.Compare(a, b)
			if want := i - j; (got < 0) != (want < 0) || (got > 0) != (want > 0) {
				t.Errorf("Compare(%q, %q) = %d, want the sign of %d", a, b, got, want)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	for spec, want := range map[string]string{
		"":              "0.0.3 0.1.0 0.1.9 0.2.0 1.0.0 1.2.3 1.2.3+x 1.3.0 2.0.0-rc.1 2.0.0",
		"*":             "0.0.3 0.1.0 0.1.9 0.2.0 1.0.0 1.2.3 1.2.3+x 1.3.0 2.0.0-rc.1 2.0.0",
		"1.2":           "1.2.3 1.2.3+x 1.3.0",
		"^1":            "1.0.0 1.2.3 1.2.3+x 1.3.0",
		"1.2.4":         "1.3.0",
		"0.1":           "0.1.0 0.1.9",
		"^0.0.3":        "0.0.3",
		"^0.0":          "0.0.3",
		"^0":            "0.0.3 0.1.0 0.1.9 0.2.0",
		"~1.2":          "1.2.3 1.2.3+x",
		"~1":            "1.0.0 1.2.3 1.2.3+x 1.3.0",
		"~0.1.1":        "0.1.9",
		"1.*":           "1.0.0 1.2.3 1.2.3+x 1.3.0",
		"1.2.*":         "1.2.3 1.2.3+x",
		"=1.2.3":        "1.2.3 1.2.3+x",
		"=1":            "1.0.0 1.2.3 1.2.3+x 1.3.0",
		">1.2":          "1.3.0 2.0.0-rc.1 2.0.0",
		">= 1.3, <2":    "1.3.0 2.0.0-rc.1",
		"<=1.2":         "0.0.3 0.1.0 0.1.9 0.2.0 1.0.0 1.2.3 1.2.3+x",
		"<=1.2.3, >0.2": "1.0.0 1.2.3 1.2.3+x",
		"2.0.0-rc.1":    "2.0.0-rc.1 2.0.0",
		"^9":            "",
	} {
		var got []string
		for version := range strings.FieldsSeq("0.0.3 0.1.0 0.1.9 0.2.0 1.0.0 1.2.3 1.2.3+x 1.3.0 2.0.0-rc.1 2.0.0 nonsense") {
			in, err := Format{}.Match(spec, version)
			if err != nil {
				t.Errorf("Match(%q): %v", spec, err)
			}
			if in && version != "nonsense" {
				got = append(got, version)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q matches %q, want %q", spec, strings.Join(got, " "), want)
		}
	}
	for _, spec := range []string{"x", "1.2.3.4", "1 2", "^^1", "01", "1.*.3", "1.2-a", ">", "1,,2", "1.2.3-"} {
		if _, err := (Format{}).Match(spec, "1.0.0"); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Match(%q): got %v, want invalid", spec, err)
		}
	}
}

func TestClaimsCoverEverySpelling(t *testing.T) {
	for _, c := range []struct {
		claim, name string
		want        bool
	}{
		{"acme-*", "acme_x", true}, {"acme_*", "acme_x", true}, {"Acme-*", "acme_x", true}, {"acme-*", "acmex", false},
		{"acme-x", "acme_x", true}, {"acme-x", "acme_xy", false}, {"*", "anything", true},
	} {
		if got := (Format{}).Covers(c.claim, c.name); got != c.want {
			t.Errorf("Covers(%q, %q) = %v, want %v", c.claim, c.name, got, c.want)
		}
	}
}

func TestSpellings(t *testing.T) {
	for _, c := range []struct{ name, known, asked, want string }{
		{"serde", "", "", "serde"},
		{"foo_bar", "", "", "foo-bar foo_bar"},
		{"foo_bar", "foo_bar", "foo-bar", "foo_bar foo-bar"},
		{"foo_bar", "", "foo_bar", "foo_bar foo-bar"},
		{"a_b_c", "", "a_b-c", "a_b-c a-b-c a_b_c a-b_c"},
		{"a_b_c_d_e", "", "a-b_c-d_e", "a-b_c-d_e a-b-c-d-e a_b_c_d_e"},
		{"foo_bar", "other", "../x", "foo-bar foo_bar"},
	} {
		if got := strings.Join(spellings(c.name, c.known, c.asked), " "); got != c.want {
			t.Errorf("spellings(%q, %q, %q) = %q, want %q", c.name, c.known, c.asked, got, c.want)
		}
	}
}
