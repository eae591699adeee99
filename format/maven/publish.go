package maven

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

func (h handler) put(w http.ResponseWriter, r *http.Request) error {
	p, err := Parse(r.URL.EscapedPath())
	if err != nil {
		why, _ := format.Words(err)
		return &millpond.Error{Kind: millpond.Invalid, Why: why, Hint: "a file is put at group/artifact/version/artifact-version.extension"}
	}
	isNew := true
	switch p.Kind {
	case Metadata:
		err = h.putMetadata(r, p)
	case File:
		if err = h.may(r.Context(), p); err != nil {
			return err
		}
		if p.Sum != "" {
			err = h.putSum(r, p)
		} else {
			isNew, err = h.putFile(r, p)
		}
	default:
		err = &millpond.Error{Kind: millpond.Unsupported, Why: "this document is made here of what is hosted: it cannot be put"}
	}
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if !isNew {
		status = http.StatusOK
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
	return nil
}

// may refuses a file that is not to be published here, before any of it is read.
func (h handler) may(ctx context.Context, p Path) error {
	if err := h.repo.May(ctx, millpond.VerbPublish, p.Package()); err != nil {
		return err
	}
	what, option := "releases", "releases"
	if isSnapshot(p.Base) {
		what, option = "SNAPSHOTs", "snapshots"
	}
	if h.repo.Option(option) == "off" {
		return &millpond.Error{Kind: millpond.Invalid, Key: p.Key(), Why: fmt.Sprintf("%s takes no %s", h.repo.Name(), what),
			Hint: "publish it to the repository that does"}
	}
	return nil
}

// tellsTheEnd reports whether a client is one that puts maven-metadata.xml when it has put all files of a version.
func tellsTheEnd(r *http.Request) bool {
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "Apache-Maven/") || strings.HasPrefix(agent, "Gradle/")
}

// putFile takes one file of a version. It reports false if the file was published before with the same bytes.
func (h handler) putFile(r *http.Request, p Path) (bool, error) {
	a := &arrival{repo: h.repo, path: p, whole: !tellsTheEnd(r), now: h.repo.Now()}
	if err := a.take(r.Context(), r.Body, r.ContentLength); err != nil {
		return false, err
	}
	receipt, err := h.repo.Publish(r.Context(), format.Release{Package: p.Package(), Settle: a.settle})
	if err != nil {
		return false, err
	}
	return receipt.New, nil
}

// take reads, checks and keeps the bytes of a file. A size of -1 is not known.
func (a *arrival) take(ctx context.Context, body io.Reader, size int64) error {
	p := a.path
	key := p.Key()
	from := format.NewIncoming(body)
	body = from
	if strings.HasSuffix(p.Name, ".pom") {
		if size > pomLimit {
			return pomTooLarge(key)
		}
		text, err := io.ReadAll(io.LimitReader(body, pomLimit+1))
		switch {
		case err != nil:
			return from.Why(ctx, key, err)
		case len(text) > pomLimit:
			return pomTooLarge(key)
		}
		if err := a.readPOM(text); err != nil {
			return err
		}
		body, size = bytes.NewReader(text), int64(len(text))
	}
	up, err := a.repo.Upload(ctx, format.Uploading{Package: p.Package(), Size: size})
	if err != nil {
		return err
	}
	defer up.Close()
	all := newHashes()
	start := &headed{}
	n, err := io.Copy(io.MultiWriter(up, all, start), body)
	if err == nil {
		if what := looks(p.Name, start.b); what != "" {
			err = &millpond.Error{Kind: millpond.Invalid, Key: key, Why: fmt.Sprintf("%s is %s", p.Name, what)}
		}
	} else {
		err = from.Why(ctx, key, err)
	}
	if err != nil {
		return errors.Join(err, up.Discard())
	}
	if p.rest() == ".jar" && n <= pluginLimit {
		a.about.Plugin = pluginOf(up, n, p)
	}
	a.file = millpond.File{Name: p.Name, Size: n, Type: typeOf(p.Name)}
	if a.file.Blob, err = up.Commit(ctx); err != nil {
		return err
	}
	a.file.Digests, err = all.digests()
	return err
}

func pomTooLarge(k millpond.Key) error {
	return &millpond.Error{Kind: millpond.TooLarge, Key: k, Why: fmt.Sprintf("a POM has no more than %d MiB", pomLimit>>20)}
}

// readPOM checks that a POM is of the version that the path says.
func (a *arrival) readPOM(text []byte) error {
	p, err := readPOM(bytes.NewReader(text))
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Key: a.path.Key(), Why: fmt.Sprintf("%s cannot be read: %v", a.path.Name, err)}
	}
	if why := p.agrees(a.path.Group, a.path.Artifact, a.path.Base); why != "" {
		return &millpond.Error{Kind: millpond.Invalid, Key: a.path.Key(), Why: why}
	}
	a.about = about{Packaging: p.Packaging, Name: p.Name, Licence: p.Licence}
	return nil
}

// A headed keeps the first bytes that are written to it.
type headed struct{ b []byte }

func (h *headed) Write(b []byte) (int, error) {
	if room := 512 - len(h.b); room > 0 {
		h.b = append(h.b, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

// putSum compares the sum that a client sends with the file's. It is kept only if its file is yet to come.
func (h handler) putSum(r *http.Request, p Path) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, sumLimit+1))
	if err != nil {
		return err
	}
	want, err := readSum(p.Sum, text)
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Key: p.Key(), Why: err.Error()}
	}
	now, err := h.repo.Hosted(r.Context(), p.Package())
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return err
	}
	if err == nil {
		if file := sent(now, who(h.repo), p, h.repo.Now()); file != nil {
			return agree(p.without().Key(), file.Digests, want)
		}
	}
	return h.setAside(r.Context(), p, text, want)
}

// agree is Invalid if a file's digest of the algorithm is another.
func agree(k millpond.Key, digests []millpond.Digest, want millpond.Digest) error {
	for _, d := range digests {
		if d.Algorithm() == want.Algorithm() && d != want {
			return &millpond.Error{Kind: millpond.Invalid, Key: k,
				Why: fmt.Sprintf("the %s of %s that came here is %s, and the sum that was sent %s", d.Algorithm(), k.File, d.Hex(), want.Hex()), Hint: "send the file again"}
		}
	}
	return nil
}

// sent is the file that a sum is of, as it was published or put; nil if it has not come yet.
func sent(now *format.Hosting, who string, p Path, at time.Time) *millpond.File {
	if f, ok := filesAside(now.Loose, who, p.Version, at)[p.Name]; ok {
		return &f
	}
	if v := now.Version(p.Version); v != nil {
		if f := v.File(p.Name); f != nil {
			return f
		}
	}
	if isSnapshot(p.Version) { // its file got the name of a build
		for i := range now.Versions {
			v := &now.Versions[i]
			if b, ok := buildOf(v.Name); ok && b.base == p.Base {
				if f := v.File(p.Artifact + "-" + v.Name + p.rest()); f != nil {
					return f
				}
			}
		}
	}
	return nil
}

// putMetadata reads what a client says of versions that it has put, and lists those. Nothing else of it is kept: the document
// is made of what is hosted.
func (h handler) putMetadata(r *http.Request, p Path) error {
	ctx := r.Context()
	pkg, _, snapshot := p.Snapshot()
	if !snapshot {
		pkg = p.Package()
	}
	// Of a group's plugins the name is no artifact's, and who may publish some of them may say so.
	if err := h.repo.May(ctx, millpond.VerbPublish, ""); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, metadataLimit+1))
	switch {
	case err != nil:
		return err
	case len(text) > metadataLimit:
		return &millpond.Error{Kind: millpond.TooLarge, Why: "the metadata is too large"}
	}
	if p.Sum != "" {
		if _, err := readSum(p.Sum, text); err != nil {
			return &millpond.Error{Kind: millpond.Invalid, Why: err.Error()}
		}
		return nil // of the client's own text, which is not kept
	}
	m, err := readMetadata(bytes.NewReader(text))
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the metadata cannot be read: %v", err)}
	}
	if len(m.Versions) == 0 && !snapshot {
		return nil
	}
	if err := h.repo.May(ctx, millpond.VerbPublish, pkg); err != nil {
		return err
	}
	named := m.names(p.Dir[len(p.Dir)-1], snapshot)
	now, err := h.repo.Hosted(ctx, pkg)
	switch {
	case millpond.Is(err, millpond.NotFound):
		now = &format.Hosting{}
	case err != nil:
		return err
	}
	mine, at := who(h.repo), h.repo.Now()
	waiting := slices.DeleteFunc(versionsAside(now.Loose, mine, at), func(version string) bool { return !named(version) })
	newest := m.newest(p.Dir[len(p.Dir)-1], snapshot)
	if newest != "" && !slices.Contains(waiting, newest) {
		waiting = append(waiting, newest)
	}
	for _, version := range waiting {
		l := &listing{repo: h.repo, pkg: pkg, version: version, who: mine, now: at}
		_, artifact, _ := strings.Cut(pkg, ":")
		switch {
		case now.Version(version) != nil:
			continue
		case version == newest && !hasPOM(filesAside(now.Loose, mine, version, at), artifact+"-"+version):
			// Requests may overtake each other: what it says is remembered until the files have come.
			if l.end, err = h.smallFile(ctx, pkg, aside{kind: asideEnd, version: version, name: "end"}, []byte("end\n")); err != nil {
				return err
			}
		}
		if _, err := h.repo.Publish(ctx, format.Release{Package: pkg, Settle: l.settle}); err != nil && !errors.Is(err, errNothing) {
			return err
		}
	}
	return nil
}

// names reports whether the document names a version.
func (m *metadata) names(base string, snapshot bool) func(version string) bool {
	if snapshot {
		builds := m.builds(base)
		return func(version string) bool {
			return slices.ContainsFunc(builds, func(v millpond.Version) bool { return v.Name == version })
		}
	}
	return func(version string) bool { return slices.Contains(m.Versions, baseOf(version)) }
}

// newest is the version that the document is about, as far as it tells.
func (m *metadata) newest(base string, snapshot bool) string {
	if snapshot {
		if builds := m.builds(base); len(builds) > 0 {
			return builds[0].Name
		}
		return ""
	}
	if m.Latest != "" && !isSnapshot(m.Latest) {
		return m.Latest
	}
	return m.Release
}

// delete removes a version, all builds of a SNAPSHOT, or a file.
func (h handler) delete(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := Parse(r.URL.EscapedPath())
	if err == nil && p.Kind == File && p.Sum == "" {
		err = h.repo.Delete(ctx, format.Deletion{Key: p.Key()})
	} else {
		segments, ok := split(strings.TrimSuffix(r.URL.EscapedPath(), "/"))
		if !ok || !p.parseVersion(segments) {
			return &millpond.Error{Kind: millpond.Unsupported, Why: "a version, a SNAPSHOT or a file can be deleted, and this names none"}
		}
		p.Kind = File
		err = h.deleteVersion(ctx, p)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h handler) deleteVersion(ctx context.Context, p Path) error {
	pkg := p.Package()
	if !isSnapshot(p.Base) {
		return h.repo.Delete(ctx, format.Deletion{Key: millpond.Key{Package: pkg, Version: p.Base}})
	}
	if err := h.repo.May(ctx, millpond.VerbDelete, pkg); err != nil {
		return err
	}
	now, err := h.repo.Hosted(ctx, pkg)
	if err != nil {
		return err
	}
	found := false
	for i := range now.Versions {
		if b, ok := buildOf(now.Versions[i].Name); ok && b.base == p.Base {
			found = true
			if err := h.repo.Delete(ctx, format.Deletion{Key: millpond.Key{Package: pkg, Version: now.Versions[i].Name}}); err != nil {
				return err
			}
		}
	}
	if !found {
		return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("no build of %s %s is hosted", pkg, p.Base)}
	}
	return nil
}

const (
	keptAside = 6 * time.Hour    // how long files wait for the rest of their version
	sumAside  = 10 * time.Minute // and a sum for its file
	open      = 10 * time.Minute // how long a version that is listed takes more files
)
