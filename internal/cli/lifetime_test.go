package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"millpond/internal/auth"
)

// TestTokensThatLast: who logs in for long makes tokens that last as long, by the commands of docs/publishing.md; who does not is told how.
func TestTokensThatLast(t *testing.T) {
	up := upstream(t, wheel(t))
	p := planFor(t, up.URL+"/simple/")
	p.auth.Passwords = true
	p.auth.Repositories = []auth.Repository{{Name: "pypi", Format: "pypi", Read: []string{"anonymous"}}}
	quiet(t)
	u := run(t, p)
	defer u.stop()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(t.TempDir(), "config"))
	t.Setenv("MILLPOND_URL", u.base)
	_, secret, _ := strings.Cut(u.out.String(), "setup secret: ")
	secret, _, _ = strings.Cut(secret, "\n")
	for _, c := range []struct {
		in, args string
		code     int
		words    string
	}{
		{secret + "\ncorrect horse battery\n", "login --setup --user ann", 0, "logged in"},
		{"", "service add ci", 0, "added ci"},
		{"", "grant add user:ci publisher pypi acme-*", 0, "user:ci is publisher"},
		{"", "grant add user:ci publisher pypy acme-*", ExitNotFound, "no repository \"pypy\""},
		{"", "grant add user:ci publisher pyp* acme-*", 0, "user:ci is publisher"},
		{"", "service token ci --verb publish", 0, "mp_"},
		{"", "service token ci --verb publish --for 90d", ExitDenied, "log in for longer: 'millpond login --user NAME --for 2160h'"},
		{"correct horse battery\n", "login --user ann --for 2160h", 0, "logged in"},
		{"", "service token ci --verb publish --for 89d", 0, "mp_"},
		{"correct horse battery\n", "login --user ann --for 3000d", ExitUsage, "a year at most"},
		{"correct horse battery\n", "login --user ann --for=-1h", ExitUsage, "is not a duration"},
		{"", "login --for 90d", ExitUsage, "add --user NAME"},
	} {
		if code, out, errs := typed(c.in, strings.Fields(c.args)...); code != c.code || !strings.Contains(out+errs, c.words) {
			t.Errorf("millpond %s = %d\n%s%s\nwant %d, and %q", c.args, code, out, errs, c.code, c.words)
		}
	}
}
