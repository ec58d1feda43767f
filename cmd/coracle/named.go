package main

import "github.com/coracle-run/coracle/internal/record"

// notRunningError says that a run cannot be asked for anything any more.
type notRunningError struct {
	run string // as it was asked for
	how string // it is over
}

func (e notRunningError) Error() string { return "run " + e.run + ": the run is over: it " + e.how }

// Hint says what to do next.
func (notRunningError) Hint() string { return "'coracle report RUN' tells of a run that is over" }

// named finds the runs that a command names: all of them before it touches the first.
func named(names []string, find func(string) (record.View, error)) ([]record.View, error) {
	views := make([]record.View, len(names))
	for i, name := range names {
		var err error
		if views[i], err = find(name); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// running finds a run that goes on.
func running(runs *record.Runs, name string) (record.View, error) {
	v, err := runs.Get(name)
	if err == nil && v.State != record.Running {
		err = notRunningError{run: name, how: overText(v)}
	}
	return v, err
}

// runningOf is running of some runs, for named.
func runningOf(runs *record.Runs) func(string) (record.View, error) {
	return func(name string) (record.View, error) { return running(runs, name) }
}

// overText says how a run is over.
func overText(v record.View) string {
	if v.State == record.Gone {
		return "was lost"
	}
	return "has " + stateText(&v)
}
