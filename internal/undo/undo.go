// Package undo pairs each acquisition with the step that takes it back.
//
//	var cleanup undo.Stack
//	defer cleanup.Run() // or join its error with the function's own
//	dir := makeDir()
//	cleanup.Add(func() error { return remove(dir) })
//	...
//	cleanup.Release() // success: what was acquired stays
package undo

import (
	"errors"
	"sync"
)

// Stack holds undo steps. Its zero value is empty and ready for use; it may be used by several goroutines. A Stack must
// not be copied after its first use.
type Stack struct {
	mu    sync.Mutex
	steps []func() error
}

// Add puts a step on the stack.
func (s *Stack) Add(step func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, step)
}

// Release forgets every step: what they would have undone is kept.
func (s *Stack) Release() { s.take() }

// Run runs the steps, the latest first, each exactly once, and joins their errors: one that fails does not keep the
// others from running. A second Run, or a Run after Release, does nothing. Steps run without the stack being locked, so
// a step may itself use the stack.
func (s *Stack) Run() error {
	steps := s.take()
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		errs = append(errs, steps[i]())
	}
	return errors.Join(errs...)
}

func (s *Stack) take() []func() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	steps := s.steps
	s.steps = nil
	return steps
}
