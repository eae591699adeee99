package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"millpond"
	"millpond/format"
)

// A span is where stanzas stand in a bucket's document, as text and packed: those of one component and architecture, or those
// of one index of an upstream.
type span struct {
	Component, Architecture string `json:",omitempty"`
	Path                    string `json:",omitempty"`
	Forms                   [len(madeForms)]stretch
}

// A stretch is a part of a document.
type stretch struct{ Offset, Size int64 }

// madeForms are the endings of the forms that an index of our own is made in; unpacking two pieces, one behind the other, gives
// what both were, in each of them. Never changed.
var madeForms = [...]string{"", ".gz", ".zst"}

// pack appends the form of a text to what is there.
func pack(to *bytes.Buffer, form string, text []byte) error {
	switch form {
	case ".gz":
		z := gzip.NewWriter(to)
		if _, err := z.Write(text); err != nil {
			return err
		}
		return z.Close()
	case ".zst":
		// Of nothing too there is a frame: an empty file is no packed one.
		z, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
		if err != nil {
			return err
		}
		if _, err := z.Write(text); err != nil {
			return err
		}
		return z.Close()
	}
	_, err := to.Write(text)
	return err
}

// A bucket is some of the packages of a suite, or what is left of an upstream's index.
type bucket struct {
	name, stamp string
	packages    []string
	write       func(io.Writer) error
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
		fmt.Fprintf(stamps[i], "%s %s\n", madeForms, rules)
	}
	for _, one := range all {
		i := int(pathHash(one.name) % uint64(n))
		out[i].packages = append(out[i].packages, one.name)
		fmt.Fprintf(stamps[i], "%s %s\n", one.name, one.cursor)
	}
	for i, b := range out {
		b.stamp = hex.EncodeToString(stamps[i].Sum(nil)[:16])
		b.write = func(w io.Writer) error { return h.writeBucket(ctx, w, b, word) }
		if err := h.look(ctx, b); err != nil {
			return nil, err
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
	if err := json.Unmarshal(head, &b.bucketHead); err != nil {
		return err
	}
	for i := range b.Spans { // which are counted from the end of the head
		for form := range b.Spans[i].Forms {
			b.Spans[i].Forms[form].Offset += int64(8 + n)
		}
	}
	return nil
}

// bucketBody is the document of a bucket as it is now, derived if its packages have changed.
func (h handler) bucketBody(ctx context.Context, b *bucket) (*millpond.Content, error) {
	return h.repo.Derive(ctx, format.Derivation{Name: b.name, Stamp: b.stamp, Type: typeAny}, func(w io.Writer) error { return b.write(w) })
}

// look reads the head of a bucket, and derives it anew until no hold of one of its packages has run out.
func (h handler) look(ctx context.Context, b *bucket) error {
	for {
		c, err := h.bucketBody(ctx, b)
		if err != nil {
			return err
		}
		err = b.readHead(c)
		c.Close()
		if err != nil || b.Until.IsZero() || h.repo.Now().Before(b.Until) {
			return err
		}
		b.stamp = hashOf(b.stamp, b.Until.UTC().Format(time.RFC3339Nano)) // what was held then is not any more
	}
}

// A stanzas collects those of a bucket: by component and architecture, or by the path of their index.
type stanzas struct {
	texts map[span]*bytes.Buffer
	until time.Time
}

func (s *stanzas) add(to span, stanza string) {
	if s.texts == nil {
		s.texts = map[span]*bytes.Buffer{}
	}
	if s.texts[to] == nil {
		s.texts[to] = &bytes.Buffer{}
	}
	s.texts[to].WriteString(stanza)
	s.texts[to].WriteByte('\n')
}

// good says until when the verdicts hold that the stanzas rest on; zero is for ever.
func (s *stanzas) good(until time.Time) {
	if !until.IsZero() && (s.until.IsZero() || until.Before(s.until)) {
		s.until = until
	}
}

// writeBucket writes the stanzas of a bucket.
func (h handler) writeBucket(ctx context.Context, w io.Writer, b *bucket, word string) error {
	judger, _ := h.repo.(format.Judger)
	var all stanzas
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
			all.good(hidden.After)
		}
		err = eachStanzaOf(p, word, func(l listing, v *millpond.Version, f *millpond.File, architecture string) {
			all.add(span{Component: l.Component, Architecture: architecture}, l.Stanza)
			if judger != nil && h.repo.Ruled() {
				until, _ := judger.Judge(millpond.Key{Package: p.Name, Version: v.Name, File: f.Name}, f) // what is shown may be hidden later
				all.good(until)
			}
		})
		if err != nil {
			return err
		}
	}
	return all.write(w)
}

// write writes a head that says where the stanzas of each component and architecture stand, the stanzas, and the same packed.
func (s *stanzas) write(w io.Writer) error {
	keys := make([]span, 0, len(s.texts))
	for key := range s.texts {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b span) int {
		return strings.Compare(a.Component+"/"+a.Architecture+"/"+a.Path, b.Component+"/"+b.Architecture+"/"+b.Path)
	})
	spans, at := slices.Clone(keys), int64(0)
	var packed bytes.Buffer // but for the plain texts, which come first
	for form, ending := range madeForms {
		for i, key := range keys {
			text := s.texts[key].Bytes()
			before := packed.Len()
			if form > 0 {
				if err := pack(&packed, ending, text); err != nil {
					return err
				}
				spans[i].Forms[form] = stretch{at + int64(before), int64(packed.Len() - before)}
				continue
			}
			spans[i].Forms[form] = stretch{at, int64(len(text))}
			at += int64(len(text))
		}
	}
	head, err := json.Marshal(bucketHead{spans, s.until})
	if err != nil {
		return err
	}
	if _, err := w.Write(append(binary.BigEndian.AppendUint64(nil, uint64(len(head))), head...)); err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := w.Write(s.texts[key].Bytes()); err != nil {
			return err
		}
	}
	_, err = w.Write(packed.Bytes())
	return err
}

// eachStanzaOf calls f with what a suite lists of a package: of every version that its reader sees and nobody has yanked.
func eachStanzaOf(p *millpond.Package, word string, f func(l listing, v *millpond.Version, file *millpond.File, architecture string)) error {
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
				f(l, v, file, file.Platform)
			case "udeb":
				l.Component += "/debian-installer"
				f(l, v, file, file.Platform)
			case "dsc":
				f(l, v, file, "source")
			}
		}
	}
	return nil
}
