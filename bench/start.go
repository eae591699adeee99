package main

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
)

// start: how soon a pond is ready, what it takes while it does nothing, and what it is as a file.
func start(ctx context.Context, r *rig) error {
	times := 5
	if r.quick {
		times = 2
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	empty, err := r.starts(ctx, p, times)
	if err != nil {
		return err
	}
	r.print(Row{What: "start until ready, with a configuration", Unit: "ns", Pond: empty}.atMost(300e6))
	count := 100_000
	switch {
	case r.full:
		count = 1_000_000
	case r.quick:
		count = 1000
	}
	if err := fill(ctx, p.data, count); err != nil {
		return err
	}
	full, err := r.starts(ctx, p, times)
	if err != nil {
		return err
	}
	r.print(Row{What: fmt.Sprintf("start until ready, with %d files held", count), Unit: "ns", Pond: full}.atMost(1e9))
	if p, err = r.newPond(ctx, p.data); err != nil {
		return err
	}
	select {
	case <-time.After(3 * time.Second): // what a start leaves behind is collected, and the pond's own work has begun
	case <-ctx.Done():
		return ctx.Err()
	}
	rss, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	r.print(Row{What: "resident memory, idle", Unit: "B", Pond: rss}.atMost(40e6))
	info, err := os.Stat(r.options.pond)
	if err != nil {
		return err
	}
	r.print(Row{What: "the program", Unit: "B", Pond: float64(info.Size())}.atMost(60e6))
	needs, err := dynamic(r.options.pond)
	if err != nil {
		return err
	}
	r.print(Row{What: "shared libraries that it needs", Pond: float64(needs)}.atMost(0))
	return nil
}

// clientsSay are the questions about their settings that a pond without a configuration has for this machine's clients.
var clientsSay = []string{"pip config list", "npm config get registry", "npm config list --json", "go env -json GOPROXY GOSUMDB"} // never changed

// adoption: how soon a pond is ready that nobody has told anything, beside the clients' own answers.
func adoption(ctx context.Context, r *rig) error {
	times := 5
	if r.quick {
		times = 1
	}
	var took, again, clients []float64
	for range times {
		began := time.Now()
		var asking sync.WaitGroup
		for _, question := range clientsSay {
			words := strings.Fields(question)
			asking.Go(func() { exec.CommandContext(ctx, words[0], words[1:]...).Run() }) // one that is not installed says nothing
		}
		asking.Wait()
		clients = append(clients, float64(time.Since(began)))
		began = time.Now()
		p, err := r.adopting(ctx, "")
		if err != nil {
			return err
		}
		took = append(took, float64(time.Since(began)))
		r.stop(p.process)
		began = time.Now()
		if p, err = r.adopting(ctx, p.data); err != nil {
			return err
		}
		again = append(again, float64(time.Since(began)))
		r.stop(p.process)
	}
	r.print(Row{What: "first start until ready, asking this machine's clients", Unit: "ns", Pond: median(took)}.
		against("the clients' answers", median(clients)))
	r.print(Row{What: "later starts until ready, without a configuration", Unit: "ns", Pond: median(again)}.atMost(300e6))
	return nil
}

// starts stops the pond, and starts it so many times; the last is stopped too. It returns the median time until ready.
func (r *rig) starts(ctx context.Context, p *pond, times int) (float64, error) {
	r.stop(p.process)
	var took []float64
	for range times {
		began := time.Now()
		again, err := r.newPond(ctx, p.data)
		if err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(began)))
		r.stop(again.process)
	}
	return median(took), nil
}

// fill puts files of eight bytes each into the store and records them, as if they had been fetched. It leaves out what a
// fetch does to be safe against a power cut.
func fill(ctx context.Context, data string, count int) error {
	c, err := sql.Open(ctx, data, sql.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	var workers errgroup.Group
	workers.SetLimit(64) // their records share commits
	for i := range count {
		workers.Go(func() error { return hold(ctx, c, data, i) })
	}
	return workers.Wait()
}

func hold(ctx context.Context, c *sql.Catalog, data string, i int) error {
	body := binary.BigEndian.AppendUint64(nil, uint64(i))
	d := millpond.SHA256(body)
	dir := filepath.Join(data, "blobs", d.Hex()[:2])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, d.Hex()), body, 0o444); err != nil {
		return err
	}
	name := fmt.Sprintf("file-%d", i)
	return c.PutHolding(ctx, &catalog.Holding{
		Layer: "pypi/127.0.0.1", Key: millpond.Key{Package: name, Version: "1.0", File: name + "-1.0.tar.gz"},
		Blob: d, Size: 8, SHA256: d, Digests: []millpond.Digest{d}, Modified: published,
	})
}

// dynamic counts the shared libraries that a program needs, its loader among them.
func dynamic(program string) (int, error) {
	f, err := elf.Open(program)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return 0, err
	}
	n := len(libraries)
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			n++
		}
	}
	return n, nil
}
