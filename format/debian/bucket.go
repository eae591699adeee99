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

	"millpond"
	"millpond/format"
)

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
