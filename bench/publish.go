package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"time"
)

// publishing: what is published here, and what it costs to say who one is.
func publishing(ctx context.Context, r *rig) error {
	times := 100
	if r.quick {
		times = 10
	}
	p, err := r.newPond(ctx)
	if err != nil {
		return err
	}
	token, err := p.owner(ctx)
	if err != nil {
		return err
	}
	least, err := r.keeper(ctx, "")
	if err != nil {
		return err
	}
	var took, floor []float64
	for i := range times {
		body, err := moduleZip(i)
		if err != nil {
			return err
		}
		direct, err := put(ctx, "http://"+least.addr+"/"+fmt.Sprint(i), "", body)
		if err != nil {
			return err
		}
		through, err := put(ctx, "http://"+p.addr+"/hosted/upload", token, body)
		if err != nil {
			return err
		}
		floor, took = append(floor, float64(direct)), append(took, float64(through))
	}
	r.print(Row{What: "publish a file of 1 MiB, p50", Unit: "ns", Pond: median(took)}.against(least.name, median(floor)).atMost(15e6))
	path := "/golang/bench.example/mod-1000-a/@v/v1.0.0.mod"
	if _, err := p.warm(ctx, path); err != nil {
		return err
	}
	all, err := r.measure(ctx, subject{p.process, request{path: path, headers: []string{"Authorization: Bearer " + token}}}, subject{p.process, request{path: path}})
	if err != nil {
		return err
	}
	r.print(cpuRow("warm golang .mod with a token, CPU a request", all[0], "anonymous", all[1]).moreAtMost(5e3))
	return nil
}

var setupSecret = regexp.MustCompile(`setup secret: (\S+)`) // never changed

// owner makes the pond's first user, with the secret that it has printed, and returns a token of theirs.
func (p *pond) owner(ctx context.Context) (string, error) {
	said, err := os.ReadFile(p.log)
	if err != nil {
		return "", err
	}
	found := setupSecret.FindSubmatch(said)
	if found == nil {
		return "", errors.New("the pond has printed no setup secret")
	}
	wish, err := json.Marshal(map[string]string{"secret": string(found[1]), "name": "bench", "password": "correct horse battery staple"})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+"/-/api/setup", bytes.NewReader(wish))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var made struct{ Secret string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.Secret == "" {
		return "", fmt.Errorf("make the first user: %s, %v", resp.Status, err)
	}
	return made.Secret, nil
}

// moduleZip is a version of a module with a zip of 1 MiB.
func moduleZip(n int) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	top := fmt.Sprintf("bench.example/published@v1.0.%d/", n)
	for _, f := range []struct {
		name string
		body io.Reader
	}{
		{"go.mod", bytes.NewReader([]byte("module bench.example/published\n\ngo 1.24\n"))},
		{"data.bin", io.LimitReader(&pattern{newBlock(fmt.Sprint("published", n)), 0}, 1<<20)},
	} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: top + f.name, Method: zip.Store, Modified: published})
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, f.body); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// put sends a body, and returns how long it took until the answer was there: 201, and no other.
func put(ctx context.Context, address, token string, body []byte) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s answers %s: %.300s", address, resp.Status, said)
	}
	return took, err
}
