package repo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/format"
	"millpond/format/pypi"
	"millpond/repo"
)

// may are rights as a list: "publish r acme-*".
type may []string

// May implements repo.Rights.
func (m may) May(v millpond.Verb, repository, pkg string) bool {
	for _, one := range m {
		f := strings.Fields(one)
		name := strings.TrimSuffix(f[2], "*")
		if (f[0] == "*" || f[0] == string(v)) && (f[1] == "*" || f[1] == repository) && (pkg == "" || pkg == f[2] || name != f[2] && strings.HasPrefix(pkg, name)) {
			return true
		}
	}
	return false
}

// Scope implements repo.Rights.
func (m may) Scope(v millpond.Verb, repository string) string {
	if m.May(v, repository, "\x00") {
		return "*"
	}
	return strings.Join(m, ",")
}

// Now implements repo.Rights.
func (m may) Now(catalog.Tx) (repo.Rights, error) { return m, nil }

func (r *rig) as(name string, rights ...string) repo.Caller {
	return repo.Caller{Actor: millpond.Actor{Name: name}, Rights: may(rights)}
}

// ours is a repository of which the caller is master.
func (r *rig) ours(name string) format.Repo {
	return r.pond.Repository(name).For(r.as("alice", "* * *"))
}

// release uploads one file and makes a release of it.
func release(ctx context.Context, to format.Repo, pkg, version, body string) (*format.Receipt, error) {
	u, err := to.Upload(ctx, format.Uploading{Package: pkg, Size: int64(len(body))})
	if err != nil {
		return nil, err
	}
	defer u.Close()
	if _, err := io.WriteString(u, body); err != nil {
		return nil, errors.Join(err, u.Discard())
	}
	d, err := u.Commit(ctx)
	if err != nil {
		return nil, err
	}
	return to.Publish(ctx, format.Release{Package: pkg, Version: millpond.Version{Name: version, Files: []millpond.File{
		{Name: pkg + "-" + version + "-py3-none-any.whl", Blob: d, Size: int64(len(body)), Digests: []millpond.Digest{d}},
	}}})
}

func (r *rig) published(to format.Repo, pkg, version, body string) {
	r.t.Helper()
	if _, err := release(r.t.Context(), to, pkg, version, body); err != nil {
		r.t.Fatalf("publish %s %s: %v", pkg, version, err)
	}
}

func versionsOf(t *testing.T, of format.Repo, pkg string) []string {
	t.Helper()
	p, err := of.Package(t.Context(), pkg)
	if err != nil {
		t.Fatalf("package %s: %v", pkg, err)
	}
	var names []string
	for _, v := range p.Versions {
		names = append(names, v.Name)
	}
	return names
}

func bodyOf(t *testing.T, of format.Repo, pkg, version string) (string, error) {
	t.Helper()
	c, err := of.Open(t.Context(), millpond.Key{Package: pkg, File: pkg + "-" + version + "-py3-none-any.whl"})
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), err
}

func wantKind(t *testing.T, what string, err error, want millpond.Kind) {
	t.Helper()
	if err == nil || millpond.KindOf(err) != want {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func (r *rig) verbs() []string {
	r.t.Helper()
	var out []string
	for e, err := range r.catalog.Find(r.t.Context(), catalog.Filter{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, e.Verb)
	}
	return out
}

func TestPublishIsInTheNextRead(t *testing.T) {
	r := newRig(t)
	to := r.ours("r")
	_, err := to.Package(t.Context(), "widget")
	wantKind(t, "before", err, millpond.NotFound)
	for i := range 20 {
		version := fmt.Sprintf("1.%d", i)
		r.published(to, "widget", version, "wheel "+version)
		if got := versionsOf(t, to, "widget"); len(got) != i+1 || got[0] != version {
			t.Fatalf("after publishing %s the index has %v", version, got)
		}
		if got, err := bodyOf(t, to, "widget", version); err != nil || got != "wheel "+version {
			t.Fatalf("%s: %q, %v", version, got, err)
		}
	}
	names := 0
	for c, err := range to.Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Name == "widget" {
			names++
		}
	}
	if names != 1 {
		t.Errorf("the list of names has it %d times", names)
	}
	r.stop(time.Second)
	r.start()
	if got := versionsOf(t, r.ours("r"), "widget"); len(got) != 20 {
		t.Errorf("after a restart: %v", got)
	}
}

func TestPublishTwice(t *testing.T) {
	r := newRig(t)
	to := r.ours("r")
	r.published(to, "widget", "1.0", "one")
	receipt, err := release(t.Context(), to, "widget", "1.0", "one")
	if err != nil || receipt.New {
		t.Errorf("the same bytes again: %+v, %v", receipt, err)
	}
	_, err = release(t.Context(), to, "widget", "1.0", "two")
	wantKind(t, "other bytes", err, millpond.Conflict)
	if err != nil && !strings.Contains(err.Error(), "alice") {
		t.Errorf("the words do not say who published it: %v", err)
	}
	if got := r.verbs(); !slices.Equal(got, []string{"publish"}) {
		t.Errorf("events %v", got)
	}
}

func TestFiftyPublishesAtOnce(t *testing.T) {
	r := newRig(t)
	to := r.ours("r")
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, lost := 0, 0
	for i := range 50 {
		wg.Go(func() {
			_, err := release(t.Context(), to, "widget", "1.0", fmt.Sprint("body ", i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case millpond.Is(err, millpond.Conflict):
				lost++
			default:
				t.Errorf("publish %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if won != 1 || lost != 49 {
		t.Errorf("%d won, %d lost", won, lost)
	}
	if got := r.verbs(); len(got) != 1 {
		t.Errorf("events %v", got)
	}
}

func TestGrants(t *testing.T) {
	r := newRig(t)
	bot := r.pond.Repository("r").For(r.as("bot", "read r *", "publish r acme-*"))
	if _, err := release(t.Context(), bot, "acme-tool", "1.0", "x"); err != nil {
		t.Errorf("what was granted: %v", err)
	}
	_, err := release(t.Context(), bot, "other", "1.0", "x")
	wantKind(t, "another name", err, millpond.Denied)
	_, err = release(t.Context(), r.pond.Repository("r").For(repo.Caller{}), "acme-tool", "1.1", "x")
	wantKind(t, "anonymous", err, millpond.Unauthenticated)
	wantKind(t, "yank", bot.Amend(t.Context(), format.Amendment{Package: "acme-tool", Edit: func(*format.Hosting) error { return nil }}), millpond.Denied)
	wantKind(t, "delete", bot.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "acme-tool"}}), millpond.Denied)
	_, err = r.pond.Repository("r").For(r.as("stranger")).Package(t.Context(), "acme-tool")
	wantKind(t, "a reader without the right", err, millpond.Denied)
	if n := len(r.up.Requests("")); n != 0 {
		t.Errorf("%d upstream requests for names that were published or refused", n)
	}
	seen := 0
	for _, err := range r.pond.Repository("r").For(r.as("narrow", "read r acme-tool")).Names(t.Context()) {
		if err == nil {
			seen++
		}
	}
	if seen > 1 {
		t.Errorf("who may read one name is shown %d", seen)
	}
}

func TestYankDeleteRestore(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Unpublish = true })
	to := r.ours("r")
	r.published(to, "widget", "1.0", "one")
	r.published(to, "widget", "1.1", "two")
	err := to.Amend(t.Context(), format.Amendment{Package: "widget", Version: "1.0", Verb: "yank", Why: "broken", Edit: func(h *format.Hosting) error {
		h.Version("1.0").Yanked, h.Version("1.0").YankedWhy = true, "broken"
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := to.Package(t.Context(), "widget")
	if err != nil || !p.Version("1.0").Yanked || p.Version("1.0").YankedWhy != "broken" {
		t.Errorf("after the yank: %+v, %v", p, err)
	}
	err = to.Amend(t.Context(), format.Amendment{Package: "widget", Edit: func(h *format.Hosting) error {
		h.Versions[0].Files[0].Blob = h.Versions[1].Files[0].Blob
		return nil
	}})
	wantKind(t, "an amendment of bytes", err, millpond.Internal)

	if err := to.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "widget", Version: "1.1"}, Why: "oops"}); err != nil {
		t.Fatal(err)
	}
	if got := versionsOf(t, to, "widget"); !slices.Equal(got, []string{"1.0"}) {
		t.Errorf("after the deletion: %v", got)
	}
	if _, err := bodyOf(t, to, "widget", "1.1"); err == nil {
		t.Error("a deleted file opens")
	}
	_, err = release(t.Context(), to, "widget", "1.1", "three")
	wantKind(t, "a deleted number", err, millpond.Gone)
	if err := to.Restore(t.Context(), millpond.Key{Package: "widget", Version: "1.1"}); err != nil {
		t.Fatal(err)
	}
	if got, err := bodyOf(t, to, "widget", "1.1"); err != nil || got != "two" {
		t.Errorf("restored: %q, %v", got, err)
	}
	if err := to.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "widget", Version: "1.1"}}); err != nil {
		t.Fatal(err)
	}
	r.pass(8 * 24 * time.Hour)
	if _, err := r.pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.blobs.Stat(t.Context(), millpond.SHA256([]byte("two"))); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("bytes of what was deleted a week ago: %v", err)
	}
	wantKind(t, "restore too late", to.Restore(t.Context(), millpond.Key{Package: "widget", Version: "1.1"}), millpond.Gone)
	if got, err := bodyOf(t, to, "widget", "1.0"); err != nil || got != "one" {
		t.Errorf("the other version: %q, %v", got, err)
	}
	if got := r.verbs(); !slices.Equal(got, []string{"publish", "publish", "yank", "delete", "restore", "delete"}) {
		t.Errorf("events %v", got)
	}
}

func TestImmutableAndVolatile(t *testing.T) {
	r := newRig(t)
	r.published(r.ours("r"), "widget", "1.0", "one")
	wantKind(t, "delete where nothing is deleted", r.ours("r").Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "widget"}}), millpond.Unsupported)

	v := newRig(t, func(r *rig) { r.config.Volatile = true })
	v.published(v.ours("r"), "widget", "1.0", "one")
	_, err := release(t.Context(), v.pond.Repository("r").For(v.as("bot", "read r *", "publish r *")), "widget", "1.0", "two")
	wantKind(t, "overwrite without the right", err, millpond.Conflict)
	v.published(v.ours("r"), "widget", "1.0", "two")
	if got, err := bodyOf(t, v.ours("r"), "widget", "1.0"); err != nil || got != "two" {
		t.Errorf("overwritten: %q, %v", got, err)
	}
	if got := v.verbs(); !slices.Equal(got, []string{"publish", "overwrite"}) {
		t.Errorf("events %v", got)
	}
}

func TestHostedHidesUpstream(t *testing.T) {
	r := newRig(t)
	r.put("alpha", "9.0", []byte("PK\x03\x04from upstream"))
	to := r.ours("r")
	if err := r.pond.AddClaim(t.Context(), r.as("alice", "* * *"), "r", "alpha", "", false); err != nil {
		t.Fatal(err)
	}
	r.published(to, "alpha", "1.0", "ours")
	if got := versionsOf(t, to, "alpha"); !slices.Equal(got, []string{"1.0"}) {
		t.Errorf("versions %v", got)
	}
	if n := len(r.up.Requests("")); n != 0 {
		t.Errorf("%d upstream requests for a claimed name", n)
	}
	if err := r.pond.SetMerge(t.Context(), r.as("alice", "* * *"), "r", "alpha", "union"); err != nil {
		t.Fatal(err)
	}
	if err := r.pond.RemoveClaim(t.Context(), r.as("alice", "* * *"), "r", "alpha"); err != nil {
		t.Fatal(err)
	}
	if got := versionsOf(t, to, "alpha"); !slices.Equal(got, []string{"9.0", "1.0"}) {
		t.Errorf("joined: %v", got)
	}
}

func TestUpstreamsNameWantsAClaim(t *testing.T) {
	r := newRig(t)
	r.put("alpha", "1.0", []byte("PK\x03\x04from upstream"))
	to := r.ours("r")
	versionsOf(t, to, "alpha") // now it is known
	_, err := release(t.Context(), to, "alpha", "1.0+ours", "fork")
	wantKind(t, "an upstream's name", err, millpond.Denied)
	if _, err := bodyOf(t, to, "alpha", "1.0"); err != nil {
		t.Fatal(err)
	}
	master := r.as("alice", "* * *")
	wantKind(t, "a claim on what was read", r.pond.AddClaim(t.Context(), master, "r", "alpha", "union", false), millpond.Conflict)
	if err := r.pond.AddClaim(t.Context(), master, "r", "alpha", "union", true); err != nil {
		t.Fatal(err)
	}
	r.published(to, "alpha", "1.0+ours", "fork")
	if got := versionsOf(t, to, "alpha"); !slices.Equal(got, []string{"1.0+ours", "1.0"}) {
		t.Errorf("a fork that joins: %v", got)
	}
	if err := r.pond.SetMerge(t.Context(), master, "r", "alpha", "hide"); err != nil {
		t.Fatal(err)
	}
	if got := versionsOf(t, to, "alpha"); !slices.Equal(got, []string{"1.0+ours"}) {
		t.Errorf("a fork that hides: %v", got)
	}
}

func TestTakedown(t *testing.T) {
	r := newRig(t)
	r.put("alpha", "1.0", []byte("PK\x03\x04from upstream"))
	r.put("alpha", "1.1", []byte("PK\x03\x04malware"))
	to := r.ours("r")
	if _, err := bodyOf(t, to, "alpha", "1.1"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "by a reader", second(r.pond.TakeDown(t.Context(), r.as("bot", "read r *"), repo.Takedown{Format: "pypi", Package: "Alpha", Why: "x"})), millpond.Denied)
	master := r.as("alice", "* * *")
	down, err := r.pond.TakeDown(t.Context(), master, repo.Takedown{Format: "pypi", Package: "Alpha", Versions: "==1.1", Why: "it steals keys"})
	if err != nil {
		t.Fatal(err)
	}
	if got := versionsOf(t, to, "alpha"); !slices.Equal(got, []string{"1.0"}) {
		t.Errorf("versions %v", got)
	}
	_, err = bodyOf(t, to, "alpha", "1.1")
	wantKind(t, "its file", err, millpond.Blocked)
	if err != nil && !strings.Contains(err.Error(), "it steals keys") {
		t.Errorf("the words: %v", err)
	}
	if _, err := r.blobs.Stat(t.Context(), millpond.SHA256([]byte("PK\x03\x04malware"))); err != nil {
		t.Errorf("the evidence: %v", err)
	}
	r.stop(time.Second)
	r.start()
	_, err = bodyOf(t, r.ours("r"), "alpha", "1.1")
	wantKind(t, "after a restart", err, millpond.Blocked)
	if err := r.pond.LiftTakedown(t.Context(), master, down.ID, "a mistake"); err != nil {
		t.Fatal(err)
	}
	if _, err := bodyOf(t, r.ours("r"), "alpha", "1.1"); err != nil {
		t.Errorf("lifted: %v", err)
	}
	wantKind(t, "one version and a range", second(r.pond.TakeDown(t.Context(), master, repo.Takedown{Format: "pypi", Package: "Alpha", Version: "1.1", Versions: "==1.1", Why: "x"})), millpond.Invalid)
	exact, err := r.pond.TakeDown(t.Context(), master, repo.Takedown{Format: "pypi", Package: "Alpha", Version: "1.1.0", Why: "one version"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = bodyOf(t, r.ours("r"), "alpha", "1.1")
	wantKind(t, "by the version, in another spelling", err, millpond.Blocked)
	if _, err := bodyOf(t, r.ours("r"), "alpha", "1.0"); err != nil {
		t.Errorf("another version than the one: %v", err)
	}
	if err := r.pond.LiftTakedown(t.Context(), master, exact.ID, "a mistake"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.pond.TakeDown(t.Context(), master, repo.Takedown{Digest: millpond.SHA256([]byte("PK\x03\x04malware")), Why: "these bytes"}); err != nil {
		t.Fatal(err)
	}
	_, err = bodyOf(t, r.ours("r"), "alpha", "1.1")
	wantKind(t, "by digest", err, millpond.Blocked)
}

// TestNothingLeftIsGone: who asks for a name of which all was deleted or taken down hears that there was something, in every
// way of asking and through a sibling, and no upstream is asked.
func TestNothingLeftIsGone(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Unpublish = true })
	to := r.ours("r")
	r.published(to, "widget", "1.0", "one")
	r.configure(repo.Config{Name: "group", Format: r.config.Format, Public: true, Upstreams: []repo.Upstream{{Sibling: "r"}}})
	if err := r.ours("r").Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "widget", Version: "1.0"}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"r", "group"} {
		of := r.ours(name)
		for what, err := range map[string]error{
			"package": second(of.Package(t.Context(), "widget")), "held package": second(of.Held().Package(t.Context(), "widget")),
			"file":           second(bodyOf(t, of, "widget", "1.0")),
			"file never had": second(bodyOf(t, of, "widget", "2.0")), "ref": second(of.Ref(t.Context(), "widget", "latest")),
		} {
			wantKind(t, name+": "+what+" of what was deleted", err, millpond.Gone)
		}
		wantKind(t, name+": a name that never was", second(of.Package(t.Context(), "gadget")), millpond.NotFound)
	}
	if n := len(r.up.Requests("widget")); n != 0 {
		t.Errorf("%d upstream requests for a name that was hosted here", n)
	}

	r.published(r.ours("r"), "gizmo", "1.0", "one")
	if _, err := r.pond.TakeDown(t.Context(), r.as("alice", "* * *"), repo.Takedown{Format: "pypi", Package: "gizmo", Versions: ">=0", Why: "it steals keys"}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a ref of what was taken down", second(r.ours("r").Ref(t.Context(), "gizmo", "latest")), millpond.Gone)
	if _, err := r.pond.TakeDown(t.Context(), r.as("alice", "* * *"), repo.Takedown{Format: "pypi", Package: "gizmo", Why: "it steals keys"}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a ref of a name that was taken down", second(r.ours("r").Ref(t.Context(), "gizmo", "latest")), millpond.Blocked)
}

func second[T any](_ T, err error) error { return err }

func TestPromote(t *testing.T) {
	r := newRig(t)
	r.configure(repo.Config{Name: "staging", Format: pypi.Format{}}, repo.Config{Name: "release", Format: pypi.Format{}})
	r.published(r.ours("staging"), "widget", "1.0", "one")
	r.published(r.ours("staging"), "widget", "1.1", "two")
	r.published(r.ours("release"), "widget", "1.1", "another two")
	master := r.as("alice", "* * *")
	both := repo.Promotion{From: "staging", To: "release", Items: []millpond.Key{{Package: "Widget"}}}
	wantKind(t, "a set with a conflict", second(r.pond.Promote(t.Context(), master, both)), millpond.Conflict)
	if got := versionsOf(t, r.ours("release"), "widget"); !slices.Equal(got, []string{"1.1"}) {
		t.Errorf("after a set that failed: %v", got)
	}
	one := repo.Promotion{From: "staging", To: "release", Items: []millpond.Key{{Package: "widget", Version: "1.0"}}, DryRun: true}
	if _, err := r.pond.Promote(t.Context(), master, one); err != nil {
		t.Errorf("dry run: %v", err)
	}
	if got := versionsOf(t, r.ours("release"), "widget"); !slices.Equal(got, []string{"1.1"}) {
		t.Errorf("after a dry run: %v", got)
	}
	one.DryRun = false
	wantKind(t, "without the right", second(r.pond.Promote(t.Context(), r.as("bot", "read * *", "publish * *"), one)), millpond.Denied)
	if _, err := r.pond.Promote(t.Context(), master, one); err != nil {
		t.Fatal(err)
	}
	if got, err := bodyOf(t, r.ours("release"), "widget", "1.0"); err != nil || got != "one" {
		t.Errorf("promoted: %q, %v", got, err)
	}
	var last *millpond.Event
	for e, err := range r.catalog.Find(t.Context(), catalog.Filter{Verb: "promote"}) {
		if err != nil {
			t.Fatal(err)
		}
		last = e
	}
	if last == nil || last.Repository != "release" || !strings.Contains(string(last.Detail), "staging") {
		t.Errorf("the event: %+v", last)
	}
}

func TestUploadResume(t *testing.T) {
	r := newRig(t)
	to := r.ours("r")
	u, err := to.Upload(t.Context(), format.Uploading{Package: "widget", Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(u, "half ")
	id := u.ID()
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = r.pond.Repository("r").For(r.as("mallory", "* * *")).Resume(t.Context(), id)
	wantKind(t, "another's upload", err, millpond.NotFound)
	u, err = to.Resume(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = to.Resume(t.Context(), id)
	wantKind(t, "two writers", err, millpond.Conflict)
	io.WriteString(u, "and half")
	d, err := u.Commit(t.Context())
	if err != nil || d != millpond.SHA256([]byte("half and half")) {
		t.Errorf("commit: %s, %v", d, err)
	}
	u.Close()
	_, err = to.Resume(t.Context(), id)
	wantKind(t, "a finished upload", err, millpond.NotFound)
}

func TestLostHostedBytes(t *testing.T) {
	r := newRig(t)
	to := r.ours("r")
	r.published(to, "widget", "1.0", strings.Repeat("x", 200_000))
	if err := r.blobs.Delete(t.Context(), millpond.SHA256([]byte(strings.Repeat("x", 200_000)))); err != nil {
		t.Fatal(err)
	}
	_, err := bodyOf(t, to, "widget", "1.0")
	if err == nil || millpond.KindOf(err).Status() != http.StatusServiceUnavailable {
		t.Errorf("a published file without its bytes: %v", err)
	}
	report, err := r.pond.Check(t.Context(), repo.CheckOptions{})
	if err != nil || len(report.Damage) != 1 || !report.Damage[0].Hosted || !strings.Contains(report.Damage[0].Names[0], "widget") {
		t.Errorf("check: %+v, %v", report, err)
	}
}

// A file that is not hosted, of a name for which nobody else is asked, is absent, also while the pond is offline.
func TestOfflineAbsenceOfWhatIsOurs(t *testing.T) {
	r := newRig(t, func(r *rig) { r.config.Claims, r.config.Unpublish = []string{"widget"}, true })
	to := r.ours("r")
	r.published(to, "widget", "1.0", "one")
	r.published(to, "widget", "2.0", "two")
	if err := to.Delete(t.Context(), format.Deletion{Key: millpond.Key{Package: "widget", Version: "2.0"}, Why: "the test"}); err != nil {
		t.Fatal(err)
	}
	other := r.put("alpha", "1.0", noise(1, kib))
	r.good("index of alpha", r.index("alpha"), nil)
	for _, offline := range []bool{false, true} {
		r.settings.Offline = offline
		r.configure()
		if got, err := bodyOf(t, to, "widget", "1.0"); err != nil || got != "one" {
			t.Errorf("offline %t: %q, %v", offline, got, err)
		}
		for _, version := range []string{"2.0", "3.0"} {
			_, err := bodyOf(t, to, "widget", version)
			wantKind(t, fmt.Sprintf("offline %t: %s", offline, version), err, millpond.NotFound)
		}
	}
	r.want("what an upstream may have", r.get(other.path()), http.StatusServiceUnavailable)
}
