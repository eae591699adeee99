package main

import (
	"context"
	"time"
)

// largeDocuments: indexes of tens of megabytes, read and derived once, then served.
func largeDocuments(ctx context.Context, r *rig) error {
	npm, pypi := "/npm/pkg-4600-6000", "/pypi/simple/page-40000/"
	if r.quick {
		npm, pypi = "/npm/pkg-460-6000", "/pypi/simple/page-4000/"
	}
	for _, one := range []struct {
		what, path, source string
		headers            []string
	}{
		{"npm packument", npm, npm, []string{npmShort, gzipped}},
		{"npm packument, full form", npm, npm, []string{gzipped}},
		{"pypi page", pypi, pypi[len("/pypi"):], []string{pypiJSON, gzipped}},
	} {
		p, err := r.newPond(ctx)
		if err != nil {
			return err
		}
		if _, _, err := get(ctx, "http://"+p.addr+"/npm/pkg-8-800", npmShort); err != nil { // what is loaded once is loaded
			return err
		}
		source, _, err := get(ctx, "http://"+r.upstream.addr+one.source)
		if err != nil {
			return err
		}
		size := float64(len(source))
		if err := p.forget(); err != nil {
			return err
		}
		rss, err := p.memory("VmRSS")
		if err != nil {
			return err
		}
		before, err := p.cpu()
		if err != nil {
			return err
		}
		q := request{path: one.path, headers: one.headers}
		_, took, _, err := fetch(ctx, p.addr, q, nil)
		if err != nil {
			return err
		}
		after, err := p.cpu()
		if err != nil {
			return err
		}
		peak, err := p.memory("VmHWM")
		if err != nil {
			return err
		}
		what := figure(size, "B") + " " + one.what
		r.print(Row{What: what + ", cold, CPU", Unit: "ns", Pond: float64(after - before)}.atMost(1e9))
		r.print(Row{What: what + ", cold, wall", Unit: "ns", Pond: float64(took)})
		r.print(Row{What: what + ", cold, more memory at most", Unit: "B", Pond: peak - rss}.against("its size", size).ratioAtMost(4))
		var warm []float64
		for range 21 {
			_, took, _, err := fetch(ctx, p.addr, q, nil)
			if err != nil {
				return err
			}
			warm = append(warm, float64(took))
		}
		r.print(Row{What: what + ", warm, wall", Unit: "ns", Pond: median(warm)}.atMost(float64(5 * time.Millisecond)))
		r.stop(p.process)
	}
	return nil
}
