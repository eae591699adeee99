package debian

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

// poolOf is where the suite's packages lie, upstream and here: each package has a suite of its own name.
func poolOf(pkg, version string) string {
	return poolFile(pkg, "main", pkg, pkg+"_"+version+"_amd64.deb")
}

func TestFormat(t *testing.T) {
	var mu sync.Mutex
	dates := map[string]int{}
	bytesOf := func(pkg string, r formattest.Release) []byte {
		body := deb(t, pkg, r.Version, "amd64", "", r.Variant)
		if r.Refused {
			body = bytes.Replace(body, []byte("2.0\n"), []byte("3.0\n"), 1) // a format that is not read here
		}
		return body
	}
	verbatim := "a signed index is served as it was signed: see "
	formattest.Run(t, formattest.Ecosystem{
		Format:  Format{},
		Root:    "/debian/",
		Options: map[string]string{"architectures": "amd64"},
		Put: func(up *faulty.Server, pkg string, releases ...formattest.Release) {
			a := archive{Up: up, Root: "/debian/", Suite: "dists/" + pkg}
			for _, r := range releases {
				a.Set(poolOf(pkg, r.Version), bytesOf(pkg, r))
			}
			mu.Lock()
			dates[pkg]++
			date := formattest.Epoch().AddDate(-1, 0, dates[pkg]%300)
			mu.Unlock()
			a.Lay(t, date)
		},
		Bytes:         bytesOf,
		UpstreamIndex: func(pkg string) string { return "/debian/dists/" + pkg + "/InRelease" },
		UpstreamFile:  func(pkg string, r formattest.Release) string { return "/debian/" + poolOf(pkg, r.Version) },
		Index:         func(pkg string) string { return "/dists/" + pkg + "/main/binary-amd64/Packages" },
		File:          func(pkg string, r formattest.Release) string { return "/" + poolOf(pkg, r.Version) },
		Lists: func(index []byte, version string) bool {
			return slices.Contains(strings.Split(string(index), "\n"), "Version: "+version)
		},
		Publish: func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			// The suite is made by whoever runs the archive.
			c.House.As(formattest.Owner).Do("PUT", "/dists/"+pkg+"/Release", nil, []byte("Architectures: amd64\n"))
			return c.Do("PUT", "/pool/"+pkg+"/main/x.deb", nil, bytesOf(pkg, r))
		},
		Writes: map[string]func(formattest.Client, string, formattest.Release) formattest.Reply{
			"delete": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				return c.Do("DELETE", "/"+poolOf(pkg, r.Version), nil, nil)
			},
			"make a suite": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				return c.Do("PUT", "/dists/suite-of-"+pkg+"/Release", nil, []byte("Label: x\n"))
			},
		},
		Claim:     "*alpha",
		Spellings: []string{"/dists/%61lpha/main/binary-amd64/Packages", "/dists/alpha/./main/binary-amd64/Packages"},
		Except: map[string]string{
			"a held back version is hidden and refused":               verbatim + "TestHold",
			"a hold runs out by itself":                               verbatim + "TestHold",
			"a blocked name is refused on every route":                verbatim + "TestBlock",
			"offline shows and serves what is held":                   verbatim + "TestCase04",
			"layers unite by version":                                 verbatim + "a suite is of one layer",
			"what is hosted joins the upstream, and nothing is mixed": verbatim + "a suite is of one layer",
			"what is hosted below hides the upstream":                 "a Release that is made here is signed, and served, where it was published into",
			"encodings have bytes and tags of their own":              "indexes are files, packed by whoever signed them",
			"a sudden absence is doubted":                             "a suite that its upstream has no more is kept, flagged",
			"other bytes under a known name":                          "a replaced file is another file: see TestCase10",
			"a version that vanishes upstream":                        "an older snapshot lists it: see TestCase10",
		},
	})
}

func house(t *testing.T, options map[string]string) (*formattest.House, *archive) {
	t.Helper()
	h := formattest.New(t, formattest.Ecosystem{Format: Format{}, Root: "/debian/", Options: options})
	return h, &archive{Up: h.Up, Root: "/debian/", Suite: "dists/stable", ByHash: true}
}

func good(t *testing.T, h *formattest.House, path string, want []byte) formattest.Reply {
	t.Helper()
	return h.Good(path, h.Get(path), want)
}
