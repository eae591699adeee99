package repo

import (
	"sync"
	"time"
)

// failures remember what failed, for a while.
type failures struct {
	mu sync.Mutex // guards m
	m  map[string]failure
}

func (f *failures) recent(name string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x, ok := f.m[name]; ok {
		if stands(now, x.at, x.until) {
			return x.err
		}
		delete(f.m, name)
	}
	return nil
}

func (f *failures) remember(name string, now time.Time, d time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep(name, failure{err, now, now.Add(d)})
}

// keep is called with mu held.
func (f *failures) keep(name string, x failure) {
	if f.m == nil || len(f.m) > 10_000 {
		f.m = map[string]failure{}
	}
	f.m[name] = x
}

// once reports whether it was not called with that name for a while.
func (f *failures) once(name string, now time.Time, d time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x, ok := f.m[name]; ok && stands(now, x.at, x.until) {
		return false
	}
	f.keep(name, failure{errRefreshed, now, now.Add(d)})
	return true
}
