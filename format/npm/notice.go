package npm

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// notice tells npm, which shows it to people, that versions of a package are held back for a while. npm prints the notice of
// each response: a client is told once a minute.
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
	if !h.repo.Seldom("npm-notice "+client, time.Minute) {
		return
	}
	versions := "1 version of " + name + " is held until "
	if held > 1 {
		versions = fmt.Sprintf("%d versions of %s are held, the first until ", held, name)
	}
	w.Header().Set("Npm-Notice", versions+until.UTC().Format("2 Jan 2006 15:04 UTC"))
}
