package millpond_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"

	"millpond"
	"millpond/fetch/faulty"
)

// stockOCI lays images as a registry serves them, each with one layer that has a file /hello, and the list of their tags.
func stockOCI(up *faulty.Server, goods []good) (string, map[string]string, error) {
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	lay := func(path, kind string, body []byte) {
		o := tagged(body, kind)
		o.Header = http.Header{"Docker-Content-Digest": {millpond.SHA256(body).String()}}
		up.Put(path, o)
	}
	describe := func(kind string, b []byte) map[string]any {
		return map[string]any{"mediaType": kind, "digest": millpond.SHA256(b).String(), "size": len(b)}
	}
	settings := map[string]string{}
	lay("/v2/", "application/json", []byte("{}"))
	names, by := group(goods)
	for _, name := range names {
		var tags []string
		for _, g := range by[name] {
			pad, err := padding(g.size)
			if err != nil {
				return "", nil, err
			}
			plain, err := tarred("hello", "hello from "+name+" "+g.version+"\n"+pad)
			if err != nil {
				return "", nil, err
			}
			created := g.published.Format("2006-01-02T15:04:05Z")
			config, err := json.Marshal(map[string]any{
				"architecture": "amd64", "os": "linux", "created": created, "config": map[string]any{},
				"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diffID(plain)}},
			})
			if err != nil {
				return "", nil, err
			}
			m, err := json.Marshal(map[string]any{
				"schemaVersion": 2, "mediaType": manifestType, "config": describe("application/vnd.oci.image.config.v1+json", config),
				"layers":      []any{describe("application/vnd.oci.image.layer.v1.tar+gzip", plain)},
				"annotations": map[string]string{"org.opencontainers.image.created": created},
			})
			if err != nil {
				return "", nil, err
			}
			at := "/v2/" + name
			lay(at+"/manifests/"+g.version, manifestType, m)
			lay(at+"/manifests/"+millpond.SHA256(m).String(), manifestType, m)
			lay(at+"/blobs/"+millpond.SHA256(config).String(), "application/octet-stream", config)
			lay(at+"/blobs/"+millpond.SHA256(plain).String(), "application/octet-stream", plain)
			tags = append(tags, g.version)
			settings["LAYER"], settings["MANIFEST"] = at+"/blobs/"+millpond.SHA256(plain).String(), millpond.SHA256(m).String()
		}
		list, err := json.Marshal(map[string]any{"name": name, "tags": tags})
		if err != nil {
			return "", nil, err
		}
		lay("/v2/"+name+"/tags/list", "application/json", list)
	}
	return "/", settings, nil
}

// diffID is the digest of a packed layer's plain text.
func diffID(packed []byte) string {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return ""
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return ""
	}
	return millpond.SHA256(plain).String()
}
