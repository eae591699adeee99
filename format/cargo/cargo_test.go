package cargo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

const root = "/index/"

// ecosystem is crates as the suite drives them.
var ecosystem = formattest.Ecosystem{
	Format:        Format{},
	Root:          root,
	Put:           putCrate,
	Bytes:         crateOf,
	UpstreamIndex: func(pkg string) string { return root + folder(pkg) + pkg },
	UpstreamFile:  func(pkg string, r formattest.Release) string { return upstreamFile(pkg, r.Version) },
	Index:         func(pkg string) string { return Path{Kind: Index, Crate: pkg}.String() },
	File: func(pkg string, r formattest.Release) string {
		return Path{Kind: File, Crate: pkg, Version: r.Version, Sum: millpond.SHA256(crateOf(pkg, r)).Hex()}.String()
	},
	Lists: func(index []byte, version string) bool {
		l, ok := lineOf(index, version)
		return ok && !l.yanked
	},
	Publish: func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
		return c.Do("PUT", Path{Kind: New}.String(), nil, frameOf(map[string]any{"name": pkg, "vers": r.Version}, crateOf(pkg, r)))
	},
	Writes: map[string]func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply{
		"yank": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("DELETE", Path{Kind: Yank, Crate: pkg, Version: r.Version}.String(), nil, nil)
		},
		"unyank": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("PUT", Path{Kind: Unyank, Crate: pkg, Version: r.Version}.String(), nil, nil)
		},
		"add an owner": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("PUT", Path{Kind: Owners, Crate: pkg}.String(), nil, []byte(`{"users":["x"]}`))
		},
		"remove an owner": func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("DELETE", Path{Kind: Owners, Crate: pkg}.String(), nil, []byte(`{"users":["x"]}`))
		},
	},
	Published: true,
	Except: map[string]string{
		"a blocked name is refused on every route": "403 for an index ends a whole resolution: see TestBlockedName",
	},
}

func TestFormat(t *testing.T) { formattest.Run(t, ecosystem) }

// lineOf is what an index says of a version, by its last line for it, as cargo reads it.
func lineOf(index []byte, version string) (last line, ok bool) {
	for one := range bytes.Lines(index) {
		if l, err := readLine(bytes.TrimRight(one, "\r\n")); err == nil && l.version == version {
			last, ok = l, true
		}
	}
	return last, ok
}

func upstreamFile(crate, version string) string {
	return "/files/" + crate + "/" + fileName(crate, version)
}

// putConfig lays the config.json of an upstream whose files are on the same server.
func putConfig(up *faulty.Server) {
	text := fmt.Sprintf(`{"dl":"%s/files/{crate}/{crate}-{version}.crate","api":"%s"}`, up.URL, up.URL)
	up.Put(root+configName, faulty.Object{Body: []byte(text), Type: typeJSON, ETag: `"c"`})
}

// putCrate lays an index file and what it names.
func putCrate(up *faulty.Server, pkg string, releases ...formattest.Release) {
	putConfig(up)
	var index strings.Builder
	for _, r := range releases {
		body := crateOf(pkg, r)
		index.WriteString(upstreamLine(pkg, r.Version, millpond.SHA256(body).Hex(), r.Published) + "\n")
		up.Put(upstreamFile(pkg, r.Version), faulty.Object{Body: body, Type: typeCrate, ETag: fmt.Sprintf(`"%s-%d"`, r.Version, r.Variant)})
	}
	putIndex(up, pkg, index.String())
}

func putIndex(up *faulty.Server, pkg, text string) {
	tag := `"` + millpond.SHA256([]byte(text)).Hex()[:16] + `"`
	up.Put(root+folder(pkg)+strings.ToLower(pkg), faulty.Object{Body: []byte(text), Type: "text/plain", ETag: tag})
}

func upstreamLine(crate, version, sum string, at time.Time) string {
	return fmt.Sprintf(`{"name":%q,"vers":%q,"deps":[],"cksum":%q,"features":{"a":["b/\"yanked\":false"]},"yanked":false,"pubtime":%q}`,
		crate, version, sum, at.Format(time.RFC3339))
}

// crateOf is a .crate that cargo can build.
func crateOf(pkg string, r formattest.Release) []byte {
	entries := []entry{
		{name: pkg + "-" + r.Version + "/Cargo.toml", text: fmt.Sprintf("[package]\nname = %q\nversion = %q\n", pkg, r.Version)},
		{name: pkg + "-" + r.Version + "/src/lib.rs", text: fmt.Sprintf("pub const X: u32 = %d;\n%s", r.Variant, strings.Repeat("// "+r.Version+"\n", 50))},
	}
	if r.Refused {
		entries = append(entries, entry{name: pkg + "-" + r.Version + "/../harm.rs"})
	}
	return packCrate(entries...)
}

// An entry is a file of a .crate.
type entry struct {
	name, text, link string
	kind             byte
}

func packCrate(entries ...entry) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.text)), Typeflag: e.kind, Linkname: e.link}); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
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

// frameOf is the body of a publish.
func frameOf(manifest map[string]any, crate []byte) []byte {
	text, err := json.Marshal(manifest)
	if err != nil {
		panic(err)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	b = append(b, text...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(crate)))
	return append(b, crate...)
}

// TestBlockedName is the suite's row as crates have it: the index has no such crate, the file says why, and nobody is asked.
func TestBlockedName(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"block": []any{"alpha"}, "why": "known to be malware"}))
	r := formattest.Release{Version: "1.0.0"}
	putCrate(h.Up, "alpha", r)
	putCrate(h.Up, "beta", r)
	h.Want("index", h.Index("alpha"), http.StatusNotFound)
	for _, method := range []string{"GET", "HEAD"} {
		h.Want(method+" file", h.Do(method, "/r"+ecosystem.File("alpha", r), nil), http.StatusForbidden)
	}
	if got := h.File("alpha", r); !bytes.Contains(got.Body, []byte("known to be malware")) {
		t.Errorf("the answer lacks the rule's words: %s", got)
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("a name that is blocked cost %d upstream requests", n)
	}
	h.Good("another name", h.Index("beta"), nil)
}
