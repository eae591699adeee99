package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A suite that is made here, hosted or curated, is derived from what its reader may see: whenever that has changed, the next
// reader has its Release signed anew. What is hosted is dealt out to buckets by the packages' names, and the stanzas of a
// bucket are derived by themselves: a package that is published costs one of them. Each index of an upstream, of a curated
// suite, is a bucket of its own. An index is its buckets' pieces, one behind the other, which is what both text and gzip may
// be; so its older forms cost little, and stay: see chain.go.

const (
	bucketsOfMany = 64
	manyNames     = 400
)

// A piece is a part of an index: a span of a bucket.
type piece struct {
	Bucket int   `json:"b"` // its place among the buckets of the Release
	Offset int64 `json:"o"`
	Length int64 `json:"n"`
}

// A bucketRef names the document that a bucket was when a Release was made of it.
type bucketRef struct {
	Name  string `json:"name"`
	Stamp string `json:"stamp"`
}

// A madeFile is an index that a Release of our own lists.
type madeFile struct {
	Path   string  `json:"path"`
	Size   int64   `json:"size"`
	SHA256 string  `json:"sha256"`
	SHA512 string  `json:"sha512,omitempty"` // by the option release_digests, and so is the next
	MD5    string  `json:"md5,omitempty"`
	Pieces []piece `json:"pieces,omitempty"`
	From   string  `json:"from,omitempty"` // the upstream's snapshot that has it, where it is relayed as it is
}

// A madeRelease is a Release of our own, signed.
type madeRelease struct {
	Date      time.Time         `json:"date"`
	Until     time.Time         `json:"until,omitzero"`  // when a rule will see one of its packages otherwise; zero is never
	Fields    string            `json:"fields"`          // of the Release, but for its dates and lists
	Seal      string            `json:"seal"`            // stands for its keys, and for how long it is good
	Keys      map[string]string `json:"keys"`            // by number, the fingerprints of those that have signed it
	Pinned    string            `json:"pinned,omitzero"` // the snapshot that it was rolled back to
	InRelease string            `json:"inrelease"`
	Release   string            `json:"release"`
	Detached  string            `json:"detached"`
	Buckets   []bucketRef       `json:"buckets"`
	Files     []madeFile        `json:"files"`
}

// same reports whether two Releases say the same, but for their dates.
func (m *madeRelease) same(o *madeRelease) bool {
	return m.Fields == o.Fields && m.Seal == o.Seal && m.Pinned == o.Pinned && slices.Equal(m.Buckets, o.Buckets) &&
		slices.EqualFunc(m.Files, o.Files, func(a, b madeFile) bool { return a.Path == b.Path && a.SHA256 == b.SHA256 })
}

// file finds an index by its path.
func (m *madeRelease) file(path string) *madeFile {
	i := slices.IndexFunc(m.Files, func(f madeFile) bool { return f.Path == path })
	if i < 0 {
		return nil
	}
	return &m.Files[i]
}

// made reports whether a suite is made here: hosted, or an upstream's that is curated.
func (h handler) made(p *millpond.Package) bool { return made(p) || h.curates(p.Name) }

func (h handler) getMade(w http.ResponseWriter, r *http.Request, p Path, pkg *millpond.Package) error {
	m, err := h.makeAt(r.Context(), pkg, p.At)
	if err != nil {
		return err
	}
	if err := h.pin(p, m.Date); err != nil {
		return err
	}
	b := []byte(map[string]string{"InRelease": m.InRelease, "Release": m.Release, "Release.gpg": m.Detached}[p.File])
	out := &millpond.Content{ReadSeekCloser: textBody(b), Size: int64(len(b)), Digest: millpond.SHA256(b), Modified: m.Date}
	if r.Method == http.MethodHead {
		out.ReadSeekCloser = nil
	}
	return h.send(w, r, out, typeText, revalidate)
}

func hashOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// A plan is what the indexes of a suite are made of.
type plan struct {
	fields  string // of the Release
	buckets []*bucket
	indexes []plannedIndex
	relayed []madeFile // as the upstream has them
}

// A plannedIndex is one of Packages or Sources, by its path, and which stanzas of buckets belong into it besides those that
// are of that very path.
type plannedIndex struct {
	path, component string
	architectures   []string // none are those of all packages
}

// takes reports whether the stanzas of a span belong into the index.
func (one *plannedIndex) takes(s *span) bool {
	switch {
	case s.Path != "":
		return s.Path == one.path
	case one.component != "":
		return s.Component == one.component && slices.Contains(one.architectures, s.Architecture)
	}
	return s.Architecture != "source" == (len(one.architectures) == 0) && !strings.Contains(s.Component, "/") // of a flat suite, which has no installer's
}

// recordOf is the record of a hosted suite; of an upstream's it is empty.
func recordOf(pkg *millpond.Package) (rec suiteRecord, err error) {
	if made(pkg) {
		if err = json.Unmarshal(pkg.Parts[0].Meta, &rec); err != nil {
			err = fmt.Errorf("read the record of %s: %w", pkg.Name, err)
		}
	}
	return rec, err
}

// plan looks at what a hosted suite has.
func (h handler) plan(ctx context.Context, pkg *millpond.Package) (*plan, error) {
	rec, err := recordOf(pkg)
	if err != nil {
		return nil, err
	}
	word := wordOf(pkg.Name)
	out := &plan{}
	if out.buckets, err = h.buckets(ctx, word, pkg.Stamp); err != nil {
		return nil, err
	}
	components, architectures := slices.Clone(rec.Components), slices.Clone(rec.Architectures)
	sources := map[string]bool{}
	for _, b := range out.buckets {
		for _, s := range b.Spans {
			components = append(components, s.Component)
			if s.Architecture == "source" {
				sources[s.Component] = true
			} else if s.Architecture != "all" {
				architectures = append(architectures, s.Architecture)
			}
		}
	}
	components = append(components, "main")
	if len(architectures) == 0 {
		architectures = append(architectures, strings.Fields(h.repo.Option("architectures"))...)
	}
	slices.Sort(components)
	components = slices.Compact(components)
	slices.Sort(architectures)
	architectures = slices.DeleteFunc(slices.Compact(architectures), func(a string) bool { return a == "all" })
	if len(architectures) == 0 {
		architectures = []string{"amd64"}
	}
	if isFlat(pkg.Name) {
		out.indexes = append(out.indexes, plannedIndex{path: "Packages"})
		if len(sources) > 0 {
			out.indexes = append(out.indexes, plannedIndex{path: "Sources", architectures: []string{"source"}})
		}
		components = nil
	}
	for _, c := range components {
		for _, a := range architectures {
			out.indexes = append(out.indexes, plannedIndex{c + "/binary-" + a + "/Packages", c, []string{a, "all"}})
		}
		if sources[c] {
			out.indexes = append(out.indexes, plannedIndex{c + "/source/Sources", c, []string{"source"}})
		}
	}
	out.fields = rec.render(word, h.repo.Name(), components, architectures)
	return out, nil
}

// render are the fields of a Release, but for its dates and lists.
func (rec suiteRecord) render(word, repository string, components, architectures []string) string {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	text := fmt.Sprintf("Origin: %s\nLabel: %s\nSuite: %s\nCodename: %s\n", or(rec.Origin, repository), or(rec.Label, repository), or(rec.Suite, word), or(rec.Codename, word))
	listed := strings.Join(append([]string{"all"}, architectures...), " ")
	if len(components) == 0 { // of a flat suite
		return text + "Architectures: " + listed + "\n"
	}
	return text + fmt.Sprintf("No-Support-for-Architecture-all: Packages\nArchitectures: %s\nComponents: %s\n", listed, strings.Join(components, " "))
}

// text is the text of a Release.
func (m *madeRelease) text(valid time.Duration) string {
	var b strings.Builder
	b.WriteString(m.Fields)
	fmt.Fprintf(&b, "Date: %s\n", m.Date.Format(time.RFC1123))
	if valid > 0 {
		fmt.Fprintf(&b, "Valid-Until: %s\n", m.Date.Add(valid).Format(time.RFC1123))
	}
	b.WriteString("Acquire-By-Hash: yes\n")
	for _, list := range []struct{ field, algorithm string }{{"MD5Sum", "md5"}, {"SHA256", "sha256"}, {"SHA512", "sha512"}} {
		some := false
		for i := range m.Files {
			f := &m.Files[i]
			hex := f.digest(list.algorithm)
			if hex == "" {
				continue
			}
			if !some {
				fmt.Fprintf(&b, "%s:\n", list.field)
			}
			some = true
			fmt.Fprintf(&b, " %s %d %s\n", hex, f.Size, f.Path)
		}
		if !some && list.algorithm == "sha256" { // of a suite without indexes
			b.WriteString("SHA256:\n")
		}
	}
	return b.String()
}

// assemble puts the indexes of a suite together.
func (h handler) assemble(ctx context.Context, pkg *millpond.Package, last, m *madeRelease) error {
	look := h.plan
	if !made(pkg) {
		look = h.curate
	}
	p, err := look(ctx, pkg)
	if err != nil {
		return err
	}
	m.Fields = p.fields
	if at := h.repo.Option("snapshots"); at != "" {
		m.Fields += "Snapshots: " + at + "\n"
	}
	bodies := make([]*millpond.Content, len(p.buckets))
	defer func() {
		for _, c := range bodies {
			if c != nil {
				c.Close()
			}
		}
	}()
	for i, b := range p.buckets {
		var err error
		if bodies[i], err = h.settle(ctx, b, last, m); err != nil {
			return err
		}
		if !b.Until.IsZero() && (m.Until.IsZero() || b.Until.Before(m.Until)) {
			m.Until = b.Until
		}
	}
	for _, one := range p.indexes {
		if err := h.addIndex(ctx, m, p.buckets, bodies, one); err != nil {
			return err
		}
	}
	m.Files = append(m.Files, p.relayed...)
	return nil
}

// addIndex puts an index together out of the pieces of all buckets, in each of its forms.
func (h handler) addIndex(ctx context.Context, m *madeRelease, buckets []*bucket, bodies []*millpond.Content, one plannedIndex) error {
	algorithms, err := releaseDigests(h.repo.Option("release_digests"))
	if err != nil {
		return err
	}
	for form, ending := range madeForms {
		f := madeFile{Path: one.path + ending}
		sums := make([]hash.Hash, len(algorithms))
		all := make([]io.Writer, len(algorithms))
		for i, algorithm := range algorithms {
			sums[i] = millpond.NewHash(algorithm)
			all[i] = sums[i]
		}
		to := io.MultiWriter(all...)
		for n, b := range buckets {
			for _, s := range b.Spans {
				if !one.takes(&s) {
					continue
				}
				at := s.Forms[form]
				f.Pieces = append(f.Pieces, piece{n, at.Offset, at.Size})
				f.Size += at.Size
				if _, err := bodies[n].Seek(at.Offset, io.SeekStart); err != nil {
					return err
				}
				if _, err := io.CopyN(to, bodies[n], at.Size); err != nil {
					return err
				}
			}
		}
		if len(f.Pieces) == 0 && ending != "" { // an empty file is not what unpacks to one
			empty, err := h.emptyPiece(ctx, m, ending, to)
			if err != nil {
				return err
			}
			f.Pieces, f.Size = []piece{empty}, empty.Length
		}
		for i, algorithm := range algorithms {
			f.setDigest(algorithm, hex.EncodeToString(sums[i].Sum(nil)))
		}
		m.Files = append(m.Files, f)
	}
	return nil
}

// emptyName begins the names of the buckets of nothing, one for each form, which are derived again whenever they are wanted.
const emptyName = "empty"

func (h handler) emptyPiece(ctx context.Context, m *madeRelease, ending string, to io.Writer) (piece, error) {
	ref := bucketRef{emptyName + ending, "1"}
	c, err := h.openBucket(ctx, ref)
	if err != nil {
		return piece{}, err
	}
	defer c.Close()
	n := slices.Index(m.Buckets, ref)
	if n < 0 {
		n = len(m.Buckets)
		m.Buckets = append(m.Buckets, ref)
	}
	_, err = io.Copy(to, c)
	return piece{n, 0, c.Size}, err
}

// openBucket opens what a bucket was when a Release was made of it.
func (h handler) openBucket(ctx context.Context, ref bucketRef) (*millpond.Content, error) {
	if ending, ok := strings.CutPrefix(ref.Name, emptyName); ok {
		return h.repo.Derive(ctx, format.Derivation{Name: ref.Name, Stamp: ref.Stamp, Type: typeAny}, func(w io.Writer) error {
			var b bytes.Buffer
			if err := pack(&b, ending, nil); err != nil {
				return err
			}
			_, err := w.Write(b.Bytes())
			return err
		})
	}
	return h.repo.Derive(ctx, kept(ref.Name, ref.Stamp, typeAny), func(io.Writer) error { return errLost })
}
