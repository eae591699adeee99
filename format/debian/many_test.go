package debian

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
)

// TestMany publishes into a suite of many packages and says how long the next reader waits: MANY=60000 is that of the bench.
func TestMany(t *testing.T) {
	n := 500 // more than are one bucket
	if s := os.Getenv("MANY"); s != "" {
		fmt.Sscan(s, &n)
	}
	h, _ := house(t, nil)
	r := h.As(formattest.Owner).Repo()
	h.As(formattest.Owner).Do("PUT", "/dists/stable/Release", nil, nil)
	up, err := r.Upload(t.Context(), format.Uploading{Package: "x", Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	body := deb(t, "xx", "1.0", "amd64", "", 0)
	if _, err := up.Write(body); err != nil {
		t.Fatal(err)
	}
	blob, err := up.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	up.Close()
	for i := range n {
		name := fmt.Sprintf("package-%05d", i)
		path := poolFile("stable", "main", name, name+"_1.0_amd64.deb")
		stanza := stanzaOf(t, path, body) + "Homepage: https://up.example/" + strings.Repeat(name, 20) + "\n"
		meta, err := json.Marshal(listing{Suite: "stable", Component: "main", Kind: "deb", Stanza: strings.Replace(stanza, "Package: xx", "Package: "+name, 1)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Publish(t.Context(), format.Release{Package: name, Grows: true, Version: millpond.Version{Name: "1.0",
			Files: []millpond.File{{Name: path, Blob: blob, Platform: "amd64", Digests: []millpond.Digest{blob}, Meta: meta}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	good(t, h, "/dists/stable/InRelease", nil)
	t.Logf("%d packages: the first Release after %v", n, time.Since(began))
	before := good(t, h, "/dists/stable/main/binary-amd64/Packages", nil)
	if got := strings.Count(string(before.Body), "Package: "); got != n {
		t.Errorf("the index lists %d packages, want %d", got, n)
	}
	for i := range 3 {
		began = time.Now()
		h.Published("one more", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, deb(t, "one-more", fmt.Sprintf("1.%d", i), "amd64", "", 0)))
		published := time.Since(began)
		release := good(t, h, "/dists/stable/InRelease", nil)
		t.Logf("%d packages: one more published after %v, and in the Release after %v", n, published, time.Since(began))
		after := good(t, h, "/dists/stable/main/binary-amd64/Packages", nil)
		if !strings.Contains(string(after.Body), fmt.Sprintf("Package: one-more\nVersion: 1.%d\n", i)) || !strings.Contains(string(release.Body), hexSHA(after.Body)) {
			t.Errorf("the index is not that of the Release, or has not the package")
		}
		packedIndex := good(t, h, "/dists/stable/main/binary-amd64/Packages.gz", nil)
		if !strings.Contains(string(release.Body), hexSHA(packedIndex.Body)) {
			t.Error("the packed index is not that of the Release")
		}
		good(t, h, "/dists/stable/main/binary-amd64/by-hash/SHA256/"+hexSHA(before.Body), before.Body)
		part := h.Do("GET", "/r/dists/stable/main/binary-amd64/by-hash/SHA256/"+hexSHA(after.Body), map[string][]string{"Range": {"bytes=1000-1999"}})
		if string(part.Body) != string(after.Body[1000:2000]) {
			t.Errorf("a range over pieces: got %s", part)
		}
	}
}
