package maven

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"millpond"
)

// A builds is what is known of the builds of one SNAPSHOT.
type builds struct {
	pkg, base string
	newestOf  map[[2]string]buildFile // by classifier and extension
	last      build                   // the newest; its stamp is "" if there is none
	updated   string
	versions  []string // what the same document of an upstream says of an artifact of that name
	plugins   []plugin
}

// builds brings together what is hosted and what upstreams' documents say, without what the rules hide. NotFound if nobody
// knows of the SNAPSHOT.
func (h handler) builds(ctx context.Context, p Path) (*builds, error) {
	pkg, base, ok := p.Snapshot()
	if !ok {
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: strings.Join(p.Dir, "/") + " is no SNAPSHOT"}
	}
	b := &builds{pkg: pkg, base: base, newestOf: map[[2]string]buildFile{}}
	own, err := h.repo.Held().Package(ctx, pkg)
	switch {
	case err == nil:
		b.addHosted(own)
	case !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Offline):
		return nil, err
	default:
		own = &millpond.Package{}
	}
	none := &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: pkg, Version: base}, Why: fmt.Sprintf("no build of %s %s is known", pkg, base)}
	if !h.repo.Claimed(pkg) {
		view, err := h.repo.Package(ctx, pkg+":"+base)
		switch {
		case err == nil:
			if err := h.addUpstream(ctx, b, view, own); err != nil {
				return nil, err
			}
			return b, nil
		case !millpond.Is(err, millpond.NotFound):
			return nil, err
		}
		none.Err = err
	}
	if b.last.stamp == "" {
		return nil, none
	}
	return b, nil
}

// addHosted adds the builds of which files are listed.
func (b *builds) addHosted(own *millpond.Package) {
	_, artifact, _ := strings.Cut(b.pkg, ":")
	for i := range own.Versions {
		v := &own.Versions[i]
		one, ok := buildOf(v.Name)
		if !ok || one.base != b.base || v.Yanked {
			continue
		}
		for j := range v.Files {
			rest, ok := strings.CutPrefix(v.Files[j].Name, artifact+"-"+v.Name)
			if !ok {
				continue
			}
			classifier, extension := cutRest(rest)
			b.add(one, buildFile{classifier, extension, v.Name, strings.Replace(one.stamp, ".", "", 1)})
		}
	}
}

// cutRest reads what stands behind artifact and version in a file's name: "-sources.jar", ".tar.gz".
func cutRest(rest string) (classifier, extension string) {
	dot := strings.IndexByte(rest, '.')
	if dot < 0 {
		return "", ""
	}
	return strings.TrimPrefix(rest[:dot], "-"), rest[dot+1:]
}

// addUpstream adds what each layer's document says of builds that the rules let through. Where nobody is asked the view has none
// of them, and own tells which are held.
func (h handler) addUpstream(ctx context.Context, b *builds, view, own *millpond.Package) error {
	for _, part := range view.Parts {
		if part.Document.IsZero() {
			continue
		}
		doc, err := h.repo.Kept(ctx, part)
		if err != nil {
			return err
		}
		m, err := readMetadata(doc.Reader())
		doc.Close()
		if err != nil {
			return fmt.Errorf("the kept metadata of %s: %w", view.Name, err)
		}
		shown := func(version string) (build, bool) {
			one, ok := buildOf(version)
			if !ok || one.base != b.base {
				return build{}, false
			}
			if v := view.Version(version); v != nil {
				return one, v.Layer == part.Layer
			}
			return one, !slices.ContainsFunc(view.Hidden, func(x millpond.Hidden) bool { return x.Version.Name == version }) && own.Version(version) != nil
		}
		for _, f := range m.Builds {
			if one, ok := shown(f.Value); ok {
				b.add(one, f)
			}
		}
		if m.Stamp != "" {
			if one, ok := shown(strings.TrimSuffix(b.base, snapshotWord) + m.Stamp + "-" + m.Number); ok {
				b.seen(one)
			}
		}
		b.updated = max(b.updated, m.Updated)
		b.versions = append(b.versions, m.Versions...)
		b.plugins = append(b.plugins, m.Plugins...)
	}
	return nil
}

func (b *builds) seen(one build) {
	if b.last.stamp == "" || one.newer(b.last) {
		b.last = one
	}
}

func (b *builds) add(one build, f buildFile) {
	b.seen(one)
	k := [2]string{f.Classifier, f.Extension}
	if old, ok := b.newestOf[k]; ok {
		if was, _ := buildOf(old.Value); !one.newer(was) {
			return
		}
	}
	b.newestOf[k] = f
	b.updated = max(b.updated, f.Updated)
}

// newest is the newest build that has a file, by what stands behind artifact and version in its name; "" if none has.
func (b *builds) newest(rest string) string {
	for k, f := range b.newestOf {
		name := "." + k[1]
		if k[0] != "" {
			name = "-" + k[0] + name
		}
		if name == rest {
			return f.Value
		}
	}
	if len(b.newestOf) == 0 && b.last.stamp != "" {
		return b.last.String() // an old document, which names one build of all files
	}
	return ""
}

// metadata is the document of the SNAPSHOT.
func (b *builds) metadata() *metadata {
	group, artifact, _ := strings.Cut(b.pkg, ":")
	m := &metadata{Group: group, Artifact: artifact, Version: b.base, Updated: b.updated, Plugins: b.plugins}
	if b.last.stamp != "" {
		m.Stamp, m.Number = b.last.stamp, strconv.Itoa(b.last.number)
	}
	for _, f := range b.newestOf {
		m.Builds = append(m.Builds, f)
	}
	slices.SortFunc(m.Builds, func(x, y buildFile) int {
		if c := strings.Compare(x.Classifier, y.Classifier); c != 0 {
			return c
		}
		return strings.Compare(x.Extension, y.Extension)
	})
	slices.SortFunc(b.versions, Format{}.Compare)
	m.Versions = slices.Compact(b.versions)
	return m
}
