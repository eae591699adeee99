package repo_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// A document that keeps its forms has them after a restart, however small it is, newest first.
func TestFormsOutliveARestart(t *testing.T) {
	r := newRig(t)
	derive := func(stamp string) string {
		t.Helper()
		d := format.Derivation{Name: "history", Stamp: stamp, Type: "text/plain", Keep: 2, Linger: time.Minute}
		c, err := r.pond.Repository("r").For(repo.Caller{}).Derive(t.Context(), d, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "form %s, %v", stamp, r.now())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	was := map[string]string{}
	for n := range 4 {
		stamp := fmt.Sprint(n)
		was[stamp] = derive(stamp)
		r.pass(time.Hour)
	}
	r.restart()
	forms, err := r.pond.Repository("r").For(repo.Caller{}).(format.Historian).Forms(t.Context(), "history")
	if err != nil || len(forms) != 3 || forms[0].Stamp != "3" || forms[2].Stamp != "1" || !forms[0].Made.After(forms[1].Made) {
		t.Fatalf("Forms = %+v, %v, want 3, 2, 1", forms, err)
	}
	for _, f := range forms {
		if got := derive(f.Stamp); got != was[f.Stamp] {
			t.Errorf("the form %s was written anew: %q, want %q", f.Stamp, got, was[f.Stamp])
		}
	}
}

// What Judge says of a file that no record lists is what opening one like it says, and Judging follows rules and takedowns.
func TestJudgeOfAnUnlistedFile(t *testing.T) {
	r := newRig(t, rules(map[string]any{"block": []any{"bad"}}, map[string]any{"hold": "7d"}))
	judger := func() format.Judger { return r.pond.Repository("r").For(repo.Caller{}).(format.Judger) }
	file := func(age time.Duration) *millpond.File {
		return &millpond.File{Name: "x", Digests: []millpond.Digest{millpond.SHA256([]byte("x"))}, Published: r.now().Add(-age)}
	}
	k := func(name string) millpond.Key { return millpond.Key{Package: name, Version: "1.0", File: "x"} }
	if until, err := judger().Judge(k("good"), file(24*time.Hour)); !millpond.Is(err, millpond.Blocked) || !until.Equal(r.now().Add(6*24*time.Hour)) {
		t.Errorf("a file of yesterday: %v until %v, want held for six days", err, until)
	}
	if until, err := judger().Judge(k("good"), file(8*24*time.Hour)); err != nil || !until.IsZero() {
		t.Errorf("a file of last week: %v until %v, want nothing", err, until)
	}
	if _, err := judger().Judge(k("bad"), file(8*24*time.Hour)); !millpond.Is(err, millpond.Blocked) {
		t.Errorf("a blocked name: %v, want blocked", err)
	}
	before := judger().Judging()
	if _, err := r.pond.TakeDown(t.Context(), r.as("alice", "* * *"), repo.Takedown{Digest: millpond.SHA256([]byte("x")), Why: "malware"}); err != nil {
		t.Fatal(err)
	}
	if _, err := judger().Judge(k("good"), file(8*24*time.Hour)); !millpond.Is(err, millpond.Blocked) {
		t.Errorf("bytes that were taken down: %v, want blocked", err)
	}
	taken := judger().Judging()
	r.config.Policy = r.policy(map[string]any{"hold": "1d"})
	r.configure()
	if ruled := judger().Judging(); taken == before || ruled == taken {
		t.Errorf("Judging is %q, after a takedown %q, after a rule %q: want three words", before, taken, ruled)
	}
}
