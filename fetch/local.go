package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"millpond"
)

// openLocal opens a file of an upstream that is a directory: nothing outside it, links included.
func (u *Upstream) openLocal(text string) (*os.File, fs.FileInfo, *url.URL, error) {
	missing := func(err error) error {
		return (&failure{kind: millpond.NotFound, what: "does not have it", err: err}).tell(u.settings.Name, 0, time.Time{})
	}
	at, err := url.Parse(text)
	if err != nil || at.Scheme != "file" {
		return nil, nil, nil, &millpond.Error{Kind: millpond.BadUpstream, Why: u.settings.Name + " points out of its directory"}
	}
	name, ok := strings.CutPrefix(at.Path, u.dir)
	if name = strings.TrimPrefix(name, "/"); !ok || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return nil, nil, nil, missing(nil)
	}
	root, err := os.OpenRoot(u.dir)
	if err != nil {
		return nil, nil, nil, &millpond.Error{Kind: millpond.BadUpstream, Why: u.settings.Name + " is a directory that cannot be opened", Err: err}
	}
	defer root.Close()
	info, err := root.Stat(name) // before opening it: a pipe would wait for its writer
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil, nil, missing(err)
	}
	var f *os.File
	if err == nil {
		f, err = root.Open(name)
	}
	if err != nil {
		return nil, nil, nil, &millpond.Error{Kind: millpond.BadUpstream, Why: u.settings.Name + " has a file that cannot be read", Err: err}
	}
	return f, info, at, nil
}

// getLocal is Get from a directory.
func (u *Upstream) getLocal(ctx context.Context, r Request) (*Document, error) {
	if err := ctx.Err(); err != nil {
		return nil, canceled(ctx)
	}
	f, info, at, err := u.openLocal(r.URL)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tag := fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size())
	if r.ETag == tag {
		return &Document{NotModified: true, Header: http.Header{"Etag": {tag}}}, nil
	}
	limit := orDefault(r.Limit, documentLimit)
	if info.Size() > limit {
		return nil, &millpond.Error{Kind: millpond.BadUpstream,
			Why: fmt.Sprintf("%s has a document of more than %s", u.settings.Name, sizeText(limit))}
	}
	if info.Size() == 0 && !r.Empty {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: u.settings.Name + " has a document with nothing in it"}
	}
	s := newSpool(u.e.ctx, u.e.Blobs)
	n, err := io.Copy(s, io.LimitReader(f, limit))
	if err == nil {
		err = s.end()
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("read a document of %s: %w", u.settings.Name, err)
	}
	modified := info.ModTime().UTC().Format(http.TimeFormat)
	return &Document{ReaderAt: s.reader, Size: s.size, Text: s.digest(), URL: at, ETag: tag, Modified: modified,
		Header: http.Header{"Etag": {tag}, "Last-Modified": {modified}}, Wire: n, spool: s}, nil
}

// copyLocal is a download from a directory.
func (f *flight) copyLocal() error {
	file, info, at, err := f.u.openLocal(f.file.URL)
	if err != nil {
		return err
	}
	defer file.Close()
	f.whole, f.url = true, at
	if err := f.announce("", info.Size()); err != nil {
		return err
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(takeWriter{f}, struct{ io.Reader }{file}, buf[:])
	f.wire += n
	if err == nil && n != info.Size() {
		err = &millpond.Error{Kind: millpond.BadUpstream, Why: f.u.settings.Name + " changed " + f.name() + " while it was being read"}
	}
	return err
}
