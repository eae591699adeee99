package policy

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A RuleError is what is wrong with one rule.
type RuleError struct {
	Rule int    // the first is 1
	Key  string // the key concerned; "" if it is the rule as a whole
	Why  string
}

// Error is the rule's number and what is wrong with it.
func (e *RuleError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("rule %d: %s", e.Rule, e.Why)
	}
	return fmt.Sprintf("rule %d: %s: %s", e.Rule, e.Key, e.Why)
}

// keys make a rule what it is; modifiers stand beside them.
var (
	keys = []string{"block", "allow", "trust", "name", "version", "prerelease", "hold", "latest", "size", "platform",
		"yanked", "licence"} // never changed
	modifiers = []string{"for", "except", "until", "why", "dry-run", "seen", "unknown"} // never changed
)

// IsRule reports whether a key makes a rule what it is, and does not modify it.
func IsRule(key string) bool { return slices.Contains(keys, key) }

// Parse reads rules as a YAML document has them: maps of text, numbers, truth values, times, lists and maps. The errors are
// RuleErrors, joined. No rules are the nil Policy.
func Parse(specs []map[string]any) (*Policy, error) {
	if len(specs) == 0 {
		return nil, nil
	}
	p := new(Policy)
	var errs []error
	for i, spec := range specs {
		s := reader{number: i + 1, spec: spec}
		r := s.rule()
		errs = append(errs, s.errs...)
		if len(s.errs) == 0 {
			p.rules = append(p.rules, r)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p.seal(), nil
}

// A reader reads one rule.
type reader struct {
	number int
	spec   map[string]any
	errs   []error
}

func (s *reader) fail(key, format string, args ...any) {
	s.errs = append(s.errs, &RuleError{Rule: s.number, Key: key, Why: fmt.Sprintf(format, args...)})
}

func (s *reader) rule() *rule {
	var found []string
	for _, k := range sortedKeys(s.spec) {
		switch {
		case slices.Contains(keys, k):
			found = append(found, k)
		case !slices.Contains(modifiers, k):
			s.fail("", "%s", unknown(k, append(slices.Clone(keys), modifiers...)))
		}
	}
	switch {
	case len(found) == 0:
		if len(s.errs) == 0 {
			s.fail("", "it says nothing to judge by; one of %s is needed", strings.Join(keys, ", "))
		}
		return nil
	case len(found) > 1:
		s.fail("", "%s and %s are two rules; write each as an entry of its own", found[0], found[1])
		return nil
	}
	key := found[0]
	r := &rule{number: s.number, key: key, name: spelling(key, s.spec[key])}
	r.test = s.test(key, s.spec[key])
	if v, ok := s.spec["for"]; ok {
		r.only = newSet(s.items("for", v))
	}
	if v, ok := s.spec["except"]; ok {
		r.except = newSet(s.items("except", v))
	}
	if v, ok := s.spec["until"]; ok {
		r.until = s.time("until", v)
	}
	if v, ok := s.spec["why"]; ok {
		r.why = s.line("why", v)
	}
	if v, ok := s.spec["dry-run"]; ok {
		r.dry = s.truth("dry-run", v)
	}
	for modifier, of := range map[string]string{"seen": "hold", "unknown": "size licence"} {
		if _, ok := s.spec[modifier]; ok && !slices.Contains(strings.Fields(of), key) {
			s.fail(modifier, "it goes with %s, not with %s", strings.ReplaceAll(of, " ", " and "), key)
		}
	}
	return r
}

// test reads what stands at the rule's key.
func (s *reader) test(key string, v any) test {
	switch key {
	case "block":
		return &block{newSet(s.items(key, v))}
	case "allow":
		return &allow{newSet(s.items(key, v))}
	case "trust":
		return &trust{newSet(s.items(key, v))}
	case "name":
		items := s.items(key, v)
		for _, it := range items {
			if it.rng != "" {
				s.fail(key, "%q names versions too; write it under block", it.String())
			}
		}
		return &block{newSet(items)}
	case "version":
		var items []item
		for _, rng := range s.list(key, v) {
			every, _ := ParsePattern("*")
			items = append(items, item{pattern: every, rng: rng})
		}
		return &block{newSet(items)}
	case "prerelease":
		s.must(key, v, "deny")
		return prerelease{}
	case "yanked":
		s.must(key, v, "deny")
		return yanked{}
	case "hold":
		t := &hold{age: s.duration(key, v)}
		if seen, ok := s.spec["seen"]; ok {
			t.seen = s.truth("seen", seen)
		}
		return t
	case "latest":
		return &latest{s.versions(key, v)}
	case "size":
		return s.size(key, v)
	case "platform":
		listed, only := s.denyOrOnly(key, v)
		return newPlatform(listed, only)
	case "licence":
		listed, only := s.denyOrOnly(key, v)
		return &licence{listed: listed, only: only, unknown: s.passUnknown()}
	}
	return nil
}

func (s *reader) size(key string, v any) test {
	t := &size{unknown: s.passUnknown()}
	m, ok := v.(map[string]any)
	if !ok {
		t.file = s.bytes(key, v)
		return t
	}
	for _, k := range sortedKeys(m) {
		switch k {
		case "file":
			t.file = s.bytes(key+".file", m[k])
		case "package":
			t.total = s.bytes(key+".package", m[k])
		default:
			s.fail(key, "%s", unknown(k, []string{"file", "package"}))
		}
	}
	if len(m) == 0 {
		s.fail(key, "file or package is needed")
	}
	return t
}

// denyOrOnly reads a list, {deny: list} or {only: list}.
func (s *reader) denyOrOnly(key string, v any) (words, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return s.list(key, v), false
	}
	if len(m) > 1 {
		s.fail(key, "either deny or only can be given; write a second rule for the other")
		return nil, false
	}
	for k, list := range m {
		switch k {
		case "deny", "only":
			return s.list(key+"."+k, list), k == "only"
		}
		s.fail(key, "%s", unknown(k, []string{"deny", "only"}))
		return nil, false
	}
	s.fail(key, "deny or only is needed")
	return nil, false
}

func (s *reader) passUnknown() bool {
	v, ok := s.spec["unknown"]
	if !ok {
		return false
	}
	text, _ := v.(string)
	if text != "pass" && text != "deny" {
		s.fail("unknown", "it is pass or deny, not %v", v)
	}
	return text == "pass"
}

// unknown is the complaint about a key that nobody knows.
func unknown(key string, known []string) string {
	complaint := "unknown key " + strconv.Quote(key)
	if near := Nearest(key, known); near != "" {
		return complaint + "; did you mean " + near + "?"
	}
	return complaint + "; known are " + strings.Join(known, ", ")
}

// spelling is a rule as the configuration spells it, within a line.
func spelling(key string, v any) string {
	text := value(v)
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:57], "") + "…"
	}
	return key + ": " + quotable(text)
}

func value(v any) string {
	switch v := v.(type) {
	case []any:
		parts := make([]string, 0, min(len(v), 10))
		for _, e := range v[:min(len(v), 10)] {
			parts = append(parts, value(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		if name, ok := v["name"]; ok {
			return value(name)
		}
		parts := make([]string, 0, len(v))
		for _, k := range sortedKeys(v) {
			parts = append(parts, k+": "+value(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func sortedKeys(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	sort.Strings(names)
	return names
}
