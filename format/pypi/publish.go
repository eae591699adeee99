package pypi

import (
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// mostFields bounds what a form holds beside its file.
const mostFields = 10 << 20

// The words for which clients look in a refusal.
const (
	saysExists  = "File already exists ("
	saysDeleted = "This filename was previously used by a file that has since been deleted"
)

// errRetired never changes.
var errRetired error = &millpond.Error{Kind: millpond.Gone, Why: "this action is no longer part of the upload API",
	Hint: "publishing a file registers its project too"}

// post takes what publishing clients send, at any of the addresses that they may be given. It never redirects: twine would
// stop, or send the file without its body.
func (h handler) post(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	if err := h.posted(r); err != nil {
		failUpload(w, r, h.repo, err)
		return
	}
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

func (h handler) posted(r *http.Request) error {
	ctx := r.Context()
	if err := h.repo.May(ctx, millpond.VerbPublish, ""); err != nil {
		return err
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return invalid("publishing wants a form, multipart/form-data; this is %.100q", r.Header.Get("Content-Type"))
	}
	f := sent{}
	s, err := h.read(ctx, multipart.NewReader(r.Body, params["boundary"]), f)
	if s != nil {
		defer s.end()
	}
	if err != nil {
		return err
	}
	switch action := f.one(":action"); action {
	case "file_upload":
	case "project_status":
		name, err := Format{}.Canon(f.one("name"))
		if err != nil {
			return err
		}
		return SetStatus(ctx, h.repo, name, f.one("status"), f.one("reason"))
	default:
		return invalid(":action says %.100q; file_upload is expected", action)
	}
	switch {
	case s == nil:
		return invalid("the form has no file: a part called content is expected")
	case f.has("protocol_version") && f.one("protocol_version") != "1":
		return invalid("protocol_version says %.20q; 1 is expected", f.one("protocol_version"))
	}
	s.form = f
	if err := s.check(); err != nil {
		return err
	}
	_, err = s.publish(ctx)
	return err
}

// A sent is what a client says of its file: fields that occur once, the first of several.
type sent map[string]string

// fields are those that are looked at. What else is said of a file stands in its metadata too, which is the better witness.
var fields = map[string]bool{
	":action": true, "protocol_version": true, "filetype": true, "pyversion": true, "name": true, "version": true,
	"md5_digest": true, "sha256_digest": true, "blake2_256_digest": true, "attestations": true, "status": true, "reason": true,
} // never changed

func (f sent) has(name string) bool { _, ok := f[name]; return ok }

// one is a field; "" if it is not there, or says that it is not known.
func (f sent) one(name string) string { return f[name] }

// read takes the parts of the form in, in any order. It returns the submission, if there is one, with an error too.
func (h handler) read(ctx context.Context, parts *multipart.Reader, f sent) (s *submission, err error) {
	left := int64(mostFields)
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return s, badForm(err)
		}
		name := part.FormName()
		if name == "content" && part.FileName() != "" {
			if s != nil {
				return s, invalid("the form has two files")
			}
			if s, err = h.content(ctx, part, f); err != nil {
				return s, err
			}
			continue
		}
		text, err := io.ReadAll(io.LimitReader(part, left+1))
		if err != nil {
			return s, badForm(err)
		}
		if left -= int64(len(text)); left < 0 {
			return s, &millpond.Error{Kind: millpond.TooLarge, Why: "the form holds more than 10 MiB beside its file"}
		}
		value := strings.TrimSpace(string(text))
		if value == "UNKNOWN" || !fields[name] || f.has(name) {
			continue
		}
		f[name] = value
		if name == ":action" && (value == "submit" || value == "submit_pkg_info" || value == "doc_upload") {
			return s, errRetired
		}
	}
}

// content receives the file. Where the form has named the project before, whether it may be published is known before the
// file is read.
func (h handler) content(ctx context.Context, part *multipart.Part, f sent) (*submission, error) {
	name := part.FileName()
	pkg := ""
	if said := f.one("name"); said != "" {
		var err error
		if pkg, err = (Format{}).Canon(said); err != nil {
			return nil, err
		}
		if err := h.repo.May(ctx, millpond.VerbPublish, pkg); err != nil {
			return nil, err
		}
	} else if candidates := owners(name); len(candidates) > 0 {
		pkg = candidates[0]
	}
	return receive(ctx, h.repo, pkg, name, part)
}

// badForm is why a form cannot be read.
func badForm(err error) error {
	if err := received(err); !errors.Is(err, io.ErrUnexpectedEOF) && millpond.KindOf(err) != millpond.Internal {
		return err
	}
	return &millpond.Error{Kind: millpond.Invalid, Why: "the form cannot be read: it is cut, or no multipart/form-data", Err: err}
}

// failUpload answers a refusal to publish. Its words are in the reason phrase too, which is all that twine prints.
func failUpload(w http.ResponseWriter, r *http.Request, repo format.Repo, err error) {
	why, hint := format.Words(err)
	f := format.Failure{Type: "text/plain; charset=utf-8", MostRetry: longestRetry}
	kind := millpond.KindOf(err)
	switch kind {
	case millpond.Conflict:
		why = saysExists + why + ")"
	case millpond.Gone:
		if err != errRetired {
			// twine takes every 409 as "it is there already".
			f.Status = http.StatusBadRequest
			why = saysDeleted + ": " + why
		}
	case millpond.Corrupt, millpond.NotFound:
		f.Status = http.StatusBadRequest // twine would send all of it five times after a 5xx
	case millpond.Unsupported:
		f.Status = http.StatusMethodNotAllowed
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	case millpond.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Basic realm="`+repo.Name()+`"`)
	case millpond.Canceled:
		f.Status = http.StatusBadRequest // the client that has left is told nothing
	}
	if f.Status == 0 {
		f.Status = kind.Status()
	}
	f.Phrase, f.Body = why, why+"\n"
	if hint != "" {
		f.Phrase += "; " + hint
		f.Body += hint + "\n"
	}
	if (f.Status == 400 || f.Status == 403 || f.Status == 413) && wantsProblem(r) {
		f.Type = "application/problem+json"
		f.Body = problem(f.Status, why, hint)
	}
	format.Fail(w, r, repo.Now(), err, f)
}

// wantsProblem reports whether the client asks for problem documents by name: on one of them uv would not look whether the
// file is there already.
func wantsProblem(r *http.Request) bool {
	for one := range strings.SplitSeq(strings.Join(r.Header["Accept"], ","), ",") {
		media, params, err := mime.ParseMediaType(one)
		if err == nil && media == "application/problem+json" {
			q, err := strconv.ParseFloat(cmp.Or(params["q"], "1"), 64)
			return err == nil && q > 0
		}
	}
	return false
}

// problem is a problem document (RFC 9457).
func problem(status int, why, hint string) string {
	detail := why
	if hint != "" {
		detail += "; " + hint
	}
	b := append(strconv.AppendInt([]byte(`{"status":`), int64(status), 10), `,"title":`...)
	b = append(append(b, quote(http.StatusText(status))...), `,"detail":`...)
	return string(append(append(b, quote(detail)...), "}\n"...))
}
