package repo

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"millpond"
	"millpond/catalog"
	"millpond/format"
)

// Scratch implements format.Workshop.
func (s *session) Scratch() (string, error) {
	root := s.layer.pond.scratch
	if root == "" {
		return "", &millpond.Error{Kind: millpond.Unready, Why: "this pond has no folder to work in", Hint: "it wants a data directory"}
	}
	// Escaped, since programs take a colon for the end of a path.
	at, err := filepath.Abs(filepath.Join(root, s.layer.format.Info().Name, url.QueryEscape(s.layer.id)))
	if err == nil {
		err = os.MkdirAll(at, 0o700)
	}
	if err != nil {
		return "", &millpond.Error{Kind: millpond.Unready, Why: "the folder to work in cannot be made", Err: err}
	}
	return at, nil
}

// Turn implements format.Workshop.
func (s *session) Turn(ctx context.Context) (func(), error) {
	select {
	case s.layer.pond.benches <- struct{}{}:
		return func() { <-s.layer.pond.benches }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Enter implements format.Gate.
func (s *session) Enter(ctx context.Context) (func(), error) {
	select {
	case s.layer.pond.heavy <- struct{}{}:
		return func() { <-s.layer.pond.heavy }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Send implements format.Workshop.
func (s *session) Send(r *http.Request, limit int64) (*http.Response, error) {
	if s.local || s.layer.pond.offline() {
		return nil, s.layer.offline(catalog.Question{Package: redacted(r.URL.String())})
	}
	return s.layer.up.Relay(r.Context(), r, limit)
}

// made reports whether the layer's files are made here, so that there is no address where a client could get them.
func (l *upstream) made() bool {
	_, ok := l.format.Source(l.session(context.Background())).(format.Fetcher)
	return ok
}
