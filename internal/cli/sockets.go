package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"millpond"
)

// firstSocket is the descriptor of the first socket that is handed to a process; see sd_listen_fds(3).
const firstSocket = 3

// sockets are listening sockets that this process was handed when it was started. Who holds them goes on holding them: while
// one process ends and the next begins, clients wait in the kernel's queue and nobody is refused.
type sockets struct {
	all []*socket
}

// A socket is one of them.
type socket struct {
	file *os.File // kept, so that it can be listened on again after a reload
	name string   // what its holder calls it; "" if it says nothing
	addr *net.TCPAddr
	used bool
}

// handedOver takes the sockets that LISTEN_FDS tells of, if LISTEN_PID is this process, from the descriptor first on. The
// variables are taken out of the environment, and the descriptors are closed in programs that this one starts, so that nobody
// else takes them for theirs.
func handedOver(pid, first int) (*sockets, error) {
	of, fds, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
	s := &sockets{}
	if of != strconv.Itoa(pid) || fds == "" {
		return s, nil // those of another process, which has left its environment to this one
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > 1024 {
		return nil, wrongSockets("LISTEN_FDS is %q, which is no number of sockets", fds)
	}
	for i := range n {
		one := &socket{file: fileOf(first + i)}
		if i < len(names) {
			one.name = names[i]
		}
		s.all = append(s.all, one)
		l, err := net.FileListener(one.file)
		if err != nil {
			s.close()
			return nil, wrongSockets("descriptor %d that was handed over (%s) is no listening socket: %v", first+i, one.name, err)
		}
		l.Close() // a copy
		var ok bool
		if one.addr, ok = l.Addr().(*net.TCPAddr); !ok {
			s.close()
			return nil, wrongSockets("the socket %s that was handed over (%s) is not of TCP", l.Addr(), one.name)
		}
	}
	return s, nil
}

func wrongSockets(words string, args ...any) error {
	return &exit{ExitUsage, &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf(words, args...),
		Hint: "look at what the sockets' unit says: ListenStream= with host and port, as listen in the configuration"}}
}

// close gives the sockets up.
func (s *sockets) close() {
	for _, one := range s.all {
		one.file.Close()
	}
}

// any reports whether this process was handed a socket.
func (s *sockets) any() bool { return s != nil && len(s.all) > 0 }

// listen takes the socket that was handed over for an address, or, if there is none, the address itself.
func (s *sockets) listen(ctx context.Context, address string) (*net.TCPListener, error) {
	one := s.find(address)
	if one == nil {
		l, err := listen(ctx, address)
		if e, ok := errors.AsType[*millpond.Error](err); ok && s.any() {
			e.Hint = "the sockets that were handed over are for " + s.addresses() + ": the address must be one of them"
		}
		return l, err
	}
	l, err := net.FileListener(one.file)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket for %s that was handed over: %w", address, err)
	}
	one.used = true
	return l.(*net.TCPListener), nil
}

// find is the socket for an address, as the kernel would see it; nil if there is none.
func (s *sockets) find(address string) *socket {
	if !s.any() {
		return nil
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil || want.Port == 0 {
		return nil
	}
	all := want.IP == nil || want.IP.IsUnspecified()
	for _, one := range s.all {
		if one.addr.Port == want.Port && (all && one.addr.IP.IsUnspecified() || !all && one.addr.IP.Equal(want.IP)) {
			return one
		}
	}
	return nil
}

// addresses are where the sockets listen, for people.
func (s *sockets) addresses() string {
	var all []string
	for _, one := range s.all {
		all = append(all, one.addr.String())
	}
	return strings.Join(all, ", ")
}

// unused are the sockets that no listener has wanted, for people: who connects to one of them waits in vain. It is an error if
// none was wanted at all, for then the sockets and the configuration speak of different places.
func (s *sockets) unused() (words []string, err error) {
	for _, one := range s.all {
		if !one.used {
			name := one.addr.String()
			if one.name != "" {
				name += " (" + one.name + ")"
			}
			words = append(words, name)
		}
	}
	if len(words) > 0 && len(words) == len(s.all) {
		return nil, wrongSockets("nothing listens on the sockets that were handed over, %s: the configuration names other addresses", strings.Join(words, ", "))
	}
	return words, nil
}
