package raw

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A writer that notes when it is told of a deadline, and is somebody else's once its request was answered.
type deadlined struct {
	*httptest.ResponseRecorder
	told chan struct{} // the first deadline was set
	set  int
}

func (d *deadlined) SetReadDeadline(time.Time) error {
	if d.set++; d.set == 1 {
		close(d.told)
	}
	return nil
}

// TestWhoIsTakenOverIsLeftAloneAfterwards: the connection of a chunk that was interrupted is touched until its request is
// answered, and not later: it may serve another request then.
func TestWhoIsTakenOverIsLeftAloneAfterwards(t *testing.T) {
	for range 20 {
		r := &receiving{by: map[string]*chunk{}}
		w := &deadlined{ResponseRecorder: httptest.NewRecorder(), told: make(chan struct{})}
		c, end := r.begin("one", w, strings.NewReader("body"))
		over := make(chan struct{})
		go func() {
			defer close(over)
			r.interrupt(context.Background(), "one")
		}()
		select {
		case <-w.told:
		case <-time.After(10 * time.Second):
			t.Fatal("the chunk was not interrupted")
		}
		if n, err := c.Read(make([]byte, 4)); n > 0 || err != errTakenOver {
			t.Fatalf("it goes on to read: %d bytes, %v", n, err)
		}
		end()
		before := w.set // the race detector tells of who still sets it
		c.cut()
		<-over
		if w.set != before {
			t.Fatal("the connection was touched after the answer")
		}
	}
}
