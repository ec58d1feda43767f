package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Place is where a machine has its driver.
type Place string

// The places.
const (
	Usual  Place = "usual"  // in the directories of the system's own libraries and programs
	Folder Place = "folder" // wholly under FolderPath; the loader does not know it
	None   Place = "none"   // nowhere, and no device nodes either
)

// FolderPath is the driver's in a machine of Place Folder.
const FolderPath = "/usr/local/nvidia"

// Setup is how a machine begins.
type Setup struct {
	Place   Place
	GPUs    int
	Denied  []int // nodes that may not be opened, as in a job of a scheduler that gives some GPUs only
	NoUVM   bool  // no /dev/nvidia-uvm: the module is not loaded
	MIG     []int // GPUs in MIG mode
	NoProbe bool  // the driver's state is not readable: libnvidia-ml counts the nodes

	UID, GID int // of who uses a machine that root makes, and who has other ids there, too; 0: who makes it
}

// Machine is namespaces in which a fake driver is installed. Only this user's processes that [Machine.Command] starts are in it.
type Machine struct {
	setup Setup
	dir   string
	cmd   *exec.Cmd
	hold  io.Closer // the machine ends when it is closed
}

// Start makes a machine. Its directory, empty, outlives it: with the state of the driver, and what is mounted.
func Start(d Driver, dir string, setup Setup) (_ *Machine, err error) {
	m := &Machine{setup: setup, dir: dir}
	if err := m.furnish(); err != nil {
		return nil, fmt.Errorf("making a machine: %w", err)
	}
	order, err := json.Marshal(plan{Setup: setup, Driver: d.Dir, Dir: dir})
	if err != nil {
		return nil, err
	}
	m.cmd = exec.Command("/proc/self/exe")
	m.cmd.Env = append(os.Environ(), planEnv+"="+string(order))
	m.cmd.Stderr = os.Stderr
	m.cmd.SysProcAttr = m.namespaces()
	if m.hold, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	ready, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("making a machine: %w", err)
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return nil, errors.Join(fmt.Errorf("making a machine: %w", err), m.Stop())
	}
	return m, nil
}

// namespaces are those of the machine. Root makes it without a user namespace: in one, a program that is set-user-ID root, as newuidmap
// is, would not become root.
func (m *Machine) namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if m.setup.UID == 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	return attr
}

// Stop ends the machine; what runs in it should have ended.
func (m *Machine) Stop() error {
	return errors.Join(m.hold.Close(), m.cmd.Wait())
}

// Command is a program inside, with a working directory and an environment. It dies with the caller.
func (m *Machine) Command(dir string, env []string, name string, args ...string) *exec.Cmd {
	// setns(2) into a user namespace clears the signal at the parent's death, so that it is asked for inside.
	enter := []string{"--target", strconv.Itoa(m.cmd.Process.Pid), "--mount"}
	if m.setup.UID == 0 {
		enter = append(enter, "--user", "--preserve-credentials", "--", "setpriv")
	} else {
		enter = append(enter, "--", "setpriv", "--reuid", strconv.Itoa(m.setup.UID), "--regid", strconv.Itoa(m.setup.GID), "--clear-groups")
	}
	enter = append(enter, "--pdeathsig", "KILL", "--", "env", "-C", dir, "--", name)
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.Env = env
	return cmd
}

// Say replaces what the driver is told to answer: lines of "WORD NUMBERS...", see source/state.h. The setup's own stay.
func (m *Machine) Say(lines ...string) error {
	words := []string{fmt.Sprintf("gpus %d", m.setup.GPUs)}
	for _, gpu := range m.setup.MIG {
		words = append(words, fmt.Sprintf("mig %d 1", gpu))
	}
	return fsx.WriteFile(m.path("driver", "nvidia", "fake"), []byte(strings.Join(append(words, lines...), "\n")+"\n"), 0o644)
}

func (m *Machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

// furnish makes the files of /proc/driver, as the kernel modules do.
func (m *Machine) furnish() error {
	for _, dir := range []string{"driver/nvidia/gpus", "driver/nvidia-caps", "dev", "proc"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			return err
		}
	}
	files := map[string]string{
		"version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + Version + "  Thu Jan  1 00:00:00 UTC 1970\n",
		"params":  "ModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: 438\n",
	}
	for gpu := range m.setup.GPUs {
		bus := fmt.Sprintf("0000:%02x:00.0", 0x3b+gpu)
		files["gpus/"+bus+"/information"] = fmt.Sprintf("Model: \t\t NVIDIA Fake H100 80GB\nBus Location: \t %s\nDevice Minor: \t %d\n", bus, gpu)
	}
	var minors strings.Builder
	for gpu := range m.setup.GPUs {
		for i := range instances {
			fmt.Fprintf(&minors, "gpu%d/gi%d/access %d\ngpu%d/gi%d/ci0/access %d\n", gpu, i+1, capOf(gpu, i), gpu, i+1, capOf(gpu, i)+1)
		}
	}
	files["../nvidia-caps/mig-minors"] = "config 1\nmonitor 2\n" + minors.String()
	for name, text := range files {
		path := m.path("driver", "nvidia", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), fsx.WriteFile(path, []byte(text), 0o644)); err != nil {
			return err
		}
	}
	if m.setup.NoProbe {
		return nil
	}
	return m.Say()
}

// instances is how many a GPU in MIG mode has, as in source/nvml.h.
const instances = 2

// capOf is the minor number of the capability device of a GPU instance; that of its compute instance is the next.
func capOf(gpu, instance int) int { return 3 + 2*(instances*gpu+instance) }
