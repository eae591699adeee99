package pear

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

const testChannel = "pear.upstream.example"

// A member of an archive.
type member struct{ name, body string }

// packed is an archive of members, in order.
func packed(members ...member) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.body))}
		if link, ok := strings.CutPrefix(m.body, "->"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, link, 0
			w.WriteHeader(h)
			continue
		}
		w.WriteHeader(h)
		w.Write([]byte(m.body))
	}
	w.Close()
	z.Close() // memory does not fail
	return b.Bytes()
}

// packageXML is a package.xml of one file.
func packageXML(channel, name, version, stability, body, deps string) string {
	sum := md5.Sum([]byte(body))
	if deps == "" {
		deps = "<php><min>5.2.0</min></php><pearinstaller><min>1.4.0</min></pearinstaller>"
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<package packagerversion="1.10.13" version="2.0">
 <name>%[2]s</name>
 <channel>%[1]s</channel>
 <summary>Says &lt;hello&gt;</summary>
 <description>Says hello, %[3]s.</description>
 <lead><name>Ada</name><user>ada</user><email>ada@acme.example</email><active>yes</active></lead>
 <date>2020-01-02</date><time>03:04:05</time>
 <version><release>%[3]s</release><api>1.0.0</api></version>
 <stability><release>%[4]s</release><api>stable</api></stability>
 <license uri="http://acme.example/licence">MIT</license>
 <notes>First &amp; last</notes>
 <contents><dir name="/"><file name="%[2]s.php" role="php" md5sum="%[5]s"/></dir></contents>
 <dependencies><required>%[6]s</required></dependencies>
 <phprelease/>
</package>
`, channel, name, version, stability, hex.EncodeToString(sum[:]), deps)
}

func archiveOf(channel, name, version, stability string, variant int, more ...member) []byte {
	body := fmt.Sprintf("<?php // %s %s %d %s\n", name, version, variant, strings.Repeat("hello ", 50))
	return packed(append([]member{{"package.xml", packageXML(channel, name, version, stability, body, "")}, {name + "-" + version + "/" + name + ".php", body}}, more...)...)
}

// harmOf is what publishing refuses a release for.
func harmOf(r formattest.Release) []member {
	if r.Refused {
		return []member{{"../harm.php", ""}}
	}
	return nil
}

func releaseDoc(channel, name, version, stability, scheme string, published time.Time) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" ?>
<r xmlns:xlink="http://www.w3.org/1999/xlink"><p xlink:href="/rest/p/%s">%s</p><c>%s</c><v>%s</v><st>%s</st><l>MIT</l><m>ada</m>
<s>s</s><d>d</d><da>%s</da><n>n</n><f>100</f><g>%s://%s/get/%s-%s</g><x xlink:href="package.%s.xml"/></r>
`, strings.ToLower(name), name, channel, version, stability, published.UTC().Format("2006-01-02 15:04:05"), scheme, channel, name, version, version)
}

func channelDoc(channel, scheme string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8" ?>
<channel version="1.0"><name>%[1]s</name><suggestedalias>up</suggestedalias><summary>Upstream, see %[2]s://%[1]s/about</summary>
<servers><primary><rest><baseurl type="REST1.0">%[2]s://%[1]s/rest/</baseurl><baseurl type="REST1.1">%[2]s://%[1]s/rest/</baseurl>
<baseurl type="REST1.3">%[2]s://%[1]s/rest/</baseurl></rest></primary></servers></channel>
`, channel, scheme)
}

func object(body, kind string) faulty.Object {
	sum := md5.Sum([]byte(body))
	return faulty.Object{Body: []byte(body), Type: kind, ETag: `"` + hex.EncodeToString(sum[:]) + `"`, Modified: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// lay puts a package on an upstream that is a channel. Its releases are stable where their version has no letters.
func lay(up *faulty.Server, channel, name, scheme string, releases ...formattest.Release) {
	lower := strings.ToLower(name)
	all, all2 := "", ""
	for i := len(releases) - 1; i >= 0; i-- {
		r := releases[i]
		stability := stabilityOf(r.Version)
		all += fmt.Sprintf("<r><v>%s</v><s>%s</s></r>", r.Version, stability)
		all2 += fmt.Sprintf("<r><v>%s</v><s>%s</s><m>5.2.0</m></r>", r.Version, stability)
		at := "/rest/r/" + lower + "/"
		up.Put(at+r.Version+".xml", object(releaseDoc(channel, name, r.Version, stability, scheme, r.Published), "application/xml"))
		up.Put(at+"deps."+r.Version+".txt", object(`a:1:{s:8:"required";a:1:{s:3:"php";a:1:{s:3:"min";s:5:"5.2.0";}}}`, "text/plain"))
		up.Put(at+"package."+r.Version+".xml", object(packageXML(channel, name, r.Version, stability, "", ""), "application/xml"))
		o := object(string(archiveOf(channel, name, r.Version, stability, r.Variant, harmOf(r)...)), "application/octet-stream")
		up.Put("/get/"+name+"-"+r.Version+".tgz", o)
	}
	const list = `<?xml version="1.0" encoding="UTF-8" ?><a><p>%s</p><c>%s</c>%s</a>`
	up.Put("/rest/r/"+lower+"/allreleases.xml", object(fmt.Sprintf(list, name, channel, all), "text/html"))
	up.Put("/rest/r/"+lower+"/allreleases2.xml", object(fmt.Sprintf(list, name, channel, all2), "text/html"))
	up.Put("/rest/p/"+lower+"/info.xml", object("<p><n>"+name+"</n><c>"+channel+"</c><s>of the upstream</s></p>", "text/html"))
	up.Put("/channel.xml", object(channelDoc(channel, scheme), "text/html"))
	up.Put("/rest/p/packages.xml", object("<a><c>"+channel+"</c><p>"+name+"</p></a>", "text/html"))
}

func stabilityOf(version string) string {
	for _, s := range []string{"alpha", "beta"} {
		if strings.Contains(version, s[:1]) {
			return s
		}
	}
	return "stable"
}

// ecosystem is PEAR as the suite drives it.
func ecosystem() formattest.Ecosystem {
	name := func(pkg string) string {
		_, pkg, _ = strings.Cut(pkg, "/")
		return strings.ToUpper(pkg[:1]) + pkg[1:]
	}
	path := func(pkg string, kind Kind, version string) string {
		channel, _, _ := strings.Cut(pkg, "/")
		return Path{Kind: kind, Channel: channel, Name: name(pkg), Version: version}.String()
	}
	up := func(pkg string, kind Kind, version string) string {
		return Path{Kind: kind, Name: name(pkg), Version: version}.String()
	}
	bytesOf := func(pkg string, r formattest.Release) []byte {
		return archiveOf(testChannel, name(pkg), r.Version, stabilityOf(r.Version), r.Variant, harmOf(r)...)
	}
	return formattest.Ecosystem{
		Format:  Format{},
		Root:    "/",
		Options: map[string]string{"channel": testChannel, "upstream_channel": testChannel},
		Put: func(s *faulty.Server, pkg string, releases ...formattest.Release) {
			lay(s, testChannel, name(pkg), "http", releases...)
		},
		Bytes:         bytesOf,
		UpstreamIndex: func(pkg string) string { return up(pkg, Releases2, "") },
		UpstreamFile:  func(pkg string, r formattest.Release) string { return up(pkg, Archive, r.Version) },
		Index:         func(pkg string) string { return path(pkg, Releases2, "") },
		File:          func(pkg string, r formattest.Release) string { return path(pkg, Archive, r.Version) },
		Lists: func(index []byte, version string) bool {
			return bytes.Contains(index, []byte("<v>"+version+"</v>"))
		},
		Publish: func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("PUT", path(pkg, Archive, r.Version), nil, bytesOf(pkg, r))
		},
		Writes: map[string]func(formattest.Client, string, formattest.Release) formattest.Reply{
			"post to the channel": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
				return c.Do("POST", "/"+testChannel+"/", nil, bytesOf(pkg, r))
			},
		},
		Package: testChannel + "/alpha",
		Other:   testChannel + "/beta",
		Spellings: []string{
			"/" + testChannel + "/rest/r/ALPHA/allreleases2.xml", "/PEAR.Upstream.Example/rest/r/Alpha/allreleases2.xml", "/" + testChannel + "/rest/r/al%70ha/allreleases2.xml",
		},
		Except: map[string]string{
			"other bytes under a known name": "no list declares digests, so that nothing tells of the change; the first bytes stay: TestCase10",
		},
	}
}

func TestFormat(t *testing.T) { formattest.Run(t, ecosystem()) }
