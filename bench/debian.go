package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog"
	"millpond/catalog/sql"
	engine "millpond/fetch"
	"millpond/format"
	"millpond/format/debian"
	"millpond/repo"
)

// debianWarm: what apt asks of a suite that is read through, against a Go program and nginx that serve files of the same size.
func debianWarm(ctx context.Context, r *rig) error {
	files := r.folder("files")
	bare, err := r.bare(ctx, files)
	if err != nil {
		return err
	}
	nginx, err := r.nginx(ctx, files, false)
	if err != nil {
		return err
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	if _, err := p.warm(ctx, "/debian/dists/stable/InRelease"); err != nil {
		return err
	}
	if _, err := p.warm(ctx, "/debian/dists/stable/main/binary-amd64/Packages"); err != nil {
		return err
	}
	for _, one := range []struct{ what, path string }{
		{"warm InRelease", "/debian/dists/stable/InRelease"}, {"warm .deb", "/debian/" + benchDeb},
	} {
		h, err := p.warm(ctx, one.path)
		if err != nil {
			return err
		}
		var size int64
		if _, err := fmt.Sscan(h.Get("Content-Length"), &size); err != nil {
			return fmt.Errorf("%s: %w", one.path, err)
		}
		name, err := fileOf(files, size)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%s, %d B", one.what, size)
		subjects := []subject{{p.process, request{path: one.path}}, {bare, request{path: "/" + name}}}
		if nginx != nil {
			subjects = append(subjects, subject{nginx, request{path: "/" + name}})
		}
		took, err := r.measure(ctx, subjects...)
		if err != nil {
			return err
		}
		for i, s := range subjects[1:] {
			r.print(cpuRow(what+", CPU a request", took[0], s.name, took[i+1]))
			row := Row{What: what + ", answers", Unit: "1/s", Pond: took[0].rate()}.against(s.name, took[i+1].rate())
			if s.process == nginx {
				row = row.ratioAtLeast(0.9)
			} else if one.what == "warm InRelease" {
				row = row.atLeast(10_000)
			}
			r.print(row)
		}
		if nginx == nil {
			r.print(Row{What: what + ", answers", Unit: "1/s", Pond: took[0].rate()}.missing("nginx is not installed"))
		}
	}
	return debianPeer(ctx, r, p)
}

// benchDeb is a package of the upstream, with as many bytes as its name says.
const benchDeb = "pool/main/b/bench/bench_20000000_amd64.deb"

// writeArchive writes what is at a path of an archive with one package: an InRelease of about 150 kB, its index, and the package.
func (g *goods) writeArchive(w io.Writer, path, host string) (kind string, err error) {
	var size int64
	switch {
	case scan(path, "pool/main/b/bench/bench_%d_amd64.deb", &size):
		_, err = io.CopyN(w, &pattern{newBlock("deb"), 0}, size)
		return "application/vnd.debian.binary-package", err
	case path == "dists/stable/main/binary-amd64/Packages":
		deb, err := g.locked("/debian/"+benchDeb, host)
		if err != nil {
			return "", err
		}
		_, err = fmt.Fprintf(w, "Package: bench\nVersion: 20000000\nArchitecture: amd64\nMaintainer: A <a@bench.example>\nFilename: %s\nSize: %d\nSHA256: %s\nDescription: a package\n\n", benchDeb, deb.size, deb.sha256)
		return "text/plain", err
	case path == "dists/stable/InRelease":
		index, err := g.locked("/debian/dists/stable/main/binary-amd64/Packages", host)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(w, "Origin: Bench\nSuite: stable\nCodename: stable\nDate: %s\nArchitectures: amd64\nComponents: main\nSHA256:\n", published.Format(time.RFC1123))
		fmt.Fprintf(w, " %s %d main/binary-amd64/Packages\n", index.sha256, index.size)
		for i := range 1300 { // as many as a large archive lists
			_, err = fmt.Fprintf(w, " %s %d main/dep11/Components-%04d.yml\n", millpond.SHA256([]byte(fmt.Sprint(i))).Hex(), 10_000+i, i)
		}
		return "text/plain", err
	}
	return "", fmt.Errorf("there is no %s", path)
}

// debianHosted: a suite of many packages that are published here, one more of them, and clients who update meanwhile.
func debianHosted(ctx context.Context, r *rig) error {
	many, times := 60_000, 10
	if r.quick {
		many, times = 2000, 3
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	token, err := p.owner(ctx)
	if err != nil {
		return err
	}
	if _, err := put(ctx, "http://"+p.addr+"/apt/dists/stable/Release", token, []byte("Architectures: amd64\n")); err != nil {
		return err
	}
	r.stop(p.process)
	if err := seedSuite(ctx, p.data, many); err != nil {
		return err
	}
	if p, err = r.newPond(ctx, p.data); err != nil {
		return err
	}
	suite := "http://" + p.addr + "/apt/dists/stable/"
	began := time.Now()
	if _, _, err := get(ctx, suite+"InRelease"); err != nil {
		return err
	}
	of := fmt.Sprintf("suite of %d hosted packages", many)
	r.print(Row{What: of + ", its first Release", Unit: "ns", Pond: float64(time.Since(began))})

	// Four clients update all the time, as apt does.
	updating, stop := context.WithCancel(ctx)
	defer stop()
	var failed, updates atomic.Int64
	var clients sync.WaitGroup
	var slow struct {
		sync.Mutex
		all []float64
	}
	for range 4 {
		clients.Go(func() {
			for updating.Err() == nil {
				began := time.Now()
				err := update(updating, suite)
				if updating.Err() != nil {
					return
				}
				if updates.Add(1); err != nil {
					failed.Add(1)
				}
				slow.Lock()
				slow.all = append(slow.all, float64(time.Since(began)))
				slow.Unlock()
			}
		})
	}
	var took []float64
	for i := range times {
		body, err := smallDeb(fmt.Sprintf("one-more-%d", i))
		if err != nil {
			return err
		}
		before, _, err := get(ctx, suite+"InRelease")
		if err != nil {
			return err
		}
		began := time.Now()
		if _, err := put(ctx, "http://"+p.addr+"/apt/pool/stable/main/x.deb", token, body); err != nil {
			return err
		}
		after, _, err := get(ctx, suite+"InRelease")
		if err != nil {
			return err
		}
		took = append(took, float64(time.Since(began)))
		if bytes.Equal(before, after) {
			return errors.New("the InRelease after a publish is that of before")
		}
		select {
		case <-time.After(1100 * time.Millisecond): // Releases are of different seconds
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	stop()
	clients.Wait()
	index, _, err := get(ctx, suite+"main/binary-amd64/Packages")
	if err != nil {
		return err
	}
	if n := bytes.Count(index, []byte("\nPackage: ")) + 1; n != many+times {
		return fmt.Errorf("the index lists %d packages, not %d", n, many+times)
	}
	slices.Sort(took)
	r.print(Row{What: of + ", one more until InRelease has it, p50", Unit: "ns", Pond: median(took)}.atMost(1e9))
	r.print(Row{What: of + ", the same, slowest", Unit: "ns", Pond: took[len(took)-1]}.atMost(1e9))
	r.print(Row{What: fmt.Sprintf("%s, %d updates meanwhile, failed", of, updates.Load()), Pond: float64(failed.Load())}.atMost(0))
	if len(slow.all) > 0 {
		slices.Sort(slow.all)
		r.print(Row{What: of + ", an update meanwhile, p95", Unit: "ns", Pond: slow.all[(len(slow.all)-1)*95/100]})
	}
	rss, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	r.print(Row{What: "resident memory after that", Unit: "B", Pond: rss})
	return nil
}

// update reads a Release, and the index that it lists by its digest: what apt does.
func update(ctx context.Context, suite string) error {
	release, _, err := get(ctx, suite+"InRelease")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(release)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "main/binary-amd64/Packages.gz" {
			continue
		}
		body, _, err := get(ctx, suite+"main/binary-amd64/by-hash/SHA256/"+fields[0])
		if err == nil && millpond.SHA256(body).Hex() != fields[0] {
			err = errors.New("the index is not that of the Release")
		}
		return err
	}
	return errors.New("the Release lists no index")
}

// everything is the right to it.
type everything struct{}

func (everything) May(millpond.Verb, string, string) bool { return true }
func (everything) Scope(millpond.Verb, string) string     { return "*" }
func (everything) Now(catalog.Tx) (repo.Rights, error)    { return everything{}, nil }

// seedSuite publishes many packages into the suite stable of the repository apt, of a pond that does not run. They share one
// file, and each has a stanza of some 800 bytes.
func seedSuite(ctx context.Context, dir string, many int) error {
	blobs, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return err
	}
	defer blobs.Close()
	records, err := sql.Open(ctx, dir, sql.Options{})
	if err != nil {
		return err
	}
	defer records.Close()
	pond, err := repo.New(ctx, repo.Parts{Blobs: blobs, Catalog: records, Fetch: &engine.Engine{Blobs: blobs}})
	if err != nil {
		return err
	}
	defer pond.Close(ctx)
	if err := pond.Configure(ctx, repo.Settings{}, []repo.Config{{Name: "apt", Format: debian.Format{}}}); err != nil {
		return err
	}
	r := pond.Repository("apt").For(repo.Caller{Actor: millpond.Actor{Name: "bench"}, Rights: everything{}})
	body, err := smallDeb("seed")
	if err != nil {
		return err
	}
	up, err := r.Upload(ctx, format.Uploading{Package: "seed", Size: int64(len(body))})
	if err != nil {
		return err
	}
	defer up.Close()
	if _, err := up.Write(body); err != nil {
		return err
	}
	d, err := up.Commit(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range many {
		g.Go(func() error {
			name := fmt.Sprintf("package-%05d", i)
			path := fmt.Sprintf("pool/stable/main/p/%[1]s/%[1]s_1.0_amd64.deb", name)
			stanza := fmt.Sprintf("Package: %s\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A Person <person@bench.example>\nDepends: %s\nDescription: %s\nFilename: %s\nSize: %d\nSHA256: %s\n",
				name, strings.TrimSpace(strings.ReplaceAll(words(uint64(i), 300), " ", ", ")), words(uint64(i), 200), path, len(body), d.Hex())
			meta, err := json.Marshal(map[string]string{"suite": "stable", "component": "main", "kind": "deb", "stanza": stanza})
			if err != nil {
				return err
			}
			_, err = r.Publish(ctx, format.Release{Package: name, Grows: true, Version: millpond.Version{Name: "1.0",
				Files: []millpond.File{{Name: path, Blob: d, Platform: "amd64", Digests: []millpond.Digest{d}, Meta: meta}}}})
			return err
		})
	}
	return g.Wait()
}

// smallDeb is a .deb of that name.
func smallDeb(name string) ([]byte, error) {
	packed := func(file, text string) ([]byte, error) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		t := tar.NewWriter(z)
		err := t.WriteHeader(&tar.Header{Name: "./" + file, Mode: 0o644, Size: int64(len(text))})
		if err == nil {
			_, err = io.WriteString(t, text)
		}
		err = errors.Join(err, t.Close(), z.Close())
		return b.Bytes(), err
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, member := range [][2]string{
		{"debian-binary", "2.0\n"},
		{"control.tar.gz", "Package: " + name + "\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A <a@bench.example>\nDescription: one more\n"},
		{"data.tar.gz", name},
	} {
		body := []byte(member[1])
		if file, ok := map[string]string{"control.tar.gz": "control", "data.tar.gz": "usr/share/" + name}[member[0]]; ok {
			var err error
			if body, err = packed(file, member[1]); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", member[0], 0, 0, 0, "100644", len(body), body)
		if len(body)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}
