package debian

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
)

// TestCase28AnotherPond: a pond that reads through another one has its suites, hosted, curated and verbatim, with their signatures
// byte for byte, and serves them on when it is cut off; of a file that it does not hold it says what it cannot give. (Edges, which
// follow a pond by its events, are not built.)
func TestCase28AnotherPond(t *testing.T) {
	far, a := stocked(t, nil)
	far.Published("hosted", far.As(formattest.Owner).Do("PUT", "/pool/ours/main/x.deb", nil, deb(t, "ours", "1.0", "amd64", "", 0)))
	other := &archive{Up: far.Up, Root: "/debian/", Suite: "dists/curated", ByHash: true}
	other.Set("pool/main/o/other/other_1.0_amd64.deb", deb(t, "other", "1.0", "amd64", "", 0))
	other.Lay(t, formattest.Epoch().AddDate(0, -1, 0))
	c := far.Config("r", far.Up)
	c.Options = map[string]string{"curated": "curated"}
	far.Configure(repo.Settings{}, c)

	near, _ := house(t, nil)
	to := near.Config("r", near.Up)
	at := func(address string) {
		t.Helper()
		var err error
		if to.Upstreams[0].URL, err = url.Parse(address); err != nil {
			t.Fatal(err)
		}
		near.Configure(repo.Settings{}, to)
	}
	at(far.URL + "/r/")
	held := map[string][]byte{}
	ours := "/" + poolFile("ours", "main", "ours", "ours_1.0_amd64.deb")
	for _, path := range []string{inRelease, packages, "/" + helloPath, "/dists/ours/InRelease", "/dists/ours/main/binary-amd64/Packages.gz", ours,
		"/dists/curated/InRelease", "/dists/curated/main/binary-amd64/Packages"} {
		held[path] = good(t, far, path, nil).Body
		good(t, near, path, held[path])
		dir, file := split(path)
		if strings.HasPrefix(file, "Packages") {
			good(t, near, dir+"/by-hash/SHA256/"+hexSHA(held[path]), held[path])
		}
	}
	if string(held["/"+helloPath]) != string(a.debs[helloPath]) {
		t.Error("the file is not the upstream's")
	}

	at("http://127.0.0.1:1/r/")
	near.Pass(24 * time.Hour)
	for path, want := range held {
		good(t, near, path, want)
	}
	r := near.Want("a file that is not held", near.Get("/pool/main/o/other/other_1.0_amd64.deb"), http.StatusServiceUnavailable)
	if !strings.Contains(string(r.Body), "other") || r.Header.Get("Retry-After") == "" {
		t.Errorf("of a file that is not held: got %s, want its name", r)
	}
}

// TestCase28Verified: a pond takes another one's suites by its key, and none that another key has signed.
func TestCase28Verified(t *testing.T) {
	for name, good := range map[string]bool{"its key": true, "another key": false} {
		t.Run(name, func(t *testing.T) {
			far, _ := house(t, nil)
			far.Published("hosted", far.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, deb(t, "ours", "1.0", "amd64", "", 0)))
			key := far.Good("key", far.Get("/key.asc"), nil).Body
			if !good {
				var err error
				if key, err = aKey(t, "another").public(true); err != nil {
					t.Fatal(err)
				}
			}
			near, _ := house(t, map[string]string{"verify": "keyring", "keyring": string(key)})
			to := near.Config("r", near.Up)
			var err error
			if to.Upstreams[0].URL, err = url.Parse(far.URL + "/r/"); err != nil {
				t.Fatal(err)
			}
			near.Configure(repo.Settings{}, to)
			if good {
				near.Good("by its key", near.Get(inRelease), far.Get(inRelease).Body)
			} else {
				near.Want("by another key", near.Get(inRelease), http.StatusServiceUnavailable)
			}
		})
	}
}
