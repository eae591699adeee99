package debian

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A curated suite is an upstream's as the rules leave it: Packages and Sources without what is held, blocked, taken down or
// claimed, with what is published here in front, and signed by the repository. Everything else that the upstream's Release
// lists is listed with its digests and relayed.

// curates reports whether an upstream's suite of that name is curated: the option curated has its name, or the word that it
// is of below dists. A flat one is named as apt does it, "./" or by its folder and a slash.
func (h handler) curates(suite string) bool { return curates(h.repo, suite) }

func curates(settings interface{ Option(name string) string }, suite string) bool {
	option := settings.Option("curated")
	if option == "" {
		return false
	}
	_, word, _ := cutDists(suite)
	for _, one := range strings.Fields(option) {
		if one == "*" || one == suite || one == word {
			return true
		}
	}
	return false
}

// copied are the fields of an upstream's Release that a curated one has too: clients may change from one to the other.
var copied = []string{"Origin", "Label", "Suite", "Version", "Codename", "Changelogs", "NotAutomatic", "ButAutomaticUpgrades",
	"No-Support-for-Architecture-all", "Description"} // never changed

// An upstreamIndex is one of Packages or Sources, in the form that is read.
type upstreamIndex struct {
	plannedIndex
	file *millpond.File
}

// curate looks at what is left of an upstream's suite.
func (h handler) curate(ctx context.Context, pkg *millpond.Package) (*plan, error) {
	if len(pkg.Versions) == 0 {
		return nil, &millpond.Error{Kind: millpond.Offline, Key: millpond.Key{Package: pkg.Name}, Why: "nothing of " + pkg.Name + " is held here"}
	}
	v := &pkg.Versions[0]
	fields := map[string]string{}
	if err := json.Unmarshal(v.Meta, &fields); err != nil {
		return nil, fmt.Errorf("read the fields of %s: %w", pkg.Name, err)
	}
	out := &plan{}
	var own own
	var err error
	if _, word, ok := cutDists(pkg.Name); ok { // into a flat suite nothing is published
		if out.buckets, err = h.buckets(ctx, word, pkg.Stamp); err != nil {
			return nil, err
		}
		if own, err = h.ownVersions(ctx, word, out.buckets); err != nil {
			return nil, err
		}
	}
	indexes := h.upstreamIndexes(ctx, pkg.Name, v)
	architectures := map[string]bool{}
	for _, one := range indexes {
		out.indexes = append(out.indexes, one.plannedIndex)
		for _, a := range one.architectures {
			architectures[a] = true
		}
		b := &bucket{name: "curated/" + pkg.Name + "/" + one.path,
			stamp: hashOf(fmt.Sprint(madeForms), "by both names", h.releaseOfSnapshot(pkg.Name, v), strongest(one.file).String(), readSightings(one.file, v).meaning(), h.judging(), own.id),
			write: func(w io.Writer) error { return h.filter(ctx, w, pkg.Name, v, one, own) }}
		if err := h.look(ctx, b); err != nil {
			return nil, err
		}
		out.buckets = append(out.buckets, b)
	}
	algorithms, err := releaseDigests(h.repo.Option("release_digests"))
	if err != nil {
		return nil, err
	}
	for i := range v.Files {
		if f := relayed(&v.Files[i], v.Name, algorithms); f != nil {
			out.relayed = append(out.relayed, *f)
		}
	}
	var b strings.Builder
	for _, name := range copied {
		if value := fields[name]; value != "" && !strings.ContainsAny(value, "\r\n") {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	var listed []string
	for _, a := range strings.Fields(fields["Architectures"]) {
		if architectures[a] || a == "all" || isFlat(pkg.Name) {
			listed = append(listed, a)
		}
	}
	fmt.Fprintf(&b, "Architectures: %s\n", strings.Join(listed, " "))
	if components := strings.Fields(fields["Components"]); len(components) > 0 {
		fmt.Fprintf(&b, "Components: %s\n", strings.Join(components, " "))
	}
	out.fields = b.String()
	return out, nil
}

// upstreamIndexes are those of Packages and Sources that are read, each in the form that is held, else in the one that is
// cheapest to read and not plain: that is often listed and not there.
func (h handler) upstreamIndexes(ctx context.Context, suite string, v *millpond.Version) []upstreamIndex {
	wanted := strings.Fields(h.repo.Option("architectures"))
	best, rank := map[string]upstreamIndex{}, map[string]int{}
	for i := range v.Files {
		f := &v.Files[i]
		plain, n := unpackedName(f.Name)
		one := upstreamIndex{plannedIndex{path: plain}, f}
		dir, file := split(plain)
		above, last := split(dir)
		arch, binary := strings.CutPrefix(last, "binary-")
		switch {
		case n >= 0 && isFlat(suite) && (file == "Packages" || file == "Sources"):
		case n >= 0 && file == "Packages" && binary && above != "":
			if len(wanted) > 0 && arch != "all" && !slices.Contains(wanted, arch) {
				continue
			}
			one.component, one.architectures = above, []string{arch, "all"}
		case n >= 0 && file == "Sources" && last == "source" && above != "":
			one.component, one.architectures = above, []string{"source"}
		default:
			continue
		}
		r := n
		if n == 0 {
			r = len(packings)
		}
		if _, err := h.repo.Held().Stat(ctx, millpond.Key{Package: suite, Version: v.Name, File: f.Name}); err == nil {
			r -= 2 * len(packings)
		}
		if old, ok := rank[plain]; !ok || r < old {
			best[plain], rank[plain] = one, r
		}
	}
	out := make([]upstreamIndex, 0, len(best))
	for _, one := range best {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b upstreamIndex) int { return strings.Compare(a.path, b.path) })
	return out
}

// relayed is an index of an upstream that stays as it is; nil if it is one that is made here, or tells of such.
func relayed(f *millpond.File, version string, algorithms []string) *madeFile {
	plain, _ := unpackedName(f.Name)
	dir, file := split(plain)
	if isRelease(file) || file == "Packages" || file == "Sources" || strings.HasSuffix(dir, ".diff") {
		return nil
	}
	out := &madeFile{Path: f.Name, Size: f.Size, From: version}
	for _, d := range f.Digests {
		if slices.Contains(algorithms, d.Algorithm()) {
			out.setDigest(d.Algorithm(), d.Hex())
		}
	}
	if out.SHA256 == "" {
		return nil
	}
	return out
}

// own are the source packages and versions that are published here into a suite, and hide an upstream's.
type own struct {
	id       string
	versions map[string]bool // "name version"
}

func (h handler) ownVersions(ctx context.Context, word string, buckets []*bucket) (own, error) {
	out := own{versions: map[string]bool{}}
	parts := []string{}
	for _, b := range buckets {
		for _, name := range b.packages {
			parts = append(parts, name)
			if h.repo.Claimed(name) {
				continue // all of it is ours
			}
			p, err := h.repo.Package(ctx, name)
			if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Gone) || millpond.Is(err, millpond.Blocked) {
				continue
			}
			if err != nil {
				return out, err
			}
			for i := range p.Versions {
				v := &p.Versions[i]
				if v.Layer == "" && slices.ContainsFunc(v.Files, func(f millpond.File) bool { return strings.HasPrefix(f.Name, "pool/"+word+"/") }) {
					out.versions[name+" "+v.Name] = true
					parts = append(parts, v.Name)
				}
			}
		}
	}
	out.id = hashOf(parts...)
	return out, nil
}

// filter writes what is left of an index of an upstream.
func (h handler) filter(ctx context.Context, w io.Writer, suite string, v *millpond.Version, one upstreamIndex, ours own) error {
	k := millpond.Key{Package: suite, Version: v.Name, File: one.file.Name}
	c, err := h.repo.Open(ctx, k)
	if err != nil {
		return err
	}
	defer c.Close()
	r, done, err := unpack(k.File, c, unpackedSize(v, k.File))
	if err != nil {
		return unreadable(k, err)
	}
	defer done()
	judger, ok := h.repo.(format.Judger)
	if !ok {
		return &millpond.Error{Kind: millpond.Unsupported, Why: "this repository does not tell what its rules say; no suite of it can be curated"}
	}
	seen, release := readSightings(one.file, v), h.releaseOfSnapshot(suite, v)
	known := map[string]bool{}
	claimed := func(name string) bool {
		is, ok := known[name]
		if !ok {
			is = h.repo.Claimed(name)
			known[name] = is
		}
		return is
	}
	var all stanzas
	to := span{Path: one.path}
	keep := func(l listed) bool {
		if claimed(l.Source) || l.Package != "" && claimed(l.Package) || ours.versions[l.Source+" "+l.Version] {
			return false
		}
		at := poolName{path: l.Path, digest: l.Digest, size: l.Size, releases: release}
		f := &millpond.File{Name: at.canonical(), Size: l.Size, Digests: []millpond.Digest{l.Digest}, Published: time.Unix(seen.of(pathHash(l.Path)), 0).UTC()}
		until, err := judger.Judge(millpond.Key{Package: l.Source, Version: l.Version, File: at.String()}, f)
		all.good(until)
		return err == nil
	}
	_, file := split(one.path)
	err = eachStanza(r, func(stanza []byte) error {
		if file == "Sources" {
			// All of a source package's files or none.
			some, whole := false, true
			err := sourceFiles(stanza, func(l listed) error {
				some, whole = true, whole && keep(l)
				return nil
			})
			if err != nil || !some || !whole {
				return err
			}
		} else if l, ok := packageFile(stanza); !ok || !keep(l) {
			return nil
		}
		all.add(to, string(bytes.TrimRight(stanza, "\r\n"))+"\n")
		return nil
	})
	if err != nil {
		if e, ok := errors.AsType[*millpond.Error](err); ok {
			return e
		}
		return unreadable(k, err)
	}
	return all.write(w)
}
