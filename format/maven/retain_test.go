package maven

import (
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestCase22Retention: of twelve builds the newest ten stay, and younger ones than keep_days, and the newest that has a file; who
// resolved one a moment before still gets its bytes.
func TestCase22Retention(t *testing.T) {
	h := hosting(t, func(c *repo.Config) { c.Options = map[string]string{"keep": "10", "keep_days": "7"} })
	s := as(t, h, mvn)
	start := formattest.Epoch()
	build := func(i int) string {
		return fmt.Sprintf("1.0-%s-%d", start.Add(time.Duration(i)*time.Minute).Format("20060102.150405"), i)
	}
	jar := func(i int) []byte { return jarOf(t, "a", fmt.Sprint(i)) }
	for i := 1; i <= 12; i++ {
		s.deploy(lib, build(i), jar(i), http.StatusCreated)
	}
	only := build(1)
	s.put(file(lib, only, "-sources.jar"), jar(1), http.StatusCreated)
	s.metadata(lib, only)
	kept := func(what string, want ...int) {
		t.Helper()
		if _, err := h.Pond.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []int
		for i := 1; i <= 13; i++ {
			switch r := h.Get(file(lib, build(i), ".jar")); r.Status {
			case http.StatusOK:
				got = append(got, i)
			case http.StatusGone, http.StatusNotFound:
			default:
				t.Errorf("%s: build %d: %s", what, i, r)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the builds %v are there, want %v", what, got, want)
		}
	}
	all := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	kept("at once", all...)
	h.Pass(6 * 24 * time.Hour)
	kept("six days old", all...)
	h.Pass(2 * 24 * time.Hour)
	kept("eight days old: the first alone has sources", append([]int{1}, all[2:]...)...)
	h.Good("SNAPSHOT is still the newest", h.Get(file(lib, "1.0-SNAPSHOT", ".jar")), jar(12))
	h.Want("what went", h.Get(file(lib, build(2), ".jar")), http.StatusGone)
	s.deploy(lib, build(13), jar(13), http.StatusCreated)
	h.Pass(time.Minute) // what changes while it is judged stays
	kept("one more", append([]int{1}, append(slices.Clone(all[3:]), 13)...)...)
	if doc := h.Good("metadata", h.Get("/com/acme/lib/1.0-SNAPSHOT/"+metadataName), nil); strings.Contains(string(doc.Body), build(2)) || !strings.Contains(string(doc.Body), build(13)) {
		t.Errorf("the metadata is %s", doc.Body)
	}
}

// TestRetentionIsWhatIsAskedFor: without the option nothing goes, and an option that is no number removes nothing.
func TestRetentionIsWhatIsAskedFor(t *testing.T) {
	for keep, kind := range map[string]millpond.Kind{"": 0, "0": 0, "ten": millpond.Invalid, "-1": millpond.Invalid} {
		option := func(name string) string { return map[string]string{"keep": keep, "keep_days": "0"}[name] }
		h := hosting(t)
		s := as(t, h, mvn)
		for i := range 3 {
			s.deploy(lib, fmt.Sprintf("1.0-20200101.00000%d-%d", i, i+1), jarOf(t, "a", fmt.Sprint(i)), http.StatusCreated)
		}
		hosted, err := h.As(formattest.Owner).Repo().Hosted(t.Context(), lib)
		if err != nil || len(hosted.Versions) != 3 {
			t.Fatalf("hosted: %+v, %v", hosted, err)
		}
		for k, err := range (Format{}).Retain(formattest.Epoch().AddDate(1, 0, 0), option, one(hosted)) {
			if err == nil || millpond.KindOf(err) != kind {
				t.Errorf("keep %q: %v goes, %v", keep, k, err)
			}
		}
	}
}

func one(h *format.Hosting) iter.Seq2[*format.Hosting, error] {
	return func(yield func(*format.Hosting, error) bool) { yield(h, nil) }
}
