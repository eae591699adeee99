package format_test

import (
	"testing"

	"millpond/format"
)

func TestAdopt(t *testing.T) {
	for _, c := range []struct {
		address string
		want    format.Adopted // without a URL if it is refused
	}{
		{"https://upstream.example/simple", format.Adopted{URL: "https://upstream.example/simple/"}},
		{"http://upstream.example", format.Adopted{URL: "http://upstream.example/"}},
		{"https://me:s%40id@upstream.example/a%2fb/?token=1#x", format.Adopted{URL: "https://upstream.example/a%2fb/", Username: "me", Password: "s@id"}},
		{"https://token@upstream.example/", format.Adopted{URL: "https://upstream.example/", Username: "token"}},
		{"file:///srv/mirror", format.Adopted{}},
		{"ssh://upstream.example/", format.Adopted{}},
		{"https:///nowhere", format.Adopted{}},
		{"upstream.example/simple", format.Adopted{}},
		{"https://up stream.example/", format.Adopted{}},
		{"", format.Adopted{}},
	} {
		got, ok := format.Adopt(c.address)
		if ok != (c.want.URL != "") || got.URL != c.want.URL || got.Username != c.want.Username || got.Password != c.want.Password {
			t.Errorf("Adopt(%q) = %+v, %v; want %+v", c.address, got, ok, c.want)
		}
	}
}
