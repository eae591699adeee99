package auth

import (
	"fmt"
	"testing"
	"time"

	"millpond"
)

// TestLimiterOfNetworks: whoever comes by another address of the same IPv6 network has not come anew.
func TestLimiterOfNetworks(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := limiter{now: func() time.Time { return now }, free: 2, first: time.Second, most: time.Minute, forget: time.Hour}
	for i, step := range []struct {
		key  string
		good bool
	}{
		{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8::3", false},
		{"2001:db8:0:1::1", true},
		{"192.0.2.1", true}, {"192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true},
		{"::ffff:198.51.100.1", true}, {"::ffff:198.51.100.2", true}, {"::ffff:198.51.100.3", true},
	} {
		if err := l.try(step.key); (err == nil) != step.good || err != nil && !millpond.Is(err, millpond.Throttled) {
			t.Errorf("try %d, of %s: got %v, want good: %v", i, step.key, err, step.good)
		}
	}
	l.forgive("2001:db8::9")
	if err := l.try("2001:db8::4"); err != nil {
		t.Errorf("after one was forgiven: %v", err)
	}
	l.clear("2001:db8::9")
	if err := l.try("2001:db8::5"); err != nil {
		t.Errorf("after all were taken back: %v", err)
	}
}

// TestLimiterFull: what strangers can make a limiter remember is bounded, and the newest is among it.
func TestLimiterFull(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := limiter{now: func() time.Time { return now }, free: 1, first: time.Second, most: time.Minute, forget: time.Hour}
	for i := range maxKeys + 1000 {
		if err := l.try(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(2 * time.Minute)
	for i := range 1000 {
		l.try(fmt.Sprint("late ", i))
	}
	if len(l.tries) > maxKeys {
		t.Errorf("%d keys are remembered, want at most %d", len(l.tries), maxKeys)
	}
	l.try("again")
	if err := l.try("again"); err == nil {
		t.Error("what came last was forgotten first")
	}
}
