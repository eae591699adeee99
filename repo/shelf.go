package repo

import (
	"strings"
	"sync"

	"millpond/format"
)

const (
	// mostShelved bounds the names on all pages of a shelf, and leastShelved is what a short page counts as.
	mostShelved  = 8192
	leastShelved = 4
)

// A shelf keeps pages of names that are hosted as they were read last, until one of their names changes: a directory that many
// look at is read once.
type shelf struct {
	mu    sync.Mutex // guards what follows
	mark  int64      // of the changes that are taken into account
	pages map[pageOf][]format.Listed
	size  int
}

// A pageOf is which page: of the names that begin with prefix and come after one, the first most.
type pageOf struct {
	prefix, after string
	most          int
}

func shelved(page []format.Listed) int { return max(len(page), leastShelved) }

// get is a page on which nothing has changed, and the mark for put of whoever must read it.
func (s *shelf) get(c *changes, of pageOf) (page []format.Listed, ok bool, mark int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, next, known := c.since(s.mark)
	s.mark = next
	if !known {
		s.clear()
	}
	for _, name := range names {
		for other, page := range s.pages {
			if strings.HasPrefix(name, other.prefix) {
				s.size -= shelved(page)
				delete(s.pages, other)
			}
		}
	}
	page, ok = s.pages[of]
	return page, ok, next
}

// put keeps a page that was read after a mark, unless something on it has changed since.
func (s *shelf) put(c *changes, of pageOf, page []format.Listed, mark int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, _, known := c.since(mark)
	if !known || s.mark < mark {
		return
	}
	for _, name := range names {
		if strings.HasPrefix(name, of.prefix) {
			return
		}
	}
	if s.size += shelved(page); s.size > mostShelved || s.pages == nil {
		s.clear()
		s.size = shelved(page)
	}
	s.pages[of] = page
}

func (s *shelf) clear() { s.pages, s.size = map[pageOf][]format.Listed{}, 0 }
