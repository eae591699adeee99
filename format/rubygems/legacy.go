package rubygems

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"millpond/format"
)

// getSpecs answers with one of the legacy indexes, written from the log of names: what the newer index does not show they do
// not show either.
func (h handler) getSpecs(w http.ResponseWriter, r *http.Request, file string) error {
	s, err := h.log.current(r.Context(), h.repo)
	if err != nil {
		return err
	}
	header := w.Header()
	header["Content-Type"] = []string{"application/x-gzip"}
	header["Cache-Control"] = []string{h.moves()}
	stamp := h.log.indexed(file, s, h.repo.Now())
	d := format.Derivation{Name: file, Stamp: stamp, Type: "application/x-gzip", Have: strings.Join(r.Header["If-None-Match"], ",")}
	c, err := h.repo.Derive(context.WithoutCancel(r.Context()), d, func(to io.Writer) error {
		z := gzip.NewWriter(to)
		if err := h.log.dump(z, file); err != nil {
			return err
		}
		return z.Close()
	})
	if err != nil {
		return err
	}
	return format.Serve(w, r, c)
}

// specsEvery is how often a large legacy index is made anew, at most: it costs seconds.
const specsEvery = 30 * time.Second

// An indexed says of which state of the log a legacy index was made, and when.
type indexed struct {
	md5 string
	at  time.Time
}

// indexed is the state of the log that a legacy index shows: the newest, if there is little to write or some time has passed.
func (l *log) indexed(file string, s *snapshot, now time.Time) string {
	l.sumsMu.Lock()
	defer l.sumsMu.Unlock()
	last, ok := l.specs[file]
	if ok && len(s.text) > small && now.Sub(last.at) < specsEvery && !now.Before(last.at) {
		return last.md5
	}
	if !ok || last.md5 != s.md5 {
		l.specs[file] = indexed{s.md5, now}
	}
	return s.md5
}

// dump writes the Marshal of [[name, version, platform], …].
func (l *log) dump(to io.Writer, file string) error {
	names := l.all()
	total := 0
	rowsOf(names, file, func(string, string, string) { total++ })
	d := newDumper(to)
	d.array(total)
	rowsOf(names, file, func(name, number, platform string) {
		d.array(3)
		d.text(name)
		d.version(number)
		d.text(platform)
	})
	return d.flush()
}

// rowsOf yields the rows of a legacy index.
func rowsOf(names []told, file string, yield func(name, number, platform string)) {
	for _, t := range names {
		said, _, _ := strings.Cut(t.said, " ")
		if file == "latest_specs.4.8.gz" {
			newest := map[string]string{}
			var order []string
			for v := range strings.SplitSeq(said, ",") {
				number, platform := split(v)
				if isPrerelease(v) {
					continue
				}
				old, ok := newest[platform]
				if !ok {
					order = append(order, platform)
				}
				if !ok || compareNumbers(number, old) > 0 {
					newest[platform] = number
				}
			}
			for _, platform := range order {
				yield(t.name, newest[platform], platform)
			}
			continue
		}
		for v := range strings.SplitSeq(said, ",") {
			if isPrerelease(v) == (file == "prerelease_specs.4.8.gz") {
				number, platform := split(v)
				yield(t.name, number, platform)
			}
		}
	}
}
