package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"millpond"
	"millpond/format"

	"github.com/go-json-experiment/json/jsontext"
)

// A Problem is how the API answers an error.
type Problem struct {
	Error string `json:"error"`
	Kind  string `json:"kind"`
	Hint  string `json:"hint,omitempty"`
}

// nothing is what a call takes or gives that takes or gives nothing.
type nothing struct{}

// op is a route whose call takes a JSON document, or nothing, and gives one.
func op[In, Out any](method, path string, verb millpond.Verb, in scope, about string, do func(s *Server, c *call, in In) (Out, error)) route {
	var take In
	var give Out
	r := route{path: path, methods: method, verb: verb, scope: in, about: about}
	if method == http.MethodGet {
		r.methods = "GET HEAD"
	}
	if _, none := any(take).(nothing); !none {
		r.in = take
	}
	if _, none := any(give).(nothing); !none {
		r.out = give
	}
	r.serve = func(s *Server, c *call) error {
		var in In
		if c.route.in != nil {
			if err := readJSON(c.r, &in); err != nil {
				return err
			}
		}
		out, err := do(s, c, in)
		if err != nil {
			return err
		}
		if c.route.out == nil {
			c.Header()["Cache-Control"] = noStore
			c.WriteHeader(http.StatusNoContent)
			return nil
		}
		return sendJSON(c, http.StatusOK, out)
	}
	return r
}

// asking names the query parameters that a route knows.
func (r route) asking(names ...string) route {
	r.query = names
	return r
}

// maxJSON is the largest JSON document that the API takes.
const maxJSON = 4 << 20

// readJSON reads one JSON document. Keys that nobody knows, keys given twice, keys spelt in another case, and anything after
// the document are refused: who judges a request and who carries it out must read the same in it.
func readJSON(r *http.Request, into any) error {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "" && !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the body is of type " + quote(kind), Hint: "send application/json"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxJSON+1))
	if err != nil {
		return bodyError(err)
	}
	if len(body) > maxJSON {
		return &millpond.Error{Kind: millpond.TooLarge, Why: "the body is larger than 4 MiB"}
	}
	if len(strings.TrimSpace(string(body))) == 0 {
		body = []byte("{}")
	}
	if err := checkJSON(body); err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		why := "the body is not what this call takes"
		if m, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && m.Field != "" {
			why += ": " + quote(m.Field) + " is a " + m.Value
		} else if rest, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			why += ": it knows no key " + quote(strings.Trim(rest, `"`))
		}
		return &millpond.Error{Kind: millpond.Invalid, Why: why, Hint: "GET /-/api describes every call", Err: err}
	}
	return nil
}

// checkJSON refuses what two readers could read differently: the whole must be one JSON value, no deeper than 64, whose keys
// are in lower case and each there once.
func checkJSON(body []byte) error {
	bad := func(why string) error { return &millpond.Error{Kind: millpond.Invalid, Why: why} }
	d := jsontext.NewDecoder(strings.NewReader(string(body))) // refuses keys given twice and invalid UTF-8
	for {
		tok, err := d.ReadToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &millpond.Error{Kind: millpond.Invalid, Why: "the body is not one JSON document in which each key is there once", Err: err}
		}
		depth := d.StackDepth()
		if _, values := d.StackIndex(0); values > 1 {
			return bad("the body is more than one JSON document")
		}
		if depth > 64 {
			return bad("the body is nested too deeply")
		}
		// The number of an object's members counts names and values: it is odd just after a name.
		if kind, n := d.StackIndex(depth); depth > 0 && kind == '{' && n%2 == 1 && strings.ContainsFunc(tok.String(), isNoKey) {
			return bad("the body has a key " + quote(tok.String()) + "; keys are of a-z, 0-9 and _")
		}
	}
}

func isNoKey(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' }

// bodyError is an error of reading what a client sends.
func bodyError(err error) error {
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &millpond.Error{Kind: millpond.TooLarge, Why: "the body is larger than " + bytesText(e.Limit), Err: err}
	}
	if _, ok := errors.AsType[*millpond.Error](err); ok {
		return err
	}
	return &millpond.Error{Kind: millpond.Canceled, Why: "the body ended early", Err: err}
}

func sendJSON(c *call, status int, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	h := c.Header()
	h.Set("Content-Type", "application/json")
	h["Cache-Control"] = noStore
	return send(c.response, c.r, status, string(body)+"\n")
}

// failJSON answers an error as the API does.
func (s *Server) failJSON(x *response, r *http.Request, err error) {
	p := Problem{}
	p.Error, p.Hint = format.Words(err)
	f := format.Failure{Type: "application/json"}
	if e, ok := errors.AsType[*refusal](err); ok {
		p.Error, p.Hint, f.Status = e.why, "", e.status
		if e.challenge != "" {
			x.Header().Set("Www-Authenticate", e.challenge)
		}
		err = &millpond.Error{Kind: e.kind, Why: e.why}
		if e.kind == millpond.Internal {
			err = &millpond.Error{Kind: millpond.Invalid, Why: e.why}
		}
	}
	p.Kind = millpond.KindOf(err).String()
	body, jsonErr := json.MarshalIndent(p, "", "  ")
	if jsonErr != nil {
		s.parts.Log.Error("an error cannot be told", "error", jsonErr)
	}
	f.Body = string(body) + "\n"
	format.Fail(x, r, time.Now(), err, f)
}
