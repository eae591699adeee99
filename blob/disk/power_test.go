package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/blobtest"
	"millpond/blob/disk"
	"millpond/blob/disk/durable"
)

// A platter is what the disk would hold if the power went: a model of a file system that promises no more than fsync does.
type platter struct {
	nodes map[string]*node // by name, as a running process sees them
	lose  map[durable.Op]bool
}

// A node is a file or a directory.
type node struct {
	data, synced []byte // of a file: as it is, and as it was when last synced
	least        int    // how short it was since
	mode, was    fs.FileMode

	entries map[string]*node // of a directory: those that are on the platter
	changes []change         // and what was done since, in order
}

// A change is one name of a directory made, or dropped if node is nil.
type change struct {
	name string
	node *node
}

func newPlatter() *platter {
	return &platter{nodes: map[string]*node{".": {entries: map[string]*node{}}}}
}

func (p *platter) set(name string, n *node) {
	dir := p.nodes[path.Dir(name)]
	dir.changes = append(dir.changes, change{path.Base(name), n})
	if n == nil {
		delete(p.nodes, name)
	} else {
		p.nodes[name] = n
	}
}

// record tells the platter of a call that took place.
func (p *platter) record(c *durable.Call) {
	n := p.nodes[c.Name]
	if p.lose[c.Op] {
		return
	}
	switch c.Op {
	case durable.OpMkdir:
		if n == nil {
			p.set(c.Name, &node{entries: map[string]*node{}})
		}
	case durable.OpCreate:
		p.set(c.Name, &node{mode: 0o600, was: 0o600})
	case durable.OpWrite:
		end := int(c.Off) + len(c.Data)
		n.data = append(n.data, make([]byte, max(0, end-len(n.data)))...)
		copy(n.data[c.Off:], c.Data)
	case durable.OpTruncate:
		n.data = n.data[:c.Off]
		n.least = min(n.least, len(n.data))
	case durable.OpChmod:
		n.mode = 0o444
	case durable.OpSync:
		n.synced, n.was, n.least = bytes.Clone(n.data), n.mode, len(n.data)
	case durable.OpSyncDir:
		n.entries, n.changes = n.after(func() bool { return true }), nil
	case durable.OpLink:
		p.set(c.To, n)
	case durable.OpRename:
		p.set(c.To, n)
		p.set(c.Name, nil)
	case durable.OpRemove:
		p.set(c.Name, nil)
	}
}

// after is what a directory holds if each change since its last sync reached the platter or did not, in any order.
func (n *node) after(reached func() bool) map[string]*node {
	entries := maps.Clone(n.entries)
	for _, c := range n.changes {
		if !reached() {
			continue
		}
		if c.node == nil {
			delete(entries, c.name)
		} else {
			entries[c.name] = c.node
		}
	}
	return entries
}

// cut writes what the platter holds into a directory: what was synced, and a random part of the rest, torn.
func (n *node) cut(rnd *rand.Rand, name string) error {
	if n.entries != nil {
		if err := os.MkdirAll(name, 0o700); err != nil {
			return err
		}
		odds := rnd.IntN(5) // of four: sometimes nothing that was not synced is there, sometimes all
		entries := n.after(func() bool { return rnd.IntN(4) < odds })
		for _, base := range slices.Sorted(maps.Keys(entries)) {
			if err := entries[base].cut(rnd, filepath.Join(name, base)); err != nil {
				return err
			}
		}
		return nil
	}
	data, mode := n.data, n.mode
	if rnd.IntN(2) == 0 {
		mode = n.was
	}
	if !bytes.Equal(n.data, n.synced) {
		const sector = 512
		data = make([]byte, []int{len(n.data), len(n.synced), n.least + rnd.IntN(len(n.data)-n.least+1)}[rnd.IntN(3)])
		odds := rnd.IntN(5)
		for i := 0; i < len(data); i += sector {
			end := min(i+sector, len(data))
			switch {
			case rnd.IntN(4) < odds:
				copy(data[i:end], n.data[i:])
			case i < len(n.synced):
				copy(data[i:end], n.synced[i:])
			}
		}
	}
	return os.WriteFile(name, data, mode)
}

// A piece is one that was placed in an unfinished blob, and flushed.
type piece struct {
	id    string
	at    int64
	bytes []byte
}

// story writes, resumes, discards, spoils, repeats and removes blobs, and places pieces. After each acknowledgement it tells
// what must last, and which pieces of what is not sealed.
func story(s *disk.Store, must func(d millpond.Digest, there bool), placed func(...piece)) error {
	for i := range 4 {
		b := blobtest.Bytes(5000+700*i, byte(i))
		d, err := put(s, b, millpond.SHA256(b))
		if err != nil {
			return err
		}
		must(d, true)
	}
	again := blobtest.Bytes(5000, 0)
	d, err := put(s, again)
	if err != nil {
		return err
	}
	must(d, true)
	if _, err := put(s, again, millpond.SHA256(nil)); !millpond.Is(err, millpond.Corrupt) {
		return fmt.Errorf("a wrong digest: %w", err)
	}
	must(d, false)
	if err := s.Delete(context.Background(), d); err != nil {
		return err
	}
	if d, err = put(s, again); err != nil {
		return err
	}
	must(d, true)
	other := blobtest.Bytes(5700, 1)
	must(millpond.SHA256(other), false)
	if err := s.SetAside(context.Background(), millpond.SHA256(other)); err != nil {
		return err
	}
	if d, err = put(s, other); err != nil {
		return err
	}
	must(d, true)
	w, err := s.Create(context.Background())
	if err != nil {
		return err
	}
	w.Write(blobtest.Bytes(9000, 9)[:4000])
	w.Close()
	if w, err = s.Resume(context.Background(), w.ID()); err != nil {
		return err
	}
	w.Write(blobtest.Bytes(9000, 9)[4000:])
	if d, err = w.Commit(context.Background()); err != nil {
		return err
	}
	must(d, true)
	if err := w.Close(); err != nil {
		return err
	}
	return storyOfPieces(s, must, placed)
}

func storyOfPieces(s *disk.Store, must func(d millpond.Digest, there bool), placed func(...piece)) error {
	ctx := context.Background()
	w, err := s.Create(ctx)
	if err != nil {
		return err
	}
	b := blobtest.Bytes(6000, 10)
	var all []piece
	for _, at := range []int64{4000, 0, 2000} {
		p := w.(blob.Placer)
		if err := errors.Join(p.PlaceAt(b[at:at+2000], at), p.Flush()); err != nil {
			return err
		}
		all = append(all, piece{w.ID(), at, b[at : at+2000]})
		placed(all...)
		if at != 0 {
			continue
		}
		if err := errors.Join(p.Take(ctx, 2000), w.Close()); err != nil {
			return err
		}
		if w, err = s.Resume(ctx, w.ID()); err != nil {
			return err
		}
		if err := w.(blob.Placer).Rewind(2000); err != nil {
			return err
		}
	}
	if err := w.(blob.Placer).Take(ctx, 6000); err != nil {
		return err
	}
	placed() // they are the blob's from the first call of Commit on
	d, err := w.Commit(ctx)
	if err != nil {
		return err
	}
	if d != millpond.SHA256(b) {
		return fmt.Errorf("pieces were sealed as %s, not %s", d, millpond.SHA256(b))
	}
	must(d, true)
	return w.Close()
}

// examine opens what a power cut left, and says what is wrong with it.
func examine(t *testing.T, dir string, must []millpond.Digest, placed []piece) (wrong []string) {
	t.Helper()
	s, err := disk.Open(dir, disk.Options{Hook: quick})
	if err != nil {
		return []string{fmt.Sprint("Open: ", err)}
	}
	defer s.Close()
	have := map[millpond.Digest]bool{}
	for d, err := range s.List(t.Context(), millpond.Digest{}) {
		if err != nil {
			return []string{fmt.Sprint("List: ", err)}
		}
		if b, err := get(s, d); err != nil || millpond.SHA256(b) != d {
			wrong = append(wrong, fmt.Sprintf("blob %s has %d bytes of %s, %v", d.Short(), len(b), millpond.SHA256(b).Short(), err))
		}
		have[d] = true
	}
	for _, d := range must {
		if !have[d] {
			wrong = append(wrong, fmt.Sprintf("blob %s was acknowledged and is lost", d.Short()))
		}
	}
	for _, p := range placed {
		w, err := s.Resume(t.Context(), p.id)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("the piece at %d was flushed and is lost: %v", p.at, err))
			continue
		}
		got := make([]byte, len(p.bytes))
		if _, err := w.ReadAt(got, p.at); err != nil || !bytes.Equal(got, p.bytes) {
			wrong = append(wrong, fmt.Sprintf("the piece at %d was flushed and has other bytes, %v", p.at, err))
		}
		w.Close()
	}
	// What is unfinished may have any bytes now: a digest tells.
	left, _ := os.ReadDir(filepath.Join(dir, "incoming"))
	for _, e := range left {
		w, err := s.Resume(t.Context(), e.Name())
		if millpond.Is(err, millpond.NotFound) {
			continue
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprint("Resume: ", err))
			continue
		}
		want := millpond.SHA256([]byte("what it was to be"))
		if d, err := w.Commit(t.Context(), want); !millpond.Is(err, millpond.Corrupt) {
			wrong = append(wrong, fmt.Sprintf("Commit after Resume: %s, %v", d, err))
		}
		w.Close()
	}
	for i := range 4 {
		b := blobtest.Bytes(5000+700*i, byte(i))
		if d, err := put(s, b, millpond.SHA256(b)); err != nil {
			wrong = append(wrong, fmt.Sprintf("sealing %s again: %v", d.Short(), err))
		} else if got, err := get(s, d); err != nil || !bytes.Equal(got, b) {
			wrong = append(wrong, fmt.Sprintf("blob %s, sealed again, has %d bytes, %v", d.Short(), len(got), err))
		}
	}
	if err := s.Tidy(t.Context(), time.Now().Add(time.Hour), nil); err != nil {
		wrong = append(wrong, fmt.Sprint("Tidy: ", err))
	}
	for _, name := range tree(t, dir) {
		if strings.HasPrefix(name, "incoming/") {
			wrong = append(wrong, name+" is left")
		}
	}
	return wrong
}

// cuts tells the story, and cuts the power after each call in so many ways. It returns how many cuts there were, and what
// was wrong after them.
func cuts(t *testing.T, ways int, lose ...durable.Op) (n int, wrong []string) {
	t.Helper()
	p := newPlatter()
	p.lose = map[durable.Op]bool{}
	for _, op := range lose {
		p.lose[op] = true
	}
	var must []millpond.Digest
	var placed []piece
	calls := 0
	s, err := disk.Open(t.TempDir(), disk.Options{Hook: func(c *durable.Call, do func() error) error {
		call := *c
		if err := quick(c, do); err != nil {
			return err
		}
		p.record(&call)
		calls++
		if slices.Contains([]durable.Op{durable.OpStat, durable.OpRoom, durable.OpRead, durable.OpOpen, durable.OpOpenDir, durable.OpList}, c.Op) {
			return nil // the platter is as it was
		}
		for way := range ways {
			dir, err := os.MkdirTemp(t.TempDir(), "cut")
			if err != nil {
				t.Fatal(err)
			}
			rnd := rand.New(rand.NewPCG(uint64(calls), uint64(way)))
			if err := p.nodes["."].cut(rnd, dir); err != nil {
				t.Fatal(err)
			}
			for _, w := range examine(t, dir, must, placed) {
				wrong = append(wrong, fmt.Sprintf("after call %d (%s %s), way %d: %s", calls, c.Op, c.Name, way, w))
			}
			n++
			os.RemoveAll(dir)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = story(s, func(d millpond.Digest, there bool) {
		must = slices.DeleteFunc(must, func(o millpond.Digest) bool { return o == d })
		if there {
			must = append(must, d)
		}
	}, func(pieces ...piece) { placed = pieces })
	if err != nil {
		t.Fatal(err)
	}
	return n, wrong
}

func TestPowerCutAtEveryCall(t *testing.T) {
	ways := 3
	if *long {
		ways = 100
	}
	n, wrong := cuts(t, ways)
	for _, w := range wrong[:min(len(wrong), 10)] {
		t.Error(w)
	}
	if n < 200 {
		t.Errorf("the power was cut %d times, want at least 200", n)
	}
	t.Logf("%d power cuts", n)
}

// The model must find what a store without fsync would lose, or it says nothing.
func TestPowerCutModelFindsMissingSyncs(t *testing.T) {
	for lost, all := range map[durable.Op][]string{
		durable.OpSync:    {"bytes of", "was flushed and has other bytes"},
		durable.OpSyncDir: {"was acknowledged and is lost", "was flushed and is lost"},
	} {
		_, wrong := cuts(t, 1, lost)
		for _, want := range all {
			if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, want) }) {
				t.Errorf("without %s no %q was found among %d faults", lost, want, len(wrong))
			}
		}
	}
}
