package server

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"
)

// TestAccessLogWritesWhatSlogWrites: the lines are the same bytes, whatever is in them.
func TestAccessLogWritesWhatSlogWrites(t *testing.T) {
	at := time.Date(2026, 11, 21, 16, 30, 1, 234567800, time.FixedZone("", 3600))
	for _, c := range []struct {
		name  string
		at    time.Time
		level slog.Level
		attrs []slog.Attr
	}{
		{"nothing", at, slog.LevelInfo, nil},
		{"a request", at, slog.LevelWarn, []slog.Attr{slog.String("path", "/pypi/simple/a b/<&>/"), slog.Int("status", 200), slog.Int64("us", -1), slog.Bool("cut", true)}},
		{"no time", time.Time{}, slog.LevelInfo, []slog.Attr{slog.String("a", "b")}},
		{"a level between", at, slog.LevelInfo + 1, []slog.Attr{slog.String("", "b")}},
		{"quotes", at, slog.LevelError, []slog.Attr{slog.String("agent", `say "hi" \ there`)}},
		{"control characters", at, slog.LevelInfo, []slog.Attr{slog.String("agent", "a\x1b[31m\n\x7f")}},
		{"other alphabets", at, slog.LevelInfo, []slog.Attr{slog.String("agent", "gr\u00fc\u00dfe \u2028 \xff")}},
		{"other kinds", at, slog.LevelInfo, []slog.Attr{slog.Duration("took", time.Second), slog.Float64("x", 1.5), slog.Any("err", context.Canceled), slog.Time("at", at)}},
		{"a group with a name", at, slog.LevelInfo, []slog.Attr{slog.Group("g", slog.Int("n", 1)), slog.Int("m", 2)}},
		{"an empty group", at, slog.LevelInfo, []slog.Attr{slog.Group("g"), {Value: slog.GroupValue()}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, grouped := range []bool{false, true} {
				var got, want bytes.Buffer
				r := slog.NewRecord(c.at, c.level, "request", 0)
				if grouped {
					r.AddAttrs(slog.Attr{Value: slog.GroupValue(c.attrs...)})
				} else {
					r.AddAttrs(c.attrs...)
				}
				if err := AccessLog(&got, slog.LevelInfo).Handle(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				if err := slog.NewJSONHandler(&want, nil).Handle(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				if got.String() != want.String() {
					t.Errorf("got  %swant %s", got.String(), want.String())
				}
			}
		})
	}
	l := AccessLog(&bytes.Buffer{}, slog.LevelWarn)
	if l.Enabled(t.Context(), slog.LevelInfo) || !l.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the level is not heeded")
	}
	var got, want bytes.Buffer
	r := slog.NewRecord(at, slog.LevelInfo, "request", 0)
	if err := AccessLog(&got, slog.LevelInfo).WithGroup("g").WithAttrs([]slog.Attr{slog.Int("n", 1)}).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := slog.NewJSONHandler(&want, nil).WithGroup("g").WithAttrs([]slog.Attr{slog.Int("n", 1)}).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("with a group: got  %swant %s", got.String(), want.String())
	}
}

// BenchmarkAccessLog is one line, as a held answer writes it.
func BenchmarkAccessLog(b *testing.B) {
	attrs := []slog.Attr{slog.String("id", "k3x9-1"), slog.String("client", "127.0.0.1"), slog.String("method", "GET"),
		slog.String("path", "/golang/example.com/m/@v/v1.0.0.mod"), slog.String("format", "golang"), slog.String("repository", "golang"),
		slog.String("package", "example.com/m"), slog.String("version", "v1.0.0"), slog.String("file", "mod"), slog.String("layer", "upstream.example"),
		slog.String("digest", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"), slog.String("result", "hit"),
		slog.Int("status", 200), slog.Int64("bytes", 446), slog.Int64("us", 12), slog.String("agent", "Go-http-client/1.1")}
	for _, one := range []struct {
		name string
		h    slog.Handler
	}{{"ours", AccessLog(nowriter{}, slog.LevelInfo)}, {"slog", slog.NewJSONHandler(nowriter{}, nil)}} {
		b.Run(one.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
				r.AddAttrs(slog.Attr{Value: slog.GroupValue(attrs...)})
				if err := one.h.Handle(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type nowriter struct{}

func (nowriter) Write(b []byte) (int, error) { return len(b), nil }
