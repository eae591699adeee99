package maven

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

const (
	prefixesMagic = "## repository-prefixes/2.0"
	noPrefixes    = prefixesMagic + "\n@ unsupported\n"
	mostPrefixes  = 100_000
	deepest       = 3 // segments of what is hosted
)

// getPrefixes says below which paths there is anything: clients do not ask for what the list leaves out. So it is told only if
// every upstream tells it too.
func (h handler) getPrefixes(w http.ResponseWriter, r *http.Request, p Path) error {
	text, err := h.prefixes(r)
	if err != nil {
		return err
	}
	if p.Sum != "" {
		sum := millpond.NewHash(p.Sum)
		io.WriteString(sum, text) // a hash does not fail
		text = hex.EncodeToString(sum.Sum(nil))
	}
	return h.serveText(w, r, maxAge, text)
}

// prefixes is the list of all layers together. One that has none, or is ill, leaves everything open.
func (h handler) prefixes(r *http.Request) (string, error) {
	if err := h.repo.May(r.Context(), millpond.VerbRead, ""); err != nil {
		return "", err
	}
	layers, ok := h.repo.(format.Gatherer)
	if !ok {
		return noPrefixes, nil
	}
	all := map[string]bool{}
	for doc, err := range layers.Documents(r.Context(), millpond.Key{Package: prefixesName}) {
		if err != nil {
			return noPrefixes, r.Context().Err()
		}
		err = readPrefixes(doc.Reader(), all)
		doc.Close()
		if err != nil {
			return noPrefixes, nil
		}
	}
	for record, err := range h.repo.Records(r.Context(), "") {
		if err != nil {
			return "", err
		}
		group, _, _ := strings.Cut(record.Name, ":")
		words := strings.Split(group, ".")
		all["/"+strings.Join(words[:min(len(words), deepest)], "/")] = true
	}
	if len(all) == 0 || len(all) > mostPrefixes {
		return noPrefixes, nil // an empty list is none
	}
	lines := make([]string, 0, len(all))
	for one := range all {
		lines = append(lines, one)
	}
	slices.Sort(lines)
	return prefixesMagic + "\n" + strings.Join(lines, "\n") + "\n", nil
}

// readPrefixes adds the lines of one list, or says why it is none that clients would take.
func readPrefixes(r io.Reader, into map[string]bool) error {
	lines := bufio.NewScanner(r)
	first := true
	n := 0
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		switch {
		case first && strings.TrimSpace(line) != prefixesMagic:
			return fmt.Errorf("it begins with %.60q", line)
		case first, line == "", strings.HasPrefix(line, "#"):
			first = false
			continue
		case strings.HasPrefix(line, "@"):
			return fmt.Errorf("it says %.60q", line)
		case len(line) > 250 || strings.ContainsAny(line, ":<>\\") || strings.Contains(line, "//") || strings.ContainsFunc(line, func(c rune) bool { return c <= ' ' || c > '~' }):
			return fmt.Errorf("it has the line %.60q", line)
		}
		if n++; n > mostPrefixes {
			return fmt.Errorf("it has more than %d lines", mostPrefixes)
		}
		into["/"+strings.Trim(line, "/")] = true
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("it has no line")
	}
	return nil
}
