package raw

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	partsKept    = 7 * 24 * time.Hour
	mostParts    = 10_000
	smallestPart = 5 << 20 // but the last
)

// An upload in parts is kept as files of the path that belong to no version: ".parts/<id>/begun" says what it will be,
// ".parts/<id>/<number>-<md5>" is a part that is kept apart. One at its place in the file that all make has a record only,
// ".parts/<id>/<number>-<md5>-placed", beside the bytes of "begun", which says where; before that file is sealed
// ".parts/<id>/sealed-<tag>" says what it will be, so that it can be completed again. They expire after a week.
func partsOf(id string) string { return ".parts/" + id + "/" }

func partName(id string, number int, sum string) string {
	return fmt.Sprintf("%s%05d-%s", partsOf(id), number, sum)
}

// A begun is what an upload in parts will be.
type begun struct {
	Type   string `json:"type,omitempty"`
	Record record `json:"record"`
	Upload string `json:"upload,omitempty"` // of the file that the parts make; "" if each is kept apart

	blob millpond.Digest // its own
}

// A part is what the records say of one.
type part struct {
	number int
	md5    string
	file   string // its name
	came   time.Time
	At     int64 `json:"at"` // its place in the file; negative if it is kept apart
	Size   int64 `json:"size"`
}

// readPart reads the record of a part; false if it is of something else.
func readPart(f millpond.File, id string) (part, bool) {
	p := part{file: f.Name, came: f.Published, At: -1, Size: f.Size}
	number, sum, ok := strings.Cut(strings.TrimPrefix(f.Name, partsOf(id)), "-")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return p, false
	}
	p.number = n
	var placed bool
	if p.md5, placed = strings.CutSuffix(sum, "-placed"); placed {
		return p, json.Unmarshal(f.Meta, &p) == nil
	}
	return p, true
}

// loose keeps a file of a path that belongs to no version, for as long as an upload may take. To a name that ends in a dash its
// MD5 is added.
func (h handler) loose(ctx context.Context, name, file string, body io.Reader, in *incoming, size int64) (*millpond.File, error) {
	up, err := h.repo.Upload(ctx, format.Uploading{Package: name, Size: size})
	if err != nil {
		return nil, err
	}
	defer up.Close()
	s := &summer{}
	s.add("md5")
	if in != nil {
		for algorithm := range in.want {
			s.add(algorithm)
		}
		s.add(in.promised...)
	}
	n, err := s.copy(up, body)
	if err == nil && size >= 0 && n != size {
		err = short(n, size, nil)
	}
	sums := s.sums()
	if err == nil && in != nil {
		err = in.settle(sums)
	}
	if err != nil {
		return nil, firstError(err, up.Discard())
	}
	var want []millpond.Digest
	if in != nil {
		if d, err := millpond.NewDigest("sha256", in.want["sha256"]); err == nil {
			want = append(want, d)
		}
	}
	blob, err := up.Commit(ctx, want...)
	if err != nil {
		if millpond.Is(err, millpond.Corrupt) {
			err = &millpond.Error{Kind: millpond.Invalid, Why: "the bytes that came have not the declared sha256", Err: errBadDigest}
		}
		return nil, err
	}
	md5, err := millpond.NewDigest("md5", sums["md5"])
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(file, "-") {
		file += md5.Hex()
	}
	f := millpond.File{Name: file, Blob: blob, Size: n, Digests: []millpond.Digest{blob, md5}}
	_, err = h.repo.Publish(ctx, format.Release{Package: name, Version: millpond.Version{Files: []millpond.File{f}}, Loose: partsKept})
	return &f, err
}

// begunAs finds an upload that is under way.
func (h handler) begunAs(ctx context.Context, name, id string) (*begun, error) {
	none := code("NoSuchUpload", millpond.NotFound, "there is no such upload of "+name)
	if len(id) != 36 || strings.Trim(id, "0123456789abcdef") != "" {
		return nil, none
	}
	c, err := h.repo.Open(ctx, millpond.Key{Package: name, File: partsOf(id) + "begun"})
	if millpond.Is(err, millpond.NotFound) || millpond.Is(err, millpond.Gone) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b := &begun{}
	if err := json.NewDecoder(c).Decode(b); err != nil {
		return nil, err
	}
	b.blob = c.Digest
	return b, nil
}

// partsHere are the parts of an upload, and all else that is kept of it.
func (h handler) partsHere(ctx context.Context, name, id string) (*begun, []millpond.File, error) {
	b, err := h.begunAs(ctx, name, id)
	if err != nil {
		return nil, nil, err
	}
	looser, ok := h.repo.(format.Looser)
	if !ok {
		return nil, nil, errNotImplemented("an upload in parts")
	}
	files, err := looser.Loose(ctx, name, partsOf(id))
	return b, files, err
}

// chosen are the parts that a client names, and the entity tag of what they make.
func chosen(files []millpond.File, id string, list *s3Complete) ([]part, string, error) {
	if len(list.Part) == 0 {
		return nil, "", code("MalformedXML", millpond.Invalid, "the list of parts is empty")
	}
	for i, p := range list.Part {
		if i > 0 && p.PartNumber <= list.Part[i-1].PartNumber {
			return nil, "", code("InvalidPartOrder", millpond.Invalid, "the parts are not in the order of their numbers")
		}
	}
	byName := map[string]part{}
	for _, f := range files {
		if p, ok := readPart(f, id); ok {
			name := partName(id, p.number, p.md5)
			if old, twice := byName[name]; !twice || old.At < 0 { // one at its place costs nothing
				byName[name] = p
			}
		}
	}
	var out []part
	whole := md5.New()
	for i, p := range list.Part {
		got, ok := byName[partName(id, p.PartNumber, strings.Trim(p.ETag, `"`))]
		if !ok {
			return nil, "", code("InvalidPart", millpond.Invalid, fmt.Sprintf("part %d did not come, or has another entity tag", p.PartNumber))
		}
		if i < len(list.Part)-1 && got.Size < smallestPart {
			return nil, "", code("EntityTooSmall", millpond.Invalid, fmt.Sprintf("part %d is smaller than 5 MiB, and not the last", p.PartNumber))
		}
		sum, err := hex.DecodeString(got.md5)
		if err != nil {
			return nil, "", err
		}
		whole.Write(sum)
		out = append(out, got)
	}
	return out, fmt.Sprintf("%x-%d", whole.Sum(nil), len(out)), nil
}
