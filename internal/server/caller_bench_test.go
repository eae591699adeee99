package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkCaller compares a read by anonymous with one by a token: the difference is what knowing the caller costs.
func BenchmarkCaller(b *testing.B) {
	for _, who := range []string{"anonymous", "token"} {
		b.Run(who, func(b *testing.B) {
			h := newHouse(b)
			r := httptest.NewRequest("GET", "http://pond.example/pub/widget/none", nil)
			if who == "token" {
				r.Header.Set("Authorization", "Bearer "+h.admin)
			}
			m := h.server.table.Load().mounts["pub"]
			w := &nowhere{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				t := h.server.table.Load()
				x := h.server.pool.Get().(*response)
				x.begin(h.server, w, r, &exchange{})
				if err := h.server.identify(x, r, h.server.table.Load(), false); err != nil {
					b.Fatal(err)
				}
				h.server.handlerFor(x, r, t, m, false)
				h.server.pool.Put(x)
			}
		})
	}
}
