package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// aptCacherNG starts Debian's apt-cacher-ng on an empty folder, or returns nil where it is not installed. What it is asked for is
// below the host and port of the archive.
func (r *rig) aptCacherNG(ctx context.Context, ready string) (*process, error) {
	program, err := exec.LookPath("apt-cacher-ng")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/apt-cacher-ng"); err != nil {
			return nil, nil
		}
	}
	addr, err := lowPort()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	dir := r.folder("acng")
	text := fmt.Sprintf("ForeGround: 1\nBindAddress: 127.0.0.1\nPort: %s\nCacheDir: %[2]s/cache\nLogDir: %[2]s/log\nSocketPath: %[2]s/socket\nPidFile: %[2]s/pid\nAllowUserPorts: 0\nVerboseLog: 0\n", port, dir)
	for _, folder := range []string{"cache", "log"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "acng.conf"), []byte(text), 0o644); err != nil {
		return nil, err
	}
	return r.start(launch(ctx, "apt-cacher-ng", addr, ready, filepath.Join(dir, "out"), program, "-c", dir))
}

// lowPort is a free address whose port fits 15 bits: apt-cacher-ng takes no other.
func lowPort() (string, error) {
	for try := 0; ; try++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000)))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
		if try == 100 {
			return "", err
		}
	}
}

// debianPeer: the pond beside apt-cacher-ng, each reading through to the same archive and warm. Its threads come and go, so that
// there are no figures of what they use.
func debianPeer(ctx context.Context, r *rig, p *pond) error {
	const release = "dists/stable/InRelease"
	from, err := lowPort() // which it takes no other of an archive either
	if err != nil {
		return err
	}
	dir := r.folder("upstream")
	if _, err := r.start(launch(ctx, "upstream", from, "/-/ready", filepath.Join(dir, "log"), r.self, "role", "upstream", from, dir)); err != nil {
		return err
	}
	below := "/" + from + "/debian/"
	peer, err := r.aptCacherNG(ctx, below+release)
	if err != nil {
		return err
	}
	if peer == nil {
		r.print(Row{What: "warm InRelease and .deb"}.missing("apt-cacher-ng is not installed"))
		return nil
	}
	for _, one := range []struct {
		what, path string
		clients, n int
	}{{"warm InRelease, 1 client", release, 1, 50}, {"warm .deb, 16 clients", benchDeb, 16, 160}, {"warm InRelease, 64 clients", release, 64, 640}} {
		var rates, refused [2]float64
		for i, at := range []string{"http://" + p.addr + "/debian/" + one.path, "http://" + peer.addr + below + one.path} {
			if rates[i], refused[i], err = askAll(ctx, at, one.clients, one.n); err != nil {
				return err
			}
		}
		r.print(Row{What: one.what + ", answers", Unit: "1/s", Pond: rates[0]}.against(peer.name, rates[1]).ratioAtLeast(1))
		r.print(Row{What: fmt.Sprintf("%s, refused of %d", one.what, one.n), Pond: refused[0]}.against(peer.name, refused[1]).atMost(0))
	}
	return nil
}

// askAll asks n times, as a client does that opens another connection where one was closed. It returns the rate of whole
// answers, and how many were none.
func askAll(ctx context.Context, address string, clients, n int) (rate, refused float64, err error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var left, bad atomic.Int64
	left.Store(int64(n))
	var wait sync.WaitGroup
	began := time.Now()
	for range clients {
		wait.Go(func() {
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				if !whole(ctx, client, address) {
					bad.Add(1)
				}
			}
		})
	}
	wait.Wait()
	return float64(int64(n)-bad.Load()) / time.Since(began).Seconds(), float64(bad.Load()), ctx.Err()
}

// whole reports whether an address is answered with 200 and a whole body.
func whole(ctx context.Context, client *http.Client, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}
