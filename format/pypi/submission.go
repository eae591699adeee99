package pypi

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2b"

	"millpond"
	"millpond/format"
)

// A submission is a file that somebody wants to publish, from its arrival until it is published or refused.
type submission struct {
	repo   format.Repo
	name   string // of the file
	upload format.Upload
	sums   map[string]millpond.Digest // of its bytes, by algorithm
	form   sent                       // what its publisher says of it beside the file; empty if nothing

	project  string // canonical
	display  string // as the publisher spells it
	read     fileName
	metadata []byte // METADATA or PKG-INFO; nil of an old kind of file
	core     *coreMetadata
	attested []byte        // the provenance; nil if there is none
	trust    *format.Trust // what it was verified by
}

// receive takes the file's bytes in, hashing them as they come. The caller ends the submission.
func receive(ctx context.Context, repo format.Repo, pkg, name string, body io.Reader) (*submission, error) {
	if _, side := cutSide(name); side != "" || !cleanName(name) {
		return nil, invalid("%.200q can be no file's name", name)
	}
	upload, err := repo.Upload(ctx, format.Uploading{Package: pkg, Size: -1})
	if err != nil {
		return nil, err
	}
	s := &submission{repo: repo, name: name, upload: upload, sums: map[string]millpond.Digest{}}
	strong, weak := sha256.New(), md5.New()
	other, err := blake2b.New256(nil)
	if err == nil {
		_, err = io.CopyBuffer(io.MultiWriter(onlyWriter{upload}, strong, weak, other), onlyReader{body}, make([]byte, 256<<10))
	}
	for algorithm, sum := range map[string][]byte{"sha256": strong.Sum(nil), "md5": weak.Sum(nil), "blake2b-256": other.Sum(nil)} {
		if err == nil {
			s.sums[algorithm], err = millpond.NewDigest(algorithm, sum)
		}
	}
	if err == nil && upload.Size() == 0 {
		err = invalid("%s is empty", name)
	}
	if err != nil {
		s.end()
		return nil, received(err)
	}
	return s, nil
}

// The types hide what would copy past the hashes or their buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// received is why a body could not be read, or not be kept.
func received(err error) error {
	if most, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the request is longer than %d bytes", most.Limit)}
	}
	if _, ok := errors.AsType[*millpond.Error](err); ok {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the request ended before the file did", Err: err}
	}
	return err
}

// end drops what was not published.
func (s *submission) end() {
	s.upload.Discard() // of what was committed nothing is dropped
	s.upload.Close()
}

// check judges the file and what is said of it, and fills in what they say together.
func (s *submission) check() error {
	if err := s.checkSums(); err != nil {
		return err
	}
	kind, err := s.kind()
	if err != nil {
		return err
	}
	if kind == "old" {
		return s.checkOld()
	}
	if err := s.look(s.upload, s.upload.Size(), kind); err != nil {
		return err
	}
	if s.form.has("attestations") {
		if s.trust, err = format.ReadTrust(s.repo.Option(optRoots)); err == nil {
			s.attested, err = provenanceOf(s.form.one("attestations"), s.name, s.sums["sha256"], s.repo.Who().Claims, s.trust)
		}
	}
	return err
}

// look goes through a wheel or a source distribution, and takes from it what it says of itself.
func (s *submission) look(r io.ReaderAt, size int64, kind string) error {
	var p *packed
	var err error
	if kind == "bdist_wheel" {
		p, err = readWheel(r, size)
	} else {
		_, end := splitEnd(s.name)
		p, err = readSdist(r, size, strings.ToLower(end))
	}
	if err != nil {
		if bad, ok := errors.AsType[archiveError](err); ok {
			return invalid("%s: %s", s.name, bad.why)
		}
		return err
	}
	s.metadata = p.metadata
	if s.core, err = readMetadata(strings.NewReader(string(p.metadata))); err != nil {
		return invalid("%s: %v", s.name, err)
	}
	for _, field := range [...]string{"metadata-version", "name", "version"} {
		if n := len(s.core.fields[field]); n != 1 {
			return invalid("%s: its metadata has %d fields %s, not one", s.name, n, field)
		}
	}
	s.display = s.core.fields["name"][0]
	if err := s.agree(s.core.fields["version"][0]); err != nil || kind != "bdist_wheel" {
		return err
	}
	return s.checkWheelName(p.dir)
}

// checkSums compares the digests that the form gives.
func (s *submission) checkSums() error {
	for _, d := range [...]struct{ field, algorithm string }{
		{"md5_digest", "md5"}, {"sha256_digest", "sha256"}, {"blake2_256_digest", "blake2b-256"},
	} {
		want := strings.ToLower(s.form.one(d.field))
		if got := s.sums[d.algorithm].Hex(); want != "" && want != got {
			return invalid("%s of %s: the form says %.130s, the file that came has %s", d.field, s.name, want, got)
		}
	}
	return nil
}

// kind is what the file is, by its name and by what its publisher says.
func (s *submission) kind() (string, error) {
	kind, _ := packageType(s.name)
	_, end := splitEnd(s.name)
	usual := end == ".whl" || end == ".tar.gz" || end == ".zip"
	said := s.form.one("filetype")
	switch {
	case end == "":
		return "", invalid("%s has no name that a Python package's file can have", s.name)
	case usual && (said == kind || said == "" && !s.form.has("name")):
		return kind, nil
	case usual && said == "":
		return "", invalid("filetype is missing")
	case usual && (said == "sdist" || said == "bdist_wheel"):
		return "", invalid("filetype says %s, and %s is a %s", said, s.name, kind)
	case s.repo.Option("legacy") != "allow":
		return "", invalid("%s is neither a wheel nor a source distribution (.tar.gz, .zip); this repository takes others only with legacy: allow", s.name)
	}
	return "old", nil
}

// checkOld reads an egg, an installer or an old archive, of which there is nothing to know but what its name and its
// publisher say.
func (s *submission) checkOld() error {
	s.display = s.form.one("name")
	if s.display == "" {
		candidates := owners(s.name)
		if len(candidates) == 0 {
			return invalid("the project cannot be told from the name %s", s.name)
		}
		s.display = candidates[0]
	}
	return s.agree("")
}

// agree wants one name and one version from the file's name, its metadata (version is theirs, "" if there is none) and the
// form.
func (s *submission) agree(version string) error {
	var err error
	if s.project, err = (Format{}).Canon(s.display); err != nil {
		return err
	}
	if said := s.form.one("name"); said != "" {
		if canon, ok := canonName(said); !ok || canon != s.project {
			return invalid("name: the form says %.100q, the metadata of %s says %.100q", said, s.name, s.display)
		}
	}
	read, ok := readName(s.name, s.project)
	if !ok || read.Version == Unknown {
		return invalid("%s is no file name of project %s", s.name, s.project)
	}
	s.read = read
	parsed, ok := parseVersion(read.Version)
	if !ok {
		return invalid("version: %.100q in the name %s is none that PEP 440 knows", read.Version, s.name)
	}
	for where, said := range map[string]string{"metadata": version, "form": s.form.one("version")} {
		if said == "" {
			continue
		}
		if v, ok := parseVersion(said); !ok || v.compare(parsed) != 0 {
			return invalid("version: the %s says %.100q, the name %s says %s", where, said, s.name, read.Version)
		}
	}
	if version != "" {
		s.read.Version = normalVersion(version)
	}
	return nil
}

// checkWheelName reads the parts of a wheel's name, and wants the name of its .dist-info folder to be of the same wheel.
func (s *submission) checkWheelName(dir string) error {
	parts := strings.Split(s.name[:len(s.name)-len(".whl")], "-")
	if n := len(parts); n != 5 && n != 6 {
		return invalid("%s is no wheel's name: name-version-python-abi-platform.whl", s.name)
	}
	if len(parts) == 6 && (parts[2] == "" || !isDigit(parts[2][0])) {
		return invalid("the build tag in %s does not begin with a digit", s.name)
	}
	if slices.Contains(parts, "") {
		return invalid("%s is no wheel's name: a part of it is empty", s.name)
	}
	if canon, ok := canonName(parts[0]); !ok || canon != s.project {
		return invalid("%s begins with the name of another project than %s", s.name, s.project)
	}
	if v, ok := parseVersion(parts[1]); !ok || v.compare(mustVersion(s.read.Version)) != 0 {
		return invalid("version: the name %s says %.100q, the metadata says %s", s.name, parts[1], s.read.Version)
	}
	name, version, _ := strings.Cut(dir[:len(dir)-len(".dist-info")], "-")
	canon, _ := canonName(name)
	if v, ok := parseVersion(version); canon != s.project || !ok || v.compare(mustVersion(s.read.Version)) != 0 {
		return invalid("the metadata of %s is in %.200s, which is of another project or version", s.name, dir)
	}
	return nil
}

// mustVersion parses a version that is known to be one.
func mustVersion(s string) version {
	v, _ := parseVersion(s)
	return v
}

// publish commits the bytes and makes them visible in one transaction.
func (s *submission) publish(ctx context.Context) (*format.Receipt, error) {
	if err := s.repo.May(ctx, millpond.VerbPublish, s.project); err != nil {
		return nil, err
	}
	size := s.upload.Size()
	blob, err := s.upload.Commit(ctx, s.sums["sha256"])
	if err != nil {
		return nil, err
	}
	now := s.repo.Now().UTC()
	main := millpond.File{
		Name: s.name, Platform: s.read.Platform, Size: size, Blob: blob, Published: now,
		Digests: []millpond.Digest{s.sums["sha256"], s.sums["blake2b-256"], s.sums["md5"]},
	}
	if s.core != nil {
		if python := s.core.one("requires-python"); python != "" {
			main.Meta = append(append([]byte(`{"requires-python":`), quote(python)...), '}')
		}
	}
	files := []millpond.File{main}
	described := Described
	if s.read.Wheel {
		described = Metadata
	}
	for _, side := range [...]struct {
		end  string
		text []byte
	}{{described, s.metadata}, {Attested, s.attested}} {
		if side.text == nil {
			continue
		}
		f, err := s.side(ctx, &main, side.end, side.text)
		if err != nil {
			return nil, err
		}
		files = append(files, *f)
	}
	v := millpond.Version{Name: s.read.Version, Prerelease: mustVersion(s.read.Version).prerelease(), Files: files}
	if s.core != nil {
		v.Licence = chooseLicence(s.core.one("license-expression"), s.core.one("license"), s.core.fields["classifier"])
	}
	r := format.Release{Package: s.project, Display: s.display, Version: v, Grows: true}
	if s.attested != nil {
		r.Detail = json.RawMessage(`{"attestations":"` + s.trust.Word() + `"}`)
	}
	r.Settle = func(now *format.Hosting, r *format.Release) error { return settle(now, r, files) }
	return s.repo.Publish(ctx, r)
}

// side keeps a text beside the file.
func (s *submission) side(ctx context.Context, main *millpond.File, end string, text []byte) (*millpond.File, error) {
	up, err := s.repo.Upload(ctx, format.Uploading{Package: s.project, Size: int64(len(text))})
	if err != nil {
		return nil, err
	}
	defer up.Close()
	if _, err := up.Write(text); err != nil {
		up.Discard()
		return nil, err
	}
	blob, err := up.Commit(ctx, millpond.SHA256(text))
	if err != nil {
		return nil, err
	}
	return &millpond.File{
		Name: main.Name + end, Of: main.Name, Platform: main.Platform, Size: int64(len(text)), Blob: blob,
		Digests: []millpond.Digest{blob}, Published: main.Published,
	}, nil
}

// settle fits a release to what is hosted at that moment: `1.0` and `1.0.0` are one version, and a file that is there
// already stays as it was published, with what was said of it then.
func settle(now *format.Hosting, r *format.Release, files []millpond.File) error {
	r.Version.Files, r.Grows = slices.Clone(files), true
	if now == nil {
		return nil
	}
	meta := readParts(now.Parts)
	if meta.Status == archived || meta.Status == quarantined {
		why := now.Name + " is " + meta.Status + " and takes no uploads"
		if meta.Reason != "" {
			why += ": " + meta.Reason
		}
		return &millpond.Error{Kind: millpond.Denied, Key: millpond.Key{Package: now.Name}, Why: why,
			Hint: "an owner of the project can make it active again"}
	}
	for _, d := range now.Deleted {
		if compareVersions(d.Version, r.Version.Name) == 0 {
			r.Version.Name = d.Version
		}
	}
	i := findVersion(now.Versions, r.Version.Name)
	if i < 0 {
		return nil
	}
	v := &now.Versions[i]
	r.Version.Name = v.Name
	main := v.File(files[0].Name)
	if main == nil {
		return nil
	}
	same := main.Blob == files[0].Blob
	if same {
		r.Version.Files = nil
	}
	for _, f := range v.Files {
		if mine := f.Name == main.Name || f.Of == main.Name; mine == same {
			r.Version.Files = append(r.Version.Files, f)
		}
	}
	r.Grows = same // other bytes, where they may be, take what was said of the old ones away
	return nil
}

// PublishFile publishes a wheel or a source distribution as if a client had sent it.
func (Format) PublishFile(ctx context.Context, repo format.Repo, f format.PublishedFile) (*format.Published, error) {
	pkg := ""
	if candidates := owners(f.Name); len(candidates) > 0 {
		pkg = candidates[0]
	}
	if err := repo.May(ctx, millpond.VerbPublish, ""); err != nil {
		return nil, err
	}
	s, err := receive(ctx, repo, pkg, f.Name, f.Body)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if f.Size >= 0 && f.Size != s.upload.Size() {
		return nil, invalid("%s came with %d bytes of %d", f.Name, s.upload.Size(), f.Size)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	got, err := s.publish(ctx)
	if err != nil {
		return nil, err
	}
	return &format.Published{Key: millpond.Key{Package: s.project, Version: got.Version.Name, File: s.name}, New: got.New}, nil
}
