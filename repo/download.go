package repo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/fetch"
	"millpond/format"
)

// fetch begins or joins the download of a file.
func (l *upstream) fetch(ctx context.Context, k millpond.Key, f *millpond.File, h *catalog.Holding, mode Mode) (*millpond.Content, error) {
	if err := TraceOf(ctx).spend(); err != nil {
		return nil, err
	}
	s := l.session(ctx)
	src := l.format.Source(s)
	how := askingOf(src, k)
	job := fetch.File{
		Accept: how.Accept, Scope: how.Scope, Limit: how.Limit,
		ID:   l.id + "\x00" + k.Package + "\x00" + k.Version + "\x00" + k.File,
		URL:  f.URL,
		Want: computable(f.Digests),
		Size: f.Size,
		Drop: mode == Pass || l.pond.low(),
	}
	if h != nil && !h.SHA256.IsZero() {
		job.Want = append(job.Want, h.SHA256) // whoever fetches it again must bring the same bytes
	}
	if fetcher, ok := src.(format.Fetcher); ok {
		job.Get = func(ctx context.Context, w io.Writer) error { return fetcher.Fetch(ctx, k, w) }
	}
	if sniffer, ok := src.(format.Sniffer); ok {
		job.Sniff = func(head []byte) error { return sniffer.Sniff(k, head) }
	}
	if hearer, ok := src.(format.Hearer); ok {
		job.Answered = func(header http.Header) { hearer.Hear(k, header) }
	}
	var doubt error // of the bytes that Verify saw last
	verifier, ok := src.(format.Verifier)
	if ok {
		job.Verify = func(ctx context.Context, r io.ReaderAt, size int64) error {
			doubt = nil
			defer s.close() // what it has read of the upstream
			err := verifier.Verify(ctx, k, r, size)
			if errors.Is(err, format.Unverified) {
				doubt, err = err, nil
			}
			return err
		}
	}
	if preparer, ok := src.(format.Preparer); ok {
		job.Begin = func(ctx context.Context) { preparer.Prepare(ctx, k) }
	}
	if !job.Drop {
		job.Sealed = func(ctx context.Context, got fetch.Sealed) error {
			of := f
			if how.Accept != "" {
				typed := *f
				typed.Type, of = got.Type, &typed
			}
			var proved []millpond.Digest
			if prover, ok := src.(format.Prover); ok {
				proved = prover.Proved()
			}
			if err := l.sealed(ctx, k, of, h, got, proved...); err != nil || verifier == nil {
				return err
			}
			return l.pond.spare(ctx, "that "+k.String()+" is unverified", l.vouched(ctx, k, doubt))
		}
	}
	job.Failed = func(err error) { l.failed(k, f, err) }
	body, err := l.up.Open(ctx, job)
	if err != nil {
		return nil, err
	}
	t := TraceOf(ctx)
	switch {
	case job.Drop:
		t.Result = "unstored"
	case body.Joined():
		t.Result = "coalesced"
	}
	c := &millpond.Content{ReadSeekCloser: body, Size: body.Size(), Type: f.Type, Growing: true}
	if how.Accept != "" {
		c.Type = body.Type()
	}
	for _, d := range job.Want {
		if d.Algorithm() == "sha256" {
			c.Digest = d
		}
	}
	return c, nil
}

// askingOf is how a source wants a file to be asked for.
func askingOf(src format.Source, k millpond.Key) format.Asking {
	if a, ok := src.(format.Asker); ok {
		return a.Asks(k)
	}
	return format.Asking{}
}

// computable leaves out the digests that only a format can compute: its Verifier judges those.
func computable(ds []millpond.Digest) []millpond.Digest {
	var out []millpond.Digest
	for _, d := range ds {
		if d.Hash() != nil {
			out = append(out, d)
		}
	}
	return out
}

// sealed records the bytes of a download, before any reader sees their end, with the digests that were proved on the way.
func (l *upstream) sealed(ctx context.Context, k millpond.Key, f *millpond.File, before *catalog.Holding, got fetch.Sealed, proved ...millpond.Digest) error {
	if t := l.pond.takenDownBytes(got.Blob); t != nil {
		return t.blocked(k) // the readers of what nobody knew the digest of
	}
	now := l.pond.now().Truncate(time.Second)
	h := &catalog.Holding{
		Layer: l.id, Key: k, Blob: got.Blob, Size: got.Size, SHA256: got.Blob, Digests: slices.Concat(f.Digests, proved), Type: f.Type,
		URL: redacted(f.URL), Modified: now,
	}
	if before != nil {
		h.Modified, h.Keep, h.Detail = before.Modified, before.Keep, before.Detail
	}
	due := l.inspector(k) != nil && (before == nil || len(before.Detail) == 0 || inspectionOf(before).Due)
	if due {
		h.Detail = inspection{Due: true}.detail()
		if err := l.pond.spare(ctx, "that "+k.String()+" is to be looked through", l.markDue(ctx)); err != nil {
			return err
		}
	}
	if err := l.pond.catalog.PutHolding(ctx, h); unkeepable(err) {
		l.pond.unkept(ctx, k.String(), err) // its readers have right bytes; nothing names the blob, and it is swept
		return nil
	} else if err != nil {
		return err
	}
	if due {
		l.inspectLater(k)
	}
	l.pond.used(got.Blob, got.Size)
	if err := l.pond.spare(ctx, "that "+l.name+" has "+k.String(), l.forgetAbsence(ctx, k)); err != nil {
		return err
	}
	if f.Corrupt {
		if err := l.right(ctx, k); err != nil {
			return err
		}
	}
	if len(f.Digests) == 0 || l.format.Info().HeldListed {
		l.pond.forgetViews(k.Package) // the view shows the digest first seen, or the version held
	} else {
		l.pond.forgetHeld(k.Package) // what is held has grown
	}
	return nil
}

// failed remembers wrong bytes, and tells.
func (l *upstream) failed(k millpond.Key, f *millpond.File, err error) {
	if !millpond.Is(err, millpond.Corrupt) {
		return
	}
	ctx := l.pond.life
	l.corrupt.remember(k.Package+"\x00"+k.Version+"\x00"+k.File, l.pond.now(), remembered, err)
	why, _ := format.Words(err)
	l.pond.event(ctx, millpond.Event{Verb: "corrupt", Repository: l.repo.config.Name, Layer: l.name, Key: k, Detail: detail("why", why)})
	if err := l.wrong(ctx, k); err != nil {
		l.pond.log.ErrorContext(ctx, "cannot mark a corrupt file", "key", k.String(), "error", err)
	}
}

// detail is an event's further words.
func detail(pairs ...any) json.RawMessage {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil // strings and booleans always marshal
	}
	return b
}
