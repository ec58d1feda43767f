package metrics

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
)

// limited is a control group around the job that has a limit of its own.
type limited struct {
	dir    *directory
	path   string // below the hierarchy's mount
	limit  float64
	before float64
}

// limitedAbove are a cgroup, when it has a limit, and those above it that have one.
func limitedAbove(path string) (list []*limited) {
	for at := path; len(at) > 1 && filepath.Base(at) != "cgroup"; at = filepath.Dir(at) {
		dir, err := openDirectory(at)
		if err != nil {
			return list
		}
		l := &limited{dir: dir, path: at, limit: limitOf(dir)}
		if l.limit == 0 {
			_ = dir.close() // held for reading only
			continue
		}
		if _, below, ok := strings.Cut(at, "/cgroup/"); ok {
			l.path = "/" + below
		}
		l.before = l.count()
		list = append(list, l)
	}
	return list
}

// limitOf is a cgroup's own limit in bytes; 0: none. Version 1 writes none as nearly 2^63.
func limitOf(d *directory) float64 {
	for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
		if n, ok := d.number(name); ok && n < math.MaxInt64/2 {
			return n
		}
	}
	return 0
}

// count is how often this very limit was met. The counters of version 2 that are not local (before Linux 5.2 there are no others) have
// what was met below, too; that of version 1 has what could be reclaimed.
func (l *limited) count() (n float64) {
	for _, file := range []string{"memory.events.local", "memory.events"} {
		text, err := l.dir.read(file)
		if err != nil {
			continue
		}
		pairs(text, func(name string, value float64) {
			if name == "oom" {
				n = value
			}
		})
		return n
	}
	n, _ = l.dir.number("memory.failcnt")
	return n
}

// least is the tightest of some limits; nil: there are none.
func least(list []*limited) (tightest *limited) {
	for _, l := range list {
		if tightest == nil || l.limit < tightest.limit {
			tightest = l
		}
	}
	return tightest
}

// findAround says which limit around the job has ended a process.
func (o *OOM) findAround() {
	var met []*limited
	for _, l := range o.around {
		if l.count() > l.before {
			met = append(met, l)
		}
	}
	if l := least(met); l != nil {
		o.report.EnclosingLimit, o.report.EnclosingGroup, o.report.EnclosingMet = l.limit, l.path, true
	}
}

func closeAround(list []*limited) (err error) {
	for _, l := range list {
		err = errors.Join(err, l.dir.close())
	}
	return err
}
