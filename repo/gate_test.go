package repo

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"millpond/format"
)

var _ format.Gate = (*session)(nil)

func TestAsManyEnterAsThereAreCores(t *testing.T) {
	p := &Pond{heavy: make(chan struct{}, runtime.GOMAXPROCS(0))}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var all []func()
	for range runtime.GOMAXPROCS(0) {
		leave, err := format.Enter(t.Context(), &session{layer: &upstream{pond: p}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, leave)
	}
	another := &session{layer: &upstream{pond: p}} // of another layer
	if _, err := format.Enter(ended, another); !errors.Is(err, context.Canceled) {
		t.Errorf("one too many: %v, want to wait until the context ends", err)
	}
	all[0]()
	leave, err := format.Enter(t.Context(), another)
	if err != nil {
		t.Fatal(err)
	}
	leave()
}
