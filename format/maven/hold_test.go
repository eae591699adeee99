package maven

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"millpond/format/formattest"
)

// TestCase15AsksForNoDates: where the metadata was last updated before the hold, nothing in it can be held and no POM is asked for;
// else each POM is, once and for ever.
func TestCase15AsksForNoDates(t *testing.T) {
	h := formattest.New(t, ecosystem(t), formattest.Rules(t, map[string]any{"hold": "7d"}))
	put := func(updated time.Time, ages ...int) {
		var all []string
		for n, days := range ages {
			v := fmt.Sprintf("1.%d", n)
			all = append(all, v)
			lay(h.Up, file(up, v, ".pom"), pomOf(up, v, ""), formattest.Epoch().AddDate(0, 0, -days))
		}
		lay(h.Up, index(up), metadataAt(updated, up, all...), time.Time{})
		h.Up.Forget()
	}
	poms := func() (n int) {
		for _, r := range h.Up.Requests("") {
			if strings.HasSuffix(r.Path, ".pom") {
				n++
			}
		}
		return n
	}
	check := func(what string, asked int, want ...string) {
		t.Helper()
		wantVersions(t, h, what, up, want...)
		if got := poms(); got != asked {
			t.Errorf("%s: %d POMs were asked for, want %d", what, got, asked)
		}
	}
	put(formattest.Epoch().AddDate(0, 0, -30), 50, 40, 30)
	check("old", 0, "1.0", "1.1", "1.2")
	put(formattest.Epoch().AddDate(0, 0, -1), 50, 40, 30, 1)
	h.Pass(time.Hour)
	check("one is new", 4, "1.0", "1.1", "1.2")
	put(formattest.Epoch(), 50, 40, 30, 1, 0)
	h.Pass(time.Hour)
	check("another is new", 1, "1.0", "1.1", "1.2")
	h.Pass(7 * 24 * time.Hour)
	h.Up.Forget()
	check("a week later", 0, "1.0", "1.1", "1.2", "1.3", "1.4")
}
