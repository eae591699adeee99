package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many clients ask at once where nothing else is said. Each keeps its connection.
const connections = 16

// A request is one that is sent again and again to one server.
type request struct {
	path    string
	headers []string // "Accept: text/html"
	status  int      // that the answer must have; 0 is 200
}

// text is the request as it goes over the wire.
func (q request) text(addr string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n", q.path, addr)
	for _, h := range q.headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// A burst is what came of many requests.
type burst struct {
	n       int
	size    int64 // of one body
	took    time.Duration
	latency []time.Duration // sorted
}

func (b burst) rate() float64 { return float64(b.n) / b.took.Seconds() }

func (b burst) percentile(p int) time.Duration { return b.latency[(len(b.latency)-1)*p/100] }

// A connection is one client's, kept from one burst to the next so that a burst pays for no connecting.
type connection struct {
	net.Conn
	in *bufio.Reader
}

func dial(ctx context.Context, addr string, n int) ([]*connection, error) {
	all := make([]*connection, n)
	for i := range all {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			hangUp(all[:i])
			return nil, err
		}
		all[i] = &connection{c, bufio.NewReaderSize(c, 128<<10)}
	}
	return all, nil
}

func hangUp(all []*connection) {
	for _, c := range all {
		c.Close()
	}
}

// send asks n times over the connections. Every answer must have the status and the size of the first.
func send(ctx context.Context, all []*connection, addr string, q request, n int) (burst, error) {
	text, status := q.text(addr), q.status
	if status == 0 {
		status = 200
	}
	var left, size atomic.Int64
	left.Store(int64(n))
	size.Store(-1)
	latencies := make([][]time.Duration, len(all))
	errs := make([]error, len(all))
	stop := context.AfterFunc(ctx, func() { hangUp(all) })
	defer stop()
	began := time.Now()
	var wait sync.WaitGroup
	for i, c := range all {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				asked := time.Now()
				if _, err := c.Write(text); err != nil {
					errs[i] = err
					return
				}
				h, err := readHead(c.in)
				if err == nil && h.status != status {
					err = fmt.Errorf("%s is answered %d, not %d", q.path, h.status, status)
				}
				if err == nil {
					_, err = c.in.Discard(int(h.length))
				}
				if err == nil && !size.CompareAndSwap(-1, h.length) && size.Load() != h.length {
					err = fmt.Errorf("%s has %d bytes, and had %d before", q.path, h.length, size.Load())
				}
				if err != nil {
					errs[i] = err
					return
				}
				latencies[i] = append(latencies[i], time.Since(asked))
			}
		})
	}
	wait.Wait()
	b := burst{n: n, size: size.Load(), took: time.Since(began), latency: slices.Concat(latencies...)}
	slices.Sort(b.latency)
	return b, errors.Join(append(errs, ctx.Err())...)
}

// A head is what a client must know of an answer to read on.
type head struct {
	status int
	length int64
}

// readHead reads status and length. It is small, so that the client's own cost disturbs the server's little; of what HTTP
// allows it reads what the servers measured here send.
func readHead(in *bufio.Reader) (h head, err error) {
	l, err := in.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(l) < 13 || !bytes.HasPrefix(l, []byte("HTTP/1.1 ")) {
		return h, fmt.Errorf("%q is no answer", l)
	}
	if h.status, err = strconv.Atoi(string(l[9:12])); err != nil {
		return h, err
	}
	h.length = -1
	for {
		if l, err = in.ReadSlice('\n'); err != nil {
			return h, err
		}
		if l = bytes.TrimRight(l, "\r\n"); len(l) == 0 {
			break
		}
		name, value, _ := bytes.Cut(l, []byte(": "))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if h.length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return h, err
			}
		}
	}
	if h.status == 304 || h.status == 204 {
		h.length = 0
	}
	if h.length < 0 {
		return h, errors.New("an answer without a length")
	}
	return h, nil
}

// fetch asks once and gives the body as it comes, after the time to its first byte.
func fetch(ctx context.Context, addr string, q request, each func(off int64, b []byte) error) (first, whole time.Duration, n int64, err error) {
	all, err := dial(ctx, addr, 1)
	if err != nil {
		return 0, 0, 0, err
	}
	defer hangUp(all)
	return all[0].fetch(ctx, addr, q, each)
}

func (c *connection) fetch(ctx context.Context, addr string, q request, each func(off int64, b []byte) error) (first, whole time.Duration, n int64, err error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	began := time.Now()
	if _, err := c.Write(q.text(addr)); err != nil {
		return 0, 0, 0, err
	}
	h, err := readHead(c.in)
	if err != nil {
		return 0, 0, 0, err
	}
	if h.status != 200 {
		return 0, 0, 0, fmt.Errorf("%s is answered %d", q.path, h.status)
	}
	for n < h.length {
		if c.in.Buffered() == 0 {
			if _, err := c.in.Peek(1); err != nil {
				return first, 0, n, fmt.Errorf("%s is cut after %d of %d bytes: %w", q.path, n, h.length, err)
			}
		}
		if n == 0 {
			first = time.Since(began)
		}
		b, err := c.in.Peek(int(min(int64(c.in.Buffered()), h.length-n)))
		if err != nil && err != io.EOF {
			return first, 0, n, err
		}
		if each != nil {
			if err := each(n, b); err != nil {
				return first, 0, n, err
			}
		}
		c.in.Discard(len(b))
		n += int64(len(b))
	}
	return first, time.Since(began), n, nil
}
