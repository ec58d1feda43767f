package main

import (
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/internal/volume"
	"github.com/coracle-run/coracle/oci/store"
)

// wholeUsage is `df --json`.
type wholeUsage struct {
	store.Usage
	Volumes []volumeUsage `json:"volumes"`
}

type volumeUsage struct {
	volumeSummary
	store.Amount
}

// newWholeUsage counts volumes with the rest, but not as what `prune --all` would free: it frees none.
func newWholeUsage(u store.Usage, volumes []volume.Usage) wholeUsage {
	w := wholeUsage{Usage: u, Volumes: []volumeUsage{}}
	for _, v := range volumes {
		w.Volumes = append(w.Volumes, volumeUsage{summarize(v), v.Amount})
		w.Total += v.Bytes
	}
	return w
}

func volumeUsageRow(volumes []volume.Usage) []string {
	var all, idle store.Amount
	active := 0
	for _, v := range volumes {
		all.Add(v.Amount)
		if len(v.Users) == 0 {
			idle.Add(v.Amount)
		} else {
			active++
		}
	}
	return usageRow("Volumes", len(volumes), active, amountText(all), idle.Bytes, all.Bytes)
}

func volumeUsageTable(volumes []volume.Usage) ui.Table {
	t := ui.Table{Columns: []ui.Column{{Title: "VOLUME", Cut: ui.Back}, {Title: "FILES"}, {Title: "SIZE"}, {Title: "RUNS", Cut: ui.Back}}}
	for _, v := range volumes {
		t.Rows = append(t.Rows, []string{v.Name, fmt.Sprint(v.Entries), amountText(v.Amount), strings.Join(summarize(v).Runs, ", ")})
	}
	return t
}
