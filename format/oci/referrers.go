package oci

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// A record is what this registry keeps of a manifest that was pushed here: what a list of referrers says of it.
type record struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Size         int64             `json:"size"`
	Subject      string            `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// edge is the ref by which a referrer is found from its subject. No tag has such a name.
func edge(subject, referrer string) string { return edges(subject) + referrer }

// edges are what the edges of a subject begin with.
func edges(subject string) string { return "@" + subject + "/" }

// isEdge reports whether a ref is an edge, and not a tag.
func isEdge(ref string) bool { return strings.HasPrefix(ref, "@") }

// An index is a list of descriptors.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

func readReferrers(r io.Reader) ([]descriptor, error) {
	var list index
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Manifests, func(d descriptor) bool {
		_, err := parseDigest(d.Digest)
		return err != nil
	}), nil
}

// getReferrers lists what refers to a manifest: empty for one that nobody knows.
func (h handler) getReferrers(w http.ResponseWriter, r *http.Request, v visit) error {
	query := r.URL.Query()
	all, err := h.referrers(r, v)
	if err != nil {
		return err
	}
	head := w.Header()
	if kind := query.Get("artifactType"); kind != "" {
		all = slices.DeleteFunc(all, func(d descriptor) bool { return d.ArtifactType != kind })
		head.Set("OCI-Filters-Applied", "artifactType")
	}
	if last := query.Get("last"); last != "" {
		all = slices.DeleteFunc(all, func(d descriptor) bool { return d.Digest <= last })
	}
	size := 200
	for i := range all {
		one, err := json.Marshal(all[i])
		if err != nil {
			return err
		}
		if size += len(one) + 1; size > mostManifest && i > 0 {
			next := url.Values{"last": {all[i-1].Digest}}
			if kind := query.Get("artifactType"); kind != "" {
				next.Set("artifactType", kind)
			}
			head.Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", v.url(v.below()), next.Encode()))
			all = all[:i]
			break
		}
	}
	if all == nil {
		all = []descriptor{}
	}
	body, err := json.Marshal(index{2, typeIndex, all})
	if err != nil {
		return err
	}
	head["Content-Type"], head["Cache-Control"] = []string{typeIndex}, moves
	return format.Serve(w, r, inMemory(body))
}

// referrers are the descriptors of all that refers to a digest, sorted by digest: what was pushed here first, and what
// upstreams list where what is hosted does not hide them.
func (h handler) referrers(r *http.Request, v visit) ([]descriptor, error) {
	ctx, subject := r.Context(), v.Digest.String()
	var all []descriptor
	seen := map[string]bool{}
	pkg, err := h.repo.Held().Package(ctx, v.image)
	if err != nil && !millpond.Is(err, millpond.NotFound) && !millpond.Is(err, millpond.Offline) {
		return nil, err
	}
	if err == nil {
		for _, ref := range pkg.Refs {
			version := pkg.Version(ref.Target)
			if !strings.HasPrefix(ref.Name, edges(subject)) || version == nil || seen[ref.Target] {
				continue
			}
			var kept record
			if json.Unmarshal(version.Meta, &kept) != nil {
				continue // of another release of this program
			}
			seen[ref.Target] = true
			all = append(all, descriptor{MediaType: kept.MediaType, Digest: ref.Target, Size: kept.Size,
				ArtifactType: kept.ArtifactType, Annotations: kept.Annotations})
		}
	}
	doc, err := h.repo.Document(ctx, millpond.Key{Package: v.image, File: "referrers/" + subject})
	switch {
	case err == nil:
		defer doc.Close()
		for _, page := range append([]*format.Document{doc}, doc.More...) {
			more, err := readReferrers(page.Reader())
			if err != nil {
				return nil, err
			}
			for _, d := range more {
				if !seen[d.Digest] {
					seen[d.Digest] = true
					all = append(all, d)
				}
			}
		}
	case !millpond.Is(err, millpond.NotFound):
		return nil, err
	}
	slices.SortFunc(all, func(a, b descriptor) int { return strings.Compare(a.Digest, b.Digest) })
	return all, nil
}
