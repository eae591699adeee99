package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"millpond/format"
	"millpond/internal/config"
	"millpond/repo"
)

// TestASignalEndsACommand: a command that is no server ends at the first signal, also while a pond lets it wait.
func TestASignalEndsACommand(t *testing.T) {
	quiet(t)
	asked := make(chan struct{}, 1)
	pond := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		http.NewResponseController(w).Flush()
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer pond.Close()
	for s, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		signals, code, errs := make(chan os.Signal, 1), make(chan int), newScreen()
		go func() {
			code <- Main(context.Background(), Process{Args: []string{"audit", "--follow", "--url", pond.URL}, Out: io.Discard, Err: errs, Signals: signals})
		}()
		<-asked
		signals <- s
		if got := <-code; got != want || errs.String() != "millpond: stopped by a signal: "+s.String()+"\n" {
			t.Errorf("after %s the command ended with %d, %q; want %d, and why", s, got, errs, want)
		}
	}
}

// TestASecondSignalEndsTheProcess: a command that waits for somebody to type cannot end by itself.
func TestASecondSignalEndsTheProcess(t *testing.T) {
	quiet(t)
	in, typed := io.Pipe()
	signals, code, ended := make(chan os.Signal), make(chan int, 1), make(chan int)
	go func() {
		ended <- Main(context.Background(), Process{Args: []string{"login", "http://127.0.0.1:1/", "--setup", "--user", "ann"}, In: in, Out: io.Discard, Err: io.Discard,
			Signals: signals, Exit: func(c int) { code <- c }})
	}()
	signals <- os.Interrupt
	signals <- os.Interrupt
	if got := <-code; got != 130 {
		t.Errorf("the second signal ended the process with %d, want 130", got)
	}
	typed.Close()
	<-ended
}

// TestReloadWhileTheClientsAreAsked: what the start asks for beside serving is of the file as it was then, and does not take the place of
// one that was read since.
func TestReloadWhileTheClientsAreAsked(t *testing.T) {
	up := upstream(t, wheel(t))
	old := planFor(t, up.URL+"/simple/")
	old.recalled = true
	stale, fresh := *old, *old
	stale.recalled, stale.adopted = false, []config.Adoption{{Format: "pypi", Adopted: format.Adopted{URL: "https://upstream.example/"}}}
	fresh.recalled = false
	fresh.repositories = append([]repo.Config{}, old.repositories...)
	fresh.repositories[0].Name = "alpha"
	fresh.log.level = slog.LevelDebug
	asking, goOn := make(chan struct{}), make(chan struct{})
	loads := make(chan func() *plan, 2)
	loads <- func() *plan { close(asking); <-goOn; return &stale }
	u := &underTest{t: t}
	u.begin(func(process Process) error {
		return serve(context.Background(), &process, old, func(context.Context) (*plan, error) { return (<-loads)(), nil })
	})
	defer u.stop()
	<-asking
	loads <- func() *plan { return &fresh }
	u.signals <- syscall.SIGHUP
	u.reloaded()
	close(goOn)
	for ; !strings.Contains(u.log.String(), "asked again meanwhile"); time.Sleep(5 * time.Millisecond) {
		if _, metrics := u.get("-/metrics"); bytes.Contains(metrics, []byte(`millpond_config_reloads_total{result="ok"} 2`)) {
			break
		}
	}
	if resp, _ := u.get("alpha/simple/demo/"); resp.StatusCode != 200 {
		t.Errorf("what the configuration says now = %s, want 200: an older one has taken its place", resp.Status)
	}
	if want := `"settings":"log"`; !strings.Contains(u.log.String(), want) {
		t.Errorf("the log does not say that another log.level wants a start:\n%s", u.log)
	}
}
