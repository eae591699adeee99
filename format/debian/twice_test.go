package debian

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"millpond/format/formattest"
)

// TestCase22Twice: the same bytes again are no error, other bytes of what a suite has are, and another suite has its own. Of two
// who publish at once one is first. Who may not is refused on every route, and nothing of theirs shows.
//
// That a publish survives a crash at each of its writes is a row of formattest, and so are its refusals.
func TestCase22Twice(t *testing.T) {
	h, _ := house(t, nil)
	owner := h.As(formattest.Owner)
	one, other := deb(t, "hello", "1.0", "amd64", "", 1), deb(t, "hello", "1.0", "amd64", "", 2)
	h.Published("first", owner.Do("PUT", "/pool/stable/main/x.deb", nil, one))
	h.Good("the same again", owner.Do("PUT", "/pool/stable/main/x.deb", nil, one), nil)
	h.Want("other bytes", owner.Do("PUT", "/pool/stable/main/x.deb", nil, other), http.StatusConflict)
	h.Published("other bytes in another suite", owner.Do("PUT", "/pool/testing/main/x.deb", nil, other))
	good(t, h, "/"+poolFile("stable", "main", "hello", "hello_1.0_amd64.deb"), one)
	good(t, h, "/"+poolFile("testing", "main", "hello", "hello_1.0_amd64.deb"), other)

	// Two publishers, each with bytes of their own.
	var all sync.WaitGroup
	var taken, refused atomic.Int32
	bodies := [][]byte{deb(t, "race", "1.0", "amd64", "", 1), deb(t, "race", "1.0", "amd64", "", 2)}
	for i := range 8 {
		all.Go(func() {
			switch r := owner.Do("PUT", "/pool/stable/main/x.deb", nil, bodies[i%2]); r.Status {
			case http.StatusOK, http.StatusCreated:
				taken.Add(1)
			case http.StatusConflict:
				refused.Add(1)
			default:
				t.Errorf("publisher %d: got %s", i, r)
			}
		})
	}
	all.Wait()
	if taken.Load() != 4 || refused.Load() != 4 {
		t.Errorf("of eight publishes of two files %d were taken and %d refused, want four each", taken.Load(), refused.Load())
	}

	// No grant.
	was := good(t, h, inRelease, nil).Body
	evil := deb(t, "evil", "1.0", "amd64", "", 0)
	for who, status := range map[string]int{"": http.StatusUnauthorized, formattest.Reader: http.StatusForbidden, formattest.Stranger: http.StatusForbidden} {
		for _, c := range []struct {
			method, path string
			body         []byte
		}{
			{"PUT", "/pool/stable/main/x.deb", evil},
			{"PUT", "/pool/new/main/x.deb", evil},
			{"DELETE", "/" + poolFile("stable", "main", "hello", "hello_1.0_amd64.deb"), nil},
			{"PUT", "/incoming/evil_1.0_amd64.deb", evil},
			{"PUT", "/dists/stable/Release", []byte("Label: evil\n")},
			{"PUT", "/dists/new/Release", []byte("Label: evil\n")},
		} {
			h.Want(c.method+" "+c.path+" by "+who, h.As(who).Do(c.method, c.path, nil, c.body), status)
		}
	}
	good(t, h, inRelease, was)
	h.Want("a suite that nobody made", h.Get("/dists/new/InRelease"), http.StatusNotFound)
}
