package repo

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"millpond/catalog"
)

// Work of the pond's own, as metrics name it.
const (
	jobSweep = "sweep"
	jobCheck = "check" // of all bytes
)

// jobsSetting is where it is kept when each last went well.
const jobsSetting = "jobs"

// jobs are when the pond's own work last went well, and what came of it.
type jobs struct {
	mu      sync.Mutex // guards what follows
	last    map[string]time.Time
	evicted int64 // blobs, since the start
	freed   int64 // bytes of them
	orphans int64 // bytes of blobs that the last sweep found and that nothing names yet, or no longer; -1 before there was one
	leaks   int64 // documents that named an upstream's address
}

// takeUpJobs reads what an earlier process noted.
func (p *Pond) takeUpJobs(ctx context.Context) error {
	p.jobs.last, p.jobs.orphans = map[string]time.Time{}, -1
	return p.catalog.View(ctx, func(tx catalog.Tx) error {
		raw, err := tx.Setting(jobsSetting)
		if err != nil || raw == nil {
			return err
		}
		if err := json.Unmarshal(raw, &p.jobs.last); err != nil {
			p.log.WarnContext(ctx, "when the pond's own work was last done cannot be read", "error", err)
			p.jobs.last = map[string]time.Time{}
		}
		return nil
	})
}

// did notes that some work has gone well. That it cannot be kept is said in the log alone.
func (p *Pond) did(ctx context.Context, job string) {
	p.jobs.mu.Lock()
	p.jobs.last[job] = p.now().UTC().Truncate(time.Second)
	raw, err := json.Marshal(p.jobs.last)
	p.jobs.mu.Unlock()
	if err == nil {
		err = p.catalog.Update(ctx, byPond, func(tx catalog.Tx) error { return tx.SetSetting(jobsSetting, raw) })
	}
	if err != nil {
		p.log.WarnContext(ctx, "that work was done cannot be noted", "job", job, "error", err)
	}
}

// addTo adds what is known of the pond's own work.
func (j *jobs) addTo(s *Stats) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.Evicted, s.Freed, s.Orphans, s.Leaks = j.evicted, j.freed, j.orphans, j.leaks
	s.Done = make(map[string]time.Time, len(j.last))
	for name, at := range j.last {
		s.Done[name] = at
	}
}
