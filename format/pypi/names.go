package pypi

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"millpond/format"
)

// A nameList is a root index in memory: one text of all names, and a small entry for each. The longest has a million.
type nameList struct {
	text    strings.Builder
	entries []nameEntry
}

type nameEntry struct {
	serial int64
	off    uint32
	length uint16
}

func (n *nameList) add(name string, serial int64) {
	if _, ok := canonName(name); !ok {
		return
	}
	n.entries = append(n.entries, nameEntry{serial, uint32(n.text.Len()), uint16(len(name))})
	n.text.WriteString(name)
}

// readJSON reads the root index as PEP 691 has it.
func (n *nameList) readJSON(r io.Reader) error {
	d := newJSONReader(r)
	has := false
	err := d.members(func(name string) error {
		switch name {
		case "meta":
			return d.members(func(name string) error {
				if name != "api-version" {
					return d.skip()
				}
				version, err := d.text()
				if err != nil {
					return err
				}
				return checkAPI(version)
			})
		case "projects":
			has = true
			return d.elements(func() error { return n.readProject(d) })
		}
		return d.skip()
	})
	if err == nil && !has {
		err = errors.New("it lists no projects")
	}
	return err
}

func (n *nameList) readProject(d jsonReader) error {
	var display string
	var serial int64
	err := d.members(func(name string) (err error) {
		switch name {
		case "name":
			display, err = d.text()
		case "_last-serial":
			serial, err = d.number()
		default:
			err = d.skip()
		}
		return err
	})
	n.add(display, max(serial, 0))
	return err
}

// readHTML reads the root index as PEP 503 has it.
func (n *nameList) readHTML(r io.Reader) error {
	p := htmlPage{
		anchor: func(href string, _ map[string]string, text string) {
			path, _, _ := strings.Cut(href, "#")
			path, _, _ = strings.Cut(path, "?")
			path = strings.TrimSuffix(path, "/")
			name, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
			if err != nil {
				return
			}
			canon, ok := canonName(name)
			if !ok {
				return
			}
			// The text is the name as its owner spells it, on servers that know it.
			if text = strings.TrimSuffix(strings.TrimSpace(text), "/"); text != "" {
				if same, ok := canonName(text); ok && same == canon {
					name = text
				}
			}
			n.add(name, 0)
		},
		meta: func(name, content string) error {
			if name == "pypi:repository-version" {
				return checkAPI(content)
			}
			return nil
		},
		base:   func(string) {},
		serial: func(int64) {},
	}
	if err := p.read(r); err != nil {
		return err
	}
	if len(n.entries) == 0 && !p.index {
		return errors.New("it is a web page without names, and does not say that it is an index")
	}
	return nil
}

// yieldAfter yields the names with a serial above a cursor, lowest first; all names, as they came, if there are no serials.
func (n *nameList) yieldAfter(after int64, yield func(format.Change, error) bool) {
	slices.SortStableFunc(n.entries, func(a, b nameEntry) int { return cmp.Compare(a.serial, b.serial) })
	text := n.text.String()
	for _, e := range n.entries {
		if e.serial != 0 && e.serial <= after {
			continue
		}
		display := text[e.off : e.off+uint32(e.length)]
		name, _ := canonName(display) // add has asked
		c := format.Change{Name: name}
		if name != display {
			c.Display = display
		}
		if e.serial != 0 {
			c.Cursor = strconv.FormatInt(e.serial, 10)
		}
		if !yield(c, nil) {
			return
		}
	}
}

// parseCursor reads what yieldAfter gave as a cursor.
func parseCursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("%s", fmt.Sprintf("%.40q is no serial", s))
	}
	return n, nil
}
