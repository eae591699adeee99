package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
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
	v := chainVerifier{prev: make([]byte, sha256.Size), noted: map[[2]int64]string{}}
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
	for at, hash := range v.noted {
		if at[0] == v.report.Head.Epoch {
			return nil, unverified("events after %d are gone: head %d (%s) was noted", v.report.Head.Seq, at[1], hash)
		}
		// Of an epoch that has ended: what came after the backup is gone, and the epoch's first event says so.
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
	heads  int
	report chainReport
}

// next checks the link that follows.
func (v *chainVerifier) next(l *server.LinkDocument) error {
	if want := v.report.Head.Seq + 1; l.Seq != want {
		return unverified("event %d is gone", want)
	}
	if l.Epoch < v.report.Head.Epoch || l.Epoch > v.report.Head.Epoch+1 {
		return unverified("event %d is of epoch %d, after one of epoch %d", l.Seq, l.Epoch, v.report.Head.Epoch)
	}
	var inner []byte
	if l.Body != "" {
		var said struct{ Epoch, Seq int64 }
		if err := json.Unmarshal([]byte(l.Body), &said); err != nil || said.Epoch != l.Epoch || said.Seq != l.Seq {
			return unverified("event %d says that it is event %d of epoch %d", l.Seq, said.Seq, said.Epoch)
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
	v.prev = sum[:]
	v.report.Events++
	v.report.Head = server.HeadDocument{Epoch: l.Epoch, Seq: l.Seq, Hash: l.Hash}
	return nil
}
