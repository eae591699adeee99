package repo

import (
	"context"
	"sync"
	"testing"

	"millpond"
)

// A purse is a Budget of so many misses.
type purse int

func (p *purse) Spend() error {
	if *p--; *p < 0 {
		return &millpond.Error{Kind: millpond.Throttled, Why: "nothing is left"}
	}
	return nil
}

// A telling is a context that tells when somebody waits for its end.
type telling struct {
	context.Context
	tell func()
}

func (c telling) Done() <-chan struct{} { c.tell(); return c.Context.Done() }

// TestBuiltForWhoMayAsk: who waits for a listing that another builds is not refused because that one may ask no upstream any more.
func TestBuiltForWhoMayAsk(t *testing.T) {
	var b builds
	begun, joined := make(chan struct{}), make(chan struct{})
	poor, rich := &Trace{Budget: new(purse)}, &Trace{Budget: new(purse(1))}
	build := func(t *Trace, wait func()) func() (*view, error) {
		return func() (*view, error) {
			wait()
			if err := t.spend(); err != nil {
				return nil, err
			}
			return &view{}, nil
		}
	}
	var first sync.WaitGroup
	first.Go(func() {
		wait := func() { close(begun); <-joined }
		if _, err := b.do(WithTrace(t.Context(), poor), buildKey{}, build(poor, wait)); !millpond.Is(err, millpond.Throttled) {
			t.Errorf("who has nothing left: %v, want throttled", err)
		}
	})
	<-begun
	ctx := telling{WithTrace(t.Context(), rich), sync.OnceFunc(func() { close(joined) })}
	if v, err := b.do(ctx, buildKey{}, build(rich, func() {})); err != nil || v == nil {
		t.Errorf("who waited, and has one left: %v", err)
	}
	first.Wait()
}
