package maven

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// quiet is how long a build stays after a newer one has come, whatever the options say: a client that resolved the SNAPSHOT a
// moment ago is still fetching its files.
const quiet = 24 * time.Hour

// Retain yields the builds of SNAPSHOTs that are beyond the newest keep and older than keep_days. The newest build that has a
// file stays: SNAPSHOT means it.
func (Format) Retain(now time.Time, option func(string) string, all iter.Seq2[*format.Hosting, error]) iter.Seq2[millpond.Key, error] {
	return func(yield func(millpond.Key, error) bool) {
		keep, err := howMany("keep", option("keep"))
		days := 0
		if err == nil {
			days, err = howMany("keep_days", option("keep_days"))
		}
		if err != nil {
			yield(millpond.Key{}, err)
			return
		}
		if keep == 0 {
			return
		}
		for one, err := range all {
			if err != nil {
				yield(millpond.Key{}, err)
				return
			}
			for _, version := range oldBuilds(one, now, keep, max(time.Duration(days)*24*time.Hour, quiet)) {
				if !yield(millpond.Key{Package: one.Name, Version: version}, nil) {
					return
				}
			}
		}
	}
}

// howMany reads how many; "" is 0.
func howMany(name, s string) (int, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.Atoi(s)
	if s != "" && (err != nil || n < 0) {
		return 0, &millpond.Error{Kind: millpond.Invalid, Why: "the option " + name + " is no number: " + s}
	}
	return n, nil
}

// oldBuilds are the builds of a package that are to go.
func oldBuilds(one *format.Hosting, now time.Time, keep int, age time.Duration) []string {
	_, artifact, _ := strings.Cut(one.Name, ":")
	type known struct {
		build
		v *millpond.Version
	}
	by := map[string][]known{}
	for i := range one.Versions {
		if b, ok := buildOf(one.Versions[i].Name); ok {
			by[b.base] = append(by[b.base], known{b, &one.Versions[i]})
		}
	}
	var out []string
	for _, list := range by {
		slices.SortFunc(list, func(a, b known) int {
			switch {
			case a.newer(b.build):
				return -1
			case b.newer(a.build):
				return 1
			}
			return 0
		})
		seen := map[string]bool{} // what a newer build has
		for i, b := range list {
			needed := false
			for j := range b.v.Files {
				rest := strings.TrimPrefix(b.v.Files[j].Name, artifact+"-"+b.v.Name)
				needed = needed || !seen[rest]
				seen[rest] = true
			}
			if needed || i < keep || now.Sub(b.v.Published) < age || now.Sub(list[i-1].v.Published) < quiet {
				continue
			}
			out = append(out, b.v.Name)
		}
	}
	slices.Sort(out)
	return out
}
