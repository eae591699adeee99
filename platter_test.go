package millpond_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
)

// A platter is what a disk may hold if the power goes at some time: it reads what strace saw a pond do in one directory, and
// believes no more than fsync promises. A time is the number of a line of the trace.
type platter struct {
	dir   string
	root  *inode
	lines atomic.Int64     // how many were read: later than the last of them is what is yet to come
	times []int            // at which the disk, or what was promised of it, changed
	acks  map[string]int   // by the id of a request, the time at which its answer was sent
	files map[int]*opened  // by file descriptor
	open  map[string]*call // by thread: calls that have begun
}

type opened struct {
	*inode
	at        int64
	appending bool
}

type call struct {
	name, args string
	from       int
}

const never = math.MaxInt // a call that has not ended

// traced are the calls that a platter knows.
const traced = "?open,openat,openat2,?creat,close,lseek,dup,?dup2,dup3,write,pwrite64,writev,pwritev,pwritev2,copy_file_range,sendfile,splice,ftruncate,truncate,fallocate," +
	"?rename,renameat,renameat2,?link,linkat,?symlink,symlinkat,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,?chmod,fchmod,fchmodat,fsync,fdatasync,syncfs,sync"

// newPlatter begins with what a directory holds, as if all of it were durable.
func newPlatter(dir string) (*platter, error) {
	p := &platter{dir: dir, acks: map[string]int{}}
	var err error
	if p.root, err = readInode(dir); err == nil && p.root == nil {
		err = fmt.Errorf("%s is not there", dir)
	}
	return p, err
}

// read reads the trace of one run to its end.
func (p *platter) read(trace io.Reader) error {
	p.files, p.open = map[int]*opened{}, map[string]*call{}
	lines := bufio.NewReaderSize(trace, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if err := p.line(int(p.lines.Load()), strings.TrimSuffix(line, "\n")); err != nil {
				return fmt.Errorf("%.300s: %w", line, err)
			}
			p.lines.Add(1)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	for _, c := range p.open { // the process was killed in the middle of them
		if err := p.end(c, never, 0); err != nil {
			return err
		}
	}
	return nil
}

// line reads "PID name(args) = result", which may be cut in two: "PID name(args <unfinished ...>", "PID <... name resumed>args) = result".
func (p *platter) line(now int, s string) error {
	pid, s, _ := strings.Cut(s, " ")
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, "+++") || strings.HasPrefix(s, "---") {
		return nil
	}
	if rest, ok := strings.CutPrefix(s, "<... "); ok {
		_, rest, _ = strings.Cut(rest, " resumed>")
		c := p.open[pid]
		if c == nil {
			return fmt.Errorf("the end of a call that has not begun")
		}
		s = c.name + "(" + c.args + rest
	} else {
		name, args, _ := strings.Cut(s, "(")
		c := &call{name: name, args: args, from: now}
		p.open[pid] = c
		for _, cut := range []string{" <unfinished ...>", " <detached ...>"} { // the thread's turn ended, or the thread did
			if c.args, ok = strings.CutSuffix(args, cut); ok {
				p.begin(c)
				return nil
			}
		}
		p.begin(c)
	}
	c := p.open[pid]
	delete(p.open, pid)
	at := strings.LastIndex(s, ") ")
	if at < 0 {
		return fmt.Errorf("a call without an end")
	}
	result, _, _ := strings.Cut(strings.TrimLeft(s[at+2:], " ="), " ")
	n, err := strconv.ParseInt(result, 10, 64)
	if result == "?" { // it was interrupted before it did anything, or the process ended in it
		n, err = -1, nil
		if strings.Contains(s[at:], "= ?") && !strings.Contains(s[at:], "ERESTART") {
			c.args = s[len(c.name)+1 : at]
			return p.end(c, never, 0)
		}
	}
	if err != nil {
		return err
	}
	c.args = s[len(c.name)+1 : at]
	if n < 0 {
		return nil
	}
	return p.end(c, now, n)
}

// begin sees what counts from the begin of a call: a file descriptor is free, an answer is on its way.
func (p *platter) begin(c *call) {
	fd, rest, _ := strings.Cut(c.args, ",")
	n, _ := strconv.Atoi(strings.TrimSuffix(fd, ")"))
	switch {
	case c.name == "close":
		n, _ = strconv.Atoi(strings.TrimSpace(strings.SplitN(fd, ")", 2)[0]))
		delete(p.files, n)
	case (c.name == "write" || c.name == "writev") && p.files[n] == nil:
		const mark = `X-Request-Id: `
		if i := strings.Index(rest, hexed(mark)); i >= 0 {
			id, _, _ := strings.Cut(rest[i+len(mark)*4:], hexed("\r"))
			if b, err := unhex(id); err == nil {
				p.acks[string(b)] = c.from
				p.times = append(p.times, c.from+1)
			}
		}
	}
}

func hexed(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

func unhex(s string) ([]byte, error) { return hex.DecodeString(strings.ReplaceAll(s, `\x`, "")) }

// words splits the arguments of a call. A string is hexadecimal, so that no comma is in one.
func (c *call) words() []string {
	all := strings.Split(c.args, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

// end sees what a call did that went well and gave n.
func (p *platter) end(c *call, now int, n int64) error {
	a := c.words()
	when := span{c.from, now}
	var f *opened
	if fd, err := strconv.Atoi(a[0]); err == nil {
		f = p.files[fd]
	}
	switch c.name {
	case "open":
		return p.opens(when, append([]string{"AT_FDCWD"}, a...), int(n))
	case "openat":
		return p.opens(when, a, int(n))
	case "mkdir", "mkdirat":
		return p.name(when, a[:len(a)-1], &inode{isDir: true, mode: 0o700, first: map[string]*inode{}, living: map[string]*inode{}})
	case "unlink", "rmdir":
		return p.name(when, a[:1], nil)
	case "unlinkat":
		return p.name(when, a[:2], nil)
	case "rename", "link":
		return p.moves(when, c.name == "link", "AT_FDCWD", a[0], "AT_FDCWD", a[1])
	case "renameat", "renameat2", "linkat":
		return p.moves(when, c.name == "linkat", a[0], a[1], a[2], a[3])
	case "chmod":
		return p.chmods("AT_FDCWD", a[0], a[1])
	case "fchmodat":
		return p.chmods(a[0], a[1], a[2])
	case "symlink", "symlinkat", "truncate", "syncfs", "sync", "openat2", "creat":
		if now == never {
			return nil
		}
		return fmt.Errorf("%s is not known here", c.name)
	}
	if f == nil {
		return nil // another file
	}
	switch c.name {
	case "fsync", "fdatasync":
		if now != never {
			f.syncs = append(f.syncs, when)
		}
	case "write", "pwrite64":
		return p.writes(when, f, a, n)
	case "ftruncate":
		off, err := strconv.ParseInt(a[1], 10, 64)
		if err != nil {
			return err
		}
		f.edits = append(f.edits, edit{when, off, nil})
	case "fchmod":
		mode, err := strconv.ParseUint(a[1], 8, 32)
		f.mode = fs.FileMode(mode)
		return err
	case "lseek":
		f.at = n
		return nil
	case "close":
		return nil
	default:
		return fmt.Errorf("%s of a file of the directory is not known here", c.name)
	}
	p.note(when)
	return nil
}

// note says that the disk may have changed in that span.
func (p *platter) note(when span) {
	p.times = append(p.times, when.from+1)
	if when.to != never {
		p.times = append(p.times, when.to+1)
	}
}

func (p *platter) writes(when span, f *opened, a []string, n int64) error {
	data, err := unhex(strings.Trim(a[1], `"`))
	if err != nil {
		return err
	}
	if when.to != never {
		data = data[:n]
	}
	off := f.at
	switch {
	case len(a) == 4:
		if off, err = strconv.ParseInt(a[3], 10, 64); err != nil {
			return err
		}
	case f.appending:
		return fmt.Errorf("writing at the end is not known here")
	default:
		f.at += int64(len(data))
	}
	f.edits = append(f.edits, edit{when, off, data})
	p.note(when)
	return nil
}

// find is the directory that a name is in, and its name there; nil if it is none of ours.
func (p *platter) find(at, quoted string) (*inode, string, error) {
	b, err := unhex(strings.Trim(quoted, `"`))
	if err != nil {
		return nil, "", err
	}
	name, in := string(b), p.root
	if path.IsAbs(name) {
		var ok bool
		if name, ok = strings.CutPrefix(path.Clean(name), p.dir); !ok || name != "" && name[0] != '/' {
			return nil, "", nil
		}
		name = strings.TrimPrefix(name, "/")
	} else {
		fd, err := strconv.Atoi(at)
		if err != nil || p.files[fd] == nil {
			return nil, "", nil // of the working directory, or another
		}
		in, name = p.files[fd].inode, path.Clean(name)
	}
	dir, base := path.Split(name)
	for part := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if part != "" && part != "." {
			if in = in.living[part]; in == nil {
				return nil, "", fmt.Errorf("%s of %s is not known", part, name)
			}
		}
	}
	return in, base, nil
}

func (p *platter) opens(when span, a []string, fd int) error {
	in, name, err := p.find(a[0], a[1])
	if err != nil || in == nil {
		delete(p.files, fd)
		return err
	}
	n := in
	if name != "" && name != "." {
		n = in.living[name]
	}
	if n == nil {
		mode := uint64(0o600)
		if len(a) > 3 && when.to != never {
			if mode, err = strconv.ParseUint(a[3], 8, 32); err != nil {
				return err
			}
		}
		if !strings.Contains(a[2], "O_CREAT") {
			return fmt.Errorf("%s is not known", name)
		}
		n = &inode{mode: fs.FileMode(mode) &^ 0o022}
		p.set(in, when, map[string]*inode{name: n})
	} else if strings.Contains(a[2], "O_TRUNC") {
		n.edits = append(n.edits, edit{when, 0, nil})
	}
	if when.to != never {
		p.files[fd] = &opened{inode: n, appending: strings.Contains(a[2], "O_APPEND")}
	}
	return nil
}

func (p *platter) set(dir *inode, when span, names map[string]*inode) {
	dir.moves = append(dir.moves, move{when, names})
	p.note(when)
	for name, n := range names {
		if n == nil {
			delete(dir.living, name)
		} else {
			dir.living[name] = n
		}
	}
}

// name gives one name an inode, or none.
func (p *platter) name(when span, a []string, n *inode) error {
	if len(a) == 1 {
		a = []string{"AT_FDCWD", a[0]}
	}
	in, name, err := p.find(a[0], a[1])
	if err != nil || in == nil {
		return err
	}
	p.set(in, when, map[string]*inode{name: n})
	return nil
}

func (p *platter) moves(when span, stays bool, at, from, toAt, to string) error {
	in, name, err := p.find(at, from)
	if err != nil || in == nil {
		return err
	}
	out, target, err := p.find(toAt, to)
	if err != nil || out == nil {
		return fmt.Errorf("%s leaves the directory: %w", name, err)
	}
	n := in.living[name]
	if n == nil {
		return fmt.Errorf("%s is not known", name)
	}
	switch {
	case stays:
		p.set(out, when, map[string]*inode{target: n})
	case in == out:
		p.set(in, when, map[string]*inode{target: n, name: nil})
	default: // each directory by itself
		p.set(out, when, map[string]*inode{target: n})
		p.set(in, when, map[string]*inode{name: nil})
	}
	return nil
}

func (p *platter) chmods(at, name, mode string) error {
	in, base, err := p.find(at, name)
	if err != nil || in == nil || in.living[base] == nil {
		return err
	}
	m, err := strconv.ParseUint(mode, 8, 32)
	in.living[base].mode = fs.FileMode(m)
	return err
}
