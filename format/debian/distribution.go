package debian

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// Advisories of Debian are about the packages of one release: what is mended in 12 is mended in 13 by another version, and the
// ranges of the one say nothing of the other. So a file of a package counts as one of the releases whose suites list it.

var _ format.Distributor = Format{}

// anyRelease is that of a suite of which nobody can tell: the advisories of all count for it.
const anyRelease = ""

// releaseOf is the release that a suite belongs to: as the option releases says, else as its Release does, if it is one of
// Debian's.
func releaseOf(option, suite string, fields map[string]string) string {
	_, word, _ := cutDists(suite)
	for one := range strings.FieldsSeq(option) {
		name, release, _ := strings.Cut(one, "=")
		if name == "*" || name == suite || word != "" && name == word {
			return release
		}
	}
	if origin, _, _ := strings.Cut(fields["Origin"], " "); origin != "Debian" {
		return anyRelease
	}
	digits, _ := number(fields["Version"]) // "12.8", "12-updates"
	return digits
}

// releaseOfSnapshot is the release of an upstream's suite.
func (h handler) releaseOfSnapshot(suite string, v *millpond.Version) string {
	fields := map[string]string{}
	if json.Unmarshal(v.Meta, &fields) != nil {
		fields = nil // of another release of this program
	}
	return releaseOf(h.repo.Option("releases"), suite, fields)
}

// Ships implements format.Distributor. A file of an upstream is of the releases that its name says, which the handler has looked
// for; one that was published here is of that of its suite.
func (Format) Ships(k millpond.Key, release string, option func(string) string) bool {
	if n, ok := parsePoolName(k.File); ok {
		return n.releases == anyRelease || slices.Contains(strings.Split(n.releases, ","), release)
	}
	suite, _, ok := target(k.File)
	if !ok {
		return true
	}
	of := releaseOf(option("releases"), distsDir+"/"+suite, nil)
	return of == anyRelease || of == release
}

// releases are those of all suites whose newest snapshot lists a file, and of the one in which it was found: a request for it does not
// say by which of them its client came. anyRelease if that of one of them is not known.
func (h handler) releases(ctx context.Context, at place, then time.Time) (string, error) {
	suites, err := h.suitesOf(ctx, at.path)
	if err != nil {
		return "", err
	}
	all := []string{h.releaseOfSnapshot(at.suite.Name, at.snapshot)}
	for _, p := range suites {
		versions := p.Versions
		if !then.IsZero() {
			versions = until(versions, then)
		}
		if len(versions) == 0 {
			continue
		}
		v := &versions[0]
		release := h.releaseOfSnapshot(p.Name, v)
		if slices.Contains(all, release) {
			continue
		}
		name := ""
		if !then.IsZero() {
			name = thenName(v)
		}
		other, ok, _, err := h.findIn(ctx, p, v, at.path, name)
		if err != nil {
			return "", err
		}
		if ok && other.digest == at.digest {
			all = append(all, release)
		}
	}
	if slices.Contains(all, anyRelease) {
		return anyRelease, nil
	}
	slices.Sort(all)
	return strings.Join(all, ","), nil
}
