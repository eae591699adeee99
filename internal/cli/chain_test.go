package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millpond/internal/server"
)

// chained is a log of n events as the pond gives it to somebody who may see those with odd numbers.
func chained(n int64) (links []server.LinkDocument) {
	prev := make([]byte, sha256.Size)
	for seq := int64(1); seq <= n; seq++ {
		text := fmt.Sprintf(`{"epoch":1,"seq":%d,"verb":"publish","salt":"AAAA"}`, seq)
		inner := sha256.Sum256([]byte(text))
		sum := sha256.Sum256(append(prev, inner[:]...))
		l := server.LinkDocument{Epoch: 1, Seq: seq, Hash: "sha256:" + hex.EncodeToString(sum[:])}
		if prev = sum[:]; seq%2 == 1 {
			l.Body = text
		} else {
			l.BodyHash = "sha256:" + hex.EncodeToString(inner[:])
		}
		links = append(links, l)
	}
	return links
}

// follows is the link of an event, whose body is shown, after another.
func follows(last server.LinkDocument, text string, epoch int64) server.LinkDocument {
	prev, _ := hex.DecodeString(strings.TrimPrefix(last.Hash, "sha256:"))
	inner := sha256.Sum256([]byte(text))
	sum := sha256.Sum256(append(prev, inner[:]...))
	return server.LinkDocument{Epoch: epoch, Seq: last.Seq + 1, Hash: "sha256:" + hex.EncodeToString(sum[:]), Body: text}
}

// TestVerifyHere: who may see some events verifies all of them, and whatever was altered is named; the pond's own word is not
// asked for.
func TestVerifyHere(t *testing.T) {
	heads := filepath.Join(t.TempDir(), "heads")
	noted := func(l server.LinkDocument) string {
		b, err := json.Marshal(server.HeadDocument{Epoch: l.Epoch, Seq: l.Seq, Hash: l.Hash})
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + "\n"
	}
	for _, c := range []struct {
		name   string
		change func(l []server.LinkDocument) []server.LinkDocument
		want   string // "" is sound
	}{
		{"as it was", func(l []server.LinkDocument) []server.LinkDocument { return l }, ""},
		{"a body that is shown", func(l []server.LinkDocument) []server.LinkDocument {
			l[2].Body = strings.Replace(l[2].Body, "publish", "delete", 1)
			return l
		}, "event 3 of epoch 1 was changed"},
		{"a body that is not shown", func(l []server.LinkDocument) []server.LinkDocument {
			l[1].BodyHash = l[1].Hash
			return l
		}, "event 2 of epoch 1 was changed"},
		{"a body of another event", func(l []server.LinkDocument) []server.LinkDocument {
			l[2].Body = l[0].Body
			return l
		}, "event 3 says that it is event 1"},
		{"one taken out", func(l []server.LinkDocument) []server.LinkDocument { return slices.Delete(l, 1, 2) }, "event 2 is gone"},
		{"a tail that was cut", func(l []server.LinkDocument) []server.LinkDocument { return l[:3] }, "events after 3 are gone"},
		{"all of it was cut", func(l []server.LinkDocument) []server.LinkDocument { return nil }, "events after 0 are gone"},
		{"a tail that was cut, and an epoch begun", func(l []server.LinkDocument) []server.LinkDocument {
			return append(l[:3], follows(l[2], `{"epoch":2,"seq":4,"verb":"epoch","salt":"AAAA"}`, 2))
		}, "events after 3 are gone: head 4"},
		{"an epoch that nothing began", func(l []server.LinkDocument) []server.LinkDocument {
			return append(l, follows(l[4], `{"epoch":2,"seq":6,"verb":"publish","salt":"AAAA"}`, 2))
		}, "nothing began it"},
		{"another history", func(l []server.LinkDocument) []server.LinkDocument {
			other := chained(5)
			for i := range other {
				other[i].Body, other[i].BodyHash = "", other[i].Hash
			}
			prev := make([]byte, sha256.Size)
			for i := range other {
				inner, _ := hex.DecodeString(strings.TrimPrefix(other[i].BodyHash, "sha256:"))
				sum := sha256.Sum256(append(prev, inner...))
				prev, other[i].Hash = sum[:], "sha256:"+hex.EncodeToString(sum[:])
			}
			return other
		}, "head 4 was noted with another hash"},
		{"nothing of one", func(l []server.LinkDocument) []server.LinkDocument {
			l[1].BodyHash = ""
			return l
		}, "neither a body nor the hash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text strings.Builder
			for _, l := range c.change(chained(5)) {
				b, err := json.Marshal(l)
				if err != nil {
					t.Fatal(err)
				}
				text.Write(append(b, '\n'))
			}
			if err := os.WriteFile(heads, []byte(noted(chained(5)[3])), 0o600); err != nil {
				t.Fatal(err)
			}
			d := newDesk(t, map[string]string{"GET audit/chain": "200 " + text.String()})
			code, out, errs := command("audit", "--verify", "--repository", "team", "--heads", heads)
			if c.want == "" {
				if code != 0 || !strings.Contains(out, "5 events, each as it was written; 3 of them were shown") || d.last() != "GET audit/chain?repository=team" {
					t.Errorf("got %d %q %q, asked %q", code, out, errs, d.last())
				}
				if after, _ := os.ReadFile(heads); string(after) != noted(chained(5)[3])+noted(chained(5)[4]) {
					t.Errorf("heads noted: %s", after)
				}
				return
			}
			if code != ExitUnverified || !strings.Contains(errs, c.want) {
				t.Errorf("got %d %q %q; want %d and %q", code, out, errs, ExitUnverified, c.want)
			}
		})
	}
}

// TestVerifyHereAfterARestore: an epoch that a restore has begun is no harm; that the log went back to before it is.
func TestVerifyHereAfterARestore(t *testing.T) {
	restored := append(chained(5), follows(chained(5)[4], `{"epoch":1700000000000,"seq":6,"verb":"epoch","salt":"AAAA"}`, 1700000000000))
	again := append(chained(5), follows(chained(5)[4], `{"epoch":1700000000001,"seq":6,"verb":"epoch","salt":"AAAA"}`, 1700000000001))
	for _, c := range []struct {
		name  string
		log   []server.LinkDocument
		noted []server.LinkDocument
		want  string // "" is sound
	}{
		{"a head from before it", restored, restored[3:4], ""},
		{"heads of both epochs", restored, restored[4:], ""},
		{"heads of another restore of the same backup", again, restored[5:], "this log has no such epoch: it is of another restore"},
		{"the log is that from before it", restored[:5], restored[3:], "events after 5 are gone: head 6"},
		{"a log that is empty", nil, restored, "events after 0 are gone: head 6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := func(of any) string {
				text, err := json.Marshal(of)
				if err != nil {
					t.Fatal(err)
				}
				return string(text) + "\n"
			}
			var log, heads string
			for _, l := range c.log {
				log += line(l)
			}
			for _, l := range c.noted {
				heads += line(server.HeadDocument{Epoch: l.Epoch, Seq: l.Seq, Hash: l.Hash})
			}
			path := filepath.Join(t.TempDir(), "heads")
			if err := os.WriteFile(path, []byte(heads), 0o600); err != nil {
				t.Fatal(err)
			}
			newDesk(t, map[string]string{"GET audit/chain": "200 " + log})
			code, out, errs := command("audit", "--verify", "--here", "--heads", path)
			if c.want == "" && code != 0 || c.want != "" && (code != ExitUnverified || !strings.Contains(errs, c.want)) {
				t.Errorf("got %d %q %q; want %q", code, out, errs, c.want)
			}
		})
	}
}
