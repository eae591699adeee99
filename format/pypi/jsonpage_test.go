package pypi

import (
	"encoding/json"
	"testing"
)

// jsonPage is what clients see of a JSON page.
type jsonPage struct {
	Meta struct {
		API    string `json:"api-version"`
		Serial int64  `json:"_last-serial"`
	} `json:"meta"`
	Versions []string                        `json:"versions"`
	Files    []jsonEntry                     `json:"files"`
	Status   struct{ Status, Reason string } `json:"project-status"`
}

type jsonEntry struct {
	Filename string            `json:"filename"`
	URL      string            `json:"url"`
	Hashes   map[string]string `json:"hashes"`
	Core     any               `json:"core-metadata"`
	Yanked   any               `json:"yanked"`
	Proof    string            `json:"provenance"`
}

func parsePage(t testing.TB, body []byte) (p jsonPage) {
	t.Helper()
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("%v in page %.500s", err, body)
	}
	return p
}

func (p jsonPage) file(name string) *jsonEntry {
	for i := range p.Files {
		if p.Files[i].Filename == name {
			return &p.Files[i]
		}
	}
	return nil
}
