package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// tls is "local", or a mapping.
func (d *decoder) tls(n *yaml.Node, target *TLS, path string) {
	if n.Kind != yaml.ScalarNode {
		d.structure(n, reflect.ValueOf(target).Elem(), path, nil, nil)
		return
	}
	text, ok := d.scalar(n, path, "local, or a mapping")
	switch {
	case !ok:
	case text == "local":
		target.Local = true
	default:
		d.fail(n, "%s: it is local, or a mapping with cert and key; not %q", path, text)
	}
}

// repositories is a mapping by name, in order.
func (d *decoder) repositories(n *yaml.Node, target *[]Repository, path string) {
	*target = []Repository{}
	for _, p := range d.pairs(n, path) {
		at := join(path, p.as)
		value := d.enter(p.value, at)
		if value == nil {
			continue
		}
		if empty(value) {
			d.fail(p.node, "%s: it says nothing; format is needed", at)
			continue
		}
		d.lines[at] = p.node.Line
		r := newRepository(p.as, "")
		d.current = d.formatOf(value)
		d.structure(value, reflect.ValueOf(&r).Elem(), at, d.option(r.Options, at), d.optionNames())
		*target = append(*target, r)
	}
	d.current = ""
}

// newRepository is a repository of which nothing more is said.
func newRepository(name, format string) Repository {
	r := Repository{Name: name, Format: format, Options: map[string]string{}, Hosted: true}
	r.MaxFile = defaultMaxFile
	return r
}

// defaultMaxFile is what max_file says where nothing is said.
const defaultMaxFile Size = 16 << 30

// mappings is a list of mappings, of which one may stand alone. Where an entry is one value, that is its first key's.
func (d *decoder) mappings(n *yaml.Node, v reflect.Value, path string) {
	entries := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		entries = n.Content
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(entries)))
	for i, c := range entries {
		at := fmt.Sprintf("%s[%d]", path, i)
		if c = d.enter(c, at); c == nil {
			continue
		}
		one := reflect.New(v.Type().Elem()).Elem()
		if c.Kind == yaml.MappingNode {
			d.structure(c, one, at, nil, nil)
		} else {
			d.value(c, one.Field(0), at, "a mapping")
		}
		v.Set(reflect.Append(v, one))
	}
}

// manyStructs reports whether a setting is a list of mappings.
func manyStructs(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

// formatOf is what the key format says in a repository's mapping, wherever it stands: which keys there are depends on it.
func (d *decoder) formatOf(n *yaml.Node) string {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == "format" {
			text, _ := expand(n.Content[i+1].Value, d.env)
			return text
		}
	}
	return ""
}

// option takes the settings of the current format, which stand beside those that every format has.
func (d *decoder) option(into map[string]string, path string) func(p pair) bool {
	return func(p pair) bool {
		for _, name := range d.optionNames() {
			if strings.ReplaceAll(name, "-", "_") != p.key {
				continue
			}
			at := join(path, p.key)
			if n := d.enter(p.value, at); n != nil && !empty(n) {
				if text, ok := d.scalar(n, at, "text"); ok {
					into[name] = text
				}
			}
			return true
		}
		return false
	}
}

// optionNames are the options of the current format; of all formats for one that nobody knows, so that one mistake is one
// error.
func (d *decoder) optionNames() []string {
	if names, ok := d.options[d.current]; ok {
		return names
	}
	var all []string
	for _, names := range d.options {
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// upstreams is a list of URLs and mappings, of which one may stand alone.
func (d *decoder) upstreams(n *yaml.Node, target *[]Upstream, path string) {
	entries := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		entries = n.Content
	}
	*target = []Upstream{}
	for i, c := range entries {
		at := fmt.Sprintf("%s[%d]", path, i)
		if c = d.enter(c, at); c == nil {
			continue
		}
		u := Upstream{Options: map[string]string{}}
		if c.Kind == yaml.MappingNode {
			d.structure(c, reflect.ValueOf(&u).Elem(), at, d.option(u.Options, at), d.optionNames())
		} else if text, ok := d.scalar(c, at, "a URL, or a mapping"); ok {
			u.URL = text
		} else {
			continue
		}
		*target = append(*target, u)
	}
}

// fill is one word, a mapping of patterns to words, or a list of such mappings.
func (d *decoder) fill(n *yaml.Node, target *[]Fill, path string) {
	*target = []Fill{}
	switch n.Kind {
	case yaml.ScalarNode:
		if text, ok := d.scalar(n, path, "a word, or a mapping"); ok {
			*target = append(*target, Fill{Pattern: "*", Mode: text})
		}
	case yaml.MappingNode:
		d.fillPairs(n, target, path)
	case yaml.SequenceNode:
		for i, c := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if c = d.enter(c, at); c == nil {
				continue
			}
			d.fillPairs(c, target, at)
		}
	}
}

func (d *decoder) fillPairs(n *yaml.Node, target *[]Fill, path string) {
	for _, p := range d.pairs(n, path) {
		at := join(path, p.as)
		if c := d.enter(p.value, at); c != nil {
			if text, ok := d.scalar(c, at, "a word"); ok {
				*target = append(*target, Fill{Pattern: p.as, Mode: text})
			}
		}
	}
}

// rules is a list of mappings, which package policy reads.
func (d *decoder) rules(n *yaml.Node, target *[]map[string]any, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "%s: a list of rules is needed here, not %s", path, kindWords(n))
		return
	}
	*target = []map[string]any{}
	for i, c := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if c = d.enter(c, at); c == nil {
			continue
		}
		if c.Kind != yaml.MappingNode {
			d.fail(c, "%s: a rule is a mapping, as in \"hold: 7d\"; not %s", at, kindWords(c))
			continue
		}
		rule, _ := d.plain(c, at).(map[string]any)
		*target = append(*target, rule)
	}
}

// plain is a value as Go has it, for package policy.
func (d *decoder) plain(n *yaml.Node, path string) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, p := range d.settings(n, path) {
			key := strings.ReplaceAll(p.as, "_", "-") // as rules spell their keys
			if c := d.enter(p.value, join(path, key)); c != nil {
				m[key] = d.plain(c, join(path, key))
			}
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for i, c := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if c = d.enter(c, at); c != nil {
				list = append(list, d.plain(c, at))
			}
		}
		return list
	}
	if empty(n) {
		return nil
	}
	text, ok := d.scalar(n, path, "a value")
	if !ok {
		return nil
	}
	tag := n.ShortTag()
	if text != n.Value { // what the environment says has no tag of its own
		tag = ""
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			tag = "!!int"
		} else if text == "true" || text == "false" {
			tag = "!!bool"
		}
	}
	switch tag {
	case "!!int":
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			return i
		}
	case "!!float":
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	case "!!bool":
		return text == "true"
	case "!!timestamp":
		for _, layout := range []string{time.DateOnly, time.RFC3339} {
			if t, err := time.Parse(layout, text); err == nil {
				return t
			}
		}
	}
	return text
}
