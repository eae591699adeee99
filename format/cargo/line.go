package cargo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"millpond"
)

// A line is what an index file says of one version, and where: offsets are into the file.
type line struct {
	at, size  int64 // without its line break
	name      string
	version   string
	sum       string
	sumAt     int64 // of the first digit
	yanked    bool
	yankedAt  int64 // of the boolean; 0 if there is none
	published time.Time
}

// errLine is the word on a line that cargo passes over, too.
var errLine = fmt.Errorf("not a version of a crate")

// readLine reads what is needed of a line. Its offsets are relative to the line's beginning.
func readLine(text []byte) (l line, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if tok, err := d.ReadToken(); err != nil || tok.Kind() != '{' {
		return l, errLine
	}
	for d.PeekKind() != '}' {
		key, err := d.ReadToken()
		if err != nil {
			return l, errLine
		}
		name := key.String()
		switch name {
		case "name", "vers", "cksum", "yanked", "pubtime":
		default:
			if err := d.SkipValue(); err != nil {
				return l, errLine
			}
			continue
		}
		kind := d.PeekKind()
		tok, err := d.ReadToken()
		if err != nil {
			return l, errLine
		}
		end := d.InputOffset()
		switch {
		case name == "yanked" && kind == 't':
			l.yanked, l.yankedAt = true, end-int64(len("true"))
		case name == "yanked" && kind == 'f':
			l.yankedAt = end - int64(len("false"))
		case name == "yanked" && kind == 'n':
		case name == "pubtime" && kind == 'n':
		case kind != '"':
			return l, errLine
		case name == "name":
			l.name = tok.String()
		case name == "vers":
			l.version = tok.String()
		case name == "cksum":
			l.sum, l.sumAt = tok.String(), end-int64(len(`"`))-64
		case name == "pubtime":
			l.published, _ = time.Parse(time.RFC3339, tok.String()) // one that cannot be read is not known
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return l, errLine
	}
	if len(bytes.TrimSpace(text[d.InputOffset():])) > 0 || !isName(l.name) || !isVersion(l.version) || !isSum(l.sum) {
		return l, errLine
	}
	if string(text[l.sumAt:l.sumAt+64]) != l.sum {
		return l, errLine // digits that are escaped
	}
	return l, nil
}

// readLines reads an index file. Lines that are no version of the crate of that identity are passed over, as cargo does.
func readLines(text []byte, name string) []line {
	var all []line
	at := int64(0)
	for whole := range bytes.Lines(text) {
		one := bytes.TrimRight(whole, "\r\n")
		l, err := readLine(one)
		if err == nil && identity(l.name) == name {
			l.at, l.size = at, int64(len(one))
			all = append(all, l)
		}
		at += int64(len(whole))
	}
	return all
}

// A place is where a version stands in a kept index file.
type place struct{ at, size, yanked, sum int64 }

// placesMeta is the record of an upstream's version: its places, of which a file that names a version twice has two.
func placesMeta(lines []line) json.RawMessage {
	b := []byte{'['}
	for i, l := range lines {
		if i > 0 {
			b = append(b, ',')
		}
		for j, n := range [...]int64{l.at, l.size, l.yankedAt, l.sumAt} {
			if j > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, n, 10)
		}
	}
	return append(b, ']')
}

// readPlaces reads what placesMeta wrote, against a text of that size.
func readPlaces(meta json.RawMessage, size int64) ([]place, error) {
	var n []int64
	if err := json.Unmarshal(meta, &n); err != nil || len(n)%4 != 0 {
		return nil, fmt.Errorf("the record of a version is not its places: %.100q", meta)
	}
	var all []place
	for ; len(n) > 0; n = n[4:] {
		p := place{n[0], n[1], n[2], n[3]}
		if p.at < 0 || p.size <= 0 || p.at+p.size > size || p.yanked < 0 || p.yanked+4 > p.size || p.sum <= 0 || p.sum+64 > p.size {
			return nil, fmt.Errorf("a version's place %v is not within an index of %d bytes", p, size)
		}
		all = append(all, p)
	}
	return all, nil
}

// aboutMeta is the record of an upstream's crate as a whole.
type aboutMeta struct {
	Name     string `json:"name"`     // as it was published
	Versions int    `json:"versions"` // how many its index file names
}

// listing makes the record of a crate of its index file. file makes the URL of a file.
func listing(name string, text []byte, file func(crate, version, sum string) string) (*millpond.Package, error) {
	lines := readLines(text, name)
	if len(lines) == 0 {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream answered something that is no index of the crate " + name}
	}
	by := make(map[string][]line, len(lines))
	p := &millpond.Package{Name: name, Versions: make([]millpond.Version, 0, len(lines))}
	for _, l := range lines {
		by[l.version] = append(by[l.version], l)
	}
	for version, all := range by {
		l := all[len(all)-1] // cargo takes the last
		sum, err := millpond.ParseDigest("sha256:" + l.sum)
		if err != nil {
			return nil, err
		}
		p.Versions = append(p.Versions, millpond.Version{
			Name: version, Published: l.published, Prerelease: isPrerelease(version), Yanked: l.yanked, Meta: placesMeta(all),
			Files: []millpond.File{{
				Name: fileName(l.name, version), Size: -1, Digests: []millpond.Digest{sum}, URL: file(l.name, version, l.sum), Yanked: l.yanked,
			}},
		})
	}
	slices.SortFunc(p.Versions, func(a, b millpond.Version) int { return Format{}.Compare(b.Name, a.Name) })
	meta, err := json.Marshal(aboutMeta{lines[len(lines)-1].name, len(p.Versions)})
	if err != nil {
		return nil, err
	}
	p.Parts = []millpond.Part{{Meta: meta}}
	return p, nil
}

func isPrerelease(version string) bool {
	version, _, _ = strings.Cut(version, "+")
	return strings.Contains(version, "-")
}
