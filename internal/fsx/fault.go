package fsx

import "sync/atomic"

// fault is what tests put in front of steps that change a disk.
var fault atomic.Pointer[func(op, path string) error]

// Step announces a step that is about to change the disk: op is a short verb ("write", "sync", "rename"), path its
// object. It returns nil, unless a test has asked for a fault here. Code that changes the store calls it before the step.
func Step(op, path string) error {
	if f := fault.Load(); f != nil {
		return (*f)(op, path)
	}
	return nil
}

// InjectFaults makes every Step ask f until restore is called. It is for tests: f may return an error, to see it handled,
// or end the process, to see what is left behind.
func InjectFaults(f func(op, path string) error) (restore func()) {
	old := fault.Swap(&f)
	return func() { fault.Store(old) }
}
