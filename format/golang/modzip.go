package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"millpond"
	"millpond/format"
)

// licenceLimit is how large a LICENSE the go command takes.
const licenceLimit = 16 << 20

// A moduleZip is what a zip says of the module in it.
type moduleZip struct {
	module.Version
	goMod []byte // of the zip; nil if it has none
	hash  string // h1
}

// refused is what the publisher of a zip is told about it.
func refused(m module.Version, why, hint string) error {
	k := millpond.Key{Package: m.Path, Version: m.Version}
	return &millpond.Error{Kind: millpond.Invalid, Key: k, Why: why, Hint: hint}
}

const howMade = "millpond publish, or CreateFromDir of golang.org/x/mod/zip, makes a module zip"

// firstEntry is the module that the first entry of a zip names, by the bytes that the zip begins with. It returns Invalid if
// that is no entry of a module zip.
func firstEntry(head func(n int) ([]byte, error)) (module.Version, error) {
	const fixed, atLength = 30, 26 // of a local file header
	b, err := head(fixed)
	if err != nil || !bytes.HasPrefix(b, []byte("PK\x03\x04")) {
		return module.Version{}, refused(module.Version{}, "the body is no zip file", howMade)
	}
	n := int(b[atLength]) | int(b[atLength+1])<<8
	if b, err = head(fixed + n); err != nil {
		return module.Version{}, refused(module.Version{}, "the zip file ends within its first entry", howMade)
	}
	return readPrefix(string(b[fixed:]))
}

// readPrefix reads the "<module>@<version>/" that every entry of a module zip begins with.
func readPrefix(name string) (module.Version, error) {
	m := module.Version{}
	path, rest, ok := strings.Cut(name, "@")
	version, _, isFolder := strings.Cut(rest, "/")
	if !ok || !isFolder {
		return m, refused(m, fmt.Sprintf("the zip has an entry %.200q; entries of a module zip begin with <module>@<version>/", name), howMade)
	}
	m = module.Version{Path: path, Version: version}
	if err := module.CheckPath(path); err != nil {
		return m, refused(module.Version{}, err.Error(), "a module path reads like git.example/team/module")
	}
	if c := module.CanonicalVersion(version); c == "" || c != version {
		return m, refused(module.Version{Path: path}, fmt.Sprintf("%.100q is no canonical version", version), "a version reads like v1.2.3 or v1.2.3-rc.1")
	}
	if module.IsPseudoVersion(version) {
		return m, refused(m, version+" is a pseudo-version: it stands for a commit that has no version", "give the commit a tag and publish that")
	}
	if err := module.Check(path, version); err != nil {
		return m, refused(m, err.Error(), "from v2 on the module path ends in the major version: "+path+"/v2")
	}
	return m, nil
}

// readZip reads a module zip as the go command would before it unpacks it, refuses what that would refuse and also what no
// go command makes, and hashes it. It reads all of it. What is wrong with the zip is Invalid.
func readZip(ctx context.Context, r io.ReaderAt, size int64, m module.Version) (*moduleZip, error) {
	out := &moduleZip{Version: m}
	z, err := format.OpenZip(r, size)
	if millpond.Is(err, millpond.TooLarge) {
		return nil, err
	}
	if err != nil {
		return nil, refused(m, "the body is no whole zip file: "+err.Error(), howMade)
	}
	goMod, err := checkZip(r, size, z, m)
	if err != nil {
		return nil, err
	}
	// This also finds out whether the sizes that were judged are true.
	out.hash, err = hashZip(ctx, r, size, zipLimit)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		if errors.Is(err, format.ErrUnpacked) {
			return nil, tooLarge(m)
		}
		return nil, refused(m, "the zip is damaged: "+err.Error(), "")
	}
	if goMod == nil {
		return out, nil
	}
	if strings.HasSuffix(m.Version, "+incompatible") {
		return nil, refused(m, "a module with a go.mod has no +incompatible version", "from v2 on its path ends in the major version: "+m.Path+"/v2")
	}
	f, err := goMod.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if out.goMod, err = io.ReadAll(f); err != nil {
		return nil, err
	}
	// A strange line must not keep out what a newer go command understands.
	parsed, err := modfile.ParseLax("go.mod", out.goMod, nil)
	if err != nil {
		return nil, refused(m, "its go.mod cannot be read: "+err.Error(), "")
	}
	if parsed.Module == nil || parsed.Module.Mod.Path != m.Path {
		path := "no module"
		if parsed.Module != nil {
			path = fmt.Sprintf("%.200q", parsed.Module.Mod.Path)
		}
		return nil, refused(m, fmt.Sprintf("its go.mod names %s and its entries %s", path, m.Path), "both must be the same")
	}
	return out, nil
}

func tooLarge(m module.Version) error {
	return &millpond.Error{
		Kind: millpond.TooLarge, Key: millpond.Key{Package: m.Path, Version: m.Version},
		Why: fmt.Sprintf("the go command takes no module of more than %d MB, packed or unpacked", zipLimit>>20),
	}
}

// checkZip refuses a zip that is none of the module, or that two programs could read as two.
func checkZip(r io.ReaderAt, size int64, z *zip.Reader, m module.Version) (goMod *zip.File, err error) {
	if goMod, err = checkEntries(z, m); err != nil {
		return nil, err
	}
	if err := format.CheckZip(r, size, z); err != nil {
		why, _ := format.Words(err)
		return nil, refused(m, why, howMade)
	}
	return goMod, nil
}

// checkEntries judges the names, kinds and declared sizes of all entries, and returns the go.mod, nil if there is none.
func checkEntries(z *zip.Reader, m module.Version) (goMod *zip.File, err error) {
	prefix := m.Path + "@" + m.Version + "/"
	seen := seenNames{}
	var total uint64
	for _, f := range z.File {
		bad := func(why string) error { return refused(m, fmt.Sprintf("entry %.300q: %s", f.Name, why), howMade) }
		name, ok := strings.CutPrefix(f.Name, prefix)
		if !ok {
			return nil, bad("its name does not begin with " + prefix)
		}
		if name == "" {
			continue
		}
		name, isFolder := strings.CutSuffix(name, "/")
		if path.Clean(name) != name {
			return nil, bad("its path is not clean")
		}
		if err := module.CheckFilePath(name); err != nil {
			return nil, bad(err.Error())
		}
		if why := seen.add(name, isFolder); why != "" {
			return nil, bad(why)
		}
		if isFolder {
			continue
		}
		if !f.Mode().IsRegular() {
			return nil, bad("a module has regular files only, no links and no devices")
		}
		if base := path.Base(name); strings.EqualFold(base, "go.mod") {
			switch {
			case base != name:
				return nil, bad("a go.mod lies in the root of its module; a folder with one is another module")
			case name != "go.mod":
				return nil, bad("go.mod is written with small letters")
			}
			goMod = f
		}
		if name == "go.mod" && f.UncompressedSize64 > modLimit || name == "LICENSE" && f.UncompressedSize64 > licenceLimit {
			return nil, bad(fmt.Sprintf("it has %d bytes, and the go command takes no more than %d", f.UncompressedSize64, modLimit))
		}
		if total += f.UncompressedSize64; f.UncompressedSize64 > zipLimit || total > zipLimit {
			return nil, tooLarge(m)
		}
	}
	if len(seen) == 0 {
		return nil, refused(m, "the zip has no file", howMade)
	}
	return goMod, nil
}

// seenNames are the names in a zip with all their folders, by what they are where case does not count.
type seenNames map[string]seenName

type seenName struct {
	name     string
	isFolder bool
}

// add takes a name and its folders in, and says what is wrong if they cannot all be on one disk.
func (s seenNames) add(name string, isFolder bool) string {
	for ; name != "."; name, isFolder = path.Dir(name), true {
		folded := strings.Map(smallest, name)
		switch other, ok := s[folded]; {
		case !ok:
			s[folded] = seenName{name, isFolder}
		case other.name != name:
			return fmt.Sprintf("it collides with %.300q where case does not count", other.name)
		case other.isFolder != isFolder:
			return "it is a file and a folder"
		case !isFolder:
			return "it is there twice"
		default:
			return "" // a folder, and so all above it
		}
	}
	return ""
}

// smallest is the smallest of the letters that are one where case does not count.
func smallest(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return least
}

// digestOf is an h1 hash, as go.sum has it, as a digest.
func digestOf(h1 string) (millpond.Digest, error) {
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h1, "h1:"))
	if err != nil {
		return millpond.Digest{}, fmt.Errorf("read the hash %q: %w", h1, err)
	}
	return millpond.NewDigest("h1", sum)
}

// hashOf is the h1 hash among the digests of a file, as go.sum has it; "" if there is none.
func hashOf(f *millpond.File) string {
	if f == nil {
		return ""
	}
	for _, d := range f.Digests {
		if d.Algorithm() != "h1" {
			continue
		}
		if sum, err := hex.DecodeString(d.Hex()); err == nil {
			return "h1:" + base64.StdEncoding.EncodeToString(sum)
		}
	}
	return ""
}
