package npm

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// notices remember which client was told something, so that npm, which prints the notice of each response, prints one a
// minute.
type notices struct {
	mu   sync.Mutex           // guards last
	last map[string]time.Time // by client address
}

// due reports whether the client may be told again, and notes that it is.
func (n *notices) due(client string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.last[client]) < time.Minute {
		return false
	}
	if n.last == nil || len(n.last) >= 1000 {
		n.last = map[string]time.Time{} // some are told once more
	}
	n.last[client] = now
	return true
}

// notice tells npm, which shows it to people, that versions of a package are held back for a while.
func (h *handler) notice(w http.ResponseWriter, r *http.Request, name string) {
	if !strings.HasPrefix(r.UserAgent(), "npm/") {
		return
	}
	p, err := h.repo.Package(r.Context(), name)
	if err != nil || len(p.Hidden) == 0 {
		return // the answer itself tells of an error
	}
	var until time.Time
	held := 0
	for i := range p.Hidden {
		if after := p.Hidden[i].After; !after.IsZero() {
			held++
			if until.IsZero() || after.Before(until) {
				until = after
			}
		}
	}
	if held == 0 {
		return
	}
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	if !h.notices.due(client, h.repo.Now()) {
		return
	}
	versions := "1 version of " + name + " is held until "
	if held > 1 {
		versions = fmt.Sprintf("%d versions of %s are held, the first until ", held, name)
	}
	w.Header().Set("Npm-Notice", versions+until.UTC().Format("2 Jan 2006 15:04 UTC"))
}
