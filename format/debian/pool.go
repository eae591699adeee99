package debian

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// getPool answers with a file of a package, or with an index of a flat suite.
func (h handler) getPool(w http.ResponseWriter, r *http.Request, p Path) error {
	if done, err := h.getHosted(w, r, p); done {
		return err
	}
	if done, err := h.getFlat(w, r, p); done {
		return err
	}
	at, ok, indexes, err := h.find(r.Context(), p.File, p.At)
	if err != nil {
		return err
	}
	if !ok {
		// Where no index is held at all nothing can be known of a path; a client that came with indexes of its own checks it.
		if at, ok = guess(p.File); !ok || indexes {
			return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{File: p.File}, Why: "no index that is held here lists " + p.File}
		}
	}
	ours := func(name string) error {
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name, File: p.File}, Why: name + " is a name of " + h.repo.Name() + ", and nothing of that path is published here"}
	}
	// It is by its own name that clients install it, whatever source it is said to be made of.
	if name := cmp.Or(at.binary, at.source); h.repo.Claimed(name) {
		return ours(name)
	}
	if judger, ok := h.repo.(format.Judger); ok && at.snapshot != nil && judger.ByRelease(at.source) {
		if at.releases, err = h.releases(r.Context(), at, p.At); err != nil {
			return err
		}
	}
	k := millpond.Key{Package: at.source, Version: at.version, File: at.poolName.String()}
	c, err := format.Find(r, h.repo, k)
	if millpond.Is(err, millpond.NotFound) && h.repo.Claimed(at.source) {
		return ours(at.source)
	}
	if millpond.Is(err, millpond.BadUpstream) || millpond.Is(err, millpond.Offline) {
		return notHeld(p.File, err)
	}
	if err != nil {
		return err
	}
	return h.send(w, r, c, typeOf(p.File), mayChange)
}

// notHeld names the file that cannot be given: why an upstream is asked nothing says nothing of what was asked for.
func notHeld(path string, err error) error {
	e, ok := errors.AsType[*millpond.Error](err)
	_, file := split(path)
	if !ok || strings.Contains(e.Why, file) {
		return err
	}
	named := *e
	named.Why = file + " is not held here: " + e.Why
	return &named
}

// getFlat answers with an index of a flat suite that is known, if the path is one.
func (h handler) getFlat(w http.ResponseWriter, r *http.Request, p Path) (bool, error) {
	knower, ok := h.repo.(format.Knower)
	if !ok || strings.HasSuffix(p.File, ".deb") { // what is asked for most is no index, and what is known is not for nothing
		return false, nil
	}
	if word, file, ok := strings.Cut(p.File, "/"); ok && isSuiteWord(word) && isFlatIndex(file) { // of one of our own
		own, err := hostedSuite(r.Context(), h.repo, distsDir+"/"+word)
		if err == nil && own != nil {
			err = h.getListed(w, r, word+"/", file, p.At)
		}
		if err != nil || own != nil {
			return true, err
		}
	}
	known, err := knower.Known(r.Context())
	if err != nil {
		return true, err
	}
	for _, suite := range known {
		if !isFlat(suite) {
			continue
		}
		file := p.File
		if dir := flatDir(suite); dir != "" {
			if file, ok = strings.CutPrefix(p.File, dir+"/"); !ok {
				continue
			}
		}
		pkg, versions, err := h.suite(r.Context(), suite, p.At)
		if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Blocked) {
			continue
		}
		if err != nil {
			return true, err
		}
		if len(versions) > 0 && len(pkg.Versions) > 0 && (versions[0].File(file) != nil || h.curates(suite) && packedOtherwise(&versions[0], file)) {
			return true, h.getListed(w, r, suite, file, p.At)
		}
	}
	return false, nil
}

// isFlatIndex reports whether a file is one of the indexes that a flat suite of our own has.
func isFlatIndex(file string) bool {
	plain, n := unpackedName(file)
	return n >= 0 && (plain == "Packages" || plain == "Sources")
}

// packedOtherwise reports whether an index is listed in another form than that of the path.
func packedOtherwise(v *millpond.Version, path string) bool {
	plain, n := unpackedName(path)
	return n >= 0 && slices.ContainsFunc(v.Files, func(f millpond.File) bool {
		other, m := unpackedName(f.Name)
		return m >= 0 && other == plain
	})
}

// guess reads source and version off a path of the pool that no index lists, as archives commonly make them. What it finds
// is not pinned by any digest; the client checks it by its own index.
func guess(path string) (place, bool) {
	dir, file := split(path)
	_, source := split(dir)
	name, version, ok := strings.Cut(file, "_")
	if !ok || !isSourceName(source) || !isSourceName(name) || !strings.Contains("/"+path, "/pool/") {
		return place{}, false
	}
	known := false
	for _, ending := range []string{".deb", ".udeb", ".ddeb", ".dsc", ".tar.xz", ".tar.gz", ".tar.bz2", ".diff.gz", ".asc"} {
		known = known || strings.HasSuffix(file, ending)
	}
	version, _, _ = strings.Cut(version, "_")
	for _, ending := range []string{".dsc", ".orig.tar.", ".debian.tar.", ".diff.gz", ".tar."} {
		version, _, _ = strings.Cut(version, ending)
	}
	if !known || !isVersion(version) {
		return place{}, false
	}
	return place{source: source, version: version, binary: name, poolName: poolName{path: path, size: -1}}, true
}
