package report

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/record"
)

// full is a run in which every field of the record is set.
func full(t *testing.T) record.View {
	t.Helper()
	var v record.View
	fill(reflect.ValueOf(&v).Elem(), "x")
	v.Argv, v.Image.Layers = []string{"python3", "train.py"}, []string{"sha256:1", "sha256:2"}
	v.Mounts = []record.Mount{{Type: "bind", Name: "n", Source: "/s", Digest: "sha256:d", Target: "/data", Mode: "ro", FSType: "ext4", Options: []string{"o"}, Fingerprint: &record.Fingerprint{Files: 1, Bytes: 1}}}
	v.Env = record.Env{Set: map[string]string{"EPOCHS": "3"}, Names: []string{"PATH"}}
	v.Limits.Requested = map[string]string{"memory": "5"}
	v.Limits.Enforced = []record.Limit{{Limit: "memory", Value: "5", Mechanism: "systemd"}}
	v.Limits.Missing = []record.Limit{{Limit: "cpus", Value: "2", Why: "not delegated"}}
	v.Redact = nil
	return v
}

// fill sets everything in a value to something.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text)
			}
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element, text)
		v.SetMapIndex(reflect.ValueOf(text).Convert(v.Type().Key()), element)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	}
}

// leaves calls change for every text, number and truth in a value, each time in a fresh copy of the run.
func leaves(t *testing.T, each func(path string, v record.View)) {
	t.Helper()
	var walk func(path string, pick func(root reflect.Value) reflect.Value)
	base := full(t)
	walk = func(path string, pick func(reflect.Value) reflect.Value) {
		here := pick(reflect.ValueOf(&base).Elem())
		switch here.Kind() {
		case reflect.Pointer:
			walk(path, func(r reflect.Value) reflect.Value { return pick(r).Elem() })
		case reflect.Struct:
			for i := range here.NumField() {
				field := here.Type().Field(i)
				if !field.IsExported() {
					continue
				}
				name := path
				if !field.Anonymous {
					tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
					name = strings.TrimPrefix(path+"."+tag, ".")
				}
				walk(name, func(r reflect.Value) reflect.Value { return pick(r).Field(i) })
			}
		case reflect.Slice:
			for i := range here.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), func(r reflect.Value) reflect.Value { return pick(r).Index(i) })
			}
		default:
			changed := full(t)
			target := pick(reflect.ValueOf(&changed).Elem())
			if target.Kind() == reflect.Map {
				for _, key := range target.MapKeys() {
					element := reflect.New(target.Type().Elem()).Elem()
					fill(element, "changed")
					if element.Kind() == reflect.Struct {
						alterNumbers(element)
					}
					target.SetMapIndex(key, element)
				}
			} else {
				alter(target)
			}
			if path == "mounts[0].target" {
				target.SetString("/changed")
			}
			each(path, changed)
		}
	}
	walk("", func(r reflect.Value) reflect.Value { return r })
}

// alterNumbers changes all numbers of what a struct has.
func alterNumbers(v reflect.Value) {
	for i := range v.NumField() {
		switch field := reflect.Indirect(v.Field(i)); {
		case field.Kind() == reflect.Struct:
			alterNumbers(field)
		case field.CanFloat(), field.CanInt():
			alter(field)
		}
	}
}

func alter(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("changed")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Float64:
		v.SetFloat(9)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(9)
	case reflect.Int, reflect.Int64:
		v.SetInt(9)
	}
}

// named says by which name a change is told, where it is not its own.
var named = map[string]string{
	"argv[0]": "argv", "argv[1]": "argv", "image.layers[0]": "image.layers.1", "image.layers[1]": "image.layers.2",
	"env.set": "env.EPOCHS", "env.names[0]": "env.PATH env.changed", "scheduler": "scheduler.x",
	"mounts[0].type": "mounts./data", "mounts[0].target": "mounts./changed mounts./data", "mounts[0].options[0]": "mounts./data.options",
	"limits.requested": "", "limits.enforced[0].limit": "limits.changed limits.memory.mechanism", "limits.enforced[0].value": "limits.memory", "limits.enforced[0].mechanism": "limits.memory.mechanism",
	"mounts[0].name": "mounts./data.name", "mounts[0].source": "mounts./data.source", "mounts[0].digest": "mounts./data.digest",
	"mounts[0].mode": "mounts./data.fingerprint mounts./data.mode", "mounts[0].fingerprint.files": "mounts./data.fingerprint", "mounts[0].fingerprint.bytes": "mounts./data.fingerprint", "mounts[0].fs_type": "mounts./data.fs_type", "limits.enforced[0].why": "", "limits.missing[0].mechanism": "",
	"limits.missing[0].limit": "limits.changed limits.cpus", "limits.missing[0].value": "limits.cpus", "limits.missing[0].why": "",
	"gpus[0].index": "gpus.1 gpus.9", "gpus[0].vendor": "gpus.1", "gpus[0].uuid": "gpus.1.uuid", "gpus[0].name": "gpus.1.name", "gpus[0].pci": "gpus.1.pci",
	"gpus[0].memory_bytes": "gpus.1.memory_bytes", "gpus[0].compute_capability": "gpus.1.compute_capability", "gpus[0].host_index": "gpus.1.host_index",
	"gpus[0].mig": "gpus.1.mig", "gpus[0].parent": "gpus.1.parent",
	"devices[0].name": "devices.changed devices.changed.digest devices.changed.spec devices.x devices.x.digest devices.x.spec", "devices[0].spec": "devices.x.spec", "devices[0].digest": "devices.x.digest", "devices[0].nodes[0]": "devices.x",
	"gpu_use": "", "mpi.places[0]": "",
}

// A change of any one field is told by the name of that field and no other, or is one that no two runs share.
func TestOneChange(t *testing.T) {
	base := full(t)
	changes := 0
	leaves(t, func(path string, changed record.View) {
		changes++
		d, err := Compare(base, changed, [2][]byte{})
		if err != nil {
			t.Fatal(err)
		}
		want, special := named[path]
		if !special {
			want, _, _ = strings.Cut(path, "[")
			if strings.HasPrefix(path, "private.ports") || strings.HasPrefix(path, "id_map") {
				want = strings.SplitN(path, "[", 2)[0]
			}
		}
		var got []string
		for _, difference := range d.Differences {
			got = append(got, difference.Field)
		}
		switch {
		case incidental(path), path == "sources", path == "metrics", path == "metrics_dropped", path == "labels", path == "evidence", strings.HasPrefix(path, "notes["), strings.HasPrefix(path, "redacted"), strings.HasPrefix(path, "command"), strings.HasPrefix(path, "settings"):
			want = ""
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: told as %q, want %q", path, got, want)
		}
		if inNumbers := len(d.Used) > 0 && slices.ContainsFunc(d.Used, func(d Delta) bool { return d.Delta != nil && *d.Delta != 0 }); inNumbers != (measured(path) || path == "gpu_use") {
			t.Errorf("%s: told among the numbers: %v", path, inNumbers)
		}
		if (len(d.Metrics) > 0) != (path == "metrics") {
			t.Errorf("%s: metrics %v", path, d.Metrics)
		}
	})
	if changes < 100 {
		t.Errorf("only %d fields were changed", changes)
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(v *record.View)
		configs [2]string
		want    []string
	}{
		{"nothing", func(*record.View) {}, [2]string{}, nil},
		{"an image with another top layer", func(v *record.View) {
			v.Image.Digest, v.Image.Config, v.Image.Index = "sha256:n", "sha256:c", "sha256:i"
			v.Image.Layers = []string{"sha256:1", "sha256:9", "sha256:10"}
		}, [2]string{}, []string{"image.digest", "image.layers.2", "image.layers.3"}},
		{"an image with another variable and the same layers", func(v *record.View) {
			v.Image.Digest, v.Image.Config = "sha256:n", "sha256:c"
			v.Env.Names = []string{"LANG", "PATH"}
		}, [2]string{`{"config":{"Env":["PATH=/bin"],"Cmd":["sh"]}}`, `{"config":{"Env":["PATH=/bin","LANG=C"],"Cmd":["bash"]}}`},
			[]string{"image.config.Cmd", "image.config.Env.LANG", "image.digest"}},
		{"a memory limit", func(v *record.View) {
			v.Limits.Requested = map[string]string{"memory": "9"}
			v.Limits.Enforced = []record.Limit{{Limit: "memory", Value: "9", Mechanism: "cgroup-v2"}}
			v.Limits.MemoryBytes, v.Limits.ShmBytes = 9, 4
		}, [2]string{}, []string{"limits.memory"}},
		{"more CPUs", func(v *record.View) {
			v.Limits.Missing = []record.Limit{{Limit: "cpus", Value: "1", Why: "y"}}
			v.Limits.Threads = 2
			v.Env.Names = []string{"OMP_NUM_THREADS", "PATH", "PYTHON_CPU_COUNT"}
		}, [2]string{}, []string{"limits.cpus"}},
		{"a mount more", func(v *record.View) {
			v.Mounts = append(v.Mounts, record.Mount{Type: "bind", Source: "/more", Target: "/out", Mode: "rw", FSType: "xfs"})
		}, [2]string{}, []string{"mounts./out"}},
		{"a mount of something else", func(v *record.View) {
			v.Mounts = []record.Mount{v.Mounts[0]}
			v.Mounts[0].Source, v.Mounts[0].FSType = "/else", "nfs"
		}, [2]string{}, []string{"mounts./data.source"}},
		{"another end", func(v *record.View) {
			code := 137
			v.Cause, v.ExitCode, v.Signal, v.Message = "signalled", &code, "SIGKILL", "killed"
		}, [2]string{}, []string{"cause"}},
		{"lost", func(v *record.View) {
			v.State, v.Cause, v.ExitCode = record.Gone, record.Lost, nil
		}, [2]string{}, []string{"state"}},
		{"other metrics alone", func(v *record.View) { v.Metrics = nil }, [2]string{}, nil},
		{"another GPU", func(v *record.View) {
			v.GPUs[0].UUID, v.GPUs[0].PCI, v.GPUs[0].HostIndex = "GPU-9", "9", new(9)
		}, [2]string{}, []string{"gpus.1.uuid"}},
		{"a GPU of another kind", func(v *record.View) {
			v.GPUs[0] = record.GPU{Index: 1, Vendor: "x", UUID: "GPU-9", Name: "A100", MemoryBytes: 9, Compute: "8.0", MIG: "1g"}
		}, [2]string{}, []string{"gpus.1.name"}},
		{"a GPU of another machine", func(v *record.View) {
			v.Host.Hostname, v.GPUs[0].UUID, v.GPUs[0].PCI = "gpu07", "GPU-9", "9"
		}, [2]string{}, []string{"host.hostname"}},
		{"a GPU more", func(v *record.View) {
			v.GPUs = append(v.GPUs, record.GPU{Index: 2, Vendor: "nvidia", UUID: "GPU-9", Name: "A100", MemoryBytes: 9})
		}, [2]string{}, []string{"gpus.2"}},
		{"another driver", func(v *record.View) {
			v.Host.Driver, v.Driver = "570.1", &record.GPUDriver{Version: "570.1", CUDA: "12.8", Root: "x", Compat: "x"}
		}, [2]string{}, []string{"host.nvidia_driver"}},
		{"other use of a GPU alone", func(v *record.View) { v.GPUUse, v.GPUError = nil, "" }, [2]string{}, nil},
		{"no network", func(v *record.View) {
			v.Network, v.Private, v.Namespaces = "none", nil, []string{"network"}
		}, [2]string{}, []string{"network"}},
	} {
		changed := full(t)
		c.change(&changed)
		var configs [2][]byte
		for i, text := range c.configs {
			if text != "" {
				configs[i] = []byte(text)
			}
		}
		d, err := Compare(full(t), changed, configs)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Compare(changed, full(t), [2][]byte{configs[1], configs[0]})
		if err != nil || len(back.Differences) != len(d.Differences) || len(back.Metrics) != len(d.Metrics) {
			t.Errorf("%s: the other way round: %+v, %v", c.name, back.Differences, err)
		}
		var got []string
		for _, difference := range d.Differences {
			got = append(got, difference.Field)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMetricDeltas(t *testing.T) {
	var a, b map[string]record.Metric
	for text, into := range map[string]*map[string]record.Metric{
		`{"loss":{"last":2,"count":1},"nan":{"last":"NaN"},"same":{"last":1},"inf":{"last":"Infinity"},"zero":{"last":0},"gone":{"last":1}}`: &a,
		`{"loss":{"last":1,"count":1},"nan":{"last":"NaN"},"same":{"last":1},"inf":{"last":"Infinity"},"zero":{"last":1},"new":{"last":1}}`:  &b,
	} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	for _, d := range metricDeltas(a, b) {
		got += d.Name + " " + d.Percent() + ";"
		if _, err := json.Marshal(d); err != nil {
			t.Error(err)
		}
	}
	if want := "gone ;loss -50.0%;new ;zero ;"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
