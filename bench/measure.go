package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A subject is one server with the request that it is measured by.
type subject struct {
	*process
	request
}

// A taking is what one subject took, round by round.
type taking struct {
	cpu  []float64 // nanoseconds of processor time a request
	took []burst
}

// least is the best of the rounds: whatever else the machine does only adds to what a request takes, through caches and
// cores that are shared, so that the least is nearest to the truth.
func (t taking) least() float64 { return slices.Min(t.cpu) }

// rate is the best of the rounds, for the machine has other work.
func (t taking) rate() float64 {
	best := 0.0
	for _, b := range t.took {
		best = max(best, b.rate())
	}
	return best
}

// tail is the 99th percentile of the best round.
func (t taking) tail() time.Duration {
	best := t.took[0].percentile(99)
	for _, b := range t.took[1:] {
		best = min(best, b.percentile(99))
	}
	return best
}

func median(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

// measure sends bursts to each subject in turn, round after round, and reads what each took. The rounds
// are short and many, so that each subject meets quiet moments and all meet the same noise.
func (r *rig) measure(ctx context.Context, subjects ...subject) ([]taking, error) {
	rounds, least := 15, 150*time.Millisecond
	if r.quick {
		rounds, least = 5, 50*time.Millisecond
	}
	out, counts := make([]taking, len(subjects)), make([]int, len(subjects))
	lines := make([][]*connection, len(subjects))
	for i, s := range subjects {
		var err error
		if lines[i], err = dial(ctx, s.addr, connections); err != nil {
			return nil, err
		}
		defer hangUp(lines[i])
		for counts[i] = connections; ; counts[i] *= 4 {
			_, used, err := s.burst(ctx, lines[i], counts[i])
			if err != nil {
				return nil, err
			}
			if used >= least/4 {
				counts[i] = max(connections, int(float64(counts[i])*float64(least)/float64(used+1)))
				break
			}
		}
	}
	for range rounds {
		for i, s := range subjects {
			b, used, err := s.burst(ctx, lines[i], counts[i])
			if err != nil {
				return nil, err
			}
			out[i].cpu = append(out[i].cpu, float64(used)/float64(b.n))
			out[i].took = append(out[i].took, b)
		}
	}
	return out, nil
}

// burst sends n requests and says how much processor time they took the server.
func (s subject) burst(ctx context.Context, all []*connection, n int) (burst, time.Duration, error) {
	before, err := s.cpu()
	if err != nil {
		return burst{}, 0, err
	}
	b, err := send(ctx, all, s.addr, s.request, n)
	if err != nil {
		return b, 0, fmt.Errorf("%s: %w", s.name, err)
	}
	after, err := s.cpu()
	return b, after - before, err
}
