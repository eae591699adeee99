package debian

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A suiteRecord is what a hosted suite was made with.
type suiteRecord struct {
	Origin        string   `json:"origin,omitempty"`
	Label         string   `json:"label,omitempty"`
	Suite         string   `json:"suite,omitempty"`
	Codename      string   `json:"codename,omitempty"`
	Components    []string `json:"components,omitempty"`
	Architectures []string `json:"architectures,omitempty"`
	// Snapshot is the time of the Release that the suite was rolled back to; "" if it shows what there is.
	Snapshot string `json:"snapshot,omitempty"`
	// Keys are the fingerprints of the keys that signed when it was made, by number.
	Keys map[string]string `json:"keys,omitempty"`
}

// putSuite makes a suite of a Release without lists, of what its own will say of itself, or changes that: a field that is not
// there stays as it is. The field Snapshot takes the suite back to what it listed at a time, and, if it is empty, to what there
// is now.
func (h handler) putSuite(w http.ResponseWriter, r *http.Request, suite string) error {
	word, ok := strings.CutPrefix(suite, distsDir+"/")
	if !ok || !isSuiteWord(word) {
		return &millpond.Error{Kind: millpond.Invalid, Why: suite + " cannot be hosted: its name is one word"}
	}
	if err := h.repo.May(r.Context(), millpond.VerbPublish, suite); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the fields of the suite cannot be read", Err: err}
	}
	f := fieldsOf(text)
	if at := f["Snapshot"]; at != "" {
		t, err := time.Parse(snapshotTime, at)
		if err != nil {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no time of a snapshot, as 20260131T000000Z", at)}
		}
		if _, err := h.then(r.Context(), suite, t); err != nil {
			return err
		}
	}
	err = setSuite(r.Context(), h.repo, suite, func(rec *suiteRecord) {
		for name, field := range map[string]*string{"Origin": &rec.Origin, "Label": &rec.Label, "Suite": &rec.Suite, "Codename": &rec.Codename, "Snapshot": &rec.Snapshot} {
			if value, ok := f[name]; ok {
				*field = value
			}
		}
		for name, field := range map[string]*[]string{"Components": &rec.Components, "Architectures": &rec.Architectures} {
			if value, ok := f[name]; ok {
				*field = strings.Fields(value)
			}
		}
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// suiteVersion is the version of a hosted suite that its record stands for: what a suite lists is derived from its packages.
const suiteVersion = "0"

// check refuses what no Release can say.
func (rec *suiteRecord) check() error {
	for _, s := range []string{rec.Origin, rec.Label, rec.Suite, rec.Codename} {
		if strings.ContainsAny(s, "\r\n") || len(s) > 200 {
			return &millpond.Error{Kind: millpond.Invalid, Why: "a field of the suite is longer than a line"}
		}
	}
	for _, a := range rec.Architectures {
		if !isArchitecture(a) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no architecture", a)}
		}
	}
	for _, c := range rec.Components {
		if !isSuiteWord(c) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no component", c)}
		}
	}
	return nil
}

// setSuite makes a suite, or changes what is recorded of it.
func setSuite(ctx context.Context, repo format.Repo, suite string, edit func(*suiteRecord)) error {
	var rec suiteRecord
	edit(&rec)
	if err := rec.check(); err != nil {
		return err
	}
	if there, err := hostedSuite(ctx, repo, suite); err != nil {
		return err
	} else if there != nil {
		return repo.Amend(ctx, format.Amendment{Package: suite, Version: suiteVersion, Why: "what its Release says of itself", Edit: func(now *format.Hosting) error {
			rec, err := recordOf(&now.Package)
			if err != nil {
				return err
			}
			edit(&rec)
			now.Parts[0].Meta, err = json.Marshal(rec)
			return err
		}})
	}
	used, err := known(ctx, repo)
	if err != nil {
		return err
	}
	keys, err := keysOf(ctx, repo, used)
	if err != nil {
		return err
	}
	rec.Keys = keys.prints
	meta, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	// A suite by itself shows nothing to anybody, so that making one is no event.
	_, err = repo.Publish(ctx, format.Release{Package: suite, Version: millpond.Version{Name: suiteVersion}, Meta: meta, Grows: true, Loose: 1})
	return err
}

// made reports whether a suite is one of this repository's own.
func made(p *millpond.Package) bool { return len(p.Parts) > 0 && p.Parts[0].Layer == "" }

// wordOf is the name of a suite that is made of what is published here, as it is published into: "stable" of "dists/stable", and
// of "stable/", which is the same as a flat suite.
func wordOf(suite string) string {
	return strings.TrimSuffix(strings.TrimPrefix(suite, distsDir+"/"), "/")
}

// pkg is a suite as its readers see it. A flat one that is called as a hosted one is that, under its flat name.
func (h handler) pkg(ctx context.Context, name string) (*millpond.Package, error) {
	if word := wordOf(name); isFlat(name) && isSuiteWord(word) {
		hosted, err := hostedSuite(ctx, h.repo, distsDir+"/"+word)
		if err != nil {
			return nil, err
		}
		if hosted != nil {
			flat := *hosted
			flat.Name = name
			return &flat, nil
		}
	}
	return h.repo.Package(ctx, name)
}

// hostedSuite is a suite that is hosted here, nil if it is not, asking nobody.
func hostedSuite(ctx context.Context, repo format.Repo, suite string) (*millpond.Package, error) {
	p, err := repo.Held().Package(ctx, suite)
	if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Offline) || err == nil && !made(p) {
		return nil, nil
	}
	return p, err
}

// enter makes the suite that something is published into, if need be. Where its Release could not be signed nothing is taken, nor
// is what is of an architecture that a suite which says what it has does not have.
func enter(ctx context.Context, repo format.Repo, suite, architecture string) error {
	name := distsDir + "/" + suite
	there, err := hostedSuite(ctx, repo, name)
	if err != nil {
		return err
	}
	if there == nil && (!curates(repo, name) || repo.Claimed(name)) { // a curated one is there by its upstream
		if err := setSuite(ctx, repo, name, func(*suiteRecord) {}); err != nil {
			return fmt.Errorf("make the suite %s: %w", suite, err)
		}
		return nil
	}
	var rec suiteRecord
	if there != nil {
		if rec, err = recordOf(there); err != nil {
			return err
		}
		if len(rec.Architectures) > 0 && architecture != "" && architecture != "all" && !slices.Contains(rec.Architectures, architecture) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s is not of %s, which has %s", architecture, suite, strings.Join(rec.Architectures, ", ")),
				Hint: "who may yank there adds it to the field Architectures of dists/" + suite + "/Release"}
		}
	}
	_, err = handler{repo: repo}.keysFor(ctx, name, rec)
	return err
}
