package sql

import (
	"encoding/json"
	"errors"

	"millpond"
	"millpond/catalog"
)

// What a view answers to all that changes something.
var errView = errors.New("a view changes nothing: do it in an update") // never changed

func (v *view) refuse() error {
	if v.ended {
		return errEnded
	}
	return errView
}

// Emit is an error.
func (v *view) Emit(millpond.Event) error { return v.refuse() }

// SetSetting is an error.
func (v *view) SetSetting(string, json.RawMessage) error { return v.refuse() }

// PutHostedPackage is an error.
func (v *view) PutHostedPackage(*catalog.HostedPackage) error { return v.refuse() }

// FreeHostedPackage is an error.
func (v *view) FreeHostedPackage(_, _ string) error { return v.refuse() }

// PutHostedFiles is an error.
func (v *view) PutHostedFiles(_, _ string, _ *catalog.HostedVersion) error { return v.refuse() }

// PutHostedVersion is an error.
func (v *view) PutHostedVersion(_, _ string, _ *catalog.HostedVersion) error { return v.refuse() }

// DropHostedVersion is an error.
func (v *view) DropHostedVersion(_, _, _ string) error { return v.refuse() }

// PutHostedRef is an error.
func (v *view) PutHostedRef(_, _ string, _ *catalog.HostedRef) error { return v.refuse() }

// PutEntry is an error.
func (v *view) PutEntry(*catalog.Entry) error { return v.refuse() }

// AddEntry is an error.
func (v *view) AddEntry(*catalog.Entry) error { return v.refuse() }

// DropEntry is an error.
func (v *view) DropEntry(_, _ string) error { return v.refuse() }
