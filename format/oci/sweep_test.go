package oci

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millpond"
	"millpond/format/formattest"
)

var long = flag.Bool("long", false, "let sweeps and pushes race for a hundred thousand operations")

// TestF37SweepAgainstPushes: people push, mount, tag and delete images that share layers, as clients do who do not upload what is
// there, while sweeps run and days go by. What was answered 201 is whole until it is deleted.
func TestF37SweepAgainstPushes(t *testing.T) {
	operations, people := 160, 4
	if *long {
		operations = 100_000
	}
	h := house(t, claimed, unpublish)
	layers := make([][]byte, 10)
	for i := range layers {
		layers[i] = fmt.Appendf(nil, "layer %d that many images share", i)
	}
	moments, sweeps := make(chan struct{}, 1), 0
	var sweeping, pushing sync.WaitGroup
	sweeping.Go(func() {
		for range moments { // one after a few requests, so that some pushes come through
			if _, err := h.Pond.Sweep(t.Context()); err != nil {
				t.Errorf("sweep: %v", err)
			}
			sweeps++
			h.Pass(3 * time.Hour)
		}
	})
	var requests atomic.Int64
	moment := func() {
		if requests.Add(1)%10 == 0 {
			select {
			case moments <- struct{}{}:
			default: // one is due already
			}
		}
	}
	alive := make([]map[string][]int, people) // by person: tag to the layers of its image
	pushed := make([]int, people)
	image := func(who int) string { return fmt.Sprintf("acme/app%d", who) }
	manifest := func(who int, tag string, parts []int) []byte {
		var all []any
		for _, part := range parts {
			all = append(all, describe("x/layer", layers[part]))
		}
		return asJSON(object{"schemaVersion": 2, "mediaType": typeManifest, "layers": all, "annotations": object{"tag": tag}})
	}
	for who := range people {
		alive[who] = map[string][]int{}
		pushing.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(who), 37))
			c := h.As(formattest.Owner)
			for n := range operations / people {
				tag := fmt.Sprint("t", n)
				if rnd.IntN(4) == 0 {
					for old, parts := range alive[who] {
						digest := millpond.SHA256(manifest(who, old, parts)).String()
						if r := c.Do("DELETE", root+image(who)+"/manifests/"+digest, nil, nil); r.Status != http.StatusAccepted {
							t.Errorf("delete %s: %s", old, r)
						}
						delete(alive[who], old)
						break
					}
					continue
				}
				parts := rnd.Perm(len(layers))[:1+rnd.IntN(3)]
				for _, part := range parts {
					moment()
					b := layers[part]
					digest := millpond.SHA256(b).String()
					if rnd.IntN(2) == 0 {
						if c.Do("HEAD", root+image(who)+"/blobs/"+digest, nil, nil).Status == http.StatusOK {
							continue
						}
					}
					var r formattest.Reply
					if rnd.IntN(2) == 0 {
						r = c.Do("POST", root+image(who)+"/blobs/uploads/?mount="+digest+"&from="+image(rnd.IntN(people)), nil, nil)
					}
					if r.Status == http.StatusAccepted {
						c.At("DELETE", r.Header.Get("Location"), nil, nil)
					}
					if r.Status != http.StatusCreated {
						// With hours a moment an upload may be swept before it is ended: then there is no such upload.
						if r = pushBlob(c, image(who), b); r.Status != http.StatusCreated && r.Status != http.StatusNotFound {
							t.Errorf("push a layer: %s", r)
						}
					}
				}
				m := manifest(who, tag, parts)
				switch r := pushManifest(c, image(who), tag, typeManifest, m); {
				case r.Status == http.StatusCreated:
					alive[who][tag] = parts
					pushed[who]++
				case code(r) != codeManifestBlobUnknown && r.Status != http.StatusNotFound:
					t.Errorf("push a manifest: %s", r)
				}
			}
		})
	}
	pushing.Wait()
	close(moments)
	sweeping.Wait()
	for range 3 {
		h.Pass(48 * time.Hour)
		if _, err := h.Pond.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	checked := 0
	for who := range alive {
		for tag, parts := range alive[who] {
			h.Good(tag, h.Get(root+image(who)+"/manifests/"+tag), manifest(who, tag, parts))
			for _, part := range parts {
				h.Good("a layer of "+tag, h.Get(blobPath(image(who), layers[part])), layers[part])
				checked++
			}
		}
		if pushed[who] == 0 {
			t.Errorf("%s: nothing was pushed", image(who))
		}
	}
	if checked == 0 || sweeps < 3 {
		t.Errorf("%d layers are alive after %d sweeps: the race was none", checked, sweeps)
	}
}
