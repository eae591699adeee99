package pear

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	archiveLimit = 256 << 20
	// headLimit is how far into an archive its package.xml is looked for, where nothing else says whose it is.
	headLimit = 8 << 20
)

// publish takes an archive: 201 if it is new, 200 if the very same was published before.
func (h handler) publish(w http.ResponseWriter, r *http.Request, p Path) error {
	done, err := publish(r.Context(), h.repo, r.Body, r.ContentLength, p)
	if err != nil {
		return err
	}
	status, words := http.StatusOK, "is here already: %s %s\n"
	if done.New {
		status, words = http.StatusCreated, "published %s %s\n"
	}
	head := w.Header()
	head.Set("Content-Type", typeText)
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, words, done.Key.Package, done.Key.Version)
	return nil
}

// PublishFile publishes an archive. Its package.xml says what it is.
func (Format) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	return publish(ctx, r, f.Body, f.Size, Path{})
}

func bad(k millpond.Key, err error) error {
	if errors.Is(err, errLimit) {
		return &millpond.Error{Kind: millpond.TooLarge, Key: k, Why: "the archive unpacks to more than it may", Err: err}
	}
	return &millpond.Error{Kind: millpond.Invalid, Key: k, Why: "this is no archive of a package: " + err.Error()}
}

// publish takes an archive for what its address says, or, where that is nothing, for what its package.xml says.
func publish(ctx context.Context, repo format.Repo, body io.Reader, size int64, p Path) (*format.Published, error) {
	var head bytes.Buffer
	if p.Name == "" {
		// Whether somebody may publish at all is judged before anything is read, and what, before the archive is read whole.
		if err := repo.May(ctx, millpond.VerbPublish, ""); err != nil {
			return nil, err
		}
		d, err := peek(ctx, io.TeeReader(io.LimitReader(body, headLimit), &head))
		if err != nil {
			return nil, bad(millpond.Key{}, err)
		}
		if p.Channel != "" && p.Channel != d.channel {
			return nil, bad(millpond.Key{}, fmt.Errorf("it is of the channel %.100q, and not %s", d.channel, p.Channel))
		}
		p = Path{Kind: Archive, Channel: d.channel, Name: d.name, Version: d.version, File: strings.ToLower(d.name) + "-" + d.version + ".tgz"}
	}
	key := p.Key()
	if err := repo.May(ctx, millpond.VerbPublish, key.Package); err != nil {
		return nil, err
	}
	if !hosts(repo, p.Channel) {
		return nil, &millpond.Error{Kind: millpond.Denied, Key: key, Why: fmt.Sprintf("%s hosts no channel %s", repo.Name(), p.Channel), Hint: "its option channel names those that it hosts"}
	}
	if size > archiveLimit {
		return nil, errTooLarge(key)
	}
	up, err := repo.Upload(ctx, format.Uploading{Package: key.Package, Size: size})
	if err != nil {
		return nil, err
	}
	defer up.Close()
	fail := func(err error) (*format.Published, error) { return nil, errors.Join(err, up.Discard()) }
	from := format.NewIncoming(io.MultiReader(&head, body))
	n, err := io.Copy(up, io.LimitReader(from, archiveLimit+1))
	switch {
	case err != nil:
		return fail(from.Why(ctx, key, err))
	case n > archiveLimit:
		return fail(errTooLarge(key))
	}
	d, err := readArchive(ctx, io.NewSectionReader(up, 0, n), n, key, true)
	if err != nil {
		if ctx.Err() != nil {
			return fail(err)
		}
		return fail(bad(key, err))
	}
	release, err := d.release(ctx, repo, key, up)
	if err != nil {
		return nil, err // what was committed may be what others name too
	}
	receipt, err := repo.Publish(ctx, *release)
	if err != nil {
		return nil, err
	}
	return &format.Published{Key: key, New: receipt.New}, nil
}

func errTooLarge(k millpond.Key) error {
	return &millpond.Error{Kind: millpond.TooLarge, Key: k, Why: fmt.Sprintf("an archive has at most %d bytes", archiveLimit)}
}

var errFound = errors.New("found")

// peek reads an archive up to its package.xml.
func peek(ctx context.Context, r io.Reader) (*description, error) {
	var d *description
	err := walk(ctx, r, headLimit*plainRatio, func(h *tar.Header, body io.Reader) error {
		if !isDescription(h.Name) {
			return nil
		}
		b, err := readMember(body)
		if err != nil {
			return err
		}
		if d, err = readDescription(b); err != nil {
			return err
		}
		if d.raw == nil {
			return nil // the first version: the second follows
		}
		return errFound
	})
	switch {
	case err != nil && err != errFound:
		return nil, err
	case d == nil:
		return nil, errors.New("it has no package.xml")
	}
	return d, d.check()
}

// release commits the archive and the documents that are made of it.
func (d *description) release(ctx context.Context, repo format.Repo, k millpond.Key, up format.Upload) (*format.Release, error) {
	now := repo.Now().UTC().Truncate(time.Second)
	v := millpond.Version{Name: d.version, Published: now, Prerelease: d.stability != "stable", Licence: d.licence}
	add := func(name, kind string, u format.Upload) error {
		f := millpond.File{Name: name, Type: kind, Size: u.Size(), Published: now}
		var err error
		if f.Blob, err = u.Commit(ctx); err != nil {
			return err
		}
		f.Digests = []millpond.Digest{f.Blob}
		v.Files = append(v.Files, f)
		return nil
	}
	if err := add(k.File, typeArchive, up); err != nil {
		return nil, err
	}
	deps := serialDeps(d.deps)
	for _, one := range []struct{ name, kind, body string }{
		{d.version + ".xml", typeXML, d.releaseXML(k, now, up.Size(), false)},
		{"v2." + d.version + ".xml", typeXML, d.releaseXML(k, now, up.Size(), true)},
		{"package." + d.version + ".xml", typeXML, string(d.raw)},
		{"deps." + d.version + ".txt", typeSerial, deps},
	} {
		u, err := repo.Upload(ctx, format.Uploading{Package: k.Package, Size: int64(len(one.body))})
		if err != nil {
			return nil, err
		}
		if _, err = io.WriteString(u, one.body); err == nil {
			err = add(one.name, one.kind, u)
		} else {
			err = errors.Join(err, u.Discard())
		}
		if err = errors.Join(err, u.Close()); err != nil {
			return nil, err
		}
	}
	var err error
	if v.Meta, err = json.Marshal(release{Stability: d.stability, MinPHP: d.minPHP, Needs: &depends{deps}}); err != nil {
		return nil, err
	}
	rec := record{Name: d.name, Hosted: true, Version: d.version, Licence: d.licence, Summary: d.summary, Description: d.text, People: d.leads}
	return &format.Release{Package: k.Package, Display: k.Package[:len(k.Package)-len(d.name)] + d.name, Version: v, Settle: func(now *format.Hosting, r *format.Release) error {
		return rec.settle(now, r, k.File)
	}}, nil
}

// settle takes the same archive for the same release, though its documents say another time, and keeps the words of the
// newest release.
func (rec record) settle(now *format.Hosting, r *format.Release, archive string) error {
	if now != nil {
		if kept := now.Version(r.Version.Name); kept != nil {
			if f := kept.File(archive); f != nil && f.Blob == r.Version.Files[0].Blob {
				r.Version.Files, r.Version.Published = kept.Files, kept.Published
			}
		}
		was := recordOf(now.Parts)
		if was.Hosted && was.Version != "" && (Format{}).Compare(was.Version, rec.Version) >= 0 {
			return nil
		}
	}
	meta, err := json.Marshal(rec)
	r.Meta = meta
	return err
}

// releaseXML is V.xml or v2.V.xml.
func (d *description) releaseXML(k millpond.Key, now time.Time, size int64, second bool) string {
	channel, lower, _ := strings.Cut(k.Package, "/")
	var b strings.Builder
	fmt.Fprintf(&b, "%s<r%s>\n <p xlink:href=\"/rest/p/%s\">%s</p>\n <c>%s</c>\n <v>%s</v>\n", xmlHead, xlink, esc(lower), esc(d.name), esc(channel), esc(d.version))
	if second {
		fmt.Fprintf(&b, " <a>%s</a>\n <mp>%s</mp>\n", esc(d.apiVersion), esc(d.minPHP))
	}
	fmt.Fprintf(&b, " <st>%s</st>\n <l>%s</l>\n <m>%s</m>\n <s>%s</s>\n <d>%s</d>\n <da>%s</da>\n <n>%s</n>\n <f>%d</f>\n <g>http://%s/get/%s-%s</g>\n <x xlink:href=\"package.%s.xml\"/>\n</r>\n",
		esc(d.stability), esc(d.licence), esc(d.lead), esc(d.summary), esc(d.text), now.Format("2006-01-02 15:04:05"), esc(d.notes), size,
		esc(channel), esc(d.name), esc(d.version), esc(d.version))
	return b.String()
}
