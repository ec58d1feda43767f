package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// flatten makes one level of a run: every number, text and truth of it by its name. Lists whose order says something are one value,
// those of named things are by their names.
func flatten(v record.View) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("comparing run %s: %w", v.ID, err)
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("comparing run %s: %w", v.ID, err)
	}
	flat := map[string]any{}
	flattenInto(flat, "", tree)
	for i, digest := range v.Image.Layers {
		flat[fmt.Sprintf("image.layers.%d", i+1)] = digest
	}
	for _, name := range v.Env.Names {
		flat["env."+name] = notOnRecord
	}
	for name, value := range v.Env.Set {
		flat["env."+name] = value
	}
	flattenMounts(flat, v.Mounts)
	flattenLimits(flat, v.Limits)
	flattenGPUs(flat, v.GPUs)
	for _, d := range v.Devices {
		flat["devices."+d.Name] = strings.Join(append([]string{"given"}, d.Nodes...), " ")
		if d.Spec != "" {
			flat["devices."+d.Name+".spec"] = d.Spec
			flat["devices."+d.Name+".digest"] = d.Digest
		}
	}
	return flat, nil
}

// notOnRecord stands for the value of a variable that the user has not set.
const notOnRecord = "(not on record)"

// apart are the lists that flatten deals with itself, and what stands for other fields.
var apart = []string{"image.layers", "env.names", "env.set", "mounts", "limits.requested", "limits.enforced", "limits.missing", "gpus", "devices"}

func flattenInto(flat map[string]any, name string, v any) {
	if slices.Contains(apart, name) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			flattenInto(flat, strings.TrimPrefix(name+"."+key, "."), inner)
		}
	case []any:
		raw, _ := json.Marshal(v) // has just come from there
		flat[name] = string(raw)
		if words, ok := allText(v); ok && (name == "argv" || name == "command") {
			flat[name] = CommandLine(words)
		}
	case nil:
	default:
		if v != "" {
			flat[name] = v
		}
	}
}

func allText(list []any) (words []string, ok bool) {
	for _, v := range list {
		word, ok := v.(string)
		if !ok {
			return nil, false
		}
		words = append(words, word)
	}
	return words, true
}

// flattenMounts names mounts by their targets.
func flattenMounts(flat map[string]any, mounts []record.Mount) {
	for _, m := range mounts {
		at := "mounts." + m.Target
		flat[at] = m.Type
		for key, value := range map[string]string{
			"name": m.Name, "source": m.Source, "digest": m.Digest, "mode": m.Mode, "fs_type": m.FSType, "options": strings.Join(m.Options, ","),
		} {
			if value != "" {
				flat[at+"."+key] = value
			}
		}
		if f := m.Fingerprint; f != nil && m.Mode == record.ReadOnly { // what a job can write to changes with every run
			flat[at+".fingerprint"] = fmt.Sprintf("%d files with %d bytes, the newest of %s", f.Files, f.Bytes, f.Newest.Format(time.RFC3339Nano))
		}
	}
}

// flattenLimits says of each limit what it is and what holds it.
func flattenLimits(flat map[string]any, l record.Limits) {
	for name, value := range l.Requested {
		flat["limits."+name] = value
	}
	for _, e := range l.Enforced {
		flat["limits."+e.Limit] = e.Value
		flat["limits."+e.Limit+".mechanism"] = e.Mechanism
	}
	for _, m := range l.Missing {
		flat["limits."+m.Limit] = m.Value
		flat["limits."+m.Limit+".mechanism"] = "not enforced"
	}
}

// flattenGPUs names GPUs by their indices.
func flattenGPUs(flat map[string]any, gpus []record.GPU) {
	for _, g := range gpus {
		at := fmt.Sprintf("gpus.%d", g.Index)
		flat[at] = g.Vendor
		for key, value := range map[string]string{
			"uuid": g.UUID, "name": g.Name, "pci": g.PCI, "compute_capability": g.Compute, "mig": g.MIG, "parent": g.Parent,
		} {
			if value != "" {
				flat[at+"."+key] = value
			}
		}
		if g.MemoryBytes > 0 {
			flat[at+".memory_bytes"] = float64(g.MemoryBytes)
		}
		if g.HostIndex != nil {
			flat[at+".host_index"] = float64(*g.HostIndex)
		}
	}
}

// measured are the fields that are numbers of what happened.
func measured(field string) bool {
	return field == "wall_seconds" || strings.HasPrefix(field, "totals.") || strings.HasPrefix(field, "peaks.") || strings.HasPrefix(field, "gpu_use.")
}

// gpuNumbers are those of what each GPU did that two runs are compared by.
var gpuNumbers = []string{
	"utilization.mean", "sm_active.mean", "tensor_active.mean", "power_watts.mean", "memory_bytes", "job_memory_bytes", "energy_joules",
}

// compared are the measured fields that are told: of what GPUs did there are more than one reads.
func compared(field string) bool {
	rest, ofGPU := strings.CutPrefix(field, "gpu_use.")
	_, name, _ := strings.Cut(rest, ".")
	return measured(field) && (!ofGPU || slices.Contains(gpuNumbers, name))
}

// incidentals are the fields that differ between any two runs, or say in words what others say, by name or by prefix.
var incidentals = []string{
	"schema", "id", "name", "created", "started", "finished", "dir", "supervisor.", "control", "command", "settings", "redacted",
	"message", "advice", "gpu_error", "evidence.", "sources.", "log.", "metrics.", "metrics_dropped.", "rerun_of", "requeued_of", "labels.", "note", "notes",
	"private.address", "private.helper.path", "mpi.places", "project",
	"scheduler.SLURM_JOB_ID", "scheduler.SLURM_STEP_ID", "scheduler.SLURM_ARRAY_JOB_ID", "scheduler.SLURM_RESTART_COUNT",
	"scheduler.PBS_JOBID", "scheduler.LSB_JOBID", "scheduler.FLUX_JOB_ID", "limits.until",
}

func incidental(field string) bool {
	return measured(field) || slices.ContainsFunc(incidentals, func(name string) bool { return covers(name, field) })
}
