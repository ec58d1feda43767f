package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A contender is one way to do what a comparison measures.
type contender struct {
	name    string
	program string // has to be on the PATH, or be a path
	// before and after surround a run, outside its time. They may be nil.
	before, after func() error
	// command is the run with this number; numbers are never used twice.
	command func(ctx context.Context, number int) *exec.Cmd
}

// A field is the contenders of one comparison.
type field struct {
	contenders []contender
	reference  string // the contender whose time is 1
	peer       string // another one to compare with; may be ""
	columns    []column
	subject    string // what is started or pulled
	rounds     int
	warmup     int
	// watch is the interval at which memory is read. In short runs reading disturbs: then it is read in extra rounds, whose
	// time does not count.
	watch time.Duration
	extra int

	// What is counted beside each run; nil where it cannot be.
	served  func() int64          // bytes that the registry sent
	disk    func() (int64, error) // bytes that reached the disk
	content int64                 // bytes of the image, compressed and unpacked; 0: not known

	number int
	stderr *os.File // of the run that is on; a file, so that nothing has to be read meanwhile
}

// run measures everyone who can take part: the warm-up shows who, then each round gives each one turn, and each round another
// one the first.
func (f *field) run(ctx context.Context, title string, o options, b *workshop) (t table, err error) {
	name := filepath.Join(b.dir, "stderr")
	if f.stderr, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return table{}, err
	}
	defer func() { err = errors.Join(err, f.stderr.Close()) }()
	rounds, warmup := f.rounds, f.warmup
	if o.rounds >= 0 {
		rounds = o.rounds
	}
	if o.warmup >= 0 {
		warmup = o.warmup
	}
	t = table{Name: title, Subject: f.subject, Rounds: rounds, Reference: f.reference, Peer: f.peer, Content: f.content, columns: f.columns}
	present := f.present(ctx, warmup, o.only, &t)
	timed := f.watch
	if f.extra > 0 {
		timed = 0
	}
	_, _ = fmt.Fprintf(b.log, "%s: %d contenders, %d rounds\n", title, len(present), rounds+f.extra)
	samples := make([][]sample, len(present))
	for round := range rounds + f.extra {
		every := timed
		if round >= rounds {
			every = f.watch
		}
		for turn := range present {
			i := (turn + round) % len(present)
			s, err := f.once(ctx, present[i], every)
			if err != nil {
				return table{}, fmt.Errorf("%s, round %d: %w", present[i].name, round+1, err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	for i, c := range present {
		t.Rows = append(t.Rows, newRow(c.name, samples[i][:rounds], samples[i]))
	}
	t.compare()
	return t, ctx.Err()
}

// present runs the warm-up and notes in the table who does not take part, and why.
func (f *field) present(ctx context.Context, warmup int, only string, t *table) (present []contender) {
	for _, c := range f.contenders {
		if !chosen(c.name, only) {
			continue
		}
		if !installed(c.program) {
			t.Skipped = append(t.Skipped, skip{c.name, "not here"})
			continue
		}
		var err error
		for range warmup {
			if _, err = f.once(ctx, c, 0); err != nil {
				break
			}
		}
		if err != nil {
			t.Skipped = append(t.Skipped, skip{c.name, err.Error()})
			continue
		}
		present = append(present, c)
	}
	return present
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// chosen reports whether a name starts with one of the comma-separated words, or the list is empty.
func chosen(name, only string) bool {
	return only == "" || slices.ContainsFunc(strings.Split(only, ","), func(word string) bool {
		return word != "" && strings.HasPrefix(name, word)
	})
}

// once runs a contender once. An error carries the end of what it wrote to its standard error.
func (f *field) once(ctx context.Context, c contender, every time.Duration) (sample, error) {
	if c.before != nil {
		if err := c.before(); err != nil {
			return sample{}, err
		}
	}
	f.number++
	cmd := c.command(ctx, f.number)
	if err := f.stderr.Truncate(0); err != nil {
		return sample{}, err
	}
	cmd.Stderr = f.stderr
	s, err := f.count(func() (sample, error) { return measure(cmd, every) })
	if err != nil {
		said, readErr := os.ReadFile(f.stderr.Name())
		return sample{}, errors.Join(fmt.Errorf("%w: %s", err, tail(string(said))), readErr)
	}
	if c.after != nil {
		err = c.after()
	}
	return s, err
}

// count runs something between two readings of the counters.
func (f *field) count(run func() (sample, error)) (s sample, err error) {
	var disk, served int64
	if f.disk != nil {
		if disk, err = f.disk(); err != nil {
			return s, err
		}
	}
	if f.served != nil {
		served = f.served()
	}
	if s, err = run(); err != nil {
		return s, err
	}
	if f.served != nil {
		s.served = f.served() - served
	}
	if f.disk != nil {
		after, err := f.disk()
		if err != nil {
			return s, err
		}
		s.disk = after - disk
	}
	return s, nil
}

// tail is the last line, and not much of it.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := strings.Join(strings.Fields(lines[len(lines)-1]), " ")
	return last[max(0, len(last)-300):]
}
