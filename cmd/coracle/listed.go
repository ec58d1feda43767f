package main

import (
	"iter"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
)

// listed are the runs of a list, and what it shows as their ids. A view is the loop's until that goes on: there may be thousands.
type listed iter.Seq2[*record.View, string]

// listedViews lists views that are at hand.
func listedViews(views []record.View, short map[string]string) listed {
	return func(yield func(*record.View, string) bool) {
		for i := range views {
			if !yield(&views[i], runID(views[i].ID, short, false)) {
				return
			}
		}
	}
}

// whole shows whole ids.
func (l listed) whole(whole bool) listed {
	if !whole {
		return l
	}
	return func(yield func(*record.View, string) bool) {
		for v := range l {
			if !yield(v, v.ID) {
				return
			}
		}
	}
}

// printIDs prints the ids alone, one on a line.
func (l listed) printIDs(p *ui.Printer) error {
	var ids []string
	for _, id := range l {
		ids = append(ids, id)
	}
	return p.Lines(ids)
}

// shortIDs are as many letters of each run's id as tell it from the others.
func shortIDs(runs *record.Runs) (map[string]string, error) {
	ids, err := runs.IDs()
	if err != nil {
		return nil, err
	}
	return record.Shorten(ids), nil
}

// runID is what a list shows as the id of a run.
func runID(id string, short map[string]string, whole bool) string {
	if text := short[id]; text != "" && !whole {
		return text
	}
	return id
}
