package npm

import (
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"hash"
	"io"
	"net/http"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"millpond"
	"millpond/format"
)

// A sent is the body of a PUT, less its tarball.
type sent struct {
	ID          string                    `json:"_id"`
	Rev         string                    `json:"_rev"`
	Name        string                    `json:"name"`
	Tags        map[string]string         `json:"dist-tags"`
	Versions    map[string]jsontext.Value `json:"versions"` // nil if the body has none
	Readme      jsontext.Value            `json:"readme"`
	ReadmeFile  jsontext.Value            `json:"readmeFilename"`
	Maintainers jsontext.Value            `json:"maintainers"`
	Attachments map[string]attachment     `json:"_attachments"`
}

type attachment struct {
	Data   string `json:"data"` // only of what is clear text
	Length *int64 `json:"length"`
}

// readSent reads a body, and writes the tarball in it to where begin says.
func readSent(r io.Reader, begin func(name string) (io.Writer, error)) (*sent, error) {
	rest, err := split(r, begin)
	if err != nil {
		return nil, err
	}
	var names map[string]jsontext.Value
	if err := jsonv2.Unmarshal(rest, &names, jsontext.AllowInvalidUTF8(true)); err != nil || names == nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the body is no JSON object, or has a name twice", Err: err}
	}
	for name := range names {
		if err := known(name, sentFields[:], "the body"); err != nil {
			return nil, err
		}
	}
	var s sent
	if err := jsonv2.Unmarshal(rest, &s, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the body is not what npm sends", Err: err}
	}
	return &s, nil
}

// A tarballUpload is a tarball on its way in, and the hashes of it.
type tarballUpload struct {
	format.Upload
	sha1, sha512 hash.Hash
	to           io.Writer
}

func beginUpload(ctx context.Context, repo format.Repo, name string, size int64) (*tarballUpload, error) {
	up, err := repo.Upload(ctx, format.Uploading{Package: name, Size: size})
	if err != nil {
		return nil, err
	}
	t := &tarballUpload{Upload: up, sha1: sha1.New(), sha512: sha512.New()}
	t.to = io.MultiWriter(up, t.sha1, t.sha512)
	return t, nil
}

func (t *tarballUpload) Write(p []byte) (int, error) { return t.to.Write(p) }

// digests are those of what was written, strongest first.
func (t *tarballUpload) digests() ([]millpond.Digest, error) {
	strong, err := millpond.NewDigest("sha512", t.sha512.Sum(nil))
	if err != nil {
		return nil, err
	}
	weak, err := millpond.NewDigest("sha1", t.sha1.Sum(nil))
	return []millpond.Digest{strong, weak}, err
}

// drop ends an upload that was not published: what was committed and is named by nothing is swept.
func (t *tarballUpload) drop() {
	t.Discard() // of an upload that was committed: nothing
	t.Close()
}

// plainBody is a body without its encoding.
func plainBody(r *http.Request) (io.Reader, error) {
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return r.Body, nil
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the body is not the gzip that it claims to be", Err: err}
		}
		return z, nil
	default:
		return nil, refused("bodies encoded with %.30q are not read", encoding)
	}
}
