package maven

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

// file is the path of a file of a package: rest is its name behind artifact and version.
func file(pkg, version, rest string) string {
	n, _ := nameOf(pkg)
	return "/" + n.file(version, n.artifact+"-"+version+rest)
}

func index(pkg string) string {
	n, _ := nameOf(pkg)
	return "/" + n.dir() + metadataName
}

// jarOf is a jar with one file in it.
func jarOf(t testing.TB, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(text))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pomOf(pkg, version, more string) []byte {
	n, _ := nameOf(pkg)
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>%s
</project>
`, n.group, n.artifact, baseOf(version), more)
}

func sha1Of(b []byte) []byte {
	sum := sha1.Sum(b)
	return []byte(hex.EncodeToString(sum[:]))
}

func metadataOf(pkg string, versions ...string) []byte {
	return metadataAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), pkg, versions...)
}

// metadataAt is the metadata as it was last updated then; if the time is zero it does not say when.
func metadataAt(at time.Time, pkg string, versions ...string) []byte {
	n, _ := nameOf(pkg)
	m := &metadata{Group: n.group, Artifact: n.artifact, Versions: versions}
	if !at.IsZero() {
		m.Updated = at.UTC().Format(dateLayout)
	}
	if len(versions) > 0 {
		m.Latest, m.Release = versions[len(versions)-1], versions[len(versions)-1]
	}
	var b bytes.Buffer
	m.write(&b) // memory does not fail
	return b.Bytes()
}

// lay puts a file and its sha1 on an upstream.
func lay(up *faulty.Server, path string, body []byte, modified time.Time) {
	tag := fmt.Sprintf(`"%s"`, sha1Of(body)[:12])
	up.Put(path, faulty.Object{Body: body, Type: typeOf(path), ETag: tag, Modified: modified})
	up.Put(path+".sha1", faulty.Object{Body: sha1Of(body), Type: "text/plain"})
}

func listed(index []byte) []string {
	var doc struct {
		Versions []string `xml:"versioning>versions>version"`
	}
	if xml.Unmarshal(index, &doc) != nil {
		return nil
	}
	return doc.Versions
}

func ecosystem(t testing.TB) formattest.Ecosystem {
	jar := func(pkg string, r formattest.Release) []byte {
		return jarOf(t, "data.txt", fmt.Sprintf("%s %s %d %s", pkg, r.Version, r.Variant, strings.Repeat("x", 200)))
	}
	return formattest.Ecosystem{
		Format: Format{},
		Root:   "/",
		Put: func(up *faulty.Server, pkg string, releases ...formattest.Release) {
			var versions []string
			var last time.Time
			for _, r := range releases {
				if r.Published.After(last) {
					last = r.Published
				}
				versions = append(versions, r.Version)
				lay(up, file(pkg, r.Version, ".jar"), jar(pkg, r), r.Published)
				lay(up, file(pkg, r.Version, ".pom"), pomOf(pkg, r.Version, ""), r.Published)
			}
			lay(up, index(pkg), metadataAt(last, pkg, versions...), time.Time{})
		},
		Bytes:         jar,
		UpstreamIndex: index,
		UpstreamFile:  func(pkg string, r formattest.Release) string { return file(pkg, r.Version, ".jar") },
		Index:         index,
		File:          func(pkg string, r formattest.Release) string { return file(pkg, r.Version, ".jar") },
		Lists:         func(index []byte, version string) bool { return slices.Contains(listed(index), version) },
		Publish: func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			reply := c.Do("PUT", file(pkg, r.Version, ".pom"), nil, pomOf(pkg, r.Version, ""))
			if reply.Err != nil || reply.Status > 299 {
				return reply
			}
			return c.Do("PUT", file(pkg, r.Version, ".jar"), nil, jar(pkg, r))
		},
		Writes: map[string]func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply{
			"another file": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				return c.Do("PUT", file(pkg, r.Version, "-sources.jar"), nil, jarOf(t, "a", "b"))
			},
			"a sum": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				return c.Do("PUT", file(pkg, r.Version, ".jar.sha1"), nil, sha1Of(jar(pkg, r)))
			},
			"metadata": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				return c.Do("PUT", index(pkg), nil, metadataOf(pkg, r.Version))
			},
			"a delete": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				at := file(pkg, r.Version, ".jar")
				return c.Do("DELETE", at[:strings.LastIndexByte(at, '/')+1], nil, nil)
			},
		},
		Package:   "com.acme:alpha",
		Other:     "com.acmeco:alpha",
		Claim:     "com.acme.*",
		Spellings: []string{"/com/acme/%61lpha/maven-metadata.xml"},
		Unlisted:  true,
		Except:    map[string]string{},
	}
}

func TestFormat(t *testing.T) { formattest.Run(t, ecosystem(t)) }

var _ = http.StatusOK
