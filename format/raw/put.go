package raw

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A record is what is kept of a content besides what every file has.
type record struct {
	Labels map[string]string `json:"labels,omitempty"` // may change
	Meta   map[string]string `json:"meta,omitempty"`   // x-amz-meta-*
	Parts  string            `json:"parts,omitempty"`  // S3's entity tag of what was put in parts
	Alias  string            `json:"alias,omitempty"`  // a path that is meant instead, relative to this one
	Crc    map[string]string `json:"crc,omitempty"`    // by algorithm, in base64
}

func readRecord(meta json.RawMessage) (record, error) {
	var r record
	if len(meta) == 0 || string(meta) == "{}" {
		return r, nil
	}
	err := json.Unmarshal(meta, &r)
	return r, err
}

// An incoming is a content on its way in.
type incoming struct {
	name     string
	kind     string // media type; "" is by the name
	want     Sums
	cond     condition
	record   record
	size     int64                // -1 if it is not known
	late     func() (Sums, error) // digests that come behind the body; nil if none do
	promised []string             // the algorithms of those
	most     int64                // bytes; 0 is the repository's limit
}

// A stored is a content that is in.
type stored struct {
	content
	isNew    bool // it was not there
	replaced bool // in place of another
	sums     Sums
}

func (h handler) putFile(w http.ResponseWriter, r *http.Request, p Path) error {
	in, err := incomingOf(r, p.Name)
	if err != nil {
		return err
	}
	in.most = linkedMost(r)
	got, err := h.put(r.Context(), in, r.Body)
	if err != nil {
		return err
	}
	h.created(w, r, got)
	return nil
}

// created answers that a file is in.
func (h handler) created(w http.ResponseWriter, r *http.Request, got *stored) {
	head := w.Header()
	head["Cache-Control"] = []string{"no-store"}
	head["Etag"] = []string{h.tag(&got.content, nil)}
	head["Location"] = []string{h.repo.Base(r).String() + escape(got.name) + "?v=" + hexName(got.file.Digests)}
	showSums(head, got.file.Digests)
	status := http.StatusOK
	if got.isNew {
		status = http.StatusCreated
	}
	w.WriteHeader(status)
}

func hexName(digests []millpond.Digest) string {
	return "sha256:" + hexOf(digests, "sha256")
}

// incomingOf reads what a request's header says of the body.
func incomingOf(r *http.Request, name string) (*incoming, error) {
	want, err := declared(r.Header)
	if err != nil {
		return nil, err
	}
	in := &incoming{name: name, kind: r.Header.Get("Content-Type"), want: want, cond: conditionOf(r.Header), size: r.ContentLength}
	if bare(in.kind) == "application/x-www-form-urlencoded" {
		in.kind = "" // what curl says of anything
	}
	if v := r.Header.Get("X-Labels"); v != "" {
		if in.record.Labels, err = readLabels(v); err != nil {
			return nil, err
		}
	}
	if r.URL.RawQuery != "" {
		in.record.Alias = r.URL.Query().Get("alias")
		if in.record.Alias != "" {
			if _, err := resolve(name, in.record.Alias); err != nil {
				return nil, err
			}
		}
	}
	return in, nil
}

// readLabels reads "k=v&k2=v2".
func readLabels(text string) (map[string]string, error) {
	values, err := url.ParseQuery(text)
	if err != nil || len(values) > 50 {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the labels cannot be read", Hint: "send up to 50 as k=v&k2=v2", Err: err}
	}
	out := map[string]string{}
	for k, v := range values {
		if len(v) != 1 || len(k) > 128 || len(v[0]) > 256 || k == "" {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the label %q has no one value of up to 256 bytes", shorten(k))}
		}
		out[k] = v[0]
	}
	return out, nil
}

func (in *incoming) tooLarge() error {
	return &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the link takes no more than %d bytes", in.most)}
}

// put takes a body and publishes it. Whatever can be judged before it is read is.
func (h handler) put(ctx context.Context, in *incoming, body io.Reader) (*stored, error) {
	if err := h.before(ctx, in); err != nil {
		return nil, err
	}
	up, err := h.repo.Upload(ctx, format.Uploading{Package: in.name, Size: in.size})
	if err != nil {
		return nil, err
	}
	defer up.Close()
	s := newSummer()
	for name := range in.want {
		s.add(name)
	}
	s.add(in.promised...)
	var from io.Reader = body
	if in.most > 0 {
		from = io.LimitReader(body, in.most+1)
	}
	n, err := s.copy(up, from)
	if err == nil && in.most > 0 && n > in.most {
		err = in.tooLarge()
	}
	if err == nil && in.size >= 0 && n != in.size {
		err = short(n, in.size, nil)
	}
	if err != nil {
		if e, ok := errors.AsType[*readError](err); ok && ctx.Err() == nil {
			if _, worded := errors.AsType[*millpond.Error](e.err); !worded {
				err = short(n, in.size, e.err)
			}
		}
		return nil, errors.Join(err, up.Discard())
	}
	return h.finish(ctx, in, up, s.sums())
}

// settle brings in the digests that came behind the body, and compares all.
func (in *incoming) settle(got Sums) error {
	if in.late != nil {
		late, err := in.late()
		if err != nil {
			return err
		}
		for _, name := range in.promised {
			if hashes[name] != nil && late[name] == nil {
				return code("MalformedTrailerError", millpond.Invalid, "the trailer does not bring the "+name+" that the header promises")
			}
		}
		for name, sum := range late {
			if old, ok := in.want[name]; ok && string(old) != string(sum) {
				return &millpond.Error{Kind: millpond.Invalid, Why: "header and trailer declare different digests of " + name, Err: errBadDigest}
			}
			in.want[name] = sum
			if strings.HasPrefix(name, "crc") {
				in.record.setCrc(name, sum)
			}
		}
	}
	return in.want.differs(got)
}

func short(n, of int64, err error) error {
	why := fmt.Sprintf("the body ended after %d bytes", n)
	if of >= 0 {
		why += " of " + strconv.FormatInt(of, 10)
	}
	return &millpond.Error{Kind: millpond.Invalid, Why: why, Hint: "nothing was kept; send it again", Err: err}
}

// before judges a write before its body is read: grant, claim, whether the path may be put anew, condition.
func (h handler) before(ctx context.Context, in *incoming) error {
	if err := h.repo.May(ctx, millpond.VerbPublish, in.name); err != nil {
		return err
	}
	if in.most > 0 && in.size > in.most {
		return in.tooLarge() // a client that waits for leave sends nothing
	}
	now, err := h.repo.Hosted(ctx, in.name)
	if millpond.Is(err, millpond.NotFound) {
		now, err = nil, nil
	}
	if err != nil {
		return err
	}
	c, err := newest(in.name, now)
	if err != nil {
		return err
	}
	if err := in.cond.check(c); err != nil {
		return err
	}
	if sum := in.want["sha256"]; sum != nil && c != nil && hexOf(c.file.Digests, "sha256") == hex.EncodeToString(sum) {
		return nil
	}
	if in.want["sha256"] == nil && c != nil {
		return nil // it may be the same bytes
	}
	return h.mayReplace(in.name, c, now)
}

// newest is the newest content of what is hosted; nil if none is.
func newest(name string, now *format.Hosting) (*content, error) {
	if now == nil {
		return nil, nil
	}
	c := &content{name: name}
	for i := range now.Versions {
		v := &now.Versions[i]
		if len(v.Files) > 0 && (c.version == nil || number(v.Name) > number(c.version.Name)) {
			c.version, c.file = v, &v.Files[0]
		}
	}
	if c.version == nil {
		return nil, nil
	}
	var err error
	c.record, err = readRecord(c.file.Meta)
	return c, err
}

// mayReplace says whether other bytes may take the place of what is there, or was.
func (h handler) mayReplace(name string, c *content, now *format.Hosting) error {
	rules, err := rulesOf("overwrite", h.repo.Option("overwrite"), "allow", "deny")
	if err != nil || rules.of(name) != "deny" {
		return err
	}
	switch {
	case c != nil:
		return &millpond.Error{Kind: millpond.Conflict, Key: millpond.Key{Package: name}, Hint: "put it under another name",
			Why: fmt.Sprintf("%s has other bytes since %s, and a file here never changes", name, c.file.Published.UTC().Format("2 Jan 2006 15:04 UTC"))}
	case now != nil && len(now.Deleted) > 0:
		return &millpond.Error{Kind: millpond.Gone, Key: millpond.Key{Package: name}, Hint: "put it under another name",
			Why: name + " was deleted, and its name is never taken again"}
	}
	return nil
}

// finish judges the bytes that came, seals them, and publishes.
func (h handler) finish(ctx context.Context, in *incoming, up format.Upload, sums Sums) (*stored, error) {
	size := up.Size()
	err := in.settle(sums)
	if err == nil {
		err = h.noSecrets(in.name, up, size)
	}
	if err != nil {
		return nil, errors.Join(err, up.Discard())
	}
	var want []millpond.Digest
	if d, err := millpond.NewDigest("sha256", in.want["sha256"]); err == nil {
		want = append(want, d)
	}
	blob, err := up.Commit(ctx, want...)
	if err != nil {
		if millpond.Is(err, millpond.Corrupt) {
			err = &millpond.Error{Kind: millpond.Invalid, Why: "the bytes that came have not the declared sha256", Hint: "nothing was kept; send it again", Err: errors.Join(errBadDigest, err)}
		}
		return nil, err
	}
	f := millpond.File{Name: base(in.name), Size: size, Blob: blob, Digests: sums.digests(blob), Type: in.kind}
	got, err := h.publish(ctx, in, f)
	if got != nil {
		got.sums = sums
	}
	return got, err
}

// publish makes a content whose bytes are here the newest of its path. The same bytes, told of in the same words, change
// nothing.
func (h handler) publish(ctx context.Context, in *incoming, f millpond.File) (*stored, error) {
	if f.Type == "" {
		f.Type = typeOf(in.name)
	}
	var err error
	if f.Meta, err = json.Marshal(in.record); err != nil {
		return nil, err
	}
	f.Published = h.repo.Now().UTC().Truncate(time.Second)
	out := &stored{}
	receipt, err := h.repo.Publish(ctx, format.Release{Package: in.name, Version: millpond.Version{Files: []millpond.File{f}},
		Settle: func(now *format.Hosting, r *format.Release) error {
			c, err := newest(in.name, now)
			if err != nil {
				return err
			}
			if err := in.cond.check(c); err != nil {
				return err
			}
			out.replaced = c != nil
			r.Version.Files = []millpond.File{f}
			if c != nil && c.file.Blob == f.Blob && c.file.Type == f.Type && bytes.Equal(c.file.Meta, f.Meta) {
				r.Version = *c.version
				return nil
			}
			if c == nil || c.file.Blob != f.Blob || c.record.Alias != in.record.Alias {
				if err := h.mayReplace(in.name, c, now); err != nil {
					return err
				}
			}
			r.Version.Name = strconv.FormatInt(last(now)+1, 10)
			return nil
		}})
	if err != nil {
		return nil, err
	}
	out.name, out.version, out.isNew = in.name, receipt.Version, receipt.New && !out.replaced
	out.file, out.record = &receipt.Version.Files[0], in.record
	return out, nil
}

// last is the highest number that a version of a path had, deleted ones too.
func last(now *format.Hosting) int64 {
	var n int64
	if now == nil {
		return 0
	}
	for i := range now.Versions {
		n = max(n, number(now.Versions[i].Name))
	}
	for _, d := range now.Deleted {
		n = max(n, number(d.Version))
	}
	return n
}

// resolve is what an alias means, relative to where it stands.
func resolve(name, alias string) (string, error) {
	dir := strings.Split(name, "/")
	dir = dir[:len(dir)-1]
	for alias != ".." {
		rest, ok := strings.CutPrefix(alias, "../")
		if !ok {
			break
		}
		if len(dir) == 0 {
			return "", &millpond.Error{Kind: millpond.Invalid, Why: "an alias means a path of the same repository, relative to its own"}
		}
		dir, alias = dir[:len(dir)-1], rest
	}
	to := strings.Join(append(dir, alias), "/")
	_, err := Format{}.Canon(to)
	return to, err
}
