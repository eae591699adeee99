package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// registry starts Debian's docker-registry on an empty folder, or returns nil where it is not installed. With an upstream it
// reads through to it.
func (r *rig) registry(ctx context.Context, upstream string) (*process, error) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return nil, nil
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir := r.folder("registry")
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  cache: {blobdescriptor: inmemory}\n  filesystem: {rootdirectory: %s}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), addr)
	if upstream != "" {
		text += "proxy: {remoteurl: " + upstream + "}\n"
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return r.start(launch(ctx, "docker-registry", addr, "/v2/", filepath.Join(dir, "log"), program, "serve", config))
}

const noRegistry = "docker-registry is not installed"

// images: container images, warm, cold and pushed, beside Debian's docker-registry.
func images(ctx context.Context, r *rig) error {
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	if err := warmImage(ctx, r, p); err != nil {
		return err
	}
	if err := coldImage(ctx, r, p); err != nil {
		return err
	}
	return pushImage(ctx, r)
}

// warmImage: manifests by tag and a layer of 100 MiB.
func warmImage(ctx context.Context, r *rig, p *pond) error {
	files := r.folder("files")
	bare, err := r.bare(ctx, files)
	if err != nil {
		return err
	}
	nginx, err := r.nginx(ctx, files, false)
	if err != nil {
		return err
	}
	reg, err := r.registry(ctx, "")
	if err != nil {
		return err
	}
	const size = 100 << 20
	name, up := imageName(1, size, "warm"), "http://"+r.upstream.addr
	m, err := readImage(ctx, up, name)
	if err != nil {
		return err
	}
	token, err := p.owner(ctx)
	if err != nil {
		return err
	}
	if _, err := push(ctx, up, name, "http://"+p.addr, "images/app", token); err != nil {
		return err
	}
	if reg != nil {
		if _, err := push(ctx, up, name, "http://"+reg.addr, "app", ""); err != nil {
			return err
		}
	}
	accept := []string{"Accept: " + typeManifest}
	for _, one := range []struct {
		what, path string
		least      float64 // answers a second
	}{
		{"image manifest by tag", "/v2/images/app/manifests/latest", 20_000},
		{"the same through the cache", "/v2/oci/" + name + "/manifests/latest", 15_000},
	} {
		if _, _, err := get(ctx, "http://"+p.addr+one.path, accept...); err != nil {
			return err
		}
		subjects := []subject{{p.process, request{path: one.path, headers: accept}}, {bare, request{path: fmt.Sprint("/bytes/", len(m.text))}}}
		if reg != nil {
			subjects = append(subjects, subject{reg, request{path: "/v2/app/manifests/latest", headers: accept}})
		}
		took, err := r.measure(ctx, subjects...)
		if err != nil {
			return err
		}
		r.print(cpuRow(one.what+", CPU a request", took[0], bare.name, took[1]).atMost(45e3))
		row := Row{What: one.what + ", answers", Unit: "1/s", Pond: took[0].rate()}
		r.print(row.against(bare.name, took[1].rate()).atLeast(one.least))
		if reg != nil {
			r.print(row.against(reg.name, took[2].rate()).ratioAtLeast(3))
		} else {
			r.print(row.missing(noRegistry))
		}
		r.print(Row{What: one.what + ", p99", Unit: "ns", Pond: float64(took[0].tail())}.against(bare.name, float64(took[1].tail())).atMost(10e6))
	}
	file, err := fileOf(files, size)
	if err != nil {
		return err
	}
	subjects := []subject{{p.process, request{path: "/v2/images/app/blobs/" + m.Layers[0].Digest}}, {bare, request{path: "/" + file}}}
	if nginx != nil {
		subjects = append(subjects, subject{nginx, request{path: "/" + file}})
	}
	if reg != nil {
		subjects = append(subjects, subject{reg, request{path: "/v2/app/blobs/" + m.Layers[0].Digest}})
	}
	took, err := r.measure(ctx, subjects...)
	if err != nil {
		return err
	}
	row := Row{What: "layer of 100 MiB, CPU a GB", Unit: "ns", Pond: took[0].least() * 1e9 / size}
	for i, s := range subjects[1:] {
		r.print(row.against(s.name, took[i+1].least()*1e9/size).ratioAtMost(1.1))
	}
	r.print(row.atMost(200e6))
	return nil
}

// coldImage: eight clients who pull an image that is not held.
func coldImage(ctx context.Context, r *rig, p *pond) error {
	size := int64(200_000_000)
	if r.quick {
		size = 20_000_000
	}
	reg, err := r.registry(ctx, "http://"+r.upstream.addr)
	if err != nil {
		return err
	}
	one, four := imageName(1, size, "cold"), imageName(4, 1_000_000, "cold")
	m, err := readImage(ctx, "http://"+r.upstream.addr, one)
	if err != nil {
		return err
	}
	if _, err := readImage(ctx, "http://"+r.upstream.addr, four); err != nil {
		return err
	}
	blob := "/v2/" + one + "/blobs/" + m.Layers[0].Digest
	// cold tells how often the upstream was asked for the layer, and at all for an image of four, and how long the eight took.
	cold := func(base, under string) (asks, bytes, requests float64, took time.Duration, err error) {
		if err := r.forget(ctx); err != nil {
			return 0, 0, 0, 0, err
		}
		errs := make([]error, 8)
		began := time.Now()
		var wait sync.WaitGroup
		for i := range errs {
			wait.Go(func() { _, errs[i] = pull(ctx, base, under+one) })
		}
		wait.Wait()
		took = time.Since(began)
		for _, err := range errs {
			if err != nil {
				return 0, 0, 0, 0, err
			}
		}
		got, err := r.asked(ctx)
		if err != nil {
			return 0, 0, 0, 0, err
		}
		if err := r.forget(ctx); err != nil {
			return 0, 0, 0, 0, err
		}
		if _, err := pull(ctx, base, under+four); err != nil {
			return 0, 0, 0, 0, err
		}
		after, err := r.asked(ctx)
		for path, n := range after.Requests {
			if !strings.HasPrefix(path, "/-/") {
				requests += float64(n)
			}
		}
		return float64(got.Requests[blob]), float64(got.Bytes), requests, took, err
	}
	asks, bytes, requests, took, err := cold("http://"+p.addr, "oci/")
	if err != nil {
		return err
	}
	what := fmt.Sprintf("8 cold pulls of one layer of %d MB", size/1_000_000)
	rows := []Row{{What: what + ", downloads", Pond: asks}, {What: what + ", upstream bytes", Unit: "B", Pond: bytes},
		{What: what + ", wall", Unit: "ns", Pond: float64(took)}, {What: "cold pull of four layers, upstream requests", Pond: requests}}
	if reg == nil {
		r.print(rows[0].atMost(1).missing(noRegistry))
		r.print(rows[3].atMost(7).missing(noRegistry))
		return nil
	}
	theirs := [4]float64{}
	if theirs[0], theirs[1], theirs[3], took, err = cold("http://"+reg.addr, ""); err != nil {
		return fmt.Errorf("%s: %w", reg.name, err)
	}
	theirs[2] = float64(took)
	for i := range rows {
		rows[i] = rows[i].against(reg.name, theirs[i])
	}
	r.print(rows[0].atMost(1))
	r.print(rows[1].atMost(1.001 * float64(size)))
	r.print(rows[2].ratioAtMost(1))
	r.print(rows[3].atMost(7))
	return nil
}

// pushImage: an image of three layers of 70 MB, sent by one client.
func pushImage(ctx context.Context, r *rig) error {
	size, rounds := int64(70_000_000), 5
	if r.quick {
		size, rounds = 7_000_000, 2
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	token, err := p.owner(ctx)
	if err != nil {
		return err
	}
	reg, err := r.registry(ctx, "")
	if err != nil {
		return err
	}
	var took, theirs []float64
	for i := range rounds {
		name := imageName(3, size, fmt.Sprint("push", i))
		d, err := push(ctx, "http://"+r.upstream.addr, name, "http://"+p.addr, fmt.Sprint("images/push", i), token)
		if err != nil {
			return err
		}
		took = append(took, float64(d))
		if reg == nil {
			continue
		}
		if d, err = push(ctx, "http://"+r.upstream.addr, name, "http://"+reg.addr, fmt.Sprint("push", i), ""); err != nil {
			return err
		}
		theirs = append(theirs, float64(d))
	}
	row := Row{What: fmt.Sprintf("push of 3 layers of %d MB, p50", size/1_000_000), Unit: "ns", Pond: median(took)}
	if reg != nil {
		row = row.against(reg.name, median(theirs))
	} else {
		row = row.missing(noRegistry)
	}
	r.print(row.atMost(1e9))
	return nil
}
