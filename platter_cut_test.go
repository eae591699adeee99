package millpond_test

import (
	"bytes"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An inode is a file or a directory.
type inode struct {
	isDir bool
	mode  fs.FileMode
	syncs []span

	base  []byte // of a file: what it had before the trace began, all of it durable
	edits []edit

	first  map[string]*inode // of a directory: likewise
	moves  []move
	living map[string]*inode // as the running process sees it
}

// A span is the times of a call's begin and end: what it did took place between them.
type span struct{ from, to int }

// An edit wrote data, or gave the file the length off if data is nil.
type edit struct {
	span
	off  int64
	data []byte
}

// A move gave names of one directory other inodes at once; nil is none.
type move struct {
	span
	names map[string]*inode
}

// unkept are files whose bytes a start does not believe: the index of a log, which is mapped into memory.
func unkept(name string) bool { return strings.HasSuffix(name, "-shm") }

func readInode(name string) (*inode, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	n := &inode{isDir: info.IsDir(), mode: info.Mode().Perm()}
	if !n.isDir {
		n.base, err = os.ReadFile(name)
		return n, err
	}
	entries, err := os.ReadDir(name)
	n.first = map[string]*inode{}
	for _, e := range entries {
		if n.first[e.Name()], err = readInode(filepath.Join(name, e.Name())); err != nil {
			return nil, err
		}
	}
	n.living = maps.Clone(n.first)
	return n, err
}

// someTimes are n of those at which the disk changed, from all of the trace.
func (p *platter) someTimes(n int, rnd *rand.Rand) (some []int) {
	all := slices.Compact(slices.Sorted(slices.Values(p.times)))
	for i := range n {
		from, to := i*len(all)/n, (i+1)*len(all)/n
		some = append(some, all[from+rnd.IntN(max(1, to-from))])
	}
	return some
}

// below are the inodes of a directory whose names begin so, and all that was ever below them.
func (n *inode) below(prefix string) (all []*inode) {
	names := []map[string]*inode{n.first}
	for _, m := range n.moves {
		names = append(names, m.names)
	}
	for _, some := range names {
		for name, to := range some {
			if to != nil && strings.HasPrefix(name, prefix) {
				all = append(append(all, to), to.below("")...)
			}
		}
	}
	return all
}

// durable is the time before which all that had ended is on the disk, if the power goes now.
func (n *inode) durable(now int) int {
	at := -1
	for _, s := range n.syncs {
		if s.to < now {
			at = max(at, s.from)
		}
	}
	return at
}

// cut writes into a directory what the disk holds if the power goes now: what was synced, and a random part of the rest, in
// any order and torn. Without rnd it is all that was done.
func (n *inode) cut(now int, rnd *rand.Rand, name string) error {
	synced := n.durable(now)
	if !n.isDir {
		return os.WriteFile(name, n.bytes(now, synced, rnd), n.mode)
	}
	if err := os.MkdirAll(name, 0o700); err != nil {
		return err
	}
	odds := 4 // of four: sometimes nothing that was not synced is there, sometimes all
	if rnd != nil {
		odds = rnd.IntN(5)
	}
	entries := maps.Clone(n.first)
	for _, m := range n.moves {
		if m.from >= now || m.to >= synced && rnd != nil && rnd.IntN(4) >= odds {
			continue
		}
		for name, to := range m.names {
			if entries[name] = to; to == nil {
				delete(entries, name)
			}
		}
	}
	for _, base := range slices.Sorted(maps.Keys(entries)) {
		to := filepath.Join(name, base)
		if unkept(base) {
			if rnd != nil && rnd.IntN(2) == 0 {
				junk := make([]byte, 32<<10)
				for i := range junk {
					junk[i] = byte(rnd.Uint32())
				}
				if err := os.WriteFile(to, junk, 0o600); err != nil {
					return err
				}
			}
			continue
		}
		if err := entries[base].cut(now, rnd, to); err != nil {
			return err
		}
	}
	return nil
}

// bytes are a file's. Of each sector (of 512 bytes, or of 4096) the disk has what it had after some of the edits since the
// last sync; and so it is with the length.
func (n *inode) bytes(now, synced int, rnd *rand.Rand) []byte {
	b := bytes.Clone(n.base)
	var rest []edit
	for _, e := range n.edits {
		switch {
		case e.from >= now:
		case e.to < synced || rnd == nil:
			b = e.apply(b, nil)
		default:
			rest = append(rest, e)
		}
	}
	if len(rest) == 0 {
		return b
	}
	sector, way, seed := []int64{512, 4096}[rnd.IntN(2)], rnd.IntN(4), rnd.Uint64()
	length := len(b)
	until := rnd.IntN(len(rest) + 1) // the length is as it was after so many
	for i, e := range rest {
		b = e.apply(b, func(off int64) bool {
			switch way {
			case 0:
				return false
			case 1:
				return true
			case 2: // all of them until then
				return i < until
			}
			s := rand.New(rand.NewPCG(seed, uint64(off/sector)))
			return i < s.IntN(len(rest)+1)
		})
		if i < until {
			if length = max(length, int(e.off)+len(e.data)); e.data == nil {
				length = int(e.off)
			}
		}
	}
	if way == 1 {
		return b
	}
	return append(b, make([]byte, max(0, length-len(b)))...)[:length]
}

// apply makes the edit of those bytes that reached is true of; nil is all.
func (e edit) apply(b []byte, reached func(off int64) bool) []byte {
	end := e.off + int64(len(e.data))
	if e.data == nil {
		if reached == nil || reached(-1) {
			b = b[:min(int64(len(b)), e.off)]
			return append(b, make([]byte, e.off-int64(len(b)))...)
		}
		return b
	}
	b = append(b, make([]byte, max(0, end-int64(len(b))))...)
	for off := e.off; off < end; {
		next := min(end, (off/512+1)*512)
		if reached == nil || reached(off) {
			copy(b[off:next], e.data[off-e.off:])
		}
		off = next
	}
	return b
}
