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

func (t taking) median() float64 { return median(t.cpu) }

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

// ratio is the median of the rounds' ratios: the two of a round ran within a second of each other, and whatever else the
// machine did was alike for both.
func ratio(a, b taking) float64 {
	var all []float64
	for i := range min(len(a.cpu), len(b.cpu)) {
		all = append(all, a.cpu[i]/b.cpu[i])
	}
	return median(all)
}

// measure sends bursts to each subject in turn, round after round, and reads what each took. A round lasts so long that the
// hundredths of a second in which the kernel counts do not matter.
func (r *rig) measure(ctx context.Context, subjects ...subject) ([]taking, error) {
	rounds, least := 5, 400*time.Millisecond
	if r.quick {
		rounds, least = 2, 100*time.Millisecond
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
			if used >= 100*time.Millisecond {
				counts[i] = max(connections, int(float64(counts[i])*float64(least)/float64(used)))
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
