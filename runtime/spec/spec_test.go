package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

var modern = Host{}

func text(s string) *string { return &s }

func TestCommandFollowsDocker(t *testing.T) {
	image := ocispec.ImageConfig{Entrypoint: []string{"/entry", "-x"}, Cmd: []string{"default"}}
	for _, c := range []struct {
		name  string
		image ocispec.ImageConfig
		ask   Process
		want  []string
	}{
		{"the image's own", image, Process{}, []string{"/entry", "-x", "default"}},
		{"arguments replace CMD", image, Process{Args: []string{"a", "b"}}, []string{"/entry", "-x", "a", "b"}},
		{"an entrypoint drops CMD", image, Process{Entrypoint: text("/other")}, []string{"/other"}},
		{"an entrypoint with arguments", image, Process{Entrypoint: text("/other"), Args: []string{"a"}}, []string{"/other", "a"}},
		{"an empty entrypoint is none", image, Process{Entrypoint: text(""), Args: []string{"sh"}}, []string{"sh"}},
		{"CMD alone", ocispec.ImageConfig{Cmd: []string{"python3"}}, Process{}, []string{"python3"}},
	} {
		s, err := New(c.image, Options{Process: c.ask}, modern)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !slices.Equal(s.Process.Args, c.want) {
			t.Errorf("%s: %q, want %q", c.name, s.Process.Args, c.want)
		}
	}
}

// TestEnvironmentOfAnySize: the configuration of an image may be 4 MiB, which is room for this many variables.
func TestEnvironmentOfAnySize(t *testing.T) {
	image := ocispec.ImageConfig{Cmd: []string{"true"}, Env: make([]string, 500_000)}
	for i := range image.Env {
		image.Env[i] = fmt.Sprintf("V%d=", i)
	}
	s, err := New(image, Options{}, modern)
	if err != nil || len(s.Process.Env) < len(image.Env) {
		t.Fatal(len(s.Process.Env), err)
	}
}

func TestBadImagesAndOptions(t *testing.T) {
	run := []string{"true"}
	for _, c := range []struct {
		name  string
		image ocispec.ImageConfig
		ask   Options
		want  error
		says  string
	}{
		{"no command", ocispec.ImageConfig{}, Options{}, ErrImage, "no command"},
		{"an empty entrypoint and no command", ocispec.ImageConfig{Cmd: []string{"x"}}, Options{Process: Process{Entrypoint: text("")}}, ErrImage, "no command"},
		{"NUL in CMD", ocispec.ImageConfig{Cmd: []string{"a\x00b"}}, Options{}, ErrImage, "NUL"},
		{"NUL in ENV", ocispec.ImageConfig{Cmd: run, Env: []string{"A=x\x00y"}}, Options{}, ErrImage, `"A"`},
		{"relative -w", ocispec.ImageConfig{Cmd: run}, Options{Process: Process{Workdir: "src"}}, ErrOption, "absolute"},
		{"a volume on /proc", ocispec.ImageConfig{Cmd: run}, Options{Filesystem: Filesystem{Volumes: []Volume{{Type: Bind, Source: "/", Target: "/proc/1"}}}}, ErrOption, "/proc/1"},
		{"a volume on the root", ocispec.ImageConfig{Cmd: run}, Options{Filesystem: Filesystem{Volumes: []Volume{{Type: Bind, Source: "/", Target: "/"}}}}, ErrOption, "on /"},
		{"two volumes on one path", ocispec.ImageConfig{Cmd: run}, Options{Filesystem: Filesystem{Volumes: []Volume{{Type: Tmpfs, Target: "/a"}, {Type: Bind, Source: "/", Target: "/a"}}}}, ErrOption, "two volumes"},
	} {
		_, err := New(c.image, c.ask, modern)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.want, c.says)
		}
	}
}

func TestEnvironmentIsHermeticAndOrdered(t *testing.T) {
	t.Setenv("HOST_ONLY", "leak")
	image := ocispec.ImageConfig{Cmd: []string{"env"}, Env: []string{"PATH=/opt/bin", "A=image", "B=image", "OMP_NUM_THREADS=1", "broken", "=odd"}}
	s, err := New(image, Options{Hostname: "node7", Process: Process{
		Env: []string{"B=user", "C=1", "C=2"}, Inherited: []string{"OMP_NUM_THREADS=8", "B=host"}, TTY: true,
	}}, modern)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(slices.Values(s.Process.Env))
	want := []string{"A=image", "B=user", "C=2", "HOSTNAME=node7", "OMP_NUM_THREADS=8", "PATH=/opt/bin", "TERM=xterm"}
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%q\nwant\n%q", got, want)
	}
	if HasHome(s.Process.Env) || !HasHome([]string{"X=1", "HOME=/a"}) {
		t.Error("HasHome is wrong")
	}
}

func TestWorkingDirectory(t *testing.T) {
	for _, c := range []struct{ image, ask, want string }{
		{"", "", "/"}, {"/app", "", "/app"}, {"app", "", "/app"}, {"/app", "/src/../work", "/work"}, {"../..", "", "/"},
	} {
		s, err := New(ocispec.ImageConfig{Cmd: []string{"x"}, WorkingDir: c.image}, Options{Process: Process{Workdir: c.ask}}, modern)
		if err != nil || s.Process.Cwd != c.want {
			t.Errorf("WORKDIR %q, -w %q: %q (%v), want %q", c.image, c.ask, s.Process.Cwd, err, c.want)
		}
	}
}

func TestEveryContainerIsProtected(t *testing.T) {
	s, err := New(ocispec.ImageConfig{Cmd: []string{"x"}}, Options{}, Host{CgroupV2: true, CgroupNamespaces: true})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Process.NoNewPrivileges {
		t.Error("no_new_privs is off")
	}
	if c := s.Process.Capabilities; len(c.Bounding)+len(c.Effective)+len(c.Permitted)+len(c.Inheritable)+len(c.Ambient) != 0 {
		t.Errorf("capabilities: %+v", c)
	}
	for _, kind := range Namespaces {
		if !slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind && n.Path == "" }) {
			t.Errorf("no own %s namespace", kind)
		}
	}
	for _, masked := range []string{"/proc/kcore", "/proc/keys", "/sys/firmware", "/sys/devices/virtual/powercap"} {
		if !slices.Contains(s.Linux.MaskedPaths, masked) {
			t.Errorf("%s is visible", masked)
		}
	}
	for _, m := range s.Mounts {
		if !slices.Contains(m.Options, "nosuid") {
			t.Errorf("%s may hold set-user-ID programs: %q", m.Destination, m.Options)
		}
		if m.Destination == "/dev" && m.Type != "tmpfs" {
			t.Error("/dev is not fresh")
		}
	}
}

func TestCgroupsOfTheHostAreCovered(t *testing.T) {
	for _, c := range []struct {
		host Host
		want []string // types, in this order
	}{
		{Host{CgroupV2: true}, []string{"tmpfs", "cgroup"}}, // the kernel refuses the second on that of the host
		{Host{}, []string{"tmpfs"}},
	} {
		s, err := New(ocispec.ImageConfig{Cmd: []string{"x"}}, Options{}, c.host)
		if err != nil {
			t.Fatal(err)
		}
		sys := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/sys" })
		var types []string
		var last specs.Mount
		for i, m := range s.Mounts {
			if m.Destination == "/sys/fs/cgroup" && i > sys && sys >= 0 {
				types, last = append(types, m.Type), m
			}
		}
		if !slices.Equal(types, c.want) || !slices.Contains(last.Options, "ro") {
			t.Errorf("cgroup v2 %v: over /sys there are %q, at last %+v", c.host.CgroupV2, types, last)
		}
	}
}

func TestVolumesAndFiles(t *testing.T) {
	s, err := New(ocispec.ImageConfig{Cmd: []string{"x"}}, Options{Filesystem: Filesystem{
		ReadOnly: true, ShmBytes: 4096,
		Volumes: []Volume{
			{Type: Bind, Source: "/srv/out", Target: "/data/out", Propagation: "rslave"},
			{Type: Bind, Source: "/srv/data", Target: "/data", ReadOnly: true},
			{Type: Tmpfs, Target: "/scratch", SizeBytes: 1 << 20, Mode: 0o700, ReadOnly: true},
		},
	}}, modern)
	if err != nil {
		t.Fatal(err)
	}
	AddFiles(s, []Volume{{Type: Bind, Source: "/run/hosts", Target: "/etc/hosts"}})
	var order []string
	for _, m := range s.Mounts {
		order = append(order, m.Destination)
	}
	if got, want := order[len(order)-4:], []string{"/etc/hosts", "/data", "/scratch", "/data/out"}; !slices.Equal(got, want) {
		t.Errorf("mounts end with %q, want %q", got, want)
	}
	for target, want := range map[string][]string{
		"/data":     {"nosuid", "nodev", "ro", "rnosuid", "rnodev", "rro", "rbind", "rprivate"},
		"/data/out": {"nosuid", "nodev", "rnosuid", "rnodev", "rbind", "rslave"},
		"/scratch":  {"nosuid", "nodev", "size=1048576", "ro", "mode=0700"},
		"/dev/shm":  {"nosuid", "noexec", "nodev", "mode=1777", "size=4096"},
	} {
		m := s.Mounts[slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == target })]
		if !slices.Equal(m.Options, want) {
			t.Errorf("%s: %q, want %q", target, m.Options, want)
		}
	}
	if !s.Root.Readonly {
		t.Error("--read-only is lost")
	}
}
