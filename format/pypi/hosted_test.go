package pypi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/format"
)

// A shelf is a repository in memory that hosts and has no upstream: as much of format.Repo as publishing asks for.
type shelf struct {
	format.Repo // nil: what is not written here is not asked for
	t           testing.TB
	mu          sync.Mutex
	pkgs        map[string]*format.Hosting
	blobs       map[millpond.Digest][]byte
	refuse      error // what May says
	options     map[string]string
	events      int
	maxFile     int64
}

func newShelf(t testing.TB) *shelf {
	return &shelf{t: t, pkgs: map[string]*format.Hosting{}, blobs: map[millpond.Digest][]byte{}, options: map[string]string{}}
}

func (s *shelf) Name() string              { return "pypi" }
func (s *shelf) Now() time.Time            { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }
func (s *shelf) Public() bool              { return true }
func (s *shelf) Option(name string) string { return s.options[name] }
func (s *shelf) Base(*http.Request) *url.URL {
	u, _ := url.Parse("https://pond.example/pypi/")
	return u
}
func (s *shelf) Root(*http.Request) *url.URL            { u, _ := url.Parse("https://pond.example/"); return u }
func (s *shelf) Ahead(context.Context, ...millpond.Key) {}
func (s *shelf) Held() format.Repo                      { return s }
func (s *shelf) Names(context.Context) iter.Seq2[format.Change, error] {
	return func(yield func(format.Change, error) bool) {
		for name, p := range s.pkgs {
			yield(format.Change{Name: name, Display: p.Display}, nil)
		}
	}
}

func (s *shelf) May(_ context.Context, _ millpond.Verb, pkg string) error { return s.refuse }

type shelved struct {
	bytes.Buffer
	s *shelf
}

func (u *shelved) ID() string  { return "" }
func (u *shelved) Size() int64 { return int64(u.Len()) }
func (u *shelved) ReadAt(b []byte, off int64) (int, error) {
	return bytes.NewReader(u.Bytes()).ReadAt(b, off)
}
func (u *shelved) Write(b []byte) (int, error) {
	if u.s.maxFile > 0 && u.Size()+int64(len(b)) > u.s.maxFile {
		return 0, &millpond.Error{Kind: millpond.TooLarge, Why: "the limit is less"}
	}
	return u.Buffer.Write(b)
}
func (u *shelved) Discard() error { return nil }
func (u *shelved) Close() error   { return nil }
func (u *shelved) Commit(_ context.Context, want ...millpond.Digest) (millpond.Digest, error) {
	d := millpond.SHA256(u.Bytes())
	for _, w := range want {
		if w != d {
			return d, &millpond.Error{Kind: millpond.Corrupt, Why: "other bytes"}
		}
	}
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.s.blobs[d] = bytes.Clone(u.Bytes())
	return d, nil
}

func (s *shelf) Upload(context.Context, format.Uploading) (format.Upload, error) {
	return &shelved{s: s}, nil
}

func (s *shelf) Publish(_ context.Context, r format.Release) (*format.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.pkgs[r.Package]
	if err := r.Settle(now, &r); err != nil {
		return nil, err
	}
	if now == nil {
		now = &format.Hosting{Package: millpond.Package{Name: r.Package, Parts: []millpond.Part{{}}}, Display: r.Display}
	}
	for _, d := range now.Deleted {
		if d.Version == r.Version.Name && (d.File == "" || r.Version.File(d.File) != nil) {
			return nil, &millpond.Error{Kind: millpond.Gone, Why: d.Version + " was deleted"}
		}
	}
	v := now.Version(r.Version.Name)
	if v == nil {
		now.Versions = append(now.Versions, millpond.Version{Name: r.Version.Name, Prerelease: r.Version.Prerelease, Published: s.Now()})
		slices.SortFunc(now.Versions, func(a, b millpond.Version) int { return compareVersions(b.Name, a.Name) })
		v = now.Version(r.Version.Name)
	}
	isNew := false
	for _, f := range r.Version.Files {
		if have := v.File(f.Name); have == nil {
			v.Files, isNew = append(v.Files, f), true
		} else if have.Blob != f.Blob {
			return nil, &millpond.Error{Kind: millpond.Conflict, Why: f.Name + " has other bytes"}
		}
	}
	if isNew {
		s.events++
	}
	s.pkgs[r.Package] = now
	now.Changes++
	return &format.Receipt{Version: v, New: isNew}, nil
}

func (s *shelf) Amend(_ context.Context, a format.Amendment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pkgs[a.Package]
	if p == nil {
		return &millpond.Error{Kind: millpond.NotFound, Why: a.Package + " is not hosted"}
	}
	p.Changes++
	return a.Edit(p)
}

func (s *shelf) Package(_ context.Context, name string) (*millpond.Package, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pkgs[name]
	if p == nil {
		return nil, notFound(millpond.Key{Package: name}, "no such project")
	}
	view := p.Package
	view.Stamp = fmt.Sprint(p.Changes)
	return &view, nil
}

func (s *shelf) Stamp(ctx context.Context, name string) (string, time.Time, error) {
	if name == "" {
		return fmt.Sprint(s.events), time.Time{}, nil
	}
	p, err := s.Package(ctx, name)
	if err != nil {
		return "", time.Time{}, err
	}
	return p.Stamp, time.Time{}, nil
}

func (s *shelf) Open(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	p, err := s.Package(ctx, k.Package)
	if err != nil {
		return nil, err
	}
	_, f := findFile(p, k.File)
	if f == nil {
		return nil, notFound(k, "no such file")
	}
	b := s.blobs[f.Blob]
	return &millpond.Content{ReadSeekCloser: memory{bytes.NewReader(b)}, Size: int64(len(b)), Digest: f.Blob}, nil
}

func (s *shelf) Stat(ctx context.Context, k millpond.Key) (*millpond.Content, error) {
	return s.Open(ctx, k)
}

func (s *shelf) Document(_ context.Context, k millpond.Key) (*format.Document, error) {
	return nil, notFound(k, "no upstream")
}

func (s *shelf) Derive(_ context.Context, d format.Derivation, write func(io.Writer) error) (*millpond.Content, error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return nil, err
	}
	return &millpond.Content{ReadSeekCloser: memory{bytes.NewReader(b.Bytes())}, Size: int64(b.Len()), Type: d.Type, Digest: millpond.SHA256(b.Bytes())}, nil
}

// serve starts the repository's handler.
func (s *shelf) serve() string {
	server := httptest.NewServer(Format{}.Handler(s))
	s.t.Cleanup(server.Close)
	return server.URL
}
