package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"millpond"
	"millpond/format"
)

// forgotten is how long it is remembered that a file appeared after the first snapshot: then it is as old as that.
const forgotten = 90 * 24 * time.Hour

// Sightings tell when the files of one Packages or Sources were first listed, which nothing in it says. They are kept as the record of
// the index's file.
type sightings struct {
	Since int64  `json:"since"`         // unix time of the first snapshot of which this index is held
	New   []byte `json:"new,omitempty"` // of what appeared later: pairs of a path's hash and a unix time, by hash
}

const sightingSize = 12

// pathHash stands for a path of the pool.
func pathHash(path string) uint64 {
	sum := sha256.Sum256([]byte(path))
	return binary.BigEndian.Uint64(sum[:])
}

// readSightings reads the record of an index of a snapshot.
func readSightings(f *millpond.File, v *millpond.Version) sightings {
	s := sightings{}
	if json.Unmarshal(f.Meta, &s) != nil || s.Since == 0 || len(s.New)%sightingSize != 0 {
		s = sightings{Since: v.Published.Unix()} // nothing is recorded before the second snapshot
	}
	return s
}

// of is when a path was first seen.
func (s sightings) of(hash uint64) int64 {
	n := len(s.New) / sightingSize
	at := func(i int) []byte { return s.New[i*sightingSize : (i+1)*sightingSize] }
	lo, hi := 0, n
	for lo < hi {
		mid := (lo + hi) / 2
		if binary.BigEndian.Uint64(at(mid)) < hash {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < n && binary.BigEndian.Uint64(at(lo)) == hash {
		return int64(binary.BigEndian.Uint32(at(lo)[8:]))
	}
	return s.Since
}

// meaning is short and differs where the sightings do.
func (s sightings) meaning() string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(slices.Clone(s.New), uint64(s.Since)))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// isListing reports whether an index lists packages in a form that is read here, and whether they are source packages.
func isListing(path string) (listing, sources bool) {
	plain, n := unpackedName(path)
	_, file := split(plain)
	return n >= 0 && (file == "Packages" || file == "Sources"), file == "Sources"
}

// sightings carries over when each package of the held indexes was first seen.
func (s source) sightings(ctx context.Context, name string, v, last *millpond.Version, k format.Keeper) error {
	for i := range v.Files {
		f := &v.Files[i]
		old := last.File(f.Name)
		if listing, _ := isListing(f.Name); old == nil || !listing {
			continue
		}
		if slices.Equal(old.Digests, f.Digests) {
			f.Meta = old.Meta
			if f.Meta == nil {
				f.Meta = encodeSightings(readSightings(old, last))
			}
			continue
		}
		was, err := s.paths(ctx, k, last, millpond.Key{Package: name, Version: last.Name, File: f.Name})
		if millpond.Is(err, millpond.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		is, err := s.paths(ctx, k, v, millpond.Key{Package: name, Version: v.Name, File: f.Name})
		if err != nil {
			return err
		}
		f.Meta = encodeSightings(readSightings(old, last).next(was, is, v.Published))
	}
	return nil
}

func encodeSightings(s sightings) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return nil // numbers and bytes always marshal
	}
	return b
}

// next are the sightings of the next form of an index.
func (s sightings) next(was, is []uint64, now time.Time) sightings {
	slices.Sort(was)
	slices.Sort(is)
	is = slices.Compact(is)
	out := sightings{Since: s.Since}
	for _, hash := range is {
		seen := now.Unix()
		if _, known := slices.BinarySearch(was, hash); known {
			seen = s.of(hash)
		}
		if seen == s.Since || now.Sub(time.Unix(seen, 0)) > forgotten {
			continue
		}
		out.New = binary.BigEndian.AppendUint64(out.New, hash)
		out.New = binary.BigEndian.AppendUint32(out.New, uint32(seen))
	}
	return out
}

// paths are the hashes of all paths that a held index lists.
func (s source) paths(ctx context.Context, k format.Keeper, v *millpond.Version, key millpond.Key) ([]uint64, error) {
	c, err := k.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r, done, err := unpack(key.File, c, unpackedSize(v, key.File))
	if err != nil {
		return nil, unreadable(key, err)
	}
	defer done()
	var out []uint64
	if _, sources := isListing(key.File); sources {
		err := eachListed(r, true, func(l listed) error {
			out = append(out, pathHash(l.Path))
			return nil
		})
		if err != nil {
			return nil, unreadable(key, err)
		}
		return out, nil
	}
	err = eachStanza(r, func(stanza []byte) error {
		const field = "\nFilename:"
		at := 0
		if !bytes.HasPrefix(stanza, []byte(field[1:])) {
			if at = bytes.Index(stanza, []byte(field)); at < 0 {
				return nil
			}
			at++
		}
		line, _, _ := bytes.Cut(stanza[at+len(field)-1:], []byte("\n"))
		l := listed{Path: string(bytes.TrimSpace(line))}
		l.sane() // which cleans the path
		out = append(out, pathHash(l.Path))
		return nil
	})
	if err != nil {
		return nil, unreadable(key, err)
	}
	return out, nil
}

func unreadable(k millpond.Key, err error) error {
	if millpond.Is(err, millpond.Canceled) {
		return err
	}
	return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: "the index " + k.File + " cannot be read", Err: err}
}
