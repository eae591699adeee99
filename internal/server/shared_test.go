package server

import (
	"net/http"
	"testing"
	"time"
)

func TestLimitShared(t *testing.T) {
	for _, c := range []struct{ name, said, want string }{
		{"what never changes", "public, max-age=31536000, immutable", "public, max-age=31536000, immutable, s-maxage=60"},
		{"private", "private, max-age=31536000, immutable", "private, max-age=31536000, immutable"},
		{"everybody's without a word", "max-age=599", "max-age=599, s-maxage=60"},
		{"short already", "public, max-age=60", "public, max-age=60"},
		{"asked about each time", "public, no-cache", "public, no-cache"},
		{"said already", "public, max-age=900, s-maxage=5", "public, max-age=900, s-maxage=5"},
		{"nonsense", "public, max-age=x", "public, max-age=x"},
		{"nothing", "", ""},
	} {
		shared := []string{c.said}
		h := http.Header{"Cache-Control": shared}
		limitShared(h, time.Minute)
		if got := h.Get("Cache-Control"); got != c.want {
			t.Errorf("%s: got %q; want %q", c.name, got, c.want)
		}
		if shared[0] != c.said {
			t.Errorf("%s: the slice was changed, which others have too", c.name)
		}
	}
}
