package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const typeManifest = "application/vnd.oci.image.manifest.v1+json"

// A descriptor is what a manifest says of a part of its image.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// An image is a manifest and the descriptors in it.
type image struct {
	text   []byte
	Config descriptor   `json:"config"`
	Layers []descriptor `json:"layers"`
}

// imageName is an image of so many layers of so many bytes each.
func imageName(layers int, size int64, salt string) string {
	return fmt.Sprintf("bench/image-%d-%d-%s", layers, size, salt)
}

// writeImage writes the manifest of an image, and lays its blobs beside it.
func (g *goods) writeImage(w io.Writer, path, host string) (kind string, err error) {
	var n int
	var size int64
	var salt string
	name, tag, _ := strings.Cut(strings.TrimPrefix(path, "/v2/"), "/manifests/")
	if !scan(name, "bench/image-%d-%d-%s", &n, &size, &salt) || tag != "latest" && !strings.HasPrefix(tag, "sha256:") {
		return "", fmt.Errorf("there is no %s", path)
	}
	part := func(kind, from string) (descriptor, error) {
		m, err := g.locked(from, host)
		if err != nil {
			return descriptor{}, err
		}
		g.files["/v2/"+name+"/blobs/sha256:"+m.sha256] = m
		return descriptor{kind, "sha256:" + m.sha256, m.size}, nil
	}
	config, err := part("application/vnd.oci.image.config.v1+json", "/layers/2000/config-"+salt)
	if err != nil {
		return "", err
	}
	layers := []descriptor{}
	for i := range n {
		layer, err := part("application/vnd.oci.image.layer.v1.tar", fmt.Sprintf("/layers/%d/%s-%d", size, salt, i))
		if err != nil {
			return "", err
		}
		layers = append(layers, layer)
	}
	return typeManifest, json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": layers})
}

// readImage reads an image's manifest where it is.
func readImage(ctx context.Context, base, name string) (*image, error) {
	b, _, err := get(ctx, base+"/v2/"+name+"/manifests/latest", "Accept: "+typeManifest)
	if err != nil {
		return nil, err
	}
	m := &image{text: b}
	return m, json.Unmarshal(b, m)
}

// pull reads an image as clients do: the tag, the manifest, all blobs at once. It returns what came.
func pull(ctx context.Context, base, name string) (int64, error) {
	m, err := readImage(ctx, base, name)
	if err != nil {
		return 0, err
	}
	type came struct {
		n   int64
		err error
	}
	all := append([]descriptor{m.Config}, m.Layers...)
	each := make(chan came, len(all))
	for _, d := range all {
		go func() {
			resp, err := http.Get(base + "/v2/" + name + "/blobs/" + d.Digest)
			if err != nil {
				each <- came{0, err}
				return
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if err == nil && (resp.StatusCode != http.StatusOK || n != d.Size) {
				err = fmt.Errorf("%s answers %s with %d bytes", d.Digest, resp.Status, n)
			}
			each <- came{n, err}
		}()
	}
	n := int64(len(m.text))
	for range all {
		c := <-each
		if n += c.n; c.err != nil {
			err = c.err
		}
	}
	return n, err
}

// push copies an image from one registry to another as clients do, its bytes read before the time is taken: POST, one PATCH
// and PUT for each blob, then the manifest.
func push(ctx context.Context, from, name, to, as, token string) (time.Duration, error) {
	m, err := readImage(ctx, from, name)
	if err != nil {
		return 0, err
	}
	bodies := map[string][]byte{}
	all := append([]descriptor{m.Config}, m.Layers...)
	for _, d := range all {
		if bodies[d.Digest], _, err = get(ctx, from+"/v2/"+name+"/blobs/"+d.Digest); err != nil {
			return 0, err
		}
	}
	send := func(method, at string, status int, kind string, body []byte) (string, error) {
		req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", kind)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != status {
			err = fmt.Errorf("%s %s answers %s: %.300s", method, at, resp.Status, said)
		}
		next, bad := req.URL.Parse(resp.Header.Get("Location"))
		if err == nil && bad != nil {
			err = bad
		}
		if err != nil {
			return "", err
		}
		return next.String(), nil
	}
	began := time.Now()
	for _, d := range all {
		at, err := send(http.MethodPost, to+"/v2/"+as+"/blobs/uploads/", http.StatusAccepted, "", nil)
		if err != nil {
			return 0, err
		}
		if at, err = send(http.MethodPatch, at, http.StatusAccepted, "application/octet-stream", bodies[d.Digest]); err != nil {
			return 0, err
		}
		u, err := url.Parse(at)
		if err != nil {
			return 0, err
		}
		query := u.Query()
		query.Set("digest", d.Digest)
		u.RawQuery = query.Encode()
		if _, err := send(http.MethodPut, u.String(), http.StatusCreated, "", nil); err != nil {
			return 0, err
		}
	}
	_, err = send(http.MethodPut, to+"/v2/"+as+"/manifests/latest", http.StatusCreated, typeManifest, m.text)
	return time.Since(began), err
}
