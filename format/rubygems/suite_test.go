package rubygems

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

const root = "/gems.example/"

var ecosystem = formattest.Ecosystem{
	Format:        Format{},
	Root:          root,
	Put:           putGem,
	Bytes:         gemBytes,
	UpstreamIndex: func(pkg string) string { return root + "info/" + pkg },
	UpstreamFile:  func(pkg string, r formattest.Release) string { return root + "gems/" + gemFile(pkg, r.Version) },
	Index:         func(pkg string) string { return "/info/" + pkg },
	File:          func(pkg string, r formattest.Release) string { return "/gems/" + gemFile(pkg, r.Version) },
	Lists:         func(index []byte, version string) bool { return slices.Contains(listed(index), version) },
	Published:     true,
	Publish: func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("POST", "/api/v1/gems", http.Header{"Content-Type": {"application/octet-stream"}}, gemBytes(pkg, r))
	},
	Writes: map[string]func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply{
		"yank": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return yankAs(c, pkg, r.Version, "")
		},
		"ask for the owners": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("GET", "/api/v1/gems/"+pkg+"/owners.yaml", nil, nil)
		},
		"add an owner": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("POST", "/api/v1/gems/"+pkg+"/owners", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte("email=x"))
		},
		"remove an owner": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("DELETE", "/api/v1/gems/"+pkg+"/owners", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte("email=x"))
		},
	},
}

// yankAs is what gem yank sends.
func yankAs(c formattest.Client, pkg, version, platform string) formattest.Reply {
	form := url.Values{"gem_name": {pkg}, "version": {version}}
	if platform != "" {
		form.Set("platform", platform)
	}
	return c.Do("DELETE", "/api/v1/gems/yank", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(form.Encode()))
}

func TestSuite(t *testing.T) { formattest.Run(t, ecosystem) }

// stock is what an upstream's versions say.
var stock = struct {
	sync.Mutex
	of map[*faulty.Server]map[string]string
}{of: map[*faulty.Server]map[string]string{}}

// putGem lays a gem's info, its files and its line of versions on an upstream.
func putGem(up *faulty.Server, pkg string, releases ...formattest.Release) {
	info, names := "---\n", []string(nil)
	for _, r := range releases {
		gem := gemBytes(pkg, r)
		sum := sha256.Sum256(gem)
		spec, err := readMetadata(bytes.NewReader(gem))
		if err != nil {
			panic(err)
		}
		info += spec.line(hex.EncodeToString(sum[:]), r.Published) + "\n"
		names = append(names, r.Version)
		up.Put(root+"gems/"+gemFile(pkg, r.Version), faulty.Object{Body: gem, Type: "application/octet-stream", ETag: `"` + hex.EncodeToString(sum[:8]) + `"`})
		var quick bytes.Buffer
		if err := spec.quick(&quick); err != nil {
			panic(err)
		}
		up.Put(root+"quick/Marshal.4.8/"+quickFile(pkg, r.Version), faulty.Object{Body: quick.Bytes(), Type: "application/octet-stream"})
	}
	sum := putText(up, "info/"+pkg, info)
	stock.Lock()
	defer stock.Unlock()
	if stock.of[up] == nil {
		stock.of[up] = map[string]string{}
	}
	stock.of[up][pkg] = pkg + " " + strings.Join(names, ",") + " " + sum + "\n"
	text := "created_at: 2026-11-01T00:00:00Z\n---\n"
	for _, line := range stock.of[up] {
		text += line
	}
	putText(up, "versions", text)
}

// putText lays a document with the entity tag that Bundler expects, and returns its md5.
func putText(up *faulty.Server, path, text string) string {
	sum := md5.Sum([]byte(text))
	tag := hex.EncodeToString(sum[:])
	up.Put(root+path, faulty.Object{Body: []byte(text), Type: "text/plain", ETag: `"` + tag + `"`})
	return tag
}

// gemBytes is a gem that can be installed.
func gemBytes(pkg string, r formattest.Release) []byte {
	files := map[string]string{
		"lib/" + pkg + ".rb": fmt.Sprintf("# %s %s %d\n", pkg, r.Version, r.Variant) + strings.Repeat("# a line of a library\n", 40),
	}
	if r.Refused {
		files["../harm.rb"] = ""
	}
	return makeGem(metadata(pkg, r.Version, ""), files)
}

// metadata is the YAML of a gemspec; more are further lines of it.
func metadata(name, version, more string) string {
	number, platform := split(version)
	return `--- !ruby/object:Gem::Specification
name: ` + name + `
version: !ruby/object:Gem::Version
  version: ` + number + `
platform: ` + platform + `
authors:
- Alice
bindir: bin
date: 2026-11-21 00:00:00.000000000 Z
description: 
email: alice@acme.example
homepage: 
licenses:
- MIT
metadata: {}
require_paths:
- lib
required_ruby_version: !ruby/object:Gem::Requirement
  requirements:
  - - ">="
    - !ruby/object:Gem::Version
      version: '0'
required_rubygems_version: !ruby/object:Gem::Requirement
  requirements:
  - - ">="
    - !ruby/object:Gem::Version
      version: '0'
rubygems_version: 3.3.15
specification_version: 4
summary: made for a test
` + more
}

// makeGem packs a gem.
func makeGem(metadata string, files map[string]string) []byte {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var data [][2]string
	for _, name := range names {
		data = append(data, [2]string{name, files[name]})
	}
	meta, body := zipped(metadata), zipped(string(tarred(data)))
	sums := fmt.Sprintf("---\nSHA256:\n  metadata.gz: %x\n  data.tar.gz: %x\n", sha256.Sum256(meta), sha256.Sum256(body))
	return tarred([][2]string{{"metadata.gz", string(meta)}, {"data.tar.gz", string(body)}, {"checksums.yaml.gz", string(zipped(sums))}})
}

func tarred(files [][2]string) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		if target, ok := strings.CutPrefix(f[1], "-> "); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, target, 0
			f[1] = ""
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func zipped(text string) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(text)); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}
