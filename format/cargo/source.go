package cargo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	// indexLimit bounds an index file; the largest known have a few MB.
	indexLimit = 64 << 20
	// answerLimit bounds a config.json and the answer to a search.
	answerLimit = 1 << 20
	// configFresh is how long an upstream's config.json is believed without asking.
	configFresh = time.Hour
)

// A source reads one sparse index.
type source struct {
	format.NoSource
	remote format.Remote
}

// Source reads a sparse index, and what its config.json names.
func (Format) Source(r format.Remote) format.Source { return source{remote: r} }

// Package reads a crate's index file, under the spelling that the upstream has.
func (s source) Package(ctx context.Context, name string) (*millpond.Package, error) {
	stateName := "spelling/" + name
	var known string
	separated := strings.Contains(name, "_")
	if separated {
		b, err := s.remote.State(ctx, stateName)
		if err != nil {
			return nil, err
		}
		known = string(b)
	}
	var absent error
	for _, spelled := range spellings(name, known, format.Spelling(ctx)) {
		doc, err := s.remote.Document(ctx, format.Request{URL: folder(spelled) + spelled, Limit: indexLimit})
		if millpond.Is(err, millpond.NotFound) {
			if absent == nil {
				absent = err
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the index of %s: %w", spelled, err)
		}
		defer doc.Close()
		if separated && known != spelled {
			if err := s.remote.SetState(ctx, stateName, []byte(spelled)); err != nil {
				return nil, err
			}
		}
		return s.read(ctx, name, spelled, doc)
	}
	return nil, fmt.Errorf("read the index of %s: %w", name, absent)
}

func (s source) read(ctx context.Context, name, spelled string, doc *format.Document) (*millpond.Package, error) {
	if doc.Unchanged {
		if !s.wantsDates() {
			return nil, format.Unchanged
		}
		kept, err := s.keptDates(ctx, name)
		if err != nil {
			return nil, err
		}
		if kept.Of == doc.Digest.String() {
			return nil, format.Unchanged
		}
	}
	text, err := io.ReadAll(doc.Reader())
	if err != nil {
		return nil, fmt.Errorf("read the index of %s: %w", name, err)
	}
	if head := bytes.TrimLeft(text, "\ufeff \t\r\n"); len(head) > 0 && head[0] == '<' {
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream answered the index of " + name + " with a web page"}
	}
	// The index file first: the first document that is read is the one that the listing rests on.
	c, err := s.config(ctx)
	if err != nil {
		return nil, err
	}
	p, err := listing(name, text, c.file)
	if err == nil && s.wantsDates() {
		err = s.date(ctx, p, spelled, doc.Digest, c)
	}
	return p, err
}

// mostPermuted is up to how many separators all spellings of a name are tried. With more only those that people use are.
const mostPermuted = 3

// spellings are the names in lower case that an upstream may have for an identity, most likely first.
func spellings(name, known, asked string) []string {
	n := strings.Count(name, "_")
	if n == 0 {
		return []string{name}
	}
	all := make([]string, 0, 1<<mostPermuted+2)
	for _, one := range []string{known, asked, strings.ReplaceAll(name, "_", "-"), name} {
		if isName(one) && identity(one) == name {
			all = append(all, strings.ToLower(one))
		}
	}
	if n <= mostPermuted {
		for bits := range 1 << n {
			b, i := []byte(name), 0
			for at := range b {
				if b[at] == '_' {
					if bits&(1<<i) != 0 {
						b[at] = '-'
					}
					i++
				}
			}
			all = append(all, string(b))
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(one string) bool {
		was := seen[one]
		seen[one] = true
		return was
	})
}

// A config is what an upstream's config.json says.
type config struct {
	DL  string `json:"dl"`
	API string `json:"api"`
	At  int64  `json:"at"` // when it was read, in Unix seconds; not the upstream's
}

const configName = "config.json"

// config is what the upstream's config.json says, read within the hour. While it cannot be read the last one counts.
func (s source) config(ctx context.Context) (config, error) {
	kept, known, err := s.keptConfig(ctx)
	if err != nil || known && s.remote.Now().Sub(time.Unix(kept.At, 0)).Abs() < configFresh {
		return kept, err
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: configName, Limit: answerLimit})
	if err == nil {
		defer doc.Close()
		var c config
		if c, err = s.readConfig(ctx, doc); err == nil {
			return c, nil
		}
	}
	if known && !errors.Is(err, context.Canceled) {
		return kept, nil
	}
	if millpond.Is(err, millpond.NotFound) { // of the registry; the crate is there
		err = &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream has no config.json, which says where its files are", Err: err}
	}
	return config{}, fmt.Errorf("read where files are: %w", err)
}

func (s source) keptConfig(ctx context.Context) (c config, known bool, err error) {
	b, err := s.remote.State(ctx, configName)
	if err != nil || b == nil {
		return c, false, err
	}
	if json.Unmarshal(b, &c) != nil || c.DL == "" {
		return config{}, false, nil // of another release: read it anew
	}
	return c, true, nil
}

// readConfig reads and keeps a config.json.
func (s source) readConfig(ctx context.Context, doc *format.Document) (config, error) {
	var c config
	text, err := io.ReadAll(doc.Reader())
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream's config.json is no JSON", Err: err}
	}
	base := doc.URL
	if base == nil {
		base = s.remote.URL()
	}
	if c.DL, err = absolute(base, c.DL); err != nil || c.DL == "" {
		return c, &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream's config.json does not say where files are", Err: err}
	}
	if c.API, err = absolute(base, c.API); err != nil {
		c.API = "" // it is searched only
	}
	c.At = s.remote.Now().Unix()
	b, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	return c, s.remote.SetState(ctx, configName, b)
}

// absolute is an http address with its markers left as they are.
func absolute(base *url.URL, at string) (string, error) {
	if at == "" {
		return "", nil
	}
	plain := strings.NewReplacer("{", "%7B", "}", "%7D").Replace(at)
	u, err := base.Parse(plain)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%.100q is no http address", at)
	}
	u.Fragment = ""
	return strings.NewReplacer("%7B", "{", "%7D", "}").Replace(u.String()), nil
}

// file is the address of a crate's bytes.
func (c config) file(crate, version, sum string) string {
	if !strings.Contains(c.DL, "{") {
		return strings.TrimSuffix(c.DL, "/") + "/" + crate + "/" + version + "/download"
	}
	prefix := strings.TrimSuffix(folder(crate), "/")
	return strings.NewReplacer("{crate}", crate, "{version}", version, "{prefix}", prefix,
		"{lowerprefix}", strings.ToLower(prefix), "{sha256-checksum}", sum).Replace(c.DL)
}

// Document reads config.json, or the answer to a search, "search?q=…", once config.json was read: the first document that is
// read is the answer.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	if query, ok := strings.CutPrefix(k.File, searchName); ok {
		c, _, err := s.keptConfig(ctx)
		if err != nil {
			return nil, err
		}
		if c.API == "" {
			return nil, &millpond.Error{Kind: millpond.NotFound, Why: "the upstream cannot be searched"}
		}
		return s.remote.Document(ctx, format.Request{
			URL: strings.TrimSuffix(c.API, "/") + "/" + api + "?" + query, Limit: answerLimit, Accept: "application/json",
		})
	}
	if k.File != configName {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: "a registry has no document " + k.File}
	}
	doc, err := s.remote.Document(ctx, format.Request{URL: configName, Limit: answerLimit})
	if err != nil {
		return nil, err
	}
	if _, err := s.readConfig(ctx, doc); err != nil {
		return nil, errors.Join(err, doc.Close())
	}
	return doc, nil
}

// Sniff refuses what is not packed by gzip.
func (s source) Sniff(k millpond.Key, head []byte) error {
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		return nil
	}
	return &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: "the upstream gave something that is no crate for " + k.File}
}
