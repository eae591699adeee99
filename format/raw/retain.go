package raw

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// Retain yields what the options history, history_days, keep_days and keep_last say is to go. What a label "pin" marks stays.
func (Format) Retain(now time.Time, option func(string) string, all iter.Seq2[*format.Hosting, error]) iter.Seq2[millpond.Key, error] {
	return func(yield func(millpond.Key, error) bool) {
		rules := [4]ruleSet{}
		for i, name := range [...]string{"history", "keep_days", "keep_last", "history_days"} {
			var err error
			if rules[i], err = rulesOf(name, option(name)); err != nil {
				yield(millpond.Key{}, err)
				return
			}
		}
		levels := map[string]map[string]*level{} // by pattern, by directory
		for one, err := range all {
			if err != nil {
				yield(millpond.Key{}, err)
				return
			}
			c, err := newest(one.Name, one)
			if err != nil {
				yield(millpond.Key{}, err)
				return
			}
			if c == nil || c.pinned() {
				continue
			}
			if days := count(rules[1].of(one.Name)); days > 0 && now.Sub(c.file.Published) >= time.Duration(days)*24*time.Hour {
				if !yield(millpond.Key{Package: one.Name}, nil) {
					return
				}
				continue
			}
			for _, v := range old(one, count(rules[0].of(one.Name)), count(rules[3].of(one.Name)), now) {
				if !yield(millpond.Key{Package: one.Name, Version: v}, nil) {
					return
				}
			}
			for _, r := range rules[2] {
				if dir := levelOf(r.pattern, one.Name); dir != "" {
					if levels[r.pattern] == nil {
						levels[r.pattern] = map[string]*level{}
					}
					l := levels[r.pattern][dir]
					if l == nil {
						l = &level{name: dir}
						levels[r.pattern][dir] = l
					}
					l.paths = append(l.paths, one.Name)
					if c.file.Published.After(l.changed) {
						l.changed = c.file.Published
					}
					break
				}
			}
		}
		for _, r := range rules[2] {
			for _, l := range beyondLast(levels[r.pattern], count(r.word)) {
				for _, name := range l.paths {
					if !yield(millpond.Key{Package: name}, nil) {
						return
					}
				}
			}
		}
	}
}

// A level is a directory that is kept or goes as a whole.
type level struct {
	name    string
	paths   []string
	changed time.Time
}

// beyondLast are the directories that are not among the n that were changed last; none, if n is not positive.
func beyondLast(all map[string]*level, n int) []*level {
	if n <= 0 || len(all) <= n {
		return nil
	}
	var list []*level
	for _, l := range all {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *level) int {
		if c := b.changed.Compare(a.changed); c != 0 {
			return c
		}
		return strings.Compare(b.name, a.name)
	})
	return list[n:]
}

// levelOf is the directory above a path, or above one above it, that a pattern such as "builds/*" means; "" if there is none.
func levelOf(pattern, name string) string {
	depth := strings.Count(pattern, "/") + 1
	parts := strings.SplitN(name, "/", depth+1)
	if pattern == "" || len(parts) <= depth {
		return ""
	}
	dir := strings.Join(parts[:depth], "/")
	if covers("/"+pattern, "/"+dir) {
		return dir
	}
	return ""
}

func count(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		return -1
	}
	return n
}

// old are the versions of a path beyond the newest and n more, and those in whose place others were put that many days ago;
// none for either reason, if the number is negative.
func old(one *format.Hosting, n, days int, now time.Time) []string {
	type past struct {
		number int64
		put    time.Time
	}
	var all []past
	for i := range one.Versions {
		v := &one.Versions[i]
		if k := number(v.Name); k > 0 && len(v.Files) > 0 {
			all = append(all, past{k, v.Files[0].Published})
		}
	}
	slices.SortFunc(all, func(a, b past) int { return cmp.Compare(a.number, b.number) })
	var out []string
	for i := range max(0, len(all)-1) {
		beyond := n >= 0 && i < len(all)-n-1
		late := days >= 0 && now.Sub(all[i+1].put) >= time.Duration(days)*24*time.Hour
		if beyond || late {
			out = append(out, strconv.FormatInt(all[i].number, 10))
		}
	}
	return out
}

func (c *content) pinned() bool {
	_, ok := c.record.Labels["pin"]
	return ok
}
