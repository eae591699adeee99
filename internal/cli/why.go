package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"millpond"
	"millpond/repo"
)

type whyCommand struct {
	api
	In      string `arg:"" name:"format-or-repository" help:"Where to look; or a package-url (pkg:pypi/requests@2.31.0) and nothing else."`
	Package string `arg:"" optional:"" help:"The package's name."`
	Of      string `arg:"" name:"version" optional:"" help:"The version."`
}

func (c *whyCommand) Run(ctx context.Context, p *Process) error {
	q := url.Values{}
	switch {
	case strings.HasPrefix(c.In, "pkg:") && c.Package == "":
		q.Set("purl", c.In)
	case c.Package == "":
		return &exit{ExitUsage, &millpond.Error{Kind: millpond.Invalid, Why: "a package is needed", Hint: "millpond why pypi requests 2.31.0"}}
	default:
		q.Set("in", c.In)
		q.Set("package", c.Package)
		q.Set("version", c.Of)
	}
	a, err := c.ask(ctx, "GET", "why", q)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.Out, a.Why)
	}
	for i, e := range a.Why {
		if i > 0 {
			fmt.Fprintln(p.Out)
		}
		explain(p.Out, e)
	}
	return nil
}

// explain prints what becomes of a package, most important first.
func explain(w io.Writer, e *repo.Explanation) {
	what := e.Package
	if e.Version != "" {
		what += " " + e.Version
	}
	fmt.Fprintf(w, "%s in %s: ", what, e.Repository)
	if e.Words == "" {
		fmt.Fprintln(w, "served")
	} else {
		fmt.Fprintln(w, e.Words)
	}
	if e.Rule != "" {
		fmt.Fprintf(w, "  decided by  %s\n", e.Rule)
	}
	if v := e.Verdict; v.Opinion != millpond.Pass {
		fmt.Fprintf(w, "  verdict     %s", v.Opinion)
		if v.Why != "" && v.Why != e.Words {
			fmt.Fprintf(w, ": %s", v.Why)
		}
		fmt.Fprintln(w)
		if !v.After.IsZero() {
			fmt.Fprintf(w, "  until       %s\n", when(v.After))
		}
	}
	for _, words := range e.WouldBe {
		fmt.Fprintf(w, "  dry run     %s\n", words)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, l := range e.Layers {
		name := l.Layer
		if name == "" {
			name = "hosted"
		}
		checked := ""
		if !l.Checked.IsZero() {
			checked = "confirmed " + when(l.Checked)
		}
		fmt.Fprintf(t, "  layer\t%s\t%s\t%s\n", name, l.State, checked)
	}
	for _, f := range e.Files {
		held := "not held"
		if f.Held {
			held = "held"
		}
		size := ""
		if f.Size >= 0 {
			size = size64(f.Size)
		}
		words := f.Words
		if words == "" {
			words = "served"
		}
		fmt.Fprintf(t, "  file\t%s\t%s\t%s\t%s\n", f.Name, size, held, words)
		if f.Flag != "" {
			fmt.Fprintf(t, "  flagged\t%s\t\t\tpublishing it here would be refused: %s\n", f.Name, f.Flag)
		}
	}
	t.Flush()
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func printJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// size64 is a number of bytes for people.
func size64(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
