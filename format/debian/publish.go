package debian

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

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

// write answers the requests that change something.
func (h handler) write(w http.ResponseWriter, r *http.Request) error {
	p, err := Parse(r.URL.EscapedPath())
	if toProxy(r) {
		err = &millpond.Error{Kind: millpond.Denied, Why: "a proxy's clients publish nothing"}
	}
	if err != nil {
		return err
	}
	if r.Method != http.MethodDelete && (p.Kind == Pool || p.Kind == Incoming) {
		// Whose it is its control file says; who may publish nothing at all is not listened to that far.
		if err := h.repo.May(r.Context(), millpond.VerbPublish, ""); err != nil {
			return err
		}
	}
	switch {
	case r.Method == http.MethodPut && p.Kind == Pool:
		return h.putPool(w, r, p.File)
	case r.Method == http.MethodPut && p.Kind == Incoming:
		return h.putIncoming(w, r, p.File)
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

// postPool takes a form with files. Nothing shows before all of them are here and sound; what is of one source package and
// version becomes visible in one piece.
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
	var all []arrival
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
		one, err := arrive(r.Context(), h.repo, suite, component, part.FileName(), part, -1)
		if err != nil {
			return err
		}
		all = append(all, *one)
	}
	if len(all) == 0 {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the form has no file in it"}
	}
	done, err := releaseAll(r.Context(), h.repo, all)
	if err != nil {
		return err
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
	one, err := arrive(ctx, repo, suite, component, name, body, size)
	if err != nil {
		return nil, err
	}
	done, err := releaseAll(ctx, repo, []arrival{*one})
	if err != nil {
		return nil, err
	}
	return done[0], nil
}

// An arrival is a file that is here, and not visible yet.
type arrival struct {
	key millpond.Key // whose it is; no Version for a part of a source package, which waits for its .dsc
	// files are what becomes visible with it. It is called when all that came together is here.
	files func(ctx context.Context) ([]millpond.File, error)
}

// arrive takes a file, whatever it is.
func arrive(ctx context.Context, repo format.Repo, suite, component, name string, body io.Reader, size int64) (*arrival, error) {
	if isSourceFile(name) {
		return arriveSource(ctx, repo, suite, component, name, body, size)
	}
	return arriveDeb(ctx, repo, suite, component, name, body, size)
}

// releaseAll makes what has arrived visible: all of one source package and version in one transaction.
func releaseAll(ctx context.Context, repo format.Repo, all []arrival) ([]*format.Published, error) {
	type group struct{ pkg, version string }
	files := map[group][]millpond.File{}
	var order []group
	for _, one := range all {
		g := group{one.key.Package, one.key.Version}
		more, err := one.files(ctx)
		if err != nil {
			return nil, err
		}
		if g.version == "" || len(more) == 0 {
			continue // it waits for another
		}
		if _, ok := files[g]; !ok {
			order = append(order, g)
		}
		for _, f := range more {
			if !slices.ContainsFunc(files[g], func(o millpond.File) bool { return o.Name == f.Name && o.Blob == f.Blob }) {
				files[g] = append(files[g], f)
			}
		}
	}
	isNew := map[group]bool{}
	for _, g := range order {
		receipt, err := repo.Publish(ctx, format.Release{Package: g.pkg, Version: millpond.Version{Name: g.version, Files: files[g]}, Grows: true, Settle: settle})
		if err != nil {
			return nil, err
		}
		isNew[g] = receipt.New
	}
	var done []*format.Published
	for _, one := range all {
		done = append(done, &format.Published{Key: one.key, New: one.key.Version == "" || isNew[group{one.key.Package, one.key.Version}]})
	}
	return done, nil
}

// arriveDeb takes a .deb. Its control file says what it is; who may publish that is judged before a byte is kept.
func arriveDeb(ctx context.Context, repo format.Repo, suite, component, name string, body io.Reader, size int64) (*arrival, error) {
	var front bytes.Buffer
	c, err := readDeb(body, &front)
	if err != nil {
		return nil, err
	}
	source, sourceVersion := c.source()
	if err := mayProvide(ctx, repo, c); err != nil {
		return nil, err
	}
	up, err := begin(ctx, repo, suite, source, c.fields["Architecture"], size)
	if err != nil {
		return nil, err
	}
	defer up.Close()
	if err := up.copy(ctx, io.MultiReader(&front, body)); err != nil {
		return nil, err
	}
	f, err := debFile(ctx, up, c, suite, component, name)
	if err != nil {
		return nil, err
	}
	return &arrival{millpond.Key{Package: source, Version: sourceVersion, File: f.Name}, func(context.Context) ([]millpond.File, error) { return []millpond.File{f}, nil }}, nil
}

// mayProvide is an error if the caller may not publish a .deb by its own name, whatever its source.
func mayProvide(ctx context.Context, repo format.Repo, c *control) error {
	if source, _ := c.source(); c.fields["Package"] == source {
		return nil // which is asked for in any case
	}
	return repo.May(ctx, millpond.VerbPublish, c.fields["Package"])
}

// debFile is a .deb as a file of its source package, in a suite.
func debFile(ctx context.Context, up *uploading, c *control, suite, component, name string) (millpond.File, error) {
	f, err := up.file(ctx, "")
	if err != nil {
		return f, err
	}
	err = placeDeb(&f, c, suite, component, name)
	return f, err
}

// placeDeb says where the file of a .deb belongs.
func placeDeb(f *millpond.File, c *control, suite, component, name string) error {
	source, _ := c.source()
	ending, kind := ".deb", "deb"
	if strings.HasSuffix(name, ".udeb") {
		ending, kind = ".udeb", "udeb"
	}
	f.Platform, f.Type = c.fields["Architecture"], typeDeb
	f.Name = poolFile(suite, component, source, c.fields["Package"]+"_"+withoutEpoch(c.fields["Version"])+"_"+f.Platform+ending)
	var err error
	f.Meta, err = json.Marshal(listing{Suite: suite, Component: component, Kind: kind, Stanza: stanzaFor(c.text, f)})
	return err
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
