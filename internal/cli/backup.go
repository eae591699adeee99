package cli

import (
	"context"
	"fmt"

	"millpond"
	"millpond/internal/backup"
)

type backupCommands struct {
	Make    backupMakeCommand    `cmd:"" default:"withargs" help:"Copy all data into a directory, while the pond serves on. This is meant where nothing else is said."`
	Restore backupRestoreCommand `cmd:"" help:"Make a data directory of a backup."`
}

type backupMakeCommand struct {
	settings
	To   string `arg:"" help:"The directory to make, on another disk if it can be." placeholder:"DIR"`
	Base string `help:"An earlier backup on the same file system: what is there already is linked, not copied." placeholder:"DIR"`
	Link bool   `help:"Link the bytes instead of copying them, on the data's own file system. Quick, and no help against a bad disk."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run backs up a data directory of this machine, whether a pond has it or not.
func (c *backupMakeCommand) Run(ctx context.Context, p *Process) error {
	p.json = c.JSON
	dir, err := c.dataDir(p)
	if err != nil {
		return err
	}
	bar := p.working("backing up")
	m, err := backup.Make(ctx, dir, c.To, backup.Options{Link: c.Link, Base: c.Base, Version: p.Version})
	bar.done()
	if err != nil {
		return err
	}
	if len(m.Damaged) == 0 {
		if err := asOwner(dir, func() error { return noteBackup(dir) }); err != nil { // who may read the data may not be allowed to write there
			fmt.Fprintln(p.Err, "the pond cannot be told of the backup, for its metrics:", err)
		}
	}
	if c.JSON {
		err = printJSON(p.Out, m)
	} else {
		fmt.Fprintf(p.Out, "backed up %d blobs, %s, and the log up to event %d\nnot in it: the configuration, and %s/keys: keep those apart from it\n",
			m.Blobs, size64(m.Bytes), m.Seq, dir)
	}
	if err == nil && len(m.Damaged) > 0 {
		for _, name := range m.Damaged {
			fmt.Fprintln(p.Err, "damaged, and not in the backup:", name)
		}
		return &exit{code: ExitFailed}
	}
	return err
}

type backupRestoreCommand struct {
	From string `arg:"" help:"The backup." placeholder:"DIR"`
	Data string `required:"" help:"The data directory to make: empty, or with nothing but the keys of the pond that was backed up." placeholder:"DIR"`
	Link bool   `help:"Link the bytes instead of copying them: unverified until check --read-data."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run restores a backup.
func (c *backupRestoreCommand) Run(ctx context.Context, p *Process) error {
	p.json = c.JSON
	bar := p.working("restoring")
	m, report, err := backup.Restore(ctx, c.From, c.Data, backup.Options{Link: c.Link, Version: p.Version})
	bar.done()
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(p.Out, report)
	} else {
		fmt.Fprintf(p.Out, "restored what was there on %s, up to event %d; a new epoch of the log begins\n", m.Made.Local().Format("2 January 2006 15:04:05"), m.Seq)
		showReport(p.Out, report)
	}
	if err == nil && len(report.Damage) > report.Repaired {
		return &exit{ExitFailed, &millpond.Error{Kind: millpond.Corrupt, Why: "not all of the backup could be used"}}
	}
	return err
}
