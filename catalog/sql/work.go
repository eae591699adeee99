package sql

import (
	"context"
	stdsql "database/sql"
	"errors"

	"millpond"
)

// A work is the writer's transaction as a job sees it: statements, and what is added to the sums.
type work struct {
	f          *file
	conn       *stdsql.Conn
	statements map[string]*stdsql.Stmt
	turn       map[sum]int64 // added by the job that runs
	sums       map[sum]int64 // added by the jobs before it in the same transaction
	pace       pace
}

// A sum is one row of the table sums.
type sum struct{ what, layer string }

// The sums. Those without a layer of their own have layer "".
const (
	sumAnswers      = "answers"       // by layer
	sumHoldings     = "holdings"      // by layer
	sumBytes        = "bytes"         // of the blobs that the layer's holdings name, by layer
	sumHeldBytes    = "held bytes"    // of all blobs that holdings name, each counted once
	sumDerived      = "derived"       // documents
	sumDerivedBytes = "derived bytes" // of them
)

// add adds to a sum, if the job succeeds.
func (w *work) add(what, layer string, n int64) {
	if n != 0 {
		w.turn[sum{what, layer}] += n
	}
}

const addSum = `INSERT INTO sums (what, layer, n) VALUES (?, ?, ?) ON CONFLICT (what, layer) DO UPDATE SET n = sums.n + excluded.n`

// flush writes the sums, once a transaction.
func (w *work) flush() error {
	for s, n := range w.sums {
		if n == 0 {
			continue
		}
		if _, err := w.exec(addSum, s.what, s.layer, n); err != nil {
			return err
		}
	}
	return nil
}

// ctx is that of the writer's statements: they are short, and one that was cut off would undo its neighbours' work too. The
// writer itself is ended by Close.
func (w *work) ctx() context.Context { return context.Background() }

func (w *work) statement(text string) (*stdsql.Stmt, error) {
	if s, ok := w.statements[text]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(w.ctx(), text)
	if err == nil {
		w.statements[text] = s
	}
	return s, err
}

// close gives the connection back. Its statements must go first: SQLite keeps a connection alive for them, and its log.
func (w *work) close() error {
	var err error
	for _, s := range w.statements {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, w.conn.Close())
}

// exec runs a statement and returns how many rows it changed. Its errors are the driver's: who returns them to a caller
// says writeFailed.
func (w *work) exec(text string, args ...any) (int64, error) {
	defer w.pace.enter()()
	s, err := w.statement(text)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(w.ctx(), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// each calls scan for every row of a statement.
func (w *work) each(text string, args []any, scan func(*stdsql.Rows) error) error {
	defer w.pace.enter()()
	s, err := w.statement(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(w.ctx(), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// one scans the only row of a statement; false if there is none.
func (w *work) one(text string, args []any, into ...any) (bool, error) {
	found := false
	err := w.each(text, args, func(rows *stdsql.Rows) error {
		found = true
		return rows.Scan(into...)
	})
	return found, err
}

// keep runs a bookkeeping job on the writer, its errors in words.
func (f *file) keep(ctx context.Context, run func(*work) error) error {
	return f.writer.write(ctx, func(w *work) error {
		err := run(w)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[*millpond.Error](err); ok {
			return err
		}
		return f.writeFailed(err)
	})
}
