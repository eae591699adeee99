package repo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/catalog"
	"millpond/format"
)

const (
	defaultMaxFile = 16 << 30 // bytes
	// publishRoom is the free space below which nothing is published: it is left for catalog and log.
	publishRoom = 2 << 30
	// mostUploads is how many unfinished uploads of one caller are kept.
	mostUploads = 100
	uploads     = "upload" // kind of the entries that say whose an unfinished upload is
)

// An upload is a blob on its way in.
type upload struct {
	blob.Writer
	b    *bound
	pkg  string
	ctx  context.Context // of the request
	most int64
	over bool      // committed or discarded
	kept bool      // an entry says whose it is
	ends time.Time // when that entry expires
	says uploadSession
}

// A session says whose an unfinished upload is.
type uploadSession struct {
	Repository, Package, Name, Token string
	Life                             time.Duration `json:",omitzero"` // after the last use
	Anyone                           bool          `json:",omitzero"` // who may publish the package may go on with it
	Note                             string        `json:",omitzero"`
	Begun                            time.Time     `json:",omitzero"`
}

// Upload implements format.Writer.
func (b *bound) Upload(ctx context.Context, u format.Uploading) (format.Upload, error) {
	if err := b.May(ctx, millpond.VerbPublish, u.Package); err != nil {
		return nil, err
	}
	most := b.config.MaxFile
	if most <= 0 {
		most = defaultMaxFile
	}
	if u.Size > most {
		return nil, b.tooLarge(most)
	}
	if err := b.roomFor(ctx, max(u.Size, 0)); err != nil {
		return nil, err
	}
	w, err := b.pond.blobs.Create(ctx)
	if err != nil {
		return nil, err
	}
	if h, ok := w.(blob.Hint); ok && u.Size > 0 {
		if err := h.Expect(u.Size); err != nil {
			w.Discard() // it has nothing yet
			w.Close()
			return nil, err
		}
	}
	if d, ok := w.(blob.Declarer); ok && len(u.Algorithms) > 0 {
		d.Declare(u.Algorithms...)
	}
	return &upload{Writer: w, b: b, pkg: u.Package, ctx: ctx, most: most, says: uploadSession{
		Repository: b.config.Name, Package: u.Package, Name: b.caller.Name, Token: b.caller.Token, Life: firstPositive(u.Kept, unused),
		Anyone: u.Anyone, Note: u.Note, Begun: b.pond.now().Truncate(time.Second),
	}}, nil
}

// roomFor is Full if n more bytes would leave less free than publishing leaves.
func (b *bound) roomFor(ctx context.Context, n int64) error {
	room, err := b.pond.blobs.Room(ctx)
	if err != nil {
		return err
	}
	if low := min(publishRoom, b.pond.lowMark(room)); room.Free >= 0 && room.Free-n < low {
		return &millpond.Error{Kind: millpond.Full, Why: fmt.Sprintf("the disk has %s left; publishing stops below %s", gib(room.Free), gib(low)),
			Hint: "its operator must make room"}
	}
	return nil
}

func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

func (b *bound) tooLarge(most int64) error {
	return &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the file is larger than %s, the limit of %s", gib(most), b.config.Name),
		Hint: "its operator can raise max_file of the repository"}
}

// Package implements format.Upload.
func (u *upload) Package() string { return u.pkg }

// Write implements format.Upload.
func (u *upload) Write(p []byte) (int, error) {
	if u.Writer.Size()+int64(len(p)) > u.most {
		return 0, u.b.tooLarge(u.most)
	}
	return u.Writer.Write(p)
}

// Check implements format.Upload. A store that does not hash as it writes has the bytes read once more.
func (u *upload) Check(ctx context.Context, want ...millpond.Digest) error {
	want = computable(want)
	if c, ok := u.Writer.(blob.Checker); ok {
		return c.Check(ctx, want...)
	}
	for _, d := range want {
		sum := d.Hash()
		if _, err := io.Copy(sum, io.NewSectionReader(u.Writer, 0, u.Size())); err != nil {
			return err
		}
		if got, err := millpond.NewDigest(d.Algorithm(), sum.Sum(nil)); err != nil || got != d {
			return &millpond.Error{Kind: millpond.Corrupt, Why: fmt.Sprintf("the bytes have %s, not %s as declared", got, d), Err: err}
		}
	}
	return nil
}

// Commit implements format.Upload. Where it fails for a reason that passes, as a full disk does, an upload that its client
// can resume stays as it is: the client may commit it again.
func (u *upload) Commit(ctx context.Context, want ...millpond.Digest) (millpond.Digest, error) {
	id := u.ID()
	d, err := u.Writer.Commit(ctx, computable(want)...)
	if err != nil && !millpond.Is(err, millpond.Corrupt) && u.kept {
		return d, err
	}
	u.over = true
	u.forget(ctx, id)
	return d, err
}

// Discard implements format.Upload.
func (u *upload) Discard() error {
	u.over = true
	u.forget(context.WithoutCancel(u.ctx), u.ID())
	return u.Writer.Discard()
}

// resumable are the unfinished blobs that somebody may still go on with.
func (p *Pond) resumable(ctx context.Context) (stays func(id string) bool, err error) {
	ids := map[string]bool{}
	err = p.catalog.View(ctx, func(tx catalog.Tx) error {
		clear(ids)
		for one, err := range tx.Entries(uploads, "") {
			if err != nil {
				return err
			}
			if one.Expires.After(p.now()) {
				ids[one.ID] = true
			}
		}
		return nil
	})
	return func(id string) bool { return ids[id] }, err
}

// forget drops the entry of a finished upload. One that stays expires by itself, and names nothing.
func (u *upload) forget(ctx context.Context, id string) {
	if !u.kept {
		return
	}
	err := u.b.pond.catalog.Update(ctx, byPond, func(tx catalog.Tx) error { return tx.DropEntry(uploads, id) })
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		u.b.pond.log.WarnContext(ctx, "an upload's record stays until it expires", "error", err)
	}
}

// Close implements format.Upload. The record of whose it is makes it one that can be resumed, for as long as it has from now.
func (u *upload) Close() error {
	var err error
	if !u.over && (!u.kept || u.b.pond.now().Add(u.says.Life).Sub(u.ends) > time.Minute) {
		err = u.keep()
	}
	return firstError(err, u.Writer.Close())
}

func (u *upload) keep() error {
	value, err := json.Marshal(u.says)
	if err != nil {
		return err
	}
	again := u.kept
	u.kept, u.ends = true, u.b.pond.now().Add(u.says.Life)
	ctx := context.WithoutCancel(u.ctx) // the client may have left in the middle of it, and comes back
	owner := orPond(u.b.caller.Name)
	return u.b.pond.catalog.Update(ctx, u.b.caller.Actor, func(tx catalog.Tx) error {
		open := 0
		for one, err := range tx.EntriesOf(uploads, owner) {
			if err != nil {
				return err
			}
			if one.Expires.After(u.b.pond.now()) {
				open++
			}
		}
		if open >= mostUploads && !again {
			u.over = true
			return errors.Join(&millpond.Error{Kind: millpond.Throttled, Why: fmt.Sprintf("%s has %d unfinished uploads, and no more are kept", owner, open),
				Hint: "finish or cancel some; each ends by itself in time", After: u.b.pond.now().Add(time.Minute)}, u.Writer.Discard())
		}
		return tx.PutEntry(&catalog.Entry{Kind: uploads, ID: u.ID(), Owner: owner, Value: value, Expires: u.ends})
	})
}

// mayResume reports whether an upload is the caller's, apart from rights to its package.
func (b *bound) mayResume(s *uploadSession) bool {
	return s.Repository == b.config.Name && (s.Anyone || s.Name == b.caller.Name && s.Token == b.caller.Token)
}

// Uploads implements format.Resumer.
func (b *bound) Uploads(ctx context.Context, prefix string) ([]format.Unfinished, error) {
	var out []format.Unfinished
	rights := b.rights()
	err := b.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		out = nil
		for one, err := range tx.Entries(uploads, "") {
			if err != nil {
				return err
			}
			var s uploadSession
			if err := json.Unmarshal(one.Value, &s); err != nil {
				return err
			}
			if one.Expires.After(b.pond.now()) && b.mayResume(&s) && strings.HasPrefix(s.Package, prefix) && b.allowed(rights, millpond.VerbPublish, s.Package) == nil {
				out = append(out, format.Unfinished{ID: one.ID, Package: s.Package, Note: s.Note, Begun: s.Begun})
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b format.Unfinished) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), a.Begun.Compare(b.Begun), strings.Compare(a.ID, b.ID))
	})
	return out, err
}

// Resume implements format.Writer.
func (b *bound) Resume(ctx context.Context, id string) (format.Upload, error) {
	var s uploadSession
	var ends time.Time
	err := b.pond.catalog.View(ctx, func(tx catalog.Tx) error {
		e, err := tx.Entry(uploads, id)
		if err != nil {
			return err
		}
		if !e.Expires.After(b.pond.now()) {
			return &millpond.Error{Kind: millpond.NotFound, Why: "the upload has expired"}
		}
		ends = e.Expires
		return json.Unmarshal(e.Value, &s)
	})
	none := &millpond.Error{Kind: millpond.NotFound, Why: "there is no such upload", Hint: "begin it again; an upload is kept for a time only"}
	if millpond.Is(err, millpond.NotFound) || err == nil && !b.mayResume(&s) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	if err := b.May(ctx, millpond.VerbPublish, s.Package); err != nil {
		return nil, err
	}
	w, err := b.pond.blobs.Resume(ctx, id)
	if millpond.Is(err, millpond.NotFound) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	most := b.config.MaxFile
	if most <= 0 {
		most = defaultMaxFile
	}
	s.Life = firstPositive(s.Life, unused)
	return &upload{Writer: w, b: b, pkg: s.Package, ctx: ctx, most: most, kept: true, ends: ends, says: s}, nil
}

// restorable is how long what was deleted can be brought back.
const restorable = 7 * 24 * time.Hour
