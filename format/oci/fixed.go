package oci

import (
	"context"
	"encoding/json"
	"errors"

	"millpond"
	"millpond/format"
)

// What a tag stands for that may not move is deleted neither itself nor in part: it would be free for another one, or lead to
// manifests that are not there.

// errMoved says that there are tags which were not looked at.
var errMoved = &millpond.Error{Kind: millpond.Unready, Why: "the image was changed meanwhile", Hint: "ask again"}

// deleteDigest deletes a manifest that is not part of what such a tag stands for.
func (h handler) deleteDigest(ctx context.Context, v visit) (err error) {
	patterns := h.repo.Option(optImmutable)
	d := format.Deletion{Key: millpond.Key{Package: v.image, Version: v.Digest.String()}}
	if patterns == "" {
		return h.repo.Delete(ctx, d)
	}
	parts := map[string]map[string]bool{} // of each manifest that such a tag stands for, all that are below it
	for range 5 {
		now, err := h.repo.Hosted(ctx, v.image)
		if err != nil {
			return err
		}
		indexes := map[string]bool{}
		for i := range now.Versions {
			indexes[now.Versions[i].Name] = isIndex(&now.Versions[i])
		}
		for _, ref := range now.Refs {
			if !fixedTag(patterns, ref) || parts[ref.Target] != nil {
				continue
			}
			below := map[string]bool{}
			if err := h.below(ctx, v.image, ref.Target, indexes, below); err != nil {
				return err
			}
			parts[ref.Target] = below
		}
		d.Settle = func(now *format.Hosting, d *format.Deletion) error {
			for _, ref := range now.Refs {
				switch below := parts[ref.Target]; {
				case !fixedTag(patterns, ref):
				case below == nil:
					return errMoved
				case below[d.Key.Version]:
					return immovable(v.image, ref)
				}
			}
			return nil
		}
		if err = h.repo.Delete(ctx, d); !errors.Is(err, error(errMoved)) {
			return err
		}
	}
	return errMoved
}

// fixedTag reports whether a ref is a tag that may not move.
func fixedTag(patterns string, ref millpond.Ref) bool {
	return !isEdge(ref.Name) && len(immutable(patterns, []string{ref.Name})) > 0
}

// isIndex reports whether a manifest that was pushed here names others.
func isIndex(v *millpond.Version) bool {
	var kept record
	if json.Unmarshal(v.Meta, &kept) != nil {
		return true // of another release of this program: it will be seen
	}
	return kept.Index || kept.MediaType == typeIndex || kept.MediaType == typeDockerList
}

// below adds a manifest, and all that it names, to what was seen.
func (h handler) below(ctx context.Context, image, digest string, indexes, seen map[string]bool) error {
	if seen[digest] {
		return nil
	}
	seen[digest] = true
	if !indexes[digest] {
		return nil
	}
	m, err := h.readHeld(ctx, image, digest)
	if err != nil {
		return &millpond.Error{Kind: millpond.Unready, Key: millpond.Key{Package: image, Version: digest}, Err: err,
			Why: "it cannot be read what manifests " + digest + " names, which a tag stands for that does not move"}
	}
	for _, child := range m.Manifests {
		if err := h.below(ctx, image, child.Digest, indexes, seen); err != nil {
			return err
		}
	}
	return nil
}
