package npm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"millpond"
	"millpond/format"
)

// What is published here is kept as rows. The record of a package is an object of the packument's own members (readme,
// description …); that of a version is its manifest without dist, which is made of the file's record when it is shown, so
// that it cannot say anything else than the bytes. Both forms are written from one text put together of them, by the same
// writers as an upstream's.

// A fileMeta is what the record of a hosted file says beside its digests.
type fileMeta struct {
	FileCount     int    `json:"fileCount,omitempty"`
	UnpackedSize  int64  `json:"unpackedSize,omitempty"`
	PredicateType string `json:"predicateType,omitempty"` // of attestations
}

// hosts reports whether a package, or a part of it, was published here.
func hosts(p *millpond.Package) bool {
	return slices.ContainsFunc(p.Parts, func(one millpond.Part) bool { return format.IsHosted(one.Layer) })
}

// mainFile is a version's tarball; nil if it has none.
func mainFile(v *millpond.Version) *millpond.File {
	for i := range v.Files {
		if v.Files[i].Of == "" {
			return &v.Files[i]
		}
	}
	return nil
}

// bundle is the file with a hosted version's attestations; nil if it has none.
func bundle(v *millpond.Version) *millpond.File {
	for i := range v.Files {
		if v.Files[i].Of != "" && strings.HasSuffix(v.Files[i].Name, ".sigstore") {
			return &v.Files[i]
		}
	}
	return nil
}

// rows puts the packument of one layer's hosted versions together, and indexes it as an upstream's would be.
func (w *writer) rows(ctx context.Context, one millpond.Part) (*part, map[string]member, error) {
	name := w.view.pkg.Name
	b := append([]byte(`{"_id":`), appendQuoted(nil, name)...)
	if w.view.rev != "" {
		b = appendQuoted(append(b, `,"_rev":`...), w.view.rev)
	}
	b = appendQuoted(append(b, `,"name":`...), name)
	var about map[string]json.RawMessage
	json.Unmarshal(one.Meta, &about) // nothing is known of a package that came here by its versions alone
	for _, field := range aboutFields {
		if raw := about[field]; len(raw) > 0 {
			b = append(appendQuoted(append(b, ','), field), ':')
			b = append(b, raw...)
		}
	}
	b = append(b, `,"dist-tags":{},"time":{`...)
	var modified, created string
	json.Unmarshal(about["created"], &created)
	json.Unmarshal(about["modified"], &modified)
	var shown []*millpond.Version
	for _, v := range w.view.shown {
		if v.Layer != one.Layer {
			continue
		}
		shown = append(shown, v)
		at := writeTime(v.Published)
		modified = max(modified, at)
		if created == "" || at < created {
			created = at
		}
	}
	if created != "" {
		b = appendQuoted(append(b, `"created":`...), created)
		b = appendQuoted(append(b, `,"modified":`...), modified)
	}
	for i, v := range shown {
		if i > 0 || created != "" {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, v.Name), ':')
		b = appendQuoted(b, writeTime(v.Published))
	}
	b = append(b, `},"versions":{`...)
	sign, err := w.signer(ctx, len(shown) > 0)
	if err != nil {
		return nil, nil, err
	}
	for i, v := range shown {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, v.Name), ':')
		if b, err = appendRow(b, name, v, sign); err != nil {
			return nil, nil, err
		}
	}
	b = append(b, "}}"...)
	p, err := readPackument(ctx, name, bytes.NewReader(b), int64(len(b)), nowhere)
	if err != nil {
		return nil, nil, fmt.Errorf("what is hosted of %s %w", name, err)
	}
	meta, _ := decodePackumentMeta(p.Parts[0].Meta)
	members := make(map[string]member, len(p.Versions))
	for i := range p.Versions {
		members[p.Versions[i].Name], _ = decodeMember(p.Versions[i].Meta)
	}
	doc := &format.Document{ReaderAt: bytes.NewReader(b), Closer: whole{}, Size: int64(len(b))}
	return &part{layer: one.Layer, meta: meta, doc: doc, text: newText(doc), rows: true}, members, nil
}

// nowhere is the address that rows are resolved against: what they hold is replaced.
var nowhere = &url.URL{Scheme: "https", Host: "nowhere.invalid", Path: "/"} // never changed

// aboutFields are the members of a packument that come from the manifest of its latest version.
var aboutFields = [...]string{ // never changed
	"description", "keywords", "homepage", "bugs", "repository", "author", "contributors", "license", "maintainers",
	"readme", "readmeFilename",
}

// appendRow appends a version's manifest: what was published, and dist.
func appendRow(b []byte, name string, v *millpond.Version, sign signer) ([]byte, error) {
	meta := v.Meta
	if len(meta) < 3 || meta[0] != '{' || meta[len(meta)-1] != '}' {
		meta = append([]byte(`{"name":`), appendQuoted(nil, name)...)
		meta = append(appendQuoted(append(meta, `,"version":`...), v.Name), '}')
	}
	if v.Yanked && deprecation(jsontext.Value(meta)) == "" {
		var err error
		if meta, err = setMember(meta, "deprecated", shownAs(v)); err != nil {
			return nil, err
		}
	}
	b = append(b, meta[:len(meta)-1]...)
	file := mainFile(v)
	if file == nil {
		return append(b, '}'), nil
	}
	b = append(b, `,"dist":{"tarball":""`...) // the address is put in as in any packument
	integrity := ""
	for _, d := range file.Digests {
		switch {
		case d.Algorithm() == "sha1":
			b = appendQuoted(append(b, `,"shasum":`...), d.Hex())
		case integrity == "" && d.Strong():
			integrity = integrityOf(d)
			b = appendQuoted(append(b, `,"integrity":`...), integrity)
		}
	}
	var facts fileMeta
	json.Unmarshal(file.Meta, &facts) // without them they are not shown
	if facts.FileCount > 0 {
		b = fmt.Appendf(b, `,"fileCount":%d,"unpackedSize":%d`, facts.FileCount, facts.UnpackedSize)
	}
	if f := bundle(v); f != nil {
		var facts fileMeta
		json.Unmarshal(f.Meta, &facts)
		b = append(b, `,"attestations":{"url":"","provenance":{"predicateType":`...)
		b = append(appendQuoted(b, facts.PredicateType), "}}"...)
	}
	if sign != nil && integrity != "" {
		id, sig, err := sign(name + "@" + v.Name + ":" + integrity)
		if err != nil {
			return nil, err
		}
		b = appendQuoted(append(b, `,"signatures":[{"keyid":`...), id)
		b = append(appendQuoted(append(b, `,"sig":`...), sig), "}]"...)
	}
	return append(b, "}}"...), nil
}

// shownAs is the deprecation that clients are shown of a hosted version: what its publisher wrote, else that it was yanked, for
// which npm has no word of its own.
func shownAs(v *millpond.Version) string {
	text := deprecation(jsontext.Value(v.Meta))
	switch {
	case text != "" || !v.Yanked:
		return text
	case v.YankedWhy == "":
		return "this version was yanked"
	}
	return "this version was yanked: " + v.YankedWhy
}

// hostedView is a package as it is hosted, for those who edit it: nothing is hidden.
func hostedView(h *format.Hosting) *view {
	pkg := h.Package
	pkg.Versions = slices.Clone(pkg.Versions)
	slices.SortStableFunc(pkg.Versions, func(a, b millpond.Version) int { return compareVersions(b.Name, a.Name) })
	v := newView(&pkg)
	v.rev = revision(h)
	return v
}

// revision names the state of a hosted package: what is sent back to change it must be of the state that it changes.
func revision(h *format.Hosting) string {
	state := fmt.Sprintf("%s %d %d %d", h.Name, h.Created.UnixMilli(), h.Changed.UnixMilli(), h.Changes)
	return fmt.Sprintf("%d-%s", h.Changes, millpond.SHA256([]byte(state)).Hex()[:16])
}

// highest is the version that latest means among those left: the highest release, else the highest.
func highest(versions []millpond.Version, left func(string) bool) string {
	release, any := "", ""
	for i := range versions {
		name := versions[i].Name
		if !left(name) {
			continue
		}
		if any == "" || compareVersions(name, any) > 0 {
			any = name
		}
		if v, ok := parseVersion(name); ok && v.pre == "" && (release == "" || compareVersions(name, release) > 0) {
			release = name
		}
	}
	return cmp.Or(release, any)
}
