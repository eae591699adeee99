package npm

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"millpond"
	"millpond/format"
)

// largestQuestion is the largest body that is relayed, decompressed: it is in memory while it is stripped.
const largestQuestion = 32 << 20

// postAudit relays an audit, less every name that is ours. What cannot be parsed is not relayed. An ill upstream is a 503,
// with which npm finishes an install unharmed; an empty answer would claim that there are no vulnerabilities.
func (h *handler) postAudit(w http.ResponseWriter, r *http.Request, p Path) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	strip := h.stripTree
	if p.Kind == Bulk {
		strip = h.stripBulk
	}
	body, left, err := strip(r.Context(), body)
	if err != nil {
		return err
	}
	if left == 0 && p.Kind == Bulk {
		return h.writeJSON(w, r, []byte("{}")) // nothing was asked that an upstream may hear of
	}
	resp, err := h.repo.Relay(r.Context(), format.Question{
		Method: http.MethodPost, URL: p.String(), Type: "application/json", Accept: "application/json", Body: body,
		Limit: largestQuestion,
	})
	return h.answer(w, resp, err)
}

// answer passes on what an upstream answered.
func (h *handler) answer(w http.ResponseWriter, resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return &millpond.Error{Kind: millpond.Throttled, Why: "the upstream asks for patience"}
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed, resp.StatusCode == http.StatusNotImplemented:
		return &millpond.Error{Kind: millpond.NotFound, Why: "the upstream does not offer that"}
	case resp.StatusCode >= 500 || resp.StatusCode < 200:
		return &millpond.Error{Kind: millpond.BadUpstream, Why: fmt.Sprintf("the upstream answered %d", resp.StatusCode)}
	case resp.StatusCode >= 300:
		return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("the upstream refused the question with %d", resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, largestQuestion+1))
	if err != nil || len(body) > largestQuestion || !json.Valid(body) {
		return &millpond.Error{Kind: millpond.BadUpstream, Why: "the upstream's answer is cut or not JSON", Err: err}
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	w.Write(body) // the client that has left is told nothing
	return nil
}

// readBody reads a question, which npm compresses.
func readBody(r *http.Request) ([]byte, error) {
	var from io.Reader = r.Body
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the body is not the gzip that it claims to be", Err: err}
		}
		defer z.Close()
		from = z
	default:
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("bodies encoded with %.30q are not read", encoding)}
	}
	body, err := io.ReadAll(io.LimitReader(from, largestQuestion+1))
	switch {
	case err != nil:
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "the body cannot be read to its end", Err: err}
	case len(body) > largestQuestion:
		return nil, &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("the body is larger than %d MiB", largestQuestion>>20)}
	}
	return body, nil
}

// ours reports whether no upstream may hear of a name: a claim covers it, something was published here under it, or it is
// none that a registry could know.
func (h *handler) ours(ctx context.Context, name string) bool {
	if !validName(name) || h.repo.Claimed(name) {
		return true
	}
	p, err := h.held.Package(ctx, name)
	return err == nil && hosts(p) || millpond.Is(err, millpond.Gone)
}

// stripBulk leaves our names out of {"name": ["1.0.0"]} and says how many are left.
func (h *handler) stripBulk(ctx context.Context, body []byte) ([]byte, int, error) {
	var asked map[string][]string
	if err := json.Unmarshal(body, &asked); err != nil || asked == nil {
		return nil, 0, unreadable(err)
	}
	for name := range asked {
		if h.ours(ctx, name) {
			delete(asked, name)
		}
	}
	stripped, err := json.Marshal(asked)
	return stripped, len(asked), err
}

// A node is a package in the tree that the older audits send. What it may not hold is not passed on.
type node struct {
	Name         string           `json:"name,omitempty"`
	Version      string           `json:"version,omitempty"`
	Integrity    string           `json:"integrity,omitempty"`
	Dev          bool             `json:"dev,omitempty"`
	Optional     bool             `json:"optional,omitempty"`
	Bundled      bool             `json:"bundled,omitempty"`
	Requires     json.RawMessage  `json:"requires,omitempty"`
	Dependencies map[string]*node `json:"dependencies,omitempty"`

	Install  []string        `json:"install,omitempty"`
	Remove   []string        `json:"remove,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// stripTree leaves our names out of a tree, with what hangs below them, and the project's own name and metadata.
func (h *handler) stripTree(ctx context.Context, body []byte) ([]byte, int, error) {
	var root node
	if err := json.Unmarshal(body, &root); err != nil {
		return nil, 0, unreadable(err)
	}
	root.Name, root.Version, root.Metadata, root.Install, root.Remove = "", "", nil, nil, nil
	left, err := h.stripNode(ctx, &root)
	if err != nil {
		return nil, 0, err
	}
	stripped, err := json.Marshal(&root)
	return stripped, left, err
}

func (h *handler) stripNode(ctx context.Context, n *node) (left int, err error) {
	n.Name, n.Metadata, n.Install, n.Remove = "", nil, nil, nil
	if len(n.Requires) > 0 && n.Requires[0] == '{' {
		var requires map[string]string
		if err := json.Unmarshal(n.Requires, &requires); err != nil {
			return 0, unreadable(err)
		}
		for name, spec := range requires {
			// An alias or an address in a spec may name what the key does not.
			if h.ours(ctx, name) || strings.ContainsAny(spec, ":/@") {
				delete(requires, name)
			}
		}
		if n.Requires, err = json.Marshal(requires); err != nil {
			return 0, err
		}
	} else if string(n.Requires) != "true" {
		n.Requires = nil
	}
	for name, below := range n.Dependencies {
		if h.ours(ctx, name) || below == nil || strings.ContainsAny(below.Version, ":/@") {
			delete(n.Dependencies, name)
			continue
		}
		more, err := h.stripNode(ctx, below)
		if err != nil {
			return 0, err
		}
		left += 1 + more
	}
	return left, nil
}

func unreadable(err error) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: "the question cannot be read, so it is not passed on", Err: err}
}
