package debian

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"millpond"
	"millpond/format"
)

// begin asks whether the caller may publish a source package, makes the suite if need be, and begins an upload of what is of that
// architecture; "" is of none.
func begin(ctx context.Context, repo format.Repo, suite, source, architecture string, size int64) (*uploading, error) {
	if err := repo.May(ctx, millpond.VerbPublish, source); err != nil {
		return nil, err
	}
	if err := enter(ctx, repo, suite, architecture); err != nil {
		return nil, err
	}
	return upload(ctx, repo, source, size)
}

func upload(ctx context.Context, repo format.Repo, source string, size int64) (*uploading, error) {
	up, err := repo.Upload(ctx, format.Uploading{Package: source, Size: size, Algorithms: []string{"sha1", "md5"}})
	if err != nil {
		return nil, err
	}
	return &uploading{Upload: up, md5: md5.New(), sha1: sha1.New(), sha256: sha256.New()}, nil
}

// An uploading is an upload with the sums that an index needs.
type uploading struct {
	format.Upload
	md5, sha1, sha256 hash.Hash
}

func (u *uploading) copy(ctx context.Context, r io.Reader) error {
	from := format.NewIncoming(r)
	_, err := io.Copy(io.MultiWriter(u.Upload, u.md5, u.sha1, u.sha256), from)
	if err == nil {
		return nil
	}
	return errors.Join(from.Why(ctx, millpond.Key{}, err), u.Discard())
}

// file seals the bytes.
func (u *uploading) file(ctx context.Context, path string) (millpond.File, error) {
	f := millpond.File{Name: path, Size: u.Size()}
	for _, one := range []struct {
		algorithm string
		hash      hash.Hash
	}{{"sha1", u.sha1}, {"md5", u.md5}} {
		d, err := millpond.NewDigest(one.algorithm, one.hash.Sum(nil))
		if err != nil {
			return f, err
		}
		f.Digests = append(f.Digests, d)
	}
	var err error
	if f.Blob, err = u.Commit(ctx); err != nil {
		return f, err
	}
	f.Digests = append([]millpond.Digest{f.Blob}, f.Digests...)
	return f, nil
}

// stanzaFor is a stanza of Packages: the fields of the control file as they stand there, and those of the file.
func stanzaFor(control string, f *millpond.File) string {
	sums := map[string]string{}
	for _, d := range f.Digests {
		sums[d.Algorithm()] = d.Hex()
	}
	return control + fmt.Sprintf("Filename: %s\nSize: %d\nMD5sum: %s\nSHA1: %s\nSHA256: %s\n", f.Name, f.Size, sums["md5"], sums["sha1"], sums["sha256"])
}
