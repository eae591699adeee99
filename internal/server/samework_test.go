package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// S32: to refuse a name that is there costs the same as to refuse one that is not, so that no clock tells them apart: the work is
// counted by what is allocated, which a busy machine does not change. The same goes for a private repository and none at all.
func TestS32RefusalsCostTheSame(t *testing.T) {
	h := newHouse(t)
	master := h.pond.Repository("priv").For(repo.Caller{Actor: millpond.Actor{Name: "ann"}, Rights: everything{}})
	for i := range 50 { // a look at it would show
		up, err := master.Upload(t.Context(), format.Uploading{Package: "widget", Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		up.Write([]byte("x"))
		d, err := up.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v := fmt.Sprint(i)
		if _, err := master.Publish(t.Context(), format.Release{Package: "widget", Version: millpond.Version{Name: v, Files: []millpond.File{{Name: "text", Size: 1, Blob: d}}}}); err != nil {
			t.Fatal(err)
		}
	}
	stranger := h.user("stranger", "reader other")
	narrow := h.user("narrow", "reader priv gadget")
	work := func(token, method, path string) (float64, int, string) {
		var last *httptest.ResponseRecorder
		n := testing.AllocsPerRun(200, func() {
			r := &http.Request{Method: method, URL: &url.URL{Path: path}, Host: "pond.example", Header: http.Header{}, RemoteAddr: "192.0.2.7:5000", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			last = httptest.NewRecorder()
			h.server.ServeHTTP(last, r)
		})
		return n, last.Code, last.Body.String()
	}
	for _, who := range []struct{ name, token string }{{"anonymous", ""}, {"a stranger", stranger}, {"who may read another name", narrow}} {
		for _, pair := range [][2]string{
			{"/priv/widget/7", "/priv/nobody/7"}, {"/-/api/repositories/priv/packages/widget", "/-/api/repositories/priv/packages/nobody"},
			{"/priv/widget/7", "/none/widget/7"},
		} {
			if who.token == narrow && strings.HasPrefix(pair[1], "/none") {
				continue // they may read some of priv, and know of it
			}
			for _, method := range []string{"GET", "HEAD", "DELETE"} {
				if method == "DELETE" && strings.HasPrefix(pair[0], "/-/api") {
					continue
				}
				there, status, body := work(who.token, method, pair[0])
				absent, statusAbsent, bodyAbsent := work(who.token, method, pair[1])
				bodyAbsent = strings.NewReplacer("nobody", "widget", "none", "priv").Replace(bodyAbsent)
				if status != statusAbsent || status != 401 && status != 403 || body != bodyAbsent {
					t.Errorf("%s: %s %s = %d %q, %s = %d %q; want the same refusal", who.name, method, pair[0], status, body, pair[1], statusAbsent, bodyAbsent)
				}
				if there < absent-2 || there > absent+2 {
					t.Errorf("%s: %s %s makes %v allocations, and %s %v", who.name, method, pair[0], there, pair[1], absent)
				}
			}
		}
	}
	// Where one may look, the two do differ: what is counted would show a look.
	reader := h.user("reader", "reader priv")
	there, status, _ := work(reader, "GET", "/priv/widget/7")
	absent, statusAbsent, _ := work(reader, "GET", "/priv/nobody/7")
	if status != 200 || statusAbsent != 404 || absent-2 < there && there < absent+2 {
		t.Errorf("who may read gets %d for %v allocations, and %d for %v: a look would not show", status, there, statusAbsent, absent)
	}
}
