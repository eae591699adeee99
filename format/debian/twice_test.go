package debian

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
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

// TestS27Deleted: a file that was deleted does not come back: not by its path, not by an older snapshot or a suite that is taken back to
// one, not after a restart, and not from an upstream that has one of that path. Its version's other files stay.
func TestS27Deleted(t *testing.T) {
	h, a := stocked(t, nil)
	c := h.Config("r", h.Up)
	c.Unpublish = true
	h.Configure(repo.Settings{}, c)
	owner := h.As(formattest.Owner)
	path := poolFile("ours", "main", "gone", "gone_1.0_amd64.deb")
	other := poolFile("ours", "main", "gone", "gone-doc_1.0_all.deb")
	body, doc := deb(t, "gone", "1.0", "amd64", "", 0), deb(t, "gone-doc", "1.0", "all", "Source: gone\n", 0)
	h.Published("the file", owner.Do("PUT", "/pool/ours/main/x.deb", nil, body))
	h.Published("another of its version", owner.Do("PUT", "/pool/ours/main/x.deb", nil, doc))
	index := "/dists/ours/main/binary-amd64/Packages"
	if r := good(t, h, index, nil); !strings.Contains(string(r.Body), "Package: gone\n") {
		t.Fatalf("the index lacks it: %s", r)
	}
	then := dateOf(t, good(t, h, "/dists/ours/InRelease", nil).Body).Format(snapshotTime)
	h.Pass(time.Minute)
	h.Want("a reader deletes it", h.As(formattest.Reader).Do("DELETE", "/"+path, nil, nil), http.StatusForbidden)
	h.Want("its owner does", owner.Do("DELETE", "/"+path, nil, nil), http.StatusNoContent)
	a.Set(path, deb(t, "gone", "1.0", "amd64", "Homepage: theirs\n", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 1))
	h.Pass(2 * time.Minute)
	good(t, h, packages, nil) // in which the upstream lists that path
	gone := func(what string) {
		t.Helper()
		for _, at := range []string{"/", "/snapshot/" + then + "/"} {
			for _, method := range []string{"GET", "HEAD"} {
				if r := h.Do(method, "/r"+at+path, nil); r.Status != http.StatusNotFound && r.Status != http.StatusGone {
					t.Errorf("%s: %s %s%s is %s", what, method, at, path, r)
				}
			}
		}
		good(t, h, "/"+other, doc)
	}
	gone("deleted")
	if r := good(t, h, index, nil); strings.Contains(string(r.Body), "Package: gone\n") || !strings.Contains(string(r.Body), "Package: gone-doc\n") {
		t.Errorf("the index still lists it, or lacks the other: %s", r)
	}
	h.Published("taken back", owner.Do("PUT", "/dists/ours/Release", nil, []byte("Snapshot: "+then+"\n")))
	gone("taken back")
	h.Restart()
	gone("restarted")
}
