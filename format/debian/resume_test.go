package debian

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"millpond/format/formattest"
)

// TestCase07Resume: what apt has of a file that was cut off is completed by its date, at any offset and of no other generation;
// past the end it is told how long the file is; and HEAD has the header of GET.
func TestCase07Resume(t *testing.T) {
	h, a := stocked(t, nil)
	good(t, h, inRelease, nil)
	good(t, h, packages, nil)
	index := good(t, h, packages, nil) // what comes while it is verified has no date
	file := good(t, h, "/"+helloPath, a.debs[helloPath])
	if file = good(t, h, "/"+helloPath, nil); file.Header.Get("Last-Modified") == "" {
		t.Fatalf("what is verified has no date: %v", file.Header)
	}
	resume := func(path, from, date string) formattest.Reply {
		t.Helper()
		return h.Do("GET", "/r"+path, http.Header{"Range": {"bytes=" + from}, "If-Range": {date}})
	}
	for path, whole := range map[string]formattest.Reply{packages: index, "/" + helloPath: file} {
		n, date := len(whole.Body), whole.Header.Get("Last-Modified")
		for at := 1; at < n; at += max(1, n/9) {
			r := h.Want(path, resume(path, fmt.Sprintf("%d-", at), date), http.StatusPartialContent)
			if want := fmt.Sprintf("bytes %d-%d/%d", at, n-1, n); r.Header.Get("Content-Range") != want || string(r.Body) != string(whole.Body[at:]) {
				t.Errorf("%s from %d: got %s with %s, want %s and the rest", path, at, r, r.Header.Get("Content-Range"), want)
			}
		}
		was, err := http.ParseTime(date)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []time.Duration{-time.Second, time.Second} {
			h.Good(path+" of another generation", resume(path, "1-", was.Add(other).Format(http.TimeFormat)), whole.Body)
		}
		h.Good(path+" by what is no date", resume(path, "1-", "yesterday"), whole.Body)
		r := h.Want(path+" past its end", resume(path, fmt.Sprintf("%d-", n), date), http.StatusRequestedRangeNotSatisfiable)
		if got, want := r.Header.Get("Content-Range"), fmt.Sprintf("bytes */%d", n); got != want {
			t.Errorf("%s past its end: got Content-Range %q, want %q", path, got, want)
		}
		head := h.Good("HEAD "+path, h.Do("HEAD", "/r"+path, nil), nil)
		for _, name := range []string{"Last-Modified", "Content-Length", "Content-Type", "Accept-Ranges", "Cache-Control", "Etag"} {
			if got, want := head.Header.Get(name), whole.Header.Get(name); got != want {
				t.Errorf("HEAD %s: got %s %q, want %q as GET", path, name, got, want)
			}
		}
	}

	// A new snapshot is another generation: the old date gives all of the new bytes.
	a.Set(helloPath, nil)
	a.Set("pool/main/h/hello/hello_1.1_amd64.deb", deb(t, "hello", "1.1", "amd64", "", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, 0, -1))
	h.Pass(2 * time.Minute)
	good(t, h, inRelease, nil)
	good(t, h, packages, nil)
	fresh := good(t, h, packages, nil)
	h.Good("the new index by the old one's date", resume(packages, "10-", index.Header.Get("Last-Modified")), fresh.Body)
	if string(fresh.Body) == string(index.Body) {
		t.Error("the index is the old one")
	}
}
