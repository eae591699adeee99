package repo

import (
	"context"

	"millpond"
	"millpond/blob"
)

// placer is the store's side of an upload in pieces.
func (u *upload) placer() (blob.Placer, error) {
	p, ok := u.Writer.(blob.Placer)
	if !ok {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "the store takes bytes in order only"}
	}
	return p, nil
}

// PlaceAt implements format.Placer.
func (u *upload) PlaceAt(p []byte, off int64) error {
	if off+int64(len(p)) > u.most {
		return u.b.tooLarge(u.most)
	}
	w, err := u.placer()
	if err != nil {
		return err
	}
	if err := u.b.roomFor(context.WithoutCancel(u.ctx), int64(len(p))); err != nil { // u.ctx is of who opened it
		return err
	}
	return w.PlaceAt(p, off)
}

// Flush implements format.Placer.
func (u *upload) Flush() error {
	w, err := u.placer()
	if err != nil {
		return err
	}
	return w.Flush()
}

// Take implements format.Placer.
func (u *upload) Take(ctx context.Context, size int64) error {
	w, err := u.placer()
	if err != nil {
		return err
	}
	return w.Take(ctx, size)
}

// Rewind implements format.Placer.
func (u *upload) Rewind(size int64) error {
	w, err := u.placer()
	if err != nil {
		return err
	}
	return w.Rewind(size)
}

// Sum implements format.Placer.
func (u *upload) Sum(ctx context.Context) (millpond.Digest, error) {
	w, err := u.placer()
	if err != nil {
		return millpond.Digest{}, err
	}
	return w.Sum(ctx)
}
