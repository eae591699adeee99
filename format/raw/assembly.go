package raw

import (
	"context"
	"io"
	"sync"

	"millpond"
	"millpond/format"
)

// farthest is how many parts ahead of the first that is missing a part may be written at its place.
const farthest = 64

// An assembly is the file that the parts of an upload make, while they come. Clients send parts of one size but for the last,
// several at once: each is written at its place in the file, and digested once those before it are there. Nothing is left to
// be read or written when the last has come. A part that does not fit in is kept apart.
type assembly struct {
	mu    sync.Mutex    // guards what follows; held while up is opened and closed
	up    format.Upload // open while there are users
	users int
	unit  int64 // the size of a part; 0 if none has come
	parts map[int]*place
	idle  *sync.Cond // told when nobody digests any more
	busy  bool       // somebody digests
	limit int64      // no more is digested: the file ends here; 0 if that is not known yet
	size  int64      // of what was digested
	sums  *summer    // of that
}

// A place is where a part is in the file.
type place struct {
	at, size int64
	there    bool // durable and on record; else it is on its way
}

// assemblies are those of a repository, by the upload.
type assemblies struct {
	mu sync.Mutex // guards by
	by map[string]*assembly
}

// mostAssemblies is how many are remembered. Of others the records and bytes tell, which are read then.
const mostAssemblies = 1000

func (h handler) assemblies() *assemblies {
	s, ok := h.repo.(format.Sharer)
	if !ok {
		return nil
	}
	return s.Shared("assemblies", func() any { return &assemblies{by: map[string]*assembly{}} }).(*assemblies)
}

func (all *assemblies) get(id string) *assembly {
	all.mu.Lock()
	defer all.mu.Unlock()
	a := all.by[id]
	if a == nil {
		for other := range all.by {
			if len(all.by) < mostAssemblies {
				break
			}
			delete(all.by, other) // who uses it goes on
		}
		a = &assembly{}
		a.idle = sync.NewCond(&a.mu)
		all.by[id] = a
	}
	return a
}

func (all *assemblies) forget(id string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.by, id)
}

// assembly opens the file that an upload's parts make; nil if there is none, because the store cannot or because it is sealed.
func (h handler) assembly(ctx context.Context, name, id string, b *begun) (*assembly, error) {
	all := h.assemblies()
	if all == nil || b.Upload == "" {
		return nil, nil
	}
	a := all.get(id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users > 0 {
		a.users++
		return a, nil
	}
	up, err := h.repo.Resume(ctx, b.Upload)
	if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Conflict) { // another, that was forgotten, is still at it
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, ok := up.(format.Placer)
	if ok {
		err = p.Rewind(a.size)
		ok = !millpond.Is(err, millpond.Unsupported)
	}
	if ok && err == nil && a.parts == nil {
		err = a.recall(ctx, h, name, id)
	}
	if !ok || err != nil {
		if !ok {
			err = nil
		}
		return nil, firstError(err, up.Close())
	}
	a.up, a.users = up, 1
	return a, nil
}

// recall reads which parts there are, of an upload that was under way before. The caller holds mu.
func (a *assembly) recall(ctx context.Context, h handler, name, id string) error {
	_, files, err := h.partsHere(ctx, name, id)
	if err != nil {
		return err
	}
	a.parts, a.sums = map[int]*place{}, newSummer()
	for i := range files {
		if p, ok := readPart(files[i], id); ok && p.At >= 0 {
			a.parts[p.number] = &place{at: p.At, size: p.Size, there: true}
			if a.unit == 0 || p.number == 1 {
				a.unit = p.Size
			}
			if p.number > 1 {
				a.unit = p.At / int64(p.number-1)
			}
		}
	}
	return nil
}

// close ends one use of it.
func (a *assembly) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users--; a.users > 0 {
		return nil
	}
	return a.up.Close()
}

// drop drops the bytes, unless they were sealed. Parts on their way come to nothing.
func (a *assembly) drop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.up.Discard()
}

// claim is where a part goes; false if it has no place: it has one already, has another size than the others, or is too far
// ahead. The place is its own then, until it is put or let go.
func (a *assembly) claim(number int, size int64) (*place, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unit == 0 && size > 0 {
		a.unit = size
	}
	if a.limit != 0 || size <= 0 || size > a.unit || a.parts[number] != nil || int64(number) > a.size/a.unit+farthest {
		return nil, false
	}
	p := &place{at: int64(number-1) * a.unit, size: size}
	if p.at < a.size { // behind a part that was shorter
		return nil, false
	}
	a.parts[number] = p
	return p, true
}

func (a *assembly) letGo(number int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.parts, number)
}

// put says that a part is there, and digests what can be: up to twice what came, so that whoever sends the last part of a
// hundred does not wait for all.
func (a *assembly) put(ctx context.Context, number int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.parts[number]
	p.there = true
	if a.busy {
		return nil // who digests goes on with this one
	}
	return a.digest(ctx, 2*p.size)
}

// digest takes what is there without a gap, until it was about most bytes. The caller holds mu, which is let go meanwhile.
func (a *assembly) digest(ctx context.Context, most int64) error {
	a.busy = true
	defer func() { a.busy = false; a.idle.Broadcast() }()
	for began := a.size; a.size-began < most; {
		p := a.next()
		if p == nil {
			return nil
		}
		up, sums := a.up, a.sums
		a.mu.Unlock()
		err := take(ctx, up, p, sums)
		a.mu.Lock()
		if err != nil {
			a.size, a.sums = 0, newSummer() // what it has seen is not known
			return err
		}
		a.size = p.at + p.size
	}
	return nil
}

// next is the part that comes next, if it is there. The caller holds mu.
func (a *assembly) next() *place {
	if a.unit == 0 || a.size%a.unit != 0 || a.limit != 0 && a.size >= a.limit {
		return nil
	}
	p := a.parts[int(a.size/a.unit)+1]
	if p == nil || !p.there || p.at != a.size {
		return nil
	}
	return p
}

// take digests a part, here and in the store side by side.
func take(ctx context.Context, up format.Upload, p *place, sums *summer) error {
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = up.(format.Placer).Take(ctx, p.at+p.size) })
	_, here := sums.copy(io.Discard, io.NewSectionReader(up, p.at, p.size))
	wg.Wait()
	return firstError(err, here)
}

// whole digests all up to size, where the file ends.
func (a *assembly) whole(ctx context.Context, size int64) (Sums, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = size
	for a.busy {
		a.idle.Wait()
	}
	placer := a.up.(format.Placer)
	if a.size > size { // parts came that are none of the file's
		if err := placer.Rewind(0); err != nil {
			return nil, err
		}
		a.size, a.sums = 0, newSummer()
	}
	if err := a.digest(ctx, size+1); err != nil {
		return nil, err
	}
	if a.size != size {
		return nil, &millpond.Error{Kind: millpond.Internal, Why: "parts of an upload are not where they were"}
	}
	return a.sums.sums(), nil
}

// open lets parts come again, after a file was not made.
func (a *assembly) open() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = 0
}

// A placing writes a part at its place, and nowhere else.
type placing struct {
	to       format.Placer
	at, left int64
}

func (w *placing) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, &millpond.Error{Kind: millpond.Invalid, Why: "the body is longer than was said", Hint: "nothing was kept; send it again"}
	}
	if err := w.to.PlaceAt(p, w.at); err != nil {
		return 0, err
	}
	w.at, w.left = w.at+int64(len(p)), w.left-int64(len(p))
	return len(p), nil
}
