package repo_test

import (
	"crypto/sha512"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// What was taken down stays where it is, as evidence, until the takedown is lifted: nobody reads it any more, so that an eviction
// would take it first; who published it may delete it; and bytes may be named by nothing but the takedown.
func TestS20EvidenceStays(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Unpublish = true })
	master, to := r.as("alice", "* * *"), r.ours("r")
	same := noise(1, 100*kib)
	down, twin := r.put("alpha", "1.0", same), r.put("beta", "1.0", same)
	plain, bytes := r.put("gamma", "1.0", noise(2, 100*kib)), r.put("delta", "1.0", noise(3, 100*kib))
	r.hold(down, twin, plain, bytes)
	r.published(to, "ours", "1.0", "malware")
	r.published(to, "ours", "1.1", "mended")
	r.published(to, "mine", "1.0", "by another name")
	var ids []string
	for _, one := range []repo.Takedown{
		{Format: "pypi", Package: "Alpha", Versions: "<2"}, {Format: "pypi", Package: "ours", Version: "1.0"}, {Digest: bytes.sum}, {Digest: millpond.SHA256([]byte("by another name"))},
	} {
		one.Why = "it steals keys"
		made, err := r.pond.TakeDown(t.Context(), master, one)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.ID)
	}
	for _, k := range []millpond.Key{{Package: "ours", Version: "1.0"}, {Package: "ours", Version: "1.1"}, {Package: "mine", Version: "1.0"}} {
		if err := to.Delete(t.Context(), format.Deletion{Key: k, Why: "it never was"}); err != nil {
			t.Fatal(err)
		}
	}
	orphan := r.seal([]byte("nothing names this"))
	made, err := r.pond.TakeDown(t.Context(), master, repo.Takedown{Digest: orphan, Why: "it steals keys"})
	if err != nil {
		t.Fatal(err)
	}
	ids = append(ids, made.ID)
	r.settings.MaxBytes = 1
	r.configure()
	evidence := map[string]millpond.Digest{"a version that is held": down.sum, "bytes that are held": bytes.sum, "a deleted version": millpond.SHA256([]byte("malware")),
		"deleted bytes": millpond.SHA256([]byte("by another name")), "bytes that nothing names": orphan}
	after := func(what string, there bool) {
		t.Helper()
		for range 2 { // a sweep that lets go of records, and one of their bytes
			r.pass(30 * 24 * time.Hour)
			r.evict()
			if _, err := r.pond.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for name, d := range evidence {
			if _, err := r.blobs.Stat(t.Context(), d); (err == nil) != there {
				t.Errorf("%s: %s: %v, want that its bytes are there: %t", what, name, err, there)
			}
		}
	}
	after("taken down", true)
	for what, d := range map[string]millpond.Digest{"held": plain.sum, "deleted": millpond.SHA256([]byte("mended"))} {
		if _, err := r.blobs.Stat(t.Context(), d); err == nil {
			t.Errorf("what nobody has taken down, and was %s, is there still", what)
		}
	}
	for _, id := range ids {
		if err := r.pond.LiftTakedown(t.Context(), master, id, "it is over"); err != nil {
			t.Fatal(err)
		}
	}
	after("lifted", false)
}

// TestTakedownByAnotherDigest: a takedown of bytes names them by what every record has of them. By another digest it would meet those
// alone whose publisher declared it, and look as if it met all.
func TestTakedownByAnotherDigest(t *testing.T) {
	r := newRig(t)
	master, body := r.as("alice", "* * *"), []byte("PK\x03\x04malware")
	r.hold(r.put("alpha", "1.0", body))
	sum := sha512.Sum512(body)
	other, err := millpond.NewDigest("sha512", sum[:])
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.pond.TakeDown(t.Context(), master, repo.Takedown{Digest: other, Why: "it steals keys"})
	wantKind(t, "by its sha512", err, millpond.Invalid)
	if _, err := r.pond.TakeDown(t.Context(), master, repo.Takedown{Digest: millpond.SHA256(body), Why: "it steals keys"}); err != nil {
		t.Fatal(err)
	}
	_, err = bodyOf(t, r.ours("r"), "alpha", "1.0")
	wantKind(t, "what was taken down by its sha256", err, millpond.Blocked)
}
