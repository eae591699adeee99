package fetch

import (
	"io"
	"net/http"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
)

// Who reads relayed answers slowly, or not at all, keeps others from asking for a while only.
func TestRelayEndsForSlowReaders(t *testing.T) {
	r := newRig(t, func(e *Engine, _ *Settings) { e.tune.relay = 50 * time.Millisecond })
	r.srv.Put("/list", faulty.Object{Body: noise(4 << 20)})
	ask := func() *http.Response {
		q, err := http.NewRequestWithContext(t.Context(), "GET", r.srv.URL+"/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.up.Relay(t.Context(), q, 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	var slow []*http.Response
	for range mostRelays {
		resp := ask()
		defer resp.Body.Close()
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, resp)
	}
	resp := ask() // has its place from one of them
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("one more question: got %s", resp.Status)
	}
	ended := 0
	for _, resp := range slow {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			wantError(t, err, millpond.Canceled, "read too slowly")
			ended++
		}
	}
	if ended == 0 {
		t.Error("no slow reader was sent away, and yet a place was free")
	}
}
