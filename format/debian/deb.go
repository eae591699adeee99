package debian

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"millpond"
)

const (
	packedControl   = 16 << 20 // the most of a control.tar, packed,
	unpackedControl = 16 << 20 // and unpacked
	controlLimit    = 1 << 20
)

// A control is the control file of a binary package.
type control struct {
	text   string // its fields as they stand there, with a line end
	fields map[string]string
}

func invalid(format string, args ...any) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf(format, args...)}
}

// readDeb reads the front of a .deb, up to its control file. Whatever it reads goes to seen.
func readDeb(r io.Reader, seen io.Writer) (*control, error) {
	in := io.TeeReader(r, seen)
	magic := make([]byte, 8)
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != "!<arch>\n" {
		return nil, invalid("the file is no Debian package: it does not begin as one")
	}
	name, size, err := arMember(in)
	if err != nil {
		return nil, err
	}
	if name != "debian-binary" || size > 1024 {
		return nil, invalid("the file is no Debian package: its first member is %.40q", name)
	}
	version, err := arBody(in, size)
	if err != nil {
		return nil, err
	}
	if first, _, _ := strings.Cut(string(version), "\n"); first != "2.0" && !strings.HasPrefix(first, "2.") {
		return nil, invalid("the package is of format %.20q, and 2.0 is read here", first)
	}
	total := int64(0)
	for range 8 { // members between are left to whoever put them there
		if name, size, err = arMember(in); err != nil {
			return nil, err
		}
		if strings.HasPrefix(name, "data.tar") {
			break
		}
		if total += min(size, packedControl+1); total > packedControl { // all of it is in memory until it is known whose it is
			return nil, invalid("what comes before the data of the package has %d bytes, more than %d", total, packedControl)
		}
		body, err := arBody(in, size)
		if err != nil {
			return nil, err
		}
		if ending, ok := strings.CutPrefix(name, "control.tar"); ok {
			return readControlTar(ending, body)
		}
	}
	return nil, invalid("the package has no control archive before its data")
}

func arMember(r io.Reader) (string, int64, error) {
	head := make([]byte, 60)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", 0, cutShort(err)
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(head[48:58])), 10, 64)
	if err != nil || size < 0 || string(head[58:]) != "`\n" {
		return "", 0, invalid("the package cannot be read: the head of a member is broken")
	}
	return strings.TrimSuffix(strings.TrimRight(string(head[:16]), " "), "/"), size, nil
}

func arBody(r io.Reader, size int64) ([]byte, error) {
	b := make([]byte, size+size%2)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, cutShort(err)
	}
	return b[:size], nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalid("the package is cut short")
	}
	return err
}

func readControlTar(ending string, b []byte) (*control, error) {
	var r io.Reader = bytes.NewReader(b)
	var err error
	switch ending {
	case "":
	case ".gz":
		r, err = gzip.NewReader(r)
	case ".xz":
		r, err = unxz(r)
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(16<<20), zstd.WithDecoderMaxMemory(64<<20)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		err = fmt.Errorf("packed as %q", ending)
	}
	if err != nil {
		return nil, invalid("the control archive of the package cannot be read: %v", err)
	}
	t := tar.NewReader(&bounded{r, unpackedControl, "the control archive"})
	for range 10_000 {
		h, err := t.Next()
		if err != nil {
			if err == io.EOF {
				break
			}
			return nil, invalid("the control archive of the package cannot be read: %v", err)
		}
		if strings.TrimPrefix(h.Name, "./") != "control" {
			continue
		}
		if h.Typeflag != tar.TypeReg || h.Size > controlLimit {
			return nil, invalid("the control file of the package is no plain file of up to 1 MiB")
		}
		text, err := io.ReadAll(t)
		if err != nil {
			return nil, invalid("the control file of the package cannot be read: %v", err)
		}
		return parseControl(text)
	}
	return nil, invalid("the package has no control file")
}

// parseControl checks a control file.
func parseControl(text []byte) (*control, error) {
	if !utf8.Valid(text) {
		return nil, invalid("the control file is not UTF-8")
	}
	c := &control{text: unixText(text)}
	var err error
	if c.fields, err = oneParagraph("the control file", c.text); err != nil {
		return nil, err
	}
	for _, name := range []string{"Package", "Version", "Architecture", "Maintainer", "Description"} {
		if c.fields[name] == "" {
			return nil, invalid("the control file has no %s", name)
		}
	}
	if err := notAdded("the control file", c.fields, "Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512"); err != nil {
		return nil, err
	}
	if name := c.fields["Package"]; len(name) < 2 || !isSourceName(name) || strings.ToLower(name) != name || strings.ContainsAny(name, "_~") {
		return nil, invalid("%.60q is no name of a package", name)
	}
	if v := c.fields["Version"]; !isVersion(v) {
		return nil, invalid("%.60q is no version", v)
	}
	if a := c.fields["Architecture"]; !isArchitecture(a) || a == "source" {
		return nil, invalid("%.60q is no architecture", a)
	}
	source, version := c.source()
	if !isSourceName(source) || !isVersion(version) {
		return nil, invalid("%.60q is no source package", c.fields["Source"])
	}
	return c, nil
}

// unixText is a text with the line ends of Unix, one at its end.
func unixText(text []byte) string {
	return strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") + "\n"
}

// oneParagraph reads the fields of what is to be a stanza of an index as it stands: whatever could end it, or be read as a
// second field of a name, is refused. Continued lines keep their line ends.
func oneParagraph(what, text string) (map[string]string, error) {
	fields, last := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.TrimSpace(line) == "":
			return nil, invalid("%s has an empty line in it", what)
		case strings.ContainsAny(line, "\r\x00"):
			return nil, invalid("%s has a control character in it", what)
		case line[0] == ' ' || line[0] == '\t':
			if last == "" {
				return nil, invalid("%s begins with a continued line", what)
			}
			fields[last] += "\n" + line
			continue
		case line[0] == '#':
			return nil, invalid("%s has a comment in it", what)
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") || name[0] == '-' {
			return nil, invalid("%s has the line %.60q, which is no field", what, line)
		}
		if err := notTwice(what, fields, name); err != nil {
			return nil, err
		}
		last = name
		fields[name] = strings.TrimSpace(value)
	}
	return fields, nil
}

func notTwice(what string, fields map[string]string, name string) error {
	for known := range fields {
		if strings.EqualFold(known, name) {
			return invalid("%s has the field %s twice", what, name)
		}
	}
	return nil
}

// notAdded refuses fields of names, however they are spelt, that the archive itself adds.
func notAdded(what string, fields map[string]string, names ...string) error {
	for known := range fields {
		for _, name := range names {
			if strings.EqualFold(known, name) {
				return invalid("%s has the field %s, which an archive adds", what, known)
			}
		}
	}
	return nil
}

func isArchitecture(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (c *control) source() (name, version string) {
	return sourceOf(c.fields["Package"], c.fields["Source"], c.fields["Version"])
}

// poolFile is where a file of a source package lies.
func poolFile(suite, component, source, file string) string {
	prefix := source[:1]
	if strings.HasPrefix(source, "lib") && len(source) > 3 {
		prefix = source[:4]
	}
	return "pool/" + suite + "/" + component + "/" + prefix + "/" + source + "/" + file
}

// withoutEpoch is a version as it stands in the name of a file.
func withoutEpoch(version string) string {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		return rest
	}
	return version
}
