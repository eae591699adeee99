package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"millpond"
	"millpond/internal/server"
)

// A chainReport says what reading the chain here has found.
type chainReport struct {
	Events int64               `json:"events"`
	Seen   int64               `json:"seen"` // those of which not only the hash of the body is shown
	Heads  int                 `json:"heads"`
	Head   server.HeadDocument `json:"head"`
}

// verifyHere reads the whole chain and checks it on this machine: the pond is not asked what it thinks of its log. Who may
// see the events of one repository only is given the hashes of the others.
func (c *auditCommand) verifyHere(ctx context.Context, p *Process, heads []server.HeadDocument) (*chainReport, error) {
	q := url.Values{}
	if c.Repository != "" {
		q.Set("repository", c.Repository)
	}
	resp, err := c.send(ctx, request{method: "GET", path: []string{"audit", "chain"}, query: q, accept: "application/x-ndjson"})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	v := chainVerifier{prev: make([]byte, sha256.Size), noted: map[[2]int64]string{}, ends: map[int64]int64{}}
	for _, h := range heads {
		at := [2]int64{h.Epoch, h.Seq}
		if old := v.noted[at]; old != "" && old != h.Hash {
			return nil, unverified("two different heads %d were noted", h.Seq)
		}
		v.noted[at] = h.Hash
	}
	v.heads = len(v.noted)
	bar := p.working("verifying events")
	defer bar.done()
	for lines := json.NewDecoder(resp.Body); ; {
		var l server.LinkDocument
		err := lines.Decode(&l)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: "the log ended early: nothing was verified", Err: err}
		}
		if err := v.next(&l); err != nil {
			return nil, err
		}
		bar.add(1)
	}
	if err := v.end(); err != nil {
		return nil, err
	}
	v.report.Heads = v.heads
	return &v.report, nil
}

func unverified(words string, args ...any) error {
	return &exit{ExitUnverified, &millpond.Error{Kind: millpond.Corrupt, Why: "the log is not what it was: " + fmt.Sprintf(words, args...)}}
}

// A chainVerifier walks the links.
type chainVerifier struct {
	prev   []byte
	noted  map[[2]int64]string // heads that were not met yet
	ends   map[int64]int64     // of each epoch that has ended: its last event
	heads  int
	report chainReport
}

// next checks the link that follows.
func (v *chainVerifier) next(l *server.LinkDocument) error {
	if want := v.report.Head.Seq + 1; l.Seq != want {
		return unverified("event %d is gone", want)
	}
	if l.Epoch < v.report.Head.Epoch {
		return unverified("event %d is of epoch %d, after one of epoch %d", l.Seq, l.Epoch, v.report.Head.Epoch)
	}
	var inner []byte
	if l.Body != "" {
		var said struct {
			Epoch, Seq int64
			Verb       string
		}
		if err := json.Unmarshal([]byte(l.Body), &said); err != nil || said.Epoch != l.Epoch || said.Seq != l.Seq {
			return unverified("event %d says that it is event %d of epoch %d", l.Seq, said.Seq, said.Epoch)
		}
		if l.Epoch > v.report.Head.Epoch && v.report.Events > 0 && said.Verb != "epoch" {
			return unverified("event %d is of epoch %d, and nothing began it", l.Seq, l.Epoch)
		}
		sum := sha256.Sum256([]byte(l.Body))
		inner = sum[:]
		v.report.Seen++
	} else {
		var err error
		if inner, err = hex.DecodeString(strings.TrimPrefix(l.BodyHash, "sha256:")); err != nil || len(inner) != sha256.Size {
			return unverified("event %d has neither a body nor the hash of one", l.Seq)
		}
	}
	sum := sha256.Sum256(append(bytes.Clone(v.prev), inner...))
	if hash := "sha256:" + hex.EncodeToString(sum[:]); hash != l.Hash {
		return unverified("event %d of epoch %d was changed", l.Seq, l.Epoch)
	}
	at := [2]int64{l.Epoch, l.Seq}
	if noted, ok := v.noted[at]; ok {
		if noted != l.Hash {
			return unverified("head %d was noted with another hash: events up to it were changed", l.Seq)
		}
		delete(v.noted, at)
	}
	if l.Epoch > v.report.Head.Epoch {
		v.ends[v.report.Head.Epoch] = v.report.Head.Seq
	}
	v.prev = sum[:]
	v.report.Events++
	v.report.Head = server.HeadDocument{Epoch: l.Epoch, Seq: l.Seq, Hash: l.Hash}
	return nil
}

// end looks at the heads that were not met: what they stood for is gone, and there may be a reason for it that only people know.
func (v *chainVerifier) end() error {
	left := slices.SortedFunc(maps.Keys(v.noted), func(a, b [2]int64) int { // of the newest epoch first
		return cmp.Or(cmp.Compare(b[0], a[0]), cmp.Compare(b[1], a[1]))
	})
	if len(left) == 0 {
		return nil
	}
	at := left[0]
	if last, ended := v.ends[at[0]]; ended {
		return unverified("events after %d are gone: head %d (%s) of epoch %d was noted, and another began after %d; if that was a restore, begin another file of heads",
			last, at[1], v.noted[at], at[0], last)
	}
	if at[0] < v.report.Head.Epoch {
		return unverified("head %d (%s) of epoch %d was noted, and this log has no such epoch: it is of another restore, or was taken out", at[1], v.noted[at], at[0])
	}
	return unverified("events after %d are gone: head %d (%s) was noted", v.report.Head.Seq, at[1], v.noted[at])
}
