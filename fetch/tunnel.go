package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"millpond"
)

// Tunnel connects to a host, as host:port, that the operator named: its address may be a private one, and none that nobody may
// name. No proxy stands between. It gives up after some seconds, with BadUpstream.
func Tunnel(ctx context.Context, address string) (net.Conn, error) {
	g, err := newGuard(Settings{URL: &url.URL{Scheme: "https", Host: address}}, 10*time.Second)
	if err != nil {
		return nil, err
	}
	conn, err := g.DialContext(ctx, "tcp", address)
	if err == nil {
		return conn, nil
	}
	why := address + " cannot be reached"
	if f, ok := errors.AsType[*forbidden](err); ok {
		why = fmt.Sprintf("%s is at %v", address, f)
	}
	return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: why, After: time.Now().Add(10 * time.Second), Err: err}
}
