package metrics

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/sys"
)

// Tree measures a job without a cgroup by the processes of its pid namespace.
//
// They are listed by a /proc that shows that namespace and that the job cannot reach. It is complete whatever processes do (fork
// twice, lead sessions, change their names), short however many users a machine has, and never shows the host's.
//
// A process keeps account of the children that it has waited for, so that the living, zombies included, know what the dead have
// used. What children leave whom nobody waits for (SIGCHLD ignored) is added as it was last seen.
type Tree struct {
	IOOnly bool // the rest is measured by a cgroup
	NoInit bool // the first process is the job itself

	first int // the first process of the namespace, an init that is none of the job but for what it has reaped
	proc  *directory
	rank  *proc.Family // nil: all processes are the job's
	seen  map[id]*process
	round int // of the sample
	lost  deficit

	mostUser, mostSystem float64 // of all samples, in seconds

	shared shared
	tick   float64

	largest Process // of the last sample
}

// Process is one of the job's.
type Process struct {
	Name  string  // as it calls itself
	Bytes float64 // resident
}

// Largest is the process that had most memory when the job was last looked at; the zero value when it has not been.
func (t *Tree) Largest() Process { return t.largest }

// id tells processes apart, also when a number is used again.
type id struct {
	pid   int
	start uint64 // in ticks after boot
}

// process is one of the job's as it was last seen.
type process struct {
	round   int
	used    usage
	resides memory
}

// usage is what one process has used so far, in ticks and bytes.
type usage struct {
	user, system      float64
	reapedUser        float64 // by the children that it has waited for
	reapedSystem      float64
	fileRead, fileOut float64 // these two pairs count reaped children, too
	read, written     float64
	io                bool // the four are known
}

func (u usage) ticks() float64  { return u.user + u.system + u.reaped() }
func (u usage) reaped() float64 { return u.reapedUser + u.reapedSystem }

// memory is what one process has resident, in bytes.
type memory struct{ anon, file, shmem, swap, most float64 }

func (m memory) rss() float64 { return m.anon + m.file + m.shmem }

// OpenTree measures the processes that the /proc at a descriptor shows, which is the sampler's from then on. It is the /proc of a pid
// namespace whose first process, the keeper, is none of the job's; the job has a namespace below it, in which its init has a number. If
// that is not 1, the job shares the namespace with others, and its processes are those that descend from the init.
func OpenTree(processes, init int) (*Tree, error) {
	t := &Tree{proc: &directory{fd: processes, buf: make([]byte, 4<<10)}, seen: map[id]*process{}, tick: 1. / proc.TicksPerSecond}
	var err error
	t.first, err = proc.FindInit(processes, init)
	if init != 1 {
		t.rank = &proc.Family{Proc: processes, First: t.first}
	}
	if err == nil && t.first == 0 {
		err = errEnded
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("finding the job's processes: %w", err), t.Close())
	}
	return t, nil
}

var errEnded = errors.New("they have ended")

// Network measures the job's network namespace.
func (t *Tree) Network() (*Network, error) {
	fd, err := sys.OpenBeneath(t.proc.fd, strconv.Itoa(t.first)+"/net/dev", unix.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("looking at the job's network: %w", err)
	}
	return &Network{fd: fd, dir: directory{buf: make([]byte, 4<<10)}}, nil
}

const keeper = 1

// Close lets go of the /proc.
func (t *Tree) Close() error { return t.proc.close() }

// Sample reads every process once.
func (t *Tree) Sample(s *Sample) error {
	pids, err := t.pids()
	if err != nil {
		return fmt.Errorf("listing the job's processes: %w", err)
	}
	sum := total{}
	t.round++
	for _, pid := range pids {
		if pid == keeper {
			continue
		}
		if err := t.look(pid, &sum); err != nil {
			return fmt.Errorf("looking at the job's processes: %w", err)
		}
	}
	if !sum.first {
		return nil // it is ending, and what has vanished is on its first process's account
	}
	t.bury(&sum)
	t.put(s, sum)
	t.largest = sum.process
	return nil
}

// total is the sum of one sample.
type total struct {
	usage
	memory
	processes int
	largest   float64 // resident in one process
	process   Process // that one
	grown     float64 // ticks of reaped children that were added to the living since the last sample
	noIO      bool    // of some process it cannot be known
	first     bool    // the first process is there
}

// pids lists the processes.
func (t *Tree) pids() (pids []int, err error) {
	if t.rank != nil {
		return t.rank.Members()
	}
	return proc.Processes(t.proc.fd)
}

// look adds one process to the sum. One that has ended meanwhile is left out.
func (t *Tree) look(pid int, sum *total) error {
	dir := strconv.Itoa(pid)
	text, err := t.proc.read(dir + "/stat")
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	stat, err := proc.ParseStat(text)
	if err != nil {
		return fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	p := process{round: t.round, used: usageOf(stat)}
	sum.first = sum.first || pid == t.first
	if size := float64(stat.RSS) * float64(os.Getpagesize()); size > sum.process.Bytes && (pid != t.first || t.NoInit) {
		sum.process = Process{Name: stat.Name, Bytes: size}
	}
	if text, err := t.proc.read(dir + "/io"); err == nil {
		parseIO(text, &p.used)
	}
	if pid == t.first && !t.NoInit { // its own part is not the job's, and its memory is a few pages
		p.used.user, p.used.system = 0, 0
	} else if !t.IOOnly {
		text, err := t.proc.read(dir + "/status")
		if err == nil {
			p.resides = parseStatus(text)
		}
		sum.processes++
	}
	key := id{pid, stat.Start}
	if before := t.seen[key]; before != nil {
		sum.grown += p.used.reaped() - before.used.reaped()
	} else {
		t.seen[key] = new(process)
	}
	*t.seen[key] = p
	sum.add(p)
	return nil
}

// gone: a process ended between its listing and a look at it.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

func (sum *total) add(p process) {
	sum.user += p.used.user
	sum.system += p.used.system
	sum.reapedUser += p.used.reapedUser
	sum.reapedSystem += p.used.reapedSystem
	sum.fileRead += p.used.fileRead
	sum.fileOut += p.used.fileOut
	sum.read += p.used.read
	sum.written += p.used.written
	sum.noIO = sum.noIO || !p.used.io
	sum.anon += p.resides.anon
	sum.file += p.resides.file
	sum.shmem += p.resides.shmem
	sum.swap += p.resides.swap
	sum.most = max(sum.most, p.resides.most)
	sum.largest = max(sum.largest, p.resides.rss())
}

// bury forgets the processes that have ended since the last sample, and finds out what of their time nobody has taken over.
func (t *Tree) bury(sum *total) {
	vanished := usage{}
	maps.DeleteFunc(t.seen, func(_ id, p *process) bool {
		if p.round == t.round {
			return false
		}
		vanished.user += p.used.user + p.used.reapedUser
		vanished.system += p.used.system + p.used.reapedSystem
		return true
	})
	t.lost.add(vanished, sum.grown)
}

// deficit is the time of processes that ended and that no other process has on its account.
type deficit struct {
	user, system float64 // ticks
	open         usage   // of the last sample: a parent that was looked at before it waited has it on its account in the next
}

// add takes the account of one sample: what processes had used that were no longer there, and by how much the living's account
// of reaped children has grown.
func (d *deficit) add(vanished usage, grown float64) {
	rest := max(0, d.open.ticks()-max(0, grown-vanished.ticks()))
	if all := d.open.ticks(); all > 0 {
		d.user += d.open.user * rest / all
		d.system += d.open.system * rest / all
	}
	d.open = usage{}
	if missing := vanished.ticks() - grown; missing > 0 {
		share := missing / vanished.ticks()
		d.open = usage{user: vanished.user * share, system: vanished.system * share}
	}
}

// Total completes what wait4(2) says that all processes used, in seconds: it does not know of those that ended without anybody
// waiting for them.
func (t *Tree) Total(user, system float64) (float64, float64) {
	user, system = user+t.lost.user*t.tick, system+t.lost.system*t.tick
	if t.mostUser+t.mostSystem > user+system {
		return t.mostUser, t.mostSystem
	}
	return user, system
}

// put turns the sum into a sample.
func (t *Tree) put(s *Sample, sum total) {
	if !sum.noIO {
		s.Put(FileReadBytes, sum.fileRead, FromProc)
		s.Put(FileWriteBytes, sum.fileOut, FromProc)
		s.Put(ReadBytes, sum.read, FromProc)
		s.Put(WriteBytes, sum.written, FromProc)
	}
	if t.IOOnly {
		return
	}
	user := (sum.user + sum.reapedUser + t.lost.user) * t.tick
	system := (sum.system + sum.reapedSystem + t.lost.system) * t.tick
	if user+system > t.mostUser+t.mostSystem { // less is what ended and is not settled yet
		t.mostUser, t.mostSystem = user, system
	}
	s.Put(UserSeconds, t.mostUser, FromProc)
	s.Put(SystemSeconds, t.mostSystem, FromProc)
	s.Put(CPUSeconds, t.mostUser+t.mostSystem, FromProc)
	s.Put(Processes, float64(sum.processes), FromProc)
	s.Put(SwapBytes, sum.swap, FromProc)
	if sum.processes > 0 {
		over, certain := t.shared.over(t, sum, time.Now())
		// Files in /dev/shm that nobody has mapped are nobody's, and memory all the same.
		unmapped := max(0, s.Get(ShmBytes)-max(0, sum.shmem-over.shmem))
		s.Put(MemoryBytes, max(sum.largest, sum.rss()-over.all)+unmapped, FromProc)
		if !certain {
			s.least = sum.largest + unmapped
		}
		s.Put(AnonShmemBytes, max(0, sum.anon+sum.shmem-over.anon-over.shmem)+unmapped, FromProc)
	}
	s.peak = sum.most
}

// usageOf is what a process and the children that it has waited for have used.
func usageOf(s proc.Stat) usage {
	return usage{user: float64(s.User), system: float64(s.System), reapedUser: float64(s.ReapedUser), reapedSystem: float64(s.ReapedSystem)}
}

// parseIO reads /proc/PID/io.
func parseIO(text []byte, u *usage) {
	pairs(text, func(name string, value float64) {
		switch name {
		case "rchar":
			u.fileRead = value
		case "wchar":
			u.fileOut = value
		case "read_bytes":
			u.read = value
		case "write_bytes":
			u.written, u.io = value, true
		}
	})
}

// parseStatus reads the memory of /proc/PID/status; a zombie has none. Kernels before 4.5 do not tell the kinds apart.
func parseStatus(text []byte) (m memory) {
	pairs(text, func(name string, value float64) {
		switch name {
		case "VmHWM":
			m.most = value * 1024
		case "RssAnon":
			m.anon = value * 1024
		case "RssFile":
			m.file = value * 1024
		case "RssShmem":
			m.shmem = value * 1024
		case "VmSwap":
			m.swap = value * 1024
		}
	})
	return m
}
