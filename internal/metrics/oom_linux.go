package metrics

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OOM counts the processes that the kernel ends for want of memory: in the job's own cgroup, in those around it, and on the whole
// machine. The kernel counts a process in its own cgroup, whichever limit was reached, and in version 2 in all those above.
type OOM struct {
	own       *oomPlace // nil: the job has none
	enclosing *oomPlace // the nearest that others are in, too; nil: not known
	around    []*limited
	host      *oomPlace
	log       *kernelLog // nil: it is not for us
	group     string     // name of the job's own cgroup
	report    OOMReport
}

// OOMReport is what is known of processes that were ended for want of memory since the watch began.
type OOMReport struct {
	Own       float64 // in the job's own cgroup: its own processes, and nobody else's
	Enclosing float64 // in the one around it
	Host      float64 // on the whole machine

	Limit          float64 // of the job's own cgroup, in bytes; 0: none
	EnclosingLimit float64 // the least around it, or that which was met; 0: none
	EnclosingGroup string  // the path of that group, as in /proc/self/cgroup; "": not known
	EnclosingMet   bool    // it was met, and the kernel has ended a process for that
	OwnKnown       bool    // Own was read when the job had ended, so that 0 means none

	// Reached is how often the job's own limit was met: 0 with a Limit says that it was another one that had no more. In version 1
	// it counts every time that something had to be reclaimed for it, too.
	Reached float64
	Victims []string // names of processes of the job that were ended, where the kernel's log can be read
}

// oomPlace is one directory with a counter.
type oomPlace struct {
	dir    *directory
	file   string
	before float64
}

// OpenOOM begins to watch. own is the job's cgroup, or nil; around is the supervisor's own directory of the memory controller, "" where
// there is none. What cannot be read is not watched.
func OpenOOM(own *Cgroup, around string) *OOM {
	o := &OOM{host: openPlace("/proc", "vmstat")}
	if own != nil {
		dir := own.V1["memory"]
		if own.Unified != "" {
			dir = own.Unified
		}
		if dir != "" {
			o.group = filepath.Base(dir)
		}
		if o.own = openEvents(dir); o.own != nil {
			o.own.before = 0 // it was made for the job
			o.report.Limit = limitOf(o.own.dir)
		}
		if own.Unified != "" { // what the job's own has counted shows in the one above, which stays when the own one goes
			around = filepath.Dir(own.Unified)
		}
	}
	if around != "" {
		o.enclosing = openEvents(around)
		o.around = limitedAbove(around)
		if l := least(o.around); l != nil {
			o.report.EnclosingLimit, o.report.EnclosingGroup = l.limit, l.path
		}
	}
	if o.group != "" {
		o.log = openKernelLog()
	}
	return o
}

// openEvents opens a cgroup's directory, of either version.
func openEvents(path string) *oomPlace {
	if path == "" {
		return nil
	}
	if p := openPlace(path, "memory.events"); p != nil {
		return p
	}
	return openPlace(path, "memory.oom_control")
}

func openPlace(path, file string) *oomPlace {
	dir, err := openDirectory(path)
	if err != nil {
		return nil
	}
	p := &oomPlace{dir: dir, file: file}
	n, ok := p.read()
	if !ok {
		_ = dir.close() // held for reading only
		return nil
	}
	p.before = n
	return p
}

// read is the counter. Kernels before 4.13 have none.
func (p *oomPlace) read() (n float64, ok bool) {
	text, err := p.dir.read(p.file)
	if err != nil {
		return 0, false
	}
	pairs(text, func(name string, value float64) {
		if name == "oom_kill" {
			n, ok = value, true
		}
	})
	return n, ok
}

// reached is how often a cgroup's own limit was met.
func (p *oomPlace) reached() (n float64) {
	if p.file != "memory.events" {
		n, _ = p.dir.number("memory.failcnt")
		return n
	}
	text, err := p.dir.read(p.file)
	if err != nil {
		return 0
	}
	pairs(text, func(name string, value float64) {
		if name == "oom" {
			n = value
		}
	})
	return n
}

// Sample implements Sampler; it adds no numbers. A cgroup that systemd removes as soon as it is empty is read in time so.
func (o *OOM) Sample(*Sample) error {
	o.report.OwnKnown = false
	if o.own != nil {
		if n, ok := o.own.read(); ok {
			o.report.Own, o.report.OwnKnown = n, true
			o.report.Reached = max(o.report.Reached, o.own.reached())
		}
	}
	for _, p := range []struct {
		place *oomPlace
		into  *float64
	}{{o.enclosing, &o.report.Enclosing}, {o.host, &o.report.Host}} {
		if p.place == nil {
			continue
		}
		if n, ok := p.place.read(); ok {
			*p.into = max(0, n-p.place.before)
		}
	}
	if o.report.Own+o.report.Enclosing > 0 && !o.report.EnclosingMet {
		o.findAround()
	}
	return nil
}

// Report is what was counted by the last sample. It follows Close, too.
func (o *OOM) Report() OOMReport { return o.report }

// Lasts implements Lasting.
func (o *OOM) Lasts() {}

// Close implements Sampler. Of a job that lacked memory the kernel's log is read first.
func (o *OOM) Close() error {
	var errs []error
	if o.log != nil {
		if o.report.Own+o.report.Enclosing > 0 {
			o.report.Victims = o.log.victims(o.group)
		}
		errs = append(errs, o.log.close())
	}
	errs = append(errs, closeAround(o.around))
	for _, p := range []*oomPlace{o.own, o.enclosing, o.host} {
		if p != nil {
			errs = append(errs, p.dir.close())
		}
	}
	return errors.Join(errs...)
}

// removed: a cgroup's directory went while it was open.
func removed(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) }
