package maven

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// What is kept aside, as a file that belongs to no version and that no path names: ".put/<who>/<when>/<version>/<name>". Files
// of two senders are never made one version.
const (
	asideFile = ".put"
	asideSum  = ".sum" // name is the file's, with the algorithm
	asideEnd  = ".end" // the version is whole when it has its main file
)

// An aside is one such thing.
type aside struct {
	kind, who     string
	when          int64
	version, name string
}

func (a aside) String() string {
	return strings.Join([]string{a.kind, a.who, fmt.Sprintf("%019d", a.when), a.version, a.name}, "/")
}

// readAside reads the name of a loose file, or reports false.
func readAside(name string) (a aside, ok bool) {
	part := strings.SplitN(name, "/", 5)
	if len(part) != 5 {
		return a, false
	}
	when, err := strconv.ParseInt(part[2], 10, 64)
	return aside{part[0], part[1], when, part[3], part[4]}, err == nil
}

// who tells senders apart.
func who(repo format.Repo) string {
	a := repo.Who()
	sum := sha256.Sum256([]byte(a.Name + "\x00" + a.Token))
	return hex.EncodeToString(sum[:6])
}

// eachAside calls f for what is kept aside of one kind and sender and has not expired, oldest first.
func eachAside(loose []millpond.File, kind, who string, now time.Time, d time.Duration, f func(aside, *millpond.File)) {
	type found struct {
		aside
		file *millpond.File
	}
	var all []found
	for i := range loose {
		if a, ok := readAside(loose[i].Name); ok && a.kind == kind && a.who == who && now.Sub(time.Unix(0, a.when)) < d {
			all = append(all, found{a, &loose[i]})
		}
	}
	slices.SortFunc(all, func(x, y found) int { return strings.Compare(x.String(), y.String()) })
	for _, one := range all {
		f(one.aside, one.file)
	}
}

// after is a time that is later than that of all that is kept aside.
func after(loose []millpond.File, now time.Time) int64 {
	when := now.UnixNano()
	for i := range loose {
		if a, ok := readAside(loose[i].Name); ok {
			when = max(when, a.when+1)
		}
	}
	return when
}

// filesAside are the files of a version that wait for the rest of it, by name: of each the one that came last.
func filesAside(loose []millpond.File, who, version string, now time.Time) map[string]millpond.File {
	out := map[string]millpond.File{}
	eachAside(loose, asideFile, who, now, keptAside, func(a aside, f *millpond.File) {
		if a.version == version {
			one := *f
			one.Name = a.name
			out[a.name] = one
		}
	})
	return out
}

// versionsAside are the versions of which files wait.
func versionsAside(loose []millpond.File, who string, now time.Time) []string {
	var out []string
	eachAside(loose, asideFile, who, now, keptAside, func(a aside, _ *millpond.File) { out = append(out, a.version) })
	slices.Sort(out)
	return slices.Compact(out)
}

// smallFile keeps the bytes of a small text, and is the file that they are of the thing kept aside.
func (h handler) smallFile(ctx context.Context, pkg string, a aside, text []byte) (millpond.File, error) {
	up, err := h.repo.Upload(ctx, format.Uploading{Package: pkg, Size: int64(len(text))})
	if err != nil {
		return millpond.File{}, err
	}
	defer up.Close()
	if _, err := io.Copy(up, bytes.NewReader(text)); err != nil {
		return millpond.File{}, errors.Join(err, up.Discard())
	}
	a.who, a.when = who(h.repo), h.repo.Now().UnixNano()
	f := millpond.File{Name: a.String(), Size: int64(len(text))}
	f.Blob, err = up.Commit(ctx)
	return f, err
}

// setAside keeps a sum until its file comes. One that came meanwhile is compared with it.
func (h handler) setAside(ctx context.Context, p Path, text []byte, want millpond.Digest) error {
	f, err := h.smallFile(ctx, p.Package(), aside{kind: asideSum, version: p.Version, name: p.Name + "." + p.Sum}, text)
	if err != nil {
		return err
	}
	f.Digests = []millpond.Digest{want}
	_, err = h.repo.Publish(ctx, format.Release{Package: p.Package(), Loose: sumAside, Version: millpond.Version{Files: []millpond.File{f}},
		Settle: func(now *format.Hosting, r *format.Release) error {
			if now == nil {
				return nil
			}
			if file := sent(now, who(h.repo), p, h.repo.Now()); file != nil {
				return agree(p.without().Key(), file.Digests, want)
			}
			a, _ := readAside(f.Name)
			a.when = after(now.Loose, h.repo.Now())
			r.Version.Files[0].Name = a.String()
			return nil
		}})
	return err
}

// What is known of a version from one of its files.
type about struct {
	Packaging string  `json:"packaging,omitempty"`
	Name      string  `json:"name,omitempty"`
	Licence   string  `json:"licence,omitempty"`
	Plugin    *plugin `json:"plugin,omitempty"`
}

// An arrival is one file on its way into a version.
type arrival struct {
	repo  format.Repo
	path  Path
	file  millpond.File
	about about
	whole bool // the version is whole when it has its POM and its main file
	now   time.Time
}

// settle decides, with the package as it is at that moment, what becomes of the file: it waits for the rest of its version,
// makes it whole, or joins it.
func (a *arrival) settle(now *format.Hosting, r *format.Release) error {
	if now == nil {
		now = &format.Hosting{}
	}
	p, f := a.path, a.file
	mine := who(a.repo)
	stamped := isSnapshot(p.Version)
	if stamped {
		b := a.buildFor(now)
		f.Name = p.Artifact + "-" + b + p.rest()
		p.Version = b
	}
	key := millpond.Key{Package: p.Package(), Version: p.Version, File: f.Name}
	var wrong error
	eachAside(now.Loose, asideSum, mine, a.now, sumAside, func(s aside, sum *millpond.File) {
		if s.version == a.path.Version && strings.TrimSuffix(s.name, "."+sumOf(s.name)) == a.path.Name && len(sum.Digests) > 0 {
			wrong = agree(key, f.Digests, sum.Digests[0])
		}
	})
	if wrong != nil {
		return wrong
	}
	var err error
	if f.Meta, err = json.Marshal(a.about); err != nil {
		return err
	}
	if kept := now.Version(p.Version); kept != nil {
		return a.join(now, kept, f, r)
	}
	for _, gone := range now.Deleted {
		if gone.Version == p.Version && gone.File == "" {
			return &millpond.Error{Kind: millpond.Gone, Key: key, Why: fmt.Sprintf("%s of %s was deleted by %s on %s", p.Version, p.Package(), gone.By, gone.Time.UTC().Format("2 January 2006")),
				Hint: "publish it under a new number"}
		}
	}
	files := filesAside(now.Loose, mine, p.Version, a.now)
	files[f.Name] = f
	ends := a.whole || stamped
	eachAside(now.Loose, asideEnd, mine, a.now, sumAside, func(e aside, _ *millpond.File) { ends = ends || e.version == p.Version })
	if !stamped && !(ends && isWhole(files, p.Artifact+"-"+p.Version)) {
		f.Name = aside{kind: asideFile, who: mine, when: after(now.Loose, a.now), version: p.Version, name: f.Name}.String()
		r.Version = millpond.Version{Files: []millpond.File{f}}
		r.Loose = keptAside
		return nil
	}
	return release(r, p.Artifact, p.Version, files, stamped)
}

// join adds the file to a version that is listed, if that may be.
func (a *arrival) join(now *format.Hosting, kept *millpond.Version, f millpond.File, r *format.Release) error {
	if kept.File(f.Name) == nil && !strings.HasSuffix(f.Name, ".asc") && a.repo.Option("additions") != "allow" && a.now.Sub(kept.Published) >= open {
		by := now.By[kept.Name]
		if by == "" {
			by = "somebody"
		}
		return &millpond.Error{Kind: millpond.Conflict, Key: millpond.Key{Package: now.Name, Version: kept.Name, File: f.Name},
			Why:  fmt.Sprintf("%s of %s was published by %s on %s, and takes no more files", kept.Name, now.Name, by, kept.Published.UTC().Format("2 Jan 2006 15:04 UTC")),
			Hint: "publish the next version, or set 'additions: allow' of the repository"}
	}
	r.Version = *kept
	r.Version.Files = []millpond.File{f}
	r.Grows = true
	if a.about.Packaging != "" && r.Version.Licence == "" {
		r.Version.Licence = a.about.Licence
	}
	return nil
}

// buildFor is the build that a file joins which is called SNAPSHOT itself: the newest of the last minutes that was named here and
// has no other such file, else a new one.
func (a *arrival) buildFor(now *format.Hosting) string {
	p := a.path
	next := build{base: p.Base, stamp: a.now.UTC().Format(stampLayout), number: 1}
	var last *millpond.Version
	var newest build
	for i := range now.Versions {
		b, ok := buildOf(now.Versions[i].Name)
		if !ok || b.base != p.Base {
			continue
		}
		next.number = max(next.number, b.number+1)
		if last == nil || b.newer(newest) {
			last, newest = &now.Versions[i], b
		}
	}
	if last == nil {
		return next.String()
	}
	var meta versionMeta
	had := last.File(p.Artifact + "-" + last.Name + p.rest())
	if json.Unmarshal(last.Meta, &meta) == nil && meta.Stamped && (had == nil && a.now.Sub(last.Published) < open || had != nil && had.Blob == a.file.Blob) {
		return last.Name
	}
	if newest.stamp > next.stamp {
		next.stamp = newest.stamp // a clock that was set back
	}
	return next.String()
}

// isWhole reports whether files have what a version is of no use without. stem is what their names begin with.
func isWhole(files map[string]millpond.File, stem string) bool {
	packaging := ""
	if f, ok := files[stem+".pom"]; ok {
		packaging = aboutOf(&f).Packaging
	} else if _, ok := files[stem+".module"]; !ok {
		return false
	}
	for name := range files {
		if mainFile(packaging, strings.TrimPrefix(name, stem)) {
			return true
		}
	}
	return false
}

func aboutOf(f *millpond.File) (a about) {
	if f != nil && len(f.Meta) > 0 {
		json.Unmarshal(f.Meta, &a) // what cannot be read says nothing
	}
	return a
}

// release makes a version of files.
func release(r *format.Release, artifact, version string, files map[string]millpond.File, stamped bool) error {
	stem := artifact + "-" + version
	v := millpond.Version{Name: version, Prerelease: isPrerelease(version)}
	for _, f := range files {
		f.Published, f.Seen = time.Time{}, time.Time{} // now
		v.Files = append(v.Files, f)
	}
	slices.SortFunc(v.Files, func(a, b millpond.File) int { return strings.Compare(a.Name, b.Name) })
	said := aboutOf(v.File(stem + ".pom"))
	v.Licence = said.Licence
	var err error
	if v.Meta, err = json.Marshal(versionMeta{said.Packaging, said.Name, stamped}); err != nil {
		return err
	}
	r.Version, r.Loose = v, 0
	if said.Packaging == "maven-plugin" {
		p := aboutOf(v.File(stem + ".jar")).Plugin
		if p == nil {
			p = &plugin{Prefix: prefixOf(artifact), Artifact: artifact, Name: said.Name}
		}
		if r.Meta, err = json.Marshal(packageMeta{p}); err != nil {
			return err
		}
	}
	return nil
}

// prefixOf is the prefix that Maven gives a plugin which says none.
func prefixOf(artifact string) string {
	if artifact == "maven-plugin-plugin" {
		return "plugin"
	}
	words := slices.DeleteFunc(strings.Split(artifact, "-"), func(word string) bool { return word == "maven" || word == "plugin" })
	return strings.Join(words, "-")
}

// A listing makes a version of the files that wait, because their sender says that they are all.
type listing struct {
	repo              format.Repo
	pkg, version, who string
	now               time.Time
	end               millpond.File // to keep aside if they have not come yet; without Blob if that is not wanted
}

// errNothing says that there is nothing to do.
var errNothing = &millpond.Error{Kind: millpond.Precondition, Why: "there is nothing to list"}

func (l *listing) settle(now *format.Hosting, r *format.Release) error {
	if now == nil {
		now = &format.Hosting{}
	}
	if now.Version(l.version) != nil {
		return errNothing
	}
	_, artifact, _ := strings.Cut(l.pkg, ":")
	files := filesAside(now.Loose, l.who, l.version, l.now)
	if hasPOM(files, artifact+"-"+l.version) {
		return release(r, artifact, l.version, files, false)
	}
	if l.end.Blob.IsZero() {
		return errNothing
	}
	a, _ := readAside(l.end.Name)
	a.when = after(now.Loose, l.now)
	l.end.Name = a.String()
	r.Version, r.Loose = millpond.Version{Files: []millpond.File{l.end}}, sumAside
	return nil
}

// hasPOM reports whether files have what says what a version is. stem is what their names begin with.
func hasPOM(files map[string]millpond.File, stem string) bool {
	_, pom := files[stem+".pom"]
	_, module := files[stem+".module"]
	return pom || module
}

const pluginLimit = 8 << 20 // of a jar that is looked into

// pluginOf reads what a jar says of itself as a plugin of Maven; nil if it is none.
func pluginOf(r io.ReaderAt, size int64, p Path) *plugin {
	z, err := format.OpenZip(r, size)
	if err != nil {
		return nil // a jar that no Java reads is its publisher's affair
	}
	for _, f := range z.File {
		if f.Name != "META-INF/maven/plugin.xml" || f.UncompressedSize64 > pomLimit {
			continue
		}
		body, err := f.Open()
		if err != nil {
			return nil
		}
		defer body.Close()
		out := &plugin{Artifact: p.Artifact}
		err = walk(io.LimitReader(body, pomLimit), func(path, text string) {
			switch path {
			case "plugin/name":
				out.Name = text
			case "plugin/goalPrefix":
				out.Prefix = text
			}
		})
		if err != nil || out.Prefix == "" {
			return nil
		}
		return out
	}
	return nil
}
