package raw

import (
	"encoding/xml"
	"io"
	"net/http"
	"sync"
	"time"
)

// patience is how long a client is let wait before it is sent a space, and between two.
const patience = 10 * time.Second

// A keeper sends spaces before a document, so that a client goes on waiting for it.
type keeper struct {
	w     http.ResponseWriter
	mu    sync.Mutex // guards all
	begun bool
	over  bool
	timer *time.Timer
}

func keepAlive(w http.ResponseWriter) *keeper {
	k := &keeper{w: w}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(patience, k.tick)
	return k
}

func (k *keeper) tick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over {
		return
	}
	text := " "
	if !k.begun {
		k.begun, text = true, xml.Header
		k.w.Header().Set("Content-Type", "application/xml")
		k.w.WriteHeader(http.StatusOK)
	}
	io.WriteString(k.w, text) // the client that has left is told nothing
	http.NewResponseController(k.w).Flush()
	k.timer.Reset(patience)
}

// stop ends it and reports whether the answer has begun. Nothing is written after it.
func (k *keeper) stop() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	k.timer.Stop()
	return k.begun
}
