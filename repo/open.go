package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/fetch"
	"millpond/format"
)

// remembered is how long a file whose bytes were wrong, or an upstream's refusal of a file, is not asked for again.
const remembered = time.Minute

var errRefreshed = &millpond.Error{Kind: millpond.NotFound, Why: "the listing was read a moment ago"}

// open opens a file of this upstream: the held bytes, or a download that is under way or begun now.
func (l *upstream) open(ctx context.Context, k millpond.Key, f *millpond.File, o opening) (*millpond.Content, error) {
	h, err := l.pond.catalog.Holding(ctx, l.id, k)
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return nil, err
	}
	t := TraceOf(ctx)
	t.Layer = l.name
	if h != nil && !h.Blob.IsZero() {
		c, err := l.pond.openHeld(ctx, h, o.stat)
		if err == nil {
			if o.listed {
				if err := l.stay(ctx, k, f, h); err != nil {
					if !o.stat {
						c.Close()
					}
					return nil, err
				}
			}
			t.hit(h.Blob, l.repo.moving(k.Package))
			return c, nil
		}
		switch {
		case errors.Is(err, syscall.EIO):
			l.pond.damaged(h.Blob, err)
		case !millpond.Is(err, millpond.NotFound):
			return nil, err
		default:
			// The blob is gone: what can be fetched again is.
			if err := l.pond.spare(ctx, k.String(), l.pond.catalog.LoseBlob(ctx, h.Blob)); err != nil {
				return nil, err
			}
		}
	}
	if !o.asking || o.mode == CachedOnly {
		if !o.asking {
			// A client that looks for the module of a path must hear that there is none, or it stops.
			absent, err := l.knownAbsent(ctx, k, o)
			return nil, firstError(err, absent, l.offline(catalog.Question{Package: k.String()}))
		}
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k,
			Why: fmt.Sprintf("%s is not held here, and %s fetches nothing (fill: cached-only)", k, l.repo.config.Name)}
	}
	id := k.Package + "\x00" + k.Version + "\x00" + k.File
	if err := l.corrupt.recent(id, l.pond.now()); err != nil {
		return nil, err
	}
	if absent, err := l.knownAbsent(ctx, k, o); err != nil || absent != nil {
		return nil, firstError(err, absent)
	}
	if o.stat {
		return l.stat(ctx, k, f, h)
	}
	if o.mode == Redirect && !l.made() {
		l.pond.ahead(func(ctx context.Context) {
			if c, err := l.fetch(ctx, k, f, h, Store); err == nil {
				drain(c)
			}
		})
		t.Result = "miss"
		return &millpond.Content{Location: withoutUser(f.URL), Size: f.Size}, nil
	}
	t.Result = "miss"
	began := time.Now()
	if c, err := l.fromOther(ctx, k, f, h, o); c != nil || err != nil {
		t.Upstream += time.Since(began)
		return c, l.noteAbsence(ctx, k, err)
	}
	c, err := l.fetch(ctx, k, f, h, o.mode)
	if millpond.Is(err, millpond.NotFound) {
		if other := l.elsewhere(ctx, k, f); other != nil {
			c, err = l.fetch(ctx, k, other, h, o.mode)
		}
	}
	t.Upstream += time.Since(began)
	return c, l.noteAbsence(ctx, k, err)
}

// fromOther opens a file whose bytes are held for another package of this upstream; nil if there are none. The upstream itself
// must say that this package has the file, and in that very size: a reader gets no bytes by knowing their digest.
func (l *upstream) fromOther(ctx context.Context, k millpond.Key, f *millpond.File, h *catalog.Holding, o opening) (*millpond.Content, error) {
	how := askingOf(l.format.Source(l.session(ctx)), k)
	if !how.Shared || o.mode == Pass {
		return nil, nil
	}
	var digest millpond.Digest
	for _, d := range f.Digests {
		if d.Algorithm() == "sha256" {
			digest = d
		}
	}
	other, err := l.pond.catalog.Holder(ctx, l.id, digest)
	if err != nil || h != nil && !h.SHA256.IsZero() && h.SHA256 != digest {
		return nil, others(err)
	}
	if _, err := l.pond.blobs.Stat(ctx, digest); err != nil {
		return nil, others(err) // it is fetched
	}
	if own, err := l.pond.catalog.Holding(ctx, l.id, k); err == nil && own.Blob == digest {
		return nil, nil // its own download ended a moment ago, and gives it
	}
	size, err := l.size(ctx, k, f, how)
	if millpond.Is(err, millpond.NotFound) {
		return nil, err
	}
	if err != nil || size != other.Size {
		return nil, ctx.Err() // it cannot be told: it is fetched
	}
	if err := l.sealed(ctx, k, f, h, fetch.Sealed{Blob: digest, Size: size}); err != nil {
		return nil, err
	}
	c, err := l.pond.openHeld(ctx, &catalog.Holding{Blob: digest, Size: size, Type: f.Type, Modified: l.pond.now().Truncate(time.Second)}, false)
	if err != nil {
		return nil, others(err) // its bytes went meanwhile
	}
	TraceOf(ctx).hit(digest, false)
	return c, nil
}

// elsewhere is a file at the other address that its format knows; nil if there is none.
func (l *upstream) elsewhere(ctx context.Context, k millpond.Key, f *millpond.File) *millpond.File {
	s := l.session(ctx)
	defer s.close()
	src, ok := l.format.Source(s).(format.Elsewhere)
	if !ok {
		return nil
	}
	other := *f
	if other.URL = src.Elsewhere(k, f); other.URL == "" || other.URL == f.URL {
		return nil
	}
	return &other
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// knownAbsent returns the NotFound that the upstream answered for the file not long ago; while it is ill or not to be asked,
// not very long ago.
func (l *upstream) knownAbsent(ctx context.Context, k millpond.Key, o opening) (error, error) {
	a, err := l.pond.catalog.Answer(ctx, l.absence(k))
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := l.pond.now()
	if stands(now, a.Checked, a.Fresh) || (!o.asking || l.up.State().Open) && now.Sub(a.Checked) < l.format.Info().OldAbsence {
		return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: a.Why}, nil
	}
	return nil, nil
}

func (l *upstream) absence(k millpond.Key) catalog.Question {
	return catalog.Question{Layer: l.id, Kind: "absence", Package: k.Package, Name: k.Version + "\x00" + k.File}
}

// noteAbsence remembers that the upstream has no such file, and turns to an older word of the kind where it is ill.
func (l *upstream) noteAbsence(ctx context.Context, k millpond.Key, err error) error {
	if err == nil {
		return nil
	}
	now := l.pond.now()
	switch millpond.KindOf(err) {
	case millpond.NotFound, millpond.Gone:
		why, _ := format.Words(err)
		put := l.pond.catalog.PutAnswer(ctx, &catalog.Answer{
			Question: l.absence(k), Absent: true, Why: why, Checked: now, Fresh: now.Add(l.repo.absent()), Changed: now,
		})
		return firstError(l.pond.spare(ctx, "that "+l.name+" has no "+k.String(), put), err)
	case millpond.BadUpstream, millpond.Throttled:
		a, e := l.pond.catalog.Answer(ctx, l.absence(k))
		if e == nil && now.Sub(a.Checked) < l.format.Info().OldAbsence {
			return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: a.Why}
		}
	}
	return err
}

// forgetAbsence makes an older word of the upstream, that it has no such file, one that nobody turns to: it has.
func (l *upstream) forgetAbsence(ctx context.Context, k millpond.Key) error {
	if _, err := l.pond.catalog.Answer(ctx, l.absence(k)); err != nil {
		return others(err)
	}
	return l.pond.catalog.Confirm(ctx, l.absence(k), time.Time{}, time.Time{})
}

// stat asks for the facts of a file that is not held: from the record, else by HEAD.
func (l *upstream) stat(ctx context.Context, k millpond.Key, f *millpond.File, h *catalog.Holding) (*millpond.Content, error) {
	c := &millpond.Content{Size: f.Size, Type: f.Type}
	for _, d := range f.Digests {
		if d.Algorithm() == "sha256" {
			c.Digest = d
		}
	}
	if c.Size >= 0 {
		return c, nil
	}
	if l.made() {
		made, err := l.fetch(ctx, k, f, h, Store)
		if err != nil {
			return nil, l.noteAbsence(ctx, k, err)
		}
		c.Size = made.Size // the making goes on
		return c, made.Close()
	}
	if how := askingOf(l.format.Source(l.session(ctx)), k); how.Scope != "" {
		var err error
		if c.Size, err = l.size(ctx, k, f, how); err != nil {
			return nil, l.noteAbsence(ctx, k, err)
		}
		return c, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, f.URL, nil)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: l.name + " keeps the file at an address that cannot be read", Err: err}
	}
	resp, err := l.up.Relay(ctx, req, 1<<20)
	if err != nil {
		return nil, l.noteAbsence(ctx, k, err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body) // there is none; the connection is reused
	switch {
	case resp.StatusCode == http.StatusOK:
		c.Size = resp.ContentLength
		return c, nil
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return nil, l.noteAbsence(ctx, k, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s has no %s", l.name, k)})
	}
	return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: fmt.Sprintf("%s answered %d to a question for the size of %s", l.name, resp.StatusCode, k)}
}

// size asks for the size of a file that never changes, once, whoever asks meanwhile.
func (l *upstream) size(ctx context.Context, k millpond.Key, f *millpond.File, how format.Asking) (int64, error) {
	r, err := l.ask(ctx, inquiry{
		Question: catalog.Question{Kind: "size", Package: k.Package, Name: k.Version + "\x00" + k.File},
		fresh:    100 * 365 * 24 * time.Hour,
		read: func(ctx context.Context, _ *session, _ *catalog.Answer) ([]byte, error) {
			head, err := l.up.Head(ctx, fetch.File{URL: f.URL, Accept: how.Accept, Scope: how.Scope})
			if err != nil {
				return nil, err
			}
			return strconv.AppendInt(nil, head.Size, 10), nil
		},
	}, true)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(r.Record), 10, 64)
}
