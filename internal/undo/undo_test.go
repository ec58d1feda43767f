package undo_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/coracle-run/coracle/internal/undo"
)

func TestRunIsLastInFirstOutAndOnce(t *testing.T) {
	var s undo.Stack
	var order []int
	for i := range 3 {
		s.Add(func() error { order = append(order, i); return nil })
	}
	for range 2 {
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{2, 1, 0}; !slices.Equal(order, want) {
		t.Errorf("steps ran in order %v, want %v", order, want)
	}
}

func TestRunJoinsErrorsAndRunsEverything(t *testing.T) {
	var s undo.Stack
	first, second := errors.New("first"), errors.New("second")
	ran := 0
	for _, err := range []error{first, nil, second} {
		s.Add(func() error { ran++; return err })
	}
	err := s.Run()
	if !errors.Is(err, first) || !errors.Is(err, second) {
		t.Errorf("Run() = %v, want both errors", err)
	}
	if ran != 3 {
		t.Errorf("%d steps ran, want 3", ran)
	}
}

func TestReleaseKeeps(t *testing.T) {
	var s undo.Stack
	s.Add(func() error { t.Error("a released step ran"); return nil })
	s.Release()
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
}

func TestZeroStackAndConcurrentUse(t *testing.T) {
	var s undo.Stack
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	ran := 0
	for range 8 {
		wg.Go(func() {
			s.Add(func() error { mu.Lock(); ran++; mu.Unlock(); return nil })
			_ = s.Run() // whichever goroutine takes a step runs it
		})
	}
	wg.Wait()
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if ran != 8 {
		t.Errorf("%d of 8 steps ran", ran)
	}
}

func TestAStepMayUseTheStack(t *testing.T) {
	var s undo.Stack
	again := false
	s.Add(func() error { s.Add(func() error { again = true; return nil }); return nil })
	if err := errors.Join(s.Run(), s.Run()); err != nil {
		t.Fatal(err)
	}
	if !again {
		t.Error("a step added while running was lost")
	}
}
