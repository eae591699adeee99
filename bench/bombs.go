package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// A bomb is an archive that does harm to who unpacks it, or lists it.
type bomb struct {
	what   string
	method string
	path   string
	write  func(w io.Writer) error
	file   string // the name of the file in a form; "" sends the archive itself
	npm    string // the package of a document that has the archive within; "" sends the archive itself
}

// bombs: publishing archives that unpack to a thousand times their size, or have a million members. All are refused.
func bombs(ctx context.Context, r *rig) error {
	zeros, members := int64(2<<30), 1_000_000
	if r.quick {
		zeros, members = 600<<20, 250_000
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	token, err := p.owner(ctx)
	if err != nil {
		return err
	}
	for _, b := range []bomb{
		{what: "a wheel of zeros", method: "POST", path: "/pypi/legacy/", file: "bomb-1.0-py3-none-any.whl",
			write: func(w io.Writer) error { return zipBomb(w, "bomb/zeros", zeros) }},
		{what: "an sdist of zeros", method: "POST", path: "/pypi/legacy/", file: "bomb-1.0.tar.gz",
			write: func(w io.Writer) error { return tarBomb(w, "bomb-1.0/zeros", zeros) }},
		{what: "an npm tarball of zeros", method: "PUT", path: "/npm/bomb", npm: "bomb",
			write: func(w io.Writer) error { return tarBomb(w, "package/zeros", zeros) }},
		{what: "a module zip of zeros", method: "PUT", path: "/hosted/upload",
			write: func(w io.Writer) error { return zipBomb(w, "bench.example/bomb@v1.0.0/zeros", zeros) }},
		{what: fmt.Sprintf("a wheel of %d members", members), method: "POST", path: "/pypi/legacy/", file: "bomb-1.0-py3-none-any.whl",
			write: func(w io.Writer) error { return manyMembers(w, "bomb/%d", members) }},
		{what: fmt.Sprintf("a module zip of %d members", members), method: "PUT", path: "/hosted/upload",
			write: func(w io.Writer) error { return manyMembers(w, "bench.example/bomb@v1.0.0/%d", members) }},
	} {
		if err := r.throw(ctx, p, token, b); err != nil {
			return fmt.Errorf("%s: %w", b.what, err)
		}
	}
	return nil
}

// throw sends a bomb, and prints what it took to refuse it.
func (r *rig) throw(ctx context.Context, p *pond, token string, b bomb) error {
	body, err := os.Create(filepath.Join(r.folder("bomb"), "body"))
	if err != nil {
		return err
	}
	defer body.Close()
	kind, err := b.body(body)
	if err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	info, err := body.Stat()
	if err != nil {
		return err
	}
	if err := p.forget(); err != nil {
		return err
	}
	before, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, b.method, "http://"+p.addr+b.path, body)
	if err != nil {
		return err
	}
	req.ContentLength = info.Size()
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", kind)
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusRequestEntityTooLarge {
		return fmt.Errorf("the answer is %s: %.300s", resp.Status, said)
	}
	took := time.Since(began)
	peak, err := p.memory("VmHWM")
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s, %s, refused", b.what, figure(float64(info.Size()), "B"))
	r.print(Row{What: what + ", more memory at most", Unit: "B", Pond: peak - before}.atMost(128e6))
	r.print(Row{What: what + ", wall", Unit: "ns", Pond: float64(took)}.atMost(10e9))
	return nil
}

// body writes what a client would send, and says of what type it is.
func (b bomb) body(w io.Writer) (kind string, err error) {
	switch {
	case b.file != "":
		form := multipart.NewWriter(w)
		fields := [][2]string{{":action", "file_upload"}, {"protocol_version", "1"}, {"name", "bomb"}, {"version", "1.0"}, {"metadata_version", "2.1"}, {"filetype", "bdist_wheel"}, {"pyversion", "py3"}}
		if filepath.Ext(b.file) == ".gz" {
			fields[5][1], fields[6][1] = "sdist", "source"
		}
		for _, f := range fields {
			if err := form.WriteField(f[0], f[1]); err != nil {
				return "", err
			}
		}
		part, err := form.CreateFormFile("content", b.file)
		if err != nil {
			return "", err
		}
		if err := b.write(part); err != nil {
			return "", err
		}
		return form.FormDataContentType(), form.Close()
	case b.npm != "":
		var archive bytes.Buffer
		if err := b.write(&archive); err != nil {
			return "", err
		}
		_, err = fmt.Fprintf(w, `{"_id":%[1]q,"name":%[1]q,"dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":%[1]q,"version":"1.0.0","dist":{}}},"_attachments":{"%[1]s-1.0.0.tgz":{"content_type":"application/octet-stream","length":%[2]d,"data":"%[3]s"}}}`,
			b.npm, archive.Len(), base64.StdEncoding.EncodeToString(archive.Bytes()))
		return "application/json", err
	}
	return "application/zip", b.write(w)
}

// none is a file of zeros that never ends.
type none struct{}

func (none) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func zipBomb(w io.Writer, name string, size int64) error {
	z := zip.NewWriter(w)
	f, err := z.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, none{}, size); err != nil {
		return err
	}
	return z.Close()
}

func tarBomb(w io.Writer, name string, size int64) error {
	packed := gzip.NewWriter(w)
	t := tar.NewWriter(packed)
	if err := t.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644, Format: tar.FormatGNU}); err != nil {
		return err
	}
	if _, err := io.CopyN(t, none{}, size); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	return packed.Close()
}

func manyMembers(w io.Writer, name string, count int) error {
	z := zip.NewWriter(w)
	for i := range count {
		if _, err := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf(name, i)}); err != nil {
			return err
		}
	}
	return z.Close()
}
