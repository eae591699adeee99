// Bench measures a pond beside references that run in the same minute on the same machine, and prints figures and ratios.
// It is no test: nothing fails because a machine is slow. README.md explains how to read the table.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	quick bool   // smaller counts: for a look, not for figures
	full  bool   // the counts that need a large machine and time
	real  bool   // the installs from real upstreams
	json  bool   // rows as JSON, one a line
	pond  string // a millpond that was built already
	keep  bool   // the temporary folder stays
	apart bool   // clients of real installs and their pond have processors of their own
}

// A bench is a group of rows that share a set-up. Its name is what -only matches.
type bench struct {
	name string
	run  func(ctx context.Context, r *rig) error
	real bool // only with -real
}

var benches = []bench{
	{name: "warm files", run: warmFiles},
	{name: "warm indexes", run: warmIndexes},
	{name: "warm small files", run: warmSmall},
	{name: "unchanged", run: unchanged},
	{name: "cold file", run: coldFile},
	{name: "herd", run: herd},
	{name: "outage", run: outage},
	{name: "flood", run: flood},
	{name: "check", run: check},
	{name: "bombs", run: bombs},
	{name: "large documents", run: largeDocuments},
	{name: "modules", run: modules},
	{name: "publishing", run: publishing},
	{name: "rubygems", run: rubygems},
	{name: "raw", run: rawFiles},
	{name: "layers", run: layers},
	{name: "images", run: images},
	{name: "debian warm", run: debianWarm},
	{name: "debian hosted", run: debianHosted},
	{name: "start", run: start},
	{name: "adoption", run: adoption},
	{name: "installs pip", run: installs(withPip), real: true},
	{name: "installs npm", run: installs(withNpm), real: true},
	{name: "installs go", run: installs(withGo), real: true},
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "role" {
		if err := runRole(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	only := flag.String("only", "", "run the groups of rows whose name matches this regular `expression`")
	flag.BoolVar(&o.quick, "quick", false, "smaller counts, for a look")
	flag.BoolVar(&o.full, "full", false, "the largest counts: 500 MB to 1,000 clients, a start with a million blobs")
	flag.BoolVar(&o.real, "real", false, "also install real packages, from where this machine's clients are set up to read")
	flag.BoolVar(&o.apart, "apart", false, "give the clients of real installs the first processor and their pond the others, as if it ran on a machine of its own")
	flag.BoolVar(&o.json, "json", false, "print rows as JSON, one a line")
	flag.StringVar(&o.pond, "pond", "", "measure this `program` instead of building ./cmd/millpond")
	flag.BoolVar(&o.keep, "keep", false, "leave the temporary folder, with the pond's log, and say where it is")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench:", err, flag.Args())
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, pattern); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run runs the groups that are wanted and prints their rows as they come.
func run(ctx context.Context, o options, only *regexp.Regexp) error {
	r, err := newRig(ctx, o)
	if err != nil {
		return err
	}
	defer r.close()
	print := printRow
	if o.json {
		print = func(row Row) { json.NewEncoder(os.Stdout).Encode(row) }
	} else {
		load, _ := os.ReadFile("/proc/loadavg") // only said, never judged by
		fmt.Printf("%s, %s, %d cores, load %.4s\n\n", time.Now().Format("2 January 2006"), runtime.Version(), runtime.NumCPU(), load)
		printHead()
	}
	r.print = print
	for _, b := range benches {
		if !only.MatchString(b.name) || b.real && !o.real {
			continue
		}
		if err := b.run(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		r.stopAll()
	}
	return ctx.Err()
}
