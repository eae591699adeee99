package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// fileOf makes a file of so many bytes for the references to serve.
func fileOf(dir string, size int64) (name string, err error) {
	name = strconv.FormatInt(size, 10)
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = io.CopyN(f, &pattern{newBlock("file"), 0}, size)
	return name, err
}

// heldAs gives the references the very file that a pond has of so many bytes: how quick a file leaves depends on where its pages
// lie, so that two with the same bytes may differ by a quarter.
func heldAs(dir string, p *pond, size int64) (name string, err error) {
	name = strconv.FormatInt(size, 10)
	found := false
	err = filepath.WalkDir(p.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() != size || filepath.Ext(path) != "" {
			return nil // a file that comes and goes
		}
		found = true
		if err := os.Chmod(path, 0o644); err != nil {
			return err
		}
		if err := os.Link(path, filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return fs.SkipAll
	})
	if err == nil && !found {
		err = fmt.Errorf("the pond has no file of %d bytes", size)
	}
	return name, err
}

// warmFiles: held files that memory does not keep, against a Go program and nginx that serve files of the same size.
func warmFiles(ctx context.Context, r *rig) error {
	files := r.folder("files")
	bare, err := r.bare(ctx, files)
	if err != nil {
		return err
	}
	nginx, err := r.nginx(ctx, files, false)
	if err != nil {
		return err
	}
	logging, err := r.nginx(ctx, files, true)
	if err != nil {
		return err
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	for _, size := range []int64{1 << 20, 100 << 20} {
		path, err := p.wheel(ctx, "pypi", fmt.Sprintf("file-%d-warm", size))
		if err != nil {
			return err
		}
		if _, err := p.warm(ctx, path); err != nil {
			return err
		}
		name, err := heldAs(files, p, size)
		if err != nil {
			return err
		}
		subjects := []subject{{p.process, request{path: path}}, {bare, request{path: "/" + name}}}
		if nginx != nil {
			subjects = append(subjects, subject{nginx, request{path: "/" + name}}, subject{logging, request{path: "/" + name}})
		}
		took, err := r.measure(ctx, subjects...)
		if err != nil {
			return err
		}
		for i, s := range subjects[1:] {
			r.print(cpuRow(fmt.Sprintf("warm file of %d MiB, CPU a request", size>>20), took[0], s.name, took[i+1]).ratioAtMost(1.1))
		}
		if nginx == nil {
			r.print(cpuRow(fmt.Sprintf("warm file of %d MiB, CPU a request", size>>20), took[0], "", taking{}).missing("nginx is not installed"))
		}
	}
	return nil
}

func cpuRow(what string, pond taking, name string, ref taking) Row {
	row := Row{What: what, Unit: "ns", Pond: pond.least()}
	if len(ref.cpu) == 0 {
		return row
	}
	return row.against(name, ref.least())
}

// inMemory is how large a body is at most that a pond keeps in memory. What is larger it sends from its file, and is compared
// with a file.
const inMemory = 64 << 10

// A warmth is a held answer.
type warmth struct {
	what    string
	path    string
	headers []string
	most    float64 // ratio to a Go handler that writes as many bytes, from where the pond has them
	cpu     float64 // nanoseconds that the format's page allows; 0 is none
	rate    float64 // answers a second that it asks for; 0 is none
	tail    float64 // nanoseconds within which 99 of 100 answers are whole
}

// warmAnswers measures what a pond gives from memory.
func (r *rig) warmAnswers(ctx context.Context, p *pond, all ...warmth) error {
	files := r.folder("files")
	bare, err := r.bare(ctx, files)
	if err != nil {
		return err
	}
	for _, a := range all {
		h, err := p.warm(ctx, a.path, a.headers...)
		if err != nil {
			return err
		}
		size := h.Get("Content-Length")
		same := "/bytes/" + size
		if n, err := strconv.ParseInt(size, 10, 64); err == nil && n > inMemory {
			if same, err = heldAs(files, p, n); err != nil {
				return err
			}
			same = "/" + same
		}
		took, err := r.measure(ctx, subject{p.process, request{path: a.path, headers: a.headers}},
			subject{bare, request{path: same, headers: a.headers}})
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%s, %s B", a.what, size)
		r.print(cpuRow(what+", CPU a request", took[0], bare.name, took[1]).ratioAtMost(a.most))
		if a.cpu > 0 {
			r.print(Row{What: what + ", CPU a request", Unit: "ns", Pond: took[0].least()}.atMost(a.cpu))
		}
		if a.rate > 0 {
			r.print(Row{What: what + ", answers", Unit: "1/s", Pond: took[0].rate()}.against(bare.name, took[1].rate()).atLeast(a.rate))
			r.print(Row{What: what + ", p99", Unit: "ns", Pond: float64(took[0].tail())}.against(bare.name, float64(took[1].tail())).atMost(a.tail))
		}
	}
	return nil
}

// warmIndexes: indexes of about 4 KiB, with the log and the metrics on, as shipped.
func warmIndexes(ctx context.Context, r *rig) error {
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	err = r.warmAnswers(ctx, p,
		warmth{what: "warm pypi index", path: "/pypi/simple/page-10/", headers: []string{pypiJSON}, most: 1.5},
		warmth{what: "warm npm packument", path: "/npm/pkg-8-800", headers: []string{npmShort}, most: 1.5},
		warmth{what: "the same, packed", path: "/npm/pkg-8-800", headers: []string{npmShort, gzipped}, most: 1.5, rate: 20_000, tail: 8e6},
		warmth{what: "warm npm packument of 500 kB, packed", path: "/npm/pkg-250-2000", headers: []string{npmShort, gzipped}, most: 1.5, rate: 1000, tail: 100e6},
		warmth{what: "warm golang list", path: "/golang/bench.example/mod-1000-a/@v/list", most: 1.5},
		warmth{what: "warm index of a crate of 500 versions", path: "/cargo/cr/at/crate-500", headers: []string{gzipped}, most: 1.5},
		warmth{what: "warm maven metadata", path: "/maven/bench/lib-100/maven-metadata.xml", most: 1.5},
		// Above 4 KiB, as the two first: just below, a bare answer goes out in one piece, and one with a pond's headers in two.
		warmth{what: "warm pear list of releases", path: "/pear/pear.bench.example/rest/r/list_90/allreleases2.xml", most: 1.5},
		warmth{what: "warm pear release document", path: "/pear/pear.bench.example/rest/r/list_90/1.1.0.xml", most: 1.5},
	)
	if err != nil {
		return err
	}
	rss, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	r.print(Row{What: "resident memory after that", Unit: "B", Pond: rss}.atMost(64 << 20))
	return nil
}

// warmSmall: small files that memory keeps.
func warmSmall(ctx context.Context, r *rig) error {
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	wheel, err := p.wheel(ctx, "pypi", "file-30000-small")
	if err != nil {
		return err
	}
	if _, err := p.warm(ctx, "/npm/pkg-8-800", npmShort); err != nil {
		return err
	}
	return r.warmAnswers(ctx, p,
		warmth{what: "warm golang .info", path: "/golang/bench.example/mod-1000-a/@v/v1.0.0.info", most: 1.5, cpu: 20e3},
		warmth{what: "warm golang .mod", path: "/golang/bench.example/mod-1000-a/@v/v1.0.0.mod", most: 1.5, cpu: 20e3},
		warmth{what: "warm maven .pom", path: "/maven/bench/lib-100/1.0.0/lib-100-1.0.0.pom", most: 1.5},
		warmth{what: "warm maven .jar", path: "/maven/bench/lib-100/1.0.0/lib-100-1.0.0.jar", most: 1.1},
		warmth{what: "warm pypi .metadata", path: wheel + ".metadata", most: 1.5},
		warmth{what: "warm npm tarball", path: "/npm/pkg-8-800/-/pkg-8-800-1.0.0.tgz", most: 1.5},
	)
}

// unchanged: what a client is told that has the answer already.
func unchanged(ctx context.Context, r *rig) error {
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	bare, err := r.bare(ctx, r.folder("nothing"))
	if err != nil {
		return err
	}
	for _, one := range []struct {
		what, path string
		headers    []string
		least      float64
	}{
		{"unchanged npm packument of 500 kB", "/npm/pkg-250-2000", []string{npmShort, gzipped}, 30_000},
		{"unchanged pypi index", "/pypi/simple/page-1000/", []string{pypiJSON, gzipped}, 0},
	} {
		h, err := p.warm(ctx, one.path, one.headers...)
		if err != nil {
			return err
		}
		q := request{path: one.path, headers: append(one.headers, "If-None-Match: "+h.Get("Etag")), status: 304}
		took, err := r.measure(ctx, subject{p.process, q}, subject{bare, request{path: "/unchanged", headers: q.headers, status: 304}})
		if err != nil {
			return err
		}
		r.print(cpuRow(one.what+", CPU a request", took[0], bare.name, took[1]).ratioAtMost(1.5))
		row := Row{What: one.what + ", answers", Unit: "1/s", Pond: took[0].rate()}.against(bare.name, took[1].rate())
		if one.least > 0 {
			row = row.atLeast(one.least)
		}
		r.print(row)
	}
	return nil
}
