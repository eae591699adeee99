package pypi

import (
	"archive/zip"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"millpond"
	"millpond/format"
)

// longestMetadata bounds core metadata.
const longestMetadata = 16 << 20

// wheelMetadata is the METADATA file of a wheel.
func wheelMetadata(c *millpond.Content) ([]byte, error) {
	r, ok := c.ReadSeekCloser.(io.ReaderAt)
	if !ok {
		r = &readerAt{r: c}
	}
	z, err := format.OpenZip(r, c.Size)
	if err != nil {
		return nil, fmt.Errorf("read wheel: %w", err)
	}
	var found *zip.File
	for _, f := range z.File {
		dir, file, ok := strings.Cut(f.Name, "/")
		if !ok || file != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("the wheel has two metadata files, %s and %s", found.Name, f.Name)
		}
		found = f
	}
	if found == nil {
		return nil, fmt.Errorf("the wheel has no metadata file")
	}
	f, err := found.Open()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", found.Name, err)
	}
	defer f.Close()
	return readAll(f)
}

// readAll reads core metadata, within its bound.
func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, longestMetadata+1))
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	if len(text) > longestMetadata {
		return nil, fmt.Errorf("the metadata is longer than %d bytes", longestMetadata)
	}
	return text, nil
}

// readerAt reads a seeker at any offset.
type readerAt struct {
	mu sync.Mutex // guards the position of r
	r  io.ReadSeeker
}

func (a *readerAt) ReadAt(b []byte, off int64) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(a.r, b)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// A coreMetadata is a METADATA file: fields by lower-case name, in their order, and the body.
type coreMetadata struct {
	fields map[string][]string
	body   string
}

// readMetadata reads core metadata: headers as in a mail, folded lines allowed, and the description as the body.
func readMetadata(r io.Reader) (*coreMetadata, error) {
	text, err := readAll(r)
	if err != nil {
		return nil, err
	}
	m := &coreMetadata{fields: map[string][]string{}}
	in := bufio.NewReader(bytes.NewReader(text))
	var last string
	for {
		line, err := in.ReadString('\n')
		trimmed := strings.TrimRight(line, "\r\n")
		switch key, value, ok := strings.Cut(trimmed, ":"); {
		case trimmed == "":
			rest, _ := io.ReadAll(in) // of bytes in memory
			m.body = string(rest)
			return m, nil
		case trimmed[0] == ' ' || trimmed[0] == '\t':
			if values := m.fields[last]; len(values) > 0 {
				values[len(values)-1] += "\n" + unfold(trimmed)
			}
		case ok:
			last = strings.ToLower(strings.TrimSpace(key))
			m.fields[last] = append(m.fields[last], strings.TrimSpace(value))
		default:
			return nil, fmt.Errorf("the metadata has a line that is no field: %.80q", trimmed)
		}
		if err != nil {
			return m, nil
		}
	}
}

// unfold takes off what folding put before a line: eight blanks, or seven and a bar.
func unfold(line string) string {
	if rest, ok := strings.CutPrefix(line, "       |"); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(line, "        "); ok {
		return rest
	}
	return strings.TrimLeft(line, " \t")
}

// one is a field that occurs once; "" if it is not there or says that it is not known.
func (m *coreMetadata) one(name string) string {
	values := m.fields[name]
	if len(values) == 0 || values[0] == "UNKNOWN" {
		return ""
	}
	return values[0]
}

// chooseLicence takes the expression, else the first line of the free text, else what the classifiers say.
func chooseLicence(expression, text string, classifiers []string) string {
	if expression != "" {
		return expression
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if text = strings.TrimSpace(text); text != "" && text != "UNKNOWN" && len(text) <= 100 {
		return text
	}
	var found []string
	for _, c := range classifiers {
		if c, ok := strings.CutPrefix(c, "License :: "); ok {
			found = append(found, strings.TrimPrefix(c, "OSI Approved :: "))
		}
	}
	return strings.Join(found, " AND ")
}
