package cargo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// A hostedMeta is the record of a version that was published here: its line, with "yanked":false and no line break.
type hostedMeta struct {
	Line string `json:"line"`
}

// An indexer writes the index file of one view.
type indexer struct {
	repo    format.Repo
	pkg     *millpond.Package
	spelled string // as the path had it, in lower case
	drop    bool   // versions that the rules keep back have no line
}

// errSpelling is the word on a crate that has another spelling.
func (x indexer) errSpelling(name string) error {
	return &millpond.Error{Kind: millpond.NotFound, Why: "there is no crate " + x.spelled, Hint: "there is " + name}
}

// write writes the lines of every layer that spells the name as the path does.
func (x indexer) write(ctx context.Context, to io.Writer) error {
	other := ""
	wrote := false
	for _, one := range x.pkg.Parts {
		var about aboutMeta
		if len(one.Meta) > 0 {
			if err := json.Unmarshal(one.Meta, &about); err != nil {
				return fmt.Errorf("read the record of %s: %w", x.pkg.Name, err)
			}
		}
		if about.Name != "" && strings.ToLower(about.Name) != x.spelled {
			other = cmp.Or(other, about.Name)
			continue
		}
		var text []byte
		var err error
		if format.IsHosted(one.Layer) {
			text, err = x.rows(one)
		} else {
			text, err = x.kept(ctx, one, about)
		}
		if err != nil {
			return err
		}
		wrote = true
		if _, err := to.Write(text); err != nil {
			return err
		}
	}
	if !wrote && other != "" {
		return x.errSpelling(other)
	}
	return nil
}

// of yields the versions of a layer: those that are shown, and those that the rules keep back.
func (x indexer) of(layer string, yield func(v *millpond.Version, hidden bool) error) error {
	for i := range x.pkg.Versions {
		if v := &x.pkg.Versions[i]; v.Layer == layer && !(x.drop && x.pkg.Blocked != "") {
			if err := yield(v, x.pkg.Blocked != ""); err != nil {
				return err
			}
		}
	}
	for i := range x.pkg.Hidden {
		if h := &x.pkg.Hidden[i]; h.Version.Layer == layer && !h.Taken && !x.drop {
			if err := yield(&h.Version, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows are the lines of what was published, in the order in which it was.
func (x indexer) rows(one millpond.Part) ([]byte, error) {
	type row struct {
		v    *millpond.Version
		line string
	}
	var rows []row
	err := x.of(one.Layer, func(v *millpond.Version, hidden bool) error {
		var m hostedMeta
		if err := json.Unmarshal(v.Meta, &m); err != nil || m.Line == "" {
			return fmt.Errorf("the record of %s %s is no line of an index", x.pkg.Name, v.Name)
		}
		if hidden || v.Yanked || len(v.Files) > 0 && v.Files[0].Yanked {
			m.Line = strings.Replace(m.Line, notYanked, yanked, 1)
		}
		rows = append(rows, row{v, m.Line})
		return nil
	})
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(a.v.Published.Compare(b.v.Published), Format{}.Compare(a.v.Name, b.v.Name))
	})
	var out []byte
	for _, r := range rows {
		out = append(append(out, r.line...), '\n')
	}
	return out, err
}

const notYanked, yanked = `,"yanked":false`, `,"yanked":true`

// An edit puts other text into a kept index file.
type edit struct {
	at, size int64
	text     string
}

// kept is a layer's index file as its readers may see it. Nothing of it changes but booleans, and digits of a checksum that
// the upstream has replaced while the first bytes are held. If every version of it is shown and no rule has a
// word in it, so is every line, whatever it is.
func (x indexer) kept(ctx context.Context, one millpond.Part, about aboutMeta) ([]byte, error) {
	doc, err := x.repo.Kept(ctx, one)
	if err != nil {
		return nil, fmt.Errorf("read the kept index of %s: %w", x.pkg.Name, err)
	}
	defer doc.Close()
	text, err := io.ReadAll(doc.Reader())
	if err != nil {
		return nil, fmt.Errorf("read the kept index of %s: %w", x.pkg.Name, err)
	}
	var edits []edit
	var shown []place
	versions, filtered := 0, x.repo.Ruled() // what cannot be judged is left out
	err = x.of(one.Layer, func(v *millpond.Version, hidden bool) error {
		if len(v.Files) == 0 || v.Files[0].Vanished {
			return nil
		}
		places, err := readPlaces(v.Meta, doc.Size)
		if err != nil {
			return fmt.Errorf("the record of %s %s: %w", x.pkg.Name, v.Name, err)
		}
		versions++
		filtered = filtered || hidden
		for _, p := range places {
			more, ok := editsOf(text, p, v, hidden)
			if ok {
				shown = append(shown, p)
				edits = append(edits, more...)
			}
			filtered = filtered || !ok
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !filtered && versions == about.Versions {
		shown = []place{{at: 0, size: int64(len(text))}}
	}
	return splice(text, shown, edits), nil
}

// editsOf are the edits of one line; false if it cannot be shown.
func editsOf(text []byte, p place, v *millpond.Version, hidden bool) (edits []edit, ok bool) {
	if hidden {
		rest := text[p.at+p.yanked : p.at+p.size]
		switch {
		case p.yanked == 0:
			return nil, false
		case bytes.HasPrefix(rest, []byte("false")):
			edits = append(edits, edit{p.at + p.yanked, int64(len("false")), "true"})
		case !bytes.HasPrefix(rest, []byte("true")):
			return nil, false
		}
	}
	for _, d := range v.Files[0].Digests {
		if d.Algorithm() == "sha256" && d.Hex() != string(text[p.at+p.sum:p.at+p.sum+64]) {
			edits = append(edits, edit{p.at + p.sum, 64, d.Hex()})
		}
	}
	return edits, true
}

// splice is the places of a text, in its order, with the edits made. Each line of it ends, but for the last of the text.
func splice(text []byte, places []place, edits []edit) []byte {
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.at, b.at) })
	out := make([]byte, 0, len(text))
	for _, p := range places {
		at, end := p.at, p.at+p.size
		for end < int64(len(text)) && (text[end] == '\r' || text[end] == '\n') {
			end++
			if text[end-1] == '\n' {
				break
			}
		}
		for len(edits) > 0 && edits[0].at < end {
			e := edits[0]
			edits = edits[1:]
			if e.at < at {
				continue // the same line twice
			}
			out = append(append(out, text[at:e.at]...), e.text...)
			at = e.at + e.size
		}
		out = append(out, text[at:end]...)
	}
	return out
}
