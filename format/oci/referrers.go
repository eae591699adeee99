package oci

import (
	"context"
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

// A record is what this registry keeps of a manifest that was pushed here: what a list of referrers says of it. It is read with
// every listing of its image, so that it has a bound: whoever pushes says how long annotations are.
type record struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Size         int64             `json:"size"`
	Subject      string            `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Long         bool              `json:"long,omitempty"`  // its annotations are more than that, and stand in the manifest alone
	Index        bool              `json:"index,omitempty"` // it names other manifests
}

const (
	mostNoted = 1 << 10  // of annotations, in a record
	mostType  = 255      // of a media type, which RFC 6838 gives no more
	mostRead  = 64 << 20 // of manifests, for one page of referrers
)

// noteAnnotations puts a referrer's annotations into its record, if they are short.
func (k *record) noteAnnotations(all map[string]string) {
	size := 0
	for name, value := range all {
		size += len(name) + len(value)
	}
	if k.Long = size > mostNoted; !k.Long {
		k.Annotations = all
	}
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
		all = slices.DeleteFunc(all, func(d referrer) bool { return d.ArtifactType != kind })
		head.Set("OCI-Filters-Applied", "artifactType")
	}
	if last := query.Get("last"); last != "" {
		all = slices.DeleteFunc(all, func(d referrer) bool { return d.Digest <= last })
	}
	body := []byte(`{"schemaVersion":2,"mediaType":"` + typeIndex + `","manifests":[`)
	first, read := true, int64(0)
	for i := range all {
		d := &all[i]
		if d.long {
			if read += d.Size; read > mostRead && !first {
				h.nextReferrers(w, v, query, all[i-1].Digest)
				break
			}
			if d.Annotations, err = h.annotations(r.Context(), v.image, d.Digest); err != nil {
				if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Gone) || millpond.Is(err, millpond.Blocked) {
					continue // it went meanwhile
				}
				return err
			}
		}
		one, err := json.Marshal(&d.descriptor)
		if err != nil {
			return err
		}
		if len(body)+len(one)+3 > mostManifest && !first {
			h.nextReferrers(w, v, query, all[i-1].Digest)
			break
		}
		if !first {
			body = append(body, ',')
		}
		body, first = append(body, one...), false
	}
	body = append(body, "]}"...)
	head["Content-Type"], head["Cache-Control"] = []string{typeIndex}, moves
	return format.Serve(w, r, inMemory(body))
}

// nextReferrers says where the list goes on after a digest.
func (h handler) nextReferrers(w http.ResponseWriter, v visit, query url.Values, last string) {
	next := url.Values{"last": {last}}
	if kind := query.Get("artifactType"); kind != "" {
		next.Set("artifactType", kind)
	}
	w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", v.url(v.below()), next.Encode()))
}

// annotations are those of a manifest that was pushed here.
func (h handler) annotations(ctx context.Context, image, digest string) (map[string]string, error) {
	m, err := h.readHeld(ctx, image, digest)
	if err != nil {
		return nil, err
	}
	return m.Annotations, nil
}

// readHeld reads a manifest that is held.
func (h handler) readHeld(ctx context.Context, image, digest string) (*manifest, error) {
	c, err := h.repo.Held().Open(ctx, millpond.Key{Package: image, Version: digest, File: digest})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b, err := readManifest(c)
	if err != nil {
		return nil, err
	}
	return readKept(b)
}

// A referrer is a descriptor in a list of referrers.
type referrer struct {
	descriptor
	long bool // its annotations are to be read in the manifest
}

// referrers are the descriptors of all that refers to a digest, sorted by digest: what was pushed here first, and what
// upstreams list where what is hosted does not hide them.
func (h handler) referrers(r *http.Request, v visit) ([]referrer, error) {
	ctx, subject := r.Context(), v.Digest.String()
	var all []referrer
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
			all = append(all, referrer{descriptor{MediaType: kept.MediaType, Digest: ref.Target, Size: kept.Size,
				ArtifactType: kept.ArtifactType, Annotations: kept.Annotations}, kept.Long})
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
					all = append(all, referrer{descriptor: d})
				}
			}
		}
	case !millpond.Is(err, millpond.NotFound):
		return nil, err
	}
	slices.SortFunc(all, func(a, b referrer) int { return strings.Compare(a.Digest, b.Digest) })
	return all, nil
}
