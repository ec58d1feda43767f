package main

import (
	"cmp"
	"slices"

	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

// statGPU is what one of a job's GPUs does now. What is not known is absent.
type statGPU struct {
	Index       int      `json:"index"`
	UUID        string   `json:"uuid,omitempty"`
	Name        string   `json:"name,omitempty"`
	Utilization *float64 `json:"utilization,omitempty"` // of 1
	Memory      *float64 `json:"memory_bytes,omitempty"`
	JobMemory   *float64 `json:"job_memory_bytes,omitempty"`
	MemoryTotal int64    `json:"memory_total_bytes,omitempty"`
	Power       *float64 `json:"power_watts,omitempty"`
	Celsius     *float64 `json:"celsius,omitempty"`
	SMActive    *float64 `json:"sm_active,omitempty"`
	Tensor      *float64 `json:"tensor_active,omitempty"`
	Energy      *float64 `json:"energy_joules,omitempty"` // since its start
}

func statGPUs(list []report.GPU) (out []statGPU) {
	for _, g := range list {
		s := statGPU{Index: g.Index, UUID: g.UUID, Name: g.Name, MemoryTotal: g.MemoryBytes}
		for name, field := range map[string]**float64{
			"utilization": &s.Utilization, "memory_bytes": &s.Memory, "job_memory_bytes": &s.JobMemory, "power_watts": &s.Power, "celsius": &s.Celsius,
			"sm_active": &s.SMActive, "tensor_active": &s.Tensor, "energy_joules": &s.Energy,
		} {
			if n, ok := g.Now[name]; ok {
				*field = &n
			}
		}
		out = append(out, s)
	}
	return out
}

// gpuColumns adds what GPUs do to the table, when one of the jobs has some: the mean of their utilization, and the sums of the rest.
func gpuColumns(t *ui.Table, list []stat) {
	if !slices.ContainsFunc(list, func(s stat) bool { return len(s.GPUs) > 0 }) {
		return
	}
	at := slices.IndexFunc(t.Columns, func(c ui.Column) bool { return c.Title == "NET I/O" })
	t.Columns = slices.Insert(t.Columns, at, ui.Column{Title: "GPUS"}, ui.Column{Title: "GPU %"}, ui.Column{Title: "GPU MEM / TOTAL"}, ui.Column{Title: "GPU W"})
	for i, s := range list {
		total := int64(0)
		for _, g := range s.GPUs {
			total += g.MemoryTotal
		}
		count := float64(len(s.GPUs))
		busy := sumOf(s.GPUs, func(g statGPU) *float64 { return g.Utilization })
		cells := []string{wholeText(&count), percent(busy, count), unknown, wholeText(sumOf(s.GPUs, func(g statGPU) *float64 { return g.Power }))}
		if used := sumOf(s.GPUs, func(g statGPU) *float64 { return cmp.Or(g.JobMemory, g.Memory) }); used != nil && total > 0 {
			cells[2] = usedOf(used, total)
		} else if used != nil {
			cells[2] = ui.Memory(int64(*used))
		}
		t.Rows[i] = slices.Insert(t.Rows[i], at, cells...)
	}
}

// sumOf is a sum over all devices; nil when it is not known of each.
func sumOf(list []statGPU, of func(statGPU) *float64) *float64 {
	if len(list) == 0 {
		return nil
	}
	sum := 0.0
	for _, g := range list {
		v := of(g)
		if v == nil {
			return nil
		}
		sum += *v
	}
	return &sum
}
