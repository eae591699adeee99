package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"millpond"
)

// A question is one GET (or a relayed request) and all redirects that it meets.
type question struct {
	method string
	url    string
	header http.Header
	body   func() (io.ReadCloser, error) // nil for none
	length int64
	follow bool   // redirects
	any    bool   // every status is an answer
	scope  string // of the token that is wanted for it; "" is none
	bearer string // the token
	login  bool   // with the upstream's name and password, wherever it goes
}

// An answer is a response and the request's end. The caller closes it.
type answer struct {
	*http.Response
	url   *url.URL
	pass  *pass
	body  *watched
	name  string // who answered, for words
	clean func()
}

func (a *answer) close() {
	a.body.Close()
	a.clean()
}

// broke reports a body that ended badly and says why.
func (a *answer) broke(u *Upstream, err error) *failure {
	f := cut(err)
	a.pass.fail(u.e.now(), a.name+" "+f.what)
	u.failed()
	return f
}

// ask sends a question and follows redirects. Whatever it returns is judged: an answer has a status below 300, or 304 or
// 416, unless any is welcome; everything else is a *failure or an end of ctx.
func (u *Upstream) ask(ctx context.Context, q question) (*answer, error) {
	to, err := url.Parse(q.url)
	if err != nil {
		return nil, &failure{kind: millpond.BadUpstream, what: "gave an address that cannot be read"}
	}
	var from *url.URL
	for hop := 0; ; hop++ {
		to.User, to.Fragment = nil, ""
		if err := u.may(from, to); err != nil {
			return nil, &failure{kind: millpond.BadUpstream, what: err.Error()}
		}
		a, err := u.sendAs(ctx, q, to)
		if err != nil {
			return nil, err
		}
		if !isRedirect(a.StatusCode) {
			return u.judge(a, q.any)
		}
		a.pass.ok(u.e.now())
		location := a.Header.Get("Location")
		a.close()
		if !q.follow {
			return nil, &failure{kind: millpond.BadUpstream, what: "answered with a redirect, which is not followed here"}
		}
		if hop == mostHops {
			return nil, &failure{kind: millpond.BadUpstream, what: "redirects without end"}
		}
		next, err := to.Parse(location)
		if err != nil || location == "" {
			return nil, &failure{kind: millpond.BadUpstream, what: "redirects to an address that cannot be read"}
		}
		from, to = to, next
	}
}

func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// judge sorts the answers: those it does not return are closed.
func (u *Upstream) judge(a *answer, any bool) (*answer, error) {
	now := u.e.now()
	if id := u.e.Instance; id != "" && a.Header.Get("Millpond-Instance") == id {
		a.pass.ok(now)
		a.close()
		u.e.loops.Add(1)
		return nil, &failure{kind: millpond.BadUpstream, what: "is this pond itself: its URL leads back here"}
	}
	own := originOf(a.url) == u.origin
	switch {
	case a.StatusCode < 300, a.StatusCode == http.StatusNotModified, a.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		a.pass.ok(now)
		if own {
			u.alarm.Store(nil)
		}
		return a, nil
	}
	f := refused(a.Response, now)
	switch {
	case a.StatusCode == http.StatusUnauthorized, a.StatusCode == http.StatusForbidden:
		a.pass.ok(now)
		u.failed()
		if own {
			words := "credentials of " + u.settings.Name + " refused"
			u.alarm.Store(&words)
		}
	case a.StatusCode == http.StatusTooManyRequests:
		f.after = a.pass.pause(now, f.wait)
		u.failed()
	case a.StatusCode >= 500:
		a.pass.fail(now, a.name+" "+f.what)
		u.failed()
	default:
		a.pass.ok(now)
		if own && f.kind == millpond.NotFound {
			u.alarm.Store(nil)
		}
	}
	if any {
		return a, nil
	}
	a.drain()
	a.close()
	return nil, f
}

// drain reads the rest of a short body, so that its connection can be used again.
func (a *answer) drain() {
	if n := a.ContentLength; n >= 0 && n <= 64<<10 {
		io.CopyN(io.Discard, a.body, n+1) // whatever it says, the body is closed next
	}
}

// nameOf is what the one who answers at a URL is called.
func (u *Upstream) nameOf(to *url.URL) string {
	if originOf(to) != u.origin {
		return u.settings.Name + "'s " + to.Hostname()
	}
	return u.settings.Name
}

// ill is the error for a URL whose origin is not to be asked now: known before anybody waits for a place.
func (u *Upstream) ill(text string) error {
	to, err := url.Parse(text)
	if err != nil {
		return nil // which ask will say better
	}
	u.mu.Lock()
	b := u.breakers[originOf(to)]
	u.mu.Unlock()
	if b == nil {
		return nil
	}
	if err := b.refuses(u.e.now(), u.nameOf(to)); err != nil {
		return err
	}
	return nil
}

// send sends one request to one URL.
func (u *Upstream) send(ctx context.Context, q question, to *url.URL) (_ *answer, err error) {
	name := u.nameOf(to)
	if wait := u.pace.wait(u.e.now(), u.settings.Rate); wait > 0 {
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
	key := accessKey{id: u.username, secret: u.password, session: u.session}
	if u.lender != nil && originOf(to) == u.origin {
		if key, err = u.lender.current(ctx, u.e.now); err != nil {
			words := "no access key to sign requests of " + u.settings.Name + " with"
			u.alarm.Store(&words)
			return nil, err
		}
	}
	pass, refusal := u.breaker(originOf(to)).allow(u.e.now(), name)
	if refusal != nil {
		return nil, refusal
	}
	u.budget.earn()
	u.requests.Add(1)
	u.e.requests.Add(1)

	var at atomic.Int32
	ctx, cancel := context.WithCancelCause(ctx)
	trace := &httptrace.ClientTrace{
		TLSHandshakeStart: func() { at.Store(int32(shaking)) },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { at.Store(int32(waiting)) },
		GotConn:           func(httptrace.GotConnInfo) { at.Store(int32(waiting)) },
	}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), q.method, to.String(), nil)
	if err != nil {
		cancel(nil)
		pass.drop()
		return nil, &failure{kind: millpond.BadUpstream, what: "gave an address that cannot be read"}
	}
	if q.body != nil {
		if r.Body, err = q.body(); err != nil {
			cancel(nil)
			pass.drop()
			return nil, err
		}
		r.GetBody, r.ContentLength = q.body, q.length
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	u.dress(r, key)
	switch {
	case q.login:
		r.SetBasicAuth(u.username, u.password)
	case q.bearer != "" && originOf(to) == u.origin:
		r.Header.Set("Authorization", "Bearer "+q.bearer)
	}
	u.inFlight.Add(1)
	resp, err := u.transport.RoundTrip(r)
	if err != nil {
		u.inFlight.Add(-1)
		ended := ctx.Err() != nil
		cancel(nil)
		if ended {
			pass.drop()
			return nil, canceled(ctx)
		}
		f := broken(err, phase(at.Load()), to.Hostname())
		if ours(err) {
			pass.drop() // the upstream is not ill for it
			return nil, f
		}
		pass.fail(u.e.now(), name+" "+f.what)
		u.failed()
		return nil, f
	}
	if originOf(to) == u.origin {
		u.allowance.note(resp.Header)
	}
	a := &answer{Response: resp, url: to, pass: pass, name: name}
	a.body = &watched{body: resp.Body, ctx: ctx, cancel: cancel, idle: u.idle, least: u.least, window: u.e.window(),
		count: func(n int) { u.bytes.Add(int64(n)); u.e.bytes.Add(int64(n)) }}
	a.clean = func() {
		cancel(nil)
		pass.drop() // nothing, if it was used
		u.inFlight.Add(-1)
	}
	return a, nil
}

// watched is a body that is given up when it falls silent or is too slow.
type watched struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	idle   time.Duration
	least  int64 // bytes a second over a window
	window time.Duration
	count  func(n int)

	timer *time.Timer
	spent time.Duration // waiting, in this window; time that we take ourselves is not held against the upstream
	got   int64         // in this window
	wire  int64         // in all
}

func (w *watched) Read(p []byte) (int, error) {
	if w.timer == nil {
		w.timer = time.AfterFunc(w.idle, func() { w.cancel(errIdle) })
	} else {
		w.timer.Reset(w.idle)
	}
	began := time.Now()
	n, err := w.body.Read(p)
	w.spent += time.Since(began)
	w.timer.Stop()
	w.count(n)
	w.wire += int64(n)
	w.got += int64(n)
	if err != nil {
		if cause := context.Cause(w.ctx); err != io.EOF && cause != nil {
			err = cause
		}
		return n, err
	}
	if w.spent >= w.window {
		if float64(w.got) < float64(w.least)*w.spent.Seconds() {
			w.cancel(errSlow)
			return n, errSlow
		}
		w.spent, w.got = 0, 0
	}
	return n, nil
}

// Close ends the body.
func (w *watched) Close() error {
	if w.timer != nil {
		w.timer.Stop()
	}
	return w.body.Close()
}

// retry decides about a try that failed, and waits if there is to be another. tries counts those that were made.
func (u *Upstream) retry(ctx context.Context, err error, tries int, began time.Time) error {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return err
	}
	give := func() error { return f.tell(u.settings.Name, tries, u.e.now()) }
	if tries > f.retries {
		return give()
	}
	wait := backoff(u.e.pause(), tries)
	if f.wait > 0 {
		wait = max(wait, f.wait)
	}
	// Whoever waits for a header is gone after some 12 seconds; a retry that could not end by then helps nobody.
	if f.early && time.Since(began)+wait > u.first*4/5 || wait > 5*time.Second {
		return give()
	}
	if !u.budget.take(u.e.now()) {
		return give()
	}
	return sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return canceled(ctx)
	}
}

// strongTag is a strong entity tag, or "".
func strongTag(h http.Header) string {
	tag := h.Get("Etag")
	if len(tag) < 2 || tag[0] != '"' || strings.HasPrefix(tag, "W/") {
		return ""
	}
	return tag
}
