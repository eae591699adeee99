package npm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"millpond"
)

// An index is what one walk over a packument finds out.
type index struct {
	ctx  context.Context
	name string
	base *url.URL // of the document, for relative addresses

	w         *walker
	meta      packumentMeta
	named     bool // "name" is the name that was asked for
	other     string
	versions  []millpond.Version
	members   []member
	at        map[string]int // version to its place in versions
	times     map[string]time.Time
	gone      bool // time.unpublished
	refs      []millpond.Ref
	overrides map[string]*cut // members of the root that must be unique: where they and their comma are
	before    *cut            // the one whose end is not known yet
}

// readPackument walks over a packument and returns its record. It returns NotFound for a package that was unpublished, and
// an error in words for what is no packument of that name.
func readPackument(ctx context.Context, name string, text io.Reader, size int64, base *url.URL) (*millpond.Package, error) {
	x := &index{
		ctx: ctx, name: name, base: base, at: map[string]int{}, times: map[string]time.Time{}, overrides: map[string]*cut{},
	}
	start, err := skipMark(text)
	if err != nil {
		return nil, err
	}
	x.w = newWalker(text, start)
	if x.meta.root, err = x.w.object(x.rootMember); err != nil {
		return nil, fmt.Errorf("is not a packument: %w", err)
	}
	if _, err := x.w.d.ReadToken(); err != io.EOF {
		return nil, fmt.Errorf("is not a packument: something follows it at byte %d of %d", x.meta.root.to, size)
	}
	switch {
	case !x.named && x.other == "":
		return nil, fmt.Errorf("is not a packument: it has no name")
	case !x.named:
		return nil, fmt.Errorf("is the packument of %.100q", x.other)
	case x.gone && len(x.versions) == 0:
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name}, Why: name + " was unpublished"}
	}
	return x.record(), nil
}

// skipMark reads over a byte order mark and returns the length of it.
func skipMark(text io.Reader) (int64, error) {
	s, ok := text.(io.ReadSeeker)
	if !ok {
		return 0, nil
	}
	var head [3]byte
	n, err := io.ReadFull(s, head[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, err
	}
	if string(head[:n]) == "\ufeff" {
		return 3, nil
	}
	_, err = s.Seek(0, io.SeekStart)
	return 0, err
}

func (x *index) rootMember(n name) error {
	if x.before != nil {
		x.before.to, x.before = n.from, nil
	}
	switch word := string(n.text); word {
	case "name":
		text, _, err := x.w.str()
		x.named = string(text) == x.name
		if !x.named {
			x.other = string(text)
		}
		return err
	case "versions", "time", "dist-tags", "policyRestrictions":
		if old := x.overrides[word]; old != nil {
			if len(x.meta.drop) >= 16 {
				return fmt.Errorf("%q is there again and again", word)
			}
			x.meta.drop = append(x.meta.drop, *old)
		}
		x.before = &cut{from: n.from}
		x.overrides[word] = x.before
		return x.part(word)
	}
	return x.w.skip()
}

// part reads one of the four members that the pond changes.
func (x *index) part(word string) (err error) {
	if !x.w.isObject() {
		where := x.partCut(word)
		*where = cut{}
		_, *where, err = x.w.value()
		return err
	}
	switch word {
	case "versions":
		x.versions, x.members = nil, nil
		clear(x.at)
		x.meta.last = 0
		x.meta.versions, err = x.w.object(x.version)
		if x.meta.last == 0 {
			x.meta.last = x.meta.versions.from + 1
		}
	case "time":
		clear(x.times)
		x.gone, x.meta.modified = false, ""
		x.meta.time, err = x.w.object(x.moment)
	case "dist-tags":
		x.refs = nil
		x.meta.tags, err = x.w.object(x.tag)
	case "policyRestrictions":
		_, x.meta.policy, err = x.w.value()
	}
	return err
}

func (x *index) partCut(word string) *cut {
	switch word {
	case "versions":
		x.versions, x.members, x.meta.last = nil, nil, 0
		clear(x.at)
		return &x.meta.versions
	case "time":
		clear(x.times)
		x.gone, x.meta.modified = false, ""
		return &x.meta.time
	case "dist-tags":
		x.refs = nil
		return &x.meta.tags
	}
	return &x.meta.policy
}

// tag reads one dist-tag.
func (x *index) tag(n name) error {
	word := string(n.text)
	text, _, err := x.w.str()
	if err != nil || word == "" || len(text) == 0 || !utf8.ValidString(word) || !utf8.Valid(text) {
		return err
	}
	for i := range x.refs {
		if x.refs[i].Name == word {
			x.refs[i].Target = string(text)
			return nil
		}
	}
	if len(x.refs) >= 10_000 {
		return fmt.Errorf("it has more than 10,000 dist-tags")
	}
	x.refs = append(x.refs, millpond.Ref{Name: word, Target: string(text)})
	return nil
}

// moment reads one member of "time".
func (x *index) moment(n name) error {
	word := string(n.text)
	if word == "unpublished" {
		x.gone = x.w.isObject()
		return x.w.skip()
	}
	text, _, err := x.w.str()
	if err != nil {
		return err
	}
	t, ok := readTime(string(text))
	switch {
	case !ok:
		delete(x.times, word)
	case word == "modified":
		x.meta.modified = writeTime(t)
	case word != "created":
		x.times[word] = t
	}
	return nil
}

// readTime reads a date as registries write them.
func readTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// writeTime writes a date as npm's registry does: bun takes any other spelling of UTC for no date.
func writeTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// record puts together what the walk has found.
func (x *index) record() *millpond.Package {
	x.meta.holder = onlySecurityHolder(x.versions)
	p := &millpond.Package{
		Name:     x.name,
		Versions: x.versions,
		Refs:     x.refs,
		Parts:    []millpond.Part{{Meta: x.meta.encode()}},
	}
	for i := range p.Versions {
		v := &p.Versions[i]
		v.Published = x.times[v.Name]
		if len(v.Files) > 0 {
			x.members[i].check = checkOf(v.Files[0].Digests)
		}
		v.Meta = x.members[i].encode()
	}
	nameFiles(x.name, p.Versions)
	newestFirst(p.Versions)
	return p
}

// version reads one version's member.
func (x *index) version(n name) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	word := string(n.text)
	m := member{lead: n.lead, key: n.from}
	if !x.w.isObject() {
		if err := x.w.skip(); err != nil {
			return err
		}
		x.meta.last = x.w.end()
		x.forget(word)
		return nil
	}
	v := millpond.Version{Name: word}
	if parsed, ok := parseVersion(word); ok {
		v.Prerelease = parsed.pre != ""
	}
	var err error
	m.value, err = x.w.object(func(n name) error { return x.manifest(n, &v, &m) })
	if err != nil {
		return err
	}
	x.meta.last = x.w.end()
	if !plainFile(word) {
		return nil // no address could name it
	}
	if i, again := x.at[word]; again {
		x.versions[i], x.members[i] = v, m
		return nil
	}
	x.at[word] = len(x.versions)
	x.versions, x.members = append(x.versions, v), append(x.members, m)
	return nil
}

// forget drops a version that a later member of its name takes back.
func (x *index) forget(word string) {
	i, ok := x.at[word]
	if !ok {
		return
	}
	last := len(x.versions) - 1
	x.versions[i], x.members[i] = x.versions[last], x.members[last]
	x.at[x.versions[i].Name] = i
	x.versions, x.members = x.versions[:last], x.members[:last]
	delete(x.at, word)
}

// manifest reads one member of a version's manifest.
func (x *index) manifest(n name, v *millpond.Version, m *member) error {
	switch string(n.text) {
	case "dist":
		v.Files, m.tarball, m.attestations = nil, cut{}, cut{}
		if x.w.isObject() {
			return x.dist(v, m)
		}
	case "license", "licenses":
		raw, _, err := x.w.value()
		if err == nil && len(raw) <= 4096 && v.Licence == "" {
			v.Licence = licence(raw)
		}
		return err
	}
	return x.w.skip()
}

// dist reads where a version's file is and what it is known by.
func (x *index) dist(v *millpond.Version, m *member) error {
	var tarball, integrity, shasum string
	_, err := x.w.object(func(n name) (err error) {
		var text []byte
		switch string(n.text) {
		case "tarball":
			text, m.tarball, err = x.w.str()
			tarball = string(text)
		case "integrity":
			text, _, err = x.w.str()
			integrity = string(text)
		case "shasum":
			text, _, err = x.w.str()
			shasum = string(text)
		case "attestations":
			m.attestations = cut{}
			if !x.w.isObject() {
				return x.w.skip()
			}
			_, err = x.w.object(func(n name) (err error) {
				if string(n.text) != "url" {
					return x.w.skip()
				}
				_, m.attestations, err = x.w.str()
				return err
			})
		default:
			return x.w.skip()
		}
		return err
	})
	if err != nil || tarball == "" {
		return err
	}
	if !plainAddress(tarball) {
		u, err := x.base.Parse(tarball)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil // a version without a file: nobody can fetch it from there
		}
		u.Fragment = ""
		tarball = u.String()
	}
	v.Files = []millpond.File{{Size: -1, URL: tarball, Digests: digests(integrity, shasum)}}
	return nil
}

// plainAddress reports whether an absolute address is what would be made of it by parsing, as nearly all are: there are as many
// as versions.
func plainAddress(s string) bool {
	rest, ok := strings.CutPrefix(s, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(s, "http://"); !ok {
			return false
		}
	}
	host, path, ok := strings.Cut(rest, "/")
	if !ok || host == "" || host[0] == ':' || path == "" || strings.Contains(rest, "//") || strings.Contains(rest, "/.") {
		return false
	}
	if name, port, ok := strings.Cut(host, ":"); ok {
		if host = name; !numeric(port) || len(port) > 5 {
			return false
		}
	}
	for i := range len(host) {
		if c := host[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	for i := range len(path) {
		if c := path[i]; c != '/' && c != '@' && c != '+' && !plainWord(path[i:i+1]) {
			return false
		}
	}
	return true
}

// licence is the licence that a manifest names: a string, an object with a type, or a list of either.
func licence(raw []byte) string {
	if len(raw) >= 2 && raw[0] == '"' {
		if word := raw[1 : len(raw)-1]; bytes.IndexByte(word, '\\') < 0 && utf8.Valid(word) { // as nearly always
			return string(word)
		}
	}
	var any any
	if json.Unmarshal(raw, &any) != nil {
		return ""
	}
	return licenceOf(any)
}

func licenceOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case map[string]any:
		word, _ := value["type"].(string)
		return word
	case []any:
		var words []string
		for _, one := range value {
			if word := licenceOf(one); word != "" {
				words = append(words, word)
			}
		}
		return strings.Join(words, " OR ")
	}
	return ""
}
