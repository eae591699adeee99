package cargo

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// headLimit bounds the JSON of a publish.
const headLimit = 1 << 20

// warnings is what cargo prints after a publish.
type warnings struct {
	Categories []string `json:"invalid_categories"`
	Badges     []string `json:"invalid_badges"`
	Other      []string `json:"other"`
}

// putNew takes what "cargo publish" sends: a length, JSON, a length, and the .crate, which streams into an upload.
func (h handler) putNew(w http.ResponseWriter, r *http.Request) error {
	if err := h.repo.May(r.Context(), millpond.VerbPublish, ""); millpond.Is(err, millpond.Unsupported) || millpond.Is(err, millpond.Unauthenticated) {
		return err // whatever name it is
	}
	body := &frame{r: r.Body, left: r.ContentLength}
	m, err := readManifest(body)
	if err != nil {
		return err
	}
	if err := h.repo.May(r.Context(), millpond.VerbPublish, identity(m.Name)); err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return err
	}
	size, err := body.length()
	if err != nil {
		return err
	}
	if err := tooLarge(h.repo, m.key(), int64(size)); err != nil {
		return err
	}
	if body.left >= 0 && body.left != int64(size) {
		return malformed(fmt.Sprintf("it says that the crate has %d bytes, and %d follow", size, body.left))
	}
	if err := h.publish(r.Context(), m, body, int64(size), strings.TrimSuffix(h.repo.Base(r).String(), "/")); err != nil {
		return err
	}
	return writeJSON(w, r, map[string]warnings{"warnings": {[]string{}, []string{}, h.doubts(r.Context(), m)}})
}

// publish takes the bytes, looks into them, and makes the version visible.
func (h handler) publish(ctx context.Context, m *manifest, body *frame, size int64, base string) error {
	up, err := h.repo.Upload(ctx, format.Uploading{Package: identity(m.Name), Size: size})
	if err != nil {
		return err
	}
	defer up.Close()
	fail := func(err error) error { return errors.Join(err, up.Discard()) }
	n, err := io.Copy(up, io.LimitReader(body, size))
	switch {
	case body.err != nil && ctx.Err() == nil:
		return fail(malformed(fmt.Sprintf("it ended after %d bytes of the crate", n)))
	case err != nil:
		return fail(err)
	case n != size:
		return fail(malformed(fmt.Sprintf("it ended after %d of %d bytes of the crate", n, size)))
	}
	if more, _ := io.ReadFull(body, make([]byte, 1)); more > 0 {
		return fail(malformed("more follows the crate"))
	}
	if _, err := checkCrate(ctx, up, size, m.Name, m.Version); err != nil {
		return fail(err)
	}
	_, err = seal(ctx, h.repo, up, m, base)
	return err
}

// seal makes visible what was looked through.
func seal(ctx context.Context, repo format.Repo, up format.Upload, m *manifest, base string) (*format.Receipt, error) {
	sum, err := up.Commit(ctx)
	if err != nil {
		return nil, err
	}
	release, err := m.release(sum, up.Size(), repo.Now().UTC().Truncate(time.Second), base)
	if err != nil {
		return nil, err
	}
	return repo.Publish(ctx, release)
}

// largest is how many bytes a .crate may have.
func largest(repo format.Repo) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(repo.Option("largest")), 10, 32)
	if err != nil || n <= 0 {
		n = 10
	}
	return n << 20
}

func tooLarge(repo format.Repo, k millpond.Key, size int64) error {
	largest := largest(repo)
	if size <= largest {
		return nil
	}
	return &millpond.Error{Kind: millpond.TooLarge, Key: k, Why: fmt.Sprintf("the crate has %d bytes; the limit is %d", size, largest),
		Hint: "leave out files by exclude in Cargo.toml, or have the option largest changed"}
}

func malformed(why string) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: "this is not what cargo publish sends: " + why}
}

// A frame is the body of a publish.
type frame struct {
	r    io.Reader
	left int64 // bytes that are to come, -1 if that is not known
	err  error // why reading failed, to tell it from the failures of whoever takes the bytes
}

func (f *frame) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.left >= 0 {
		f.left -= int64(n)
	}
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// length reads a length, which must fit into what is to come.
func (f *frame) length() (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		return 0, malformed("it ends before a length")
	}
	n := binary.LittleEndian.Uint32(b[:])
	if f.left >= 0 && int64(n) > f.left {
		return 0, malformed(fmt.Sprintf("it says that %d bytes follow, and %d do", n, f.left))
	}
	return n, nil
}

// A manifest is the JSON of a publish, as far as it is used.
type manifest struct {
	Name        string              `json:"name"`
	Version     string              `json:"vers"`
	Deps        []wanted            `json:"deps"`
	Features    map[string][]string `json:"features"`
	Description string              `json:"description"`
	Licence     string              `json:"license"`
	Links       *string             `json:"links"`
	RustVersion *string             `json:"rust_version"`
}

// A wanted is a dependency as cargo publishes it.
type wanted struct {
	Name            string   `json:"name"`
	Requirement     string   `json:"version_req"`
	Features        []string `json:"features"`
	Optional        bool     `json:"optional"`
	DefaultFeatures bool     `json:"default_features"`
	Target          *string  `json:"target"`
	Kind            string   `json:"kind"`
	Registry        *string  `json:"registry"`
	Renamed         *string  `json:"explicit_name_in_toml"`
}

func readManifest(body *frame) (*manifest, error) {
	n, err := body.length()
	if err != nil {
		return nil, err
	}
	if n > headLimit {
		return nil, &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the description of the crate has %d bytes; the limit is %d", n, headLimit)}
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(body, b); err != nil {
		return nil, malformed("it ends within the JSON")
	}
	m := &manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, malformed("its JSON cannot be read: " + err.Error())
	}
	if !isName(m.Name) {
		_, err := Format{}.Canon(m.Name)
		return nil, err
	}
	return m, nil
}

func (m *manifest) key() millpond.Key {
	return millpond.Key{Package: identity(m.Name), Version: m.Version}
}

// reserved are names that the language has, or that some systems cannot have as files; never changed.
var reserved = strings.Fields(`alloc core proc_macro std test nul con prn aux com0 com1 com2 com3 com4 com5 com6 com7 com8 com9
	lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9`)

// check judges names and requirements.
func (m *manifest) check() error {
	invalid := func(format string, args ...any) error {
		return &millpond.Error{Kind: millpond.Invalid, Key: m.key(), Why: fmt.Sprintf(format, args...)}
	}
	if c := m.Name[0] | 0x20; c < 'a' || c > 'z' {
		return invalid("the name of a crate begins with a letter; %q does not", m.Name)
	}
	if slices.Contains(reserved, identity(m.Name)) {
		return invalid("%q is reserved", m.Name)
	}
	if !isVersion(m.Version) {
		return invalid("%.100q is not a version", m.Version)
	}
	for _, d := range m.Deps {
		if !isName(d.Name) || d.Renamed != nil && !isName(*d.Renamed) {
			return invalid("%.100q cannot be a dependency's name", d.Name)
		}
		if _, err := readRequirement(d.Requirement); err != nil {
			return err
		}
		if d.Kind != "" && d.Kind != "normal" && d.Kind != "dev" && d.Kind != "build" {
			return invalid("a dependency's kind is normal, dev or build, and not %.50q", d.Kind)
		}
	}
	return nil
}

// A needed is a dependency as an index has it.
type needed struct {
	Name            string   `json:"name"`
	Requirement     string   `json:"req"`
	Features        []string `json:"features"`
	Optional        bool     `json:"optional"`
	DefaultFeatures bool     `json:"default_features"`
	Target          *string  `json:"target"`
	Kind            string   `json:"kind"`
	Registry        *string  `json:"registry,omitempty"`
	Package         string   `json:"package,omitempty"`
}

// line is the version's line of the index. base is the repository's address without a slash at its end.
func (m *manifest) line(sum millpond.Digest, at time.Time, base string) (string, error) {
	out := struct {
		Name        string              `json:"name"`
		Version     string              `json:"vers"`
		Deps        []needed            `json:"deps"`
		Sum         string              `json:"cksum"`
		Features    map[string][]string `json:"features"`
		Features2   map[string][]string `json:"features2,omitempty"`
		Yanked      bool                `json:"yanked"`
		Links       *string             `json:"links,omitempty"`
		RustVersion *string             `json:"rust_version,omitempty"`
		Published   string              `json:"pubtime"`
		V           int                 `json:"v,omitempty"`
	}{
		Name: m.Name, Version: m.Version, Deps: []needed{}, Sum: sum.Hex(), Features: map[string][]string{},
		Links: m.Links, RustVersion: m.RustVersion, Published: at.Format(time.RFC3339),
	}
	for _, d := range m.Deps {
		n := needed{
			Name: d.Name, Requirement: d.Requirement, Features: d.Features, Optional: d.Optional,
			DefaultFeatures: d.DefaultFeatures, Target: d.Target, Kind: d.Kind, Registry: d.Registry,
		}
		if n.Features == nil {
			n.Features = []string{}
		}
		if n.Kind == "" {
			n.Kind = "normal"
		}
		if d.Renamed != nil && *d.Renamed != "" {
			n.Name, n.Package = *d.Renamed, d.Name
		}
		if n.Registry != nil && isOurs(*n.Registry, base) {
			n.Registry = nil
		}
		out.Deps = append(out.Deps, n)
	}
	for feature, wants := range m.Features {
		if wants == nil {
			wants = []string{}
		}
		if slices.ContainsFunc(wants, func(s string) bool { return strings.HasPrefix(s, "dep:") || strings.Contains(s, "?/") }) {
			if out.Features2 == nil {
				out.Features2, out.V = map[string][]string{}, 2
			}
			out.Features2[feature] = wants
			continue
		}
		out.Features[feature] = wants
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(out)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// isOurs reports whether the address of an index is that of this repository.
func isOurs(registry, base string) bool {
	return strings.TrimSuffix(strings.TrimPrefix(registry, "sparse+"), "/") == base
}

// A packageMeta is the record of a crate that is hosted.
type packageMeta struct {
	Name        string `json:"name"` // as it was first published
	Description string `json:"description,omitempty"`
}

// release is what is published: one file, and the line of the index.
func (m *manifest) release(sum millpond.Digest, size int64, now time.Time, base string) (format.Release, error) {
	line, err := m.line(sum, now, base)
	if err != nil {
		return format.Release{}, err
	}
	meta, err := json.Marshal(hostedMeta{line})
	if err != nil {
		return format.Release{}, err
	}
	about, err := json.Marshal(packageMeta{m.Name, m.Description})
	if err != nil {
		return format.Release{}, err
	}
	return format.Release{
		Package: identity(m.Name), Display: m.Name, Meta: about, Settle: m.settle,
		Version: millpond.Version{
			Name: m.Version, Published: now, Prerelease: isPrerelease(m.Version), Licence: m.Licence, Meta: meta,
			Files: []millpond.File{{
				Name: fileName(m.Name, m.Version), Size: size, Blob: sum, Digests: []millpond.Digest{sum}, Published: now, Type: typeCrate,
			}},
		},
	}, nil
}

// settle refuses a second spelling of a name, and a second version of one number.
func (m *manifest) settle(now *format.Hosting, r *format.Release) error {
	if now == nil {
		return nil
	}
	if now.Display != "" && now.Display != m.Name {
		return &millpond.Error{Kind: millpond.Conflict, Key: m.key(), Why: fmt.Sprintf("%s is hosted here as %s", m.Name, now.Display),
			Hint: "names that differ only in case, or in - and _, are one crate"}
	}
	mine, _ := readVersion(m.Version)
	for i := range now.Versions {
		name := now.Versions[i].Name
		if other, ok := readVersion(name); ok && name != m.Version && other.precedence(mine) == 0 {
			return &millpond.Error{Kind: millpond.Conflict, Key: m.key(), Why: fmt.Sprintf("%s %s is hosted here, and %s is the same number", m.Name, name, m.Version),
				Hint: "what stands behind + does not count: publish the next number"}
		}
	}
	return nil
}

// mostDoubted is how many dependencies are looked for after a publish.
const mostDoubted = 50

// doubts are the dependencies of this registry that it does not have.
func (h handler) doubts(ctx context.Context, m *manifest) []string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	all := []string{}
	seen := map[string]bool{identity(m.Name): true}
	for _, d := range m.Deps {
		name := identity(d.Name)
		if d.Registry != nil || seen[name] || len(seen) > mostDoubted {
			continue
		}
		seen[name] = true
		if _, _, err := h.repo.Stamp(format.WithSpelling(ctx, strings.ToLower(d.Name)), name); millpond.Is(err, millpond.NotFound) {
			all = append(all, fmt.Sprintf("nobody can build this: it depends on %s, which this registry does not have", d.Name))
		}
	}
	return all
}
