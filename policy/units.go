package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"millpond"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
	// longest is the longest duration a setting may have, well below where time.Duration ends.
	longest = 100 * 365 * day
)

// ParseDuration reads a duration as people write it: "7d", "2w", "1h30m", "1d12h", "90s", "500ms". A number without a unit
// is Invalid, 0 excepted.
func ParseDuration(s string) (time.Duration, error) {
	invalid := func() (time.Duration, error) {
		return 0, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is not a duration: write 7d, 12h or 1h30m", s)}
	}
	if s == "0" {
		return 0, nil
	}
	if s == "" {
		return invalid()
	}
	units := [...]struct {
		name string
		unit time.Duration
	}{{"ms", time.Millisecond}, {"w", week}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	var sum time.Duration
	last := time.Duration(math.MaxInt64)
	for rest := s; rest != ""; {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return invalid()
		}
		rest = rest[digits:]
		unit := time.Duration(0)
		for _, u := range units {
			if cut, ok := strings.CutPrefix(rest, u.name); ok {
				unit, rest = u.unit, cut
				break
			}
		}
		if unit == 0 || unit >= last || n > int64(longest/unit) {
			return invalid()
		}
		last = unit
		if sum += time.Duration(n) * unit; sum > longest { // before the next one: several together might overflow
			return invalid()
		}
	}
	return sum, nil
}

// ParseSize reads a number of bytes as people write it: "10GiB", "500 MB", "1.5TiB", "4096". KB is 1000 bytes, KiB 1024.
func ParseSize(s string) (int64, error) {
	number := strings.TrimRight(s, "KMGTPiB ")
	unit := strings.TrimSpace(s[len(number):])
	factor, ok := map[string]float64{
		"": 1, "B": 1,
		"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50,
	}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || strings.ContainsAny(number, "eExXnN_+-pP") || n*factor >= 1<<62 {
		return 0, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%q is not a size: write 500MB, 10GiB or a number of bytes", s)}
	}
	return int64(n * factor), nil
}

// FormatDuration is d as ParseDuration reads it, in the fewest units: "7d", "1h30m".
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	var b strings.Builder
	for _, u := range [...]struct {
		name string
		unit time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if n := d / u.unit; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			d -= n * u.unit
		}
	}
	if b.Len() == 0 {
		return "0"
	}
	return b.String()
}

// FormatSize is n as ParseSize reads it: exact, in the largest unit that is.
func FormatSize(n int64) string {
	for _, u := range [...]struct {
		name string
		unit int64
	}{{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
		if n >= u.unit && n%u.unit == 0 {
			return strconv.FormatInt(n/u.unit, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
