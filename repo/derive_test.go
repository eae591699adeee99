package repo_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"millpond/format"
	"millpond/repo"
)

// waited is a context that tells when somebody waits for its end.
type waited struct {
	context.Context
	tell func()
}

func (w waited) Done() <-chan struct{} { w.tell(); return w.Context.Done() }

// Who waits for a document that another writes gets it, though that one leaves, or fails as nobody expected.
func TestDerivedForWhoWaits(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(ctx context.Context, leave func()) error // of the first
	}{
		{"the first leaves", func(ctx context.Context, leave func()) error { leave(); return ctx.Err() }},
		{"the first panics", func(context.Context, func()) error { panic("a page that nobody expected") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			b := r.pond.Repository("r").For(repo.Caller{})
			d := format.Derivation{Name: "page", Stamp: "1", Type: "text/plain"}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			begun, joined := make(chan struct{}), make(chan struct{})
			var first sync.WaitGroup
			first.Go(func() {
				defer func() { recover() }() // as a server does
				if _, err := b.Derive(ctx, d, func(io.Writer) error {
					close(begun)
					<-joined
					return tt.fail(ctx, leave)
				}); err == nil {
					t.Error("the first got a document")
				}
			})
			<-begun
			write := func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err }
			second := waited{t.Context(), sync.OnceFunc(func() { close(joined) })}
			c, err := b.Derive(second, d, write)
			first.Wait()
			if tt.name == "the first panics" { // who waited hears of it, and who comes next gets the document
				patience, end := context.WithTimeout(t.Context(), 10*time.Second)
				defer end()
				c, err = b.Derive(patience, d, write)
			}
			if err != nil {
				t.Fatalf("the second: %v", err)
			}
			defer c.Close()
			if text, err := io.ReadAll(c); err != nil || string(text) != "text" {
				t.Errorf("the second got %q, %v", text, err)
			}
		})
	}
}
