package audit_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/internal/audit"
)

func TestExport(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 70_000_000, time.UTC)
	dir := t.TempDir()
	c, err := sql.Open(t.Context(), dir, sql.Options{Now: func() time.Time { return now }})
	must(t, err)
	defer c.Close()
	ann := millpond.Actor{Name: "ann", Token: "t1", Client: "192.0.2.1", Request: "r1"}
	must(t, c.Update(t.Context(), ann, func(tx catalog.Tx) error {
		must(t, tx.Emit(millpond.Event{
			Verb: "publish", Repository: "npm", Layer: "up", Key: millpond.Key{Package: "@acme/w", Version: "1", File: "a,\"b\"\n.tgz"}, Detail: json.RawMessage(`{"why": "a<b"}`),
		}))
		return tx.Emit(millpond.Event{Verb: "=cmd()", Key: millpond.Key{Package: "-1+1"}})
	}))
	head, err := c.Head(t.Context())
	must(t, err)
	var out bytes.Buffer
	n, err := audit.WriteJSON(&out, c.Find(t.Context(), catalog.Filter{Newest: true, Limit: 1}))
	want := fmt.Sprintf(`{"epoch":1,"seq":2,"time":"2026-02-03T04:05:06.07Z","actor":"ann","token":"t1","client":"192.0.2.1","request":"r1",`+
		`"verb":"=cmd()","package":"-1+1","hash":"%s"}`+"\n", head.Hash)
	if err != nil || n != 1 || out.String() != want {
		t.Errorf("got %d, %v, %s; want %s", n, err, out.String(), want)
	}
	out.Reset()
	n, err = audit.WriteJSON(&out, c.Find(t.Context(), catalog.Filter{}))
	if err != nil || n != 2 || !strings.Contains(out.String(), `"file":"a,\"b\"\n.tgz","detail":{"why":"a<b"},`) || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("got %d, %v, %s; want two lines", n, err, out.String())
	}
	out.Reset()
	n, err = audit.WriteCSV(&out, c.Find(t.Context(), catalog.Filter{}))
	must(t, err)
	rows, err := csv.NewReader(&out).ReadAll()
	must(t, err)
	if n != 2 || len(rows) != 3 || strings.Join(rows[0], " ") != "epoch seq time actor token client request verb repository layer package version file detail hash" {
		t.Fatalf("got %d: %q; want a header and two rows", n, rows)
	}
	if got := strings.Join(rows[1][:14], "|"); got != "1|1|2026-02-03T04:05:06.070Z|ann|t1|192.0.2.1|r1|publish|npm|up|'@acme/w|1|a,\"b\"\n.tgz|{\"why\": \"a<b\"}" {
		t.Errorf("the first row: got %q", got)
	}
	if rows[2][7] != "'=cmd()" || rows[2][10] != "'-1+1" || rows[2][14] != head.Hash.String() {
		t.Errorf("the second row: got %q; want no cell that is a formula", rows[2])
	}
	failing := func(yield func(*millpond.Event, error) bool) {
		if yield(&millpond.Event{Seq: 1}, nil) {
			yield(nil, errBroken)
		}
	}
	for name, write := range map[string]func(io.Writer, audit.Events) (int64, error){"json": audit.WriteJSON, "csv": audit.WriteCSV} {
		if n, err := write(io.Discard, failing); n != 1 || !errors.Is(err, errBroken) {
			t.Errorf("%s, events that fail: got %d, %v; want 1 and their error", name, n, err)
		}
		if _, err := write(full{}, c.Find(t.Context(), catalog.Filter{})); !errors.Is(err, errBroken) {
			t.Errorf("%s, a writer that fails: got %v; want its error", name, err)
		}
	}
}
