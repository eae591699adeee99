package fetch

import (
	"fmt"
	"net/http"
	"testing"

	"millpond/fetch/faulty"
)

// TestAllowance: what an upstream says of how many requests it takes is told, and what cannot be read is not.
func TestAllowance(t *testing.T) {
	r, b := newRig(t), noise(1000)
	for i, c := range []struct {
		limit, left string
		want        [2]int64
	}{
		{"", "", [2]int64{0, 0}}, {"100;w=21600", "76;w=21600", [2]int64{100, 76}}, {"100;w=21600", "0;w=21600", [2]int64{100, 0}},
		{"many", "75", [2]int64{100, 0}}, {"100", "-5", [2]int64{100, 0}}, {"200, 200;w=60", "12", [2]int64{200, 12}},
	} {
		path := fmt.Sprintf("/limited%d", i)
		o := faulty.Object{Body: b, Header: http.Header{}}
		if c.limit != "" {
			o.Header.Set("RateLimit-Limit", c.limit)
			o.Header.Set("RateLimit-Remaining", c.left)
		}
		r.srv.Put(path, o)
		r.good(r.file(path, b), b)
		if s := r.up.State(); s.Limit != c.want[0] || s.Left != c.want[1] {
			t.Errorf("after %q and %q: %d of %d are left, want %v", c.limit, c.left, s.Left, s.Limit, c.want)
		}
	}
}
