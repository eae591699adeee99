package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"millpond"
	"millpond/repo"
)

type checkCommand struct {
	api
	settings
	ReadData bool `help:"Read every byte that is held, and compare it with its digest."`
	Repair   bool `help:"Drop what is damaged and can be fetched again; published bytes that rotted are set aside."`
}

// Run looks for damage. It opens the data itself; if a running pond has it, that pond is asked.
func (c *checkCommand) Run(ctx context.Context, p *Process) error {
	dir, err := c.dataDir(p)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "catalog.db")); errors.Is(err, fs.ErrNotExist) {
		return &exit{ExitNoStore, &millpond.Error{Kind: millpond.NotFound, Why: "there is no data in " + dir, Hint: "name the directory with --data"}}
	}
	bar := p.working("looking for damage")
	report, err := c.look(ctx, p, dir)
	bar.done()
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(p.Out, report)
	} else {
		showReport(p.Out, report)
	}
	if err == nil && len(report.Damage) > report.Repaired {
		return &exit{code: ExitFailed}
	}
	return err
}

func (c *checkCommand) look(ctx context.Context, p *Process, dir string) (*repo.Report, error) {
	options := repo.CheckOptions{ReadData: c.ReadData, Repair: c.Repair}
	var locked error
	var report *repo.Report
	err := asOwner(dir, func() error {
		house, err := openHouse(ctx, houseParts{data: dir, log: discard(), version: p.Version})
		if millpond.Is(err, millpond.Unready) {
			locked = err
			return nil
		}
		if err != nil {
			return err
		}
		defer house.close(ctx)
		report, err = house.pond.Check(ctx, options)
		return err
	})
	if locked != nil && err == nil {
		return c.askRunning(ctx, dir, locked)
	}
	return report, err
}

// askRunning asks the pond that has the directory.
func (c *checkCommand) askRunning(ctx context.Context, dir string, locked error) (*repo.Report, error) {
	q := url.Values{}
	for name, on := range map[string]bool{"read_data": c.ReadData, "repair": c.Repair} {
		if on {
			q.Set(name, "1")
		}
	}
	a, err := c.ask(ctx, "POST", "check", q)
	if err == nil && a.Check == nil {
		err = errors.New("it answered without a report")
	}
	if err != nil {
		return nil, &exit{ExitLocked, fmt.Errorf("%w; asked at %s to look by itself: %v", locked, c.URL.Redacted(), err)}
	}
	return a.Check, nil
}

func showReport(w io.Writer, r *repo.Report) {
	fmt.Fprintf(w, "looked at %d blobs, %s\n", r.Blobs, size64(r.Bytes))
	for _, d := range r.Damage {
		fmt.Fprintf(w, "damage: %s", d.What)
		if !d.Digest.IsZero() {
			fmt.Fprintf(w, " (%s)", d.Digest)
		}
		fmt.Fprintln(w)
		for _, name := range d.Names {
			fmt.Fprintf(w, "  is  %s\n", name)
		}
		if d.Mending != "" {
			fmt.Fprintf(w, "  %s\n", d.Mending)
		}
	}
	if r.Orphans > 0 {
		fmt.Fprintf(w, "%d blobs have no name: no damage, they are swept in time\n", r.Orphans)
	}
	switch n := len(r.Damage); {
	case n == 0:
		fmt.Fprintln(w, "no damage")
	case r.Repaired > 0:
		fmt.Fprintf(w, "%d damaged, %d repaired\n", n, r.Repaired)
	default:
		fmt.Fprintf(w, "%d damaged\n", n)
	}
}
