package policy

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// age is a duration as a person says it, in its largest unit, rounded down: "4 hours", "7 days".
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return count(int64(d/time.Minute), "minute")
	case d < 2*day:
		return count(int64(d/time.Hour), "hour")
	}
	return count(int64(d/day), "day")
}

// span is a setting as a person says it, exactly if its units allow: "7 days", "36 hours".
func span(d time.Duration) string {
	switch {
	case d > 0 && d%day == 0:
		return count(int64(d/day), "day")
	case d > 0 && d%time.Hour == 0:
		return count(int64(d/time.Hour), "hour")
	case d > 0 && d%time.Minute == 0:
		return count(int64(d/time.Minute), "minute")
	}
	return FormatDuration(d)
}

func count(n int64, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return strconv.FormatInt(n, 10) + " " + unit
}

// bytesWords is a size as a person says it: "1.2 GiB".
func bytesWords(n int64) string {
	units := [...]string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + " " + units[i]
}

// quotable is text of a stranger that may stand in words: no line breaks, no terminal escapes, no more than a line.
func quotable(s string) string {
	const most = 80
	clean := true
	for i, c := range s {
		if i >= most || !unicode.IsPrint(c) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if b.Len() >= most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(c) {
			c = '?'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Nearest is the known word that a misspelt or shortened one most likely stands for, or "" if none is near.
func Nearest(word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < least {
			best, least = k, d
		}
	}
	for _, k := range known {
		if best == "" && len(word) > 2 && strings.HasPrefix(k, strings.ToLower(word)) {
			best = k
		}
	}
	return best
}

// distance is how many characters must be put in, left out, replaced or swapped with their neighbour to make a of b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	older, old, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			now[j] = min(old[j]+1, now[j-1]+1, old[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], older[j-2]+1)
			}
		}
		older, old, now = old, now, older
	}
	return old[len(b)]
}
