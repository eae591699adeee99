package format

import (
	"net/http"
	"testing"
	"time"
)

// TestHTTPDate: it is what http.TimeFormat makes of the time.
func TestHTTPDate(t *testing.T) {
	at := time.Date(999, 12, 30, 1, 2, 3, 4, time.UTC)
	for range 3000 {
		for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -9*3600)} {
			if got, want := httpDate(at.In(zone)), at.UTC().Format(http.TimeFormat); got != want {
				t.Fatalf("%v is %q, want %q", at, got, want)
			}
		}
		at = at.Add(27*24*time.Hour + 5*time.Hour + 7*time.Minute + 11*time.Second)
		if at.Year() == 1003 {
			at = at.AddDate(997, 0, 0)
		}
	}
	if at = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC); httpDate(at) != at.Format(http.TimeFormat) {
		t.Errorf("%v is %q", at, httpDate(at))
	}
}
