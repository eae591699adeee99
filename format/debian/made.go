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

	"github.com/klauspost/compress/gzip"

	"millpond"
	"millpond/format"
)

// A hosted suite is derived from its packages: whenever what its reader may see of any of them has changed, the next reader
// has its Release signed anew. The packages are dealt out to buckets by their names, and the stanzas of a bucket are derived
// by themselves: a package that is published costs one of them. An index is its buckets' pieces, one behind the other, which
// is what both text and gzip may be; so its older forms cost little, and stay for clients that have read an older Release.

const (
	bucketsOfMany = 64
	manyNames     = 400
	keptForms     = 12 // of each bucket and index, besides the newest
)

// A piece is a part of an index: a span of a bucket's document.
type piece struct {
	Bucket string `json:"b"` // its name among derived documents
	Stamp  string `json:"s"`
	Offset int64  `json:"o"`
	Length int64  `json:"n"`
}

// A madeFile is an index that a Release of our own lists.
type madeFile struct {
	Path   string  `json:"path"`
	Size   int64   `json:"size"`
	SHA256 string  `json:"sha256"`
	Pieces []piece `json:"pieces,omitempty"`
}

// A madeRelease is a Release of our own, signed.
type madeRelease struct {
	Date      time.Time  `json:"date"`
	InRelease string     `json:"inrelease"`
	Release   string     `json:"release"`
	Detached  string     `json:"detached"`
	Files     []madeFile `json:"files"`
}

// A span is where the stanzas of one component and architecture stand in a bucket's document, as text and packed.
type span struct {
	Component, Architecture string
	Plain, PlainSize        int64
	Packed, PackedSize      int64
}

func (h handler) getMade(w http.ResponseWriter, r *http.Request, p Path, pkg *millpond.Package) error {
	m, c, err := h.make(r.Context(), pkg)
	if err != nil {
		return err
	}
	text := map[string]string{"InRelease": m.InRelease, "Release": m.Release, "Release.gpg": m.Detached}[p.File]
	b := []byte(text)
	out := &millpond.Content{ReadSeekCloser: textBody(b), Size: int64(len(b)), Digest: millpond.SHA256(b), Modified: c.Modified}
	h.settled(out, m)
	if r.Method == http.MethodHead {
		out.ReadSeekCloser = nil
	}
	return h.send(w, r, out, typeText, revalidate)
}

// settled gives what moves its date, unless another form may follow within the same second: then two would have one date.
func (h handler) settled(c *millpond.Content, m *madeRelease) {
	c.Modified = m.Date
	if h.repo.Now().Sub(m.Date) < time.Second {
		c.Modified = time.Time{}
	}
}

// make is the Release of a hosted suite as it is now.
func (h handler) make(ctx context.Context, pkg *millpond.Package) (*madeRelease, *millpond.Content, error) {
	names, _, err := h.repo.Stamp(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	// A hold that runs out changes no record; within the hour its suite is made anew.
	stamp := hashOf(pkg.Stamp, names, h.repo.Now().UTC().Format("2006010215"))
	d := format.Derivation{Name: "made/" + pkg.Name, Stamp: stamp, Type: "application/json"}
	c, err := h.repo.Derive(ctx, d, func(w io.Writer) error {
		m, err := h.build(context.WithoutCancel(ctx), pkg)
		if err != nil {
			return err
		}
		return json.NewEncoder(w).Encode(m)
	})
	if err != nil {
		return nil, nil, err
	}
	b, err := readAll(c, 64<<20)
	if err != nil {
		return nil, nil, err
	}
	m := &madeRelease{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, nil, fmt.Errorf("read the made Release of %s: %w", pkg.Name, err)
	}
	return m, c, nil
}

func hashOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// build makes and signs a Release.
func (h handler) build(ctx context.Context, pkg *millpond.Package) (*madeRelease, error) {
	key, err := h.signer(ctx)
	if err != nil {
		return nil, err
	}
	var rec suiteRecord
	if err := json.Unmarshal(pkg.Parts[0].Meta, &rec); err != nil {
		return nil, fmt.Errorf("read the record of %s: %w", pkg.Name, err)
	}
	word := strings.TrimPrefix(pkg.Name, distsDir+"/")
	buckets, err := h.buckets(ctx, word, pkg.Stamp)
	if err != nil {
		return nil, err
	}
	components, architectures := slices.Clone(rec.Components), slices.Clone(rec.Architectures)
	for _, b := range buckets {
		for _, s := range b.Spans {
			components = append(components, s.Component)
			if s.Architecture != "all" && s.Architecture != "source" && !strings.HasPrefix(s.Architecture, "udeb-") {
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
	m := &madeRelease{Date: h.repo.Now().UTC().Truncate(time.Second)}
	for _, component := range components {
		for _, a := range architectures {
			if err := h.addIndex(ctx, m, pkg.Name, buckets, component, component+"/binary-"+a+"/Packages", a, "all"); err != nil {
				return nil, err
			}
		}
		for _, b := range buckets {
			if slices.ContainsFunc(b.Spans, func(s span) bool { return s.Component == component && s.Architecture == "source" }) {
				if err := h.addIndex(ctx, m, pkg.Name, buckets, component, component+"/source/Sources", "source"); err != nil {
					return nil, err
				}
				break
			}
		}
	}
	text := rec.render(word, h.repo.Name(), m, components, architectures)
	in, detached, err := key.sign([]byte(text), m.Date)
	if err != nil {
		return nil, err
	}
	m.InRelease, m.Release, m.Detached = string(in), text, string(detached)
	for i := range m.Files {
		f := m.Files[i] // found by its digest as long as it is kept, whatever the suite has become
		d := format.Derivation{Name: "index/" + pkg.Name + "/" + f.Path, Stamp: f.SHA256, Type: "application/json", Keep: keptForms}
		c, err := h.repo.Derive(ctx, d, func(w io.Writer) error { return json.NewEncoder(w).Encode(f) })
		if err != nil {
			return nil, err
		}
		c.Close()
	}
	return m, nil
}

// render is the text of a Release.
func (rec suiteRecord) render(word, repository string, m *madeRelease, components, architectures []string) string {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Origin: %s\nLabel: %s\nSuite: %s\nCodename: %s\n", or(rec.Origin, repository), or(rec.Label, repository), or(rec.Suite, word), or(rec.Codename, word))
	fmt.Fprintf(&b, "Date: %s\nAcquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\nArchitectures: %s\nComponents: %s\nSHA256:\n",
		m.Date.Format(time.RFC1123), strings.Join(append([]string{"all"}, architectures...), " "), strings.Join(components, " "))
	for _, f := range m.Files {
		fmt.Fprintf(&b, " %s %d %s\n", f.SHA256, f.Size, f.Path)
	}
	return strings.Replace(b.String(), " UTC\nAcquire", " UTC\nAcquire", 1)
}

// addIndex puts an index together out of the pieces of all buckets, as text and packed.
func (h handler) addIndex(ctx context.Context, m *madeRelease, suite string, buckets []*bucket, component, path string, architectures ...string) error {
	plain, packed := madeFile{Path: path}, madeFile{Path: path + ".gz"}
	sums := [2]hash.Hash{sha256.New(), sha256.New()}
	for _, b := range buckets {
		var body *millpond.Content
		for _, s := range b.Spans {
			if s.Component != component || !slices.Contains(architectures, s.Architecture) {
				continue
			}
			if body == nil {
				var err error
				if body, err = h.bucketBody(ctx, b); err != nil {
					return err
				}
				defer body.Close()
			}
			for i, one := range []struct {
				f           *madeFile
				off, length int64
			}{{&plain, s.Plain, s.PlainSize}, {&packed, s.Packed, s.PackedSize}} {
				one.f.Pieces = append(one.f.Pieces, piece{b.name, b.stamp, one.off, one.length})
				one.f.Size += one.length
				if _, err := body.Seek(one.off, io.SeekStart); err != nil {
					return err
				}
				if _, err := io.CopyN(sums[i], body, one.length); err != nil {
					return err
				}
			}
		}
	}
	if len(packed.Pieces) == 0 { // an empty file is no gzip
		empty, err := h.emptyPiece(ctx)
		if err != nil {
			return err
		}
		packed.Pieces, packed.Size = []piece{empty}, empty.Length
		sums[1].Write(emptyGzip())
	}
	plain.SHA256, packed.SHA256 = hex.EncodeToString(sums[0].Sum(nil)), hex.EncodeToString(sums[1].Sum(nil))
	m.Files = append(m.Files, plain, packed)
	return nil
}

func emptyGzip() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := z.Close(); err != nil {
		return nil // memory does not fail
	}
	return b.Bytes()
}

const emptyName, emptyStamp = "empty.gz", "1"

func (h handler) emptyPiece(ctx context.Context) (piece, error) {
	c, err := h.repo.Derive(ctx, format.Derivation{Name: emptyName, Stamp: emptyStamp, Type: typeAny}, func(w io.Writer) error {
		_, err := w.Write(emptyGzip())
		return err
	})
	if err != nil {
		return piece{}, err
	}
	c.Close()
	return piece{emptyName, emptyStamp, 0, c.Size}, nil
}
