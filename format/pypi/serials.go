package pypi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"millpond"
	"millpond/format"
)

// serials number what changes in a repository, for mirrors that follow it: they ask for the list of all names, and read those
// whose number is above the highest that they knew. There is one counter, for what upstreams change, which they number
// themselves, and for what is published, yanked and deleted here and holds that end, which they know nothing of. It only
// grows, and is never below the upstreams' highest, so that a mirror may move from them to the pond.
//
// Numbers are given when the list of all names is read: all that has changed since it was last read gets the next one. An
// upstream's names have no entry each, for there may be a million: that its list was once seen to go up to a serial says what
// number all names up to there have.
type serials struct {
	mu     sync.Mutex // held while numbers are given, and so across the reading of lists
	loaded bool
	unkept bool   // there is something that a start would not know
	mark   string // of the Observer, up to which changes have their numbers; "" looks at everything
	stamp  string // of the list of all names that was read last
	numbered
}

// numbered is what is kept over restarts.
type numbered struct {
	Last   int64             `json:"last"`             // the number that was given last
	Layers map[string][]poll `json:"layers,omitempty"` // of each upstream that numbers, rising: their serials mean nothing to each other
	Own    map[string]*own   `json:"own,omitempty"`    // names with changes of our own, and with holds that will end
}

// A poll found an upstream's names changed up to a serial: those above the poll before it have that number, or their own
// serial if that is more.
type poll struct {
	UpTo   int64 `json:"up_to"`
	Number int64 `json:"number"`
}

// own is what is known of a name of which an upstream's serials do not tell all.
type own struct {
	Number int64     `json:"number,omitempty"` // 0 if it never changed by us
	Print  string    `json:"print"`            // of what readers saw when that was
	Until  time.Time `json:"until,omitzero"`   // when a hold ends that keeps something of it back; zero if none does
}

const (
	serialsName = "serials"
	// mostPolls are remembered; of those before them all names have the number of the oldest that is.
	mostPolls = 4096
)

// serials are those that callers share who may read all names; nil for callers who may not, and have only the
// upstreams' numbers.
func (h handler) serials() *serials {
	shared, can := h.repo.(format.Sharer)
	if readers, ok := h.repo.(format.Historian); !ok || !can || readers.Readership() != "all" {
		return nil
	}
	if _, ok := h.repo.(format.Observer); !ok {
		return nil
	}
	return shared.Shared(serialsName, func() any { return &serials{} }).(*serials)
}

// number is the number of a name, which these layers numbered so; 0 if it has none.
func (h handler) number(ctx context.Context, name string, upstream map[string]int64) (int64, error) {
	s := h.serials()
	if s == nil {
		return highestOf(upstream), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(ctx, h.repo.(format.Observer)); err != nil {
		return 0, err
	}
	n := s.own(name)
	for layer, serial := range upstream {
		n = max(n, s.number(layer, serial))
	}
	return n, nil
}

func highestOf(serials map[string]int64) (highest int64) {
	for _, n := range serials {
		highest = max(highest, n)
	}
	return highest
}

// of is number for who has polled: of a name in the list of all.
func (s *serials) of(c format.Change) int64 {
	if s == nil {
		n := serialOf(c.Cursor)
		for _, below := range c.Below {
			n = max(n, serialOf(below.Cursor))
		}
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := max(s.own(c.Name), s.number(c.Layer, serialOf(c.Cursor)))
	for _, below := range c.Below {
		n = max(n, s.number(below.Layer, serialOf(below.Cursor)))
	}
	return n
}

// number is that of what a layer numbered so.
func (s *serials) number(layer string, serial int64) int64 {
	polls := s.Layers[layer]
	if serial <= 0 || len(polls) == 0 {
		return serial
	}
	if i := sort.Search(len(polls), func(i int) bool { return polls[i].UpTo >= serial }); i < len(polls) {
		return max(serial, polls[i].Number)
	}
	return max(serial, s.Last) // newer than the list that was last read
}

func (s *serials) own(name string) int64 {
	if o := s.Own[name]; o != nil {
		return o.Number
	}
	return 0
}

// poll gives numbers to all that has changed, and returns the last one given.
func (s *serials) poll(ctx context.Context, h handler) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	observer := h.repo.(format.Observer) // or there were no serials
	if err := s.load(ctx, observer); err != nil {
		return 0, err
	}
	names, mark, known := observer.Changed(s.mark)
	if !known {
		names = slices.Collect(maps.Keys(s.Own))
		for r, err := range h.repo.Records(ctx, "") {
			if err != nil {
				return 0, err
			}
			names = append(names, r.Name)
		}
	}
	now := h.repo.Now()
	for name, o := range s.Own {
		if !o.Until.IsZero() && !o.Until.After(now) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	changed := map[string]*own{}
	for _, name := range slices.Compact(names) {
		next, err := h.look(ctx, name)
		if err != nil {
			return 0, err
		}
		if was := s.Own[name]; was == nil || was.Print != next.Print || !was.Until.Equal(next.Until) {
			changed[name] = next
		}
	}
	stamp, _, err := h.repo.Stamp(ctx, "")
	if err != nil {
		return 0, err
	}
	var highest map[string]int64
	if stamp != s.stamp {
		if highest, err = h.highest(ctx); err != nil {
			return 0, err
		}
	}
	if s.give(changed, highest) || s.unkept {
		text, err := json.Marshal(&s.numbered)
		if err != nil {
			return 0, err
		}
		if len(text) < 1<<20 { // else a start numbers what is hosted anew
			if err := observer.Remember(ctx, serialsName, text); err != nil {
				return 0, err
			}
		}
		s.unkept = false
	}
	s.mark, s.stamp = mark, stamp
	return s.Last, nil
}

// give numbers what has changed, and reports whether anything has. highest is the highest serial of each layer; nil if the lists
// are those that were last read.
func (s *serials) give(changed map[string]*own, highest map[string]int64) bool {
	if s.Layers == nil {
		s.Layers = map[string][]poll{}
	}
	grown := map[string]int64{}
	for layer, n := range highest {
		if polls := s.Layers[layer]; n > 0 && (len(polls) == 0 || n > polls[len(polls)-1].UpTo) {
			grown[layer] = n
		}
	}
	if len(changed)+len(grown) == 0 {
		return false
	}
	if len(s.Layers) == 0 && len(grown) > 0 {
		// Names of the layer that has counted furthest keep the numbers that a mirror of that upstream knows. Those of the others
		// get one that such a mirror has not seen.
		first := ""
		for layer, n := range grown {
			if first == "" || n > grown[first] || n == grown[first] && layer < first {
				first = layer
			}
		}
		s.Last = max(s.Last, grown[first])
		s.Layers[first] = []poll{{UpTo: grown[first]}}
		delete(grown, first)
	}
	next := max(s.Last+1, highestOf(grown))
	used := len(grown) > 0
	for layer, n := range grown {
		polls := append(s.Layers[layer], poll{n, next})
		if len(polls) > mostPolls {
			polls = slices.Clone(polls[mostPolls/2:])
		}
		s.Layers[layer] = polls
	}
	for name, o := range changed {
		was := s.Own[name]
		if was != nil {
			o.Number = was.Number
		}
		if was == nil || was.Print != o.Print {
			o.Number, used = next, true
		}
		if s.Own == nil {
			s.Own = map[string]*own{}
		}
		s.Own[name] = o
	}
	if used {
		s.Last = next
	}
	return true
}

func (s *serials) load(ctx context.Context, from format.Observer) error {
	if s.loaded {
		return nil
	}
	text, err := from.Recall(ctx, serialsName)
	if err != nil {
		return err
	}
	var kept numbered
	if text != nil && json.Unmarshal(text, &kept) == nil { // what is damaged is begun anew
		s.numbered = kept
	}
	s.loaded = true
	return nil
}

// saw notes that a name has something that is kept back until a time, though nothing of it was ever changed here.
func (s *serials) saw(view *millpond.Package, now time.Time) {
	until := heldUntil(view, now)
	if s == nil || until.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Own == nil {
		s.Own = map[string]*own{}
	}
	if s.Own[view.Name] == nil {
		s.Own[view.Name], s.unkept = &own{Print: printOf(view), Until: until}, true
	}
}

// look is how a name is now.
func (h handler) look(ctx context.Context, name string) (*own, error) {
	view, err := h.repo.Package(ctx, name)
	switch {
	case millpond.Is(err, millpond.NotFound), millpond.Is(err, millpond.Gone), millpond.Is(err, millpond.Blocked), millpond.Is(err, millpond.Denied):
		return &own{Print: "none"}, nil
	case err != nil:
		return nil, err
	}
	return &own{Print: printOf(view), Until: heldUntil(view, h.repo.Now())}, nil
}

// heldUntil is when the first of what is kept back will be shown; zero if nothing is kept back for a time.
func heldUntil(view *millpond.Package, now time.Time) (first time.Time) {
	for _, hidden := range view.Hidden {
		if hidden.After.After(now) && (first.IsZero() || hidden.After.Before(first)) {
			first = hidden.After
		}
	}
	return first
}

// printOf is the same for views that make the same page.
func printOf(view *millpond.Package) string {
	sum := sha256.New()
	meta := readParts(view.Parts)
	fmt.Fprintf(sum, "%q %q %q\n", meta.Status, meta.Reason, view.Blocked)
	for i := range view.Versions {
		v := &view.Versions[i]
		fmt.Fprintf(sum, "%q %t %q\n", v.Name, v.Yanked, v.YankedWhy)
		for j := range v.Files {
			f := &v.Files[j]
			if !f.Vanished {
				fmt.Fprintf(sum, "%q %s %t %q %s\n", f.Name, shortDigest(digests(f)), f.Yanked, f.YankedWhy, f.Meta)
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// highest are the highest serials in the list of all names, by layer.
func (h handler) highest(ctx context.Context) (map[string]int64, error) {
	highest := map[string]int64{}
	note := func(layer, cursor string) {
		if n := serialOf(cursor); n > highest[layer] {
			highest[layer] = n
		}
	}
	for change, err := range h.repo.Names(ctx) {
		if err != nil {
			return nil, err
		}
		note(change.Layer, change.Cursor)
		for _, below := range change.Below {
			note(below.Layer, below.Cursor)
		}
	}
	return highest, nil
}
