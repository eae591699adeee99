package fetch

import (
	"context"
	"sync"
	"time"

	"millpond"
)

const (
	// lentEarly is how long before its end a key is asked for anew, so that a service which is away for a while is not missed.
	lentEarly = 5 * time.Minute
	// lentPause is how long after one question for a key no other one is asked, whatever came of it.
	lentPause = 10 * time.Second
	// lentLimit is how long asking may take.
	lentLimit = 15 * time.Second
)

// An accessKey is what the requests for a bucket are signed with.
type accessKey struct {
	id, secret, session string    // secrets: in no error and no log
	until               time.Time // zero if it has no end
}

// A lender has the access key that the environment or the role of this machine gives, and asks for the next one before it
// ends. One question is under way; while a key is good nobody else waits for it.
type lender struct {
	ask func(context.Context) (accessKey, error)

	mu     sync.Mutex // guards what follows; never held across I/O
	key    accessKey
	err    error         // of the last question; nil if it gave a key
	again  time.Time     // when the next one may be asked
	asking chan struct{} // closed at the end of the one under way; nil if there is none
}

// current is a key that is good now.
func (l *lender) current(ctx context.Context, now func() time.Time) (accessKey, error) {
	for {
		l.mu.Lock()
		at := now()
		key, err, waited, asking := l.key, l.err, at.Before(l.again), l.asking
		good := key.id != "" && (key.until.IsZero() || at.Before(key.until))
		if good && (key.until.IsZero() || at.Before(key.until.Add(-lentEarly)) || waited || asking != nil) {
			l.mu.Unlock()
			return key, nil
		}
		if waited && asking == nil {
			l.mu.Unlock()
			return accessKey{}, noKey(err)
		}
		if asking != nil {
			l.mu.Unlock()
			select {
			case <-asking:
				continue
			case <-ctx.Done():
				return accessKey{}, canceled(ctx)
			}
		}
		l.asking = make(chan struct{})
		l.mu.Unlock()

		// Who asks does so for all: that this reader goes away stops nothing, and the limit does.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), lentLimit)
		key, err = l.ask(limited)
		cancel()
		l.mu.Lock()
		if err == nil {
			l.key = key
		}
		l.err, l.again = err, now().Add(lentPause)
		close(l.asking)
		l.asking = nil
		l.mu.Unlock()
	}
}

// noKey is the failure of a request that cannot be signed. The bucket is not ill for it: nobody has asked it.
func noKey(err error) error {
	return &failure{kind: millpond.BadUpstream, what: "cannot be asked: there is no access key to sign with", early: true, err: err}
}
