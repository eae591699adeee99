package npm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"millpond"
	"millpond/format"
)

var (
	_ format.Publisher = Format{}
	_ format.Packer    = Format{}
)

// PublishFile implements format.Publisher: it publishes a tarball as npm publish does. The option "tag" is the dist-tag,
// else latest.
func (Format) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	tag := f.Options["tag"]
	if tag == "" {
		tag = "latest"
	}
	if err := newTag(tag); err != nil {
		return nil, err
	}
	if err := r.May(ctx, millpond.VerbPublish, ""); err != nil {
		return nil, err
	}
	up, err := beginUpload(ctx, r, "", f.Size)
	if err != nil {
		return nil, err
	}
	defer up.drop()
	if _, err := io.Copy(up, f.Body); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	pub := &publication{tags: []string{tag}}
	if pub.digests, err = up.digests(); err != nil {
		return nil, err
	}
	if pub.packed, err = unpack(up, up.Size()); err != nil {
		return nil, err
	}
	inside, err := readTop(pub.packed.manifest, "package.json in "+f.Name)
	if err != nil {
		return nil, err
	}
	if err := publishable(inside.Name); err != nil {
		return nil, err
	}
	if err := r.May(ctx, millpond.VerbPublish, inside.Name); err != nil {
		return nil, err
	}
	pub.name = inside.Name
	if err := pub.describe(inside.Version, pub.packed.builds(inside), r.Who().Name); err != nil {
		return nil, err
	}
	if pub.about["readme"] == nil && pub.packed.readme != "" {
		pub.about["readme"] = appendQuoted(nil, pub.packed.readme)
	}
	receipt, err := pub.publish(ctx, r, up)
	if err != nil {
		return nil, err
	}
	k := millpond.Key{Package: pub.name, Version: pub.version, File: standardFile(pub.name, pub.version)}
	return &format.Published{Key: k, New: receipt.New}, nil
}

// builds is the manifest with the script that npm runs for a native module that names none.
func (p *packed) builds(inside *top) jsontext.Value {
	if !p.native || word(inside.Scripts["install"]) != "" || word(inside.Scripts["preinstall"]) != "" {
		return p.manifest
	}
	scripts := map[string]jsontext.Value{"install": jsontext.Value(`"node-gyp rebuild"`)}
	for name, script := range inside.Scripts {
		if word(script) != "" {
			scripts[name] = script
		}
	}
	var all map[string]jsontext.Value
	if json.Unmarshal(p.manifest, &all) != nil {
		return p.manifest // readTop has read it
	}
	text, err := json.Marshal(scripts)
	if err != nil {
		return p.manifest
	}
	all["scripts"] = text
	if text, err = json.Marshal(all); err != nil {
		return p.manifest
	}
	return text
}

// Pack implements format.Packer. npm itself packs: only it knows which files of a folder are part of a package.
func (Format) Pack(ctx context.Context, m format.Machine, folder, version string, w io.Writer) (string, error) {
	text, err := m.ReadFile(filepath.Join(folder, "package.json"))
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", folder, err)
	}
	inside, err := readTop(text, "package.json")
	if err != nil {
		return "", err
	}
	if version != "" && version != inside.Version {
		return "", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s is at version %s, not %s", folder, inside.Version, version),
			Hint: "npm version sets it"}
	}
	to, err := os.MkdirTemp("", "millpond-pack-")
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", folder, err)
	}
	defer os.RemoveAll(to)
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", folder, err)
	}
	if _, err = m.Run(ctx, "npm", "pack", absolute, "--pack-destination", to, "--loglevel", "error"); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", &millpond.Error{Kind: millpond.Unsupported, Why: "npm packs a folder, and it is not installed", Hint: "hand over a .tgz", Err: err}
		}
		return "", fmt.Errorf("npm pack: %w", err)
	}
	all, err := filepath.Glob(filepath.Join(to, "*.tgz"))
	if err != nil || len(all) != 1 {
		return "", fmt.Errorf("npm pack made %d files of %s, not one", len(all), folder)
	}
	f, err := os.Open(all[0])
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", folder, err)
	}
	defer f.Close()
	if _, err := io.Copy(w, f); err != nil {
		return "", fmt.Errorf("pack %s: %w", folder, err)
	}
	return strings.TrimPrefix(filepath.Base(all[0]), "-"), nil
}
