package pypi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"millpond"
	"millpond/format"
)

// An apiIndex is an upstream's document of the JSON API, read once: what is about the project, and where each file stands.
type apiIndex struct {
	doc             *format.Document
	info            []byte
	version         string // that info is about
	serial          int64
	vulnerabilities []byte
	others          []rawMember // ownership, and whatever may be added
	files           map[string]span
}

type rawMember struct {
	name  string
	value []byte
}

type span struct{ off, end int64 }

func readAPI(doc *format.Document) (*apiIndex, error) {
	x := &apiIndex{doc: doc, files: map[string]span{}}
	d := newJSONReader(doc.Reader())
	err := d.members(func(name string) (err error) {
		switch name {
		case "info":
			return x.readInfo(d)
		case "last_serial":
			x.serial, err = d.number()
			return err
		case "releases":
			return d.members(func(string) error { return x.readFiles(d) })
		case "urls":
			return x.readFiles(d)
		}
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if name == "vulnerabilities" {
			x.vulnerabilities = bytes.Clone(v)
		} else {
			x.others = append(x.others, rawMember{name, bytes.Clone(v)})
		}
		return nil
	})
	if err == nil && x.info == nil {
		err = fmt.Errorf("it describes nothing")
	}
	return x, err
}

// readInfo copies the description of a version.
func (x *apiIndex) readInfo(d jsonReader) error {
	x.info = append(x.info, '{')
	err := d.members(func(name string) error {
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if name == "version" {
			x.version = unquote(v)
		}
		if len(x.info) > 1 {
			x.info = append(x.info, ',')
		}
		x.info = append(append(append(x.info, quote(name)...), ':'), v...)
		return nil
	})
	x.info = append(x.info, '}')
	return err
}

// readFiles notes where each file of an array stands.
func (x *apiIndex) readFiles(d jsonReader) error {
	return d.elements(func() error {
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		end := d.InputOffset()
		at := span{end - int64(len(v)), end}
		file := newJSONReader(bytes.NewReader(v))
		return file.members(func(name string) error {
			if name != "filename" {
				return file.skip()
			}
			name, err := file.text()
			x.files[name] = at
			return err
		})
	})
}

// writeFiles writes the array of a version's files.
func (a *apiWriter) writeFiles(b *bufio.Writer, x *apiIndex, v *millpond.Version) error {
	b.WriteByte('[')
	comma := ""
	for i := range v.Files {
		f := &v.Files[i]
		if _, side := cutSide(f.Name); side != "" || f.Vanished {
			continue
		}
		b.WriteString(comma)
		comma = ","
		entry, err := a.entry(x, v, marked(v, f))
		if err != nil {
			return err
		}
		b.Write(entry)
	}
	b.WriteByte(']')
	return nil
}

// url is the file's absolute address.
func (a *apiWriter) url(f *millpond.File) string {
	return a.files + shortDigest(digests(f)) + "/" + escape(f.Name)
}

// entry is one file: as the upstream describes it, but for its address and what our records know better; or all from the
// records, where the upstream's document lags behind its index.
func (a *apiWriter) entry(x *apiIndex, v *millpond.Version, f *millpond.File) ([]byte, error) {
	at, ok := x.files[f.Name]
	if !ok || format.IsHosted(v.Layer) { // what is hosted no upstream describes
		return a.madeEntry(f)
	}
	raw := make([]byte, at.end-at.off)
	if _, err := x.doc.ReadAt(raw, at.off); err != nil && err != io.EOF {
		return nil, err
	}
	out := append(make([]byte, 0, len(raw)+64), '{')
	add := func(name string, value []byte) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(name)...), ':'), value...)
	}
	d := newJSONReader(bytes.NewReader(raw))
	err := d.members(func(name string) error {
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		switch name {
		case "url", "yanked", "yanked_reason":
		default:
			add(name, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	add("url", quote(a.url(f)))
	yanked, reason := yankWords(f)
	add("yanked", yanked)
	add("yanked_reason", reason)
	return append(out, '}'), nil
}

func yankWords(f *millpond.File) (yanked, reason []byte) {
	switch {
	case !f.Yanked:
		return []byte("false"), []byte("null")
	case f.YankedWhy == "":
		return []byte("true"), []byte("null")
	}
	return []byte("true"), quote(f.YankedWhy)
}

// An apiFile is a file as the JSON API describes it.
type apiFile struct {
	CommentText    string            `json:"comment_text"`
	Digests        map[string]string `json:"digests"`
	Downloads      int               `json:"downloads"`
	Filename       string            `json:"filename"`
	HasSig         bool              `json:"has_sig"`
	MD5            string            `json:"md5_digest,omitempty"`
	PackageType    string            `json:"packagetype"`
	PythonVersion  string            `json:"python_version"`
	RequiresPython *string           `json:"requires_python"`
	Size           *int64            `json:"size"`
	UploadTime     *string           `json:"upload_time"`
	UploadTimeISO  *string           `json:"upload_time_iso_8601"`
	URL            string            `json:"url"`
	Yanked         bool              `json:"yanked"`
	YankedReason   *string           `json:"yanked_reason"`
}

func (a *apiWriter) madeEntry(f *millpond.File) ([]byte, error) {
	e := apiFile{Filename: f.Name, Downloads: -1, Digests: map[string]string{}, URL: a.url(f), Yanked: f.Yanked}
	for _, d := range append(digests(f), f.Digests...) {
		e.Digests[strings.ReplaceAll(d.Algorithm(), "blake2b-", "blake2b_")] = d.Hex()
	}
	e.MD5 = e.Digests["md5"]
	e.PackageType, e.PythonVersion = packageType(f.Name)
	if python := readRecord(f.Meta).python; python != "" {
		e.RequiresPython = &python
	}
	if f.Size >= 0 {
		e.Size = &f.Size
	}
	if !f.Published.IsZero() {
		short, long := f.Published.UTC().Format("2006-01-02T15:04:05"), f.Published.UTC().Format(uploadTime)
		e.UploadTime, e.UploadTimeISO = &short, &long
	}
	if f.YankedWhy != "" {
		e.YankedReason = &f.YankedWhy
	}
	return json.Marshal(e)
}

// packageType is what the JSON API calls a kind of file, and the Python it is for.
func packageType(name string) (kind, python string) {
	stem, end := splitEnd(name)
	switch end {
	case ".whl":
		if parts := strings.Split(stem, "-"); len(parts) >= 5 {
			return "bdist_wheel", parts[len(parts)-3]
		}
		return "bdist_wheel", "any"
	case ".egg":
		return "bdist_egg", "any"
	case ".exe":
		return "bdist_wininst", "any"
	case ".msi":
		return "bdist_msi", "any"
	case ".rpm":
		return "bdist_rpm", "any"
	case ".deb", ".dmg":
		return "bdist_dumb", "any"
	}
	return "sdist", "source"
}

// info is the description of the chosen version, made from its metadata.
func (a *apiWriter) info(m *coreMetadata) ([]byte, error) {
	text := func(name string) any {
		if s := m.one(name); s != "" {
			return s
		}
		return nil
	}
	list := func(name string) any {
		if values := m.fields[name]; len(values) > 0 {
			return values
		}
		return nil
	}
	urls := map[string]string{}
	for _, u := range m.fields["project-url"] {
		if label, address, ok := strings.Cut(u, ","); ok {
			urls[strings.TrimSpace(label)] = strings.TrimSpace(address)
		}
	}
	description := m.body
	if description == "" {
		description = m.one("description")
	}
	classifiers := m.fields["classifier"]
	if classifiers == nil {
		classifiers = []string{}
	}
	name := a.view.Name
	if own := m.one("name"); own != "" {
		name = own
	}
	page := a.base + "simple/" + a.view.Name + "/"
	info := map[string]any{
		"name": name, "version": a.chosen.Name, "summary": text("summary"), "description": description,
		"description_content_type": text("description-content-type"), "keywords": text("keywords"),
		"license": text("license"), "license_expression": text("license-expression"), "license_files": list("license-file"),
		"classifiers": classifiers, "author": text("author"), "author_email": text("author-email"),
		"maintainer": text("maintainer"), "maintainer_email": text("maintainer-email"),
		"requires_python": text("requires-python"), "requires_dist": list("requires-dist"), "provides_extra": list("provides-extra"),
		"platform": text("platform"), "home_page": text("home-page"), "download_url": text("download-url"),
		"docs_url": nil, "bugtrack_url": nil, "package_url": page, "project_url": page, "project_urls": urls,
		"release_url": a.base + "pypi/" + a.view.Name + "/" + escape(a.chosen.Name) + "/json", "dynamic": list("dynamic"),
		"yanked": a.chosen.Yanked, "yanked_reason": nil,
		"downloads": map[string]int{"last_day": -1, "last_week": -1, "last_month": -1},
	}
	if a.chosen.YankedWhy != "" {
		info["yanked_reason"] = a.chosen.YankedWhy
	}
	return json.Marshal(info)
}
