package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
)

// Cgroup names the cgroup directories to measure a job by. Either Unified is set or V1.
type Cgroup struct {
	Unified   string            // of version 2
	V1        map[string]string // of version 1, by controller: cpu, cpuacct, memory, blkio, pids
	Enclosing bool              // others are in there, too
}

// label is the source of its numbers.
func (c Cgroup) label() Source {
	if c.Enclosing {
		return Enclosing
	}
	return FromCgroup
}

// Open opens the directories, which may be removed from then on; what was not read by then is lost.
func (c Cgroup) Open() (Sampler, error) {
	if c.Unified != "" {
		d, err := openDirectory(c.Unified)
		if err != nil {
			return nil, fmt.Errorf("opening the job's cgroup: %w", err)
		}
		return &cgroup2{d, c.label()}, nil
	}
	g := &cgroup1{dirs: map[string]*directory{}, from: c.label()}
	for controller, path := range c.V1 {
		d, err := openDirectory(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening the job's cgroup: %w", err), g.Close())
		}
		g.dirs[controller] = d
	}
	return g, nil
}

// cgroup2 reads one directory of version 2, see the kernel's cgroup-v2.rst. cpu.stat is in every one, whatever controllers it has.
type cgroup2 struct {
	*directory
	from Source
}

func (g *cgroup2) Close() error { return g.close() }

// Lasts implements Lasting.
func (g *cgroup2) Lasts() {}

func (g *cgroup2) Sample(s *Sample) error {
	text, err := g.read("cpu.stat")
	if removed(err) {
		return nil // systemd removes one as soon as it is empty: what was read before counts
	}
	if err != nil {
		return fmt.Errorf("reading the job's cgroup: %w", err)
	}
	pairs(text, func(name string, value float64) {
		switch name {
		case "usage_usec":
			s.Put(CPUSeconds, value/1e6, g.from)
		case "user_usec":
			s.Put(UserSeconds, value/1e6, g.from)
		case "system_usec":
			s.Put(SystemSeconds, value/1e6, g.from)
		case "throttled_usec":
			s.Put(ThrottledSeconds, value/1e6, g.from)
		}
	})
	g.memory(s)
	if n, ok := g.number("pids.current"); ok {
		s.Put(Processes, n, g.from)
	}
	if text, err := g.read("io.stat"); err == nil {
		read, written := ioStat(text)
		s.Put(ReadBytes, read, g.from)
		s.Put(WriteBytes, written, g.from)
	}
	for name, field := range map[string]Field{"cpu.pressure": CPUPressure, "memory.pressure": MemoryPressure, "io.pressure": IOPressure} {
		if text, err := g.read(name); err == nil {
			if seconds, ok := pressure(text); ok {
				s.Put(field, seconds, g.from)
			}
		}
	}
	return nil
}

func (g *cgroup2) memory(s *Sample) {
	if n, ok := g.number("memory.current"); ok {
		s.Put(MemoryBytes, n, g.from)
	}
	if n, ok := g.number("memory.peak"); ok && !s.fromOthers(g.from) {
		s.peak = n
	}
	if n, ok := g.number("memory.swap.current"); ok {
		s.Put(SwapBytes, n, g.from)
	}
	text, err := g.read("memory.stat")
	if err != nil {
		return
	}
	pairs(text, func(name string, value float64) {
		if name == "anon" || name == "shmem" {
			s.add(AnonShmemBytes, value, g.from)
		}
	})
}

// fromOthers: what a source has seen before the job began is not the job's.
func (s *Sample) fromOthers(from Source) bool { return from == Enclosing }

// ioStat sums up the devices of io.stat: "8:0 rbytes=1 wbytes=2 ...".
func ioStat(text []byte) (read, written float64) {
	for field := range bytes.FieldsSeq(text) {
		if v, ok := bytes.CutPrefix(field, []byte("rbytes=")); ok {
			n, _ := parseNumber(v)
			read += n
		}
		if v, ok := bytes.CutPrefix(field, []byte("wbytes=")); ok {
			n, _ := parseNumber(v)
			written += n
		}
	}
	return read, written
}

// pressure reads the line "some avg10=... total=MICROSECONDS" of a pressure file.
func pressure(text []byte) (seconds float64, ok bool) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.HasPrefix(line, []byte("some ")) {
		return 0, false
	}
	_, total, _ := bytes.Cut(line, []byte("total="))
	n, ok := parseNumber(bytes.TrimSpace(total))
	return n / 1e6, ok
}

// cgroup1 reads directories of version 1, see the kernel's cgroup-v1/*.rst.
type cgroup1 struct {
	dirs map[string]*directory
	from Source
}

// Lasts implements Lasting.
func (g *cgroup1) Lasts() {}

func (g *cgroup1) Close() error {
	var errs []error
	for _, d := range g.dirs {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

func (g *cgroup1) Sample(s *Sample) error {
	for controller, read := range map[string]func(*directory, *Sample){
		"cpuacct": g.cpu, "cpu": g.throttling, "memory": g.memory, "blkio": g.blocks, "pids": g.pids,
	} {
		if d := g.dirs[controller]; d != nil {
			read(d, s)
		}
	}
	return nil
}

func (g *cgroup1) cpu(d *directory, s *Sample) {
	for name, field := range map[string]Field{"cpuacct.usage": CPUSeconds, "cpuacct.usage_user": UserSeconds, "cpuacct.usage_sys": SystemSeconds} {
		if n, ok := d.number(name); ok {
			s.Put(field, n/1e9, g.from)
		}
	}
}

func (g *cgroup1) throttling(d *directory, s *Sample) {
	text, err := d.read("cpu.stat")
	if err != nil {
		return
	}
	pairs(text, func(name string, value float64) {
		if name == "throttled_time" {
			s.Put(ThrottledSeconds, value/1e9, g.from)
		}
	})
}

func (g *cgroup1) memory(d *directory, s *Sample) {
	if n, ok := d.number("memory.usage_in_bytes"); ok {
		s.Put(MemoryBytes, n, g.from)
	}
	if n, ok := d.number("memory.max_usage_in_bytes"); ok && !s.fromOthers(g.from) {
		s.peak = n
	}
	text, err := d.read("memory.stat")
	if err != nil {
		return
	}
	pairs(text, func(name string, value float64) { // rss is anonymous memory without shmem
		switch name {
		case "total_rss", "total_shmem":
			s.add(AnonShmemBytes, value, g.from)
		case "total_swap":
			s.Put(SwapBytes, value, g.from)
		}
	})
}

// blocks reads lines "8:0 Read 4096".
func (g *cgroup1) blocks(d *directory, s *Sample) {
	text, err := d.read("blkio.throttle.io_service_bytes_recursive")
	if err != nil {
		if text, err = d.read("blkio.throttle.io_service_bytes"); err != nil {
			return
		}
	}
	s.Put(ReadBytes, 0, g.from)
	s.Put(WriteBytes, 0, g.from)
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			continue
		}
		n, _ := parseNumber(fields[2])
		switch string(fields[1]) {
		case "Read":
			s.add(ReadBytes, n, g.from)
		case "Write":
			s.add(WriteBytes, n, g.from)
		}
	}
}

func (g *cgroup1) pids(d *directory, s *Sample) {
	if n, ok := d.number("pids.current"); ok {
		s.Put(Processes, n, g.from)
	}
}
