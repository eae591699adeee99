package format

import (
	"net/url"
	"strings"
	"testing"
)

func TestUnescape(t *testing.T) {
	for escaped, want := range map[string]string{
		"": "", "a/b": "a/b", "a%20b/%C3%A9": "a b/é", "%41%2e%2E": "A..", "a%2520": "a%20", "%2B+": "++",
	} {
		if got, ok := Unescape(escaped); got != want || !ok {
			t.Errorf("Unescape(%q) = %q, %t; want %q", escaped, got, ok, want)
		}
	}
	for _, bad := range []string{"%", "a%", "%4", "%zz", "%4g", "a%2fb", "a%2Fb", "%%41"} {
		if got, ok := Unescape(bad); ok {
			t.Errorf("Unescape(%q) = %q; want that it is refused", bad, got)
		}
	}
}

func TestEscape(t *testing.T) {
	for _, c := range []struct{ path, plain, want string }{
		{"a/b", "/", "a/b"}, {"a/b", "", "a%2Fb"}, {"é %", "", "%C3%A9%20%25"}, {"a+b~c", "~", "a%2Bb~c"}, {"", "", ""},
	} {
		if got := Escape(c.path, c.plain); got != c.want {
			t.Errorf("Escape(%q, %q) = %q, want %q", c.path, c.plain, got, c.want)
		}
	}
}

// FuzzEscape: what is escaped is read again as it was, by others too; what is unescaped has the segments that it had.
func FuzzEscape(f *testing.F) {
	f.Add("a b/c%2f", "-._~")
	f.Add("%41/../x", "/")
	f.Fuzz(func(t *testing.T, path, plain string) {
		if !strings.Contains(plain, "%") && !strings.Contains(path, "/") {
			escaped := Escape(path, plain)
			if got, ok := Unescape(escaped); !ok || got != path {
				t.Errorf("Escape(%q, %q) = %q, which is read as %q, %t", path, plain, escaped, got, ok)
			}
			if got, err := url.PathUnescape(escaped); err != nil || got != path {
				t.Errorf("Escape(%q, %q) = %q, which net/url reads as %q, %v", path, plain, escaped, got, err)
			}
		}
		got, ok := Unescape(path)
		if ok && strings.Count(got, "/") != strings.Count(path, "/") {
			t.Errorf("Unescape(%q) = %q has other segments", path, got)
		}
		if other, err := url.PathUnescape(path); ok && (err != nil || other != got) {
			t.Errorf("Unescape(%q) = %q, and net/url says %q, %v", path, got, other, err)
		}
	})
}
