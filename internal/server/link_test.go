package server

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"millpond/format/raw"
	"millpond/repo"
)

// TestLinksWhereARepositoryIsTheRoot: a link that is made at a repository's own host is good there, for what it is for.
func TestLinksWhereARepositoryIsTheRoot(t *testing.T) {
	h := newHouse(t)
	public, _ := url.Parse(housePublic)
	h.reconfigured(Settings{PublicURL: public}, repo.Config{Name: "files", Format: raw.Format{}, Hosts: []string{"files.example"}},
		repo.Config{Name: "more", Format: raw.Format{}, Hosts: []string{"more.example"}})
	for _, put := range [][2]string{{"files.example", "/dir/f"}, {"files.example", "/dir/g"}, {"more.example", "/dir/f"}, {"more.example", "/files/dir/f"}} {
		if w := h.send(bearer(h.admin), "PUT", put[1], strings.NewReader("text of "+put[0]), host(put[0])); w.Code != 201 {
			t.Fatalf("put %s at %s = %d %s", put[1], put[0], w.Code, w.Body)
		}
	}
	w := h.send(bearer(h.admin), "POST", "/-/links", strings.NewReader(`{"path": "dir/f"}`), host("files.example"))
	var made struct{ URL string }
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || !strings.HasPrefix(made.URL, "https://files.example/dir/f?") {
		t.Fatalf("the link is %s (%v)", w.Body, err)
	}
	_, query, _ := strings.Cut(made.URL, "?")
	for _, c := range []struct {
		host, path string
		status     int
	}{
		{"files.example", "/dir/f", 200}, {"pond.example", "/files/dir/f", 200}, {"files.example", "/dir/g", 403},
		{"more.example", "/dir/f", 403}, {"more.example", "/files/dir/f", 403}, {"pond.example", "/more/dir/f", 403},
	} {
		w := h.send("", "GET", c.path+"?"+query, nil, host(c.host))
		if w.Code != c.status || w.Code == 200 && w.Body.String() != "text of files.example" {
			t.Errorf("the link at %s%s = %d %s, want %d", c.host, c.path, w.Code, w.Body, c.status)
		}
	}
}
