package repo

import (
	"context"
	"time"

	"millpond"
	"millpond/fetch"
	"millpond/format"
)

// A Pond is all repositories of one process. New makes one; Configure gives it repositories.
type Pond struct{}

// New opens a pond. The caller closes it, and after it the parts.
func New(ctx context.Context, p Parts) (*Pond, error) { panic("being written") }

// Configure replaces the settings and all repositories at once. If any of them cannot be, nothing changes and the error
// names the setting. Requests under way finish with what they began with.
func (p *Pond) Configure(ctx context.Context, s Settings, repositories []Config) error {
	panic("being written")
}

// Repositories are in the order of the configuration.
func (p *Pond) Repositories() []*Repository { panic("being written") }

// Repository returns the repository of that name, or nil.
func (p *Pond) Repository(name string) *Repository { panic("being written") }

// Instance is this pond's id, made at its first start, by which it knows itself when an upstream turns out to be it.
func (p *Pond) Instance() string { panic("being written") }

// Run does the pond's own work (eviction, sweep, flushing of uses) until ctx ends.
func (p *Pond) Run(ctx context.Context) error { panic("being written") }

// Close waits until what downloads has ended, or ctx has: what is left over resumes after the next start.
func (p *Pond) Close(ctx context.Context) error { panic("being written") }

// Check looks for damage: records without blobs, blobs with other bytes, blobs that nothing names.
func (p *Pond) Check(ctx context.Context, o CheckOptions) (*Report, error) { panic("being written") }

// CheckOptions choose how thoroughly Check looks.
type CheckOptions struct {
	ReadData bool                  // read every byte of every blob
	Repair   bool                  // drop what is damaged and can be fetched again
	Progress func(done, all int64) // nil is silent; blobs
}

// A Report is what Check found.
type Report struct {
	Blobs, Bytes int64
	Damage       []Damage
	Orphans      int64 // blobs that nothing names: no damage, swept in time
	Repaired     int
}

// A Damage is one thing that is wrong.
type Damage struct {
	What    string // in words
	Digest  millpond.Digest
	Names   []string // what the blob is to readers
	Mending string   // what was, or can be, done
}

// Stats are the figures of millpond stats and the metrics.
type Stats struct {
	HeldBytes, DerivedBytes int64
	Held, Answers           int64
	Free, Total             int64 // of the disk; negative if not known
	Fetch                   fetch.Stats
	Layers                  map[string]int64 // bytes held, by repository/upstream
	Low                     bool             // the disk is low: fills are not kept
	Stopped                 string           // why writes stopped; "" if they go on
}

// Stats sums up the pond.
func (p *Pond) Stats(ctx context.Context) (Stats, error) { panic("being written") }

// A Repository is one configured repository.
type Repository struct{}

// Config is what the repository was configured with.
func (r *Repository) Config() Config { panic("being written") }

// For is the repository as one caller may use it.
func (r *Repository) For(c Caller) format.Repo { panic("being written") }

// Upstreams tell how the repository's upstreams are.
func (r *Repository) Upstreams() []fetch.State { panic("being written") }

// An Explanation says what becomes of one version, and why.
type Explanation struct {
	Repository, Package, Version string
	Layers                       []LayerWord // what each layer says of it
	Verdict                      millpond.Verdict
	Rule                         string   // that decided; "" if none did
	WouldBe                      []string // what rules in dry-run would have said
	Files                        []FileWord
	Words                        string // what a client would be told; "" if it is served
}

// A LayerWord is what one layer says of a version.
type LayerWord struct {
	Layer   string
	State   string // "has it", "has no such package", "has no such version", "is hidden by hosted", "is ill: …"
	Checked time.Time
}

// A FileWord is what becomes of one file.
type FileWord struct {
	Name  string
	Held  bool
	Size  int64
	Words string // "" if it is served
}

// Why explains what becomes of a version; with version "" of the package. It asks upstreams as a reader would.
func (r *Repository) Why(ctx context.Context, pkg, version string) (*Explanation, error) {
	panic("being written")
}
