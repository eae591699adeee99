package server

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"millpond/internal/auth"
)

// TestFollowEnds: who follows the record of changes is told nothing more once what they came with has ended, or may no longer.
func TestFollowEnds(t *testing.T) {
	h := newHouse(t)
	front := httptest.NewServer(h.server)
	t.Cleanup(front.Close)
	follow := func(token string) *bufio.Scanner {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		t.Cleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, "GET", front.URL+"/-/api/events?verb=publish&follow=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/x-ndjson"}}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return bufio.NewScanner(resp.Body)
	}
	for name, end := range map[string]func(){
		"disabled": func() { h.ask(h.admin, "POST", "/-/api/users/disabled/disable", nil, 204, nil) },
		"ungranted": func() {
			var grants []auth.Grant
			h.ask(h.admin, "GET", "/-/api/grants", nil, 200, &grants)
			for _, g := range grants {
				if g.Subject == "user:ungranted" {
					h.ask(h.admin, "DELETE", "/-/api/grants/"+g.ID, nil, 204, nil)
				}
			}
		},
	} {
		lines := follow(h.user(name, "auditor *"))
		h.send(bearer(h.admin), "PUT", "/priv/before-"+name+"/1", strings.NewReader("one"))
		for lines.Scan() && !strings.Contains(lines.Text(), "before-"+name) {
		}
		end()
		h.send(bearer(h.admin), "PUT", "/priv/after-"+name+"/1", strings.NewReader("one"))
		for lines.Scan() {
			t.Errorf("%s: was told of %s", name, lines.Text())
		}
		if err := lines.Err(); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: follows on", name)
		}
	}
}
