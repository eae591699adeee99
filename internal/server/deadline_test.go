package server

import (
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestWriteDeadlineMayStay: a deadline that is nearly as late as the one wanted stays, an earlier or a much later one does not.
func TestWriteDeadlineMayStay(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	h := newHall(1, prometheus.NewGauge(prometheus.GaugeOpts{Name: "open"}))
	h.slack = time.Second
	g := newGate(l, h)
	defer g.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c, now := nc.(*conn), time.Now()
	for _, step := range []struct {
		name       string
		wanted, is time.Time
	}{
		{"the first", now.Add(time.Minute), now.Add(time.Minute)},
		{"a little later", now.Add(time.Minute + h.slack/2), now.Add(time.Minute)},
		{"the same", now.Add(time.Minute), now.Add(time.Minute)},
		{"much later", now.Add(time.Minute + h.slack), now.Add(time.Minute + h.slack)},
		{"earlier", now.Add(time.Second), now.Add(time.Second)},
		{"none", time.Time{}, time.Time{}},
		{"one again", now.Add(-time.Second), now.Add(-time.Second)},
	} {
		if err := c.SetWriteDeadline(step.wanted); err != nil {
			t.Fatal(err)
		}
		is := int64(0)
		if !step.is.IsZero() {
			is = step.is.UnixNano()
		}
		if got := c.until.Load(); got != is {
			t.Errorf("%s: the deadline is %v, want %v", step.name, time.Unix(0, got), step.is)
		}
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("a write after its deadline went through")
	}
}
