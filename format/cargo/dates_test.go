package cargo

import (
	"fmt"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestDatesOfTheAPI: where the index does not say when a version was published, the upstream's web API does: asked once, also
// after it was ill, and a hold goes by it.
func TestDatesOfTheAPI(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}), func(c *repo.Config) { c.Options = map[string]string{"dates": "api"} })
	putConfig(h.Up)
	text := ""
	for _, version := range []string{"1.0.0", "1.1.0"} {
		text += upstreamLine("alpha", version, sum, time.Time{}) + "\n"
	}
	putIndex(h.Up, "alpha", text)
	const asks = "/api/v1/crates/alpha"
	h.Up.Put(asks, faulty.Object{Type: typeJSON, Body: fmt.Appendf(nil, `{"crate":{},"versions":[{"num":"1.0.0","created_at":"2020-01-02T03:04:05.123456+00:00"},{"num":"1.1.0","created_at":%q},{"num":"0.1.0","created_at":"2019-01-02T03:04:05Z"}]}`,
		formattest.Epoch().Add(-time.Hour).Format(time.RFC3339))})
	h.Up.Order(asks, "always 500")
	got := h.Good("the API is ill", h.Index("alpha"), nil)
	h.Shows("first seen now", got, "1.0.0", false)
	h.Up.Order(asks, "always ok")
	h.Pass(time.Hour)
	got = h.Good("the API is well again", h.Index("alpha"), nil)
	h.Shows("published long ago", got, "1.0.0", true)
	h.Shows("published an hour before", got, "1.1.0", false)
	h.Up.Forget()
	h.Pass(time.Hour)
	h.Shows("later", h.Good("later", h.Index("alpha"), nil), "1.0.0", true)
	if n := h.Up.Count("", asks); n != 0 {
		t.Errorf("the API was asked %d times again", n)
	}
	h.Restart()
	h.Pass(8 * 24 * time.Hour)
	h.Shows("the hold has ended", h.Good("a week later", h.Index("alpha"), nil), "1.1.0", true)
	if n := h.Up.Count("", asks); n != 0 {
		t.Errorf("after a restart the API was asked %d times again", n)
	}
	// a new version: asked again
	putIndex(h.Up, "alpha", text+upstreamLine("alpha", "1.2.0", sum, time.Time{})+"\n")
	h.Pass(time.Hour)
	h.Shows("a new version", h.Good("a new version", h.Index("alpha"), nil), "1.2.0", false)
	if n := h.Up.Count("", asks); n != 1 {
		t.Errorf("of a new version the API was asked %d times, want once", n)
	}
}
