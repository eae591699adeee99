package debian

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
)

// releaseLimit is the largest Release that apt takes.
const releaseLimit = 10_000_000

// A release is what a Release file says.
type release struct {
	Fields     map[string]string // by name, of what is no list of files
	Date       time.Time
	ValidUntil time.Time // zero is for ever
	ByHash     bool
	Files      []indexFile // in the order of their first mention
}

// An indexFile is a file that a Release lists.
type indexFile struct {
	Path    string
	Size    int64
	Digests []millpond.Digest // strongest first
}

// parseRelease reads the text of a Release. A text that is none is BadUpstream.
func parseRelease(text []byte) (*release, error) {
	r := &release{Fields: map[string]string{}}
	at := map[string]int{}
	algorithm, last := "", ""
	for raw := range bytes.Lines(text) {
		line := strings.TrimRight(string(raw), "\r\n")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			if algorithm == "" {
				if last != "" && len(r.Fields[last]) < 1<<20 {
					r.Fields[last] += "\n" + line
				}
				continue
			}
			if err := r.add(at, algorithm, line); err != nil {
				return nil, err
			}
			continue
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(name, " <>") {
			return nil, notRelease("a line of it is no field: " + strconv.Quote(line[:min(len(line), 60)]))
		}
		algorithm, last = listOf(name), ""
		if algorithm == "" {
			last = name
			r.Fields[name] = strings.TrimSpace(value)
		}
	}
	return r, r.dates()
}

func listOf(field string) string {
	switch field {
	case "MD5Sum":
		return "md5"
	case "SHA1", "SHA256", "SHA512":
		return strings.ToLower(field)
	}
	return ""
}

func notRelease(why string) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream gave something that is no Release file: " + why}
}

// add takes a line of a list: digest, size, path.
func (r *release) add(at map[string]int, algorithm, line string) error {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return nil
	}
	size, err := strconv.ParseInt(fields[1], 10, 64)
	d, derr := millpond.ParseDigest(algorithm + ":" + strings.ToLower(fields[0]))
	path := strings.TrimPrefix(fields[2], "./")
	if err != nil || size < 0 || derr != nil || !clean(path) || strings.ContainsAny(path, "\\%?#;") {
		return nil // nothing that a client could ask for
	}
	i, ok := at[path]
	if !ok {
		if len(r.Files) > 200_000 {
			return notRelease("it lists more than 200,000 files")
		}
		i = len(r.Files)
		at[path] = i
		r.Files = append(r.Files, indexFile{Path: path, Size: size})
	}
	f := &r.Files[i]
	if f.Size != size {
		return notRelease(path + " has two sizes in it")
	}
	if !slices.Contains(f.Digests, d) {
		f.Digests = append(f.Digests, d)
		millpond.SortDigests(f.Digests)
	}
	return nil
}

func (r *release) dates() error {
	if len(r.Files) == 0 && r.Fields["Date"] == "" {
		return notRelease("it lists no file and has no date")
	}
	var err error
	if r.Date, err = releaseDate(r.Fields["Date"]); err != nil {
		return notRelease("its Date is " + strconv.Quote(r.Fields["Date"]))
	}
	if v := r.Fields["Valid-Until"]; v != "" {
		if r.ValidUntil, err = releaseDate(v); err != nil {
			return notRelease("its Valid-Until is " + strconv.Quote(v))
		}
	}
	r.ByHash = strings.EqualFold(r.Fields["Acquire-By-Hash"], "yes")
	return nil
}

func releaseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC1123, time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no date", s)
}

// snapshotName is the name of the version that a Release is. after is the name of the one before it, "" if there is none:
// a Release of the same second has a later name.
func snapshotName(date time.Time, signed []byte, after string) string {
	hash := millpond.SHA256(signed).Short()
	name := date.UTC().Format(snapshotTime) + "-" + hash
	for n := 1; after != "" && (Format{}).Compare(name, after) <= 0; n++ {
		name = fmt.Sprintf("%s.%d-%s", date.UTC().Format(snapshotTime), n, hash)
		if before, _, ok := strings.Cut(after, "-"); ok && !strings.HasPrefix(before, date.UTC().Format(snapshotTime)) {
			break // an older date: nothing makes it later
		}
	}
	return name
}
