package policy

import (
	"iter"
	"time"

	"millpond"
)

// Package is the verdict on the package as a whole: anything but Pass is true of each of its versions and files.
func (j *Judgement) Package() millpond.Verdict {
	if j == nil || j.whole.rule == 0 || j.exempts() {
		return millpond.Verdict{}
	}
	return j.verdict(&j.whole, j.ofPackage())
}

// exempts reports whether an earlier rule has let through a version of a package that a later one denies.
func (j *Judgement) exempts() bool {
	for i := range j.versions {
		if millpond.Opinion(j.versions[i].opinion) == millpond.Allow {
			return true
		}
	}
	return false
}

// Version is the verdict on a version: its own, else the package's. A version all whose files are kept from readers is kept
// from them too, until the first file's time comes. What was not in the listing that was judged is denied.
func (j *Judgement) Version(name string) millpond.Verdict {
	if j == nil {
		return millpond.Verdict{}
	}
	i, ok := j.find(name)
	if !ok {
		return j.unknown(name)
	}
	d, a := j.ofVersion(i)
	return j.verdict(d, a)
}

// File is the verdict on a file: its own, else its version's, else the package's. Version may be "" where the file's name
// is unique in the package. What was not in the listing that was judged is denied.
func (j *Judgement) File(version, file string) millpond.Verdict {
	if j == nil {
		return millpond.Verdict{}
	}
	i, k := j.findFile(version, file)
	if k < 0 {
		if i >= 0 {
			if d, a := j.ofVersion(i); d.rule != 0 {
				return j.verdict(d, a)
			}
		}
		return j.unknown(file)
	}
	d, a := j.ofFile(i, k)
	return j.verdict(d, a)
}

// Rule is the rule that decided about a target, as the configuration spells it; "" if none did.
func (j *Judgement) Rule(t millpond.Target) string {
	if j == nil {
		return ""
	}
	d := &j.whole
	if t.File != "" {
		if i, k := j.findFile(t.Version, t.File); k >= 0 {
			d, _ = j.ofFile(i, k)
		}
	} else if t.Version != "" {
		if i, ok := j.find(t.Version); ok {
			d, _ = j.ofVersion(i)
		}
	}
	if d.rule == 0 {
		return ""
	}
	return j.policy.rules[d.rule-1].name
}

// Until is the earliest time at which a verdict changes though the records do not: a hold or an exemption ends. It is zero
// if none will.
func (j *Judgement) Until() time.Time {
	if j == nil {
		return time.Time{}
	}
	return j.until
}

// Held is how many versions readers do not see, whole or in part, only because a rule holds them back for a time.
func (j *Judgement) Held() int {
	hold := func(d *decision) bool { return d.rule != 0 && millpond.Opinion(d.opinion) == millpond.Hold }
	if hold(&j.whole) {
		return len(j.pkg.Versions)
	}
	n := 0
	for i := range j.pkg.Versions {
		held := i < len(j.versions) && hold(&j.versions[i])
		if i < len(j.files) {
			for k := range j.files[i] {
				held = held || hold(&j.files[i][k])
			}
		}
		if held {
			n++
		}
	}
	return n
}

// Needs are the facts that rules lack, by version; "" is the package. Whoever has fetched them judges again. As long as
// they are missing, what they are needed for is denied.
func (j *Judgement) Needs() map[string]millpond.Fact {
	if j == nil {
		return nil
	}
	return j.needs
}

// DryRun is what rules in dry run would have said of what the others left, in the order of the rules.
func (j *Judgement) DryRun() []Finding {
	if j == nil || len(j.findings) == 0 {
		return nil
	}
	found := make([]Finding, len(j.findings))
	for n := range j.findings {
		f := &j.findings[n]
		a := j.ofPackage()
		t := millpond.Target{}
		if f.version >= 0 {
			a.v = &j.pkg.Versions[f.version]
			a.name, t.Version = quotable(a.v.Name), a.v.Name
		}
		if f.file >= 0 {
			a.f = &a.v.Files[f.file]
			a.name, t.File = quotable(a.f.Name), a.f.Name
		}
		found[n] = Finding{Rule: j.policy.rules[f.d.rule-1].name, Target: t, Verdict: j.verdict(&f.d, a)}
	}
	return found
}

// View is the package p, which was judged, as its readers may see it: without the versions and files that are kept from
// them. Hidden gets the versions, with the words; Blocked is set if nothing may be opened. Refs stay as they are: where a
// ref to a hidden version goes is its format's affair. A package that loses nothing is returned itself.
func (j *Judgement) View(p *millpond.Package) *millpond.Package {
	if j == nil || !j.hides {
		return p
	}
	view := *j.pkg
	view.Versions = make([]millpond.Version, 0, len(view.Versions))
	view.Hidden = append([]millpond.Hidden(nil), view.Hidden...)
	if v := j.Package(); v.Opinion != millpond.Pass && v.Opinion != millpond.Allow {
		view.Blocked = v.Why
	}
	for i := range j.pkg.Versions {
		d, a := j.ofVersion(i)
		if d.hides() {
			v := j.verdict(d, a)
			view.Hidden = append(view.Hidden, millpond.Hidden{Version: *a.v, Why: v.Why, After: v.After})
			continue
		}
		version := j.pkg.Versions[i]
		if j.files != nil && j.files[i] != nil {
			kept := make([]millpond.File, 0, len(version.Files))
			for k := range version.Files {
				if !j.files[i][judgedAs(&version, k)].hides() {
					kept = append(kept, version.Files[k])
				}
			}
			version.Files = kept
		}
		view.Versions = append(view.Versions, version)
	}
	return &view
}

// ofPackage is what words about the package are about.
func (j *Judgement) ofPackage() about { return about{name: quotable(j.pkg.Name)} }

// ofVersion is the decision that counts for a version, and what its words are about.
func (j *Judgement) ofVersion(i int) (*decision, about) {
	v := &j.pkg.Versions[i]
	a := about{name: quotable(v.Name), v: v}
	if j.versions != nil && j.versions[i].rule != 0 {
		return &j.versions[i], a
	}
	if len(v.Files) > 0 && j.files != nil && j.files[i] != nil && !j.shown(i) {
		best := judgedAs(v, 0)
		for k := range v.Files {
			after, least := j.files[i][k].after, j.files[i][best].after
			if !after.IsZero() && (least.IsZero() || after.Before(least)) {
				best = k
			}
		}
		a.f = &v.Files[best]
		return &j.files[i][best], a
	}
	return &j.whole, a
}

// ofFile is the decision that counts for a file, and what its words are about.
func (j *Judgement) ofFile(i, k int) (*decision, about) {
	v := &j.pkg.Versions[i]
	a := about{name: quotable(v.Files[k].Name), v: v, f: &v.Files[k]}
	k = judgedAs(v, k)
	switch {
	case j.decided(i, k):
		return &j.files[i][k], a
	case j.versions != nil && j.versions[i].rule != 0:
		return &j.versions[i], a
	}
	return &j.whole, a
}

func (j *Judgement) verdict(d *decision, a about) millpond.Verdict {
	if d.rule == 0 {
		return millpond.Verdict{}
	}
	v := millpond.Verdict{Opinion: millpond.Opinion(d.opinion), After: d.after, Need: millpond.Fact(d.need)}
	r := j.policy.rules[d.rule-1]
	v.Why = r.test.words(a, d, j.now)
	why := r.why
	if lists := r.test.lists(); d.item >= 0 && len(lists) > 0 {
		if own := (*lists[0]).items[d.item].why; own != "" {
			why = own
		}
	}
	if why != "" {
		v.Why += " (" + why + ")"
	}
	return v
}

// unknown is the verdict on what was not judged.
func (j *Judgement) unknown(name string) millpond.Verdict {
	if j.whole.rule != 0 && !j.exempts() {
		return j.Package()
	}
	return millpond.Verdict{Opinion: millpond.Deny, Why: quotable(name) + " is not in the listing that the rules have judged"}
}

// find is the index of a version.
func (j *Judgement) find(name string) (int, bool) {
	j.once.Do(func() {
		j.index = make(map[string]int32, len(j.pkg.Versions))
		for i := range j.pkg.Versions {
			if name := j.pkg.Versions[i].Name; !has(j.index, name) {
				j.index[name] = int32(i)
			}
		}
	})
	i, ok := j.index[name]
	return int(i), ok
}

func has(m map[string]int32, name string) bool { _, ok := m[name]; return ok }

// findFile is the index of a file and of its version; each is -1 if there is no such thing.
func (j *Judgement) findFile(version, file string) (int, int) {
	if version != "" {
		i, ok := j.find(version)
		if !ok {
			return -1, -1
		}
		return i, fileIndex(&j.pkg.Versions[i], file)
	}
	for i := range j.pkg.Versions {
		if k := fileIndex(&j.pkg.Versions[i], file); k >= 0 {
			return i, k
		}
	}
	return -1, -1
}

// judgedAs is the index of the file as which file k is judged: the one that it describes, or itself.
func judgedAs(v *millpond.Version, k int) int {
	if of := v.Files[k].Of; of != "" {
		if i := fileIndex(v, of); i >= 0 && v.Files[i].Of == "" {
			return i
		}
	}
	return k
}

func fileIndex(v *millpond.Version, file string) int {
	for k := range v.Files {
		if v.Files[k].Name == file {
			return k
		}
	}
	return -1
}

// A single is one rule on its own.
type single struct{ p *Policy }

func (s single) Name() string { return s.p.rules[0].name }

func (s single) Judge(now time.Time, g millpond.Grammar, p *millpond.Package) iter.Seq2[millpond.Target, millpond.Verdict] {
	return func(yield func(millpond.Target, millpond.Verdict) bool) {
		j := s.p.Judge(now, g, p)
		if j.whole.rule != 0 {
			yield(millpond.Target{}, j.Package())
			return
		}
		for i := range p.Versions {
			v := &p.Versions[i]
			if d, a := j.ofVersion(i); d.rule != 0 && !yield(millpond.Target{Version: v.Name}, j.verdict(d, a)) {
				return
			}
			if j.files == nil || j.files[i] == nil {
				continue
			}
			for k := range v.Files {
				if d, a := j.ofFile(i, k); j.decided(i, k) &&
					!yield(millpond.Target{Version: v.Name, File: v.Files[k].Name}, j.verdict(d, a)) {
					return
				}
			}
		}
	}
}
