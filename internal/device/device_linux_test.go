package device

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// links makes links to devices that every host has.
func links(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.Symlink("/dev/null", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInfiniBand(t *testing.T) {
	dir := links(t, "uverbs1", "uverbs0", "rdma_cm", "ib_nothing", "umad0")
	if err := os.WriteFile(filepath.Join(dir, "issm0"), nil, 0o600); err != nil { // no device
		t.Fatal(err)
	}
	nodes, err := infiniband(dir)
	var targets []string
	for _, n := range nodes {
		targets = append(targets, n.Target)
	}
	if want := "/dev/infiniband/uverbs0 /dev/infiniband/uverbs1 /dev/infiniband/rdma_cm /dev/infiniband/umad0"; err != nil || strings.Join(targets, " ") != want {
		t.Errorf("%q, %v", targets, err)
	}
	for _, dir := range []string{t.TempDir(), links(t, "rdma_cm")} {
		if _, err := infiniband(dir); !errors.Is(err, ErrUnusable) {
			t.Error(err)
		}
	}
}

func TestNodesOf(t *testing.T) {
	var notices []string
	notice := func(text string) { notices = append(notices, text) }
	nodes, err := nodesOf("/dev:/dev/all", notice)
	if err != nil || !slices.Contains(nodes, spec.Node{Source: "/dev/null", Target: "/dev/all/null"}) {
		t.Errorf("%v", err)
	}
	if _, err := nodesOf("/dev/null:/dev/x:rw", notice); err != nil || len(notices) > 0 {
		t.Errorf("%v, %q", err, notices)
	}
	if _, err := nodesOf("/dev/null:/dev/x:r", notice); err != nil || len(notices) != 1 {
		t.Errorf("%v, %q", err, notices)
	}
	empty := t.TempDir()
	for text, says := range map[string]string{
		empty + ":/dev/x": "has no device", "/dev/nosuch": "does not exist", "/proc/self/status:/dev/x": "is no device",
	} {
		if _, err := nodesOf(text, notice); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

func TestOpenByGroup(t *testing.T) {
	for _, c := range []struct {
		mode     uint32
		uid, gid uint32
		want     bool
	}{{0o666, 0, 44, false}, {0o660, 0, 44, true}, {0o660, 7, 44, false}, {0o660, 0, 8, false}, {0o640, 0, 44, false}, {0o664, 0, 44, true}} {
		if got := openByGroup(unix.Stat_t{Mode: unix.S_IFCHR | c.mode, Uid: c.uid, Gid: c.gid}, 7, 8); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

func TestHostNumbersStayOutside(t *testing.T) {
	env := []string{"RANK=1", "CUDA_VISIBLE_DEVICES=3", "ROCR_VISIBLE_DEVICES=1", "SLURM_JOB_GPUS=3"}
	if got := (Request{}).WithoutHostNumbers(env); !slices.Equal(got, env) {
		t.Errorf("without devices: %q", got)
	}
	for _, d := range []Request{{GPUs: gpu.Selection{All: true}}, {Names: []string{"amd.com/gpu=all"}}} {
		if got := d.WithoutHostNumbers(slices.Clone(env)); !slices.Equal(got, []string{"RANK=1", "SLURM_JOB_GPUS=3"}) {
			t.Errorf("%+v: %q", d, got)
		}
	}
}

func TestGPURecords(t *testing.T) {
	done := make(chan struct{})
	close(done)
	parent := gpu.Device{Index: 3, UUID: "GPU-1", Name: "NVIDIA A100", PCI: "0000:3B:00.0", MemoryBytes: 80}
	g := &gpus{
		done: done, asked: Request{Compat: gpu.CompatOff}, inventory: gpu.Inventory{Driver: "570.1", CUDA: "12.8"},
		chosen: []gpu.Choice{{Device: gpu.Device{Index: 1, UUID: "GPU-0"}}, {Device: parent, Instance: &gpu.MIG{UUID: "MIG-1", Profile: "1g.10gb", MemoryBytes: 10}}},
	}
	list, driver := g.records()
	if len(list) != 2 || *list[0].HostIndex != 1 || list[1].Index != 1 || list[1].UUID != "MIG-1" || list[1].Parent != "GPU-1" || list[1].MemoryBytes != 10 || list[1].MIG != "1g.10gb" {
		t.Errorf("%+v", list)
	}
	if driver.Version != "570.1" || driver.CUDA != "12.8" || driver.Compat != "off" {
		t.Errorf("%+v", driver)
	}
	if !reflect.DeepEqual(g.uuids(), []string{"GPU-0", "MIG-1"}) {
		t.Errorf("%q", g.uuids())
	}
	if list, driver := (*gpus)(nil).records(); list != nil || driver != nil || (*gpus)(nil).Close() != nil || (*gpus)(nil).uuids() != nil {
		t.Error("no GPUs were asked for")
	}
}

func TestLibraryNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"libcuda.so.570.1", "libbare.so.570.1", "libother.so.2"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"libcuda.so.1": "libcuda.so.570.1", "libcuda.so": "libcuda.so.1", "libother.so": "libother.so.2", "dangling": "nosuch"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]string{"libcuda.so.570.1": {"libcuda.so", "libcuda.so.1"}, "libbare.so.570.1": {"libbare.so.1"}} {
		if got := libraryNames(filepath.Join(dir, name)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := libraryNames(filepath.Join(dir, "nosuch", "x")); got != nil {
		t.Errorf("%q", got)
	}
}

// TestFiled: GPUs that came by --device are numbered after NVIDIA's, and are watched by their files.
func TestFiled(t *testing.T) {
	root := t.TempDir()
	device := filepath.Join(root, "sys/class/drm/card1/device")
	for name, text := range map[string]string{"vendor": "0x1002", "unique_id": "12ab", "product_name": "MI210", "mem_info_vram_total": "1000", "gpu_busy_percent": "50", "drm/renderD128/x": ""} {
		path := filepath.Join(device, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := Devices{asked: Request{Files: sysfs.Tree{Root: root}}, found: spec.Devices{Nodes: []spec.Node{{Source: "/dev/kfd", Target: "/dev/kfd"}, {Source: "/dev/dri/renderD128", Target: "/dev/dri/renderD130"}}}}
	list := filedRecords(d.filed(), 2)
	if len(list) != 1 || list[0] != (record.GPU{Index: 2, Vendor: "amd", UUID: "GPU-12ab", Name: "MI210", MemoryBytes: 1000}) {
		t.Fatalf("%+v", list)
	}
	watchers := d.Watchers()
	if len(watchers) != 1 || watchers[0].From != metrics.FromSysfs || len(watchers[0].UUIDs) != 1 || watchers[0].UUIDs[0] != "GPU-12ab" {
		t.Errorf("%+v", watchers)
	}
}
