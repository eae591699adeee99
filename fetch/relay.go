package fetch

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"millpond"
)

// relayed are the headers of a question that go along.
var relayed = [...]string{"Accept", "Accept-Language", "Content-Encoding", "Content-Language", "Content-Type", "Git-Protocol"}

// An answer has one of few places for as long as it is read, so that who reads it may let it wait for half a minute, and for
// a second with every relayPace bytes that it takes, up to that half minute again.
const relayPace = 32 << 10

func (e *Engine) relayPatience() time.Duration { return orDefault(e.tune.relay, 30*time.Second) }

// Relay sends a question and returns the answer as it comes, bounded by limit. It is not retried, except when nothing was
// sent. The caller closes the body, and reads it at a pace: an answer whose reader lets it wait too long ends, and reading on
// is Canceled. Only a GET follows redirects.
func (u *Upstream) Relay(ctx context.Context, r *http.Request, limit int64) (*http.Response, error) {
	if u.dir != "" {
		return u.relayLocal(r, limit)
	}
	if !u.e.enlist() {
		return nil, stopping()
	}
	ctx, end := u.both(ctx)
	done := sync.OnceFunc(func() {
		end()
		u.e.work.Done()
	})
	if err := u.relays.Acquire(ctx, 1); err != nil {
		defer done()
		return nil, canceled(ctx)
	}
	leave := func() {
		u.relays.Release(1)
		done()
	}
	q := question{method: r.Method, url: r.URL.String(), header: http.Header{}, length: r.ContentLength,
		follow: r.Method == http.MethodGet || r.Method == http.MethodHead, any: true}
	for _, name := range relayed {
		if values := r.Header.Values(name); len(values) > 0 {
			q.header[name] = values
		}
	}
	q.header.Set("Accept-Encoding", "identity")
	if r.Body != nil && r.Body != http.NoBody {
		q.body = r.GetBody
		if q.body == nil {
			q.body = func() (io.ReadCloser, error) { return r.Body, nil }
		}
	}
	a, err := u.ask(ctx, q)
	if err != nil {
		leave()
		if f, ok := err.(*failure); ok {
			return nil, f.tell(u.settings.Name, 0, u.e.now())
		}
		return nil, err
	}
	body := &relayBody{a: a, left: limit, most: u.e.relayPatience(), slack: u.e.relayPatience(), since: time.Now(), end: sync.OnceFunc(func() {
		a.close()
		leave()
	})}
	body.tooSlow = time.AfterFunc(body.slack, body.end)
	a.Response.Body = body
	return a.Response, nil
}

// relayBody is the body of a relayed answer.
type relayBody struct {
	a       *answer
	left    int64
	end     func()
	tooSlow *time.Timer   // ends it while its reader does not read
	slack   time.Duration // how much longer its reader may let it wait
	most    time.Duration // and never more
	since   time.Time     // when its reader began to
}

func (b *relayBody) Read(p []byte) (int, error) {
	if !b.tooSlow.Stop() {
		return 0, &millpond.Error{Kind: millpond.Canceled, Why: "the answer of " + b.a.name + " was read too slowly, and others wait"}
	}
	b.slack -= time.Since(b.since)
	n, err := b.a.body.Read(p[:min(int64(len(p)), b.left+1)])
	b.slack = min(b.slack+time.Duration(n)*time.Second/relayPace, b.most)
	b.since = time.Now()
	b.tooSlow.Reset(b.slack)
	if b.left -= int64(n); b.left < 0 {
		return 0, &millpond.Error{Kind: millpond.BadUpstream, Why: b.a.name + " answered with more than it may"}
	}
	return n, err
}

// Close ends the question.
func (b *relayBody) Close() error {
	b.tooSlow.Stop()
	b.end()
	return nil
}

// relayLocal answers from a directory.
func (u *Upstream) relayLocal(r *http.Request, limit int64) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: u.settings.Name + " is a directory and answers no questions"}
	}
	f, info, _, err := u.openLocal(r.URL.String())
	if err != nil {
		return nil, err
	}
	resp := &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, ContentLength: info.Size(), Request: r, Body: f}
	if r.Method == http.MethodHead {
		resp.Body = http.NoBody
		return resp, f.Close()
	}
	if info.Size() > limit {
		f.Close()
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: u.settings.Name + " answered with more than it may"}
	}
	return resp, nil
}
