package debian

import (
	"sync"
	"time"

	"millpond"
	"millpond/format"
)

// A client without by-hash asks for indexes by their paths, which may mean something else a moment after it was given a
// Release. With the option pin_clients its address is remembered, and the paths mean for a while what that Release lists.

// mostPins is how many clients are remembered; then all are forgotten.
const mostPins = 10_000

// pins remember which Release clients were given.
type pins struct {
	mu  sync.Mutex // guards all
	all map[pinned]pin
}

type pinned struct{ client, suite string }

type pin struct{ release, given time.Time }

func (h handler) pins() *pins {
	s, ok := h.repo.(format.Sharer)
	if !ok {
		return nil
	}
	return s.Shared("pins", func() any { return &pins{all: map[pinned]pin{}} }).(*pins)
}

// pinFor is how long a client is pinned; 0 is not at all.
func (h handler) pinFor() (time.Duration, error) {
	text := h.repo.Option("pin_clients")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, &millpond.Error{Kind: millpond.Unready, Why: "the option pin_clients is " + text + ": not a time like 120s"}
	}
	return d, nil
}

// pin remembers that a client was given the Release of a suite that is of that time.
func (h handler) pin(of Path, release time.Time) error {
	if !of.At.IsZero() {
		return nil // it has asked for a snapshot
	}
	d, err := h.pinFor()
	if err != nil || d == 0 {
		return err
	}
	client := h.repo.Who().Client
	if p := h.pins(); client != "" && p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.all) >= mostPins {
			clear(p.all)
		}
		p.all[pinned{client, of.Suite}] = pin{release, h.repo.Now()}
	}
	return nil
}

// pinnedAt is the time of the Release that a client was given not long ago; zero if it was given none.
func (h handler) pinnedAt(suite string) (time.Time, error) {
	d, err := h.pinFor()
	if err != nil || d == 0 {
		return time.Time{}, err
	}
	client, p := h.repo.Who().Client, h.pins()
	if client == "" || p == nil {
		return time.Time{}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.all[pinned{client, suite}]
	if age := h.repo.Now().Sub(one.given); !ok || age < 0 || age > d {
		return time.Time{}, nil
	}
	return one.release, nil
}
