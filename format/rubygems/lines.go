package rubygems

import (
	"bufio"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
)

// A record is what a version's Meta holds.
type record struct {
	At    int    `json:"at,omitempty"` // which line of the upstream's info it is
	Line  string `json:"line"`         // of the info, byte for byte, without its newline
	About *about `json:"about,omitempty"`
}

// about is what the gemspec of what is hosted says for people.
type about struct {
	Summary  string   `json:"summary,omitempty"`
	Authors  []string `json:"authors,omitempty"`
	Homepage string   `json:"homepage,omitempty"`
	Licences []string `json:"licences,omitempty"`
}

func readRecord(meta json.RawMessage) (record, error) {
	var r record
	err := json.Unmarshal(meta, &r)
	return r, err
}

// An infoLine is a line of an info document as far as the house must know it.
type infoLine struct {
	version  string
	checksum millpond.Digest
	created  time.Time
}

// readLine reads "version deps|checksum:…,ruby:…,created_at:…".
func readLine(line string) (infoLine, error) {
	version, rest, ok := strings.Cut(line, " ")
	if !ok || !isVersion(version) {
		return infoLine{}, fmt.Errorf("has the line %.100q, which is of no version", line)
	}
	out := infoLine{version: version}
	_, attributes, _ := strings.Cut(rest, "|")
	for one := range strings.SplitSeq(attributes, ",") {
		key, value, _ := strings.Cut(one, ":")
		switch key {
		case "checksum":
			d, err := millpond.ParseDigest("sha256:" + strings.ToLower(value))
			if err != nil {
				return infoLine{}, fmt.Errorf("has the checksum %.100q for %s", value, version)
			}
			out.checksum = d
		case "created_at":
			if t, err := time.Parse(time.RFC3339, value); err == nil {
				out.created = t.UTC()
			}
		}
	}
	return out, nil
}

// infoText is the info of what a reader may see: the upstream's lines as it has them, then what is hosted, oldest first.
func infoText(p *millpond.Package) ([]byte, error) {
	type line struct {
		at     int
		layer  string
		number time.Time
		name   string
		text   string
	}
	lines := make([]line, 0, len(p.Versions))
	size := 4
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Yanked || len(v.Meta) == 0 {
			continue
		}
		r, err := readRecord(v.Meta)
		if err != nil {
			return nil, fmt.Errorf("the record of %s %s: %w", p.Name, v.Name, err)
		}
		lines = append(lines, line{r.At, v.Layer, v.Published, v.Name, r.Line})
		size += len(r.Line) + 1
	}
	rank := func(layer string) int { // what is hosted comes last: its lines are younger than the upstream's
		if layer == "" {
			return len(p.Parts)
		}
		return slices.IndexFunc(p.Parts, func(one millpond.Part) bool { return one.Layer == layer })
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		if a.layer != b.layer {
			return rank(a.layer) - rank(b.layer)
		}
		if a.at != b.at {
			return a.at - b.at
		}
		if c := a.number.Compare(b.number); a.layer == "" && c != 0 {
			return c
		}
		return Format{}.Compare(a.name, b.name)
	})
	text := append(make([]byte, 0, size), "---\n"...)
	for _, l := range lines {
		text = append(append(text, l.text...), '\n')
	}
	return text, nil
}

// listed are the versions that an info's text has, as the log of names has them.
func listed(text []byte) []string {
	var out []string
	for line := range strings.Lines(string(text)) {
		if version, _, ok := strings.Cut(line, " "); ok {
			out = append(out, version)
		}
	}
	return out
}

// checkSums compares a text with the digests that its header gives.
func checkSums(h http.Header, size int64, text io.Reader) error {
	tag := strings.Trim(strings.TrimPrefix(h.Get("Etag"), "W/"), `"`)
	want := ""
	for _, field := range []string{h.Get("Repr-Digest"), h.Get("Digest")} {
		for one := range strings.SplitSeq(field, ",") {
			if value, ok := strings.CutPrefix(strings.TrimSpace(one), "sha-256="); ok {
				want = strings.Trim(value, ":")
			}
		}
	}
	isMD5 := len(tag) == 32 && strings.Trim(tag, "0123456789abcdef") == ""
	if !isMD5 && want == "" {
		return nil
	}
	sum, sum5 := sha256.New(), md5.New()
	if _, err := io.Copy(io.MultiWriter(sum, sum5), text); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); want != "" && got != want {
		return fmt.Errorf("has the sha-256 %s, and its header says %.60q", got, want)
	}
	if got := hex.EncodeToString(sum5.Sum(nil)); want == "" && isMD5 && got != tag {
		return fmt.Errorf("has the md5 %s, and its entity tag is %s", got, tag)
	}
	return nil
}

// eachLine yields the lines behind "---". Every one must end in a newline: who stops in the middle is not believed.
func eachLine(r io.Reader, each func(line string) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	began := false
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			switch {
			case line != "":
				return fmt.Errorf("ends in the middle of the line %.60q", line)
			case !began:
				return fmt.Errorf("has no line of three dashes")
			}
			return nil
		}
		if err != nil {
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		if !began {
			if line == "---" {
				began = true
			} else if !strings.HasPrefix(line, "created_at:") {
				return fmt.Errorf("begins with %.60q", line)
			}
			continue
		}
		if line == "" {
			continue
		}
		if err := each(line); err != nil {
			return err
		}
	}
}
