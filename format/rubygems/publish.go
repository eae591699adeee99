package rubygems

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// push publishes what gem push sends: the gem as the body, or as the part "gem" of a form.
func (h handler) push(w http.ResponseWriter, r *http.Request) error {
	if err := h.repo.May(r.Context(), millpond.VerbPublish, ""); err != nil {
		return err
	}
	body := io.Reader(r.Body)
	if kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "multipart/form-data" {
		parts := multipart.NewReader(r.Body, params["boundary"])
		for {
			part, err := parts.NextPart()
			if err != nil {
				return &millpond.Error{Kind: millpond.Invalid, Why: "the form has no part named gem", Err: err}
			}
			if part.FormName() == "gem" {
				body = part
				break
			}
		}
	}
	done, err := publish(r.Context(), h.repo, body, r.ContentLength)
	if err != nil {
		io.CopyN(io.Discard, r.Body, 1<<20) // the client writes first, and reads then
		return err
	}
	number, platform := split(done.Key.Version)
	words := fmt.Sprintf("Successfully registered gem: %s (%s)\n", done.Key.Package, join(number, platform))
	if !done.New {
		words = "Gem was already pushed\n"
	}
	return h.say(w, words)
}

// say answers a write.
func (h handler) say(w http.ResponseWriter, words string) error {
	header := w.Header()
	header.Set("Content-Type", typeText)
	header.Set("Cache-Control", "no-store")
	io.WriteString(w, words) // the client that has left is told nothing
	return nil
}

// PublishFile implements format.Publisher.
func (Format) PublishFile(ctx context.Context, r format.Repo, f format.PublishedFile) (*format.Published, error) {
	return publish(ctx, r, f.Body, f.Size)
}

// publish reads a gem and publishes it. Its name stands in it: what is read before the name is known is little.
func publish(ctx context.Context, repo format.Repo, body io.Reader, size int64) (*format.Published, error) {
	var head bytes.Buffer
	spec, err := readMetadata(io.TeeReader(body, &head))
	if err != nil {
		return nil, err
	}
	if err := repo.May(ctx, millpond.VerbPublish, spec.name); err != nil {
		return nil, err
	}
	up, err := repo.Upload(ctx, format.Uploading{Package: spec.name, Size: size})
	if err != nil {
		return nil, err
	}
	sealed := false
	defer func() { drop(up, sealed) }()
	if _, err := io.Copy(up, io.MultiReader(&head, body)); err != nil {
		return nil, cutBody(err)
	}
	if err := checkGem(io.NewSectionReader(up, 0, up.Size())); err != nil {
		return nil, err
	}
	blob, err := up.Commit(ctx)
	if err != nil {
		return nil, err
	}
	sealed = true
	var text bytes.Buffer
	if err := spec.quick(&text); err != nil {
		return nil, err
	}
	quickBlob, err := store(ctx, repo, spec.name, text.Bytes())
	if err != nil {
		return nil, err
	}
	now := repo.Now().UTC().Truncate(time.Second)
	created := now
	if repo.Option(optInfo) == "v1" {
		created = time.Time{}
	}
	meta, err := json.Marshal(record{
		Line:  spec.line(blob.Hex(), created),
		About: &about{Summary: spec.summary, Authors: spec.authors, Homepage: spec.homepage, Licences: spec.licences},
	})
	if err != nil {
		return nil, err
	}
	version := spec.version()
	gem := millpond.File{Name: gemFile(spec.name, version), Size: up.Size(), Blob: blob, Digests: []millpond.Digest{blob}}
	if spec.platform != "ruby" {
		gem.Platform = spec.platform
	}
	quick := millpond.File{Name: quickFile(spec.name, version), Of: gem.Name, Size: int64(text.Len()), Blob: quickBlob, Digests: []millpond.Digest{quickBlob}}
	receipt, err := repo.Publish(ctx, format.Release{
		Package: spec.name,
		Version: millpond.Version{
			Name: version, Published: now, Prerelease: isPrerelease(version), Licence: strings.Join(spec.licences, " OR "),
			Files: []millpond.File{gem, quick}, Meta: meta,
		},
		Settle: func(hosting *format.Hosting, _ *format.Release) error {
			if hosting != nil {
				return nil
			}
			return otherCase(ctx, repo, spec.name)
		},
	})
	if err != nil {
		return nil, err
	}
	return &format.Published{Key: millpond.Key{Package: spec.name, Version: version, File: gem.Name}, New: receipt.New}, nil
}

// otherCase refuses a new name that differs from a hosted one by case only: on half of all disks the two are one.
func otherCase(ctx context.Context, repo format.Repo, name string) error {
	for rec, err := range repo.Records(ctx, "") {
		if err != nil {
			return err
		}
		if rec.Name != name && strings.EqualFold(rec.Name, name) {
			return &millpond.Error{Kind: millpond.Conflict, Key: millpond.Key{Package: name}, Why: fmt.Sprintf("%s is here already, and differs from %s by case only", rec.Name, name)}
		}
	}
	return nil
}

func drop(up format.Upload, sealed bool) {
	if !sealed {
		up.Discard()
	}
	up.Close()
}

// store seals a small file.
func store(ctx context.Context, repo format.Repo, name string, text []byte) (millpond.Digest, error) {
	up, err := repo.Upload(ctx, format.Uploading{Package: name, Size: int64(len(text))})
	if err != nil {
		return millpond.Digest{}, err
	}
	sealed := false
	defer func() { drop(up, sealed) }()
	if _, err := up.Write(text); err != nil {
		return millpond.Digest{}, err
	}
	d, err := up.Commit(ctx)
	sealed = err == nil
	return d, err
}

// cutBody is what ended the reading of a body: the client, unless the pond itself said why.
func cutBody(err error) error {
	if _, ok := errors.AsType[*millpond.Error](err); ok {
		return err
	}
	return &millpond.Error{Kind: millpond.Invalid, Why: "the gem did not arrive whole", Err: err}
}

// yank withdraws one version on one platform. Its files stay, for lock files; its number is never taken again.
func (h handler) yank(w http.ResponseWriter, r *http.Request) error {
	if err := h.repo.May(r.Context(), millpond.VerbYank, ""); err != nil {
		return err
	}
	form, err := formOf(r)
	if err != nil {
		return err
	}
	name, number := form.Get("gem_name"), strings.ReplaceAll(form.Get("version"), "-", ".pre.")
	version := join(number, form.Get("platform"))
	if !isName(name) || !isVersion(version) {
		return invalid("the form names no version of a gem: gem_name, version and perhaps platform are wanted")
	}
	k := millpond.Key{Package: name, Version: version}
	err = h.repo.Amend(r.Context(), format.Amendment{
		Package: name, Version: version, Verb: "yank",
		Edit: func(now *format.Hosting) error {
			v := now.Version(version)
			if v == nil {
				return &millpond.Error{Kind: millpond.NotFound, Key: k, Why: fmt.Sprintf("%s has no version %s here", name, version)}
			}
			if v.Yanked {
				return &millpond.Error{Kind: millpond.Conflict, Key: k, Why: fmt.Sprintf("%s (%s) is yanked already", name, version)}
			}
			v.Yanked = true
			for i := range v.Files {
				v.Files[i].Yanked = true
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	return h.say(w, fmt.Sprintf("Successfully deleted gem: %s (%s)\n", name, version))
}
