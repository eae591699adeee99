package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

const root = "/registry/"

// ecosystem is npm as the suite drives it: a scoped package, whose name has the most spellings.
var ecosystem = formattest.Ecosystem{
	Format:        Format{},
	Root:          root,
	Put:           putPackage,
	Bytes:         tarball,
	UpstreamIndex: func(pkg string) string { return root + escapeName(pkg) },
	UpstreamFile: func(pkg string, r formattest.Release) string {
		return root + tarballPath(pkg, standardFile(pkg, r.Version))
	},
	Index: func(pkg string) string { return "/" + escapeName(pkg) },
	File: func(pkg string, r formattest.Release) string {
		return "/" + tarballPath(pkg, standardFile(pkg, r.Version))
	},
	Header: http.Header{"Accept": {corgi}},
	Lists: func(index []byte, version string) bool {
		var doc struct {
			Versions map[string]json.RawMessage `json:"versions"`
			Time     map[string]string          `json:"time"`
			Tags     map[string]string          `json:"dist-tags"`
		}
		if json.Unmarshal(index, &doc) != nil {
			return false
		}
		_, listed := doc.Versions[version]
		return listed
	},
	Links: func(index []byte, from *url.URL) (links []string) {
		var doc struct {
			Versions map[string]struct{ Dist struct{ Tarball string } } `json:"versions"`
		}
		if json.Unmarshal(index, &doc) != nil {
			return nil
		}
		for _, v := range doc.Versions {
			links = append(links, v.Dist.Tarball)
		}
		return links
	},
	Package:   "@acme/widget",
	Other:     "left-pad",
	Claim:     "@acme/*",
	Spellings: []string{"/@acme%2fwidget", "/@acme%2Fwidget", "/%40acme%2fwidget", "/%40acme%2Fwidget", "/@acme/widget"},
	Published: true,
	Publish: func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("PUT", "/"+escapeName(pkg), jsonBody, publishBody(pkg, r))
	},
	Writes: changes,
	Withdrawn: func(index []byte, version string) bool {
		var doc struct {
			Versions map[string]struct{ Deprecated string } `json:"versions"`
		}
		return json.Unmarshal(index, &doc) == nil && doc.Versions[version].Deprecated == "this version was yanked: it is broken"
	},
}

// jsonBody are the headers of what npm sends.
var jsonBody = http.Header{"Content-Type": {"application/json"}}

// publishBody is what npm sends to publish a release.
func publishBody(pkg string, r formattest.Release) []byte {
	j := newJob(pkg, r.Version)
	j.tgz = tarball(pkg, r)
	return j.body()
}

// changes are the other requests by which a client changes something. Those that want the revision ask for it as the owner:
// the caller, who may know it from before, is judged by the change alone.
var changes = map[string]func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply{
	"deprecate": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		doc := forEdit(c, pkg)
		doc["versions"].(map[string]any)[r.Version].(map[string]any)["deprecated"] = "use another"
		return c.Do("PUT", "/"+escapeName(pkg), jsonBody, mustJSON(doc))
	},
	"unpublish a version": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		doc := forEdit(c, pkg)
		delete(doc["versions"].(map[string]any), r.Version)
		return c.Do("PUT", "/"+escapeName(pkg)+"/-rev/"+doc["_rev"].(string), jsonBody, mustJSON(doc))
	},
	"unpublish all": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("DELETE", "/"+escapeName(pkg)+"/-rev/"+forEdit(c, pkg)["_rev"].(string), nil, nil)
	},
	"remove a file": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		rev := forEdit(c, pkg)["_rev"].(string)
		return c.Do("DELETE", "/"+escapeName(pkg)+"/-/"+standardFile(pkg, r.Version)+"/-rev/"+rev, nil, nil)
	},
	"set a tag": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("PUT", "/-/package/"+escapeName(pkg)+"/dist-tags/next", jsonBody, mustJSON(r.Version))
	},
	"set all tags": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("PUT", "/-/package/"+escapeName(pkg)+"/dist-tags", jsonBody, mustJSON(map[string]string{"next": r.Version}))
	},
	"remove a tag": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("DELETE", "/-/package/"+escapeName(pkg)+"/dist-tags/next", nil, nil)
	},
	"ask for the packument to edit": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("GET", "/"+escapeName(pkg)+"?write=true", nil, nil)
	},
}

// forEdit is the packument as the owner gets it to edit it.
func forEdit(c formattest.Client, pkg string) map[string]any {
	c.House.T.Helper()
	got := c.House.As(formattest.Owner).Do("GET", "/"+escapeName(pkg)+"?write=true", nil, nil)
	var doc map[string]any
	if err := json.Unmarshal(got.Body, &doc); err != nil {
		c.House.T.Fatalf("%s for editing: got %s", pkg, got)
	}
	return doc
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func TestSuite(t *testing.T) { formattest.Run(t, ecosystem) }

// puts makes time.modified go on: a registry's clock does.
var puts atomic.Int64

// putPackage lays a packument and its tarballs on an upstream.
func putPackage(up *faulty.Server, pkg string, releases ...formattest.Release) {
	doc := packument(up, pkg, releases...)
	putDocument(up, pkg, doc)
}

func putDocument(up *faulty.Server, pkg string, doc any) {
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	sum := sha1.Sum(text)
	up.Put(root+escapeName(pkg), faulty.Object{Body: text, Type: "application/json", ETag: `"` + hex.EncodeToString(sum[:8]) + `"`})
}

// packument lays tarballs on an upstream and returns the packument that lists them.
func packument(up *faulty.Server, pkg string, releases ...formattest.Release) map[string]any {
	versions, times := map[string]any{}, map[string]any{"modified": writeTime(formattest.Epoch().Add(time.Duration(puts.Add(1)) * time.Millisecond))}
	latest := ""
	for _, r := range releases {
		body := tarball(pkg, r)
		sum1, sum512 := sha1.Sum(body), sha512.Sum512(body)
		at := root + tarballPath(pkg, standardFile(pkg, r.Version))
		versions[r.Version] = map[string]any{
			"name": pkg, "version": r.Version, "description": "made for a test",
			"dist": map[string]any{
				"tarball": up.URL + at, "shasum": hex.EncodeToString(sum1[:]),
				"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum512[:]),
			},
		}
		times[r.Version] = writeTime(r.Published)
		if compareVersions(r.Version, latest) > 0 {
			latest = r.Version
		}
		up.Put(at, faulty.Object{Body: body, Type: "application/octet-stream", ETag: `"` + hex.EncodeToString(sum1[:8]) + `"`})
	}
	doc := map[string]any{"_id": pkg, "name": pkg, "dist-tags": map[string]any{}, "versions": versions, "time": times}
	if latest != "" {
		doc["dist-tags"] = map[string]any{"latest": latest}
	}
	return doc
}

// tarball is a package that can be installed.
func tarball(pkg string, r formattest.Release) []byte {
	files := []struct{ name, text string }{
		{"package.json", fmt.Sprintf(`{"name":%q,"version":%q}`, pkg, r.Version)},
		{"index.js", fmt.Sprintf("module.exports = %q\n", strings.Repeat(fmt.Sprintf("%s %s %d;", pkg, r.Version, r.Variant), 50))},
	}
	if r.Refused {
		files = append(files, struct{ name, text string }{"../harm.js", ""})
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: "package/" + f.name, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}
