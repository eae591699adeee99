package golang

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	modzip "golang.org/x/mod/zip"

	"millpond"
	"millpond/format"
)

// Pack makes the zip of a module. In a git repository it is made of the tag for the version, as the go command would make
// it, whatever lies about in the folder: "v1.2.3" is looked for under the module's own prefix, "sub/v1.2.3" is that tag and
// the module in sub, and "" is the highest tag of the commit that is checked out. Elsewhere the folder is packed as it is,
// and the version must be given.
func (Format) Pack(ctx context.Context, m format.Machine, folder, version string, w io.Writer) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	g := checkout{ctx: ctx, m: m, folder: folder}
	at, err := g.git("rev-parse", "--show-prefix")
	if err != nil {
		if under, e := underGit(folder); under || e != nil {
			return "", errors.Join(err, e)
		}
		return packFolder(m, folder, version, w)
	}
	if g.at = strings.TrimSuffix(at, "\n"); g.at == "" {
		g.top = folder
	} else if g.top, err = g.git("rev-parse", "--show-toplevel"); err != nil {
		return "", err
	}
	g.top = strings.TrimSuffix(g.top, "\n")
	mod, err := g.find(version)
	if err != nil {
		return "", err
	}
	if err := g.pack(mod, w); err != nil {
		return "", err
	}
	return zipName(mod.Version), nil
}

func zipName(m module.Version) string {
	prefix, _, _ := module.SplitPathVersion(m.Path)
	return path.Base(prefix) + "@" + m.Version + ".zip"
}

// underGit reports whether the folder or one above it has a .git: then git failed for a reason of its own.
func underGit(folder string) (bool, error) {
	for {
		_, err := os.Lstat(filepath.Join(folder, ".git"))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
		above := filepath.Dir(folder)
		if above == folder {
			return false, nil
		}
		folder = above
	}
}

func packFolder(m format.Machine, folder, version string, w io.Writer) (string, error) {
	if version == "" {
		return "", unversioned(folder + " is in no git repository, so nothing says what version it is")
	}
	text, err := m.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("read the go.mod of %s: %w", folder, err)
	}
	mod := module.Version{Path: modfile.ModulePath(text), Version: version}
	if err := publishable(mod); err != nil {
		return "", err
	}
	if err := modzip.CreateFromDir(w, mod, folder); err != nil {
		return "", fmt.Errorf("pack %s: %w", folder, err)
	}
	return zipName(mod), nil
}

func unversioned(why string) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: why, Hint: "give the version: --tag v1.2.3"}
}

// publishable refuses what the pond would refuse.
func publishable(m module.Version) error {
	if m.Path == "" {
		return &millpond.Error{Kind: millpond.Invalid, Why: "there is no go.mod that names the module"}
	}
	_, err := readPrefix(m.Path + "@" + m.Version + "/")
	return err
}

// A checkout is a folder in a git repository.
type checkout struct {
	ctx    context.Context
	m      format.Machine
	folder string
	top    string // the root of the repository
	at     string // the folder's path below it: "" or "sub/"
}

func (g checkout) git(args ...string) (string, error) {
	return g.m.Run(g.ctx, "git", append([]string{"-C", cmp.Or(g.top, g.folder)}, args...)...)
}

// A tagged is a module at a tag.
type tagged struct {
	module.Version
	folder string // below the root of the repository: "" or "sub/"
	commit string
}

// find finds the module and the tag that a version means.
func (g checkout) find(version string) (tagged, error) {
	if version == "" {
		return g.newest()
	}
	prefix, name := path.Split(version)
	folders := []string{g.at}
	if prefix == "" {
		prefix = g.tagPrefix(name)
	} else {
		folders = []string{prefix}
	}
	if major := semver.Major(name); major != "v0" && major != "v1" && path.Base(folders[0]) != major {
		folders = append(folders, folders[0]+major+"/")
	}
	tag := prefix + name
	commit, err := g.commit("refs/tags/" + tag)
	if err != nil {
		return tagged{}, &millpond.Error{
			Kind: millpond.NotFound, Why: fmt.Sprintf("%s has no tag %q", g.top, tag), Err: err,
			Hint: "git tag " + tag,
		}
	}
	var last error
	for _, folder := range folders {
		t := tagged{Version: module.Version{Path: g.modulePath(commit, folder), Version: name}, folder: folder, commit: commit}
		err := publishable(t.Version)
		if err == nil {
			return t, nil
		}
		if last == nil || t.Path != "" {
			last = err
		}
	}
	return tagged{}, last
}

// tagPrefix is what the tags of the folder's module begin with: its path, without the major version that it may end in.
func (g checkout) tagPrefix(version string) string {
	folder := strings.TrimSuffix(g.at, "/")
	if base := path.Base(folder); base == semver.Major(version) && base != "v0" && base != "v1" {
		folder = strings.TrimSuffix(strings.TrimSuffix(folder, base), "/")
	}
	if folder == "" {
		return ""
	}
	return folder + "/"
}

// newest is the highest version that the commit that is checked out has a tag for.
func (g checkout) newest() (tagged, error) {
	tags, err := g.git("tag", "--points-at", "HEAD")
	if err != nil {
		return tagged{}, err
	}
	commit, err := g.commit("HEAD")
	if err != nil {
		return tagged{}, err
	}
	path := g.modulePath(commit, g.at)
	var versions []string
	for tag := range strings.Lines(tags) {
		tag = strings.TrimSuffix(tag, "\n")
		version := tag[strings.LastIndexByte(tag, '/')+1:]
		if tag == g.tagPrefix(version)+version && publishable(module.Version{Path: path, Version: version}) == nil {
			versions = append(versions, version)
		}
	}
	if len(versions) == 0 {
		return tagged{}, unversioned(fmt.Sprintf("the commit checked out in %s has no tag that is a version of %q", g.folder, path))
	}
	return tagged{module.Version{Path: path, Version: slices.MaxFunc(versions, Format{}.Compare)}, g.at, commit}, nil
}

func (g checkout) commit(ref string) (string, error) {
	out, err := g.git("rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	return strings.TrimSpace(out), err
}

// modulePath is the module that the go.mod of a folder names at a commit; "" if there is none.
func (g checkout) modulePath(commit, folder string) string {
	text, err := g.git("cat-file", "blob", commit+":"+folder+"go.mod")
	if err != nil {
		return ""
	}
	return modfile.ModulePath([]byte(text))
}

// pack writes the module's zip, of what git archives.
func (g checkout) pack(t tagged, w io.Writer) error {
	dir, err := os.MkdirTemp("", "millpond-pack-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "tree.zip")
	// The line ends are the repository's, whatever the machine: the hash depends on them.
	args := []string{"-c", "core.autocrlf=input", "-c", "core.eol=lf", "archive", "--format=zip", "--output=" + archive, t.commit}
	if t.folder != "" {
		args = append(args, "--", t.folder)
	}
	if _, err := g.git(args...); err != nil {
		return fmt.Errorf("archive %s: %w", t.commit, err)
	}
	z, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("archive %s: %w", t.commit, err)
	}
	defer z.Close()
	var files []modzip.File
	licensed := false
	for _, f := range z.File {
		name, ok := strings.CutPrefix(f.Name, t.folder)
		if ok && name != "" && !strings.HasSuffix(name, "/") {
			files = append(files, packed{name, f})
			licensed = licensed || name == "LICENSE"
		}
	}
	if !licensed && t.folder != "" {
		text, err := g.licence(t.commit)
		if err != nil {
			return err
		}
		if text != nil {
			files = append(files, licence(text))
		}
	}
	if err := modzip.Create(w, t.Version, files); err != nil {
		return fmt.Errorf("pack %s@%s: %w", t.Path, t.Version.Version, err)
	}
	return nil
}

// licence is the LICENSE of the repository, which a module in a folder of it has if it has none of its own; nil if there is
// none.
func (g checkout) licence(commit string) ([]byte, error) {
	entry, err := g.git("ls-tree", commit, "LICENSE")
	if err != nil || !strings.HasPrefix(entry, "100") { // the mode of a regular file
		return nil, err
	}
	text, err := g.git("cat-file", "blob", commit+":LICENSE")
	return []byte(text), err
}

// packed is a file of an archive, as a file of a module zip.
type packed struct {
	name string
	*zip.File
}

func (p packed) Path() string                { return p.name }
func (p packed) Lstat() (fs.FileInfo, error) { return p.FileInfo(), nil }

// licence is a LICENSE from elsewhere, as a file of a module zip.
type licence []byte

func (licence) Path() string                   { return "LICENSE" }
func (l licence) Lstat() (fs.FileInfo, error)  { return l, nil }
func (l licence) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(l)), nil }
func (licence) Name() string                   { return "LICENSE" }
func (l licence) Size() int64                  { return int64(len(l)) }
func (licence) Mode() fs.FileMode              { return 0o644 }
func (licence) ModTime() time.Time             { return time.Time{} }
func (licence) IsDir() bool                    { return false }
func (licence) Sys() any                       { return nil }
