package sql

import (
	"context"
	stdsql "database/sql"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// most is how many writes share one commit.
	most = 64
	// linger is the longest that a write waits for others to share its commit.
	linger = 2 * time.Millisecond
)

// A job is one write: statements that take effect together or not at all.
type job struct {
	run   func(*work) error
	since time.Time
	state atomic.Int32
	done  chan error // the writer answers once; never blocks
}

// The states of a job. Who moves it out of waiting has it.
const (
	waiting = iota
	taken   // by the writer: it will be answered
	left    // by its caller, whose context ended: it will not be run
)

func (j *job) take() bool  { return j.state.CompareAndSwap(waiting, taken) || j.state.Load() == taken }
func (j *job) leave() bool { return j.state.CompareAndSwap(waiting, left) }

// A writer is the one goroutine that writes to a file. It runs what waits in one transaction, each job in a savepoint of
// its own, and answers them when all are committed.
type writer struct {
	f      *file
	db     *stdsql.DB
	work   work
	linger time.Duration // 0 takes only what is there
	// committed is called after each commit; nil does nothing.
	committed func()

	queue    chan *job
	stopping chan struct{}
	ended    chan struct{}
	dirty    atomic.Bool // something was committed since the log was last looked at

	last     time.Time // when the last commit ended
	expected int       // how many writes the last commits suggest will come together
}

func newWriter(f *file, db *stdsql.DB, conn *stdsql.Conn) *writer {
	out := &writer{
		f: f, db: db,
		work:     work{f: f, conn: conn, statements: map[string]*stdsql.Stmt{}, turn: map[sum]int64{}, sums: map[sum]int64{}},
		queue:    make(chan *job, 4*most),
		stopping: make(chan struct{}),
		ended:    make(chan struct{}),
	}
	out.work.pace.made = time.Now()
	out.work.pace.beat()
	return out
}

// write runs a job and returns when it is committed, or was undone. If ctx ends before the writer has begun with it, it is
// not run; after that its end is awaited.
func (w *writer) write(ctx context.Context, run func(*work) error) error {
	return w.do(ctx, run, nil)
}

// do is write, with turns that the caller is to take in its own goroutine.
func (w *writer) do(ctx context.Context, run func(*work) error, turns <-chan func()) error {
	if err := w.f.stopped(); err != nil {
		return err
	}
	if e := w.f.refuse.Load(); e != nil {
		return e
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{run: run, since: time.Now(), done: make(chan error, 1)}
	select {
	case w.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stopping:
		return closedError()
	}
	gone := ctx.Done()
	for {
		select {
		case turn := <-turns:
			turn()
		case err := <-j.done:
			return err
		case <-gone:
			if j.leave() {
				return ctx.Err()
			}
			gone = nil
		case <-w.ended:
			select {
			case err := <-j.done:
				return err
			default:
				return closedError()
			}
		}
	}
}

// run is the writer's goroutine; close ends it.
func (w *writer) run() {
	defer close(w.ended)
	beat := time.NewTicker(writerBeat)
	defer beat.Stop()
	for {
		group := w.collect(beat.C)
		if group == nil {
			return
		}
		w.commit(group)
	}
}

// close lets the commit in progress end and ends the goroutine.
func (w *writer) close() {
	close(w.stopping)
	<-w.ended
}

// collect waits for the next writes; nil means that the writer is to end. Writers that come one after the other, alone, are
// never made to wait; where several came together last time, the first waits a moment for the others.
func (w *writer) collect(beat <-chan time.Time) []*job {
	var group []*job
	for len(group) == 0 {
		w.work.pace.beat()
		select {
		case j := <-w.queue:
			group = append(group, j)
		case <-beat:
		case <-w.stopping:
			return nil
		}
	}
	w.work.pace.beat()
	for len(group) < most {
		select {
		case j := <-w.queue:
			group = append(group, j)
			continue
		default:
		}
		break
	}
	expected := min(w.expected, most)
	if w.linger == 0 || len(group) >= expected || time.Since(w.last) > w.linger {
		return group
	}
	timer := time.NewTimer(w.linger)
	defer timer.Stop()
	for len(group) < expected {
		select {
		case j := <-w.queue:
			group = append(group, j)
		case <-timer.C:
			return group
		case <-w.stopping:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction and answers all of it.
func (w *writer) commit(group []*job) {
	group, err := w.begin(group)
	if err != nil {
		answer(group, w.f.writeFailed(err))
		return
	}
	if len(group) == 0 {
		return
	}
	results := make([]error, len(group))
	clear(w.work.sums)
	for i, j := range group {
		if results[i], err = w.turn(j); err != nil {
			break
		}
	}
	if err == nil {
		err = w.f.stopped()
	}
	if err == nil {
		err = w.work.flush()
	}
	if err == nil {
		begun := time.Now()
		if _, err = w.work.exec(commit); err == nil {
			w.work.pace.commit(begun)
		}
	}
	if err == nil {
		w.dirty.Store(true)
		if w.committed != nil {
			w.committed()
		}
		// Before they are answered, or a writer that is alone would be taken for two.
		w.expected, w.last = len(group)+len(w.queue), time.Now()
		for i, j := range group {
			j.done <- results[i]
		}
		return
	}
	w.work.exec(rollback) // may be an error: SQLite has undone some failed transactions by itself
	err = w.f.writeFailed(err)
	for i, j := range group {
		switch {
		case results[i] != nil:
			j.done <- results[i]
		case len(group) == 1 || w.f.stopped() != nil:
			j.done <- err
		default: // one of the others may be the reason
			w.commit([]*job{j})
		}
	}
}

// begin opens the transaction and takes the jobs. While another process holds the lock, it answers those who have waited
// for as long as patience lasts.
func (w *writer) begin(group []*job) ([]*job, error) {
	for {
		_, err := w.work.exec(begin)
		if err == nil {
			break
		}
		now := time.Now()
		group = slices.DeleteFunc(group, func(j *job) bool {
			if j.state.Load() == left {
				return true
			}
			if troubleOf(err) != locked || now.Sub(j.since) < patience || !j.take() {
				return false
			}
			j.done <- w.f.writeFailed(err)
			return true
		})
		if troubleOf(err) != locked || len(group) == 0 {
			return takeAll(group), err
		}
		turn := time.NewTimer(turnOfWait)
		select {
		case <-turn.C:
		case <-w.stopping:
			turn.Stop()
			return takeAll(group), closedError()
		}
	}
	if group = takeAll(group); len(group) == 0 {
		_, err := w.work.exec(rollback)
		return nil, err
	}
	return group, nil
}

// turn runs one job in a savepoint. result is the job's own error; err means that the transaction as a whole is lost.
func (w *writer) turn(j *job) (result, err error) {
	if _, err := w.work.exec(savepoint); err != nil {
		return nil, err
	}
	clear(w.work.turn)
	if result := j.run(&w.work); result != nil {
		if _, err := w.work.exec(rollbackTo); err != nil {
			return result, err
		}
		_, err := w.work.exec(release)
		return result, err
	}
	if _, err := w.work.exec(release); err != nil {
		return nil, err
	}
	for s, n := range w.work.turn {
		w.work.sums[s] += n
	}
	return nil, nil
}

func takeAll(group []*job) []*job {
	return slices.DeleteFunc(group, func(j *job) bool { return !j.take() })
}

func answer(group []*job, err error) {
	for _, j := range group {
		j.done <- err
	}
}
