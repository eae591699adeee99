package pypi

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"

	"millpond"
	"millpond/format"
)

// getJSON serves the JSON API's document of a project or of a version: the upstream's, cut to what the reader may see, with
// our URLs; or one made from the metadata of a wheel where the upstream has none. Its URLs are absolute, so each address by
// which clients know us has a document of its own, and a few of them are kept.
func (h handler) getJSON(w http.ResponseWriter, r *http.Request, p Path) error {
	name, err := Format{}.Canon(p.Project)
	if err != nil {
		return err
	}
	if p.Bare || name != p.Project {
		return redirect(w, r, http.StatusMovedPermanently, canonicalJSON(name, p))
	}
	ctx := r.Context()
	view, err := h.repo.Package(ctx, name)
	if err != nil {
		return err
	}
	v, err := chosen(view, p)
	if err != nil {
		return err
	}
	key := millpond.Key{Package: name, File: jsonFile}
	doc := "json/" + name
	if p.Kind == VersionJSON {
		key = versionKey(name, v)
		doc += "/" + v.Name
	}
	a := &apiWriter{handler: h, view: view, chosen: v, key: key, all: p.Kind == ProjectJSON, base: h.repo.Base(r).String()}
	a.files = format.PlaceOf(h.repo, r, "/packages/").String() + name + "/"
	serials := partSerials(view.Parts)
	stamp := view.Stamp
	upstream, err := h.repo.Document(ctx, key)
	switch {
	case err == nil:
		stamp += " " + upstream.Digest.Short()
		n, _ := strconv.ParseInt(upstream.Header.Get(serialHeader), 10, 64)
		serials[upstream.Layer] = max(serials[upstream.Layer], n)
		upstream.Close()
	case !obtainable(err) && !millpond.Is(err, millpond.Unsupported):
		return err
	}
	a.why = err
	if a.serial, err = h.number(ctx, name, serials); err != nil {
		return err
	}
	stamp += " " + strconv.FormatInt(a.serial, 10)
	head := w.Header()
	if h.repo.Public() {
		head["Access-Control-Allow-Origin"] = anyOrigin
		head["Access-Control-Expose-Headers"] = exposeSerial
	}
	if a.serial != 0 {
		head[serialHeaderKey] = []string{strconv.FormatInt(a.serial, 10)}
	}
	head.Set("Cache-Control", jsonCache(h.repo))
	// The write ends with the records it reads; it is for whoever waits for it.
	ctx = context.WithoutCancel(ctx)
	stamp += " " + a.base + " " + a.files
	d := format.Derivation{Name: doc + " at " + format.Slot(a.base), Stamp: stamp, Type: "application/json"}
	return format.ServeDerived(w, r, h.repo, d, func(w io.Writer) error { return a.write(ctx, w) })
}

func jsonCache(repo format.Repo) string {
	if repo.Public() {
		return "max-age=900"
	}
	return "private, max-age=900"
}

// canonicalJSON is the canonical URL, relative to the one that was asked for.
func canonicalJSON(name string, p Path) string {
	up, rest := "../", "/json"
	if p.Kind == VersionJSON {
		up, rest = "../../", "/"+escape(p.Version)+"/json"
	}
	if p.Bare {
		up += "../"
	}
	return up + name + rest
}

// versionKey is how the JSON document of a version is asked for.
func versionKey(project string, v *millpond.Version) millpond.Key {
	return millpond.Key{Package: project, Version: v.Name, File: v.Name + jsonEnd}
}

// chosen is the version that "info" is about: the one in the path, else the newest that the reader may see and that is
// neither yanked nor a prerelease, if there is one.
func chosen(p *millpond.Package, path Path) (*millpond.Version, error) {
	key := millpond.Key{Package: p.Name, Version: path.Version}
	if p.Blocked != "" {
		return nil, &millpond.Error{Kind: millpond.Blocked, Key: key, Why: p.Blocked}
	}
	if path.Kind == VersionJSON {
		wanted := normalVersion(path.Version)
		if i := findVersion(p.Versions, wanted); i >= 0 {
			return &p.Versions[i], nil
		}
		for _, hidden := range p.Hidden {
			if compareVersions(hidden.Version.Name, wanted) == 0 {
				return nil, blockedBy(key, hidden)
			}
		}
		return nil, notFound(key, "there is no version "+path.Version+" of "+p.Name)
	}
	var first *millpond.Version
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Name == Unknown || len(v.Files) == 0 {
			continue
		}
		if !v.Prerelease && !v.Yanked {
			return v, nil
		}
		if first == nil {
			first = v
		}
	}
	switch {
	case first != nil:
		return first, nil
	case len(p.Hidden) > 0:
		return nil, blockedBy(key, p.Hidden[0])
	}
	return nil, notFound(key, "there is no file of "+p.Name)
}

func blockedBy(k millpond.Key, hidden millpond.Hidden) error {
	return &millpond.Error{Kind: millpond.Blocked, Key: k, Why: hidden.Why, After: hidden.After}
}

// An apiWriter writes one document of the JSON API.
type apiWriter struct {
	handler
	view   *millpond.Package
	chosen *millpond.Version
	all    bool             // with "releases"
	key    millpond.Key     // of the upstream's document
	why    error            // why there is none; nil if there is one
	doc    *format.Document // it, while write runs
	base   string           // the repository's address
	files  string           // what the files' addresses begin with
	serial int64
}

func (a *apiWriter) write(ctx context.Context, w io.Writer) error {
	x := &apiIndex{}
	if a.why == nil {
		var err error
		if a.doc, err = a.repo.Document(ctx, a.key); err != nil {
			return err
		}
		defer a.doc.Close()
		if x, err = readAPI(a.doc); err != nil {
			return &millpond.Error{Kind: millpond.BadUpstream, Key: millpond.Key{Package: a.view.Name},
				Why: "the JSON document of " + a.view.Name + " cannot be read", Err: err}
		}
	}
	a.serial = max(a.serial, x.serial)
	if err := a.aboutChosen(ctx, x); err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 64<<10)
	b.WriteString(`{"info":`)
	b.Write(x.info)
	if a.serial != 0 {
		b.WriteString(`,"last_serial":` + strconv.FormatInt(a.serial, 10))
	}
	for _, m := range x.others {
		b.WriteByte(',')
		b.Write(quote(m.name))
		b.WriteByte(':')
		b.Write(m.value)
	}
	if a.all {
		b.WriteString(`,"releases":{`)
		comma := ""
		for i := len(a.view.Versions) - 1; i >= 0; i-- {
			v := &a.view.Versions[i]
			if v.Name == Unknown {
				continue
			}
			b.WriteString(comma)
			b.Write(quote(v.Name))
			b.WriteByte(':')
			if err := a.writeFiles(b, x, v); err != nil {
				return err
			}
			comma = ","
		}
		b.WriteByte('}')
	}
	b.WriteString(`,"urls":`)
	if err := a.writeFiles(b, x, a.chosen); err != nil {
		return err
	}
	b.WriteString(`,"vulnerabilities":`)
	if len(x.vulnerabilities) == 0 {
		x.vulnerabilities = []byte("[]")
	}
	b.Write(x.vulnerabilities)
	b.WriteString("}\n")
	return b.Flush() // which returns the first error of all writes
}

// aboutChosen makes info and vulnerabilities be those of the chosen version: of the project's document only if that is what
// they are about, else from the version's own document, else from the metadata of one of its wheels.
func (a *apiWriter) aboutChosen(ctx context.Context, x *apiIndex) error {
	hosted := format.IsHosted(a.chosen.Layer)
	if a.doc != nil && !hosted && compareVersions(normalVersion(x.version), a.chosen.Name) == 0 {
		return nil
	}
	x.vulnerabilities = nil
	if a.all && a.doc != nil && !hosted {
		doc, err := a.repo.Document(ctx, versionKey(a.view.Name, a.chosen))
		if err == nil {
			defer doc.Close()
			own, err := readAPI(doc)
			if err == nil && compareVersions(normalVersion(own.version), a.chosen.Name) == 0 {
				x.info, x.vulnerabilities = own.info, own.vulnerabilities
				return nil
			}
		}
	}
	info, err := a.infoFromMetadata(ctx)
	if err != nil {
		return err
	}
	x.info = info
	return nil
}

// infoFromMetadata describes the chosen version by the metadata of one of its wheels, or of its sdist.
func (a *apiWriter) infoFromMetadata(ctx context.Context) ([]byte, error) {
	for i := range a.chosen.Files {
		f := &a.chosen.Files[i]
		wheel, end := cutSide(f.Name)
		if end != Metadata && end != Described || f.Corrupt {
			continue
		}
		c, err := a.repo.Open(ctx, millpond.Key{Package: a.view.Name, Version: a.chosen.Name, File: f.Name})
		if err != nil && end == Metadata && obtainable(err) {
			c, err = a.extract(ctx, a.view.Name, Path{Name: wheel}, err)
		}
		if err != nil {
			return nil, err
		}
		m, err := readMetadata(c)
		c.Close()
		if err != nil {
			return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: millpond.Key{Package: a.view.Name, File: f.Name},
				Why: f.Name + " cannot be read", Err: err}
		}
		return a.info(m)
	}
	if a.why != nil && millpond.KindOf(a.why) != millpond.Unsupported {
		return nil, a.why
	}
	return nil, notFound(millpond.Key{Package: a.view.Name, Version: a.chosen.Name},
		"there is no JSON document of "+a.view.Name+" "+a.chosen.Name)
}
