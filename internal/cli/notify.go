package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A manager is the service manager that has started this process and wants to hear of it; see sd_notify(3). The nil *manager is
// nobody, and hears nothing.
type manager struct {
	socket   string
	watchdog time.Duration // it ends a process from which it hears nothing for so long; 0 does not
	log      *slog.Logger
}

// managerOf is who NOTIFY_SOCKET tells of; nil if nobody wants to hear. The variables are taken out of the environment, so that
// programs that this one starts do not speak in its name.
func managerOf(pid int) *manager {
	m := &manager{socket: os.Getenv("NOTIFY_SOCKET"), log: discard()}
	usec, of := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	if m.socket == "" {
		return nil
	}
	if n, err := strconv.ParseInt(usec, 10, 64); err == nil && n > 0 && (of == "" || of == strconv.Itoa(pid)) {
		m.watchdog = time.Duration(n) * time.Microsecond
	}
	return m
}

// say tells the manager something, a line each. That it cannot be told is said in the log, and nothing else comes of it.
func (m *manager) say(lines ...string) {
	if m == nil {
		return
	}
	err := func() error {
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		_, err = c.Write([]byte(strings.Join(lines, "\n")))
		return err
	}()
	if err != nil {
		m.log.Warn("the service manager cannot be told", "what", lines[0], "error", err)
	}
}

// ready says that the pond serves, or serves again after a reload.
func (m *manager) ready(where string) { m.say("READY=1", "STATUS=serves "+where) }

// reloading says that the configuration is being read again.
func (m *manager) reloading() { m.say("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonic())) }

// stopping says that no more is taken on.
func (m *manager) stopping() { m.say("STOPPING=1", "STATUS=requests under way may end") }

// starting says what a start waits for, and that it is not to be given up for so long.
func (m *manager) starting(words string, goOn time.Duration) {
	m.say(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", goOn.Microseconds()), "STATUS=waits: "+strings.ReplaceAll(words, "\n", " "))
}

// watch tells the manager twice in each of its times that the process is alive, for as long as it is, until ctx ends. A process
// of which alive says otherwise is then ended and started anew by the manager.
func (m *manager) watch(ctx context.Context, alive func() error) {
	if m == nil || m.watchdog == 0 {
		return
	}
	tick := time.NewTicker(max(m.watchdog/2, time.Millisecond))
	defer tick.Stop()
	said := false
	for {
		err := alive()
		if err == nil {
			m.say("WATCHDOG=1")
		} else if !said {
			m.log.Error("the pond does not move, and the service manager is not told otherwise", "error", err)
		}
		said = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
