package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// A Sink is a place elsewhere where signed heads are kept: who can change the catalog and the file beside it cannot change
// what is there. One head says all about the log before it, so it is enough that the newest arrives.
type Sink interface {
	// Keep keeps one line, a Signed as JSON with its newline. It may come twice.
	Keep(ctx context.Context, line []byte) error
	// String names the place for people, without secrets.
	String() string
}

// SinkAt is the sink at an address: "file:///path", "syslog:" (this machine's), "syslog://host:port" (RFC 5424 by UDP, or
// with "syslog+tcp" by TCP), or an http or https URL that each head is POSTed to, by what post makes of it.
func SinkAt(address string, post func(at *url.URL) (func(ctx context.Context, body []byte) error, error)) (Sink, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return nil, errors.New("a file is file:///path")
		}
		return fileSink(u.Path), nil
	case "syslog", "syslog+tcp":
		if u.Host == "" && u.Opaque == "" && u.Path == "" && u.Scheme == "syslog" {
			return syslogSink{network: "unixgram", address: "/dev/log"}, nil
		}
		if u.Port() == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
			return nil, errors.New(`it is "syslog:" for this machine's, or syslog://host:port`)
		}
		return syslogSink{network: map[string]string{"syslog": "udp", "syslog+tcp": "tcp"}[u.Scheme], address: u.Host}, nil
	case "http", "https":
		if u.Host == "" {
			return nil, errors.New("it has no host")
		}
		p, err := post(u)
		return &webSink{at: u, post: p}, err
	}
	return nil, errors.New("it is file:///path, syslog:, syslog://host:port or https://…")
}

type fileSink string

func (s fileSink) String() string { return "file://" + string(s) }

// Keep implements Sink. What a crash left of a line is ended first, so that it spoils no other.
func (s fileSink) Keep(_ context.Context, line []byte) error {
	f, err := os.OpenFile(string(s), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

type syslogSink struct{ network, address string }

func (s syslogSink) String() string {
	if s.network == "unixgram" {
		return "syslog:"
	}
	return "syslog://" + s.address + " (" + s.network + ")"
}

// priority is a notice of authpriv, which is not for everybody to read.
const priority = 10<<3 | 5

// Keep implements Sink.
func (s syslogSink) Keep(ctx context.Context, line []byte) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, s.network, s.address)
	if err != nil {
		return err
	}
	if until, ok := ctx.Deadline(); ok {
		conn.SetWriteDeadline(until) // a connection without deadlines waits for the kernel only
	}
	_, err = conn.Write(s.message(time.Now(), bytes.TrimSpace(line)))
	return errors.Join(err, conn.Close())
}

// message is a line as syslog has it: the local one in the old form that every daemon reads.
func (s syslogSink) message(now time.Time, line []byte) []byte {
	if s.network == "unixgram" {
		return fmt.Appendf(nil, "<%d>%s millpond[%d]: %s", priority, now.Format(time.Stamp), os.Getpid(), line)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	text := fmt.Appendf(nil, "<%d>1 %s %s millpond %d head - %s", priority, now.UTC().Format(time.RFC3339), host, os.Getpid(), line)
	if s.network == "tcp" {
		text = append(fmt.Appendf(nil, "%d ", len(text)), text...) // RFC 6587: a stream has no ends
	}
	return text
}

type webSink struct {
	at   *url.URL
	post func(ctx context.Context, body []byte) error
}

func (s *webSink) String() string { return s.at.Scheme + "://" + s.at.Host + s.at.EscapedPath() }

// Keep implements Sink.
func (s *webSink) Keep(ctx context.Context, line []byte) error { return s.post(ctx, line) }
