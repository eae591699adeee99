package audit

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"millpond"
)

// Events are what catalog.Log's Find yields.
type Events = iter.Seq2[*millpond.Event, error]

// A line is an event as a line of JSON has it.
type line struct {
	Epoch      int64           `json:"epoch"`
	Seq        int64           `json:"seq"`
	Time       time.Time       `json:"time"`
	Actor      string          `json:"actor"`
	Token      string          `json:"token,omitempty"`
	Client     string          `json:"client,omitempty"`
	Request    string          `json:"request,omitempty"`
	Verb       string          `json:"verb"`
	Repository string          `json:"repository,omitempty"`
	Layer      string          `json:"layer,omitempty"`
	Package    string          `json:"package,omitempty"`
	Version    string          `json:"version,omitempty"`
	File       string          `json:"file,omitempty"`
	Detail     json.RawMessage `json:"detail,omitempty"`
	Hash       millpond.Digest `json:"hash"`
}

// WriteJSON writes one event a line as JSON, and returns how many. After an error the last line may be cut.
func WriteJSON(w io.Writer, events Events) (n int64, err error) {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	for e, err := range events {
		if err != nil {
			b.Flush() // what there is; the error that counts is the other
			return n, err
		}
		err := enc.Encode(line{
			e.Epoch, e.Seq, e.Time.UTC(), e.Actor.Name, e.Token, e.Client, e.Request, e.Verb, e.Repository, e.Layer,
			e.Key.Package, e.Key.Version, e.Key.File, e.Detail, e.Hash,
		})
		if err != nil {
			return n, err
		}
		n++
	}
	return n, b.Flush()
}

// header are the columns that WriteCSV writes.
var header = [...]string{ // never changed
	"epoch", "seq", "time", "actor", "token", "client", "request", "verb", "repository", "layer", "package", "version", "file", "detail", "hash",
}

// WriteCSV writes a header and one event a line for a spreadsheet, and returns how many. A cell that a spreadsheet would
// take for a formula has ' before it: who wants each byte as it is takes WriteJSON.
func WriteCSV(w io.Writer, events Events) (n int64, err error) {
	c := csv.NewWriter(w)
	if err := c.Write(header[:]); err != nil {
		return 0, err
	}
	for e, err := range events {
		if err != nil {
			c.Flush() // what there is; the error that counts is the other
			return n, err
		}
		row := []string{
			strconv.FormatInt(e.Epoch, 10), strconv.FormatInt(e.Seq, 10), e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), e.Actor.Name, e.Token,
			e.Client, e.Request, e.Verb, e.Repository, e.Layer, e.Key.Package, e.Key.Version, e.Key.File, string(e.Detail), e.Hash.String(),
		}
		for i := range row {
			if row[i] != "" && strings.ContainsRune("=+-@\t\r\n", rune(row[i][0])) {
				row[i] = "'" + row[i]
			}
		}
		if err := c.Write(row); err != nil {
			return n, err
		}
		n++
	}
	c.Flush()
	return n, c.Error()
}
