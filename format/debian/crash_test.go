package debian

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"millpond/format/formattest"
)

// TestCase02Crash: a pond that dies at any write while a new Release comes in has the old snapshot or the new one, never a mix,
// and the indexes of those before by hash; so has one that dies while it makes a Release of its own. Each goes on from there.
func TestCase02Crash(t *testing.T) {
	for name, options := range map[string]map[string]string{"an upstream's suite": nil, "a curated suite": {"curated": "stable"}} {
		t.Run(name, func(t *testing.T) {
			step := 7 // one of all of them is slow
			if os.Getenv("DEBIANTEST_ROUNDS") != "" {
				step = 1
			}
			for i, after := range []bool{false, true} {
				for n := 1 + 2*i*(step/7); ; n += step {
					if hit := crashAt(t, options, n, after); !hit {
						if n < 8 {
							t.Errorf("a new Release took %d writes", n-1)
						}
						break
					}
					if t.Failed() || n > 200 {
						t.Fatalf("write %d, after: %v", n, after)
					}
				}
			}
		})
	}
}

func crashAt(t *testing.T, options map[string]string, n int, after bool) (hit bool) {
	h, a := stocked(t, options)
	byHash := func(b []byte) string { return "/dists/stable/main/binary-amd64/by-hash/SHA256/" + hexSHA(b) }
	var before [][]byte
	for generation := range 3 {
		a.Set(fmt.Sprintf("pool/main/h/hello/hello_2.%d_amd64.deb", generation), deb(t, "hello", fmt.Sprintf("2.%d", generation), "amd64", "", 0))
		a.Lay(t, formattest.Epoch().AddDate(0, -1, generation))
		h.Pass(2 * time.Minute)
		good(t, h, inRelease, nil)
		before = append(before, good(t, h, packages, nil).Body, good(t, h, packages+".gz", nil).Body)
	}
	a.Set("pool/main/n/new/new_1_amd64.deb", deb(t, "new", "1", "amd64", "", 0))
	a.Lay(t, formattest.Epoch().AddDate(0, -1, 4))
	h.Pass(2 * time.Minute)
	h.CrashAt(n, after)
	for _, path := range []string{inRelease, packages, packages + ".gz"} {
		h.Get(path) // whatever the answer is: nobody may be left to hear it
	}
	hit = h.Mended()
	whole := func(what string) string {
		t.Helper()
		release := string(good(t, h, inRelease, nil).Body)
		for _, path := range []string{packages, packages + ".gz"} {
			index := good(t, h, path, nil).Body
			if !strings.Contains(release, hexSHA(index)) {
				t.Errorf("%s, a crash at write %d (after: %v): %s is not that of the Release", what, n, after, path)
			}
			good(t, h, byHash(index), index)
		}
		for _, b := range before {
			good(t, h, byHash(b), b)
		}
		return release
	}
	h.Up.Refuse()
	was := whole("the upstream gone")
	if err := h.Up.Accept(); err != nil {
		t.Fatal(err)
	}
	h.Pass(20 * time.Minute)
	if is := whole("the upstream back"); is == was && !strings.Contains(string(good(t, h, packages, nil).Body), "Package: new\n") {
		t.Errorf("after a crash at write %d (after: %v) the new Release does not come", n, after)
	}
	return hit
}
