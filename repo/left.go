package repo

import (
	"bytes"
	"context"
	"encoding/json"

	"millpond/catalog"
	"millpond/fetch"
)

// leftovers is the setting that keeps, from one start to the next, which downloads can be resumed.
const leftovers = "leftovers"

// takeUp tells the engine which downloads the last stop left over. Each goes on when its file is next asked for; one whose
// bytes were tidied away meanwhile begins anew.
func (p *Pond) takeUp(ctx context.Context) error {
	if p.fetch == nil {
		return nil
	}
	var left []fetch.Leftover
	err := p.catalog.View(ctx, func(tx catalog.Tx) error {
		raw, err := tx.Setting(leftovers)
		if err != nil || raw == nil {
			return err
		}
		if err := json.Unmarshal(raw, &left); err != nil {
			p.log.WarnContext(ctx, "the list of downloads left over cannot be read; they begin anew", "error", err)
			left = nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.fetch.TakeUp(left)
	return nil
}

// leave keeps the list of what can be resumed. It is called when the engine is closed. Without it those downloads begin
// anew, so that a failure is said in the log and stops nothing.
func (p *Pond) leave(ctx context.Context) {
	var list json.RawMessage
	if left := p.fetch.Leftovers(); len(left) > 0 {
		var err error
		if list, err = json.Marshal(left); err != nil {
			p.log.ErrorContext(ctx, "cannot write down which downloads are left over", "error", err)
			return
		}
	}
	same := false
	err := p.catalog.View(ctx, func(tx catalog.Tx) error {
		was, err := tx.Setting(leftovers)
		same = bytes.Equal(was, list)
		return err
	})
	if err == nil && !same {
		err = p.catalog.Update(ctx, byPond, func(tx catalog.Tx) error { return tx.SetSetting(leftovers, list) })
	}
	if err != nil {
		p.log.ErrorContext(ctx, "cannot keep which downloads are left over; they begin anew", "error", err)
	}
}
