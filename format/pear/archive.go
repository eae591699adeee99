package pear

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"millpond"
)

const (
	descriptionLimit = 1 << 20   // of a package.xml
	unpackedLimit    = 512 << 20 // of an archive
	plainRatio       = 200       // how much larger than packed an archive may be, beyond plainSize
	plainSize        = 16 << 20
)

// A description is a package.xml of the second version, read whole.
type description struct {
	name, channel, version         string
	stability, apiVersion, licence string
	summary, text, notes           string
	lead                           string
	leads                          []person
	minPHP                         string
	deps                           *node
	files                          map[string]string // path below Name-V/ → md5, "" if it says none
	raw                            []byte
}

type person struct{ Handle, Name, Email, Role string }

var errLimit = errors.New("it unpacks to more than an archive may")

// readDescription reads a package.xml. The first version of the format is read for its name and version alone.
func readDescription(raw []byte) (*description, error) {
	root, err := readXML(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("its package.xml cannot be read: %w", err)
	}
	if root.name != "package" {
		return nil, fmt.Errorf("its package.xml is of a %.40q", root.name)
	}
	if !strings.HasPrefix(root.attr("version"), "2.") {
		return &description{name: root.kid("name").text, version: root.kid("release", "version").text}, nil
	}
	d := &description{
		name: root.kid("name").text, channel: strings.ToLower(root.kid("channel").text),
		version: root.kid("version", "release").text, apiVersion: root.kid("version", "api").text,
		stability: root.kid("stability", "release").text, licence: root.kid("license").text,
		summary: root.kid("summary").text, text: root.kid("description").text, notes: root.kid("notes").text,
		minPHP: root.kid("dependencies", "required", "php", "min").text,
		deps:   root.kid("dependencies"), files: map[string]string{}, raw: raw,
	}
	for _, role := range []string{"lead", "developer", "contributor", "helper"} {
		for _, one := range root.all(role) {
			d.leads = append(d.leads, person{one.kid("user").text, one.kid("name").text, one.kid("email").text, role})
		}
	}
	if len(d.leads) > 0 {
		d.lead = d.leads[0].Handle
	}
	return d, d.readFiles(root.kid("contents"), "")
}

func (d *description) readFiles(dir *node, at string) error {
	for _, k := range dir.kids {
		name := k.attr("name")
		switch k.name {
		case "dir":
			if err := d.readFiles(k, path.Join(at, strings.TrimPrefix(name, "/"))); err != nil {
				return err
			}
		case "file":
			file := path.Join(at, strings.TrimPrefix(name, "/"))
			if err := checkMember(file); err != nil {
				return err
			}
			d.files[file] = strings.ToLower(k.attr("md5sum"))
		}
	}
	return nil
}

// check refuses a description that no client could use.
func (d *description) check() error {
	switch {
	case d.raw == nil:
		return errors.New("its package.xml is not of version 2.0")
	case !isName(d.name):
		return fmt.Errorf("no package is called %.100q", d.name)
	case !isChannel(d.channel):
		return fmt.Errorf("its package.xml names no channel: %.100q", d.channel)
	case !isVersion(d.version):
		return fmt.Errorf("no release is called %.100q", d.version)
	case !isStability(d.stability):
		return fmt.Errorf("a release is one of %s, and not %.40q", strings.Join(stabilities, ", "), d.stability)
	case d.lead == "":
		return errors.New("its package.xml names no lead")
	}
	return nil
}

func checkMember(name string) error {
	if name == "" || name[0] == '/' || strings.ContainsAny(name, "\\\x00") || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") {
		return fmt.Errorf("a member is called %.100q, which leads out of it", name)
	}
	return nil
}

// unpacked counts what is unpacked, against a limit that what it is unpacked from sets.
type unpacked struct {
	r     io.Reader
	n     int64
	limit int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if u.n += int64(n); u.n > u.limit {
		return n, errLimit
	}
	return n, err
}

// walk gives each member of an archive to visit, and reads the archive to its end.
func walk(ctx context.Context, r io.Reader, limit int64, visit func(*tar.Header, io.Reader) error) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("it is not packed with gzip: %w", err)
	}
	in := &unpacked{r: z, limit: limit}
	t := tar.NewReader(in)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = visit(h, t)
		}
		if err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

func limitOf(size int64) int64 {
	return min(unpackedLimit, plainSize+plainRatio*size)
}

// isDescription reports whether a member is the archive's package.xml. An archive with both has its second version in
// package2.xml.
func isDescription(name string) bool {
	return name == "package.xml" || name == "package2.xml"
}

func readMember(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, descriptionLimit+1))
	if err == nil && len(b) > descriptionLimit {
		err = fmt.Errorf("its package.xml has more than %d bytes", descriptionLimit)
	}
	return b, err
}

// readArchive reads the archive of a release whole. strict checks what a publisher has to get right: member names, and the sums of files.
func readArchive(ctx context.Context, r io.Reader, size int64, k millpond.Key, strict bool) (*description, error) {
	var d *description
	second := false
	sums, folded := map[string]string{}, map[string]string{}
	err := walk(ctx, r, limitOf(size), func(h *tar.Header, body io.Reader) error {
		if isDescription(h.Name) && !second {
			b, err := readMember(body)
			if err != nil {
				return err
			}
			if d, err = readDescription(b); err != nil {
				return err
			}
			second = h.Name == "package2.xml"
		}
		if !strict {
			return nil
		}
		name := strings.TrimSuffix(h.Name, "/")
		if err := checkMember(name); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			return nil
		case tar.TypeReg:
		default:
			return fmt.Errorf("the member %.100q is no file", name)
		}
		if was, ok := folded[strings.ToLower(name)]; ok {
			return fmt.Errorf("the members %.100q and %.100q are one name where case does not matter", was, name)
		}
		folded[strings.ToLower(name)] = name
		sum := md5.New()
		if _, err := io.Copy(sum, body); err != nil {
			return err
		}
		sums[name] = hex.EncodeToString(sum.Sum(nil))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, errors.New("it has no package.xml")
	}
	if strict {
		if err := d.check(); err != nil {
			return nil, err
		}
	}
	if err := d.is(k); err != nil || !strict {
		return d, err
	}
	for file, want := range d.files {
		got, ok := sums[d.name+"-"+d.version+"/"+file]
		switch {
		case !ok:
			return nil, fmt.Errorf("its package.xml lists %.100q, which is not in it", file)
		case want != "" && got != want:
			return nil, fmt.Errorf("%.100q has the md5 %s, and not %.40s as its package.xml says", file, got, want)
		}
	}
	return d, nil
}

// is reports, as an error, that the archive is of another release than its address says.
func (d *description) is(k millpond.Key) error {
	channel, name, _ := strings.Cut(k.Package, "/")
	switch {
	case !strings.EqualFold(d.name, name):
		return fmt.Errorf("it is of the package %.100q", d.name)
	case d.version != k.Version:
		return fmt.Errorf("it is of the version %.100q", d.version)
	case d.channel != "" && d.channel != channel:
		return fmt.Errorf("it is of the channel %.100q", d.channel)
	}
	return nil
}
