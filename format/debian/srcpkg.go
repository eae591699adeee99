package debian

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// isSourceFile reports whether a file is one of a source package, by its name.
func isSourceFile(name string) bool {
	return strings.HasSuffix(name, ".dsc") || strings.Contains(name, ".tar.") || strings.HasSuffix(name, ".diff.gz") || strings.HasSuffix(name, ".asc")
}

// sourceOfFile is the source package of a file that is called source_version.ending.
func sourceOfFile(name string) (string, error) {
	source, _, ok := strings.Cut(name, "_")
	if !ok || !isSourceName(source) || strings.ContainsAny(name, "/\\") || !clean(name) {
		return "", invalid("%.60q is no file of a source package: they are called source_version.ending", name)
	}
	return source, nil
}

// arriveSource takes a file of a source package: its parts, in any order, and the .dsc, which names them and makes them a
// version. Until then nothing shows of them.
func arriveSource(ctx context.Context, repo format.Repo, suite, component, name string, body io.Reader, size int64) (*arrival, error) {
	source, err := sourceOfFile(name)
	if err != nil {
		return nil, err
	}
	up, err := begin(ctx, repo, suite, source, "", size)
	if err != nil {
		return nil, err
	}
	defer up.Close()
	var text bytes.Buffer
	if strings.HasSuffix(name, ".dsc") {
		body = io.TeeReader(io.LimitReader(body, controlLimit), &text)
	}
	if err := up.copy(ctx, body); err != nil {
		return nil, err
	}
	path := poolFile(suite, component, source, name)
	if !strings.HasSuffix(name, ".dsc") {
		f, err := up.file(ctx, "")
		if err != nil {
			return nil, err
		}
		// Nobody finds it by its path before its .dsc makes it one of a version, nor in place of one that is.
		f.Name, f.Type = incomingName(f.Blob.Hex(), name), typeOf(path)
		if f.Meta, err = json.Marshal(incoming{}); err != nil {
			return nil, err
		}
		if err := leave(ctx, repo, source, f); err != nil {
			return nil, err
		}
		return &arrival{millpond.Key{Package: source, File: path}, func(context.Context) ([]millpond.File, error) { return nil, nil }}, nil
	}
	d, err := readDsc(name, text.Bytes())
	if err != nil {
		if e := up.Discard(); e != nil {
			return nil, fmt.Errorf("%w; %w", err, e)
		}
		return nil, err
	}
	f, err := up.file(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := d.place(&f, suite, component); err != nil {
		return nil, err
	}
	return &arrival{millpond.Key{Package: source, Version: d.version, File: path}, func(ctx context.Context) ([]millpond.File, error) {
		files := []millpond.File{f}
		dir, _ := split(path)
		for _, part := range d.parts {
			left := incomingName(strings.TrimPrefix(d.want[part][0], "sha256:"), part)
			one, err := partFile(ctx, repo, source, d.version, left, dir+"/"+part, d.want[part])
			if err != nil {
				return nil, err
			}
			files = append(files, one)
		}
		return files, nil
	}}, nil
}

// looseFor is how long a file waits for the one that names it.
const looseFor = 24 * time.Hour

// leave keeps a file that nothing names yet.
func leave(ctx context.Context, repo format.Repo, source string, f millpond.File) error {
	_, err := repo.Publish(ctx, format.Release{Package: source, Version: millpond.Version{Files: []millpond.File{f}}, Grows: true, Loose: looseFor})
	return err
}

// A dsc is what a .dsc says.
type dsc struct {
	stanza, source, version string
	parts                   []string
	want                    map[string][2]string // digest and size of each
}

func readDsc(name string, raw []byte) (*dsc, error) {
	text, _, _, err := splitSigned(raw)
	if err != nil {
		return nil, invalid("%s cannot be read: %v", name, err)
	}
	d := &dsc{stanza: unixText(text)}
	f, err := oneParagraph(name, d.stanza)
	if err == nil {
		err = notAdded(name, f, "Package", "Directory")
	}
	if err != nil {
		return nil, err
	}
	d.source, d.version = f["Source"], f["Version"]
	if !isSourceName(d.source) || !isVersion(d.version) || f["Checksums-Sha256"] == "" {
		return nil, invalid("%s is no description of a source package with SHA256 sums", name)
	}
	if want := d.source + "_" + withoutEpoch(d.version) + ".dsc"; want != name {
		return nil, invalid("%s describes %s and should be called that", name, want)
	}
	d.parts, d.want, err = checksums(name, d.source, f["Checksums-Sha256"])
	return d, err
}

// checksums reads a list of files with their SHA256. All of them are files of a source package, or, with source "", of any.
func checksums(name, source, list string) (files []string, want map[string][2]string, err error) {
	want = map[string][2]string{}
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 || strings.ContainsAny(fields[2], "/\\") || !clean(fields[2]) || source != "" && !strings.HasPrefix(fields[2], source+"_") {
			return nil, nil, invalid("%s names a file by %.100q, which is none of this source package", name, strings.TrimSpace(line))
		}
		files = append(files, fields[2])
		want[fields[2]] = [2]string{"sha256:" + strings.ToLower(fields[0]), fields[1]}
	}
	return files, want, nil
}

// place says where the file of a .dsc belongs.
func (d *dsc) place(f *millpond.File, suite, component string) error {
	name := d.source + "_" + withoutEpoch(d.version) + ".dsc"
	f.Name, f.Type = poolFile(suite, component, d.source, name), typeText
	dir, _ := split(f.Name)
	lines := map[string]string{}
	for _, one := range f.Digests {
		field := map[string]string{"md5": "Files", "sha1": "Checksums-Sha1", "sha256": "Checksums-Sha256"}[one.Algorithm()]
		lines[field] = fmt.Sprintf(" %s %d %s\n", one.Hex(), f.Size, name)
	}
	var err error
	f.Meta, err = json.Marshal(listing{Suite: suite, Component: component, Kind: "dsc", Stanza: sourceStanza(d.stanza, dir, lines)})
	return err
}

// partFile is a part of a source package, if it is what the .dsc says: what was left at a place, or what was published before.
func partFile(ctx context.Context, repo format.Repo, source, version, left, path string, want [2]string) (millpond.File, error) {
	_, name := split(path)
	isAbsent := func(err error) bool { return millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Gone) }
	c, err := repo.Stat(ctx, millpond.Key{Package: source, File: left})
	if isAbsent(err) {
		c, err = repo.Stat(ctx, millpond.Key{Package: source, Version: version, File: path})
	}
	if isAbsent(err) { // what is of several versions
		c, err = repo.Stat(ctx, millpond.Key{Package: source, File: path})
	}
	if isAbsent(err) {
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
