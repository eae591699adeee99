package npm

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"

	"millpond"
)

// The bounds of a tarball that is published.
const (
	mostEntries     = 200_000
	mostRatio       = 200
	freeOfRatio     = 64 << 20 // that much text is never too much
	largestManifest = 4 << 20
	largestReadme   = 64 << 10
)

// A packed is what a tarball holds that a registry must know.
type packed struct {
	manifest jsontext.Value // of package.json
	readme   string
	native   bool  // binding.gyp is in it: npm builds it, whatever the scripts say
	files    int   // how many
	unpacked int64 // their bytes
}

// A top is what of a package.json, or of a manifest that is made of it, clients act on.
type top struct {
	Name         string                    `json:"name"`
	Version      string                    `json:"version"`
	Scripts      map[string]jsontext.Value `json:"scripts"`
	Dependencies map[string]jsontext.Value `json:"dependencies"`
	Optional     map[string]jsontext.Value `json:"optionalDependencies"`
	Peer         map[string]jsontext.Value `json:"peerDependencies"`
}

// topFields are those that differ in nothing but case are refused for: a reader that folds them would read another manifest.
var topFields = [...]string{ // never changed
	"name", "version", "scripts", "dependencies", "optionalDependencies", "peerDependencies", "bundleDependencies",
	"bundledDependencies", "dist", "bin", "deprecated", "os", "cpu", "engines",
}

func refused(format string, args ...any) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf(format, args...)}
}

// unpack goes through a tarball to its end and refuses what could do harm where it is unpacked, or what is no package.
func unpack(r io.ReaderAt, size int64) (*packed, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 32<<10))
	if err != nil {
		return nil, refused("the tarball is no gzip")
	}
	defer z.Close()
	text := &io.LimitedReader{R: z, N: max(freeOfRatio, size*mostRatio) + 1}
	var p packed
	var folder string
	entries := tar.NewReader(text)
	for {
		h, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, tarError(text, err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if p.files++; p.files > mostEntries {
			return nil, refused("the tarball has more than %d entries", mostEntries)
		}
		first, below, err := safeEntry(h)
		if err != nil {
			return nil, err
		}
		if folder == "" {
			folder = first
		}
		if first != folder {
			return nil, refused("the tarball has two top folders, %.100q and %.100q", folder, first)
		}
		if h.Typeflag == tar.TypeDir {
			p.files--
			continue
		}
		p.unpacked += h.Size
		if err := p.entry(below, h, entries); err != nil {
			return nil, tarError(text, err)
		}
	}
	if _, err := io.Copy(io.Discard, text); err != nil { // what follows, and the checksum
		return nil, tarError(text, err)
	}
	if text.N == 0 {
		return nil, tarError(text, nil)
	}
	if p.manifest == nil {
		return nil, refused("the tarball has no package.json in its top folder")
	}
	return &p, nil
}

// tarError is what is wrong with a tarball whose reading failed.
func tarError(text *io.LimitedReader, err error) error {
	if text.N == 0 {
		return refused("the tarball unpacks to more than %d times its size", mostRatio)
	}
	if _, words := errors.AsType[*millpond.Error](err); words {
		return err
	}
	return &millpond.Error{Kind: millpond.Invalid, Why: "the tarball cannot be read to its end", Err: err}
}

// safeEntry splits an entry's path into its top folder and the rest.
func safeEntry(h *tar.Header) (folder, below string, err error) {
	name := h.Name
	if !utf8.ValidString(name) || strings.ContainsAny(name, "\\\x00") || strings.HasPrefix(name, "/") {
		return "", "", refused("the tarball has an entry %.200q, which is no path within a folder", name)
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." || len(part) > 1 && part[1] == ':' {
			return "", "", refused("the tarball has an entry %.200q, which leaves its folder", h.Name)
		}
	}
	name = path.Clean(name)
	folder, below, _ = strings.Cut(name, "/")
	target := ""
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
		if h.Typeflag == tar.TypeReg && below == "" {
			return "", "", refused("the tarball has %.200q outside of any folder", h.Name)
		}
		return folder, below, nil
	case tar.TypeSymlink:
		target = path.Join(path.Dir(name), h.Linkname)
	case tar.TypeLink:
		target = path.Clean(h.Linkname)
	default:
		return "", "", refused("the tarball has an entry %.200q that is neither file nor folder", h.Name)
	}
	if strings.HasPrefix(h.Linkname, "/") || strings.Contains(h.Linkname, "\\") || target != folder && !strings.HasPrefix(target, folder+"/") {
		return "", "", refused("the tarball has a link %.200q to %.200q, which leaves its folder", h.Name, h.Linkname)
	}
	return folder, below, nil
}

// entry reads what a registry must know of one file.
func (p *packed) entry(below string, h *tar.Header, r io.Reader) error {
	switch word := strings.ToLower(below); {
	case word == "package.json":
		if below != word || p.manifest != nil || h.Typeflag != tar.TypeReg {
			return refused("the tarball has more than one package.json, or one that is a link")
		}
		text, err := io.ReadAll(io.LimitReader(r, largestManifest+1))
		if err != nil {
			return err
		}
		if len(text) > largestManifest {
			return refused("package.json is larger than %d MiB", largestManifest>>20)
		}
		p.manifest = bytes.TrimPrefix(text, []byte("\ufeff"))
	case word == "binding.gyp":
		p.native = true
	case p.readme == "" && (word == "readme.md" || word == "readme" || word == "readme.markdown" || word == "readme.txt"):
		text, err := io.ReadAll(io.LimitReader(r, largestReadme))
		if err != nil {
			return err
		}
		p.readme = strings.ToValidUTF8(string(text), "")
	}
	return nil
}

// readTop reads what counts of a manifest. A name that is there twice, or that differs from a known one in case only, is
// refused: two readers would take it for two manifests.
func readTop(raw jsontext.Value, what string) (*top, error) {
	var all map[string]jsontext.Value
	if err := jsonv2.Unmarshal(raw, &all, jsontext.AllowInvalidUTF8(true)); err != nil || all == nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: what + " is no JSON object, or has a name twice", Err: err}
	}
	for name := range all {
		if err := known(name, topFields[:], what); err != nil {
			return nil, err
		}
	}
	var t top
	for name, to := range map[string]*string{"name": &t.Name, "version": &t.Version} {
		if err := jsonv2.Unmarshal(all[name], to, jsontext.AllowInvalidUTF8(true)); err != nil {
			return nil, refused("%s has no %s", what, name)
		}
	}
	for name, to := range map[string]*map[string]jsontext.Value{
		"scripts": &t.Scripts, "dependencies": &t.Dependencies, "optionalDependencies": &t.Optional, "peerDependencies": &t.Peer,
	} {
		if all[name].Kind() == '{' { // npm itself drops what is of another kind
			if err := jsonv2.Unmarshal(all[name], to, jsontext.AllowInvalidUTF8(true)); err != nil {
				return nil, refused("%s has %s that cannot be read", what, name)
			}
		}
	}
	return &t, nil
}

// known refuses a name that is a known one but for case.
func known(name string, fields []string, what string) error {
	for _, field := range fields {
		if name != field && strings.EqualFold(name, field) {
			return refused("%s has %.100q, which is %q but for case", what, name, field)
		}
	}
	return nil
}

// differs says in what a manifest is other than the package.json in its tarball, of what clients act on before they have
// the tarball; "" if in nothing.
func differs(sent, inside *top, native bool) string {
	for _, script := range installScripts {
		want, got := word(inside.Scripts[script]), word(sent.Scripts[script])
		if want == got || native && script == "install" && want == "" && got == "node-gyp rebuild" {
			continue
		}
		return fmt.Sprintf("its script %s is %.200q, and in the tarball %.200q", script, got, want)
	}
	for _, one := range []struct {
		what         string
		sent, inside map[string]string
	}{
		// npm lists an optional dependency among the others too.
		{"dependencies", words(sent.Dependencies, sent.Optional), words(inside.Dependencies, inside.Optional)},
		{"peerDependencies", words(sent.Peer), words(inside.Peer)},
	} {
		for _, pair := range [][2]map[string]string{{one.sent, one.inside}, {one.inside, one.sent}} {
			for name := range pair[0] {
				a, inA := one.sent[name]
				b, inB := one.inside[name]
				if a != b || inA != inB {
					return fmt.Sprintf("its %s have %.100s as %.100q, and in the tarball as %.100q", one.what, name, a, b)
				}
			}
		}
	}
	return ""
}

// word is a string's text without what surrounds it; "" of anything else.
func word(v jsontext.Value) string {
	var s string
	if v.Kind() != '"' || jsonv2.Unmarshal(v, &s, jsontext.AllowInvalidUTF8(true)) != nil {
		return ""
	}
	return strings.TrimSpace(s)
}

func words(all ...map[string]jsontext.Value) map[string]string {
	out := map[string]string{}
	for _, one := range all {
		for name, value := range one {
			out[name] = word(value)
		}
	}
	return out
}

// plainVersion is a version as npm sends it: without a leading v, and without the build, which package.json may have.
func plainVersion(s string) string {
	s = strings.TrimLeft(strings.TrimSpace(s), "v=")
	s, _, _ = strings.Cut(s, "+")
	return s
}
