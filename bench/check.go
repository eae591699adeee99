package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// check: how quickly what is held is read and compared with its digests.
func check(ctx context.Context, r *rig) error {
	size := int64(500_000_000)
	if r.quick {
		size = 50_000_000
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	path, err := p.wheel(ctx, "pypi", fmt.Sprintf("file-%d-check", size))
	if err != nil {
		return err
	}
	if _, err := p.warm(ctx, path); err != nil {
		return err
	}
	r.stop(p.process)
	files := r.folder("files")
	name, err := heldAs(files, p, size)
	if err != nil {
		return err
	}
	best := func(command ...string) (float64, error) { // bytes a second of one core
		var took time.Duration
		for range 3 {
			cmd := exec.CommandContext(ctx, command[0], command[1:]...)
			if said, err := cmd.CombinedOutput(); err != nil {
				return 0, fmt.Errorf("%s: %w\n%s", filepath.Base(command[0]), err, last(said, 2000))
			}
			if used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); took == 0 || used < took {
				took = used
			}
		}
		return float64(size) / took.Seconds(), nil
	}
	ours, err := best(r.options.pond, "check", "--read-data", "--data", p.data)
	if err != nil {
		return err
	}
	row := Row{What: fmt.Sprintf("check --read-data of %d MB, a core", size/1_000_000), Unit: "B/s", Pond: ours}
	if theirs, err := best("sha256sum", filepath.Join(files, name)); err == nil {
		row = row.against("sha256sum", theirs)
	}
	r.print(row.atLeast(300e6))
	return nil
}
