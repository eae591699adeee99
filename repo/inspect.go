package repo

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

const (
	largestInspected = 1 << 30                // a larger file is not looked through
	mostDue          = 10_000                 // how many files are remembered in memory to be looked through; the catalog knows the others
	inspectStretch   = 10 * time.Millisecond  // how long looking goes on until it rests
	longestRest      = 100 * time.Millisecond // and the longest rest
)

// What a Holding's Detail says of the looking through.
type inspection struct {
	Due  bool   `json:"due,omitzero"`  // it is still to come
	Flag string `json:"flag,omitzero"` // what publishing would refuse; "" if nothing
}

func inspectionOf(h *catalog.Holding) (i inspection) {
	if h != nil && len(h.Detail) > 0 {
		json.Unmarshal(h.Detail, &i) // what cannot be read says nothing
	}
	return i
}

func (i inspection) detail() json.RawMessage {
	b, err := json.Marshal(i)
	if err != nil {
		return nil // a boolean and a string always marshal
	}
	return b
}

// inspections are the files that are to be looked through. One goroutine does it, for all layers.
type inspections struct {
	mu      sync.Mutex // guards the rest
	due     []dueFile
	later   map[string]*upstream // layers of which more is due than is remembered here
	marked  map[string]bool      // layers that the catalog has a mark of: something may be due
	running chan struct{}        // closed when the looking has ended; nil while there is none
	failed  bool                 // some file stays due
	flagged int64                // since the start
	came    time.Time            // when the last file became due
	waiting int                  // who waits until all are looked through

	lull lull // of the looking that is under way, whose goroutine alone has it
}

type dueFile struct {
	layer *upstream
	key   millpond.Key
}

// inspector is the layer's format, if it looks through such a file.
func (l *upstream) inspector(k millpond.Key) format.Inspector {
	if i, ok := l.format.(format.Inspector); ok && i.Inspects(k) {
		return i
	}
	return nil
}

// dueMark is kept, and not Absent, from before the first file of a layer becomes due until the pond is closed with none due:
// a start looks for due files in such layers only.
func dueMark(layer string) catalog.Question {
	return catalog.Question{Layer: layer, Kind: "inspection"}
}

// markDue is called before a file becomes due.
func (l *upstream) markDue(ctx context.Context) error {
	i := &l.pond.inspections
	i.mu.Lock()
	marked := i.marked[l.id]
	i.mu.Unlock()
	if marked {
		return nil
	}
	now := l.pond.now()
	err := l.pond.catalog.PutAnswer(ctx, &catalog.Answer{Question: dueMark(l.id), Record: []byte("due"), Checked: now, Changed: now})
	if err == nil {
		i.mu.Lock()
		if i.marked == nil {
			i.marked = map[string]bool{}
		}
		i.marked[l.id] = true
		i.mu.Unlock()
	}
	return err
}

// inspectLater has a file looked through that was just kept.
func (l *upstream) inspectLater(k millpond.Key) {
	i := &l.pond.inspections
	i.mu.Lock()
	defer i.mu.Unlock()
	i.came = time.Now()
	if len(i.due) < mostDue {
		i.due = append(i.due, dueFile{l, k})
	} else {
		i.further(l)
	}
	l.pond.inspecting()
}

// further notes that the catalog is to be searched for due files of a layer. i.mu is held.
func (i *inspections) further(l *upstream) {
	if i.later == nil {
		i.later = map[string]*upstream{}
	}
	i.later[l.id] = l
}

// inspecting begins the looking unless it is under way. inspections.mu is held.
func (p *Pond) inspecting() {
	i := &p.inspections
	if i.running != nil {
		return
	}
	done := make(chan struct{})
	i.running = done
	if !p.goes(func(ctx context.Context) {
		defer close(done)
		p.inspectAll(ctx)
	}) {
		i.running = nil
	}
}

// Inspect waits until the files that were fetched until now were looked through, and takes up what an earlier process has left.
func (p *Pond) Inspect(ctx context.Context) error {
	if err := p.takeUpDue(ctx); err != nil {
		return err
	}
	i := &p.inspections
	i.mu.Lock()
	i.waiting++
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		i.waiting--
		i.mu.Unlock()
	}()
	for {
		i.mu.Lock()
		running := i.running
		i.mu.Unlock()
		if running == nil {
			return nil
		}
		select {
		case <-running:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeUpDue finds the layers in which an earlier process has left files that were due.
func (p *Pond) takeUpDue(ctx context.Context) error {
	for _, r := range p.Repositories() {
		for _, one := range r.layers {
			l, ok := one.(*upstream)
			if !ok {
				continue
			}
			if _, ok := l.format.(format.Inspector); !ok {
				continue
			}
			i := &p.inspections
			i.mu.Lock()
			known := i.marked[l.id]
			i.mu.Unlock()
			if known {
				continue
			}
			a, err := p.catalog.Answer(ctx, dueMark(l.id))
			if millpond.Is(err, millpond.NotFound) || err == nil && a.Absent {
				continue
			}
			if err != nil {
				return err
			}
			i.mu.Lock()
			if i.marked == nil {
				i.marked = map[string]bool{}
			}
			i.marked[l.id] = true
			i.further(l)
			p.inspecting()
			i.mu.Unlock()
		}
	}
	return nil
}

// inspectAll looks through what is due until nothing is, or the pond is being closed.
func (p *Pond) inspectAll(ctx context.Context) {
	i := &p.inspections
	i.lull = lull{}
	for {
		var one dueFile
		var search *upstream
		i.mu.Lock()
		if len(i.due) > 0 {
			one, i.due = i.due[0], i.due[1:]
		} else {
			for id, l := range i.later {
				search = l
				delete(i.later, id)
				break
			}
		}
		if one.layer == nil && search == nil || p.ends(ctx) {
			if one.layer != nil {
				i.further(one.layer)
			}
			i.running = nil
			i.mu.Unlock()
			return
		}
		i.mu.Unlock()
		if search != nil {
			p.inspectLayer(ctx, search)
		} else {
			p.inspectFile(ctx, one)
		}
	}
}

// unmark takes the marks away when the pond was closed, if nothing is due.
func (p *Pond) unmark(ctx context.Context) error {
	i := &p.inspections
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.due)+len(i.later) > 0 || i.failed {
		return nil
	}
	var errs []error
	for id := range i.marked {
		now := p.now()
		errs = append(errs, p.catalog.PutAnswer(ctx, &catalog.Answer{Question: dueMark(id), Absent: true, Checked: now, Changed: now}))
	}
	return errors.Join(errs...)
}

// inspectLayer looks through what is due of a whole layer.
func (p *Pond) inspectLayer(ctx context.Context, l *upstream) {
	for h, err := range p.catalog.Held(ctx, l.id, "") {
		if err != nil {
			p.inspections.mu.Lock()
			p.inspections.failed = true
			p.inspections.mu.Unlock()
			p.log.WarnContext(ctx, "cannot find the files that are to be looked through", "layer", l.id, "error", err)
			return
		}
		if p.ends(ctx) {
			p.inspections.mu.Lock()
			p.inspections.further(l)
			p.inspections.mu.Unlock()
			return
		}
		if inspectionOf(h).Due {
			p.inspectFile(ctx, dueFile{l, h.Key})
		}
	}
}

// inspectFile looks through one file, if it is still due, and writes down what was found.
func (p *Pond) inspectFile(ctx context.Context, d dueFile) {
	l, k := d.layer, d.key
	if !p.inspections.lull.wait(ctx, p.closing, p.filling) {
		p.inspections.mu.Lock()
		p.inspections.further(l)
		p.inspections.mu.Unlock()
		return
	}
	h, err := p.catalog.Holding(ctx, l.id, k)
	if err == nil && inspectionOf(h).Due && !h.Blob.IsZero() {
		err = l.inspect(ctx, h)
	}
	if err == nil || millpond.Is(err, millpond.NotFound) {
		return // the file, or its bytes, went meanwhile
	}
	p.inspections.mu.Lock()
	p.inspections.failed = true
	p.inspections.mu.Unlock()
	if !p.ends(ctx) {
		p.log.WarnContext(ctx, "a file could not be looked through", "repository", l.repo.config.Name, "layer", l.name, "key", k.String(), "error", err)
	}
}

func (l *upstream) inspect(ctx context.Context, h *catalog.Holding) error {
	found := inspection{}
	if i := l.inspector(h.Key); i != nil && h.Size <= largestInspected {
		at := &blobAt{ctx: ctx, pond: l.pond, digest: h.Blob}
		if err := at.begin(); err != nil {
			return err
		}
		defer at.Close()
		gentle := &gentleAt{ctx: ctx, pond: l.pond, at: at, since: time.Now()}
		err := i.Inspect(ctx, h.Key, gentle, h.Size)
		if err := firstError(gentle.failed, ctx.Err()); err != nil {
			return err // it stays due, whatever was made of a reading that was cut
		}
		switch millpond.KindOf(err) {
		case millpond.Invalid, millpond.TooLarge:
			found.Flag, _ = format.Words(err)
		default:
			if err != nil {
				return err
			}
		}
	}
	if err := l.pond.catalog.NoteHolding(ctx, l.id, h.Key, h.SHA256, found.detail()); err != nil || found.Flag == "" {
		return err
	}
	l.pond.inspections.mu.Lock()
	l.pond.inspections.flagged++
	l.pond.inspections.mu.Unlock()
	l.pond.event(ctx, millpond.Event{Verb: "flagged", Repository: l.repo.config.Name, Layer: l.name, Key: h.Key,
		Detail: detail("why", found.Flag, "sha256", h.SHA256.Hex())})
	return nil
}

// flags are what publishing would refuse of the held files of a package, by version and file.
func (l *upstream) flags(ctx context.Context, pkg string) (map[[2]string]string, error) {
	all, err := l.holdings(ctx, pkg)
	flags := map[[2]string]string{}
	for k, h := range all {
		if flag := inspectionOf(h).Flag; flag != "" {
			flags[k] = flag
		}
	}
	return flags, err
}

// ends reports whether the pond is being closed.
func (p *Pond) ends(ctx context.Context) bool {
	select {
	case <-p.closing:
		return true
	default:
		return ctx.Err() != nil
	}
}
