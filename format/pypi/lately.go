package pypi

import (
	"sync"

	"millpond/format"
)

// A lately keeps the upstreams' serials of the names whose pages were asked for lately, so that not every answer reads them
// anew. The zero lately is empty; a nil one keeps nothing.
type lately struct {
	mu   sync.Mutex // guards said
	said map[string]said
}

// said is what upstreams said of a name, by layer, in the view with that stamp.
type said struct {
	stamp   string
	serials map[string]int64
}

// mostLately are kept: more than are asked for again and again.
const mostLately = 4096

// lately is shared by callers who may read the same names; nil where nothing is.
func (h handler) lately() *lately {
	shared, ok := h.repo.(format.Sharer)
	if !ok {
		return nil
	}
	return shared.Shared("lately", func() any { return &lately{} }).(*lately)
}

func (l *lately) get(name, stamp string) (map[string]int64, bool) {
	if l == nil {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.said[name]
	return one.serials, ok && one.stamp == stamp
}

func (l *lately) put(name, stamp string, serials map[string]int64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.said == nil || len(l.said) >= mostLately {
		l.said = map[string]said{}
	}
	l.said[name] = said{stamp, serials}
}
