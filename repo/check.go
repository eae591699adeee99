package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/catalog"
	"millpond/fetch"
)

// CheckOptions choose how thoroughly Check looks.
type CheckOptions struct {
	ReadData bool                  // read every byte of every blob
	Repair   bool                  // set aside what is damaged and forget that it was held: it is fetched again when asked for, or published
	Progress func(done, all int64) // told of each blob; nil is silent. all is 0 while it is not known
}

// A Report is what Check found.
type Report struct {
	Blobs    int64             `json:"blobs"`
	Bytes    int64             `json:"bytes"`
	Damage   []Damage          `json:"damage,omitzero"`
	Orphans  int64             `json:"orphans"`           // blobs that nothing names: no damage, swept in time
	Unnamed  []millpond.Digest `json:"unnamed,omitempty"` // which they are, the first thousand of them
	Repaired int               `json:"repaired"`
}

// A Damage is one thing that is wrong.
type Damage struct {
	What    string          `json:"what"` // in words
	Digest  millpond.Digest `json:"digest"`
	Names   []string        `json:"names,omitzero"` // what the blob is to readers, at most a few
	Mending string          `json:"mending"`        // what was, or can be, done
	Hosted  bool            `json:"hosted"`         // it was published here, so that nobody else can be asked for it
	rotten  bool            // the bytes were read, and are others than were sealed
}

// Check looks for damage: records without blobs, blobs of another size or with other bytes, a catalog that is unsound. It
// runs beside serving.
func (p *Pond) Check(ctx context.Context, o CheckOptions) (*Report, error) {
	r := &Report{}
	words, err := p.catalog.Check(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range words {
		r.Damage = append(r.Damage, Damage{What: "the catalog is damaged: " + w, Mending: "restore the catalog from a backup"})
	}
	seen := map[millpond.Digest]bool{}
	if err := p.checkHoldings(ctx, o, r, seen); err != nil {
		return nil, err
	}
	if err := p.checkHosted(ctx, o, r, seen); err != nil {
		return nil, err
	}
	if err := p.checkBlobs(ctx, o, r, seen); err != nil {
		return r, err
	}
	if o.ReadData {
		p.did(ctx, jobCheck)
	}
	return r, nil
}

// checkHoldings looks at every file that is said to be held.
func (p *Pond) checkHoldings(ctx context.Context, o CheckOptions, r *Report, seen map[millpond.Digest]bool) error {
	layers, err := p.catalog.Layers(ctx)
	if err != nil {
		return err
	}
	for layer := range layers {
		for h, err := range p.catalog.Held(ctx, layer, "") {
			if err != nil {
				return err
			}
			if h.Blob.IsZero() || seen[h.Blob] {
				continue
			}
			seen[h.Blob] = true
			what, err := p.checkBlob(ctx, o, r, h.Blob, h.Size)
			if err != nil {
				return err
			}
			if what == "" {
				continue
			}
			now, err := p.catalog.Holding(ctx, layer, h.Key)
			if err != nil && !millpond.Is(err, millpond.NotFound) {
				return err
			}
			if now == nil || now.Blob != h.Blob { // it was evicted since the record was read
				delete(seen, h.Blob)
				continue
			}
			if err := p.found(ctx, o, r, Damage{What: what, Digest: h.Blob, Names: []string{layer + " " + h.Key.String()}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkBlobs looks at the blobs that no holding names: kept documents, derived ones, and orphans.
func (p *Pond) checkBlobs(ctx context.Context, o CheckOptions, r *Report, seen map[millpond.Digest]bool) error {
	for d, err := range p.blobs.List(ctx, millpond.Digest{}) {
		if err != nil {
			return err
		}
		if seen[d] {
			continue
		}
		named, err := p.catalog.Named(ctx, []millpond.Digest{d})
		if err != nil {
			return err
		}
		if !named[d] {
			if r.Orphans++; len(r.Unnamed) < 1000 {
				r.Unnamed = append(r.Unnamed, d)
			}
		}
		what, err := p.checkBlob(ctx, o, r, d, -1)
		if err != nil {
			return err
		}
		if what == missing { // what was swept since the list was read is no damage
			if named, err = p.catalog.Named(ctx, []millpond.Digest{d}); err != nil {
				return err
			}
			if !named[d] {
				continue
			}
		}
		if what != "" {
			if err := p.found(ctx, o, r, Damage{What: what, Digest: d, Names: []string{"a document"}}); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	rotten  = "the bytes are others than were sealed"
	missing = "the bytes are missing"
)

// checkBlob returns what is wrong with one blob, "" if nothing is.
func (p *Pond) checkBlob(ctx context.Context, o CheckOptions, r *Report, d millpond.Digest, size int64) (string, error) {
	info, err := p.blobs.Stat(ctx, d)
	if millpond.Is(err, millpond.NotFound) {
		return missing, nil
	}
	if err != nil {
		return "", err
	}
	r.Blobs++
	r.Bytes += info.Size
	if o.Progress != nil {
		o.Progress(r.Blobs, 0)
	}
	if size >= 0 && info.Size != size {
		return fmt.Sprintf("there are %d bytes, not %d", info.Size, size), nil
	}
	if !o.ReadData {
		return "", nil
	}
	body, err := p.blobs.Open(ctx, d, 0, -1)
	if millpond.Is(err, millpond.NotFound) {
		return missing, nil
	}
	if err != nil {
		return "the bytes cannot be opened: " + err.Error(), nil
	}
	defer body.Close()
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{body}, make([]byte, 256<<10)); err != nil {
		return "the bytes cannot be read: " + err.Error(), nil
	}
	if got, err := millpond.NewDigest("sha256", sum.Sum(nil)); err != nil || got != d {
		return rotten, err
	}
	return "", nil
}

// found records a damage and mends it if that was asked for.
func (p *Pond) found(ctx context.Context, o CheckOptions, r *Report, d Damage) error {
	if d.Mending == "" {
		d.Mending = "it is fetched again when it is asked for, after check --repair"
	}
	if o.Repair && (!d.Hosted || d.rotten) {
		if err := p.catalog.LoseBlob(ctx, d.Digest); err != nil {
			return err
		}
		if err := p.setAside(ctx, d.Digest); err != nil && !millpond.Is(err, millpond.NotFound) {
			return err
		}
		p.forgetBlob(d.Digest)
		if d.Hosted {
			d.Mending = "set aside; " + d.Mending // no reader gets it, and its bytes sealed again take its place
		} else {
			d.Mending = "set aside; it is fetched again when it is asked for"
			r.Repaired++
		}
	}
	r.Damage = append(r.Damage, d)
	return nil
}

// Stats are the figures of millpond stats and the metrics.
type Stats struct {
	HeldBytes    int64            `json:"held_bytes"`
	DerivedBytes int64            `json:"derived_bytes"`
	Held         int64            `json:"held"`
	Answers      int64            `json:"answers"`
	Free         int64            `json:"free"` // of the disk; negative if not known
	Total        int64            `json:"total"`
	Fetch        fetch.Stats      `json:"fetch"`
	Layers       map[string]int64 `json:"layers"`           // bytes held, by repository/upstream
	Flagged      int64            `json:"flagged"`          // files of upstreams, fetched since the start, that publishing would refuse
	Due          int              `json:"due"`              // fetched files that are still to be looked through for it
	Low          bool             `json:"low"`              // the disk is low: fills are not kept
	Stopped      string           `json:"stopped,omitzero"` // why writes stopped; "" if they go on
	Writing      catalog.Writing  `json:"-"`                // how the catalog's writes are getting on
	Seq          int64            `json:"seq"`              // of the last event

	Evicted int64                `json:"evicted"`        // blobs that made room since the start
	Freed   int64                `json:"freed"`          // bytes of them
	Orphans int64                `json:"orphan_bytes"`   // of blobs that the last sweep found and nothing names; -1 before the first
	Leaks   int64                `json:"leaks,omitzero"` // documents, computed since the start, that name an upstream's address
	Done    map[string]time.Time `json:"done"`           // when work of the pond's own last went well
	Holds   map[string]int       `json:"holds"`          // versions that a rule holds, by format, of the listings that are in memory
}

// Stats sums up the pond.
func (p *Pond) Stats(ctx context.Context) (Stats, error) {
	t, err := p.catalog.Totals(ctx)
	if err != nil {
		return Stats{}, err
	}
	room, err := p.blobs.Room(ctx)
	if err != nil {
		return Stats{}, err
	}
	s := Stats{
		HeldBytes: t.HeldBytes, DerivedBytes: t.DerivedBytes, Held: t.Holdings, Answers: t.Answers,
		Free: room.Free, Total: room.Total, Fetch: p.fetch.Stats(), Low: p.low(),
	}
	p.inspections.mu.Lock()
	s.Flagged, s.Due = p.inspections.flagged, len(p.inspections.due)
	p.inspections.mu.Unlock()
	if s.Layers, err = p.catalog.Layers(ctx); err != nil {
		return Stats{}, err
	}
	maps.DeleteFunc(s.Layers, func(name string, _ int64) bool { return !strings.Contains(name, "/") }) // views are no layer
	if err := p.Stopped(); err != nil {
		s.Stopped = err.Error()
	}
	if o, ok := p.catalog.(catalog.Observed); ok {
		s.Writing = o.Writing()
	}
	head, err := p.catalog.Head(ctx)
	if err != nil {
		return Stats{}, err
	}
	s.Seq = head.Seq
	p.jobs.addTo(&s)
	s.Holds = p.holds()
	return s, nil
}

// holds counts the versions that rules hold back for a time, by format, in the listings that are in memory: those that somebody
// has read lately.
func (p *Pond) holds() map[string]int {
	all := map[string]int{}
	for _, r := range p.Repositories() {
		format := r.config.Format.Info().Name
		all[format] += 0
		for _, v := range r.views.All() {
			if v.judged != nil {
				all[format] += v.judged.Held()
			}
		}
	}
	return all
}

// Stuck says what of the pond has not moved in a while that ends now, as catalog.Observed does; nil if all moves.
func (p *Pond) Stuck(now time.Time, within time.Duration) error {
	if o, ok := p.catalog.(catalog.Observed); ok {
		return o.Stuck(now, within)
	}
	return nil
}

// Stopped is why nothing can be written until a restart; nil while all is well.
func (p *Pond) Stopped() error {
	var errs []error
	for _, part := range []any{p.blobs, p.catalog} {
		if s, ok := part.(blob.Stopper); ok {
			errs = append(errs, s.Stopped())
		}
	}
	return errors.Join(errs...)
}
