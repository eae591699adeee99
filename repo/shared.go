package repo

import (
	"sync"

	"millpond"
)

// mostShared is how many values handlers may share: a caller who may read some names only has values of his own.
const mostShared = 64

// A shared is what the handlers of a repository remember together.
type shared struct {
	mu     sync.Mutex // guards values
	values map[sharedKey]any
}

type sharedKey struct {
	name, scope string
	held        bool
}

// Shared implements format.Sharer.
func (b *bound) Shared(name string, make func() any) any {
	s := &b.sharing
	key := sharedKey{name, b.rights().Scope(millpond.VerbRead, b.config.Name), b.heldOnly}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.values[key]; ok {
		return v
	}
	if s.values == nil || len(s.values) >= mostShared {
		s.values = map[sharedKey]any{} // who is still there makes his anew
	}
	v := make()
	s.values[key] = v
	return v
}
