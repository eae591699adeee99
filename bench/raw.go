package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// rawFiles: a large file put, in one piece and in parts, beside what a machine's own programs take to copy, sync and digest it;
// then files and directories that are held, beside a Go program that does nothing else.
func rawFiles(ctx context.Context, r *rig) error {
	size := int64(1 << 30)
	if r.quick {
		size = 256 << 20
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	token, err := p.owner(ctx)
	if err != nil {
		return err
	}
	files := r.folder("files")
	name, err := fileOf(files, size)
	if err != nil {
		return err
	}
	name = filepath.Join(files, name)
	least, err := r.keeper(ctx, "")
	if err != nil {
		return err
	}
	var whole, parts, copied, kept []float64
	for i := range 3 {
		for _, one := range []struct {
			into *[]float64
			run  func() (time.Duration, error)
		}{
			{&copied, func() (time.Duration, error) { return copyAndDigest(ctx, name, filepath.Join(files, "copy")) }},
			{&kept, func() (time.Duration, error) {
				return putFile(ctx, fmt.Sprintf("http://%s/%d", least.addr, i), "", name, size)
			}},
			{&whole, func() (time.Duration, error) {
				return putFile(ctx, fmt.Sprintf("http://%s/raw/whole/%d.bin", p.addr, i), token, name, size)
			}},
			{&parts, func() (time.Duration, error) {
				return putParts(ctx, fmt.Sprintf("http://%s/raw/parts/%d.bin", p.addr, i), token, name, size)
			}},
		} {
			took, err := one.run()
			if err != nil {
				return err
			}
			*one.into = append(*one.into, float64(took))
		}
	}
	for _, row := range []struct {
		what string
		took []float64
	}{{"put a file of %d MiB", whole}, {"the same in parts of 16 MiB, 8 at once, %d MiB", parts}} {
		what := fmt.Sprintf(row.what, size>>20)
		r.print(Row{What: what, Unit: "ns", Pond: median(row.took)}.against("cp, sync, sha256sum", median(copied)).ratioAtMost(1.25))
		r.print(Row{What: what, Unit: "ns", Pond: median(row.took)}.against(least.name, median(kept)))
	}
	return r.rawWarm(ctx, p, token)
}

// rawWarm: what is held, small and large, and directories that are written out for each who asks.
func (r *rig) rawWarm(ctx context.Context, p *pond, token string) error {
	at := "http://" + p.addr + "/raw/"
	for i := range 100 {
		if _, err := put(ctx, fmt.Sprintf("%sdir/file-%03d.txt", at, i), token, []byte(words(uint64(i), 4096))); err != nil {
			return err
		}
	}
	body := make([]byte, 1<<20)
	newBlock("raw").fill(body)
	if _, err := put(ctx, at+"large.bin", token, body); err != nil {
		return err
	}
	dir := r.folder("files")
	if err := os.WriteFile(filepath.Join(dir, "large.bin"), body, 0o600); err != nil {
		return err
	}
	bare, err := r.bare(ctx, dir)
	if err != nil {
		return err
	}
	if _, err := p.warm(ctx, "/raw/large.bin"); err != nil {
		return err
	}
	took, err := r.measure(ctx, subject{p.process, request{path: "/raw/large.bin"}}, subject{bare, request{path: "/large.bin"}})
	if err != nil {
		return err
	}
	r.print(cpuRow("warm raw file of 1 MiB, CPU a request", took[0], bare.name, took[1]).ratioAtMost(1.1))
	if err := r.warmAnswers(ctx, p, warmth{what: "warm raw file", path: "/raw/dir/file-007.txt", most: 1.5}); err != nil {
		return err
	}
	for _, page := range []struct{ what, path string }{
		{"page of a directory of 100 files", "/raw/dir/"},
		{"the same as JSON", "/raw/dir/?format=json"},
		{"the same for S3", "/raw/?list-type=2&prefix=dir/"},
	} {
		took, err := r.measure(ctx, subject{p.process, request{path: page.path}})
		if err != nil {
			return err
		}
		r.print(cpuRow(page.what+", CPU a request", took[0], "", taking{}))
		r.print(Row{What: page.what + ", p99", Unit: "ns", Pond: float64(took[0].tail())}.atMost(20e6))
	}
	return nil
}

// fill repeats the block in b.
func (b block) fill(into []byte) { io.ReadFull(&pattern{b, 0}, into) } // a pattern has no end

// copyAndDigest is what keeping a file costs with the machine's own programs.
func copyAndDigest(ctx context.Context, from, to string) (time.Duration, error) {
	began := time.Now()
	for _, args := range [][]string{{"cp", from, to}, {"sync", to}, {"sha256sum", to}} {
		if said, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%s: %w: %s", args[0], err, said)
		}
	}
	return time.Since(began), os.Remove(to)
}

func putFile(ctx context.Context, address, token, name string, size int64) (time.Duration, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	began := time.Now()
	_, err = ask(ctx, http.MethodPut, address, token, f, size)
	return time.Since(began), err
}

// putParts puts a file as S3's clients put a large one: they take a part's tag from its answer.
func putParts(ctx context.Context, address, token, name string, size int64) (time.Duration, error) {
	const part = 16 << 20
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	began := time.Now()
	said, err := ask(ctx, http.MethodPost, address+"?uploads", token, nil, 0)
	if err != nil {
		return 0, err
	}
	var begun struct {
		ID string `xml:"UploadId"`
	}
	if err := xml.Unmarshal(said, &begun); err != nil {
		return 0, err
	}
	var mu sync.Mutex // guards failed
	var failed error
	var wg sync.WaitGroup
	count := int((size + part - 1) / part)
	tags, turns := make([]string, count), make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range turns {
				n := min(part, size-int64(i)*part)
				head, _, err := exchange(ctx, http.MethodPut, fmt.Sprintf("%s?partNumber=%d&uploadId=%s", address, i+1, begun.ID), token,
					io.NewSectionReader(f, int64(i)*part, n), n)
				tags[i] = strings.Trim(head.Get("Etag"), `"`)
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	for i := range count {
		turns <- i
	}
	close(turns)
	wg.Wait()
	if failed != nil {
		return 0, failed
	}
	var list strings.Builder
	for i, tag := range tags {
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, tag)
	}
	text := "<CompleteMultipartUpload>" + list.String() + "</CompleteMultipartUpload>"
	said, err = ask(ctx, http.MethodPost, address+"?uploadId="+begun.ID, token, strings.NewReader(text), int64(len(text)))
	if err == nil && !strings.Contains(string(said), "<ETag>") {
		err = fmt.Errorf("complete the parts: %.300s", said)
	}
	return time.Since(began), err
}

// ask sends a body and returns the answer, which is a good one.
func ask(ctx context.Context, method, address, token string, body io.Reader, size int64) ([]byte, error) {
	_, said, err := exchange(ctx, method, address, token, body, size)
	return said, err
}

// exchange is ask, with the answer's header.
func exchange(ctx context.Context, method, address, token string, body io.Reader, size int64) (http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, nil, err
	}
	req.ContentLength = size
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s answers %s: %.300s", method, address, resp.Status, said)
	}
	return resp.Header, said, err
}

// layers: the metadata of an artifact that five upstreams have, each 200 versions of which half are its own: asked of them, and
// made of what is held of them, once a restart has emptied the pond's memory.
func layers(ctx context.Context, r *rig) error {
	times := 30
	if r.quick {
		times = 10
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	ask := func(base, path string) (float64, error) {
		began := time.Now()
		body, _, err := get(ctx, base+path)
		took := float64(time.Since(began))
		if n := strings.Count(string(body), "<version>"); err == nil && n != 600 {
			err = fmt.Errorf("five layers list %d versions of %s, want 600", n, path)
		}
		return took, err
	}
	path := func(i int) string { return fmt.Sprintf("/bench/lib-200-%d/maven-metadata.xml", i) }
	var took, direct, made []float64
	for i := range times {
		for n := range 5 { // made before it is asked for
			if _, _, err := get(ctx, fmt.Sprintf("http://%s/layer/%d%s", r.upstream.addr, n, path(i))); err != nil {
				return err
			}
		}
		began := time.Now()
		for n := range 5 {
			if _, _, err := get(ctx, fmt.Sprintf("http://%s/layer/%d%s", r.upstream.addr, n, path(i))); err != nil {
				return err
			}
		}
		direct = append(direct, float64(time.Since(began)))
		one, err := ask("http://"+p.addr+"/layers", path(i))
		if err != nil {
			return err
		}
		took = append(took, one)
	}
	r.print(Row{What: "metadata of five maven layers, cold, p50", Unit: "ns", Pond: median(took)}.against("the five answers", median(direct)))
	r.stop(p.process)
	if p, err = r.newPond(ctx, p.data); err != nil {
		return err
	}
	if _, err := p.warm(ctx, "/maven/bench/lib-1/maven-metadata.xml"); err != nil { // the first answer of all reads code from disk
		return err
	}
	for i := range times {
		one, err := ask("http://"+p.addr+"/layers", path(i))
		if err != nil {
			return err
		}
		made = append(made, one)
	}
	r.print(Row{What: "the same, made of what is held of the five, p50", Unit: "ns", Pond: median(made)}.atMost(2e6))
	return nil
}
