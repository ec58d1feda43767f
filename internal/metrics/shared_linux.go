package metrics

import (
	"math"
	"strconv"
	"time"
)

// Pages that processes share (after a fork, in /dev/shm, of one library) are resident in each of them. The kernel says how much
// there is of them only by walking page tables (smaps_rollup), which takes long in large processes and holds up their mmap(2):
// it is asked for rarely, and in between the proportion that was found last is taken for the current one.

const (
	shareMatters = 0.03 // of the memory; less is not looked for
	// A change of the plain sum from which on the difference is found anew, as a part of what is really there: it may be less of the
	// plain sum than of that by as many times as there are processes.
	shareChanged = 0.02
	// Processes are looked at one after another. When their plain sum is another after that, by more than this part of what is there,
	// one of them was taking up what others have: those looked at before it have it counted in full.
	shareSteady = 0.01
	// Looks take at most this part of one core, and there is one every minute at least where it matters.
	shareDuty  = 1. / 200
	shareStale = time.Minute
)

// shared finds out by how much a plain sum of resident memory counts pages twice.
type shared struct {
	last excess
	of   float64   // the plain sum when last was found
	real float64   // what there really was then
	at   time.Time // when; zero: never
	next time.Time // not before
}

// excess is a difference in bytes.
type excess struct{ all, anon, shmem float64 }

// over is by how much the sum of a sample is too great, and whether that is certain. What is really there lies between the largest process and the sum: where
// those are close, nothing is looked for.
func (h *shared) over(t *Tree, sum total, now time.Time) (over excess, certain bool) {
	rss := sum.rss()
	if rss-sum.largest <= shareMatters*rss {
		return excess{}, true
	}
	changed := h.at.IsZero() || now.Sub(h.at) > shareStale || math.Abs(rss-h.of) > shareChanged*h.real
	if changed && !now.Before(h.next) {
		began := cpuTime()
		if proportional, ok := t.proportional(); ok {
			h.last = excess{max(0, rss-proportional.rss()), max(0, sum.anon-proportional.anon), max(0, sum.shmem-proportional.shmem)}
			h.of, h.real, h.at, changed = rss, proportional.rss(), now, false
			if math.Abs(t.plain()-rss) > shareSteady*h.real {
				h.at, changed = time.Time{}, true
			}
		}
		h.next = now.Add(time.Duration(float64(cpuTime()-began) / shareDuty))
	}
	if h.of == 0 {
		return excess{}, false
	}
	part := rss / h.of
	return excess{h.last.all * part, h.last.anon * part, h.last.shmem * part}, !changed
}

// proportional is the memory of all processes, in which a page that n processes share counts 1/n in each. ok is false when the
// kernel does not tell of one that is there.
func (t *Tree) proportional() (sum memory, ok bool) {
	for key, p := range t.seen {
		if p.resides.rss() == 0 {
			continue // init, a zombie
		}
		text, err := t.proc.read(strconv.Itoa(key.pid) + "/smaps_rollup")
		if gone(err) {
			continue
		}
		if err != nil {
			return sum, false
		}
		m, known := parseRollup(text)
		if !known {
			return sum, false
		}
		sum.anon += m.anon
		sum.file += m.file
		sum.shmem += m.shmem
	}
	return sum, true
}

// plain is the memory of all processes, in which a page that n processes share counts n times.
func (t *Tree) plain() (sum float64) {
	for key, p := range t.seen {
		if p.resides.rss() == 0 {
			continue
		}
		text, err := t.proc.read(strconv.Itoa(key.pid) + "/status")
		if err == nil { // it has not ended
			m := parseStatus(text)
			sum += m.rss()
		}
	}
	return sum
}

// parseRollup reads the proportional sizes of smaps_rollup. Before Linux 5.9 it does not tell the kinds apart.
func parseRollup(text []byte) (m memory, ok bool) {
	kinds := 0
	pairs(text, func(name string, value float64) {
		switch name {
		case "Pss_Anon":
			m.anon, kinds = value*1024, kinds+1
		case "Pss_File":
			m.file, kinds = value*1024, kinds+1
		case "Pss_Shmem":
			m.shmem, kinds = value*1024, kinds+1
		}
	})
	return m, kinds == 3
}
