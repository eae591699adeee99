package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// modules: a build's modules, read for the first time through a pond, against a plain client that copies the same bytes.
func modules(ctx context.Context, r *rig) error {
	count, rounds := 150, 3
	if r.quick {
		count, rounds = 30, 1
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	least, err := r.keeper(ctx, "/go")
	if err != nil {
		return err
	}
	for _, set := range []struct {
		files     []string
		wall, cpu float64 // that the format's page allows
	}{
		{[]string{".mod"}, 0.2e9, 0},
		{[]string{".info", ".mod", ".zip"}, 1.5e9, 1.4e9},
	} {
		files := set.files
		var cpu, ref, floor time.Duration
		var took, direct []float64
		zips := 0
		for round := range rounds {
			var paths []string
			for i := range count {
				// Of all sizes from 100 kB to 2 MB, 1 MB on average.
				name := fmt.Sprintf("bench.example/mod-%d-%d-%d%d", 100_000+i%20*100_000, round, i, len(files))
				for _, f := range files {
					paths = append(paths, "/"+name+"/@v/v1.0.0"+f)
				}
			}
			// The upstream makes them before the clock runs.
			if _, _, err := r.copied(ctx, "http://"+r.upstream.addr+"/go", paths); err != nil {
				return err
			}
			used, wall, err := r.copied(ctx, "http://"+r.upstream.addr+"/go", paths)
			if err != nil {
				return err
			}
			ref, direct = ref+used, append(direct, float64(wall))
			before, err := least.cpu()
			if err != nil {
				return err
			}
			if _, _, err = r.copied(ctx, "http://"+least.addr, paths); err != nil {
				return err
			}
			after, err := least.cpu()
			if err != nil {
				return err
			}
			floor += after - before
			if err := r.forget(ctx); err != nil {
				return err
			}
			before, err = p.cpu()
			if err != nil {
				return err
			}
			if _, wall, err = r.copied(ctx, "http://"+p.addr+"/golang", paths); err != nil {
				return err
			}
			after, err = p.cpu()
			if err != nil {
				return err
			}
			cpu, took = cpu+after-before, append(took, float64(wall))
			got, err := r.asked(ctx)
			if err != nil {
				return err
			}
			for path := range got.Requests {
				if strings.HasSuffix(path, ".zip") {
					zips++
				}
			}
		}
		what := fmt.Sprintf("%d cold modules, %s", count, strings.Join(files, " "))
		if len(files) == 1 {
			r.print(Row{What: what + ", zips fetched", Pond: float64(zips)}.atMost(0))
		}
		r.print(Row{What: what + ", CPU", Unit: "ns", Pond: float64(cpu) / float64(rounds)}.
			against("a plain client's copy", float64(ref)/float64(rounds)).ratioAtMost(2))
		r.print(Row{What: what + ", CPU", Unit: "ns", Pond: float64(cpu) / float64(rounds)}.
			against(least.name, float64(floor)/float64(rounds)))
		if set.cpu > 0 {
			r.print(Row{What: what + ", CPU", Unit: "ns", Pond: float64(cpu) / float64(rounds)}.atMost(set.cpu))
		}
		r.print(Row{What: what + ", wall", Unit: "ns", Pond: median(took)}.against("direct", median(direct)).atMost(set.wall))
	}
	rss, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	file, err := p.memory("RssFile")
	if err != nil {
		return err
	}
	row := Row{What: "resident memory after those", Unit: "B", Pond: rss}.atMost(30 << 20)
	row.Note = "of it " + figure(file, "B") + " are the program"
	r.print(row)
	return nil
}

// copied runs the plain client and says what it took.
func (r *rig) copied(ctx context.Context, base string, paths []string) (cpu, wall time.Duration, err error) {
	// The copies stay to the end: where many files were deleted lately, ext4 needs a hundred times as long to make one.
	dir := r.folder("copied")
	cmd := exec.CommandContext(ctx, r.self, append([]string{"role", "copy", base, dir}, paths...)...)
	began := time.Now()
	said, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("copy from %s: %w\n%s", base, err, last(said, 2000))
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), time.Since(began), nil
}
