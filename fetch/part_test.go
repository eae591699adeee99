package fetch

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// A rest that is shorter than it was announced to be, or that does not say where the whole ends, never makes a part a whole,
// though it has an end of its own.
func TestShortRest(t *testing.T) {
	const n, cutAt, less = 3 << 20, 2 << 20, 100_000
	b := noise(n)
	for _, tt := range []struct {
		name, span string
		chunked    bool
	}{
		{"with a length", fmt.Sprintf("bytes %d-%d/%d", cutAt, n-1, n), false},
		{"in chunks", fmt.Sprintf("bytes %d-%d/%d", cutAt, n-1, n), true},
		{"of a whole that is not told", fmt.Sprintf("bytes %d-%d/*", cutAt, n-less-1), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				w.Header().Set("Etag", `"1"`)
				if asked == 1 {
					w.Header().Set("Content-Length", strconv.Itoa(n))
					w.Write(b[:cutAt])
					panic(http.ErrAbortHandler)
				}
				if r.Header.Get("Range") != fmt.Sprintf("bytes=%d-", cutAt) {
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
					return
				}
				w.Header().Set("Content-Range", tt.span)
				if !tt.chunked {
					w.Header().Set("Content-Length", strconv.Itoa(n-cutAt-less))
				}
				w.WriteHeader(http.StatusPartialContent)
				w.Write(b[cutAt : n-less])
			}))
			t.Cleanup(srv.Close)
			r := newRig(t, func(_ *Engine, s *Settings) { s.URL = mustParse(srv.URL + "/") })
			f := r.file("/f", nil)
			f.URL = srv.URL + "/f"
			r.good(f, b)
			r.held(b)
		})
	}
}
