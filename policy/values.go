package policy

import (
	"math"
	"strings"
	"time"
	"unicode"
)

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
