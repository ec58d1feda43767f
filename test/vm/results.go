package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// results are what a node says of its suites, line by line.
type results struct {
	suites   []outcome
	complete bool
	open     bool // the last suite is running
}

// An outcome is what became of a suite.
type outcome struct {
	name   string
	status int // of the test binary; -1: it did not come to its end
	output bytes.Buffer
	start  time.Time
	took   time.Duration // as the host sees it
}

// line takes one line.
func (r *results) line(text string) {
	var name string
	var status int
	switch {
	case strings.HasPrefix(text, "#node begin "):
		r.suites = append(r.suites, outcome{name: strings.TrimPrefix(text, "#node begin "), status: -1, start: time.Now()})
		r.open = true
	case scan(text, "#node end %s %d", &name, &status) && r.open && r.last().name == name:
		r.last().status, r.last().took = status, time.Since(r.last().start)
		r.open = false
	case text == "#node complete" && !r.open:
		r.complete = true
	case r.open:
		r.last().output.WriteString(text + "\n")
	}
}

func (r *results) last() *outcome { return &r.suites[len(r.suites)-1] }

func scan(text, format string, into ...any) bool {
	_, err := fmt.Sscanf(text, format, into...)
	return err == nil
}

// A verdict is what became of one test of a suite: pass, fail, skip, or "" when it did not come to its end.
type verdict struct {
	test, action string
	output       strings.Builder
	seconds      float64
}

// verdicts reads a test binary's output (-test.v=test2json), by the tool that Go has for that. Those of subtests are not
// listed: their output is part of their test's.
func (o *outcome) verdicts(ctx context.Context) ([]*verdict, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json")
	cmd.Stdin = &o.output
	raw, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("reading the output of %s: %w", o.name, err)
	}
	var list []*verdict
	byName := map[string]*verdict{}
	for decoder := json.NewDecoder(bytes.NewReader(raw)); ; {
		var event struct {
			Action, Test, Output string
			Elapsed              float64
		}
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the output of %s: %w", o.name, err)
		}
		name, sub, _ := strings.Cut(event.Test, "/")
		v := byName[name]
		if v == nil {
			v = &verdict{test: name}
			byName[name] = v
			if name != "" {
				list = append(list, v)
			}
		}
		switch event.Action {
		case "output":
			v.output.WriteString(event.Output)
		case "pass", "fail", "skip":
			if sub == "" {
				v.action, v.seconds = event.Action, event.Elapsed
			}
		}
	}
}
