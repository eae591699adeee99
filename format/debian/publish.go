package debian

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

var _ format.Publisher = Format{}

// A listing is what is recorded of a hosted file: where it belongs, and its stanza without the lines that tell of the file.
type listing struct {
	Suite     string `json:"suite"`
	Component string `json:"component"`
	Kind      string `json:"kind"` // "deb", "udeb", "dsc", or "part" of a source
	Stanza    string `json:"stanza,omitempty"`
}

// A suiteRecord is what a hosted suite was made with.
type suiteRecord struct {
	Origin        string   `json:"origin,omitempty"`
	Label         string   `json:"label,omitempty"`
	Suite         string   `json:"suite,omitempty"`
	Codename      string   `json:"codename,omitempty"`
	Components    []string `json:"components,omitempty"`
	Architectures []string `json:"architectures,omitempty"`
	// Snapshot is the time of the Release that the suite was rolled back to; "" if it shows what there is.
	Snapshot string `json:"snapshot,omitempty"`
	// Keys are the fingerprints of the keys that signed when it was made, by number.
	Keys map[string]string `json:"keys,omitempty"`
}

// write answers the requests that change something.
func (h handler) write(w http.ResponseWriter, r *http.Request) error {
	p, err := Parse(r.URL.EscapedPath())
	if toProxy(r) {
		err = &millpond.Error{Kind: millpond.Denied, Why: "a proxy's clients publish nothing"}
	}
	if err != nil {
		return err
	}
	switch {
	case r.Method == http.MethodPut && p.Kind == Pool:
		return h.putPool(w, r, p.File)
	case r.Method == http.MethodPut && p.Kind == Release && p.File == "Release" && p.At.IsZero():
		return h.putSuite(w, r, p.Suite)
	case r.Method == http.MethodPost && p.Kind == Pool:
		return h.postPool(w, r, p.File)
	case r.Method == http.MethodDelete && p.Kind == Pool:
		return h.deletePool(w, r, p.File)
	}
	w.Header().Set("Allow", "GET, HEAD, PUT, POST, DELETE")
	return &millpond.Error{Kind: millpond.Unsupported, Why: r.Method + " is not answered at " + r.URL.Path,
		Hint: "packages are put to pool/<suite>/<component>/<file>"}
}

// target reads "pool/<suite>/<component>" off a path.
func target(path string) (suite, component string, ok bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 3 || parts[0] != "pool" || !isSuiteWord(parts[1]) || !isSuiteWord(parts[2]) {
		return "", "", false
	}
	return parts[1], parts[2], true
}

func isSuiteWord(s string) bool {
	return s != "" && len(s) <= 100 && isSourceName(s)
}

func (h handler) putPool(w http.ResponseWriter, r *http.Request, path string) error {
	suite, component, ok := target(path)
	if !ok || strings.Count(path, "/") < 3 {
		return &millpond.Error{Kind: millpond.Invalid, Why: "packages are put to pool/<suite>/<component>/<file>"}
	}
	_, name := split(path)
	done, err := publishFile(r.Context(), h.repo, suite, component, name, r.Body, r.ContentLength)
	if err != nil {
		return err
	}
	return answer(w, []*format.Published{done})
}

func answer(w http.ResponseWriter, done []*format.Published) error {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = []string{typeText}, []string{"no-store"}
	status := http.StatusOK
	var text strings.Builder
	for _, one := range done {
		words := "is here already, with the same bytes: "
		if one.New {
			words, status = "published ", http.StatusCreated
		}
		text.WriteString(words + one.Key.String() + "\n")
	}
	w.WriteHeader(status)
	_, err := io.WriteString(w, text.String())
	return err
}

// postPool takes a form with files, one after the other.
func (h handler) postPool(w http.ResponseWriter, r *http.Request, path string) error {
	suite, component, ok := target(path)
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if !ok || err != nil || kind != "multipart/form-data" {
		return &millpond.Error{Kind: millpond.Invalid, Why: "a form with files is posted to pool/<suite>/<component>"}
	}
	form, err := r.MultipartReader()
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the form cannot be read", Err: err}
	}
	var done []*format.Published
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return &millpond.Error{Kind: millpond.Invalid, Why: "the form cannot be read", Err: err}
		}
		if part.FileName() == "" {
			continue
		}
		one, err := publishFile(r.Context(), h.repo, suite, component, part.FileName(), part, -1)
		if err != nil {
			return err
		}
		done = append(done, one)
	}
	if len(done) == 0 {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the form has no file in it"}
	}
	return answer(w, done)
}

func (h handler) deletePool(w http.ResponseWriter, r *http.Request, path string) error {
	parts := strings.Split(path, "/")
	if _, _, ok := target(path); !ok || len(parts) != 6 {
		return &millpond.Error{Kind: millpond.NotFound, Why: "nothing is hosted at " + path}
	}
	source := parts[4]
	if err := h.repo.May(r.Context(), millpond.VerbDelete, source); err != nil {
		return err
	}
	pkg, err := h.repo.Hosted(r.Context(), source)
	if err != nil {
		return err
	}
	for i := range pkg.Versions {
		if pkg.Versions[i].File(path) == nil {
			continue
		}
		k := millpond.Key{Package: source, Version: pkg.Versions[i].Name, File: path}
		if err := h.repo.Delete(r.Context(), format.Deletion{Key: k, Why: "deleted by a client"}); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return &millpond.Error{Kind: millpond.NotFound, Why: "nothing is hosted at " + path}
}

// putSuite makes a suite of a Release without lists, of what its own will say of itself, or changes that: a field that is not
// there stays as it is. The field Snapshot takes the suite back to what it listed at a time, and, if it is empty, to what there
// is now.
func (h handler) putSuite(w http.ResponseWriter, r *http.Request, suite string) error {
	word, ok := strings.CutPrefix(suite, distsDir+"/")
	if !ok || !isSuiteWord(word) {
		return &millpond.Error{Kind: millpond.Invalid, Why: suite + " cannot be hosted: its name is one word"}
	}
	if err := h.repo.May(r.Context(), millpond.VerbPublish, suite); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the fields of the suite cannot be read", Err: err}
	}
	f := fieldsOf(text)
	if at := f["Snapshot"]; at != "" {
		t, err := time.Parse(snapshotTime, at)
		if err != nil {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no time of a snapshot, as 20260131T000000Z", at)}
		}
		if _, err := h.then(r.Context(), suite, t); err != nil {
			return err
		}
	}
	err = setSuite(r.Context(), h.repo, suite, func(rec *suiteRecord) {
		for name, field := range map[string]*string{"Origin": &rec.Origin, "Label": &rec.Label, "Suite": &rec.Suite, "Codename": &rec.Codename, "Snapshot": &rec.Snapshot} {
			if value, ok := f[name]; ok {
				*field = value
			}
		}
		for name, field := range map[string]*[]string{"Components": &rec.Components, "Architectures": &rec.Architectures} {
			if value, ok := f[name]; ok {
				*field = strings.Fields(value)
			}
		}
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// suiteVersion is the version of a hosted suite that its record stands for: what a suite lists is derived from its packages.
const suiteVersion = "0"

// check refuses what no Release can say.
func (rec *suiteRecord) check() error {
	for _, s := range []string{rec.Origin, rec.Label, rec.Suite, rec.Codename} {
		if strings.ContainsAny(s, "\r\n") || len(s) > 200 {
			return &millpond.Error{Kind: millpond.Invalid, Why: "a field of the suite is longer than a line"}
		}
	}
	for _, a := range rec.Architectures {
		if !isArchitecture(a) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no architecture", a)}
		}
	}
	for _, c := range rec.Components {
		if !isSuiteWord(c) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no component", c)}
		}
	}
	return nil
}

// setSuite makes a suite, or changes what is recorded of it.
func setSuite(ctx context.Context, repo format.Repo, suite string, edit func(*suiteRecord)) error {
	var rec suiteRecord
	edit(&rec)
	if err := rec.check(); err != nil {
		return err
	}
	if there, err := hostedSuite(ctx, repo, suite); err != nil {
		return err
	} else if there != nil {
		return repo.Amend(ctx, format.Amendment{Package: suite, Version: suiteVersion, Why: "what its Release says of itself", Edit: func(now *format.Hosting) error {
			rec, err := recordOf(&now.Package)
			if err != nil {
				return err
			}
			edit(&rec)
			now.Parts[0].Meta, err = json.Marshal(rec)
			return err
		}})
	}
	keys, err := keysOf(ctx, repo, nil)
	if err != nil {
		return err
	}
	rec.Keys = keys.prints
	meta, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	// A suite by itself shows nothing to anybody, so that making one is no event.
	_, err = repo.Publish(ctx, format.Release{Package: suite, Version: millpond.Version{Name: suiteVersion}, Meta: meta, Grows: true, Loose: 1})
	return err
}

// made reports whether a suite is one of this repository's own.
func made(p *millpond.Package) bool { return len(p.Parts) > 0 && p.Parts[0].Layer == "" }

// hostedSuite is a suite that is hosted here, nil if it is not, asking nobody.
func hostedSuite(ctx context.Context, repo format.Repo, suite string) (*millpond.Package, error) {
	p, err := repo.Held().Package(ctx, suite)
	if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Offline) || err == nil && !made(p) {
		return nil, nil
	}
	return p, err
}

// PublishFile publishes a .deb into a suite: the option suite, and in it the option component.
func (Format) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	suite, component := f.Options["suite"], f.Options["component"]
	if suite == "" {
		suite = r.Option("suite")
	}
	if component == "" {
		component = "main"
	}
	for name := range f.Options {
		if name != "suite" && name != "component" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a Debian package has no option " + name, Hint: "suite and component are"}
		}
	}
	if !isSuiteWord(suite) || !isSuiteWord(component) {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no suite, or %.60q no component", suite, component)}
	}
	return publishFile(ctx, r, suite, component, f.Name, f.Body, f.Size)
}

func publishFile(ctx context.Context, repo format.Repo, suite, component, name string, body io.Reader, size int64) (*format.Published, error) {
	if strings.HasSuffix(name, ".dsc") || strings.Contains(name, ".tar.") || strings.HasSuffix(name, ".diff.gz") || strings.HasSuffix(name, ".asc") {
		return publishSource(ctx, repo, suite, component, name, body, size)
	}
	return publishDeb(ctx, repo, suite, component, name, body, size)
}

// publishDeb takes a .deb. Its control file says what it is; who may publish that is judged before a byte is kept.
func publishDeb(ctx context.Context, repo format.Repo, suite, component, name string, body io.Reader, size int64) (*format.Published, error) {
	var front bytes.Buffer
	c, err := readDeb(body, &front)
	if err != nil {
		return nil, err
	}
	source, sourceVersion := c.source()
	ending, kind := ".deb", "deb"
	if strings.HasSuffix(name, ".udeb") {
		ending, kind = ".udeb", "udeb"
	}
	arch := c.fields["Architecture"]
	path := poolFile(suite, component, source, c.fields["Package"]+"_"+withoutEpoch(c.fields["Version"])+"_"+arch+ending)
	k := millpond.Key{Package: source, Version: sourceVersion, File: path}
	up, err := begin(ctx, repo, suite, source, size)
	if err != nil {
		return nil, err
	}
	defer up.Close()
	if err := up.copy(io.MultiReader(&front, body)); err != nil {
		return nil, err
	}
	f, err := up.file(ctx, path)
	if err != nil {
		return nil, err
	}
	f.Platform, f.Type = arch, typeDeb
	if f.Meta, err = json.Marshal(listing{Suite: suite, Component: component, Kind: kind, Stanza: up.stanza(c.text, path)}); err != nil {
		return nil, err
	}
	return releaseFiles(ctx, repo, k, []millpond.File{f})
}

func releaseFiles(ctx context.Context, repo format.Repo, k millpond.Key, files []millpond.File) (*format.Published, error) {
	receipt, err := repo.Publish(ctx, format.Release{Package: k.Package, Version: millpond.Version{Name: k.Version, Files: files}, Grows: true})
	if err != nil {
		return nil, err
	}
	return &format.Published{Key: k, New: receipt.New}, nil
}

// begin asks whether the caller may publish a source package, makes the suite if need be, and begins an upload.
func begin(ctx context.Context, repo format.Repo, suite, source string, size int64) (*uploading, error) {
	if err := repo.May(ctx, millpond.VerbPublish, source); err != nil {
		return nil, err
	}
	if err := enter(ctx, repo, suite); err != nil {
		return nil, err
	}
	up, err := repo.Upload(ctx, format.Uploading{Package: source, Size: size, Algorithms: []string{"sha1", "md5"}})
	if err != nil {
		return nil, err
	}
	return &uploading{Upload: up, md5: md5.New(), sha1: sha1.New(), sha256: sha256.New()}, nil
}

// enter makes the suite that something is published into, if need be. Where its Release could not be signed nothing is taken.
func enter(ctx context.Context, repo format.Repo, suite string) error {
	name := distsDir + "/" + suite
	there, err := hostedSuite(ctx, repo, name)
	if err != nil {
		return err
	}
	if there == nil && (!curates(repo, name) || repo.Claimed(name)) { // a curated one is there by its upstream
		if err := setSuite(ctx, repo, name, func(*suiteRecord) {}); err != nil {
			return fmt.Errorf("make the suite %s: %w", suite, err)
		}
		return nil
	}
	var rec suiteRecord
	if there != nil {
		if rec, err = recordOf(there); err != nil {
			return err
		}
	}
	_, err = handler{repo: repo}.keysFor(ctx, name, rec)
	return err
}

// An uploading is an upload with the sums that an index needs.
type uploading struct {
	format.Upload
	md5, sha1, sha256 hash.Hash
}

func (u *uploading) copy(r io.Reader) error {
	from := &reading{r: r}
	_, err := io.Copy(io.MultiWriter(u.Upload, u.md5, u.sha1, u.sha256), from)
	if err == nil {
		return nil
	}
	if from.err != nil {
		err = &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the body ended after %d bytes", u.Size()), Err: err}
	}
	return errors.Join(err, u.Discard())
}

// A reading remembers why a reader failed, to tell it from the failures of whoever takes the bytes.
type reading struct {
	r   io.Reader
	err error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// file seals the bytes.
func (u *uploading) file(ctx context.Context, path string) (millpond.File, error) {
	f := millpond.File{Name: path, Size: u.Size()}
	for _, one := range []struct {
		algorithm string
		hash      hash.Hash
	}{{"sha1", u.sha1}, {"md5", u.md5}} {
		d, err := millpond.NewDigest(one.algorithm, one.hash.Sum(nil))
		if err != nil {
			return f, err
		}
		f.Digests = append(f.Digests, d)
	}
	var err error
	if f.Blob, err = u.Commit(ctx); err != nil {
		return f, err
	}
	f.Digests = append([]millpond.Digest{f.Blob}, f.Digests...)
	return f, nil
}

// stanza is a stanza of Packages: the fields of the control file as they stand there, and those of the file.
func (u *uploading) stanza(control, path string) string {
	sum := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
	return control + fmt.Sprintf("Filename: %s\nSize: %d\nMD5sum: %s\nSHA1: %s\nSHA256: %s\n", path, u.Size(), sum(u.md5), sum(u.sha1), sum(u.sha256))
}

// getHosted answers with a hosted file, if the path is of the kind that those have. It reports false if it may be another's.
func (h handler) getHosted(w http.ResponseWriter, r *http.Request, p Path) (bool, error) {
	parts := strings.Split(p.File, "/")
	if len(parts) != 6 || parts[0] != "pool" || !isSourceName(parts[4]) {
		return false, nil
	}
	suite := distsDir + "/" + parts[1]
	ours := h.repo.Claimed(parts[4])
	if !ours && !h.curates(suite) {
		own, err := hostedSuite(r.Context(), h.repo, suite)
		if err != nil || own == nil {
			return err != nil, err
		}
		ours = true
	}
	c, err := format.Find(r, h.repo, millpond.Key{Package: parts[4], File: p.File})
	if millpond.Is(err, millpond.NotFound) && !ours {
		return false, nil // the upstream's archive may have paths like this
	}
	if err != nil {
		return true, err
	}
	return true, h.send(w, r, c, typeOf(p.File), mayChange)
}
