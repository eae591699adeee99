package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// coldFile: one reader of a file that is not held, against the same reader at the upstream itself.
func coldFile(ctx context.Context, r *rig) error {
	size, rounds := int64(200_000_000), 5
	if r.quick {
		size, rounds = 20_000_000, 2
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	least, err := r.keeper(ctx, "")
	if err != nil {
		return err
	}
	for _, line := range []struct {
		what, repository, prefix string
		floor                    bool // the disk is slower than the line
	}{
		{"upstream at 1 Gbit/s", "slow", "/rate/125000000", false},
		{"upstream on loopback", "pypi", "", true},
	} {
		var first, whole, directFirst, directWhole, leastWhole []float64
		for round := range rounds {
			salt := fmt.Sprintf("%s%d", line.repository, round)
			path, err := p.wheel(ctx, line.repository, fmt.Sprintf("file-%d-%s", size, salt))
			if err != nil {
				return err
			}
			want := newBlock(salt)
			f, w, n, err := fetch(ctx, r.upstream.addr, request{path: line.prefix + "/files/" + wheelName(size, salt)}, want.check)
			if err != nil || n != size {
				return fmt.Errorf("direct: %d bytes, %w", n, err)
			}
			directFirst, directWhole = append(directFirst, float64(f)), append(directWhole, float64(w))
			if line.floor {
				_, w, n, err = fetch(ctx, least.addr, request{path: line.prefix + "/files/" + wheelName(size, salt)}, want.check)
				if err != nil || n != size {
					return fmt.Errorf("through %s: %d bytes, %w", least.name, n, err)
				}
				leastWhole = append(leastWhole, float64(w))
			}
			f, w, n, err = fetch(ctx, p.addr, request{path: path}, want.check)
			if err != nil || n != size {
				return fmt.Errorf("through the pond: %d bytes, %w", n, err)
			}
			first, whole = append(first, float64(f)), append(whole, float64(w))
		}
		what := fmt.Sprintf("cold file of %d MB, %s", size/1_000_000, line.what)
		r.print(Row{What: what + ", first byte", Unit: "ns", Pond: median(first)}.against("direct", median(directFirst)).moreAtMost(5e6))
		r.print(Row{What: what + ", whole", Unit: "ns", Pond: median(whole)}.against("direct", median(directWhole)).ratioAtMost(1.05))
		if line.floor {
			r.print(Row{What: what + ", whole", Unit: "ns", Pond: median(whole)}.against(least.name, median(leastWhole)).ratioAtMost(1.25))
		}
	}
	return nil
}

// herd: many clients on one file that is not held. Each compares every byte that it gets.
func herd(ctx context.Context, r *rig) error {
	clients, size := 1000, int64(50_000_000)
	switch {
	case r.full:
		size = 500_000_000
	case r.quick:
		clients, size = 100, 10_000_000
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	path, err := p.wheel(ctx, "pypi", fmt.Sprintf("file-%d-herd", size))
	if err != nil {
		return err
	}
	all, err := dial(ctx, p.addr, clients)
	if err != nil {
		return err
	}
	defer hangUp(all)
	if err := r.forget(ctx); err != nil {
		return err
	}
	if err := p.forget(); err != nil {
		return err
	}
	before, err := p.cpu()
	if err != nil {
		return err
	}
	want := newBlock("herd")
	errs := make([]error, clients)
	began := time.Now()
	var wait sync.WaitGroup
	for i, c := range all {
		wait.Go(func() {
			_, _, n, err := c.fetch(ctx, p.addr, request{path: path}, want.check)
			if err == nil && n != size {
				err = fmt.Errorf("%d bytes", n)
			}
			errs[i] = err
		})
	}
	wait.Wait()
	took := time.Since(began)
	after, err := p.cpu()
	if err != nil {
		return err
	}
	failed, example := 0, ""
	for _, err := range errs {
		if err != nil {
			failed++
			example = err.Error()
		}
	}
	peak, err := p.memory("VmHWM")
	if err != nil {
		return err
	}
	got, err := r.asked(ctx)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d clients on one cold file of %d MB", clients, size/1_000_000)
	r.print(Row{What: what + ", upstream GETs", Pond: float64(got.Requests["/files/"+wheelName(size, "herd")])}.atMost(1))
	r.print(Row{What: what + ", upstream bytes", Unit: "B", Pond: float64(got.Bytes)}.against("the file", float64(size)).ratioAtMost(1))
	r.print(Row{What: what + ", errors", Pond: float64(failed), Note: example}.atMost(0))
	r.print(Row{What: what + ", peak memory", Unit: "B", Pond: peak}.atMost(150e6))
	r.print(Row{What: what + ", wall", Unit: "ns", Pond: float64(took)})
	r.print(Row{What: what + ", CPU a GB served", Unit: "ns", Pond: float64(after-before) / float64(size) / float64(clients) * 1e9})
	return nil
}
