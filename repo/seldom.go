package repo

import (
	"sync"
	"time"
)

// mostSaid is how many words are remembered at a time.
const mostSaid = 1000

// said remembers which words were said lately.
type said struct {
	mu   sync.Mutex // guards last
	last map[string]time.Time
}

// Seldom implements format.Tools.
func (b *bound) Seldom(word string, every time.Duration) bool {
	now, s := b.pond.now(), &b.said
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.last[word]; ok && now.Sub(at) < every {
		return false
	}
	if s.last == nil || len(s.last) >= mostSaid {
		s.last = map[string]time.Time{} // some are said once more
	}
	s.last[word] = now
	return true
}
