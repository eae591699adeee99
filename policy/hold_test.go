package policy

import (
	"testing"
	"time"

	"millpond"
)

func TestHold(t *testing.T) {
	version := func(f func(v *millpond.Version)) *millpond.Package {
		p := &millpond.Package{Name: "x", Versions: []millpond.Version{{
			Name: "2.33.0", Layer: "up", Published: ago(1000 * day), Seen: ago(1000 * day), Files: []millpond.File{{Name: "x.whl", Size: 1}}}}}
		f(&p.Versions[0])
		return p
	}
	within := func(latest time.Time, p *millpond.Package) *millpond.Package {
		p.Parts = []millpond.Part{{Layer: "up", Latest: latest}}
		return p
	}
	week := []spec{{"hold": "7d"}}
	seen := []spec{{"hold": "7d", "seen": true}}
	tests := []struct {
		name  string
		rules []spec
		pkg   *millpond.Package
		want  string // the view
		why   string // the version's, or if that passes the last file's
		after time.Time
	}{
		{"an old release passes", week, version(func(*millpond.Version) {}), "2.33.0[x.whl]", "", time.Time{}},
		{"a young version waits", week, version(func(v *millpond.Version) { v.Published = ago(4*time.Hour + time.Minute) }), "| 2.33.0",
			"2.33.0 was published 4 hours ago; this repository holds new versions for 7 days", ago(4*time.Hour + time.Minute).Add(7 * day)},
		{"to the second", week, version(func(v *millpond.Version) { v.Published = ago(7 * day) }), "2.33.0[x.whl]", "", time.Time{}},
		{"and not before", week, version(func(v *millpond.Version) { v.Published = ago(7*day - 1) }), "| 2.33.0",
			"2.33.0 was published 6 days ago; this repository holds new versions for 7 days", noon.Add(1)},
		{"a file's own date counts before its version's", week, version(func(v *millpond.Version) {
			v.Published, v.Files[0].Published = ago(time.Hour), ago(1000*day)
		}), "2.33.0[x.whl]", "", time.Time{}},
		{"a fresh wheel in an old version waits alone", week, version(func(v *millpond.Version) {
			v.Files = append(v.Files, millpond.File{Name: "fresh.whl", Published: ago(90 * time.Minute)})
		}), "2.33.0[x.whl]", "fresh.whl was published 1 hour ago; this repository holds new versions for 7 days", ago(90 * time.Minute).Add(7 * day)},
		{"a version whose files all wait is held until the first ripens", week, version(func(v *millpond.Version) {
			v.Files = []millpond.File{{Name: "b.whl", Published: ago(time.Hour)}, {Name: "a.whl", Published: ago(2 * day)}}
		}), "| 2.33.0", "2.33.0 was published 2 days ago; this repository holds new versions for 7 days", noon.Add(5 * day)},
		{"a version without files", week, version(func(v *millpond.Version) { v.Published, v.Files = ago(day), nil }), "| 2.33.0",
			"2.33.0 was published 24 hours ago; this repository holds new versions for 7 days", noon.Add(6 * day)},
		{"no date counts from when it was seen", week, version(func(v *millpond.Version) { v.Published, v.Seen = time.Time{}, ago(time.Minute) }), "| 2.33.0",
			"2.33.0 was first seen here 1 minute ago; this repository holds new versions for 7 days", ago(time.Minute).Add(7 * day)},
		{"a file seen later than its version, without dates", week, version(func(v *millpond.Version) {
			v.Published, v.Files[0].Seen = time.Time{}, ago(day)
		}), "| 2.33.0", "2.33.0 was first seen here 24 hours ago; this repository holds new versions for 7 days", noon.Add(6 * day)},
		{"no date, seen long ago", week, version(func(v *millpond.Version) { v.Published = time.Time{} }), "2.33.0[x.whl]", "", time.Time{}},
		{"nothing at all is denied", week, version(func(v *millpond.Version) { v.Published, v.Seen = time.Time{}, time.Time{} }), "| 2.33.0",
			"nothing says when 2.33.0 was published; this repository holds new versions for 7 days", time.Time{}},
		{"a date to come is waited for", week, version(func(v *millpond.Version) { v.Published = noon.Add(day) }), "| 2.33.0",
			"2.33.0 is dated 16 Jun 2026 12:00 UTC, which is yet to come; this repository holds new versions for 7 days", noon.Add(8 * day)},
		{"the clock went back: seen in the future too", week, version(func(v *millpond.Version) { v.Published, v.Seen = noon.Add(day), noon.Add(2*day) }), "| 2.33.0",
			"2.33.0 is dated 17 Jun 2026 12:00 UTC, which is yet to come; this repository holds new versions for 7 days", noon.Add(9 * day)},
		{"partial without a date", week, version(func(v *millpond.Version) { v.Published, v.Partial = time.Time{}, true }), "| 2.33.0",
			"nothing says yet when 2.33.0 was published; this repository holds new versions for 7 days", time.Time{}},
		{"partial without a date, of a layer that says nothing of late", week, within(ago(7*day), version(func(v *millpond.Version) { v.Published, v.Partial = time.Time{}, true })), "2.33.0[x.whl]", "", time.Time{}},
		{"of a layer that has said something since", week, within(ago(7*day-1), version(func(v *millpond.Version) { v.Published, v.Partial = time.Time{}, true })), "| 2.33.0",
			"nothing says yet when 2.33.0 was published; this repository holds new versions for 7 days", time.Time{}},
		{"of which another layer says it", week, within(ago(7*day), version(func(v *millpond.Version) { v.Published, v.Partial, v.Layer = time.Time{}, true, "other" })), "| 2.33.0",
			"nothing says yet when 2.33.0 was published; this repository holds new versions for 7 days", time.Time{}},
		{"where it counts when it was seen", seen, within(ago(7*day), version(func(v *millpond.Version) { v.Published, v.Partial = time.Time{}, true })), "| 2.33.0",
			"nothing says yet when 2.33.0 was published; this repository holds new versions for 7 days", time.Time{}},
		{"partial with a date", week, version(func(v *millpond.Version) { v.Partial = true }), "2.33.0[x.whl]", "", time.Time{}},
		{"partial with a date of the file", week, version(func(v *millpond.Version) {
			v.Partial, v.Published, v.Files[0].Published = true, time.Time{}, ago(8*day)
		}), "2.33.0[x.whl]", "", time.Time{}},
		{"seen: a backdated newcomer waits", seen, &millpond.Package{Name: "x", Versions: []millpond.Version{
			{Name: "2", Layer: "up", Published: ago(100 * day), Seen: ago(day)},
			{Name: "1", Layer: "up", Published: ago(200 * day), Seen: ago(50 * day)}}}, "1 | 2",
			"2 was first seen here 24 hours ago; this repository holds new versions for 7 days", noon.Add(6 * day)},
		{"seen: what was in the first listing is believed", seen, &millpond.Package{Name: "x", Versions: []millpond.Version{
			{Name: "2", Layer: "up", Published: ago(100 * day), Seen: ago(time.Hour)},
			{Name: "1", Layer: "up", Published: ago(200 * day), Seen: ago(time.Hour)}}}, "2 1", "", time.Time{}},
		{"seen: another layer's first listing is its own", seen, &millpond.Package{Name: "x", Versions: []millpond.Version{
			{Name: "2", Layer: "second", Published: ago(100 * day), Seen: ago(time.Hour)},
			{Name: "1", Layer: "up", Published: ago(200 * day), Seen: ago(50 * day)}}}, "2 1", "", time.Time{}},
		{"seen: a later date still counts", seen, version(func(v *millpond.Version) { v.Published = ago(day) }), "| 2.33.0",
			"2.33.0 was published 24 hours ago; this repository holds new versions for 7 days", noon.Add(6 * day)},
		{"the rule's words follow", []spec{{"hold": "36h", "why": "ask platform"}}, version(func(v *millpond.Version) { v.Published = ago(time.Second) }), "| 2.33.0",
			"2.33.0 was published less than a minute ago; this repository holds new versions for 36 hours (ask platform)", ago(time.Second).Add(36 * time.Hour)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := rules(t, test.rules...).Judge(noon, dotted{}, test.pkg)
			if got := show(j.View(test.pkg)); got != test.want {
				t.Errorf("view of %+v:\n got %s\nwant %s", test.pkg.Versions, got, test.want)
			}
			v := test.pkg.Versions[0]
			got := j.Version(v.Name)
			if got.Opinion == millpond.Pass && len(v.Files) > 0 {
				got = j.File(v.Name, v.Files[len(v.Files)-1].Name)
			}
			if got.Why != test.why || !got.After.Equal(test.after) {
				t.Errorf("verdict on %+v:\n got %q after %v\nwant %q after %v", v, got.Why, got.After, test.why, test.after)
			}
			if !j.Until().Equal(test.after) {
				t.Errorf("Until() = %v, want %v", j.Until(), test.after)
			}
			if got, want := j.Held() == 1, got.Opinion == millpond.Hold; got != want || j.Held() > 1 {
				t.Errorf("Held() = %d, want one: %t", j.Held(), want)
			}
		})
	}
}

// TestHoldEnds walks the clock to where Until says that something changes: nothing changes before it, and something does then.
func TestHoldEnds(t *testing.T) {
	p := listing("x", "3", "2", "1")
	p.Versions[0].Files[0].Published = ago(time.Hour)
	p.Versions[1].Files = append(p.Versions[1].Files, millpond.File{Name: "late", Published: ago(2 * day)})
	policy := rules(t,
		spec{"hold": "7d", "except": list(spec{"name": "x@3", "until": noon.Add(3 * day)})},
		spec{"block": list("x@1"), "until": noon.Add(time.Hour)})
	now, steps := noon, []string{}
	for {
		j := policy.Judge(now, dotted{}, p)
		steps = append(steps, now.Sub(noon).String()+": "+show(j.View(p)))
		until := j.Until()
		if until.IsZero() {
			break
		}
		if !until.After(now) {
			t.Fatalf("at %v Until() is %v, which is past", now, until)
		}
		before := policy.Judge(until.Add(-1), dotted{}, p)
		if got, want := show(before.View(p)), show(j.View(p)); got != want {
			t.Errorf("just before %v: got %s, want %s as at %v", until, got, want, now)
		}
		now = until
	}
	want := []string{
		"0s: 3[x-3.tgz] 2[x-2.tgz] | 1",
		"1h0m0s: 3[x-3.tgz] 2[x-2.tgz] 1[x-1.tgz]",
		"72h0m0s: 2[x-2.tgz] 1[x-1.tgz] | 3",
		"120h0m0s: 2[x-2.tgz late] 1[x-1.tgz] | 3",
		"167h0m0s: 3[x-3.tgz] 2[x-2.tgz late] 1[x-1.tgz]",
	}
	if len(steps) != len(want) {
		t.Fatalf("steps:\n got %q\nwant %q", steps, want)
	}
	for i := range want {
		if steps[i] != want[i] {
			t.Errorf("step %d:\n got %s\nwant %s", i, steps[i], want[i])
		}
	}
}

// TestClockJumps holds that a clock set back never lets out what was held, and that Seen alone cannot make a date ripen.
func TestClockJumps(t *testing.T) {
	policy := rules(t, spec{"hold": "7d"})
	for _, jump := range []time.Duration{-time.Hour, -day, -365 * day} {
		p := listing("x", "1")
		p.Versions[0].Published, p.Versions[0].Seen = ago(time.Hour), ago(time.Minute)
		if v := policy.Judge(noon.Add(jump), dotted{}, p).Version("1"); v.Opinion != millpond.Hold {
			t.Errorf("clock set by %v: got %v %q, want hold", jump, v.Opinion, v.Why)
		}
		p.Versions[0].Published = time.Time{}
		if v := policy.Judge(noon.Add(jump), dotted{}, p).Version("1"); v.Opinion != millpond.Hold {
			t.Errorf("clock set by %v, no date: got %v %q, want hold", jump, v.Opinion, v.Why)
		}
	}
}
