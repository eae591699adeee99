package policy

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7d": 7 * day, "2w": 14 * day, "1h30m": 90 * time.Minute, "1d12h": 36 * time.Hour, "90s": 90 * time.Second,
		"500ms": 500 * time.Millisecond, "0": 0, "1m500ms": time.Minute + 500*time.Millisecond,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
		if back, err := ParseDuration(FormatDuration(got)); err != nil || back != got {
			t.Errorf("%v is written %q, which reads as %v, %v", got, FormatDuration(got), back, err)
		}
	}
	for _, text := range []string{"", "7", "d", "7x", "-7d", "1m1h", "1d1d", "7 d", "1.5h", "99999999999999999999d", "99999d", "36500d1h", "1h ", "5214w36500d876000h", "5214w36500d876000h52560000m3153600000s"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"4096": 4096, "1KiB": 1024, "10GiB": 10 << 30, "500 MB": 500e6, "1.5TiB": 3 << 39, "7B": 7, "0": 0,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
		if back, err := ParseSize(FormatSize(got)); err != nil || back != got {
			t.Errorf("%d is written %q, which reads as %d, %v", got, FormatSize(got), back, err)
		}
	}
	for _, text := range []string{"", "B", "-1", "1e9", "0x10", "10Gib", "10 gigs", "NaN", "Inf", "99999PiB", "1_000"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"hodl": "hold", "license": "licence", "blok": "block", "dryrun": "dry-run", "Latest": "latest", "untill": "until",
		"exept": "except", "banana": "", "": "", "pre": "prerelease",
	} {
		if got := Nearest(word, append(append([]string{}, keys...), modifiers...)); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
