package npm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"millpond"
	"millpond/format"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// getForEdit answers with the packument as it is hosted: no rule hides anything of it, no other layer has a word in it.
func (h *handler) getForEdit(w http.ResponseWriter, r *http.Request, p Path) error {
	hosting, err := h.repo.Hosted(r.Context(), p.Package)
	if err != nil {
		return err
	}
	if len(hosting.Versions) == 0 {
		return unpublished(p.Package)
	}
	out, err := newWriter(r.Context(), h.repo, hostedView(hosting), baseOf(h.repo, r))
	if err != nil {
		return err
	}
	defer out.close()
	var body bytes.Buffer
	if err := out.full(&body); err != nil {
		return err
	}
	return h.writeJSON(w, r, body.Bytes())
}

// unpublished is what is answered about a name of which nothing is left.
func unpublished(name string) error {
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name}, Why: name + " was unpublished"}
}

// stale refuses a change of a state that is no longer.
func stale(name, rev string) error {
	return &millpond.Error{Kind: millpond.Conflict, Key: millpond.Key{Package: name},
		Why: fmt.Sprintf("%s was changed since the revision %.60q that this change is of", name, rev), Hint: "ask again and repeat it"}
}

// edit changes what the records say: each version's deprecation, and the maintainers. A version that the body does not have
// is left alone.
func (h *handler) edit(w http.ResponseWriter, r *http.Request, p Path, s *sent) error {
	if s.Name != "" && s.Name != p.Package || s.ID != "" && s.ID != p.Package {
		return refused("the body is about another package than its address")
	}
	rev := s.Rev
	if p.Rev != "" {
		rev = p.Rev
	}
	hosting, err := h.repo.Hosted(r.Context(), p.Package)
	if err != nil {
		return err
	}
	changed, err := s.apply(hosting, rev, writeTime(h.repo.Now()))
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		return h.edited(w, p)
	}
	a := format.Amendment{Package: p.Package, Edit: func(now *format.Hosting) error {
		_, err := s.apply(now, rev, writeTime(h.repo.Now()))
		return err
	}}
	if changed[0] != "" {
		a.Verb = "deprecate"
		a.Why = deprecation(s.Versions[changed[0]])
		if len(changed) == 1 {
			a.Version = changed[0]
		}
	}
	if err := h.repo.Amend(r.Context(), a); err != nil {
		return err
	}
	return h.edited(w, p)
}

func (h *handler) edited(w http.ResponseWriter, p Path) error {
	return writeStatus(w, http.StatusOK, map[string]any{"ok": true, "id": p.Package})
}

// apply makes a hosted package say what was sent, and returns the versions that differ; "" among them, last, is the package.
func (s *sent) apply(h *format.Hosting, rev, now string) (changed []string, err error) {
	if rev != revision(h) {
		return nil, stale(h.Name, rev)
	}
	for i := range h.Versions {
		v := &h.Versions[i]
		raw, ok := s.Versions[v.Name]
		if !ok {
			continue
		}
		if raw.Kind() != '{' {
			return nil, refused("the manifest of %s is no object", v.Name)
		}
		want := deprecation(raw)
		if want == shownAs(v) {
			continue
		}
		if want == "" && v.Yanked { // npm deprecate with no words takes back what npm shows
			v.Yanked, v.YankedWhy = false, ""
			for j := range v.Files {
				v.Files[j].Yanked, v.Files[j].YankedWhy = false, ""
			}
		}
		if v.Meta, err = setMember(v.Meta, "deprecated", want); err != nil {
			return nil, err
		}
		changed = append(changed, v.Name)
	}
	about := map[string]json.RawMessage{}
	if len(h.Parts) > 0 {
		json.Unmarshal(h.Parts[0].Meta, &about) // what is not there is put there
	}
	if about == nil {
		about = map[string]json.RawMessage{}
	}
	if s.Maintainers.Kind() == '[' {
		if want := compact(s.Maintainers); want != nil && !bytes.Equal(want, about["maintainers"]) {
			about["maintainers"] = want
			changed = append(changed, "")
		}
	}
	if len(changed) == 0 || len(h.Parts) == 0 {
		return changed, nil
	}
	about["modified"] = appendQuoted(nil, now)
	h.Parts[0].Meta, err = json.Marshal(about)
	return changed, err
}

// deprecation is the message of a manifest; "" if it is not deprecated.
func deprecation(manifest jsontext.Value) string {
	var m struct {
		Deprecated any `json:"deprecated"`
	}
	json.Unmarshal(manifest, &m) // what is no manifest has none
	text, _ := m.Deprecated.(string)
	return text
}

// setMember is a manifest with one member set to a string, or without it if that is "".
func setMember(manifest json.RawMessage, member, value string) (json.RawMessage, error) {
	b := []byte{'{'}
	walk := newWalker(bytes.NewReader(manifest), 0)
	add := func(name string, value []byte) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, name), ':')
		b = append(b, value...)
	}
	_, err := walk.object(func(n name) error {
		word := string(n.text)
		raw, _, err := walk.value()
		if err == nil && word != member {
			add(word, raw)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the manifest as it is kept: %w", err)
	}
	if value != "" {
		add(member, appendQuoted(nil, value))
	}
	return append(b, '}'), nil
}

// putRevision answers the PUT of a packument from which versions were taken: they are unpublished. Without "versions" in it
// it is an edit: npm sends the maintainers so.
func (h *handler) putRevision(w http.ResponseWriter, r *http.Request, p Path) error {
	body, err := plainBody(r)
	if err != nil {
		return err
	}
	if err := h.repo.May(r.Context(), millpond.VerbPublish, p.Package); err != nil {
		return h.refuse(r, err)
	}
	s, err := readSent(body, func(string) (io.Writer, error) {
		return nil, refused("nothing can be published by its revision")
	})
	if err != nil {
		return h.refuse(r, err)
	}
	if s.Versions == nil {
		return h.edit(w, r, p, s)
	}
	hosting, err := h.current(r.Context(), p)
	if err != nil {
		return err
	}
	var gone []string
	for i := range hosting.Versions {
		if _, left := s.Versions[hosting.Versions[i].Name]; !left {
			gone = append(gone, hosting.Versions[i].Name)
		}
	}
	if len(gone) == 0 {
		return h.edit(w, r, p, s)
	}
	return h.unpublish(w, r, p, gone)
}

// current is the package as it is hosted, if the revision of a path is that of it.
func (h *handler) current(ctx context.Context, p Path) (*format.Hosting, error) {
	hosting, err := h.repo.Hosted(ctx, p.Package)
	if err != nil {
		return nil, err
	}
	if p.Rev != revision(hosting) {
		return nil, stale(p.Package, p.Rev)
	}
	return hosting, nil
}

// unpublish removes versions of the revision that the path names. What was published since that was looked at stays, and so
// does latest where it was moved to it; else latest goes to the highest that is left.
func (h *handler) unpublish(w http.ResponseWriter, r *http.Request, p Path, gone []string) error {
	for i, version := range gone {
		settle := func(now *format.Hosting, d *format.Deletion) error {
			if i == 0 && p.Rev != revision(now) {
				return stale(p.Package, p.Rev)
			}
			latest := slices.IndexFunc(now.Refs, func(r millpond.Ref) bool { return r.Name == "latest" })
			if latest < 0 || !slices.Contains(gone, now.Refs[latest].Target) {
				return nil
			}
			left := func(name string) bool { return !slices.Contains(gone, name) }
			if target := highest(now.Versions, left); target != "" {
				d.Refs = []millpond.Ref{{Name: "latest", Target: target}}
			}
			return nil
		}
		err := h.repo.Delete(r.Context(), format.Deletion{Key: millpond.Key{Package: p.Package, Version: version}, Settle: settle})
		if err != nil && (i == 0 || !millpond.Is(err, millpond.NotFound)) { // another may have removed it meanwhile
			return err
		}
	}
	return h.edited(w, p)
}

// deleteRevision unpublishes every version of that revision: one that is published meanwhile stays.
func (h *handler) deleteRevision(w http.ResponseWriter, r *http.Request, p Path) error {
	hosting, err := h.current(r.Context(), p)
	if err != nil {
		return err
	}
	if len(hosting.Versions) == 0 {
		return unpublished(p.Package)
	}
	var all []string
	for i := range hosting.Versions {
		all = append(all, hosting.Versions[i].Name)
	}
	return h.unpublish(w, r, p, all)
}

// deleteFile unpublishes the version that a file is of. npm asks for it after it has taken the version from the packument:
// then there is nothing left to do.
func (h *handler) deleteFile(w http.ResponseWriter, r *http.Request, p Path) error {
	hosting, err := h.repo.Hosted(r.Context(), p.Package)
	if err != nil {
		return err
	}
	for i := range hosting.Versions {
		v := &hosting.Versions[i]
		if v.File(p.File) == nil {
			continue
		}
		if p.Rev != revision(hosting) {
			return stale(p.Package, p.Rev)
		}
		return h.unpublish(w, r, p, []string{v.Name})
	}
	was := func(d format.Deleted) bool { return d.File == p.File || d.Version == versionOf(p.Package, p.File) }
	if !slices.ContainsFunc(hosting.Deleted, was) {
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: p.Package, File: p.File}, Why: "no such file was published here"}
	}
	return h.edited(w, p)
}

// putTags sets dist-tags: PUT and POST of one are alike; of all, PUT removes those that are not sent.
func (h *handler) putTags(w http.ResponseWriter, r *http.Request, p Path) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	tags := map[string]string{}
	if p.Kind == Tag {
		var target string
		if json.Unmarshal(body, &target) != nil {
			return refused("the body is not a version in quotes")
		}
		tags[p.Tag] = target
	} else if json.Unmarshal(body, &tags) != nil {
		return refused("the body is no object of tags")
	}
	var refs []millpond.Ref
	for _, tag := range sortedKeys(tags) {
		if err := newTag(tag); err != nil {
			return err
		}
		if err := newVersion(tags[tag]); err != nil {
			return err
		}
		refs = append(refs, millpond.Ref{Name: tag, Target: tags[tag]})
	}
	if p.Kind == Tags && r.Method == http.MethodPut {
		hosting, err := h.repo.Hosted(r.Context(), p.Package)
		if err != nil {
			return err
		}
		for _, ref := range hosting.Refs {
			if _, kept := tags[ref.Name]; !kept && ref.Name != "latest" {
				refs = append(refs, millpond.Ref{Name: ref.Name})
			}
		}
	}
	if err := h.repo.Move(r.Context(), p.Package, refs...); err != nil {
		return err
	}
	return writeStatus(w, http.StatusCreated, map[string]any{"ok": true, "id": p.Package})
}

func (h *handler) deleteTag(w http.ResponseWriter, r *http.Request, p Path) error {
	if p.Tag == "latest" {
		return refused("latest cannot be removed")
	}
	hosting, err := h.repo.Hosted(r.Context(), p.Package)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(hosting.Refs, func(ref millpond.Ref) bool { return ref.Name == p.Tag }) {
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: p.Package}, Why: fmt.Sprintf("%s has no tag %s", p.Package, p.Tag)}
	}
	if err := h.repo.Move(r.Context(), p.Package, millpond.Ref{Name: p.Tag}); err != nil {
		return err
	}
	return h.edited(w, p)
}
