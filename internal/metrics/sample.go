package metrics

import (
	"iter"
	"math/bits"
	"time"
)

// Field is one number of a sample.
type Field int

// The counters, in seconds and bytes since the job's start, then the gauges.
const (
	CPUSeconds Field = iota
	UserSeconds
	SystemSeconds
	ThrottledSeconds // had work and was kept from it by its CPU limit
	ReadBytes        // from block devices
	WriteBytes       // to them, when a page is made dirty
	FileReadBytes    // by system calls, whatever the file system and its cache
	FileWriteBytes
	ReceivedBytes // over a network of the job's own
	SentBytes
	CPUPressure // seconds in which some process waited, see the kernel's accounting/psi.rst
	MemoryPressure
	IOPressure
	counters

	MemoryBytes Field = iota - 1
	AnonShmemBytes
	SwapBytes
	Processes
	ShmBytes // in /dev/shm
	CPUCores // busy in the last second
	fieldCount
)

// names are those in the record.
var names = [fieldCount]string{
	"cpu_seconds", "user_seconds", "system_seconds", "throttled_seconds", "read_bytes", "write_bytes", "file_read_bytes", "file_write_bytes",
	"received_bytes", "sent_bytes", "pressure_cpu_seconds", "pressure_memory_seconds", "pressure_io_seconds",
	"memory_bytes", "anon_shmem_bytes", "swap_bytes", "processes", "shm_bytes", "cpu_cores",
}

func (f Field) String() string { return names[f] }

// Counter tells counters from gauges.
func (f Field) Counter() bool { return f < counters }

// Fields are all of them.
func Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for f := range fieldCount {
			if !yield(f) {
				return
			}
		}
	}
}

// Source says where a number is from.
type Source string

// The sources. A cgroup's counts the job, all of it and nothing else; Enclosing counts others too; Proc sums up the job's processes
// as /proc shows them; Rusage is what wait4(2) gives for those that have ended; Host is of the whole machine.
const (
	FromCgroup Source = "cgroup"
	Enclosing  Source = "enclosing-cgroup"
	FromProc   Source = "proc"
	Rusage     Source = "rusage"
	Host       Source = "host"
)

// Sample is what was measured at one moment. The zero value has nothing.
type Sample struct {
	At   time.Duration // since the job's start
	GPUs []GPU         // that were looked at since the sample before

	least   float64 // MemoryBytes is an estimate that is no less than this; 0: it is none
	peak    float64 // greatest MemoryBytes that the kernel itself has seen so far; 0: it does not say
	set     uint32
	values  [fieldCount]float64
	sources [fieldCount]Source
}

// Sampler reads one source. Sample adds its numbers to those that are there; a number it cannot have it leaves out. It returns
// within a second, whatever state the job is in. Calls do not overlap, and Close is the last.
type Sampler interface {
	Sample(*Sample) error
	Close() error
}

// Lasting is a Sampler that can still be read when the job has ended.
type Lasting interface {
	Sampler
	Lasts()
}

// ending is a Lasting sampler that wants to be told that the job has ended, before its last sample.
type ending interface{ Ended() }

// Put sets a number and says where it is from.
func (s *Sample) Put(f Field, value float64, from Source) {
	s.values[f], s.sources[f] = value, from
	s.set |= 1 << f
}

// add is Put, on top of what is there.
func (s *Sample) add(f Field, value float64, from Source) {
	if !s.Has(f) {
		s.values[f] = 0
	}
	s.Put(f, s.values[f]+value, from)
}

// drop takes a number out.
func (s *Sample) drop(f Field) { s.set &^= 1 << f }

// Has reports whether a number was measured.
func (s *Sample) Has(f Field) bool { return s.set&(1<<f) != 0 }

// Get is a number; 0 when it was not measured.
func (s *Sample) Get(f Field) float64 {
	if !s.Has(f) {
		return 0
	}
	return s.values[f]
}

// Source is where a number is from; "" when it was not measured.
func (s *Sample) Source(f Field) Source {
	if !s.Has(f) {
		return ""
	}
	return s.sources[f]
}

// Empty reports whether nothing was measured.
func (s *Sample) Empty() bool { return bits.OnesCount32(s.set) == 0 && len(s.GPUs) == 0 }
