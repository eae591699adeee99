package fetch

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-9/*", "bytes */10", "bytes 9223372036854775807-9223372036854775807/1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		from, total, ok := contentRange(text)
		if !ok {
			return
		}
		if from < 0 || total >= 0 && from >= total {
			t.Errorf("%q: from %d of %d", text, from, total)
		}
		if total >= 0 { // it is the rest of the object, and can be written again
			again := fmt.Sprintf("bytes %d-%d/%d", from, total-1, total)
			if f, n, ok := contentRange(again); !ok || f != from || n != total {
				t.Errorf("%q: %q reads %d %d %v", text, again, f, n, ok)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"7", "99999999999999999999", "-1", "Fri, 02 Jan 2026 03:05:05 GMT", "0x7"} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if d := retryAfter(http.Header{"Retry-After": {text}}, now); d < 0 {
			t.Errorf("%q: %v", text, d)
		}
	})
}

func FuzzNetrc(f *testing.F) {
	f.Add("machine upstream.example login a password b")
	f.Add("macdef x\n\nmachine upstream.example\nlogin a")
	f.Add("default login a # b")
	u := mustParse("https://upstream.example/")
	f.Fuzz(func(t *testing.T, text string) {
		login, password := parseNetrc(text, u)
		for _, s := range []string{login, password} {
			if !strings.Contains(text, s) || strings.ContainsAny(s, " \n\t") {
				t.Errorf("%q: %q is not a word of it", text, s)
			}
		}
		if (login != "" || password != "") && !strings.Contains(strings.ToLower(text), "upstream.example") {
			t.Errorf("%q: %q %q though the host is not in it", text, login, password)
		}
	})
}

// FuzzRedirect lets an upstream point anywhere: what may be asked is http or https, has no odd address in it, and shows no
// secret in what is said of it.
func FuzzRedirect(f *testing.F) {
	for _, s := range []string{"https://files.example/x", "//127.0.0.1/", "http://[::ffff:7f00:1]/", "https://u:hush@x.example/?hush",
		"file:///etc/passwd", "https://2130706433/", "https:opaque"} {
		f.Add(s)
	}
	e := new(Engine)
	u, _, err := e.newUpstream(Settings{Name: "up", URL: mustParse("https://upstream.example/")})
	if err != nil {
		f.Fatal(err)
	}
	base := mustParse("https://upstream.example/a/b")
	f.Fuzz(func(t *testing.T, text string) {
		to, err := base.Parse(text)
		if err != nil {
			return
		}
		err = u.may(base, to)
		if err == nil && to.Scheme != "https" {
			t.Errorf("%q may be asked by %s", text, to.Scheme)
		}
		if host := strings.Trim(to.Hostname(), "."); err == nil && (host == "127.0.0.1" || host == "::1" || host == "localhost") {
			t.Errorf("%q may be asked", text)
		}
		if err != nil && to.User != nil {
			if secret, set := to.User.Password(); set && len(secret) > 8 && !strings.Contains(to.Host+to.Path+to.Opaque, secret) &&
				strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the error tells %q: %v", text, secret, err)
			}
		}
	})
}
