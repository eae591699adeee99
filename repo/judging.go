package repo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"millpond"
)

// Judge implements format.Judger.
func (b *bound) Judge(k millpond.Key, f *millpond.File) (time.Time, error) {
	if err := b.readable(k.Package); err != nil {
		return time.Time{}, err
	}
	if t := b.takenDown(k.Package, k.Version); t != nil {
		return time.Time{}, t.blocked(k)
	}
	if t := b.pond.takenDownBytes(f.Digests...); t != nil {
		return time.Time{}, t.blocked(k)
	}
	if b.policy == nil || k.Version == "" || b.unjudged(k) {
		return time.Time{}, nil
	}
	alone := &millpond.Package{Name: k.Package, Incomplete: true, Versions: []millpond.Version{
		{Name: k.Version, Partial: true, Seen: b.pond.now(), Files: []millpond.File{*f}}}}
	j := b.policy.Judge(b.pond.now(), b.config.Format, alone)
	if err := b.nameVerdict(k.Package); err != nil {
		return j.Until(), err
	}
	return j.Until(), blocked(k, j.File(k.Version, f.Name))
}

// Judging implements format.Judger.
func (b *bound) Judging() string {
	id := sha256.New()
	fmt.Fprintf(id, "%s\n%q\n%s\n", b.policy.ID(), b.claimTexts(), b.Readership())
	for _, t := range *b.pond.takedowns.Load() {
		fmt.Fprintln(id, t.ID)
	}
	return hex.EncodeToString(id.Sum(nil)[:16])
}
