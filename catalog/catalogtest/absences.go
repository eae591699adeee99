package catalogtest

import (
	"fmt"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
)

func testAbsences(t *testing.T, open Open) {
	c, ctx := fresh(t, open), t.Context()
	absence := func(layer, name string, checked time.Time) catalog.Question {
		a := &catalog.Answer{Question: catalog.Question{Layer: layer, Kind: "absence", Package: "p", Name: name}, Absent: true, Checked: checked}
		must(t, c.PutAnswer(ctx, a))
		return a.Question
	}
	for i := range 1200 {
		absence("gone", fmt.Sprint("old", i), at(1))
	}
	young, other := absence("gone", "young", at(2)), absence("gone2", "old", at(1))
	there := fullAnswer("gone", "q")
	there.Checked = at(1)
	must(t, c.PutAnswer(ctx, there))
	n, err := c.DropAbsences(ctx, "gone", at(2))
	must(t, err)
	if n != 1200 {
		t.Errorf("%d absences were forgotten, want 1200", n)
	}
	for _, i := range []int{0, 500, 1199} {
		_, err := c.Answer(ctx, catalog.Question{Layer: "gone", Kind: "absence", Package: "p", Name: fmt.Sprint("old", i)})
		kind(t, fmt.Sprint("absence ", i), err, millpond.NotFound)
	}
	for _, q := range []catalog.Question{young, other, there.Question} {
		if _, err := c.Answer(ctx, q); err != nil {
			t.Errorf("%+v: %v; it was to stay", q, err)
		}
	}
}
