package npm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"millpond"
)

// A view is what a packument shows of a package: which versions, and where the tags point.
type view struct {
	pkg   *millpond.Package
	shown []*millpond.Version // newest first
	by    map[string]*millpond.Version
	tags  []millpond.Ref // no tag points at what is not shown
	gone  []millpond.Hidden
	rev   string // for whoever edits what is hosted; "" for readers
}

func newView(p *millpond.Package) *view {
	v := &view{pkg: p, by: make(map[string]*millpond.Version, len(p.Versions)), gone: p.Hidden}
	if p.Blocked != "" {
		v.gone = slices.Clone(p.Hidden)
		for i := range p.Versions {
			v.gone = append(v.gone, millpond.Hidden{Version: p.Versions[i], Why: p.Blocked})
		}
		return v
	}
	for i := range p.Versions {
		one := &p.Versions[i]
		if v.by[one.Name] == nil {
			v.shown = append(v.shown, one)
			v.by[one.Name] = one
		}
	}
	v.moveTags()
	return v
}

// moveTags keeps the first layer's word on each tag, and moves those whose version is not shown.
func (v *view) moveTags() {
	seen := make(map[string]bool, len(v.pkg.Refs))
	for _, tag := range v.pkg.Refs {
		if seen[tag.Name] {
			continue
		}
		seen[tag.Name] = true
		if v.by[tag.Target] == nil {
			if tag.Target = v.instead(tag); tag.Target == "" {
				continue
			}
		}
		v.tags = append(v.tags, tag)
	}
	if seen["latest"] || !hosts(v.pkg) {
		return
	}
	// What was published here and restored after all of it was removed has no tags, and nothing installs without this one.
	latest := millpond.Ref{Name: "latest"}
	if latest.Target = v.instead(latest); latest.Target != "" {
		v.tags = append(v.tags, latest)
	}
}

// instead is the version that a tag points at whose own is not shown; "" if the tag has to go. latest goes down to the
// highest release below, else to the highest release, else to the highest there is; another tag goes down within the same
// prerelease word.
func (v *view) instead(tag millpond.Ref) string {
	target, ok := parseVersion(tag.Target)
	release, highest := "", ""
	for _, one := range v.shown {
		parsed, readable := parseVersion(one.Name)
		if !readable {
			continue
		}
		below := ok && compareVersions(one.Name, tag.Target) < 0
		switch {
		case tag.Name != "latest":
			if below && parsed.word() == target.word() && (parsed.pre == "") == (target.pre == "") {
				return one.Name
			}
		case parsed.pre == "" && below:
			return one.Name
		case parsed.pre == "" && release == "":
			release = one.Name
		case highest == "":
			highest = one.Name
		}
	}
	return cmp.Or(release, highest)
}

// tag is where a tag points; "" if there is no such tag.
func (v *view) tag(name string) string {
	for i := range v.tags {
		if v.tags[i].Name == name {
			return v.tags[i].Target
		}
	}
	return ""
}

// find is the version that a spec means: a version, a tag, or a range, of which npm takes latest if it is in range and the
// highest if not. nil if there is none.
func (v *view) find(spec string) *millpond.Version {
	if one := v.by[spec]; one != nil {
		return one
	}
	if target := v.tag(spec); target != "" {
		return v.by[target]
	}
	in, ok := parseRange(spec, false)
	if !ok {
		return nil
	}
	latest := v.tag("latest")
	if parsed, ok := parseVersion(latest); ok && in.has(&parsed) {
		return v.by[latest]
	}
	for _, one := range v.shown {
		if parsed, ok := parseVersion(one.Name); ok && in.has(&parsed) {
			return one
		}
	}
	return nil
}

// why is why a version that a spec names is not shown; "" if no rule hides it.
func (v *view) why(spec string) string {
	for i := range v.gone {
		if v.gone[i].Version.Name == spec {
			return reason(&v.gone[i])
		}
	}
	return ""
}

func reason(h *millpond.Hidden) string {
	why := h.Why
	if why == "" {
		why = "a rule of this pond hides it"
	}
	if !h.After.IsZero() {
		why += ", until " + h.After.UTC().Format("2 Jan 2006 15:04 UTC")
	}
	return why
}

// message says which versions are not shown and why: npm prints it where a range finds no other.
func (v *view) message() string {
	if len(v.gone) == 0 {
		return ""
	}
	const most = 10
	var b strings.Builder
	for i := range v.gone {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(v.gone)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s@%s: %s", v.pkg.Name, v.gone[i].Version.Name, reason(&v.gone[i]))
	}
	return b.String()
}
