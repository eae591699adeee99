package golang

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/sync/errgroup"

	"millpond"
	"millpond/format"
)

var (
	_ format.Publisher = Format{}
	_ format.Packer    = Format{}
)

// putUpload takes a module zip: 201 if it is new, 200 if its module was published before with the same hash.
func (h handler) putUpload(w http.ResponseWriter, r *http.Request) error {
	done, err := publish(r.Context(), h.repo, r.Body, r.ContentLength)
	if err != nil {
		return err
	}
	head(w, typeText, "no-store")
	words := "is here already, with the same hash: %s@%s %s\n"
	status := http.StatusOK
	if done.New {
		words, status = "published %s@%s %s\n", http.StatusCreated
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, words, done.Key.Package, done.Key.Version, done.hash)
	return nil
}

// PublishFile publishes a module zip. Its name does not matter: the entries say what module it is.
func (Format) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	done, err := publish(ctx, r, f.Body, f.Size)
	if err != nil {
		return nil, err
	}
	return &done.Published, nil
}

type published struct {
	format.Published
	hash string // of what is hosted
}

// publish takes a module zip whose size is -1 if that is not known. Who publishes is judged as soon as the first entry has
// said what.
func publish(ctx context.Context, repo format.Repo, body io.Reader, size int64) (*published, error) {
	in := bufio.NewReaderSize(body, 128<<10) // the longest name of an entry has 64 KiB
	m, err := firstEntry(in.Peek)
	if err != nil {
		return nil, err
	}
	key := millpond.Key{Package: m.Path, Version: m.Version}
	if err := repo.May(ctx, millpond.VerbPublish, m.Path); err != nil {
		return nil, err
	}
	if size > zipLimit {
		return nil, tooLarge(m)
	}
	zip, err := repo.Upload(ctx, format.Uploading{Package: m.Path, Size: size})
	if err != nil {
		return nil, err
	}
	defer zip.Close()
	fail := func(err error) (*published, error) { return nil, errors.Join(err, zip.Discard()) }
	from := format.NewIncoming(io.LimitReader(in, zipLimit+1))
	n, err := io.Copy(zip, from)
	switch {
	case err != nil:
		return fail(from.Why(ctx, key, err))
	case n > zipLimit:
		return fail(tooLarge(m))
	}
	z, err := readZip(ctx, zip, n, m)
	if err != nil {
		return fail(err)
	}
	release, err := z.release(ctx, repo, zip)
	if err != nil {
		return fail(err) // what was committed stays: it may be what others name too
	}
	receipt, err := repo.Publish(ctx, release)
	if err != nil {
		return nil, err
	}
	return &published{format.Published{Key: key, New: receipt.New}, z.hash}, nil
}

// A part is one file of a release.
type part struct {
	kind     Kind
	mime, h1 string
	upload   format.Upload
	blob     millpond.Digest
}

// release commits the zip and the two files that are made of it.
func (z *moduleZip) release(ctx context.Context, repo format.Repo, zip format.Upload) (format.Release, error) {
	now := repo.Now().UTC().Truncate(time.Second)
	mod := z.goMod
	if mod == nil {
		mod = []byte("module " + modfile.AutoQuote(z.Path) + "\n")
	}
	modHash, err := hashMod(mod)
	if err != nil {
		return format.Release{}, err
	}
	info, err := json.Marshal(info{z.Version.Version, now})
	if err != nil {
		return format.Release{}, err
	}
	v := millpond.Version{Name: z.Version.Version, Published: now, Prerelease: isPrerelease(z.Version.Version)}
	parts := []*part{{kind: Zip, mime: typeZip, h1: z.hash, upload: zip}, {kind: Mod, mime: typeText, h1: modHash}, {kind: Info, mime: typeInfo}}
	for i, text := range [][]byte{nil, mod, info} {
		if text == nil {
			continue
		}
		u, err := repo.Upload(ctx, format.Uploading{Package: z.Path, Size: int64(len(text))})
		if err != nil {
			return format.Release{}, err
		}
		defer u.Close()
		if _, err := io.Copy(u, bytes.NewReader(text)); err != nil {
			return format.Release{}, errors.Join(err, u.Discard())
		}
		defer func() {
			if v.Files == nil {
				u.Discard() // it is worth nothing without the others; if it was committed, it stays
			}
		}()
		parts[i].upload = u
	}
	// Each of them waits for the disk: they wait together.
	var commits errgroup.Group
	for _, p := range parts {
		commits.Go(func() (err error) {
			p.blob, err = p.upload.Commit(ctx)
			return err
		})
	}
	if err := commits.Wait(); err != nil {
		return format.Release{}, err
	}
	for _, p := range parts {
		f := millpond.File{
			Name: Path{Kind: p.kind, Module: z.Path, Version: v.Name}.Key().File,
			Type: p.mime, Size: p.upload.Size(), Published: now, Blob: p.blob,
		}
		if p.h1 != "" {
			d, err := digestOf(p.h1)
			if err != nil {
				return format.Release{}, err
			}
			f.Digests = append(f.Digests, d)
		}
		f.Digests = append(f.Digests, f.Blob)
		v.Files = append(v.Files, f)
	}
	detail, err := json.Marshal(map[string]string{"h1": z.hash})
	return format.Release{Package: z.Path, Version: v, Settle: z.settle, Detail: detail}, err
}

// settle takes a module of the same hash for the same, though its zip be packed otherwise: the first bytes stay. One of
// another hash is refused even where versions may be overwritten, for every go.sum in the world remembers the first.
func (z *moduleZip) settle(now *format.Hosting, r *format.Release) error {
	if now == nil {
		return nil
	}
	kept := now.Version(z.Version.Version)
	if kept == nil {
		return nil
	}
	was := hashOf(kept.File(z.Version.Version + ".zip"))
	if was == z.hash {
		r.Version.Files, r.Version.Published = kept.Files, kept.Published
		return nil
	}
	by := now.By[kept.Name]
	if by == "" {
		by = "somebody"
	}
	return &millpond.Error{
		Kind: millpond.Conflict, Key: millpond.Key{Package: z.Path, Version: kept.Name},
		Why: fmt.Sprintf("%s@%s was published by %s on %s with other content: it has %s, this zip %s",
			z.Path, kept.Name, by, kept.Published.UTC().Format("2 Jan 2006 15:04 UTC"), was, z.hash),
		Hint: "a version never changes: publish the next one, whose go.mod may retract this one",
	}
}
