package raw

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

func pathOf(pkg string, r formattest.Release) string { return pkg + "/" + r.Version + ".bin" }

func bytesOf(pkg string, r formattest.Release) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%s %s %d\n", pkg, r.Version, r.Variant), 40)
}

// ecosystem is a directory for each package, with a file for each release.
func ecosystem() formattest.Ecosystem {
	return formattest.Ecosystem{
		Format: Format{},
		Root:   "/tree/",
		Bytes:  bytesOf,
		UpstreamFile: func(pkg string, r formattest.Release) string {
			return "/tree/" + pathOf(pkg, r)
		},
		File:    func(pkg string, r formattest.Release) string { return "/" + pathOf(pkg, r) },
		Claim:   "alpha/*",
		Heads:   true,
		Options: map[string]string{},
		Record: func(pkg string, r formattest.Release) millpond.Key {
			return millpond.Key{Package: pathOf(pkg, r), Version: "1"}
		},
	}
}

// TestReadThrough runs the suite over a tree of files, where the index of a package is a file that changes.
func TestReadThrough(t *testing.T) {
	e := ecosystem()
	e.Put = func(up *faulty.Server, pkg string, releases ...formattest.Release) {
		var list strings.Builder
		for _, r := range releases {
			body := bytesOf(pkg, r)
			fmt.Fprintln(&list, r.Version)
			up.Put("/tree/"+pathOf(pkg, r), faulty.Object{Body: body, Modified: r.Published, ETag: fmt.Sprintf(`"%s-%d"`, r.Version, r.Variant),
				Header: http.Header{"X-Checksum-Sha256": {millpond.SHA256(body).Hex()}}})
		}
		up.Put("/tree/"+pkg+"/list.txt", faulty.Object{Body: []byte(list.String()), Type: "text/plain; charset=utf-8",
			ETag: fmt.Sprintf(`"%d"`, len(releases)), Modified: releases[0].Published})
	}
	e.UpstreamIndex = func(pkg string) string { return "/tree/" + pkg + "/list.txt" }
	e.Index = func(pkg string) string { return "/" + pkg + "/list.txt" }
	e.Lists = func(index []byte, version string) bool {
		for line := range strings.Lines(string(index)) {
			if strings.TrimSpace(line) == version {
				return true
			}
		}
		return false
	}
	const aFile = "the index of this run is a file like any other: "
	e.Except = map[string]string{
		"a held back version is hidden and refused":  aFile + "see TestHold",
		"a hold runs out by itself":                  aFile + "see TestHold",
		"other bytes under a known name":             "a path moves to other bytes by design: see TestMoves",
		"a version that vanishes upstream":           "each path is a package: see TestVanishes",
		"layers hide, and do not mix":                "layers hide path by path: see TestLayers",
		"layers unite by version":                    "layers hide path by path: see TestLayers",
		"encodings have bytes and tags of their own": aFile + "it is given as it is",
		"offline shows and serves what is held":      aFile + "see TestOffline",
		"fill modes":                                 aFile + "see TestFillModes",
		"an empty file":                              "a file may be empty",
	}
	formattest.Run(t, e)
}

var link = regexp.MustCompile(`href="([^"]*)"`)

// TestHosted runs the suite over what is put here, where the index of a package is its directory.
func TestHosted(t *testing.T) {
	e := ecosystem()
	e.Options["overwrite"] = "deny"
	e.Put = func(up *faulty.Server, pkg string, releases ...formattest.Release) {
		for _, r := range releases {
			up.Put("/tree/"+pathOf(pkg, r), faulty.Object{Body: bytesOf(pkg, r), Modified: r.Published})
		}
	}
	e.UpstreamIndex = func(pkg string) string { return "/tree/" + pkg + "/" }
	e.Index = func(pkg string) string { return "/" + pkg + "/?format=json" }
	e.Lists = func(index []byte, version string) bool {
		var page listing
		if json.Unmarshal(index, &page) != nil {
			return false
		}
		for _, one := range page.Entries {
			if one.Name == version+".bin" {
				return true
			}
		}
		return false
	}
	e.Links = func(index []byte, from *url.URL) (out []string) {
		for _, m := range link.FindAllSubmatch(index, -1) {
			if u, err := from.Parse(string(m[1])); err == nil {
				out = append(out, u.String())
			}
		}
		return out
	}
	e.Publish = func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("PUT", "/"+pathOf(pkg, r), nil, bytesOf(pkg, r))
	}
	e.Writes = map[string]func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply{
		"delete": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("DELETE", "/"+pathOf(pkg, r), nil, nil)
		},
		"delete of the directory": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("DELETE", "/"+pkg+"/?recursive=1", nil, nil)
		},
	}
	e.Withdrawn = func(index []byte, version string) bool {
		var page listing
		if json.Unmarshal(index, &page) != nil {
			return false
		}
		for _, one := range page.Entries {
			if one.Name == version+".bin" {
				return one.Yanked
			}
		}
		return false
	}
	e.Elsewhere = "TestReadThrough has them"
	const aPath = "a path is a package, not its directory: "
	e.Except = map[string]string{
		"an upstream's name wants a claim":                        aPath + "see TestUpstreamsPath",
		"what is hosted hides the upstream":                       aPath + "see TestUpstreamsPath",
		"what is hosted below hides the upstream":                 aPath + "see TestBucketBelow",
		"what is hosted joins the upstream, and nothing is mixed": aPath + "see TestUpstreamsPath",
		"a deleted name stays hidden":                             aPath + "see TestDelete",
	}
	formattest.Run(t, e)
}
