package maven

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"millpond"
	"millpond/format"
)

var _ format.Publisher = Format{}

// PublishFile publishes a jar, or another file with what it is in its options (group, artifact, version), or a POM that packages
// nothing. The POM is the one inside the jar, else a bare one is made.
func (Format) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	b := &bundle{repo: r, files: map[string]millpond.File{}}
	b.p = Path{Kind: File, Group: f.Options["group"], Artifact: f.Options["artifact"], Base: f.Options["version"]}
	if err := b.read(ctx, f); err != nil {
		return nil, err
	}
	receipt, err := r.Publish(ctx, format.Release{Package: b.p.Package(), Settle: b.settle})
	if err != nil {
		return nil, err
	}
	return &format.Published{Key: millpond.Key{Package: b.p.Package(), Version: receipt.Version.Name}, New: receipt.New}, nil
}

// A bundle is a version that comes whole.
type bundle struct {
	repo  format.Repo
	p     Path
	about about
	main  string                   // what stands behind artifact and version in the name of the main file
	files map[string]millpond.File // by what stands there
}

func (b *bundle) read(ctx context.Context, f format.PublishedFile) error {
	var pom []byte
	var err error
	if strings.HasSuffix(f.Name, ".pom") || f.Name == "pom.xml" {
		b.main = ".pom"
		if pom, err = readPOMText(f.Body); err != nil {
			return err
		}
	} else {
		up, all, n, err := b.take(ctx, f.Body, f.Size)
		if err != nil {
			return err
		}
		defer up.Close()
		if pom, err = embeddedPOM(up, n); err == nil && pom == nil {
			pom, err = b.barePOM(f.Name)
		}
		if err != nil {
			return errors.Join(err, up.Discard())
		}
		if err := b.name(pom, f.Name); err != nil {
			return errors.Join(err, up.Discard())
		}
		if b.main == ".jar" && n <= pluginLimit {
			b.about.Plugin = pluginOf(up, n, b.p)
		}
		if err := b.add(ctx, b.main, up, all, n); err != nil {
			return err
		}
	}
	if b.main == ".pom" {
		if err := b.name(pom, f.Name); err != nil {
			return err
		}
		if b.about.Packaging != "pom" {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("this POM packages a %s: publish that, which has the POM inside", b.about.Packaging)}
		}
	}
	up, all, n, err := b.take(ctx, bytes.NewReader(pom), int64(len(pom)))
	if err != nil {
		return err
	}
	defer up.Close()
	return b.add(ctx, ".pom", up, all, n)
}

// take uploads bytes of a package that may not yet be known.
func (b *bundle) take(ctx context.Context, body io.Reader, size int64) (format.Upload, hashes, int64, error) {
	pkg := ""
	if b.p.Group != "" && b.p.Artifact != "" {
		pkg = b.p.Package()
	}
	up, err := b.repo.Upload(ctx, format.Uploading{Package: pkg, Size: size})
	if err != nil {
		return nil, nil, 0, err
	}
	all := newHashes()
	n, err := io.Copy(io.MultiWriter(up, all), body)
	if err != nil {
		err = errors.Join(err, up.Discard())
		up.Close()
		return nil, nil, 0, err
	}
	return up, all, n, nil
}

func (b *bundle) add(ctx context.Context, rest string, up format.Upload, all hashes, n int64) error {
	f := millpond.File{Size: n, Type: typeOf(rest)}
	var err error
	if f.Digests, err = all.digests(); err != nil {
		return err
	}
	if f.Meta, err = json.Marshal(b.about); err != nil {
		return err
	}
	if f.Blob, err = up.Commit(ctx); err != nil {
		return err
	}
	b.files[rest] = f
	return nil
}

// name learns from the POM, and the options, what the version is.
func (b *bundle) name(text []byte, file string) error {
	pom, err := readPOM(bytes.NewReader(text))
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the POM cannot be read: %v", err)}
	}
	for _, one := range []struct {
		to   *string
		said string
	}{{&b.p.Group, pom.Group}, {&b.p.Artifact, pom.Artifact}, {&b.p.Base, pom.Version}} {
		if *one.to == "" {
			*one.to = one.said
		}
	}
	if why := pom.agrees(b.p.Group, b.p.Artifact, b.p.Base); why != "" {
		return &millpond.Error{Kind: millpond.Invalid, Why: why}
	}
	if n, ok := nameOf(b.p.Package()); !ok || n.artifact == "" || n.snapshot != "" || !isSegment(b.p.Base) || strings.Contains(b.p.Base, "${") {
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("nothing says what %s is", file), Hint: "say --option group=… --option artifact=… --option version=…"}
	}
	b.p.Version = b.p.Base
	b.about = about{Packaging: pom.Packaging, Name: pom.Name, Licence: pom.Licence}
	if b.main == "" {
		rest, ok := strings.CutPrefix(file, b.p.Artifact+"-"+b.p.Base)
		if !ok || len(rest) < 2 || rest[0] != '.' && rest[0] != '-' {
			rest = path.Ext(file)
			if strings.HasSuffix(file, ".tar"+rest) {
				rest = ".tar" + rest
			}
		}
		if len(rest) < 2 || rest == ".module" || sumOf(rest) != "" {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s is not the main file of a version", file)}
		}
		b.main = rest
	}
	b.p.Name = b.p.Artifact + "-" + b.p.Base + b.main
	return nil
}

// barePOM is a POM for a file that has none.
func (b *bundle) barePOM(file string) ([]byte, error) {
	if b.p.Group == "" || b.p.Artifact == "" || b.p.Base == "" {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s has no POM inside that says what it is", file), Hint: "say --option group=… --option artifact=… --option version=…"}
	}
	packaging := strings.TrimPrefix(path.Ext(file), ".")
	x := &bytes.Buffer{}
	fmt.Fprintf(x, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n"+
		"  <groupId>%s</groupId>\n  <artifactId>%s</artifactId>\n  <version>%s</version>\n  <packaging>%s</packaging>\n</project>\n",
		escaped(b.p.Group), escaped(b.p.Artifact), escaped(b.p.Base), escaped(packaging))
	return x.Bytes(), nil
}

func readPOMText(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, pomLimit+1))
	if err == nil && len(text) > pomLimit {
		err = pomTooLarge(millpond.Key{})
	}
	return text, err
}

// embeddedPOM is the one POM that Maven has packed into a jar; nil if there is none, or several.
func embeddedPOM(r io.ReaderAt, size int64) ([]byte, error) {
	z, err := format.OpenZip(r, size)
	if err != nil {
		return nil, nil // no archive
	}
	var found *zip.File
	for _, f := range z.File {
		if ok, _ := path.Match("META-INF/maven/*/*/pom.xml", f.Name); ok {
			if found != nil {
				return nil, nil // several artifacts were packed into one
			}
			found = f
		}
	}
	if found == nil {
		return nil, nil
	}
	body, err := found.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return readPOMText(body)
}

// settle makes the version, or sees whether it is the one that is there. A SNAPSHOT becomes a build.
func (b *bundle) settle(now *format.Hosting, r *format.Release) error {
	if now == nil {
		now = &format.Hosting{}
	}
	version, stamped := b.p.Base, isSnapshot(b.p.Base)
	if stamped {
		a := &arrival{repo: b.repo, path: b.p, file: b.files[b.main], now: b.repo.Now()}
		version = a.buildFor(now)
	}
	files := map[string]millpond.File{}
	for rest, f := range b.files {
		f.Name = b.p.Artifact + "-" + version + rest
		files[f.Name] = f
	}
	if err := release(r, b.p.Artifact, version, files, stamped); err != nil {
		return err
	}
	if kept := now.Version(version); kept != nil {
		all := r.Version.Files
		r.Version, r.Grows = *kept, true
		r.Version.Files = all
	}
	return nil
}
