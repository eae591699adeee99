package format_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"millpond"
	"millpond/format"
)

// full takes nothing.
type full struct{}

var errFull = &millpond.Error{Kind: millpond.Full, Why: "no room"}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestIncomingTellsWhoseFaultItIs(t *testing.T) {
	k := millpond.Key{Package: "p"}
	left, leave := context.WithCancel(t.Context())
	leave()
	tooLarge := &millpond.Error{Kind: millpond.TooLarge, Why: "it is larger than 4 bytes"}
	for _, c := range []struct {
		name string
		ctx  context.Context
		body io.Reader
		to   io.Writer
		kind millpond.Kind
		why  string
	}{
		{"cut", t.Context(), io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)), io.Discard, millpond.Invalid, "the body ended after 3 bytes"},
		{"no room", t.Context(), strings.NewReader("abc"), full{}, millpond.Full, "no room"},
		{"in words", t.Context(), iotest.ErrReader(tooLarge), io.Discard, millpond.TooLarge, tooLarge.Why},
		{"left", left, iotest.ErrReader(context.Canceled), io.Discard, millpond.Canceled, ""},
	} {
		in := format.NewIncoming(c.body)
		_, err := io.Copy(struct{ io.Writer }{c.to}, in)
		err = in.Why(c.ctx, k, err)
		e, _ := errors.AsType[*millpond.Error](err)
		if millpond.KindOf(err) != c.kind || e != nil && e.Why != c.why {
			t.Errorf("%s: got %v (%s); want %s %q", c.name, err, millpond.KindOf(err), c.kind, c.why)
		}
	}
	in := format.NewIncoming(strings.NewReader("abc"))
	if _, err := io.Copy(io.Discard, in); in.Why(t.Context(), k, err) != nil {
		t.Error("a whole body is an error")
	}
}
