package debian

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// publishSource takes a file of a source package: its parts first, in any order, and the .dsc last, which names them and
// makes them a version. Until then nothing shows of them.
func publishSource(ctx context.Context, repo format.Repo, suite, component, name string, body io.Reader, size int64) (*format.Published, error) {
	source, _, ok := strings.Cut(name, "_")
	if !ok || !isSourceName(source) || strings.ContainsAny(name, "/\\") || !clean(name) {
		return nil, invalid("%.60q is no file of a source package: they are called source_version.ending", name)
	}
	up, err := begin(ctx, repo, suite, source, size)
	if err != nil {
		return nil, err
	}
	defer up.Close()
	var text bytes.Buffer
	if strings.HasSuffix(name, ".dsc") {
		body = io.TeeReader(io.LimitReader(body, controlLimit), &text)
	}
	if err := up.copy(body); err != nil {
		return nil, err
	}
	path := poolFile(suite, component, source, name)
	if !strings.HasSuffix(name, ".dsc") {
		f, err := up.file(ctx, path)
		if err != nil {
			return nil, err
		}
		if f.Meta, err = json.Marshal(listing{Suite: suite, Component: component, Kind: "part"}); err != nil {
			return nil, err
		}
		f.Type = typeOf(path)
		_, err = repo.Publish(ctx, format.Release{Package: source, Version: millpond.Version{Files: []millpond.File{f}}, Grows: true, Loose: looseFor})
		if err != nil {
			return nil, err
		}
		return &format.Published{Key: millpond.Key{Package: source, File: path}, New: true}, nil
	}
	return publishDsc(ctx, repo, suite, component, name, text.Bytes(), up)
}

// looseFor is how long a part of a source package waits for its .dsc.
const looseFor = 24 * 3600 * 1e9

func publishDsc(ctx context.Context, repo format.Repo, suite, component, name string, raw []byte, up *uploading) (*format.Published, error) {
	refuse := func(err error) (*format.Published, error) {
		if e := up.Discard(); e != nil {
			return nil, fmt.Errorf("%w; %w", err, e)
		}
		return nil, err
	}
	text, _, _, err := splitSigned(raw)
	if err != nil {
		return refuse(invalid("%s cannot be read: %v", name, err))
	}
	stanza := strings.TrimRight(string(text), "\n") + "\n"
	f := fieldsOf([]byte(stanza))
	source, version := f["Source"], f["Version"]
	if !isSourceName(source) || !isVersion(version) || f["Checksums-Sha256"] == "" || strings.Contains(stanza, "\n\n") {
		return refuse(invalid("%s is no description of a source package with SHA256 sums", name))
	}
	if want := source + "_" + withoutEpoch(version) + ".dsc"; want != name {
		return refuse(invalid("%s describes %s and should be called that", name, want))
	}
	path := poolFile(suite, component, source, name)
	dir, _ := split(path)
	var parts []string
	want := map[string][2]string{} // digest and size
	for line := range strings.Lines(f["Checksums-Sha256"]) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 || strings.ContainsAny(fields[2], "/\\") || !clean(fields[2]) || !strings.HasPrefix(fields[2], source+"_") {
			return refuse(invalid("%s names a file by %.100q, which is none of this source package", name, strings.TrimSpace(line)))
		}
		parts = append(parts, fields[2])
		want[fields[2]] = [2]string{"sha256:" + strings.ToLower(fields[0]), fields[1]}
	}
	dsc, err := up.file(ctx, path)
	if err != nil {
		return nil, err
	}
	dsc.Type = typeText
	sum := func(b []byte) string { return hex.EncodeToString(b) }
	lines := map[string]string{
		"Files":            fmt.Sprintf(" %s %d %s\n", sum(up.md5.Sum(nil)), up.Size(), name),
		"Checksums-Sha1":   fmt.Sprintf(" %s %d %s\n", sum(up.sha1.Sum(nil)), up.Size(), name),
		"Checksums-Sha256": fmt.Sprintf(" %s %d %s\n", sum(up.sha256.Sum(nil)), up.Size(), name),
	}
	dsc.Meta, err = json.Marshal(listing{Suite: suite, Component: component, Kind: "dsc", Stanza: sourceStanza(stanza, dir, lines)})
	if err != nil {
		return nil, err
	}
	files := []millpond.File{dsc}
	for _, part := range parts {
		one, err := partFile(ctx, repo, source, version, dir+"/"+part, want[part])
		if err != nil {
			return nil, err
		}
		files = append(files, one)
	}
	return releaseFiles(ctx, repo, millpond.Key{Package: source, Version: version, File: path}, files)
}

// partFile is a part that was uploaded before, if it is what the .dsc says.
func partFile(ctx context.Context, repo format.Repo, source, version, path string, want [2]string) (millpond.File, error) {
	_, name := split(path)
	c, err := repo.Stat(ctx, millpond.Key{Package: source, File: path})
	if millpond.Is(err, millpond.NotFound) {
		c, err = repo.Stat(ctx, millpond.Key{Package: source, Version: version, File: path})
	}
	if millpond.Is(err, millpond.NotFound) {
		return millpond.File{}, invalid("the source package names %s, which was not uploaded before", name)
	}
	if err != nil {
		return millpond.File{}, err
	}
	if c.Digest.String() != want[0] || strconv.FormatInt(c.Size, 10) != want[1] {
		return millpond.File{}, invalid("the source package says that %s is %s of %s bytes, and what was uploaded is %s of %d", name, want[0], want[1], c.Digest, c.Size)
	}
	dir := strings.Split(path, "/")
	meta, err := json.Marshal(listing{Suite: dir[1], Component: dir[2], Kind: "part"})
	return millpond.File{Name: path, Blob: c.Digest, Size: c.Size, Digests: []millpond.Digest{c.Digest}, Type: typeOf(path), Meta: meta}, err
}

// sourceStanza is the stanza of Sources: Package in place of Source, Directory, and the .dsc among its files.
func sourceStanza(text, dir string, lines map[string]string) string {
	var b strings.Builder
	pending := ""
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, ":")
		if ok && line[0] != ' ' && line[0] != '\t' {
			b.WriteString(pending)
			pending = ""
			if name == "Source" {
				b.WriteString("Package:" + value)
				continue
			}
			pending = lines[name]
		}
		b.WriteString(line)
	}
	b.WriteString(pending)
	b.WriteString("Directory: " + dir + "\n")
	return b.String()
}
