package report

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// consequences are fields that say nothing new where one of others is named; a name that ends with a dot is a beginning.
var consequences = []struct{ of, follows []string }{
	{[]string{"limits.memory", "host.memory_bytes"}, []string{"limits.memory_bytes", "limits.shm_bytes"}},
	{[]string{"limits.pids-limit"}, []string{"limits.pids"}},
	{[]string{"limits.cpus", "limits.cpuset-cpus", "host.cpus", "scheduler.SLURM_NTASKS"}, []string{"limits.threads"}},
	{[]string{"host.hostname"}, []string{"hostname"}},
	{[]string{"host.nvidia_driver"}, []string{"gpu_driver.version"}},
	{[]string{"host.nvidia_driver", "gpu_driver.version"}, []string{"gpu_driver.cuda"}},
	{[]string{"image.digest"}, []string{"image.index", "image.config_digest"}},
	{[]string{"image.config.User"}, []string{"user"}},
	{[]string{"image.config.WorkingDir"}, []string{"cwd"}},
	{[]string{"network"}, []string{"namespaces", "private."}},
	{[]string{"userns"}, []string{"id_map."}},
	{[]string{"state", "cause"}, []string{"exit_code", "signal"}},
	{[]string{"state"}, []string{"cause"}},
	{[]string{"exit_code"}, []string{"signal"}},
}

// withoutConsequences takes out what follows from something that is named.
func withoutConsequences(found map[string]Difference) {
	withoutMounts(found)
	withoutGPUs(found)
	withoutVariables(found)
	if ref := found["image.ref"]; !has(found, "image.digest") && (byDigest(ref.A) || byDigest(ref.B)) {
		delete(found, "image.ref") // the same image, by its digest
	}
	for field := range found { // the limit itself says more than what holds it
		if limit, ok := strings.CutSuffix(field, ".mechanism"); ok && has(found, limit) {
			delete(found, field)
		}
	}
	for _, c := range consequences {
		if !slices.ContainsFunc(c.of, func(field string) bool { return has(found, field) }) {
			continue
		}
		for field := range found {
			if slices.ContainsFunc(c.follows, func(name string) bool { return covers(name, field) }) {
				delete(found, field)
			}
		}
	}
}

func byDigest(ref any) bool {
	text, _ := ref.(string)
	return strings.Contains(text, "@sha256:")
}

func has(found map[string]Difference, field string) bool { _, ok := found[field]; return ok }

// covers reports whether a name, or the beginning of names, fits a field.
func covers(name, field string) bool {
	return field == name || strings.HasSuffix(name, ".") && strings.HasPrefix(field, name)
}

// withoutMounts names a mount that only one has, and not each of its properties; and of one that moved, the target.
func withoutMounts(found map[string]Difference) {
	for field, d := range found {
		target, ok := strings.CutPrefix(field, "mounts./")
		if !ok || !has(found, field) || d.A != nil && d.B != nil {
			continue
		}
		if _, isType := map[any]bool{"bind": true, "tmpfs": true, "volume": true, "image": true}[oneOf(d)]; !isType {
			continue
		}
		at := "mounts./" + target + "."
		source := found[at+"source"]
		for inner := range found {
			if strings.HasPrefix(inner, at) && mountKeys[strings.TrimPrefix(inner, at)] {
				delete(found, inner)
			}
		}
		if text, ok := oneOf(source).(string); ok {
			found[field] = Difference{field, replaced(d.A, text), replaced(d.B, text)}
		}
	}
	for field := range found {
		if at, ok := strings.CutSuffix(field, ".source"); ok && strings.HasPrefix(at, "mounts./") {
			for _, key := range []string{".fs_type", ".digest", ".name", ".fingerprint"} {
				delete(found, at+key)
			}
		}
	}
}

// withoutGPUs names a GPU that only one has, and not each of its properties; and of another one what tells it from the first: its
// name, or where that is the same its id. On another machine all are others.
func withoutGPUs(found map[string]Difference) {
	for field, d := range found {
		at, index, _ := strings.Cut(field, ".")
		if at != "gpus" || strings.Contains(index, ".") || d.A != nil && d.B != nil {
			continue
		}
		name := found[field+".name"]
		found[field] = Difference{field, cmp.Or(name.A, d.A), cmp.Or(name.B, d.B)}
		for inner := range found {
			if strings.HasPrefix(inner, field+".") {
				delete(found, inner)
			}
		}
	}
	elsewhere := has(found, "host.hostname")
	for field := range found {
		parts := strings.Split(field, ".")
		if len(parts) != 3 || parts[0] != "gpus" {
			continue
		}
		at := "gpus." + parts[1] + "."
		identity := slices.Contains([]string{"uuid", "pci", "host_index", "parent"}, parts[2])
		kind := slices.Contains([]string{"memory_bytes", "compute_capability", "mig"}, parts[2])
		switch another := has(found, at+"name"); {
		case identity && (elsewhere || another), kind && another, identity && parts[2] != "uuid" && has(found, at+"uuid"):
			delete(found, field)
		}
	}
}

// mountKeys are the properties of a mount.
var mountKeys = map[string]bool{"name": true, "source": true, "digest": true, "mode": true, "fs_type": true, "options": true, "fingerprint": true}

func oneOf(d Difference) any {
	if d.A != nil {
		return d.A
	}
	return d.B
}

func replaced(v any, text string) any {
	if v == nil {
		return nil
	}
	return text
}

// threadNames are the variables besides those that end in _NUM_THREADS that tell a job how many CPUs it has.
var threadNames = []string{"env.NUMEXPR_MAX_THREADS", "env.POLARS_MAX_THREADS", "env.LOKY_MAX_CPU_COUNT", "env.PYTHON_CPU_COUNT"}

// withoutVariables leaves out variables that the image or Coracle has set by what is named elsewhere.
func withoutVariables(found map[string]Difference) {
	_, threads := found["limits.threads"]
	for field, d := range found {
		unset := func(v any) bool { return v == nil || v == notOnRecord }
		if !strings.HasPrefix(field, "env.") || !unset(d.A) || !unset(d.B) {
			continue
		}
		name := strings.TrimPrefix(field, "env.")
		ofThreads := strings.HasSuffix(name, "_NUM_THREADS") || slices.Contains(threadNames, field)
		if threads && ofThreads || has(found, "image.config.Env."+name) || has(found, "scheduler."+name) {
			delete(found, field)
		}
	}
}

// configDifferences compares what two images say of how they are run: their variables, entrypoint, user and so on.
func configDifferences(configs [2][]byte) map[string]Difference {
	var flat [2]map[string]any
	for i, raw := range configs {
		var image struct {
			Config map[string]any `json:"config"`
		}
		if raw == nil || json.Unmarshal(raw, &image) != nil {
			return nil
		}
		flat[i] = map[string]any{}
		if list, ok := image.Config["Env"].([]any); ok {
			for _, v := range list {
				text, _ := v.(string)
				name, value, _ := strings.Cut(text, "=")
				flat[i]["image.config.Env."+name] = value
			}
		}
		delete(image.Config, "Env")
		flattenInto(flat[i], "image.config", image.Config)
	}
	found := map[string]Difference{}
	for _, field := range union(flat[0], flat[1]) {
		if a, b := flat[0][field], flat[1][field]; a != b {
			found[field] = Difference{field, a, b}
		}
	}
	return found
}
