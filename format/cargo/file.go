package cargo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"millpond"
	"millpond/format"

	"github.com/BurntSushi/toml"
)

// PublishFile implements format.Publisher: it takes a .crate as cargo package leaves it. What cargo publish sends beside one
// is read out of its Cargo.toml. A dependency that names no registry is one of this repository.
func (Format) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	name, version, ok := cutFileName(f.Name)
	if !ok {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.200q is not called like a crate: NAME-VERSION.crate", f.Name),
			Hint: "cargo package puts one into target/package"}
	}
	k := millpond.Key{Package: identity(name), Version: version}
	if err := r.May(ctx, millpond.VerbPublish, k.Package); err != nil {
		return nil, err
	}
	if err := tooLarge(r, k, f.Size); err != nil {
		return nil, err
	}
	up, err := r.Upload(ctx, format.Uploading{Package: k.Package, Size: f.Size})
	if err != nil {
		return nil, err
	}
	defer up.Close()
	fail := func(err error) (*format.Published, error) { return nil, errors.Join(err, up.Discard()) }
	n, err := io.Copy(up, io.LimitReader(f.Body, largest(r)+1))
	if err == nil {
		err = tooLarge(r, k, n)
	}
	if err != nil {
		return fail(err)
	}
	text, err := checkCrate(ctx, up, n, name, version)
	if err != nil {
		return fail(err)
	}
	m, err := manifestOf(text)
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return fail(err)
	}
	receipt, err := seal(ctx, r, up, m, "")
	if err != nil {
		return nil, err
	}
	k.File = fileName(name, version)
	return &format.Published{Key: k, New: receipt.New}, nil
}

// cutFileName reads NAME-VERSION.crate. A name may have digits behind a dash, a version has dots: the first dash behind which a
// version stands is it.
func cutFileName(file string) (name, version string, ok bool) {
	full, ok := strings.CutSuffix(file, ".crate")
	for at := 0; ok; {
		i := strings.IndexByte(full[at:], '-')
		if i < 0 {
			break
		}
		at += i + 1
		if isName(full[:at-1]) && isVersion(full[at:]) {
			return full[:at-1], full[at:], true
		}
	}
	return "", "", false
}

// A cargoToml is a Cargo.toml, as far as an index knows of it.
type cargoToml struct {
	Package struct {
		Name, Version        string
		Description, License string
		Links                *string
		RustVersion          *string `toml:"rust-version"`
	}
	Features map[string][]string
	tables
	Target map[string]tables
}

// tables are the dependencies of a kind of target.
type tables struct {
	Dependencies map[string]dependency
	Dev          map[string]dependency `toml:"dev-dependencies"`
	Build        map[string]dependency `toml:"build-dependencies"`
}

// A dependency is one line of such a table, or a table of its own.
type dependency struct {
	Version         string
	Package         *string
	Features        []string
	Optional        bool
	DefaultFeatures *bool   `toml:"default-features"`
	Registry        *string `toml:"registry-index"`
}

// UnmarshalTOML reads a dependency of which only the version is said.
func (d *dependency) UnmarshalTOML(v any) error {
	if s, ok := v.(string); ok {
		d.Version = s
		return nil
	}
	all, ok := v.(map[string]any)
	if !ok {
		return errors.New("a dependency is neither a version nor a table")
	}
	text := func(key string) *string {
		if s, ok := all[key].(string); ok {
			return &s
		}
		return nil
	}
	if s := text("version"); s != nil {
		d.Version = *s
	}
	d.Package, d.Registry = text("package"), text("registry-index")
	d.Optional, _ = all["optional"].(bool)
	if b, ok := all["default-features"].(bool); ok {
		d.DefaultFeatures = &b
	}
	wants, _ := all["features"].([]any)
	for _, one := range wants {
		s, ok := one.(string)
		if !ok {
			return errors.New("a feature is no text")
		}
		d.Features = append(d.Features, s)
	}
	return nil
}

// manifestOf is what cargo publish would send of a Cargo.toml that cargo package wrote.
func manifestOf(text string) (*manifest, error) {
	var c cargoToml
	if _, err := toml.Decode(text, &c); err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the crate's Cargo.toml cannot be read: " + err.Error()}
	}
	m := &manifest{
		Name: c.Package.Name, Version: c.Package.Version, Features: c.Features, Description: c.Package.Description,
		Licence: c.Package.License, Links: c.Package.Links, RustVersion: c.Package.RustVersion,
	}
	m.addAll(c.tables, nil)
	for _, target := range slices.Sorted(maps.Keys(c.Target)) {
		m.addAll(c.Target[target], &target)
	}
	return m, nil
}

func (m *manifest) addAll(t tables, target *string) {
	m.add(t.Dependencies, "normal", target)
	m.add(t.Dev, "dev", target)
	m.add(t.Build, "build", target)
}

func (m *manifest) add(all map[string]dependency, kind string, target *string) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		d := all[key]
		if d.Version == "" && kind == "dev" {
			continue // of the same workspace: who uses the crate needs it not
		}
		w := wanted{
			Name: key, Requirement: spelt(d.Version), Features: d.Features, Optional: d.Optional,
			DefaultFeatures: d.DefaultFeatures == nil || *d.DefaultFeatures, Target: target, Kind: kind, Registry: d.Registry,
		}
		if d.Package != nil && *d.Package != key {
			renamed := key
			w.Name, w.Renamed = *d.Package, &renamed
		}
		m.Deps = append(m.Deps, w)
	}
}

// spelt is a requirement as cargo publish spells it: 1.2 is ^1.2, and none is any version.
func spelt(requirement string) string {
	if strings.TrimSpace(requirement) == "" {
		return "*"
	}
	all := strings.Split(requirement, ",")
	for i, one := range all {
		if one = strings.TrimSpace(one); one != "" && '0' <= one[0] && one[0] <= '9' && !strings.ContainsAny(one, "*xX") {
			one = "^" + one
		}
		all[i] = one
	}
	return strings.Join(all, ", ")
}
