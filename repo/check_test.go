package repo_test

import (
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// A check runs beside serving: what is evicted, purged or swept while it reads is no damage, and what is damaged is.
func TestF36WhatGoesWhileACheckReadsIsNoDamage(t *testing.T) {
	for _, x := range []struct {
		name string
		lay  func(r *rig)
		take func(r *rig) // while the first blob is read
		want int          // blobs that are damaged
	}{
		{"evicted", func(r *rig) {
			r.hold(r.put("alpha", "1.0", noise(1, 200*kib)), r.put("alpha", "2.0", noise(2, 200*kib)))
		}, func(r *rig) {
			r.settings.MaxBytes = 1
			r.configure()
			r.pass(2 * 24 * time.Hour)
			if _, err := r.pond.Evict(r.t.Context()); err != nil {
				r.t.Error(err)
			}
		}, 0},
		{"purged", func(r *rig) {
			to := r.ours("r")
			r.publishFiles(to, "widget", "1.0", "widget-1.0-py3-none-any.whl", "widget-1.0-2-py3-none-any.whl")
			if err := to.Delete(r.t.Context(), format.Deletion{Key: millpond.Key{Package: "widget", Version: "1.0"}}); err != nil {
				r.t.Fatal(err)
			}
			r.pass(8 * 24 * time.Hour)
		}, sweep, 0},
		{"swept", func(r *rig) { r.orphan("one"); r.orphan("two"); r.pass(2 * 24 * time.Hour) }, sweep, 0},
		{"lost", func(r *rig) {
			r.hold(r.put("alpha", "1.0", noise(1, 200*kib)), r.put("alpha", "2.0", noise(2, 200*kib)))
		}, func(r *rig) {
			for _, d := range r.held() {
				if err := r.blobs.Delete(r.t.Context(), d); err != nil {
					r.t.Error(err)
				}
			}
		}, 2}, // the wheel, and the document of its page
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t, func(r *rig) { r.config.Unpublish = true })
			x.lay(r)
			taken := false
			report, err := r.pond.Check(t.Context(), repo.CheckOptions{ReadData: true, Repair: true, Progress: func(int64, int64) {
				if !taken {
					taken = true
					x.take(r)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			if !taken || len(report.Damage) != x.want {
				t.Errorf("looked at a blob: %t; found %+v, want %d damaged", taken, report.Damage, x.want)
			}
		})
	}
}

func sweep(r *rig) {
	if _, err := r.pond.Sweep(r.t.Context()); err != nil {
		r.t.Error(err)
	}
}

// orphan seals bytes that nothing names.
func (r *rig) orphan(text string) {
	r.t.Helper()
	w, err := r.blobs.Create(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write([]byte(text)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := w.Commit(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}
