package repo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// An Explanation says what becomes of one version, and why.
type Explanation struct {
	Repository string           `json:"repository"`
	Package    string           `json:"package"`
	Version    string           `json:"version,omitzero"`
	Layers     []LayerWord      `json:"layers"` // what each layer says of it
	Verdict    millpond.Verdict `json:"verdict,omitzero"`
	Rule       string           `json:"rule,omitzero"`     // that decided; "" if none did
	WouldBe    []string         `json:"would_be,omitzero"` // what rules in dry-run would have said
	Files      []FileWord       `json:"files,omitzero"`
	Words      string           `json:"words,omitzero"` // what a client would be told; "" if it is served
}

const hasIt = "has it" // is how the state begins of a layer that has a version

// A LayerWord is what one layer says of a version.
type LayerWord struct {
	Layer   string    `json:"layer"`
	State   string    `json:"state"` // "has it", "has no such package", "has no such version", "has nothing left of it", "is not asked: …", "is ill: …"
	Checked time.Time `json:"checked,omitzero"`
}

// A FileWord is what becomes of one file.
type FileWord struct {
	Name  string `json:"name"`
	Held  bool   `json:"held"`
	Size  int64  `json:"size"`
	Words string `json:"words,omitzero"` // "" if it is served
	Flag  string `json:"flag,omitzero"`  // of an upstream's: why publishing it here would be refused
}

// Why explains what becomes of a version; with version "" of the package. It asks upstreams as a reader would.
func (r *Repository) Why(ctx context.Context, pkg, version string) (*Explanation, error) {
	name, err := r.config.Format.Canon(pkg)
	if err != nil {
		return nil, err
	}
	e, err := r.why(ctx, name, version)
	if err != nil {
		return nil, err
	}
	return e, r.flagged(ctx, e)
}

func (r *Repository) why(ctx context.Context, name, version string) (*Explanation, error) {
	e := &Explanation{Repository: r.config.Name, Package: name, Version: version}
	e.Layers = r.layerWords(ctx, name, version)
	if err := r.nameVerdict(name); err != nil {
		e.Verdict, e.Words = r.policy.NameOnly(r.pond.now(), name), words(err)
		return e, nil
	}
	v, err := r.view(ctx, name, fresh)
	if err != nil {
		e.Words = words(err)
		return e, nil
	}
	if v.judged != nil {
		e.Verdict, e.Rule = v.judged.Package(), v.judged.Rule(millpond.Target{})
	}
	if v.all.Blocked != "" {
		e.Words = v.all.Blocked
		return e, nil
	}
	if version == "" {
		return e, nil
	}
	e.Version = r.spelling(v.all, version)
	return e, r.whyVersion(ctx, e, v)
}

// spelling is the version as the listing spells it, if it has the version.
func (r *Repository) spelling(p *millpond.Package, version string) string {
	for i := range p.Versions {
		if r.config.Format.Compare(p.Versions[i].Name, version) == 0 {
			return p.Versions[i].Name
		}
	}
	return version
}

func (r *Repository) whyVersion(ctx context.Context, e *Explanation, v *view) error {
	k := millpond.Key{Package: e.Package, Version: e.Version}
	one := v.all.Version(e.Version)
	if one == nil {
		e.Words = fmt.Sprintf("no version %s of %s in %s", e.Version, e.Package, r.config.Name)
		if r.pond.offline() && slices.ContainsFunc(e.Layers, func(w LayerWord) bool { return strings.HasPrefix(w.State, hasIt) }) {
			e.Words = fmt.Sprintf("%s %s is not held here, and nobody is asked: the pond is offline", e.Package, e.Version)
		}
		return nil
	}
	if v.judged != nil {
		e.Verdict, e.Rule = v.judged.Version(e.Version), v.judged.Rule(millpond.Target{Version: e.Version})
		for _, f := range v.judged.DryRun() {
			if f.Target.Version == "" || f.Target.Version == e.Version {
				e.WouldBe = append(e.WouldBe, fmt.Sprintf("%s (dry run): %s", f.Rule, f.Verdict.Why))
			}
		}
	}
	if err := v.verdict(k); err != nil {
		e.Words = words(err)
	}
	l := r.layer(layerOf(one.Layer))
	if l == nil {
		return nil
	}
	held, err := l.holds(ctx, e.Package)
	if err != nil {
		return err
	}
	for _, f := range one.Files {
		w := FileWord{Name: f.Name, Size: f.Size, Held: held[[2]string{one.Name, f.Name}]}
		k.File = f.Name
		switch err := v.verdict(k); {
		case err != nil:
			w.Words = words(err)
		case f.Vanished:
			w.Words = "its upstream lists it no more; it is still served here"
		}
		e.Files = append(e.Files, w)
	}
	return nil
}

// flagged adds what is known to be wrong with files of the package, or of the version: of a format that lists none, those alone.
func (r *Repository) flagged(ctx context.Context, e *Explanation) error {
	for _, l := range r.all() {
		flags, err := l.flags(ctx, e.Package)
		if err != nil {
			return err
		}
		for _, k := range slices.SortedFunc(maps.Keys(flags), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
			if e.Version != "" && k[0] != e.Version {
				continue
			}
			i := slices.IndexFunc(e.Files, func(f FileWord) bool { return f.Name == k[1] })
			if i < 0 {
				w := FileWord{Name: k[1], Size: -1}
				if w.Held, err = l.has(ctx, millpond.Key{Package: e.Package, Version: k[0]}); err != nil {
					return err
				}
				if e.Verdict.Opinion != millpond.Pass && e.Verdict.Opinion != millpond.Allow {
					w.Words = e.Words
				}
				i, e.Files = len(e.Files), append(e.Files, w)
			}
			e.Files[i].Flag = flags[k]
		}
	}
	return nil
}

func (r *Repository) layerWords(ctx context.Context, name, version string) []LayerWord {
	if rec, err := r.hosted.record(ctx, name); err == nil && rec != nil {
		w := LayerWord{Layer: "hosted", State: hasIt}
		if version != "" {
			if has, err := r.hosted.has(ctx, millpond.Key{Package: name, Version: version}); err == nil && !has {
				w.State = "has no such version"
			}
		}
		if r.hides(rec) {
			return []LayerWord{w, {Layer: "upstreams", State: "are not asked: the name is hosted here"}}
		}
	}
	if r.claimed(name) {
		return []LayerWord{{Layer: "upstreams", State: "are not asked: the name is claimed"}}
	}
	var out []LayerWord
	for _, l := range r.layers {
		w := LayerWord{Layer: l.layerName()}
		if !r.hears(l, name) {
			w.State = "is not asked about such names"
			out = append(out, w)
			continue
		}
		got, err := l.listing(ctx, name, !r.pond.offline())
		switch {
		case millpond.Is(err, millpond.NotFound):
			w.State = "has no such package"
		case millpond.Is(err, millpond.Gone):
			w.State = "has nothing left of it"
		case millpond.Is(err, millpond.Offline):
			w.State = "is not asked: the pond is offline"
		case err != nil:
			w.State = "is ill: " + words(err)
		case version != "" && got.pkg.Version(r.spelling(got.pkg, version)) == nil:
			w.State, w.Checked = "has no such version", got.checked
		default:
			w.State, w.Checked = hasIt, got.checked
		}
		if err == nil && got.stale != nil {
			w.State += ", by its last word: " + reason(got.stale)
		}
		out = append(out, w)
	}
	return out
}

// reason is why a layer's last word is not its newest.
func reason(stale error) string {
	if millpond.Is(stale, millpond.Offline) {
		return "it is not asked, the pond is offline" // what is held of the package the files tell
	}
	return words(stale)
}

// words are an error as a client is told it.
func words(err error) string {
	why, hint := format.Words(err)
	if hint != "" {
		why += ". " + hint
	}
	return why
}
