package takedown

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"millpond/repo"
)

// A Feed is a source of advisories in the OSV format that is looked at again and again: a directory of .json files, or the
// URL of a zip of them, of one, or of a JSON list of them. What it names is taken down at once. A feed that is ill changes
// nothing: all of it is read before any of it counts. What it no longer names stays down until it is lifted.
type Feed struct {
	Name  string   // the actor of its takedowns, after the word "feed"
	At    string   // the directory, or the URL
	IDs   []string // patterns of the ids that count; none is MAL-*
	Every time.Duration
	Token string // sent as a bearer, if it is not ""

	Pond    Pond
	Client  *http.Client // of a URL
	Scratch string       // the directory for what a URL gives while it is read; "" is the system's
	Log     *slog.Logger

	tag, modified string // of what was last taken whole
}

// A Pond takes what advisories name down. *repo.Pond is one.
type Pond interface {
	TakeAdvice(ctx context.Context, feed string, records iter.Seq2[*repo.Advice, error]) (repo.Advised, error)
}

const (
	defaultEvery = 5 * time.Minute
	longest      = 16 << 20 // bytes of one record, or of a file that is no zip, times 16
	most         = 2 << 30  // bytes of a zip, and of what is in it times 8
)

// Run looks at the feed now and then every so often, until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	every := f.Every
	if every <= 0 {
		every = defaultEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		out, unread, err := f.Look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.Log.ErrorContext(ctx, "a feed of advisories is ill; nothing is changed by it", "feed", f.Name, "error", err)
		case out != repo.Advised{} || len(unread) > 0:
			f.Log.WarnContext(ctx, "a feed of advisories was read", "feed", f.Name, "taken_down", out.Taken, "lifted", out.Lifted,
				"not_read", out.Unread+len(unread), "such_as", first(unread))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// Look looks at the feed once. unread are the records that cannot be read, in words: they are passed over.
func (f *Feed) Look(ctx context.Context) (out repo.Advised, unread []string, err error) {
	if !strings.Contains(f.At, "://") {
		tag, err := looks(ctx, f.At)
		if err != nil || tag == f.tag {
			return out, nil, err
		}
		out, unread, err = f.take(ctx, func(each func(name string, text []byte) error) error { return inDirectory(ctx, f.At, each) })
		if err == nil {
			f.tag = tag
		}
		return out, unread, err
	}
	file, tag, modified, err := f.download(ctx)
	if err != nil || file == nil {
		return out, nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if out, unread, err = f.take(ctx, func(each func(name string, text []byte) error) error { return inFile(ctx, file, each) }); err == nil {
		f.tag, f.modified = tag, modified
	}
	return out, unread, err
}

// take reads all records twice: to see that they can be read, and to have them count.
func (f *Feed) take(ctx context.Context, walk func(each func(name string, text []byte) error) error) (out repo.Advised, unread []string, err error) {
	ids := f.IDs
	if len(ids) == 0 {
		ids = []string{"MAL-*"}
	}
	records := 0
	if err := walk(func(name string, text []byte) error {
		if a, err := Parse(text); err != nil {
			unread = append(unread, name+": "+err.Error())
		} else if wanted(a.ID, ids) {
			records++
		}
		return nil
	}); err != nil || records == 0 {
		return out, unread, err
	}
	out, err = f.Pond.TakeAdvice(ctx, "feed "+f.Name, func(yield func(*repo.Advice, error) bool) {
		enough := errors.New("enough")
		err := walk(func(_ string, text []byte) error {
			if a, err := Parse(text); err == nil && wanted(a.ID, ids) && !yield(a, nil) {
				return enough
			}
			return nil // what cannot be read was counted
		})
		if err != nil && err != enough {
			yield(nil, err)
		}
	})
	return out, unread, err
}

// looks is the same as long as no file below a directory has changed. It goes where inDirectory does: dir may be a link.
func looks(ctx context.Context, dir string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	sum := sha256.New()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintf(sum, "%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
		return nil // what is gone meanwhile is looked at next time
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// inDirectory reads the .json files below a directory. One that is being written is read when it is whole.
func inDirectory(ctx context.Context, dir string, each func(string, []byte) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(name, ".json") {
			return nil
		}
		r, err := root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // replaced meanwhile: the next look sees it
		}
		if err != nil {
			return err
		}
		defer r.Close()
		text, err := bounded(r, longest)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return each(name, text)
	})
}

// inFile reads the records of a zip, of one document, or of a list.
func inFile(ctx context.Context, file *os.File, each func(string, []byte) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	begin := make([]byte, 4)
	if _, err := file.ReadAt(begin, 0); err != nil && err != io.EOF {
		return err
	}
	if bytes.HasPrefix(begin, []byte("PK")) {
		z, err := zip.NewReader(file, info.Size())
		if err != nil {
			return err
		}
		left := int64(most) * 8
		for _, one := range z.File {
			if one.FileInfo().IsDir() || filepath.Ext(one.Name) != ".json" {
				continue
			}
			if one.UncompressedSize64 > uint64(left) || ctx.Err() != nil {
				return errors.Join(errors.New("it holds too much"), ctx.Err())
			}
			left -= int64(one.UncompressedSize64)
			r, err := one.Open()
			if err != nil {
				return err
			}
			text, err := bounded(r, longest)
			if err := errors.Join(err, r.Close()); err != nil {
				return fmt.Errorf("%s: %w", one.Name, err)
			}
			if err := each(one.Name, text); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := bounded(io.NewSectionReader(file, 0, info.Size()), longest*16)
	if err != nil {
		return err
	}
	var list []json.RawMessage
	if json.Unmarshal(text, &list) == nil {
		for i, one := range list {
			if err := each(fmt.Sprint("record ", i+1), one); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := Parse(text); err != nil { // a page that says something else, or a part of a list
		return fmt.Errorf("it is neither a zip nor an advisory, nor a list of them: %w", err)
	}
	return each("the record", text)
}

func bounded(r io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(text)) > most {
		err = errors.New("it is too large")
	}
	return text, err
}

// download is what is at the URL, in a file that the caller closes and removes; nil if it is what it was.
func (f *Feed) download(ctx context.Context) (_ *os.File, tag, modified string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.At, nil)
	if err != nil {
		return nil, "", "", err
	}
	for name, value := range map[string]string{"If-None-Match": f.tag, "If-Modified-Since": f.modified} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if f.Token != "" {
		r.Header.Set("Authorization", "Bearer "+f.Token)
	}
	resp, err := f.Client.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the address may hold a secret
		}
		return nil, "", "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified && f.tag+f.modified != "" {
		return nil, "", "", nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", "", fmt.Errorf("it answered %s", resp.Status)
	}
	file, err := os.CreateTemp(f.Scratch, "advisories-*")
	if err != nil {
		return nil, "", "", err
	}
	n, err := io.Copy(file, io.LimitReader(resp.Body, most+1))
	if err == nil && n > most {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, "", "", errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return file, resp.Header.Get("Etag"), resp.Header.Get("Last-Modified"), nil
}
