package debian

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"millpond"
)

// packings are the endings of packed indexes, the cheapest to read first; never changed.
var packings = []string{"", ".gz", ".zst", ".bz2", ".xz"}

// unpackedName is the path of an index without the ending of its packing, and the place of that ending among packings; -1
// for one that cannot be read.
func unpackedName(path string) (string, int) {
	_, file := split(path)
	i := strings.LastIndexByte(file, '.')
	if i < 0 {
		return path, 0
	}
	for n, ending := range packings {
		if n > 0 && file[i:] == ending {
			return path[:len(path)-len(ending)], n
		}
	}
	return path, -1
}

// unpackedLimit bounds the text of one index: a million stanzas are a gigabyte.
const unpackedLimit = 4 << 30

// unpackedSize is how long the text of an index may be: what its Release says of it, if it does.
func unpackedSize(v *millpond.Version, path string) int64 {
	plain, _ := unpackedName(path)
	if f := v.File(plain); f != nil && f.Size >= 0 {
		return f.Size
	}
	return unpackedLimit
}

// unpack reads an index in whatever form it is. What is more than limit bytes is refused.
func unpack(path string, r io.Reader, limit int64) (io.Reader, func(), error) {
	done := func() {}
	_, n := unpackedName(path)
	var out io.Reader
	var err error
	switch n {
	case 0:
		out = r
	case 1:
		out, err = gzip.NewReader(r)
	case 2:
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20)); err == nil {
			out, done = z, z.Close
		}
	case 3:
		out = bzip2.NewReader(r)
	case 4:
		out, err = unxz(r)
	default:
		err = fmt.Errorf("%s is packed in a way that is not read here", path)
	}
	if err != nil {
		return nil, done, fmt.Errorf("unpack %s: %w", path, err)
	}
	return &bounded{out, limit, path}, done, nil
}

// bounded refuses what is longer than it may be.
type bounded struct {
	r    io.Reader
	left int64
	what string
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &millpond.Error{Kind: millpond.BadUpstream, Why: b.what + " unpacks to more than it may"}
	}
	return n, err
}

// A listed is a file that a stanza of Packages or Sources names.
type listed struct {
	Package                       string // the binary one; "" is that of the source
	Source, Version, Architecture string
	Path                          string // below the archive
	Size                          int64
	Digest                        millpond.Digest // the strongest
}

// stanzaLimit bounds one stanza.
const stanzaLimit = 16 << 20

// eachStanza calls f with each stanza of an index, without the empty line behind it. f must not keep it.
func eachStanza(r io.Reader, f func(stanza []byte) error) error {
	in := bufio.NewReaderSize(r, 1<<20)
	var stanza []byte
	for {
		line, err := in.ReadSlice('\n')
		if len(bytes.TrimRight(line, "\r\n")) > 0 || err == bufio.ErrBufferFull {
			stanza = append(stanza, line...)
			if len(stanza) > stanzaLimit {
				return &millpond.Error{Kind: millpond.BadUpstream, Why: "an index has a stanza of more than 16 MiB"}
			}
			if err == bufio.ErrBufferFull {
				continue
			}
		} else if len(stanza) > 0 && err == nil {
			if err := f(stanza); err != nil {
				return err
			}
			stanza = stanza[:0]
		}
		if err == io.EOF {
			if len(stanza) > 0 {
				return f(stanza)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// eachListed calls f with each file that an index lists. Paths that lead out of the archive are passed over.
func eachListed(r io.Reader, sources bool, f func(listed) error) error {
	return eachStanza(r, func(stanza []byte) error {
		if sources {
			return sourceFiles(stanza, f)
		}
		if one, ok := packageFile(stanza); ok {
			return f(one)
		}
		return nil
	})
}

// packageFile reads a stanza of Packages.
func packageFile(stanza []byte) (listed, bool) {
	l := listed{Size: -1}
	strength := 0
	for len(stanza) > 0 {
		line, rest, _ := bytes.Cut(stanza, []byte("\n"))
		stanza = rest
		if len(line) == 0 || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		i := bytes.IndexByte(line, ':')
		if i < 0 {
			continue
		}
		value := bytes.TrimSpace(line[i+1:])
		switch string(line[:i]) { // no copy is made
		case "Package":
			l.Package = string(value)
		case "Source":
			l.Source = string(value)
		case "Version":
			l.Version = string(value)
		case "Architecture":
			l.Architecture = string(value)
		case "Filename":
			l.Path = string(value)
		case "Size":
			if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && n >= 0 {
				l.Size = n
			}
		case "SHA256":
			strength = better(&l, strength, 3, "sha256", value)
		case "SHA1":
			strength = better(&l, strength, 2, "sha1", value)
		case "MD5sum":
			strength = better(&l, strength, 1, "md5", value)
		}
	}
	if l.Source, l.Version = sourceOf(l.Package, l.Source, l.Version); l.Package == l.Source {
		l.Package = ""
	}
	return l, l.sane()
}

func better(l *listed, now, this int, algorithm string, hex []byte) int {
	if this < now {
		return now
	}
	d, err := millpond.ParseDigest(algorithm + ":" + strings.ToLower(string(hex)))
	if err != nil {
		return now
	}
	l.Digest = d
	return this
}

// sourceOf is the source package and its version of a binary one: "Source: foo (1.0)" where they differ.
func sourceOf(name, source, version string) (string, string) {
	if source == "" {
		return name, version
	}
	source, rest, ok := strings.Cut(source, " ")
	if v := strings.Trim(rest, " ()"); ok && v != "" {
		version = v
	}
	return source, version
}

// sane reports whether a file can be fetched at all, and if so cleans its path.
func (l *listed) sane() bool {
	l.Path = strings.TrimPrefix(strings.ReplaceAll("/"+l.Path, "/./", "/"), "/")
	return clean(l.Path) && !strings.ContainsAny(l.Path, "\\%?#;") && !strings.Contains(l.Path, "://") &&
		isSourceName(l.Source) && isVersion(l.Version) && !l.Digest.IsZero()
}

// sourceFiles reads a stanza of Sources.
func sourceFiles(stanza []byte, f func(listed) error) error {
	fields := fieldsOf(stanza)
	files := map[string]*listed{}
	var order []string
	for _, list := range []struct{ field, algorithm string }{{"Checksums-Sha256", "sha256"}, {"Checksums-Sha1", "sha1"}, {"Files", "md5"}} {
		for line := range strings.Lines(fields[list.field]) {
			parts := strings.Fields(line)
			if len(parts) != 3 {
				continue
			}
			size, err := strconv.ParseInt(parts[1], 10, 64)
			d, derr := millpond.ParseDigest(list.algorithm + ":" + strings.ToLower(parts[0]))
			if err != nil || derr != nil || files[parts[2]] != nil || strings.Contains(parts[2], "/") {
				continue
			}
			files[parts[2]] = &listed{Source: fields["Package"], Version: fields["Version"], Architecture: "source",
				Path: join(strings.TrimSuffix(fields["Directory"], "/"), parts[2]), Size: size, Digest: d}
			order = append(order, parts[2])
		}
	}
	for _, name := range order {
		if one := files[name]; one.sane() {
			if err := f(*one); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldsOf are the fields of a stanza; continued lines keep their line ends.
func fieldsOf(stanza []byte) map[string]string {
	out := map[string]string{}
	last := ""
	for line := range strings.Lines(string(stanza)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			out[last] += "\n" + line
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		last = name
		out[name] = strings.TrimSpace(value)
	}
	return out
}
