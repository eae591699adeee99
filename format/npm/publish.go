package npm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"millpond"
	"millpond/format"
)

var sentFields = [...]string{"_id", "_rev", "name", "dist-tags", "versions", "readme", "_attachments"} // never changed

// put answers a PUT of a package: a publish if a tarball is attached, else an edit.
func (h *handler) put(w http.ResponseWriter, r *http.Request, p Path) error {
	if err := publishable(p.Package); err != nil {
		return h.refuse(r, err)
	}
	if err := h.repo.May(r.Context(), millpond.VerbPublish, p.Package); err != nil {
		return h.refuse(r, err)
	}
	body, err := plainBody(r)
	if err != nil {
		return err
	}
	var up *tarballUpload
	defer func() {
		if up != nil {
			up.drop()
		}
	}()
	s, err := readSent(body, func(string) (io.Writer, error) {
		if up != nil {
			return nil, refused("more than one tarball is attached")
		}
		up, err = beginUpload(r.Context(), h.repo, p.Package, -1)
		return up, err
	})
	if err != nil {
		return h.refuse(r, err)
	}
	if up == nil {
		if len(s.Attachments) > 0 {
			return refused("no tarball is attached")
		}
		return h.edit(w, r, p, s)
	}
	pub, err := h.check(p.Package, s, up)
	if err != nil {
		return err
	}
	receipt, err := pub.publish(r.Context(), h.repo, up)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if receipt.New {
		status = http.StatusCreated
	}
	return writeStatus(w, status, map[string]any{"ok": true, "success": true, "id": p.Package})
}

// refuse reads on for a while before an error is answered, so that the client, which writes first and reads then, sees the
// answer.
func (h *handler) refuse(r *http.Request, err error) error {
	io.CopyN(io.Discard, r.Body, 1<<20) // what cannot be read is not waited for
	return err
}

// A publication is a version that was checked and can be published.
type publication struct {
	name     string
	version  string
	meta     json.RawMessage // the manifest, as a row has it
	about    map[string]json.RawMessage
	tags     []string
	licence  string
	digests  []millpond.Digest
	packed   *packed
	bundle   []byte // attestations; nil if there are none
	kind     string // their predicate's type
	verified string // what became of them, for the log
	differs  string // in what the manifest is other than the tarball's
}

// check judges a publish: the parts of it must agree about what is published.
func (h *handler) check(name string, s *sent, up *tarballUpload) (*publication, error) {
	if s.Name != name {
		return nil, refused("the body is about %.100q, and its address about %s", s.Name, name)
	}
	if s.ID != "" && s.ID != name {
		return nil, refused("_id is %.100q, and name %s", s.ID, name)
	}
	pub := &publication{name: name}
	var err error
	if pub.digests, err = up.digests(); err != nil {
		return nil, err
	}
	for file, a := range s.Attachments {
		if strings.HasSuffix(file, ".sigstore") {
			if pub.bundle != nil {
				return nil, refused("more than one .sigstore is attached")
			}
			pub.bundle = []byte(a.Data)
		} else if a.Length != nil && *a.Length != up.Size() {
			return nil, refused("the tarball has %d bytes, and its length is given as %d", up.Size(), *a.Length)
		}
	}
	if pub.packed, err = unpack(up, up.Size()); err != nil {
		return nil, err
	}
	inside, err := readTop(pub.packed.manifest, "package.json in the tarball")
	if err != nil {
		return nil, err
	}
	key, raw, ok := attached(s.Versions, inside.Version)
	if !ok {
		return nil, refused("the tarball is of version %.100q, of which the body has no manifest", inside.Version)
	}
	sentTop, err := readTop(raw, "the manifest")
	if err != nil {
		return nil, err
	}
	switch {
	case inside.Name != name:
		return nil, refused("the tarball is of %.100q, and published as %s", inside.Name, name)
	case sentTop.Name != name:
		return nil, refused("the manifest is of %.100q, and published as %s", sentTop.Name, name)
	case sentTop.Version != key:
		return nil, refused("the manifest of %.100q says that it is of version %.100q", key, sentTop.Version)
	}
	if err := pub.declared(raw, up); err != nil {
		return nil, err
	}
	if pub.differs = differs(sentTop, inside, pub.packed.native); pub.differs != "" && h.repo.Option(optManifest) != "warn" {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the manifest is not that of the tarball: " + pub.differs,
			Hint: "pack and publish with one tool; the setting " + optManifest + ": warn lets it pass"}
	}
	for _, tag := range sortedKeys(s.Tags) {
		if s.Tags[tag] == key {
			if err := newTag(tag); err != nil {
				return nil, err
			}
			pub.tags = append(pub.tags, tag)
		}
	}
	if err := pub.describe(key, raw, h.repo.Who().Name); err != nil {
		return nil, err
	}
	if pub.about["readme"] == nil && s.Readme.Kind() == '"' {
		pub.about["readme"] = compact(s.Readme)
	}
	return pub, pub.attest(h.repo)
}

// attached is the member of versions that a tarball is of: clients send other versions along, which are not published.
func attached(versions map[string]jsontext.Value, version string) (key string, raw jsontext.Value, ok bool) {
	if raw, ok = versions[version]; ok {
		return version, raw, true
	}
	for key, raw := range versions {
		if plainVersion(key) == plainVersion(version) {
			return key, raw, true
		}
	}
	return "", nil, false
}

// declared compares the tarball with the hashes that its manifest gives.
func (pub *publication) declared(manifest jsontext.Value, up *tarballUpload) error {
	var m struct {
		Dist struct {
			Integrity string `json:"integrity"`
			Shasum    string `json:"shasum"`
		} `json:"dist"`
	}
	if err := jsonv2.Unmarshal(manifest, &m, jsontext.AllowInvalidUTF8(true)); err != nil {
		return refused("the manifest's dist cannot be read")
	}
	want := parseIntegrity(m.Dist.Integrity)
	if m.Dist.Integrity != "" && len(want) == 0 {
		return refused("the integrity %.200q cannot be read", m.Dist.Integrity)
	}
	if m.Dist.Shasum != "" && m.Dist.Shasum != pub.digests[1].Hex() {
		return refused("the tarball has the sha1 %s, and its manifest says %.100s", pub.digests[1].Hex(), m.Dist.Shasum)
	}
	for _, d := range want {
		got := pub.digests[0]
		switch d.Algorithm() {
		case "sha512":
		case "sha1":
			got = pub.digests[1]
		default:
			sum := d.Hash()
			if _, err := io.Copy(sum, io.NewSectionReader(up, 0, up.Size())); err != nil {
				return fmt.Errorf("read the tarball again: %w", err)
			}
			var err error
			if got, err = millpond.NewDigest(d.Algorithm(), sum.Sum(nil)); err != nil {
				return err
			}
		}
		if got != d {
			return refused("the tarball has the integrity %s, and its manifest says %s", integrityOf(got), integrityOf(d))
		}
	}
	return nil
}

// describe makes the records' words of a manifest.
func (pub *publication) describe(version string, raw jsontext.Value, who string) error {
	if err := newVersion(version); err != nil {
		return err
	}
	pub.version = version
	var all map[string]jsontext.Value
	if err := jsonv2.Unmarshal(raw, &all, jsontext.AllowInvalidUTF8(true)); err != nil {
		return refused("the manifest cannot be read")
	}
	b := append([]byte(`{"name":`), appendQuoted(nil, pub.name)...)
	b = appendQuoted(append(b, `,"version":`...), version)
	walk := newWalker(bytes.NewReader(raw), 0)
	_, err := walk.object(func(n name) error {
		word := string(n.text)
		value, _, err := walk.value()
		if err != nil {
			return err
		}
		switch word {
		case "name", "version", "dist", "readme", "_attachments", "_npmUser", "_rev", "_id", "__proto__":
			return nil
		case "deprecated":
			if value.Kind() != '"' {
				return nil
			}
		}
		b = append(appendQuoted(append(b, ','), word), ':')
		b = append(b, compact(value)...)
		return nil
	})
	if err != nil {
		return refused("the manifest cannot be read")
	}
	b = appendQuoted(append(b, `,"_id":`...), pub.name+"@"+version)
	if who != "" {
		b = append(appendQuoted(append(b, `,"_npmUser":{"name":`...), who), '}')
	}
	pub.meta = append(b, '}')
	pub.about = map[string]json.RawMessage{}
	for _, field := range aboutFields {
		if value, ok := all[field]; ok && value.Kind() != 'n' {
			pub.about[field] = compact(value)
		}
	}
	pub.licence = licence(compact(all["license"]))
	return nil
}

// compact is a value without spaces, and without what is no Unicode.
func compact(v jsontext.Value) json.RawMessage {
	v = slices.Clone(v)
	if v.Compact(jsontext.AllowInvalidUTF8(true)) != nil {
		return nil
	}
	return bytes.ToValidUTF8(json.RawMessage(v), []byte("\ufffd"))
}

// publish commits the bytes and makes the version visible.
func (pub *publication) publish(ctx context.Context, repo format.Repo, up *tarballUpload) (*format.Receipt, error) {
	blob, err := up.Commit(ctx)
	if err != nil {
		return nil, err
	}
	facts, err := json.Marshal(fileMeta{FileCount: pub.packed.files, UnpackedSize: pub.packed.unpacked})
	if err != nil {
		return nil, err
	}
	file := millpond.File{Name: standardFile(pub.name, pub.version), Size: up.Size(), Blob: blob, Digests: pub.digests, Meta: facts}
	parsed, _ := parseVersion(pub.version)
	r := format.Release{
		Package: pub.name,
		Version: millpond.Version{Name: pub.version, Prerelease: parsed.pre != "", Licence: pub.licence, Files: []millpond.File{file}, Meta: pub.meta},
	}
	if pub.bundle != nil {
		f, err := pub.addBundle(ctx, repo, file.Name)
		if err != nil {
			return nil, err
		}
		r.Version.Files = append(r.Version.Files, *f)
	}
	detail := map[string]string{}
	if pub.differs != "" {
		detail["manifest"] = pub.differs
	}
	if pub.bundle != nil {
		detail["attestations"] = pub.verified
	}
	if len(detail) > 0 {
		if r.Detail, err = json.Marshal(detail); err != nil {
			return nil, err
		}
	}
	if _, err := key(ctx, repo, true); err != nil { // so that the keys are whole for whoever asks for them first
		return nil, err
	}
	alone := true // no other layer has a word about the tags
	if p, err := repo.Held().Package(ctx, pub.name); err == nil {
		alone = !slices.ContainsFunc(p.Parts, func(one millpond.Part) bool { return one.Layer != "" })
	}
	now := repo.Now()
	r.Settle = func(h *format.Hosting, r *format.Release) error { return pub.settle(h, r, alone, writeTime(now)) }
	return repo.Publish(ctx, r)
}

func (pub *publication) addBundle(ctx context.Context, repo format.Repo, of string) (*millpond.File, error) {
	up, err := beginUpload(ctx, repo, pub.name, int64(len(pub.bundle)))
	if err != nil {
		return nil, err
	}
	defer up.drop()
	if _, err := up.Write(pub.bundle); err != nil {
		return nil, err
	}
	blob, err := up.Commit(ctx)
	if err != nil {
		return nil, err
	}
	digests, err := up.digests()
	if err != nil {
		return nil, err
	}
	facts, err := json.Marshal(fileMeta{PredicateType: pub.kind})
	return &millpond.File{
		Name: strings.TrimSuffix(of, ".tgz") + ".sigstore", Of: of, Size: up.Size(), Blob: blob, Digests: digests, Meta: facts,
		Type: "application/vnd.dev.sigstore.bundle+json",
	}, err
}

// settle completes a release by what is hosted of the package when it is published.
func (pub *publication) settle(h *format.Hosting, r *format.Release, alone bool, now string) error {
	r.Refs = nil
	hasLatest := slices.Contains(pub.tags, "latest")
	for _, tag := range pub.tags {
		r.Refs = append(r.Refs, millpond.Ref{Name: tag, Target: pub.version})
	}
	about := map[string]json.RawMessage{"created": appendQuoted(nil, now)}
	if h != nil {
		var taken []string
		for i := range h.Versions {
			taken = append(taken, h.Versions[i].Name)
		}
		for _, d := range h.Deleted {
			taken = append(taken, d.Version)
		}
		mine, _ := parseVersion(pub.version)
		for _, other := range taken {
			if v, ok := parseVersion(other); ok && other != pub.version && v.compare(&mine) == 0 {
				return refused("%s and %s, which was published before, are one version for every client", pub.version, other)
			}
		}
		hasLatest = hasLatest || slices.ContainsFunc(h.Refs, func(r millpond.Ref) bool { return r.Name == "latest" })
		if len(h.Parts) > 0 && len(h.Parts[0].Meta) > 0 {
			var old map[string]json.RawMessage
			if err := json.Unmarshal(h.Parts[0].Meta, &old); err == nil && old != nil {
				about = old
			}
		}
	}
	if !hasLatest && alone {
		r.Refs = append(r.Refs, millpond.Ref{Name: "latest", Target: pub.version})
	}
	latest := slices.ContainsFunc(r.Refs, func(r millpond.Ref) bool { return r.Name == "latest" })
	if latest || len(about) <= 1 {
		for _, field := range aboutFields {
			delete(about, field)
			if value := pub.about[field]; value != nil {
				about[field] = value
			}
		}
	}
	about["modified"] = appendQuoted(nil, now)
	var err error
	r.Meta, err = json.Marshal(about)
	return err
}

// writeStatus answers a write.
func writeStatus(w http.ResponseWriter, status int, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body) // the client that has left is told nothing
	return nil
}
