package npm

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/format"
)

// getSearch relays a search whose words name nothing of ours, and shows of its answers what the rules show.
func (h *handler) getSearch(w http.ResponseWriter, r *http.Request) error {
	asked := r.URL.Query()
	found := searchResult{Objects: []map[string]json.RawMessage{}, Time: h.repo.Now().UTC().Format(time.RFC1123)}
	own, err := h.hostedLike(r.Context(), asked.Get("text"))
	if err != nil {
		return err
	}
	from, size := count(asked.Get("from"), 0), min(count(asked.Get("size"), 20), 250)
	first := own[min(from, len(own)):]
	first = first[:min(size, len(first))]
	if !h.namesOurs(r.Context(), asked.Get("text")) {
		up := url.Values{}
		if len(own) > 0 { // what is hosted takes the first places
			asked.Set("from", strconv.Itoa(max(0, from-len(own))))
			asked.Set("size", strconv.Itoa(size-len(first)))
		}
		for _, key := range []string{"text", "size", "from", "quality", "popularity", "maintenance"} {
			if v := asked.Get(key); v != "" {
				up.Set(key, v)
			}
		}
		resp, err := h.repo.Relay(r.Context(), format.Question{
			Method: http.MethodGet, URL: Path{Kind: Search}.String() + "?" + up.Encode(), Accept: "application/json",
		})
		switch kind := millpond.KindOf(err); {
		case err == nil:
			err = found.read(resp)
			if err != nil {
				return err
			}
		case kind == millpond.Canceled:
			return err
		default:
			// What is hosted can be found though no upstream answers.
			format.Report(w, err)
		}
	}
	found.Objects = found.Objects[:min(len(found.Objects), size-len(first))] // some upstreams give what they like
	h.show(r, &found)
	found.Objects = append(first, found.Objects...)
	found.Total += len(own)
	body, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return h.writeJSON(w, r, body)
}

type searchResult struct {
	Objects []map[string]json.RawMessage `json:"objects"`
	Total   int                          `json:"total"`
	Time    string                       `json:"time"`
}

// read takes over an upstream's answer. One that is ill finds nothing.
func (s *searchResult) read(resp *http.Response) error {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	var got searchResult
	if err := json.NewDecoder(io.LimitReader(resp.Body, largestQuestion)).Decode(&got); err != nil {
		return nil
	}
	if got.Objects != nil {
		s.Objects, s.Total = got.Objects, got.Total
	}
	return nil
}

// namesOurs reports whether a search text holds a word that is ours.
func (h *handler) namesOurs(ctx context.Context, text string) bool {
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == ' ' || c == ',' || c == '\t' || c == '+' || c == '"' }) {
		if qualifier, rest, ok := strings.Cut(word, ":"); ok && rest != "" {
			word = rest
			if qualifier == "scope" && !strings.HasPrefix(word, "@") {
				word = "@" + word
			}
		}
		word = strings.TrimSuffix(word, "/")
		if h.repo.Claimed(word) || validName(word) && h.ours(ctx, word) || strings.HasPrefix(word, "@") && !strings.Contains(word, "/") && h.repo.Claimed(word+"/x") {
			return true
		}
	}
	return false
}

// mostFound is how many results a search shows at most: the rules are asked about each, and for that its listing is read.
const mostFound = 25

// show leaves out of a search's results what is ours, which the upstream cannot know, and what the rules hide. A result
// whose version is hidden gets the version that latest points at; one about which the rules cannot be asked goes.
func (h *handler) show(r *http.Request, found *searchResult) {
	found.Objects = found.Objects[:min(len(found.Objects), mostFound)]
	shown := make([]bool, len(found.Objects))
	var wait sync.WaitGroup
	room := make(chan struct{}, 4)
	for i, object := range found.Objects {
		room <- struct{}{}
		ctx := r.Context()
		if a, ok := h.repo.(format.Asider); ok {
			ctx = a.Aside(ctx)
		}
		wait.Go(func() {
			defer func() { <-room }()
			shown[i] = h.showOne(ctx, object)
		})
	}
	wait.Wait()
	kept := found.Objects[:0]
	for i, object := range found.Objects {
		if shown[i] {
			kept = append(kept, object)
		}
	}
	found.Total -= len(found.Objects) - len(kept)
	found.Objects = kept
}

func (h *handler) showOne(ctx context.Context, object map[string]json.RawMessage) bool {
	var pkg map[string]json.RawMessage
	var name, version string
	if json.Unmarshal(object["package"], &pkg) != nil || json.Unmarshal(pkg["name"], &name) != nil || h.ours(ctx, name) {
		return false
	}
	if json.Unmarshal(pkg["version"], &version) != nil {
		return false
	}
	p, err := h.repo.Package(ctx, name)
	if err != nil {
		return false
	}
	v := newView(p)
	if v.by[version] != nil {
		return true
	}
	latest := v.tag("latest")
	if latest == "" {
		return false
	}
	pkg["version"] = appendQuoted(nil, latest)
	delete(pkg, "date")
	object["package"], err = json.Marshal(pkg)
	return err == nil
}
