package debian

import (
	"fmt"
	"strings"

	"millpond"
	"millpond/format"
)

var _ format.Provider = Format{}

// Provides implements format.Provider: apt installs a .deb by its own name, whatever source it says that it is made of. The
// installer's packages are known apart from the others.
func (Format) Provides(_ string, f *millpond.File) (name, scope string) {
	scope, _, ok := target(f.Name)
	_, file := split(f.Name)
	name, _, named := strings.Cut(file, "_")
	switch {
	case !ok || !named || strings.HasPrefix(f.Name, "incoming/"):
	case strings.HasSuffix(file, ".deb"):
		return name, scope
	case strings.HasSuffix(file, ".udeb"):
		return name, scope + "/debian-installer"
	}
	return "", ""
}

// settle refuses, in the transaction, a file that is in its suite with other bytes: as one of another version of the source, or in
// another component.
func settle(now *format.Hosting, r *format.Release) error {
	if now == nil {
		return nil
	}
	type file struct{ suite, name string }
	at := func(f *millpond.File) (file, bool) {
		suite, _, ok := target(f.Name)
		_, name := split(f.Name)
		return file{suite, name}, ok
	}
	published := map[file]*millpond.File{}
	for i := range r.Version.Files {
		f := &r.Version.Files[i]
		if k, ok := at(f); ok {
			published[k] = f
		}
	}
	for i := range now.Versions {
		v := &now.Versions[i]
		for j := range v.Files {
			k, ok := at(&v.Files[j])
			f := published[k]
			if !ok || f == nil || f.Blob == v.Files[j].Blob || f.Name == v.Files[j].Name && v.Name == r.Version.Name {
				continue // which the repository judges itself
			}
			return &millpond.Error{Kind: millpond.Conflict, Key: millpond.Key{Package: r.Package, Version: r.Version.Name, File: f.Name},
				Why: fmt.Sprintf("%s has %s with other bytes already, as %s of %s %s", k.suite, k.name, v.Files[j].Name, r.Package, v.Name), Hint: "publish it under a new version"}
		}
	}
	return nil
}
