package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"millpond"
)

// A failure is one try that failed: what to say of it, and whether another try makes sense.
type failure struct {
	kind    millpond.Kind
	what    string        // follows the upstream's name: "refused the connection"
	retries int           // how many further tries such a failure is worth
	wait    time.Duration // Retry-After; 0 if it was not said
	after   time.Time     // until when the upstream wants no further request; zero if it did not say
	early   bool          // before any byte of an answer
	again   bool          // start over at once: the object changed
	err     error
}

func (f *failure) Error() string {
	if f.err != nil {
		return f.what + ": " + f.err.Error()
	}
	return f.what
}

func (f *failure) Unwrap() error { return f.err }

// tell is the failure for those who asked, after so many tries.
func (f *failure) tell(name string, tries int, now time.Time) *millpond.Error {
	e := &millpond.Error{Kind: f.kind, Why: name + " " + f.what, After: f.after, Err: f.err}
	switch {
	case tries == 2:
		e.Why += " twice"
	case tries == 3:
		e.Why += " three times"
	case tries > 3:
		e.Why += fmt.Sprintf(" %d times", tries)
	}
	if f.kind == millpond.BadUpstream && e.After.IsZero() && f.wait > 0 {
		e.After = now.Add(f.wait)
	}
	return e
}

// The causes with which this package ends a request itself.
var (
	errIdle     = errors.New("silent for too long")
	errSlow     = errors.New("too slow")
	errStopping = errors.New("the pond is stopping")
	errLimit    = errors.New("over the limit")
)

// phase is how far a request came, for the words of a timeout.
type phase int32

const (
	connecting phase = iota
	shaking
	waiting
)

// broken says why a request brought no answer.
func broken(err error, at phase, host string) *failure {
	f := &failure{kind: millpond.BadUpstream, retries: 1, early: true, err: err}
	var (
		dns     *net.DNSError
		banned  *forbidden
		expired x509.CertificateInvalidError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		timeout net.Error
	)
	never := func(what string) { f.what, f.retries = what, 0 }
	switch {
	case ours(err):
		never("could not be asked: this pond is out of files to open")
	case errors.As(err, &banned):
		never("leads to " + banned.Error())
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		never("has a TLS certificate that is expired or not yet valid")
	case errors.As(err, &expired):
		never("has an invalid TLS certificate")
	case errors.As(err, &name):
		never("has a TLS certificate for another name than " + host)
	case errors.As(err, &unknown) && selfSigned(unknown.Cert):
		never("has a self-signed TLS certificate")
	case errors.As(err, &unknown):
		never("has a TLS certificate of an unknown authority")
	case errors.As(err, &record):
		never("does not speak TLS")
	case errors.As(err, &alert):
		never("broke off the TLS handshake")
	case errors.As(err, &dns) && dns.IsNotFound:
		f.what = "could not be found (no such host " + host + ")"
	case errors.As(err, &dns):
		f.what = "could not be found (no answer from the name server about " + host + ")"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.what = "refused the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		f.what = "reset the connection"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		f.what = "cannot be reached"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		f.what = "closed the connection without an answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		switch at {
		case connecting:
			f.what = "did not accept a connection in time"
		case shaking:
			f.what = "did not finish the TLS handshake in time"
		default:
			never("did not answer in time")
		}
	default:
		f.what = "could not be asked"
	}
	return f
}

// ours reports whether a request failed for want of something on this side, which says nothing about the upstream.
func ours(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.EADDRNOTAVAIL)
}

func selfSigned(c *x509.Certificate) bool {
	return c != nil && string(c.RawIssuer) == string(c.RawSubject)
}

// cut says why a body broke off.
func cut(err error) *failure {
	f := &failure{kind: millpond.BadUpstream, retries: 2, err: err}
	switch {
	case errors.Is(err, errIdle):
		f.what = "fell silent within a body"
	case errors.Is(err, errSlow):
		f.what = "sends too slowly"
	case errors.Is(err, syscall.ECONNRESET):
		f.what = "reset the connection within a body"
	default:
		f.what = "ended a body early"
	}
	return f
}

// refused says what an answer means that is not the one hoped for.
func refused(r *http.Response, now time.Time) *failure {
	code := strconv.Itoa(r.StatusCode)
	f := &failure{kind: millpond.BadUpstream, what: "answered " + code, wait: retryAfter(r.Header, now), early: true}
	switch {
	case r.StatusCode == http.StatusNotFound, r.StatusCode == http.StatusGone,
		r.StatusCode == http.StatusUnavailableForLegalReasons:
		f.kind, f.what = millpond.NotFound, "does not have it ("+code+")"
	case r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusForbidden:
		f.what = "refused access (" + code + ")"
	case r.StatusCode == http.StatusTooManyRequests:
		f.kind, f.what = millpond.Throttled, "asked for patience (429)"
	case r.StatusCode == http.StatusPartialContent:
		f.what = "answered a part (206) though the whole was asked for"
	case r.StatusCode >= 500:
		f.retries = 2
	}
	return f
}

// retryAfter reads seconds or a date; 0 where there is neither.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// canceled is the error for a caller that went away, or a pond that stops.
func canceled(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errStopping) {
		return stopping()
	}
	return &millpond.Error{Kind: millpond.Canceled, Why: "the reader went away", Err: ctx.Err()}
}

func stopping() error {
	return &millpond.Error{Kind: millpond.Offline, Why: "this pond is stopping", Err: errStopping}
}
