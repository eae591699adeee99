package debian

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A pool table is what one index says of its files, in the order of their paths' hashes: rows of one size that are searched
// where they lie, and behind them the texts. It is derived once of each index.
const (
	tableMagic = "pool2\n\x00\x00"
	tableHead  = len(tableMagic) + 8
	tableRow   = 8 + 32 + 1 + 7 + 4 + 4 // hash of the path, digest, algorithm, size, first seen, place of the text
)

var tableAlgorithms = []string{"sha256", "sha1", "md5"} // never changed

// A place is where a file of the pool is found.
type place struct {
	source, version string
	binary          string // what is installed of it, by its own name; "" is the source's
	poolName
	suite    *millpond.Package // in which it was found,
	snapshot *millpond.Version // and in which of its snapshots
}

// buildTable writes the table of an index.
func buildTable(w io.Writer, index io.Reader, sources bool, seen sightings) error {
	type row struct {
		hash uint64
		b    [tableRow]byte
	}
	var rows []row
	var texts []byte
	known := map[string]uint32{} // of one source and version the files often follow each other
	err := eachListed(index, sources, func(l listed) error {
		text := l.Source + "\t" + l.Version
		if l.Package != "" {
			text += "\t" + l.Package
		}
		text += "\n"
		at, ok := known[text]
		if !ok {
			if len(known) > 4096 {
				clear(known)
			}
			at = uint32(len(texts))
			known[text] = at
			texts = append(texts, text...)
		}
		r := row{hash: pathHash(l.Path)}
		b := r.b[:0]
		b = binary.BigEndian.AppendUint64(b, r.hash)
		raw, err := hex.DecodeString(l.Digest.Hex())
		if err != nil {
			return err
		}
		b = append(b, raw...)
		b = append(b, make([]byte, 32-len(raw))...)
		b = append(b, byte(slices.Index(tableAlgorithms, l.Digest.Algorithm())))
		size := binary.BigEndian.AppendUint64(nil, uint64(l.Size))
		b = append(b, size[1:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(seen.of(r.hash)))
		binary.BigEndian.AppendUint32(b, at)
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return 0
	})
	out := append([]byte(tableMagic), binary.BigEndian.AppendUint64(nil, uint64(len(rows)))...)
	for i := range rows {
		if out = append(out, rows[i].b[:]...); len(out) > 1<<16 {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	_, err = w.Write(append(out, texts...))
	return err
}

// lookUp finds a path, relative to its archive, in a table.
func lookUp(c *millpond.Content, path string) (place, bool, error) {
	var head [tableHead]byte
	read := func(at int64, b []byte) error {
		if r, ok := c.ReadSeekCloser.(io.ReaderAt); ok {
			_, err := r.ReadAt(b, at)
			return err
		}
		if _, err := c.Seek(at, io.SeekStart); err != nil {
			return err
		}
		_, err := io.ReadFull(c, b)
		return err
	}
	if err := read(0, head[:]); err != nil || string(head[:len(tableMagic)]) != tableMagic {
		return place{}, false, fmt.Errorf("read a pool table: %w", err)
	}
	n := int64(binary.BigEndian.Uint64(head[len(tableMagic):]))
	want := pathHash(path)
	var b [tableRow]byte
	lo, hi := int64(0), n
	for lo < hi {
		mid := (lo + hi) / 2
		if err := read(int64(tableHead)+mid*tableRow, b[:8]); err != nil {
			return place{}, false, err
		}
		if binary.BigEndian.Uint64(b[:8]) < want {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == n {
		return place{}, false, nil
	}
	if err := read(int64(tableHead)+lo*tableRow, b[:]); err != nil {
		return place{}, false, err
	}
	if binary.BigEndian.Uint64(b[:8]) != want || int(b[40]) >= len(tableAlgorithms) {
		return place{}, false, nil
	}
	algorithm := tableAlgorithms[b[40]]
	sum := b[8:40]
	switch algorithm {
	case "sha1":
		sum = sum[:20]
	case "md5":
		sum = sum[:16]
	}
	d, err := millpond.NewDigest(algorithm, sum)
	if err != nil {
		return place{}, false, err
	}
	p := place{poolName: poolName{path: path, digest: d,
		size: int64(binary.BigEndian.Uint64(b[40:48]) << 8 >> 8), seen: time.Unix(int64(binary.BigEndian.Uint32(b[48:52])), 0).UTC()}}
	if p.size == 1<<56-1 {
		p.size = -1
	}
	text := make([]byte, min(600, c.Size-int64(tableHead)-n*tableRow-int64(binary.BigEndian.Uint32(b[52:56]))))
	if err := read(int64(tableHead)+n*tableRow+int64(binary.BigEndian.Uint32(b[52:56])), text); err != nil && err != io.EOF {
		return place{}, false, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var ok bool
	p.source, p.version, ok = strings.Cut(line, "\t")
	p.version, p.binary, _ = strings.Cut(p.version, "\t")
	return p, ok, nil
}

// table is the table of an index that is held. name tells the tables of one suite apart.
func (h handler) table(ctx context.Context, k millpond.Key, f *millpond.File, v *millpond.Version, name string) (*millpond.Content, error) {
	seen := readSightings(f, v)
	d := format.Derivation{Name: "pool/" + name + k.Package + "/" + k.File, Stamp: tableMagic[4:5] + strongest(f).Hex()[:32] + seen.meaning(), Type: "application/octet-stream"}
	return h.repo.Derive(ctx, d, func(w io.Writer) error {
		c, err := h.repo.Held().Open(context.WithoutCancel(ctx), k)
		if err != nil {
			return err
		}
		defer c.Close()
		r, done, err := unpack(k.File, c, unpackedSize(v, k.File))
		if err != nil {
			return unreadable(k, err)
		}
		defer done()
		plain, _ := unpackedName(k.File)
		_, file := split(plain)
		if err := buildTable(w, r, file == "Sources", seen); err != nil {
			return unreadable(k, err)
		}
		return nil
	})
}

func strongest(f *millpond.File) millpond.Digest {
	if len(f.Digests) == 0 {
		return millpond.SHA256([]byte(f.Name))
	}
	return f.Digests[0]
}

// find looks a path up in the held indexes of every suite: what is newest first.
// indexes reports whether there was any to look in.
func (h handler) find(ctx context.Context, path string, at time.Time) (found place, ok, indexes bool, err error) {
	suites, err := h.suitesOf(ctx, path)
	if err != nil {
		return place{}, false, indexes, err
	}
	// All current ones first, then what was before.
	for depth := 0; depth < keptSnapshots; depth++ {
		more := false
		for _, p := range suites {
			versions := p.Versions
			if !at.IsZero() {
				versions = until(versions, at)
			}
			if depth >= len(versions) {
				continue
			}
			more = true
			name := ""
			if depth > 0 || !at.IsZero() {
				name = fmt.Sprintf("before/%d/", depth)
			}
			if !at.IsZero() {
				name = thenName(&versions[depth])
			}
			found, ok, looked, err := h.findIn(ctx, p, &versions[depth], path, name)
			indexes = indexes || looked
			if ok || err != nil {
				return found, ok, indexes, err
			}
		}
		if !more {
			break
		}
	}
	return place{}, false, indexes, nil
}

// suitesOf are the held suites whose indexes may list a path: what is newest first.
func (h handler) suitesOf(ctx context.Context, path string) ([]*millpond.Package, error) {
	knower, ok := h.repo.(format.Knower)
	if !ok {
		return nil, nil
	}
	known, err := knower.Known(ctx)
	if err != nil {
		return nil, err
	}
	var suites []*millpond.Package
	for _, name := range known {
		archive := archiveOf(name)
		if !IsSuite(name) || archive != "" && !isFlat(name) && !strings.HasPrefix(path, archive+"/") {
			continue
		}
		p, err := h.repo.Held().Package(ctx, name)
		if err == nil && len(p.Versions) > 0 {
			suites = append(suites, p)
		} else if err != nil && (millpond.Is(err, millpond.Internal) || millpond.Is(err, millpond.Canceled)) {
			return nil, err
		}
	}
	slices.SortStableFunc(suites, func(a, b *millpond.Package) int { return b.Versions[0].Seen.Compare(a.Versions[0].Seen) })
	return suites, nil
}

// thenName tells the tables of a snapshot that was asked for by its time.
func thenName(v *millpond.Version) string { return "then/" + v.Name + "/" }

// until leaves out the snapshots that came later.
func until(versions []millpond.Version, at time.Time) []millpond.Version {
	for i := range versions {
		if !versions[i].Seen.After(at) {
			return versions[i:]
		}
	}
	return nil
}

func (h handler) findIn(ctx context.Context, p *millpond.Package, v *millpond.Version, path, name string) (found place, ok, looked bool, err error) {
	// The paths of an index are those below its archive; of a flat one below its folder, or some folder above that.
	below := path
	if archive := archiveOf(p.Name); archive != "" {
		below = strings.TrimPrefix(path, archive+"/")
	}
	wanted := []string{below}
	if isFlat(p.Name) && below != path {
		wanted = append(wanted, path)
	}
	cheapest := map[string]int{}
	for i := range v.Files {
		plain, n := unpackedName(v.Files[i].Name)
		if _, file := split(plain); n < 0 || file != "Packages" && file != "Sources" {
			continue
		}
		if j, ok := cheapest[plain]; ok {
			if _, m := unpackedName(v.Files[j].Name); m <= n {
				continue
			}
		}
		cheapest[plain] = i
	}
	for i := range v.Files {
		f := &v.Files[i]
		plain, _ := unpackedName(f.Name)
		if j, ok := cheapest[plain]; !ok || i != j {
			continue
		}
		c, err := h.table(ctx, millpond.Key{Package: p.Name, Version: v.Name, File: f.Name}, f, v, name)
		if millpond.Is(err, millpond.BadUpstream) || millpond.Is(err, millpond.Offline) || millpond.Is(err, millpond.NotFound) {
			continue // an index that cannot be read lists nothing
		}
		if err != nil {
			return place{}, false, looked, err
		}
		for _, one := range wanted {
			looked = true
			if found, ok, err = lookUp(c, one); ok && err == nil {
				c.Close()
				found.path, found.layer, found.suite, found.snapshot = path, v.Layer, p, v
				return found, true, true, nil
			} else if err != nil {
				break
			}
		}
		c.Close()
		if err != nil {
			return place{}, false, looked, err
		}
	}
	return place{}, false, looked, nil
}
