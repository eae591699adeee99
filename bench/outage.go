package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// outage: what is held, while the upstream takes requests and never answers.
func outage(ctx context.Context, r *rig) error {
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	index := request{path: "/ill/simple/page-10/", headers: []string{pypiJSON}}
	path, err := p.wheel(ctx, "ill", "file-20000-outage")
	if err != nil {
		return err
	}
	file := request{path: path}
	if _, err := p.warm(ctx, path); err != nil {
		return err
	}
	if _, _, err := get(ctx, "http://"+p.addr+index.path, pypiJSON); err != nil {
		return err
	}
	// While it is well the index is asked about again every millisecond, which would be the upstream's time.
	idle, err := r.measure(ctx, subject{p.process, file})
	if err != nil {
		return err
	}
	if err := r.order(ctx, "hang"); err != nil {
		return err
	}
	defer r.order(ctx, "answer")
	if err := p.waitForBreaker(ctx); err != nil {
		return err
	}
	ill, err := r.measure(ctx, subject{p.process, file}, subject{p.process, index})
	if err != nil {
		return err
	}
	r.print(Row{What: "held file, upstream hangs, p99", Unit: "ns", Pond: float64(ill[0].tail())}.against("upstream well", float64(idle[0].tail())).moreAtMost(50e6))
	r.print(Row{What: "kept index, upstream hangs, p99", Unit: "ns", Pond: float64(ill[1].tail())}.against("held file, upstream well", float64(idle[0].tail())).moreAtMost(50e6))
	began := time.Now()
	_, _, _, err = fetch(ctx, p.addr, request{path: "/ill/simple/page-11/", headers: []string{pypiJSON}}, nil)
	if err == nil || !strings.Contains(err.Error(), "503") {
		return fmt.Errorf("what is not held, upstream hangs: %v, want 503", err)
	}
	r.print(Row{What: "what is not held, upstream hangs, 503 after", Unit: "ns", Pond: float64(time.Since(began))}.atMost(12e9))
	return nil
}

// waitForBreaker asks for one thing after another until the pond has given its upstream up for a while.
func (p *pond) waitForBreaker(ctx context.Context) error {
	for i := range 40 {
		fetch(ctx, p.addr, request{path: fmt.Sprintf("/ill/simple/page-%d/", 100+i), headers: []string{pypiJSON}}, nil) // a 503
		b, _, err := get(ctx, "http://"+p.addr+"/-/readyz?verbose")
		if err != nil {
			return err
		}
		if strings.Contains(string(b), "upstream ill/") && strings.Contains(string(b), "not asked until") {
			return nil
		}
	}
	return errors.New("the upstream is asked again and again")
}

// flood: what is held, while clients ask for very many things that are not; of an upstream that answers, and of one that hangs.
func flood(ctx context.Context, r *rig) error {
	keys, waiting := 3000, 1000
	switch {
	case r.full:
		keys = 10_000
	case r.quick:
		keys, waiting = 300, 200
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	path, err := p.wheel(ctx, "pypi", "file-20000-flood")
	if err != nil {
		return err
	}
	hit := subject{p.process, request{path: path}}
	if _, err := p.warm(ctx, path); err != nil {
		return err
	}
	idle, err := r.measure(ctx, hit)
	if err != nil {
		return err
	}

	if err := r.forget(ctx); err != nil {
		return err
	}
	cold := make(chan error, 1)
	over, stop := context.WithCancel(ctx)
	defer stop()
	go func() { cold <- p.cold(over, keys) }()
	busy, err := r.measure(ctx, hit)
	if err != nil {
		return err
	}
	if err := <-cold; err != nil {
		return err
	}
	saw, err := r.asked(ctx)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d cold keys", keys)
	r.print(Row{What: what + ", upstream requests at once", Pond: float64(saw.Most)}.atMost(64))
	r.print(Row{What: "held file, beside " + what + ", p99", Unit: "ns", Pond: float64(busy[0].tail())}.against("idle", float64(idle[0].tail())).ratioAtMost(2))

	if err := r.order(ctx, "hang"); err != nil {
		return err
	}
	defer r.order(ctx, "answer")
	all, err := dial(ctx, p.addr, waiting)
	if err != nil {
		return err
	}
	defer hangUp(all)
	for i, c := range all {
		if _, err := c.Write(request{path: coldPath("hang", i)}.text(p.addr)); err != nil {
			return err
		}
	}
	hung, err := r.measure(ctx, hit)
	if err != nil {
		return err
	}
	r.print(Row{What: fmt.Sprintf("held file, beside %d that wait in vain, p99", waiting), Unit: "ns", Pond: float64(hung[0].tail())}.against("idle", float64(idle[0].tail())).ratioAtMost(2))
	return nil
}

func coldPath(salt string, i int) string {
	return fmt.Sprintf("/golang/bench.example/mod-1000-%s%d/@v/v1.0.0.mod", salt, i)
}

// cold asks for that many files that are not held, 64 at a time.
func (p *pond) cold(ctx context.Context, keys int) error {
	all, err := dial(ctx, p.addr, 64)
	if err != nil {
		return err
	}
	defer hangUp(all)
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, c := range all {
		wait.Go(func() {
			for k := i; k < keys && errs[i] == nil; k += len(all) {
				_, _, _, errs[i] = c.fetch(ctx, p.addr, request{path: coldPath("flood", k)}, nil)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
