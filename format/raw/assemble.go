package raw

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"millpond"
	"millpond/format"
)

// fileOfParts begins the file that parts will make; "" if they are to be kept apart.
func (h handler) fileOfParts(ctx context.Context, name, upload string) (id string, err error) {
	up, err := h.repo.Upload(ctx, format.Uploading{Package: name, Size: -1, Kept: partsKept, Anyone: true, Note: noteOfParts + upload})
	if err != nil {
		return "", err
	}
	if p, ok := up.(format.Placer); !ok || millpond.Is(p.Rewind(0), millpond.Unsupported) || h.assemblies() == nil {
		return "", errors.Join(up.Discard(), up.Close())
	}
	if err := up.Close(); millpond.Is(err, millpond.Throttled) { // the caller has many
		return "", nil
	} else if err != nil {
		return "", err
	}
	return up.ID(), nil
}

// An incomingPart is a part on its way in.
type incomingPart struct {
	name, id string
	number   int
	begun    *begun
	in       *incoming
	body     io.Reader
	size     int64 // -1 if it is not known
}

// takePart keeps a part, at its place if it has one, and returns its MD5 in hex.
func (h handler) takePart(ctx context.Context, w http.ResponseWriter, p *incomingPart) (sum string, err error) {
	a, err := h.assembly(ctx, p.name, p.id, p.begun)
	if err != nil {
		return "", err
	}
	if a != nil {
		defer func() { err = errors.Join(err, a.close()) }()
		if at, ok := a.claim(p.number, p.size); ok {
			sum, err := h.placePart(ctx, a, at, p)
			if err != nil {
				a.letGo(p.number)
				return "", err
			}
			if err := a.put(context.WithoutCancel(ctx), p.number); err != nil {
				format.Report(w, err) // the part is there; what failed is done again when all are put together
			}
			return sum, nil
		}
	}
	f, err := h.loose(ctx, p.name, partName(p.id, p.number, ""), p.body, p.in, p.size)
	if err != nil {
		return "", err
	}
	return hexOf(f.Digests, "md5"), nil
}

func (h handler) placePart(ctx context.Context, a *assembly, at *place, p *incomingPart) (string, error) {
	to := a.up.(format.Placer)
	s := &summer{}
	s.add("md5")
	for algorithm := range p.in.want {
		s.add(algorithm)
	}
	s.add(p.in.promised...)
	if p.in.want["sha256"] != nil {
		s.addHere("sha256")
	}
	n, err := s.copy(&placing{to, at.at, at.size}, p.body)
	if err == nil && n != p.size {
		err = short(n, p.size, nil)
	}
	sums := s.sums()
	if err == nil {
		err = p.in.settle(sums)
	}
	if err == nil {
		err = to.Flush()
	}
	if err != nil {
		return "", err
	}
	sum := hex.EncodeToString(sums["md5"])
	meta, err := json.Marshal(part{At: at.at, Size: at.size})
	if err != nil {
		return "", err
	}
	f := millpond.File{Name: partName(p.id, p.number, sum) + "-placed", Blob: p.begun.blob, Digests: []millpond.Digest{p.begun.blob}, Meta: meta}
	_, err = h.repo.Publish(ctx, format.Release{Package: p.name, Version: millpond.Version{Files: []millpond.File{f}}, Loose: partsKept})
	return sum, err
}

// lie reports whether parts are at their places, one behind another.
func lie(parts []part) bool {
	var at int64
	for i := range parts {
		if parts[i].At != at {
			return false
		}
		at += parts[i].Size
	}
	return true
}

// joinParts makes the file.
func (h handler) joinParts(ctx context.Context, in *incoming, id string, b *begun, files []millpond.File, parts []part) (err error) {
	a, err := h.assembly(ctx, in.name, id, b)
	if err != nil {
		return err
	}
	if a == nil {
		if f, ok := sealedBefore(files, id, in.record.Parts); ok {
			f.Name = base(in.name)
			if _, err := h.publish(ctx, in, f); !millpond.Is(err, millpond.NotFound) {
				return err
			}
		}
	} else {
		defer func() { err = errors.Join(err, a.close()) }()
	}
	if a != nil && lie(parts) {
		return h.sealParts(ctx, a, in, id, b)
	}
	all := &concatenated{h: h, ctx: ctx, name: in.name, parts: parts, placed: a}
	defer all.close()
	_, err = h.put(ctx, in, all)
	return err
}

// sealParts makes the file of what is at its place.
func (h handler) sealParts(ctx context.Context, a *assembly, in *incoming, id string, b *begun) error {
	defer a.open()
	sums, err := a.whole(ctx, in.size)
	if err != nil {
		return err
	}
	if err := h.noSecrets(in.name, a.up, in.size); err != nil {
		return err
	}
	sha256, err := a.up.(format.Placer).Sum(ctx)
	if err != nil {
		return err
	}
	f := millpond.File{Name: base(in.name), Size: in.size, Blob: sha256, Digests: sums.digests(sha256), Type: in.kind}
	meta, err := json.Marshal(sealed{Size: f.Size, Digests: f.Digests})
	if err != nil {
		return err
	}
	note := millpond.File{Name: partsOf(id) + "sealed-" + in.record.Parts, Blob: b.blob, Digests: []millpond.Digest{b.blob}, Meta: meta}
	if _, err := h.repo.Publish(ctx, format.Release{Package: in.name, Version: millpond.Version{Files: []millpond.File{note}}, Loose: partsKept}); err != nil {
		return err
	}
	if _, err := a.up.Commit(ctx, sha256); err != nil {
		return err
	}
	_, err = h.publish(ctx, in, f)
	return err
}

// endParts lets go of an upload: its records expire now, and the bytes are swept.
func (h handler) endParts(ctx context.Context, name, id string) error {
	b, files, err := h.partsHere(ctx, name, id)
	if err != nil {
		return err
	}
	a, err := h.assembly(ctx, name, id, b)
	if err != nil {
		return err
	}
	if a != nil {
		err = errors.Join(a.drop(), a.close())
		h.assemblies().forget(id)
	}
	_, expired := h.repo.Publish(ctx, format.Release{Package: name, Version: millpond.Version{Files: files}, Loose: time.Nanosecond})
	return errors.Join(err, expired)
}

// A sealed says what a file will be whose parts are about to be sealed.
type sealed struct {
	Size    int64             `json:"size"`
	Digests []millpond.Digest `json:"digests"`
}

// sealedBefore is the file that was sealed of the same parts when the pond stopped, or another client took the path, before it
// had its name.
func sealedBefore(files []millpond.File, id, tag string) (millpond.File, bool) {
	for _, f := range files {
		if f.Name != partsOf(id)+"sealed-"+tag {
			continue
		}
		var s sealed
		if json.Unmarshal(f.Meta, &s) != nil {
			return f, false
		}
		out := millpond.File{Size: s.Size, Digests: s.Digests}
		for _, d := range s.Digests {
			if d.Algorithm() == "sha256" {
				out.Blob = d
			}
		}
		return out, true
	}
	return millpond.File{}, false
}
