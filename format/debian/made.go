package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
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

// A bucket is some of the packages of a suite.
type bucket struct {
	name, stamp string
	packages    []string
	bucketHead
}

// A bucketHead is what a bucket's document begins with.
type bucketHead struct {
	Spans []span
	Until time.Time // when a hold of one of its packages runs out; zero is never
}

// buckets are those of a suite, each derived if its packages have changed.
func (h handler) buckets(ctx context.Context, word, rules string) ([]*bucket, error) {
	type named struct{ name, cursor string }
	var all []named
	for c, err := range h.repo.Names(ctx) {
		if err != nil {
			return nil, err
		}
		if !IsSuite(c.Name) {
			all = append(all, named{c.Name, c.Cursor})
		}
	}
	n := 1
	if len(all) > manyNames {
		n = bucketsOfMany
	}
	out := make([]*bucket, n)
	stamps := make([]hash.Hash, n)
	for i := range out {
		out[i] = &bucket{name: fmt.Sprintf("bucket/%s/%d.%d", word, n, i)}
		stamps[i] = sha256.New()
		fmt.Fprintf(stamps[i], "%s\n", rules)
	}
	for _, one := range all {
		i := int(pathHash(one.name) % uint64(n))
		out[i].packages = append(out[i].packages, one.name)
		fmt.Fprintf(stamps[i], "%s %s\n", one.name, one.cursor)
	}
	for i, b := range out {
		b.stamp = hex.EncodeToString(stamps[i].Sum(nil)[:16])
		for {
			c, err := h.deriveBucket(ctx, b, word)
			if err != nil {
				return nil, err
			}
			err = b.readHead(c)
			c.Close()
			if err != nil {
				return nil, err
			}
			if b.Until.IsZero() || h.repo.Now().Before(b.Until) {
				break
			}
			b.stamp = hashOf(b.stamp, b.Until.UTC().Format(time.RFC3339Nano)) // what was held then is not any more
		}
	}
	return out, nil
}

func (b *bucket) readHead(c *millpond.Content) error {
	var size [8]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint64(size[:])
	if n > 1<<24 {
		return fmt.Errorf("the bucket %s cannot be read", b.name)
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	b.bucketHead = bucketHead{}
	return json.Unmarshal(head, &b.bucketHead)
}

func (b *bucket) derivation() format.Derivation {
	return format.Derivation{Name: b.name, Stamp: b.stamp, Type: typeAny, Keep: keptForms}
}

func (h handler) deriveBucket(ctx context.Context, b *bucket, word string) (*millpond.Content, error) {
	return h.repo.Derive(ctx, b.derivation(), func(w io.Writer) error { return h.writeBucket(ctx, w, b, word) })
}

// errLost says that a piece of an index that was made before is not kept any more.
var errLost = &millpond.Error{Kind: millpond.NotFound, Why: "this form of the index is not kept any more", Hint: "update again"}

func (h handler) bucketBody(ctx context.Context, b *bucket) (*millpond.Content, error) {
	return h.repo.Derive(ctx, b.derivation(), func(io.Writer) error { return errLost })
}

// writeBucket writes the stanzas of a bucket: a head that says where those of each component and architecture stand, the
// stanzas, and the same packed.
func (h handler) writeBucket(ctx context.Context, w io.Writer, b *bucket, word string) error {
	texts := map[[2]string]*bytes.Buffer{}
	var until time.Time
	for _, name := range b.packages {
		p, err := h.repo.Package(ctx, name)
		switch millpond.KindOf(err) {
		case millpond.NotFound, millpond.Gone, millpond.Blocked, millpond.Denied, millpond.Offline:
			if err != nil {
				continue // its reader may see nothing of it
			}
		}
		if err != nil {
			return err
		}
		for _, hidden := range p.Hidden {
			if after := hidden.After; !after.IsZero() && (until.IsZero() || after.Before(until)) {
				until = after
			}
		}
		if err := eachStanzaOf(p, word, func(l listing, architecture string) {
			key := [2]string{l.Component, architecture}
			if texts[key] == nil {
				texts[key] = &bytes.Buffer{}
			}
			texts[key].WriteString(l.Stanza + "\n")
		}); err != nil {
			return err
		}
	}
	keys := make([][2]string, 0, len(texts))
	for key := range texts {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b [2]string) int { return strings.Compare(a[0]+"/"+a[1], b[0]+"/"+b[1]) })
	var body bytes.Buffer
	var spans []span
	for _, key := range keys {
		s := span{Component: key[0], Architecture: key[1], Plain: int64(body.Len()), PlainSize: int64(texts[key].Len())}
		body.Write(texts[key].Bytes())
		s.Packed = int64(body.Len())
		z := gzip.NewWriter(&body)
		if _, err := z.Write(texts[key].Bytes()); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		s.PackedSize = int64(body.Len()) - s.Packed
		spans = append(spans, s)
	}
	// The head's own length is part of every place in it.
	head, length := []byte(nil), 0
	for {
		moved := slices.Clone(spans)
		for i := range moved {
			moved[i].Plain += int64(8 + length)
			moved[i].Packed += int64(8 + length)
		}
		var err error
		if head, err = json.Marshal(bucketHead{moved, until}); err != nil {
			return err
		}
		if len(head) == length {
			break
		}
		length = max(len(head), length)
		if len(head) < length {
			head = append(head, bytes.Repeat([]byte(" "), length-len(head))...)
			break
		}
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint64(nil, uint64(len(head))), head...))
	if err != nil {
		return err
	}
	_, err = w.Write(body.Bytes())
	return err
}

// eachStanzaOf calls f with what a suite lists of a package: of every version that its reader sees and nobody has yanked.
func eachStanzaOf(p *millpond.Package, word string, f func(l listing, architecture string)) error {
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Layer != "" || v.Yanked {
			continue
		}
		for j := range v.Files {
			file := &v.Files[j]
			if file.Yanked || !strings.HasPrefix(file.Name, "pool/"+word+"/") {
				continue
			}
			var l listing
			if err := json.Unmarshal(file.Meta, &l); err != nil {
				return fmt.Errorf("read the record of %s: %w", file.Name, err)
			}
			if l.Stanza == "" || l.Suite != word {
				continue
			}
			switch l.Kind {
			case "deb":
				f(l, file.Platform)
			case "udeb":
				l.Component += "/debian-installer"
				f(l, file.Platform)
			case "dsc":
				f(l, "source")
			}
		}
	}
	return nil
}

func (h handler) getMadeIndex(w http.ResponseWriter, r *http.Request, pkg *millpond.Package, is func(madeFile) bool, cache string) error {
	m, _, err := h.make(r.Context(), pkg)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(m.Files, is)
	if i < 0 {
		return noIndex(pkg.Name, r.URL.Path)
	}
	return h.sendMade(w, r, m, m.Files[i], cache)
}

func (h handler) getMadeHash(w http.ResponseWriter, r *http.Request, pkg *millpond.Package, d millpond.Digest) error {
	m, _, err := h.make(r.Context(), pkg)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(m.Files, func(f madeFile) bool { return f.SHA256 == d.Hex() }); i >= 0 {
		return h.sendMade(w, r, m, m.Files[i], format.Immutable(h.repo))
	}
	for _, f := range m.Files { // an older form of one of these
		c, err := h.repo.Derive(r.Context(), format.Derivation{Name: "index/" + pkg.Name + "/" + f.Path, Stamp: d.Hex(), Type: "application/json", Keep: keptForms}, func(io.Writer) error { return errLost })
		if errors.Is(err, error(errLost)) {
			continue
		}
		if err != nil {
			return err
		}
		b, err := readAll(c, 16<<20)
		if err != nil {
			return err
		}
		var old madeFile
		if err := json.Unmarshal(b, &old); err != nil {
			return err
		}
		return h.sendMade(w, r, m, old, format.Immutable(h.repo))
	}
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: pkg.Name}, Why: "no Release of " + pkg.Name + " that is kept lists an index of that digest"}
}

func (h handler) sendMade(w http.ResponseWriter, r *http.Request, m *madeRelease, f madeFile, cache string) error {
	d, err := millpond.ParseDigest("sha256:" + f.SHA256)
	if err != nil {
		return err
	}
	c := &millpond.Content{Size: f.Size, Digest: d}
	h.settled(c, m)
	if r.Method != http.MethodHead {
		j := &joined{ctx: r.Context(), h: h, pieces: f.Pieces, size: f.Size}
		if f.Size > 0 {
			if err := j.open(); err != nil { // before anything is answered
				return err
			}
		}
		c.ReadSeekCloser = j
	}
	return h.send(w, r, c, typeOf(f.Path), cache)
}

// A joined reads the pieces of an index, one behind the other.
type joined struct {
	ctx    context.Context
	h      handler
	pieces []piece
	size   int64
	off    int64
	body   *millpond.Content // of the piece at off; nil if none is open
	left   int64             // of it
}

// open opens the piece at off.
func (j *joined) open() error {
	at := int64(0)
	for _, p := range j.pieces {
		if j.off >= at+p.Length {
			at += p.Length
			continue
		}
		c, err := j.h.repo.Derive(j.ctx, format.Derivation{Name: p.Bucket, Stamp: p.Stamp, Type: typeAny, Keep: keptForms}, func(io.Writer) error { return errLost })
		if err != nil {
			return err
		}
		if _, err := c.Seek(p.Offset+j.off-at, io.SeekStart); err != nil {
			c.Close()
			return err
		}
		j.body, j.left = c, at+p.Length-j.off
		return nil
	}
	return io.EOF
}

func (j *joined) Read(b []byte) (int, error) {
	if j.body == nil {
		if j.off >= j.size {
			return 0, io.EOF
		}
		if err := j.open(); err != nil {
			return 0, err
		}
	}
	n, err := j.body.Read(b[:min(int64(len(b)), j.left)])
	j.off += int64(n)
	if j.left -= int64(n); j.left == 0 {
		j.Close()
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (j *joined) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += j.off
	case io.SeekEnd:
		off += j.size
	}
	if off < 0 {
		return 0, fmt.Errorf("seek to %d: before the start", off)
	}
	if off != j.off {
		j.Close()
	}
	j.off = off
	return off, nil
}

func (j *joined) Close() error {
	if j.body == nil {
		return nil
	}
	err := j.body.Close()
	j.body = nil
	return err
}

const (
	keyName = "signing-key"
	// keyAge is how old a new key says that it is: a clock that is set back a little must not make it one of the future.
	keyAge = 24 * time.Hour
)

// signer is the key of the repository, made when it is first wanted.
func (h handler) signer(ctx context.Context) (signer, error) {
	b, err := h.repo.Secret(ctx, keyName, func() ([]byte, error) { return newKey(h.repo.Name(), h.repo.Now().Add(-keyAge)) })
	if err != nil {
		return signer{}, err
	}
	return readSigner(b)
}

func (h handler) getKey(w http.ResponseWriter, r *http.Request, p Path) error {
	s, err := h.signer(r.Context())
	if err != nil {
		return err
	}
	b, err := s.public(p.File == "key.asc")
	if err != nil {
		return err
	}
	return h.send(w, r, &millpond.Content{ReadSeekCloser: textBody(b), Size: int64(len(b)), Digest: millpond.SHA256(b)}, typeKey, "max-age=300")
}

// getSources answers with a deb822 source of a suite of our own: ?suite= and ?component= choose, else the option suite.
func (h handler) getSources(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	suite, components := q.Get("suite"), q["component"]
	if suite == "" {
		suite = h.repo.Option("suite")
	}
	if len(components) == 0 {
		components = []string{"main"}
	}
	for _, word := range append([]string{suite}, components...) {
		if !isSuiteWord(word) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no suite or component", word)}
		}
	}
	s, err := h.signer(r.Context())
	if err != nil {
		return err
	}
	key, err := s.public(true)
	if err != nil {
		return err
	}
	b := []byte(deb822(strings.TrimSuffix(h.repo.Base(r).String(), "/"), suite, components, string(key)))
	return h.send(w, r, &millpond.Content{ReadSeekCloser: textBody(b), Size: int64(len(b)), Digest: millpond.SHA256(b)}, typeText, "no-cache")
}

// deb822 is a source as apt reads it from a file of /etc/apt/sources.list.d, with the key in it.
func deb822(uri, suite string, components []string, key string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By:\n", uri, suite, strings.Join(components, " "))
	for line := range strings.Lines(strings.TrimRight(key, "\n")) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}
