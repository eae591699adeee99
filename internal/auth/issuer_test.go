package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
)

// S11: where an issuer's document points to another origin for its keys, that is asked at public addresses and over https only;
// no redirect leads elsewhere.
func TestS11IssuerPointsElsewhere(t *testing.T) {
	var reached atomic.Int64
	keys := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		w.Write([]byte(`{"keys":[]}`))
	})
	plain, secure := httptest.NewServer(keys), httptest.NewTLSServer(keys)
	defer plain.Close()
	defer secure.Close()
	for _, c := range []struct {
		name, keys string
		moved      string // where the issuer's own address for its keys leads
		want       bool
	}{
		{name: "its own", keys: "/keys", want: true},
		{name: "http elsewhere", keys: plain.URL + "/keys"},
		{name: "https on loopback", keys: secure.URL + "/keys"},
		{name: "metadata of a cloud", keys: "https://169.254.169.254/keys"},
		{name: "a file", keys: "file:///etc/passwd"},
		{name: "a redirect elsewhere", keys: "/moved", moved: plain.URL + "/keys"},
		{name: "a redirect to loopback", keys: "/moved", moved: secure.URL + "/keys"},
	} {
		var issuer *httptest.Server
		issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/moved":
				http.Redirect(w, r, c.moved, http.StatusFound)
			case "/keys":
				w.Write([]byte(`{"keys":[]}`))
			default:
				at := c.keys
				if at[0] == '/' {
					at = issuer.URL + at
				}
				json.NewEncoder(w).Encode(map[string]string{"issuer": issuer.URL, "jwks_uri": at})
			}
		}))
		if _, err := new(Auth).discover(t.Context(), issuer.URL); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
		issuer.Close()
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached where an issuer pointed", n)
	}
	for text, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "127.0.0.1": false, "::1": false, "10.1.2.3": false, "192.168.1.1": false, "172.16.0.1": false,
		"169.254.169.254": false, "0.0.0.1": false, "100.64.0.1": false, "64:ff9b::7f00:1": false, "::ffff:127.0.0.1": false, "fe80::1%eth0": false,
		"fd00::1": false, "224.0.0.1": false, "255.255.255.255": false, "2002:7f00:1::": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is public: %v, want %v", text, got, want)
		}
	}
}
