package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"millpond"
)

// show prints what the pond answered: as JSON if that is wanted, else as a table whose rows say draws.
func (o *output) show(p *Process, v any, draw func(row func(cells ...any))) error {
	if o.JSON {
		return printJSON(p.Out, v)
	}
	t := tabwriter.NewWriter(p.Out, 0, 4, 2, ' ', 0)
	draw(func(cells ...any) { fmt.Fprintln(t, strings.TrimRight(line(cells), "\t")) })
	return t.Flush()
}

// done says that a change was made.
func (o *output) done(p *Process, words string, args ...any) error {
	if o.JSON {
		return printJSON(p.Out, struct {
			Done string `json:"done"`
		}{fmt.Sprintf(words, args...)})
	}
	_, err := fmt.Fprintf(p.Out, words+"\n", args...)
	return err
}

// line joins cells, each on one line and without tabs of its own.
func line(cells []any) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteByte('\t')
		}
		text := ""
		switch c := cell.(type) {
		case time.Time:
			if !c.IsZero() {
				text = when(c)
			}
		case []string:
			text = strings.Join(c, " ")
		case []millpond.Verb:
			text = verbs(c)
		default:
			text = fmt.Sprint(c)
		}
		b.WriteString(strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
	}
	return b.String()
}

// verbs are in words.
func verbs(all []millpond.Verb) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = string(v)
	}
	return strings.Join(words, " ")
}

// terminal is w, if it is a terminal; else nil.
func terminal(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}
