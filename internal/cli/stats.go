package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"millpond/internal/server"
)

type statsCommand struct {
	api
}

func (c *statsCommand) Run(ctx context.Context, p *Process) error {
	a, err := c.ask(ctx, "GET", "stats", nil)
	if err != nil {
		return err
	}
	if a.Stats == nil {
		return fmt.Errorf("%s answered without figures", c.URL.Redacted())
	}
	if c.JSON {
		return printJSON(p.Out, a.Stats)
	}
	showStats(p.Out, a.Stats)
	return nil
}

func showStats(w io.Writer, s *server.StatsAnswer) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	defer t.Flush()
	line := func(name string, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	line("pond", "%s, version %s", s.Instance, s.Version)
	line("held", "%d files, %s", s.Pond.Held, size64(s.Pond.HeldBytes))
	line("derived", "%s", size64(s.Pond.DerivedBytes))
	if s.Pond.Free >= 0 {
		line("disk", "%s free of %s", size64(s.Pond.Free), size64(s.Pond.Total))
	}
	f := s.Pond.Fetch
	line("fetched", "%s in %d requests, %d failed", size64(f.Bytes), f.Requests, f.Failures)
	line("served", "%s", size64(s.Served))
	line("saved", "%s in %d requests that no upstream saw", size64(s.Saved), s.SavedAsks)
	line("under way", "%d downloads, %d readers following, %d waiting", f.Fills, f.Followers, f.Waiting)
	if f.Corrupt > 0 {
		line("corrupt", "%d downloads refused: their bytes were not the declared ones", f.Corrupt)
	}
	if s.Pond.Flagged > 0 {
		line("flagged", "%d files of upstreams that publishing here would refuse: 'millpond audit --verb flagged'", s.Pond.Flagged)
	}
	if s.Offline {
		line("offline", "no upstream is asked")
	}
	if s.Pond.Stopped != "" {
		line("stopped", "writes have stopped: %s", s.Pond.Stopped)
	} else if s.Pond.Low {
		line("low", "the disk is low: what is fetched is not kept")
	}
	for _, layer := range slices.Sorted(maps.Keys(s.Pond.Layers)) {
		line("layer", "%s\t%s", layer, size64(s.Pond.Layers[layer]))
	}
	for _, r := range s.Repositories {
		for _, u := range r.Upstreams {
			state := "ok"
			switch {
			case s.Offline:
				state = "not asked: the pond is offline"
			case u.Alarm != "":
				state = u.Alarm
			case u.Open:
				state = "not asked until " + when(u.Until) + ": " + u.Why
			case u.Requests == 0:
				state = "not asked yet"
			}
			line("upstream", "%s/%s\t%s\t%d requests, %d failed\t%s", r.Name, u.Name, u.URL, u.Requests, u.Failures, state)
		}
	}
}
