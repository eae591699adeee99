package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Listening is how a Server is reached.
type Listening struct {
	TLS *tls.Config // nil is plain http
	// Most is how many connections are open at once; 0 is what the machine's memory and descriptors allow.
	Most int
	// Notice is how long the server goes on as usual after it has said that it is not ready, so that a front server can
	// look elsewhere.
	Notice time.Duration
	// Drain is how long requests under way may take to end; 0 is 30 s.
	Drain time.Duration
}

// Serve answers what comes to the listener until ctx ends. Then it says that it is not ready, stops accepting, lets
// requests under way end, and returns nil; if they did not end in time they are cut, and the error says how it went.
func (s *Server) Serve(ctx context.Context, l *net.TCPListener, o Listening) error {
	if o.Most == 0 {
		o.Most = mostConnections()
	}
	if o.Drain == 0 {
		o.Drain = 30 * time.Second
	}
	g := newGate(l, o.Most, s.metrics.open)
	g.slack = s.patience / 8
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.headers,
		IdleTimeout:       120 * time.Second,
		WriteTimeout:      s.patience, // from the request's header; every chunk that leaves moves it on
		MaxHeaderBytes:    64 << 10,
		ConnState:         g.state,
		ErrorLog:          slog.NewLogLogger(s.parts.Log.Handler(), slog.LevelDebug), // handshakes that fail, and the like
		TLSConfig:         o.TLS,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 128, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	ended := make(chan error, 1)
	go func() { // ends with the listener, and is waited for below
		if o.TLS != nil {
			ended <- h.ServeTLS(g, "", "")
		} else {
			ended <- h.Serve(g)
		}
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("listen on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.SetReady("stopping")
	if o.Notice > 0 {
		select {
		case <-time.After(o.Notice):
		case err := <-ended:
			return fmt.Errorf("listen on %s: %w", l.Addr(), err)
		}
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain) // ctx has ended; the timeout ends this one
	defer cancel()
	err := h.Shutdown(drain)
	if err != nil {
		h.Close()
		err = fmt.Errorf("requests still under way after %s were cut", o.Drain)
	}
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
