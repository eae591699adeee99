package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// manyGems is how many names the upstream of gems lists.
const manyGems = 200_000

// writeGems writes what is below /gems/, an upstream of gems: versions of so many names, and the gem file-1.0.0 of 1 MiB.
func writeGems(w io.Writer, path string) (kind string, err error) {
	switch strings.TrimPrefix(path, "/gems/") {
	case "versions":
		if _, err = io.WriteString(w, "created_at: 2020-01-02T03:04:05Z\n---\n"); err != nil {
			return "", err
		}
		for i := 0; i < manyGems && err == nil; i++ {
			_, err = fmt.Fprintf(w, "gem-%06d 0.1.0,0.2.0,1.0.0,1.0.1,1.1.0,1.2.0,2.0.0 %x\n", i, md5.Sum(fmt.Append(nil, i)))
		}
		return "text/plain", err
	case "info/file":
		body, err := gem("file", "1.0.0", 1<<20)
		if err == nil {
			_, err = fmt.Fprintf(w, "---\n1.0.0 |checksum:%x\n", sha256.Sum256(body))
		}
		return "text/plain", err
	case "info/list":
		_, err = io.WriteString(w, "---\n")
		for i := 0; i < 40 && err == nil; i++ {
			_, err = fmt.Fprintf(w, "1.%d.0 other:>= 1.0&< 3,another:~> 2.1|checksum:%x,ruby:>= 3.0,created_at:2020-01-02T03:04:05Z\n", i, sha256.Sum256(fmt.Append(nil, i)))
		}
		return "text/plain", err
	case "gems/file-1.0.0.gem":
		body, err := gem("file", "1.0.0", 1<<20)
		if err == nil {
			_, err = w.Write(body)
		}
		return "application/octet-stream", err
	case "quick/Marshal.4.8/file-1.0.0.gemspec.rz":
		z := zlib.NewWriter(w)
		io.WriteString(z, "\x04\x08u:\x17Gem::Specification\x02"+words(1, 2000)) // what w says Close returns
		return "application/octet-stream", z.Close()
	}
	return "", fmt.Errorf("there is no %s", path)
}

// gem is a gem with so many bytes in it.
func gem(name, version string, size int64) ([]byte, error) {
	var data bytes.Buffer
	z, err := gzip.NewWriterLevel(&data, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	if err := tarOf(z, "lib/data.bin", io.LimitReader(&pattern{newBlock(name), 0}, size), size); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	var about bytes.Buffer
	z = gzip.NewWriter(&about)
	fmt.Fprintf(z, "--- !ruby/object:Gem::Specification\nname: %s\nversion: !ruby/object:Gem::Version\n  version: %s\nplatform: ruby\nauthors:\n- Bench\nsummary: made to be measured\n", name, version)
	if err := z.Close(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	for _, part := range []struct {
		name string
		body []byte
	}{{"metadata.gz", about.Bytes()}, {"data.tar.gz", data.Bytes()}} {
		if err := t.WriteHeader(&tar.Header{Name: part.name, Mode: 0o444, Size: int64(len(part.body)), ModTime: published}); err != nil {
			return nil, err
		}
		if _, err := t.Write(part.body); err != nil {
			return nil, err
		}
	}
	err = t.Close()
	return out.Bytes(), err
}

func tarOf(w io.Writer, name string, body io.Reader, size int64) error {
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: published}); err != nil {
		return err
	}
	if _, err := io.Copy(t, body); err != nil {
		return err
	}
	return t.Close()
}

// rubygems: what Bundler and gem ask a pond that knows two hundred thousand names, and what a push costs beside them.
func rubygems(ctx context.Context, r *rig) error {
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	token, err := p.owner(ctx)
	if err != nil {
		return err
	}
	err = r.warmAnswers(ctx, p,
		warmth{what: "warm gem info", path: "/rubygems/info/list", headers: []string{gzipped}, most: 1.5},
		warmth{what: "warm quick spec", path: "/rubygems/quick/Marshal.4.8/file-1.0.0.gemspec.rz", most: 1.5},
		warmth{what: "warm gem", path: "/rubygems/gems/file-1.0.0.gem", most: 1.1},
	)
	if err != nil {
		return err
	}
	began := time.Now()
	whole, h, err := get(ctx, "http://"+p.addr+"/rubygems/versions")
	if err != nil {
		return err
	}
	r.print(Row{What: fmt.Sprintf("versions of %d gems, %s, cold, wall", manyGems, figure(float64(len(whole)), "B")), Unit: "ns", Pond: float64(time.Since(began))})
	if err := r.followed(ctx, p, len(whole), h.Get("Etag")); err != nil {
		return err
	}
	times := 30
	if r.quick {
		times = 10
	}
	var took []float64
	size := len(whole)
	for i := range times {
		body, err := gem("bench-gem", fmt.Sprintf("1.%d.0", i), 1000)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := pushGem(ctx, p, token, body); err != nil {
			return err
		}
		tail, h, err := part(ctx, p, size-1)
		if err != nil {
			return err
		}
		took = append(took, float64(time.Since(began)))
		if !strings.Contains(string(tail), fmt.Sprintf("bench-gem 1.%d.0 ", i)) {
			return fmt.Errorf("the tail after a push is %.300q (%s)", tail, h.Get("Content-Range"))
		}
		size += len(tail) - 1
	}
	r.print(Row{What: "push of a gem until the next tail has it, p50", Unit: "ns", Pond: median(took)}.atMost(50e6))
	for _, file := range []string{"specs.4.8.gz", "latest_specs.4.8.gz"} {
		before, err := p.cpu()
		if err != nil {
			return err
		}
		if _, _, err := get(ctx, "http://"+p.addr+"/rubygems/"+file); err != nil {
			return err
		}
		after, err := p.cpu()
		if err != nil {
			return err
		}
		r.print(Row{What: file + " of those, made, CPU", Unit: "ns", Pond: float64(after - before)}.atMost(5e9))
	}
	rss, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	peak, err := p.memory("VmHWM")
	if err != nil {
		return err
	}
	r.print(Row{What: "resident memory after that", Unit: "B", Pond: rss})
	r.print(Row{What: "peak memory", Unit: "B", Pond: peak})
	return nil
}

// followed: what a client is told that has the list of names, or nearly all of it.
func (r *rig) followed(ctx context.Context, p *pond, size int, tag string) error {
	bare, err := r.bare(ctx, r.folder("nothing"))
	if err != nil {
		return err
	}
	const path = "/rubygems/versions"
	for _, one := range []struct {
		what      string
		own, bare request
	}{
		{"versions, unchanged", request{path: path, headers: []string{"If-None-Match: " + tag}, status: 304}, request{path: "/unchanged", status: 304}},
		{"versions, a tail of 1 KiB", request{path: path, headers: []string{fmt.Sprintf("Range: bytes=%d-", size-1024)}, status: 206}, request{path: "/bytes/1024"}},
	} {
		took, err := r.measure(ctx, subject{p.process, one.own}, subject{bare, one.bare})
		if err != nil {
			return err
		}
		r.print(cpuRow(one.what+", CPU a request", took[0], bare.name, took[1]))
		r.print(Row{What: one.what + ", answers", Unit: "1/s", Pond: took[0].rate()}.against(bare.name, took[1].rate()).atLeast(20_000))
	}
	return nil
}

// part gets the list of names from a byte on.
func part(ctx context.Context, p *pond, from int) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/rubygems/versions", nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return nil, nil, fmt.Errorf("a tail of versions is answered %s", resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	return body, resp.Header, err
}

func pushGem(ctx context.Context, p *pond, token string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+"/rubygems/api/v1/gems", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("push: %s %s %v", resp.Status, said, err)
	}
	return nil
}
