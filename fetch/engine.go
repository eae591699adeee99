package fetch

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"millpond/blob"
)

// An Engine does all of a pond's fetching. Set its fields before its first use.
type Engine struct {
	Blobs    blob.Store
	Log      *slog.Logger     // nil discards
	Now      func() time.Time // nil is time.Now
	Version  string           // for the User-Agent
	Instance string           // this pond's id: answers that passed through it are refused as a loop
	Most     int              // downloads at once, of all upstreams; 0 is 256
	Waiting  int              // readers waiting for a download to begin; 0 is 1,024
}

// An Upstream is one origin as an Engine knows it: its settings, its breaker, its budget.
type Upstream struct{}

// State tells how an upstream is.
type State struct {
	Name, URL                 string
	Open                      bool      // the breaker is open: it is not asked
	Until                     time.Time // when it is asked again
	Why                       string    // the last failure, in words
	Alarm                     string    // what an operator must mend: "credentials of pypi refused"; "" if nothing
	Requests, Failures, Bytes int64
	InFlight                  int
}

// Stats are an engine's figures.
type Stats struct {
	Fills, Followers, Waiting                 int
	Requests, Failures, Bytes, Corrupt, Loops int64
}

// Upstream begins to know an upstream. Engines forget upstreams that are no longer used; two with equal settings share
// their breaker and budget. It is Invalid if the settings cannot be used.
func (e *Engine) Upstream(s Settings) (*Upstream, error) { panic("being written") }

// Close lets downloads end until ctx does, then stops them; what they have is kept for Resume.
func (e *Engine) Close(ctx context.Context) error { panic("being written") }

// Stats are the engine's figures now.
func (e *Engine) Stats() Stats { panic("being written") }

// Settings are the upstream's own.
func (u *Upstream) Settings() Settings { panic("being written") }

// State tells how the upstream is.
func (u *Upstream) State() State { panic("being written") }

// Get reads a document. NotFound on 404, 410 and 451; Throttled on 429; BadUpstream on everything else that is not a
// document, with what happened in Why.
func (u *Upstream) Get(ctx context.Context, r Request) (*Document, error) { panic("being written") }

// Open opens a file: it begins the download, or joins the one that runs. The download goes on when ctx ends. Open returns
// when the first bytes that may be read are there (all of them, for a small file), or the error with nothing to read.
func (u *Upstream) Open(ctx context.Context, f File) (Body, error) { panic("being written") }

// Relay sends a question and returns the answer as it comes, bounded by limit. It is not retried, except when nothing was
// sent. The caller closes the body.
func (u *Upstream) Relay(ctx context.Context, r *http.Request, limit int64) (*http.Response, error) {
	panic("being written")
}
