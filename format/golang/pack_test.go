package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"millpond"
	"millpond/format"
)

// A workbench is a folder under git, and the machine that runs git in it with nobody's settings.
type workbench struct {
	t   testing.TB
	dir string
	env []string
}

func newWorkbench(t testing.TB) *workbench {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here")
	}
	b := &workbench{t: t, dir: t.TempDir()}
	b.env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME="+t.TempDir(),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@team.example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@team.example")
	return b
}

func (b *workbench) Run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = b.t.TempDir(), b.env
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %q: %w: %s", name, args, err, said.String())
	}
	return out.String(), nil
}

func (b *workbench) Getenv(string) string { return "" }

func (b *workbench) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (b *workbench) write(files ...string) {
	b.t.Helper()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(b.dir, files[i])
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(files[i+1]), 0o600)); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *workbench) git(args ...string) {
	b.t.Helper()
	if _, err := b.Run(b.t.Context(), "git", append([]string{"-C", b.dir}, args...)...); err != nil {
		b.t.Fatal(err)
	}
}

// commit commits all there is, with tags.
func (b *workbench) commit(tags ...string) {
	b.t.Helper()
	b.git("add", "-A")
	b.git("commit", "-q", "--allow-empty", "-m", "x")
	for _, tag := range tags {
		b.git("tag", tag)
	}
}

// packs packs, and returns what the zip has: "name: body", sorted.
func (b *workbench) packs(folder, version string) (name string, files []string, err error) {
	b.t.Helper()
	var out bytes.Buffer
	name, err = Format{}.Pack(b.t.Context(), b, filepath.Join(b.dir, folder), version, &out)
	if err != nil {
		return "", nil, err
	}
	if _, err := read(b.t, out.Bytes()); err != nil {
		b.t.Errorf("pack %s %s: what it made would be refused: %v", folder, version, err)
	}
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range z.File {
		text, err := z.Open(f.Name)
		if err != nil {
			b.t.Fatal(err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(text); err != nil {
			b.t.Fatal(err)
		}
		files = append(files, f.Name+": "+body.String())
	}
	slices.Sort(files)
	return name, files, nil
}

func (b *workbench) want(folder, version, name string, files ...string) {
	b.t.Helper()
	gotName, got, err := b.packs(folder, version)
	if err != nil || gotName != name || !slices.Equal(got, files) {
		b.t.Errorf("pack %q of %q: %q %q, %v; want %q %q", version, folder, gotName, got, err, name, files)
	}
}

func (b *workbench) refuses(folder, version string, kind millpond.Kind, words string) {
	b.t.Helper()
	name, files, err := b.packs(folder, version)
	if err == nil {
		b.t.Errorf("pack %q of %q made %q with %q; want it refused", version, folder, name, files)
	} else if !millpond.Is(err, kind) || !strings.Contains(err.Error(), words) {
		b.t.Errorf("pack %q of %q: %v, kind %v; want %v with %q", version, folder, err, millpond.KindOf(err), kind, words)
	}
}

var _ format.Machine = (*workbench)(nil)

func TestPackTag(t *testing.T) {
	b := newWorkbench(t)
	b.git("init", "-q")
	b.write("go.mod", "module git.example/x\n", "x.go", "package x", "sub/go.mod", "module git.example/x/sub\n", "sub/s.go", "package sub",
		"LICENSE", "ours", "lines.txt", "a\r\nb\n", ".gitattributes", "*.bin -text\n")
	b.commit("v1.0.0", "sub/v0.1.0")
	const root = "git.example/x@v1.0.0/"
	first := []string{
		root + ".gitattributes: *.bin -text\n", root + "LICENSE: ours", root + "go.mod: module git.example/x\n", root + "lines.txt: a\r\nb\n", root + "x.go: package x",
	}
	b.want("", "v1.0.0", "x@v1.0.0.zip", first...)
	b.want("", "", "x@v1.0.0.zip", first...)

	b.write("x.go", "package changed", "untracked.go", "package x")
	b.want("", "v1.0.0", "x@v1.0.0.zip", first...)
	b.want("", "", "x@v1.0.0.zip", first...)
	b.commit("v1.1.0", "v1.2.0-rc.1", "v9.9.9", "noise", "other/v5.0.0")
	b.want("", "v1.0.0", "x@v1.0.0.zip", first...)
	if name, _, err := b.packs("", ""); err != nil || name != "x@v1.2.0-rc.1.zip" {
		t.Errorf("pack the highest tag: %q, %v; want x@v1.2.0-rc.1.zip, for v9.9.9 is none of a module without /v9", name, err)
	}

	const sub = "git.example/x/sub@v0.1.0/"
	inSub := []string{sub + "LICENSE: ours", sub + "go.mod: module git.example/x/sub\n", sub + "s.go: package sub"}
	b.want("sub", "v0.1.0", "sub@v0.1.0.zip", inSub...)
	b.want("", "sub/v0.1.0", "sub@v0.1.0.zip", inSub...)
	b.refuses("sub", "", millpond.Invalid, "no tag")

	b.refuses("", "v1.0.1", millpond.NotFound, `no tag "v1.0.1"`)
	b.refuses("sub", "v1.0.0", millpond.NotFound, `no tag "sub/v1.0.0"`)
	b.refuses("", "v9.9.9", millpond.Invalid, "v9")
	b.refuses("", "noise", millpond.Invalid, "canonical")
	b.refuses("", "other/v5.0.0", millpond.Invalid, "no go.mod")
	b.refuses("", "--output=/tmp/x", millpond.NotFound, "no tag")
}

func TestPackMajorVersions(t *testing.T) {
	b := newWorkbench(t)
	b.git("init", "-q")
	b.write("go.mod", "module git.example/x\n", "v2/go.mod", "module git.example/x/v2\n", "v2/x.go", "package x",
		"sub/v3/go.mod", "module git.example/x/sub/v3\n")
	b.commit("v1.0.0", "v2.0.0", "sub/v3.0.0")
	const two, three = "git.example/x/v2@v2.0.0/", "git.example/x/sub/v3@v3.0.0/"
	b.want("", "v2.0.0", "x@v2.0.0.zip", two+"go.mod: module git.example/x/v2\n", two+"x.go: package x")
	b.want("v2", "v2.0.0", "x@v2.0.0.zip", two+"go.mod: module git.example/x/v2\n", two+"x.go: package x")
	b.want("v2", "", "x@v2.0.0.zip", two+"go.mod: module git.example/x/v2\n", two+"x.go: package x")
	b.want("", "sub/v3.0.0", "sub@v3.0.0.zip", three+"go.mod: module git.example/x/sub/v3\n")
	b.want("sub/v3", "v3.0.0", "sub@v3.0.0.zip", three+"go.mod: module git.example/x/sub/v3\n")

	b.git("rm", "-rq", "v2")
	b.write("go.mod", "module git.example/x/v2\n")
	b.commit("v2.1.0")
	if name, files, err := b.packs("", ""); err != nil || name != "x@v2.1.0.zip" {
		t.Errorf("pack a major version in the root: %q %q, %v; want x@v2.1.0.zip", name, files, err)
	}
}

func TestPackFolder(t *testing.T) {
	b := newWorkbench(t)
	b.write("go.mod", "module git.example/x\n", "x.go", "package x", "sub/go.mod", "module git.example/x/sub\n", "vendor/a.example/a.go", "package a")
	const root = "git.example/x@v1.0.0/"
	b.want("", "v1.0.0", "x@v1.0.0.zip", root+"go.mod: module git.example/x\n", root+"x.go: package x")
	b.refuses("", "", millpond.Invalid, "no git repository")
	b.refuses("", "v2.0.0", millpond.Invalid, "v2")
	b.refuses("", "1.0.0", millpond.Invalid, "canonical")
	b.refuses("nowhere", "v1.0.0", millpond.NotFound, "go.mod")
	b.write(".git", "no git repository either")
	b.refuses("", "v1.0.0", millpond.Internal, "git")
}

// The zip has the hash that x/mod's own maker of zips gives it, by which any go.sum knows it.
func TestPackHash(t *testing.T) {
	b := newWorkbench(t)
	b.git("init", "-q")
	b.write("go.mod", "module git.example/x\n\ngo 1.24\n", "x.go", "package x", "sub/go.mod", "module git.example/x/sub\n", "sub/s.go", "package s",
		"vendor/modules.txt", "# x", "vendor/a.example/a/a.go", "package a", "a/vendor/b/b.go", "package b", "LICENSE", "ours", "crlf.txt", "a\r\n", "left.out", "x",
		".gitattributes", "left.out export-ignore\n")
	if err := os.Symlink("x.go", filepath.Join(b.dir, "link.go")); err != nil {
		t.Fatal(err)
	}
	b.commit("v1.0.0", "sub/v1.0.0")
	for tag, m := range map[string]module.Version{
		"v1.0.0":     {Path: "git.example/x", Version: "v1.0.0"},
		"sub/v1.0.0": {Path: "git.example/x/sub", Version: "v1.0.0"},
	} {
		var got, want bytes.Buffer
		if _, err := (Format{}).Pack(t.Context(), b, b.dir, tag, &got); err != nil {
			t.Fatal(err)
		}
		if err := modzip.CreateFromVCS(&want, m, b.dir, tag, strings.TrimSuffix(strings.TrimSuffix(tag, "v1.0.0"), "/")); err != nil {
			t.Fatal(err)
		}
		gotHash, err := hashZip(t.Context(), bytes.NewReader(got.Bytes()), int64(got.Len()), zipLimit)
		if err != nil {
			t.Fatal(err)
		}
		wantHash, err := hashZip(t.Context(), bytes.NewReader(want.Bytes()), int64(want.Len()), zipLimit)
		if err != nil || gotHash != wantHash {
			t.Errorf("%s: packed with %s; want %s, %v", tag, gotHash, wantHash, err)
		}
	}
}
