package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
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

// items reads the entries of a list of names.
func (s *reader) items(key string, v any) []item {
	entries, ok := v.([]any)
	if !ok {
		entries = []any{v}
	}
	if len(entries) == 0 {
		s.fail(key, "the list is empty")
	}
	var items []item
	for _, e := range entries {
		text, until, why, before := "", time.Time{}, "", len(s.errs)
		switch e := e.(type) {
		case map[string]any:
			for _, k := range sortedKeys(e) {
				switch k {
				case "name":
					text = s.text(key+".name", e[k])
				case "until":
					until = s.time(key+".until", e[k])
				case "why":
					why = s.line(key+".why", e[k])
				default:
					s.fail(key, "%s", unknown(k, []string{"name", "until", "why"}))
				}
			}
			if _, ok := e["name"]; !ok {
				s.fail(key, "an entry has no name")
			}
		default:
			text = s.text(key, e)
		}
		if len(s.errs) > before {
			continue
		}
		it, err := parseItem(text)
		if err != nil {
			s.fail(key, "%v", err)
			continue
		}
		it.until, it.why = until, why
		items = append(items, it)
	}
	return items
}

// list reads a list of words, of which one may stand alone.
func (s *reader) list(key string, v any) []string {
	entries, ok := v.([]any)
	if !ok {
		entries = []any{v}
	}
	if len(entries) == 0 {
		s.fail(key, "the list is empty")
	}
	var list []string
	for _, e := range entries {
		before := len(s.errs)
		text := s.text(key, e)
		if text == "" && len(s.errs) == before {
			s.fail(key, "an entry is empty")
		}
		list = append(list, text)
	}
	return list
}

func (s *reader) text(key string, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int, int64, uint64, float64, bool, time.Time:
		s.fail(key, "%v is not text; put it in quotes", v)
	case nil:
		s.fail(key, "it is empty")
	default:
		s.fail(key, "text is needed")
	}
	return ""
}

// line is text on one line: it goes where line breaks may not.
func (s *reader) line(key string, v any) string {
	return strings.Join(strings.FieldsFunc(s.text(key, v), func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }), " ")
}

func (s *reader) must(key string, v any, word string) {
	if text, ok := v.(string); !ok || text != word {
		s.fail(key, "the one thing it can say is %s, not %v", word, v)
	}
}

func (s *reader) truth(key string, v any) bool {
	b, ok := v.(bool)
	if !ok {
		s.fail(key, "it is true or false, not %v", v)
	}
	return b
}

func (s *reader) time(key string, v any) time.Time {
	switch v := v.(type) {
	case time.Time:
		if !v.IsZero() { // which would be never
			return v.UTC()
		}
	case string:
		for _, layout := range []string{time.DateOnly, time.RFC3339} {
			if t, err := time.Parse(layout, v); err == nil && !t.IsZero() {
				return t.UTC()
			}
		}
	}
	s.fail(key, "%v is not a day; write 2026-12-01, or a time as in 2026-12-01T08:00:00Z", v)
	return time.Time{}
}

func (s *reader) duration(key string, v any) time.Duration {
	text, ok := v.(string)
	if !ok {
		s.fail(key, "%v is not a duration: write 7d, 12h or 1h30m", v)
		return 0
	}
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		s.fail(key, "%v", err)
	case d == 0:
		s.fail(key, "a hold of nothing holds nothing; leave the rule out")
	}
	return d
}

func (s *reader) versions(key string, v any) int {
	n, ok := integer(v)
	if !ok || n < 1 || n > math.MaxInt32 {
		s.fail(key, "it is a number of versions, at least 1, not %v", v)
		return 0
	}
	return int(n)
}

func (s *reader) bytes(key string, v any) int64 {
	n, ok := integer(v)
	if text, isText := v.(string); isText {
		var err error
		if n, err = ParseSize(text); err != nil {
			s.fail(key, "%v", err)
			return 0
		}
		ok = true
	}
	if !ok || n < 1 {
		s.fail(key, "%v is not a size: write 500MB, 10GiB or a number of bytes", v)
	}
	return n
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
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
