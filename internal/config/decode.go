package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"millpond/policy"
)

const (
	maxFile  = 1 << 20 // bytes of a configuration file
	maxNodes = 50_000  // values in it, those behind aliases counted each time
	maxDepth = 40
)

// A decoder turns the nodes of a file into a Config, and collects all that is wrong with it.
type decoder struct {
	file    string
	env     func(string) (string, bool)
	lines   map[string]int      // of values, by path
	options map[string][]string // that each format has, by its name
	current string              // the format of the repository that is being read
	nodes   int
	full    bool // the file was too much, and that was said
	errs    []error
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, &problem{d.file, n.Line, fmt.Sprintf(format, args...)})
}

// A problem is one thing wrong with a configuration, and where it stands.
type problem struct {
	where string // the file, the variable or the flag
	line  int    // in the file; 0 if there is none
	why   string
}

// Error is "file:line: words".
func (p *problem) Error() string {
	where := p.where
	if p.line > 0 {
		where += ":" + strconv.Itoa(p.line)
	}
	return where + ": " + p.why
}

// enter resolves an alias and counts the value against what a file may hold; nil if it is too much, or empty.
func (d *decoder) enter(n *yaml.Node, path string) *yaml.Node {
	for hops := 0; n.Kind == yaml.AliasNode; hops++ {
		if n.Alias == nil || hops > 10 {
			d.fail(n, "%s: an alias leads nowhere", path)
			return nil
		}
		n = n.Alias
	}
	d.nodes++
	if d.nodes > maxNodes || strings.Count(path, ".")+strings.Count(path, "[") > maxDepth {
		if !d.full {
			d.full = true
			d.fail(n, "the file says too much: more than %d values, or %d levels; aliases count each time", maxNodes, maxDepth)
		}
		return nil
	}
	if n.Line > 0 && path != "" {
		d.lines[path] = n.Line
	}
	return n
}

// empty reports whether nothing stands there, which leaves the default.
func empty(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// scalar is the text of a scalar, with the environment in it.
func (d *decoder) scalar(n *yaml.Node, path, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "%s: %s is needed here, not %s", path, what, kindWords(n))
		return "", false
	}
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
	case "!!null":
		d.fail(n, "%s: %s is needed here", path, what)
		return "", false
	default:
		d.fail(n, "%s: the tag %s is not understood", path, tag)
		return "", false
	}
	text, err := expand(n.Value, d.env)
	if err != nil {
		d.fail(n, "%s: %v", path, err)
		return "", false
	}
	return text, true
}

// expand replaces each ${NAME} by the environment's variable. $${ stands for ${ itself.
func expand(s string, env func(string) (string, bool)) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "${")
		if !found {
			b.WriteString(s)
			return b.String(), nil
		}
		if cut, ok := strings.CutSuffix(before, "$"); ok {
			b.WriteString(cut + "${")
			s = after
			continue
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed || !isName(name) {
			return "", errors.New("after ${ the name of a variable and } are needed; write $${ for the characters themselves")
		}
		value, ok := env(name)
		if !ok {
			return "", fmt.Errorf("the environment has no %s", name)
		}
		b.WriteString(before + value)
		s = rest
	}
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func kindWords(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "one value"
}

// A pair is a key of a mapping with its value.
type pair struct {
	key   string // with "_" for "-"
	as    string // as written
	node  *yaml.Node
	value *yaml.Node
}

// settings are the pairs of a mapping whose keys are settings: "-" and "_" are one in them.
func (d *decoder) settings(n *yaml.Node, path string) []pair {
	seen := map[string]int{}
	return slices.DeleteFunc(d.pairs(n, path), func(p pair) bool {
		first, twice := seen[p.key]
		if twice {
			d.twice(p.node, path, first)
		} else {
			seen[p.key] = p.node.Line
		}
		return twice
	})
}

func (d *decoder) twice(key *yaml.Node, path string, first int) {
	d.fail(key, "%s%s stands here twice, first in line %d", prefix(path), key.Value, first)
}

// pairs are those of a mapping, in order. A key that stands twice is an error, and so is one that is no text.
func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%sa mapping is needed here, not %s", prefix(path), kindWords(n))
		return nil
	}
	seen := map[string]int{}
	var all []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			d.fail(k, "%sa key must be text", prefix(path))
			continue
		case k.ShortTag() == "!!merge" || k.Value == "<<":
			d.fail(k, "%s<< is not understood; write the keys out", prefix(path))
			continue
		}
		if first, twice := seen[k.Value]; twice {
			d.twice(k, path, first)
			continue
		}
		seen[k.Value] = k.Line
		all = append(all, pair{key: strings.ReplaceAll(k.Value, "-", "_"), as: k.Value, node: k, value: v})
	}
	return all
}

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// field is one setting of a struct.
type field struct {
	key   string
	words string // of what kind it is
	index int
}

// fieldsOf are the settings of a struct type, in order.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		if key := f.Tag.Get("key"); key != "" && key != "-" {
			all = append(all, field{key: key, words: typeWords(f), index: i})
		}
	}
	return all
}

// typeWords say of what kind a setting is.
func typeWords(f reflect.StructField) string {
	if words := f.Tag.Get("type"); words != "" {
		return words
	}
	switch f.Type {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	}
	switch f.Type.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Float64:
		return "number"
	}
	return "text"
}

// structure decodes a mapping into a struct. Keys that the struct has not are given to other, which reports whether it
// knows them; nil knows none.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string, other func(p pair) (known bool), more []string) {
	fields := fieldsOf(v.Type())
	for _, p := range d.settings(n, path) {
		found := false
		for _, f := range fields {
			if f.key == p.key {
				found = true
				d.value(p.value, v.Field(f.index), join(path, f.key), f.words)
			}
		}
		if found || other != nil && other(p) {
			continue
		}
		known := more
		for _, f := range fields {
			known = append(known[:len(known):len(known)], f.key)
		}
		d.fail(p.node, "%sunknown key %q%s", prefix(path), p.as, didYouMean(p.key, known))
	}
}

// didYouMean is "; did you mean listen?", or what else helps.
func didYouMean(key string, known []string) string {
	if near := policy.Nearest(key, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return "; known are " + strings.Join(known, ", ")
}

// value decodes a value into a setting.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path, words string) {
	if n = d.enter(n, path); n == nil || empty(n) {
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *TLS:
		d.tls(n, target, path)
	case *[]Repository:
		d.repositories(n, target, path)
	case *[]Upstream:
		d.upstreams(n, target, path)
	case *[]Fill:
		d.fill(n, target, path)
	case *[]map[string]any:
		d.rules(n, target, path)
	case *[]string:
		*target = d.list(n, path)
	case *map[string]string:
		*target = map[string]string{}
		for _, p := range d.pairs(n, path) {
			if value := d.enter(p.value, join(path, p.as)); value != nil {
				if text, ok := d.scalar(value, join(path, p.as), "text"); ok {
					(*target)[p.as] = text
				}
			}
		}
	default:
		if v.Kind() == reflect.Struct {
			d.structure(n, v, path, nil, nil)
			return
		}
		if manyStructs(v.Type()) {
			d.mappings(n, v, path)
			return
		}
		text, ok := d.scalar(n, path, words)
		if !ok {
			return
		}
		if err := set(v, text); err != nil {
			d.fail(n, "%s: %v", path, err)
		}
	}
}

// set reads a scalar setting from its text.
func set(v reflect.Value, text string) error {
	switch target := v.Addr().Interface().(type) {
	case *time.Duration:
		parsed, err := policy.ParseDuration(text)
		*target = parsed
		return err
	case *Size:
		n, err := policy.ParseSize(text)
		*target = Size(n)
		return err
	case *string:
		*target = text
		return nil
	case *bool:
		switch text {
		case "true", "false":
			*target = text == "true"
			return nil
		}
		return fmt.Errorf("%q is neither true nor false", text)
	case *int:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is not a whole number", text)
		}
		*target = int(n)
		return nil
	case *float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f < 0 || f > 1e9 || f != f {
			return fmt.Errorf("%q is not a number", text)
		}
		*target = f
		return nil
	case *[]string:
		*target = nil
		for one := range strings.SplitSeq(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				*target = append(*target, one)
			}
		}
		return nil
	}
	return errors.New("it can be set in a file only")
}

// list decodes a list of texts, of which one may stand alone.
func (d *decoder) list(n *yaml.Node, path string) []string {
	if n.Kind == yaml.ScalarNode {
		text, ok := d.scalar(n, path, "a list")
		if !ok {
			return nil
		}
		return []string{text}
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "%s: a list is needed here, not %s", path, kindWords(n))
		return nil
	}
	list := []string{}
	for i, c := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if c = d.enter(c, at); c == nil {
			continue
		}
		if text, ok := d.scalar(c, at, "text"); ok {
			list = append(list, text)
		}
	}
	return list
}
