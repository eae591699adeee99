package repo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// VerbTakedown is the verb of the event of a takedown, whose Detail is the Takedown.
const VerbTakedown = "takedown"

// takedowns are the entries that say what must not be served, whatever repository it is in.
const takedowns = "takedown"

// A Takedown keeps a package, some versions of it, or bytes from every reader, in all repositories and layers. Its evidence
// stays: nothing is deleted.
type Takedown struct {
	ID       string
	Format   string          // name of the format; with Digest alone it may be ""
	Package  string          // canonical; "" if Digest alone says what is meant
	Version  string          // this one; "" leaves it to Versions
	Versions string          // in the format's own range syntax; "" is every version
	Affected []Span          `json:",omitempty"` // what an advisory says of which versions; any of them; none leaves it to Version and Versions
	Advisory string          `json:",omitempty"` // the record of a feed that asked for it; "" if somebody did
	Digest   millpond.Digest // a sha256; zero if it is not about bytes
	Why      string          // in the words that clients are told
	By       string
	Time     time.Time
}

// words are what a client is told.
func (t *Takedown) words() string {
	if t.ID == "" {
		return t.Why
	}
	return fmt.Sprintf("taken down by %s on %s: %s", t.By, day(t.Time), t.Why)
}

func (t *Takedown) blocked(k millpond.Key) error {
	if t.ID == "" {
		return &millpond.Error{Kind: millpond.Unready, Key: k, Why: t.Why, Hint: "ask again in a moment"}
	}
	return &millpond.Error{Kind: millpond.Blocked, Key: k, Why: t.words(), Hint: "use another version; its operator can lift the takedown"}
}

// startPatience is how long a start waits for the takedowns: hundreds of thousands take a second or two.
const startPatience = 200 * time.Millisecond

// firstTakedowns reads them for the first time. After a while it goes on behind: what asks for them then waits, and nothing is
// served without them.
func (p *Pond) firstTakedowns(ctx context.Context) error {
	first := make(chan error, 1)
	p.goes(func(life context.Context) {
		err := p.loadTakedowns(life)
		if first <- err; err == nil {
			return
		}
		// Whoever waits is refused rather than kept, until they can be read.
		p.takedowns.CompareAndSwap(nil, &takedownTable{unknown: &Takedown{Why: "what was taken down cannot be read now"}})
		p.takenUpOnce.Do(func() { close(p.takenUp) })
		p.againTakedowns(err)
	})
	patience := time.NewTimer(startPatience)
	defer patience.Stop()
	select {
	case err := <-first:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		return nil
	}
}

// againTakedowns reads them once a second until it can, after it could not. What is committed meanwhile, and cannot be read back
// either, is what it reads in the end.
func (p *Pond) againTakedowns(err error) {
	if !p.rereading.CompareAndSwap(false, true) {
		return
	}
	p.goes(func(life context.Context) {
		again := time.NewTicker(time.Second)
		defer again.Stop()
		for {
			p.log.ErrorContext(life, "takedowns cannot be read; what was known of them counts, or nothing is served, and it is tried again", "error", err)
			select {
			case <-life.Done():
				return
			case <-again.C:
			}
			p.rereading.Store(false) // before it reads: whoever fails from here on begins anew
			if err = p.loadTakedowns(life); err == nil {
				p.forgetAll() // what was refused, or shown, meanwhile
				return
			}
			if !p.rereading.CompareAndSwap(false, true) {
				return // who failed meanwhile has begun anew
			}
		}
	})
}

// showTakedowns has readers see what was taken down or lifted. It is committed, and so it is to be in force though its client has
// left, or it cannot be read back now: the error says that it is not yet.
func (p *Pond) showTakedowns(ctx context.Context) error {
	err := p.loadTakedowns(context.WithoutCancel(ctx))
	p.forgetAll()
	if err != nil {
		p.againTakedowns(err)
		return fmt.Errorf("it is kept, and will be in force as soon as takedowns can be read: %w", err)
	}
	return nil
}

// down are the takedowns, once they were read.
func (p *Pond) down() *takedownTable {
	if t := p.takedowns.Load(); t != nil {
		return t
	}
	<-p.takenUp
	return p.takedowns.Load()
}

// loadTakedowns reads them all. What was committed before the call stands when it returns.
func (p *Pond) loadTakedowns(ctx context.Context) error {
	p.downing.Lock()
	defer p.downing.Unlock()
	var all []*Takedown
	sum := sha256.New()
	err := p.catalog.View(ctx, func(tx catalog.Tx) error {
		all = nil
		sum.Reset()
		for e, err := range tx.Entries(takedowns, "") {
			if err != nil {
				return err
			}
			t := &Takedown{}
			if err := json.Unmarshal(e.Value, t); err != nil {
				return fmt.Errorf("takedown %s: %w", e.ID, err)
			}
			all = append(all, t)
			fmt.Fprintf(sum, "%s %s\n", e.ID, e.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.takedowns.Store(newTakedowns(all, hex.EncodeToString(sum.Sum(nil)[:16])))
	p.takenUpOnce.Do(func() { close(p.takenUp) })
	return nil
}

// A takedownTable is all takedowns, as they are looked for: a feed may ask for hundreds of thousands.
type takedownTable struct {
	unknown *Takedown // of everything: they cannot be read; nil if they were
	all     []*Takedown
	named   map[takedownName][]*Takedown
	formats map[string]bool               // of which packages are named
	bytes   map[millpond.Digest]*Takedown // the first of them
	digest  string                        // of all that they say
}

type takedownName struct{ format, pkg string }

func newTakedowns(all []*Takedown, digest string) *takedownTable {
	t := &takedownTable{all: all, digest: digest, named: make(map[takedownName][]*Takedown, len(all)), formats: map[string]bool{}, bytes: map[millpond.Digest]*Takedown{}}
	for _, one := range all {
		if one.Package != "" {
			at := takedownName{one.Format, one.Package}
			t.named[at], t.formats[one.Format] = append(t.named[at], one), true
		}
		if !one.Digest.IsZero() && t.bytes[one.Digest] == nil {
			t.bytes[one.Digest] = one
		}
	}
	return t
}

// takenDown is the takedown that a file or a version falls under, nil if there is none. Version "" asks about the package as a
// whole.
func (r *Repository) takenDown(k millpond.Key) *Takedown {
	table := r.pond.down()
	if table.unknown != nil {
		return table.unknown
	}
	for _, t := range table.named[takedownName{r.info.Name, k.Package}] {
		if t.Version == "" && t.Versions == "" && len(t.Affected) == 0 {
			return t
		}
		if k.Version == "" {
			continue
		}
		if len(t.Affected) > 0 {
			if slices.ContainsFunc(t.Affected, func(s Span) bool { return s.holds(r, k) }) {
				return t
			}
			continue
		}
		if t.Version != "" {
			if t.Version == k.Version || r.config.Format.Compare(t.Version, k.Version) == 0 {
				return t
			}
			continue
		}
		// What cannot be told apart is refused.
		if in, err := r.config.Format.Match(t.Versions, k.Version); err != nil || in {
			return t
		}
	}
	return nil
}

// takenDownFiles are the takedowns that the files of a version fall under, by their names, where it counts of which release of a
// distribution they are; whole is that of all of them, and of a version of which no files are known.
func (r *Repository) takenDownFiles(pkg string, v *millpond.Version) (whole *Takedown, files map[string]*Takedown) {
	if _, ok := r.config.Format.(format.Distributor); !ok || len(v.Files) == 0 {
		return r.takenDown(millpond.Key{Package: pkg, Version: v.Name}), nil
	}
	for i := range v.Files {
		if t := r.takenDown(millpond.Key{Package: pkg, Version: v.Name, File: v.Files[i].Name}); t != nil {
			if files == nil {
				files = map[string]*Takedown{}
			}
			files[v.Files[i].Name], whole = t, t
		}
	}
	if len(files) < len(v.Files) {
		whole = nil
	}
	return whole, files
}

// ByRelease implements format.Judger.
func (b *bound) ByRelease(pkg string) bool {
	table := b.pond.down()
	return table.unknown != nil || slices.ContainsFunc(table.named[takedownName{b.info.Name, pkg}], func(t *Takedown) bool {
		return slices.ContainsFunc(t.Affected, func(s Span) bool { return s.Release != "" })
	})
}

// takenDownBytes is the takedown that bytes fall under.
func (p *Pond) takenDownBytes(ds ...millpond.Digest) *Takedown {
	table := p.down()
	if table.unknown != nil {
		return table.unknown
	}
	if len(table.bytes) == 0 {
		return nil
	}
	for _, d := range ds {
		if t := table.bytes[d]; t != nil {
			return t
		}
	}
	return nil
}

// operator is an error unless the caller may operate the pond as a whole.
func operator(rights Rights, c Caller) error {
	if rights != nil && rights.May(millpond.VerbOperate, "", "") {
		return nil
	}
	if c.Name == "" {
		return &millpond.Error{Kind: millpond.Unauthenticated, Why: "this wants an operator's credential", Hint: "millpond login makes one"}
	}
	return &millpond.Error{Kind: millpond.Denied, Why: c.Name + " may not operate this pond", Hint: "ask one of its administrators"}
}

func (p *Pond) operate(ctx context.Context, c Caller, f func(tx catalog.Tx) error) error {
	if err := operator(c.Rights, c); err != nil {
		return err
	}
	return p.catalog.Update(ctx, c.Actor, func(tx catalog.Tx) error {
		now, err := c.Rights.Now(tx)
		if err != nil {
			return err
		}
		if err := operator(now, c); err != nil {
			return err
		}
		return f(tx)
	})
}

// TakeDown blocks what t names at once, everywhere in this pond, and returns it with its ID.
func (p *Pond) TakeDown(ctx context.Context, c Caller, t Takedown) (*Takedown, error) {
	if err := operator(c.Rights, c); err != nil {
		return nil, err
	}
	if t.Why == "" {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a takedown says why", Hint: "clients are told these words"}
	}
	if t.Package == "" && t.Digest.IsZero() {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a takedown names a package or a digest"}
	}
	if !t.Digest.IsZero() && t.Digest.Algorithm() != "sha256" {
		// Of the others a record has those that its publisher declared: bytes would go on being read by the next name.
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "bytes are known here by their sha256, and " + t.Digest.Algorithm() + " would not meet all of them",
			Hint: "name the sha256 of the file, or the package and its version"}
	}
	if t.Package != "" {
		var f *Repository
		for _, r := range p.Repositories() {
			if r.info.Name == t.Format {
				f = r
			}
		}
		if f == nil {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("no repository here is of format %q", t.Format)}
		}
		var err error
		if t.Package, err = f.config.Format.Canon(t.Package); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(t.Affected, Span.whole) {
			t.Affected = nil
		}
		if len(t.Affected) > 0 && t.Version+t.Versions != "" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a takedown is of the spans that are affected, or of a version or range, not of both"}
		}
		if t.Version != "" && t.Versions != "" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a takedown is of one version or of a range of them, not of both"}
		}
		if t.Versions != "" {
			if _, err := f.config.Format.Match(t.Versions, "1.0.0"); millpond.Is(err, millpond.Invalid) {
				return nil, err
			}
		}
	}
	t.ID, t.By, t.Time = "t"+rand.Text()[:12], c.Name, p.now().Truncate(time.Second)
	value, err := json.Marshal(&t)
	if err != nil {
		return nil, err
	}
	err = p.operate(ctx, c, func(tx catalog.Tx) error {
		if err := tx.AddEntry(&catalog.Entry{Kind: takedowns, ID: t.ID, Value: value}); err != nil {
			return err
		}
		return tx.Emit(millpond.Event{Verb: VerbTakedown, Key: millpond.Key{Package: t.Package}, Detail: value})
	})
	if err != nil {
		return nil, err
	}
	return &t, p.showTakedowns(ctx)
}

// dropTakedown ends one in a transaction, with its event.
func dropTakedown(tx catalog.Tx, t *Takedown, why string) error {
	if err := tx.DropEntry(takedowns, t.ID); err != nil {
		return err
	}
	detail, err := details(nil, "id", t.ID, "why", why, "was", t.Why)
	if err != nil {
		return err
	}
	return tx.Emit(millpond.Event{Verb: "lift takedown", Key: millpond.Key{Package: t.Package}, Detail: detail})
}

// Takedowns lists what is taken down. The caller may operate or audit.
func (p *Pond) Takedowns(_ context.Context, c Caller) ([]Takedown, error) {
	if c.Rights == nil || !c.Rights.May(millpond.VerbAudit, "", "") {
		if err := operator(c.Rights, c); err != nil {
			return nil, err
		}
	}
	var out []Takedown
	for _, t := range p.down().all {
		out = append(out, *t)
	}
	return out, nil
}

// LiftTakedown ends a takedown.
func (p *Pond) LiftTakedown(ctx context.Context, c Caller, id, why string) error {
	err := p.operate(ctx, c, func(tx catalog.Tx) error {
		e, err := tx.Entry(takedowns, id)
		if millpond.Is(err, millpond.NotFound) {
			return &millpond.Error{Kind: millpond.NotFound, Why: "there is no takedown " + id, Hint: "'millpond takedown list' shows their ids"}
		}
		if err != nil {
			return err
		}
		var t Takedown
		if err := json.Unmarshal(e.Value, &t); err != nil {
			return err
		}
		return dropTakedown(tx, &t, why)
	})
	if err != nil {
		return err
	}
	return p.showTakedowns(ctx)
}
