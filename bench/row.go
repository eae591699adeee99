package main

import (
	"fmt"
	"math"
	"time"
)

// A Row is one line of the table: what the pond took, what a reference beside it took, and what was aimed at.
type Row struct {
	What    string  `json:"what"`
	Unit    string  `json:"unit"` // "ns", "B", "B/s", "1/s", or "" for a count
	Pond    float64 `json:"pond"`
	Against string  `json:"against,omitempty"` // what the reference is; "" if there is none
	Ref     float64 `json:"reference,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`
	Aim     string  `json:"aim,omitempty"`
	Verdict string  `json:"verdict,omitempty"` // ok, miss, or "" where nothing is aimed at
	Note    string  `json:"note,omitempty"`
}

// against compares with a reference, and gives the ratio.
func (r Row) against(name string, ref float64) Row {
	r.Against, r.Ref = name, ref
	if ref != 0 {
		r.Ratio = r.Pond / ref
	}
	return r
}

// ratioAtMost aims at a ratio.
func (r Row) ratioAtMost(most float64) Row {
	return r.aim(fmt.Sprintf("≤ %.2f ×", most), r.Ratio <= most)
}

// ratioAtLeast aims at a ratio from above.
func (r Row) ratioAtLeast(least float64) Row {
	return r.aim(fmt.Sprintf("≥ %.2f ×", least), r.Ratio >= least)
}

// atMost aims at a figure.
func (r Row) atMost(most float64) Row {
	return r.aim("≤ "+figure(most, r.Unit), r.Pond <= most)
}

// atLeast aims at a figure from above.
func (r Row) atLeast(least float64) Row {
	return r.aim("≥ "+figure(least, r.Unit), r.Pond >= least)
}

// moreAtMost aims at a distance from the reference.
func (r Row) moreAtMost(more float64) Row {
	return r.aim("≤ + "+figure(more, r.Unit), r.Pond <= r.Ref+more)
}

func (r Row) aim(text string, reached bool) Row {
	r.Aim, r.Verdict = text, "miss"
	if reached {
		r.Verdict = "ok"
	}
	return r
}

// missing is a row whose reference cannot be had here.
func (r Row) missing(why string) Row {
	r.Against = why
	return r
}

const line = "%-58s %10s  %-24s %10s %6s  %-10s %s\n"

func printHead() { fmt.Printf(line, "", "pond", "against", "", "ratio", "aim", "") }

func printRow(r Row) {
	ref, ratio := "", ""
	if r.Ref != 0 {
		ref = figure(r.Ref, r.Unit)
	}
	if r.Ratio != 0 {
		ratio = fmt.Sprintf("%.2f", r.Ratio)
	}
	verdict := r.Verdict
	if r.Note != "" {
		verdict += " (" + r.Note + ")"
	}
	fmt.Printf(line, r.What, figure(r.Pond, r.Unit), r.Against, ref, ratio, r.Aim, verdict)
}

// figure prints a number with three digits and its unit.
func figure(v float64, unit string) string {
	switch unit {
	case "ns":
		d := time.Duration(v)
		switch {
		case d >= time.Second:
			return digits(d.Seconds()) + " s"
		case d >= time.Millisecond:
			return digits(v/1e6) + " ms"
		default:
			return digits(v/1e3) + " µs"
		}
	case "B":
		switch {
		case math.Abs(v) >= 1e9:
			return digits(v/1e9) + " GB"
		case math.Abs(v) >= 1e6:
			return digits(v/1e6) + " MB"
		case math.Abs(v) >= 1e3:
			return digits(v/1e3) + " kB"
		}
		return digits(v) + " B"
	case "B/s":
		return figure(v, "B") + "/s"
	case "1/s":
		return fmt.Sprintf("%.0f /s", v)
	}
	return digits(v)
}

func digits(v float64) string {
	switch a := math.Abs(v); {
	case a == math.Trunc(a) && a < 1e6, a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
