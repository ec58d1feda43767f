package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// accelEnv names another accelerator of qemu's than tcg, the emulation. On hosts that are virtual machines themselves, kvm is
// often there and hangs.
const accelEnv = "CORACLE_TEST_VM_ACCEL"

// patience has a node wait for its disks and its services as long as it takes: beside other work an emulated boot takes minutes, and
// what came too late would leave a node without its payload, in a shell for emergencies. Nor does its kernel try in passing whether
// there is a timer that ticks, as it panics where the emulation is held up just then.
const patience = "no_timer_check systemd.default_device_timeout_sec=1200 systemd.default_timeout_start_sec=1200"

// A node is a machine that is ready to be booted once.
type node struct {
	release release
	system  string   // directory of disk.img, vmlinuz, initrd
	qemu    []string // the beginning of its command line
	dir     string   // its own: payload.img, results.sock
	console string   // file that the kernel and start.sh write to
}

// prepare makes a node with its payload, on which it waits for the release's disk to be built.
func prepare(ctx context.Context, r release, p payload) (_ *node, err error) {
	system, qemu, err := r.ensure(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "coracle-node-")
	if err != nil {
		return nil, err
	}
	n := &node{release: r, system: system, qemu: emulator(qemu), dir: dir, console: filepath.Join(dir, "console")}
	if err := p.write(ctx, filepath.Join(dir, "payload"), filepath.Join(dir, "payload.img")); err != nil {
		return nil, errors.Join(err, n.remove())
	}
	return n, nil
}

func (n *node) remove() error { return os.RemoveAll(n.dir) }

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// emulate is qemu's command line. The node's two processors take turns on one thread: two nodes beside each other use two
// processors all the same, and what a kernel does to its own code while it boots has never been seen by halves. The processor
// is a plain one: the kernel's faster ways for newer ones are slower where they are emulated.
func (n *node) emulate(ctx context.Context, options ...string) *exec.Cmd {
	args := []string{
		"-accel", cmp.Or(os.Getenv(accelEnv), "tcg,thread=single"), "-cpu", "Nehalem-v1", "-smp", "2", "-m", "2048",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-net", "none",
		"-kernel", filepath.Join(n.system, "vmlinuz"), "-initrd", filepath.Join(n.system, "initrd"),
		"-append", "root=LABEL=node rw console=ttyS0 quiet panic=-1 oops=panic systemd.show_status=0 mitigations=off " + patience,
		"-drive", "file=" + filepath.Join(n.system, "disk.img") + ",if=virtio,format=raw,snapshot=on",
		"-drive", "file=" + n.path("payload.img") + ",if=virtio,format=raw,readonly=on",
		"-device", "virtio-rng-pci", "-device", "virtio-serial",
		"-device", "virtserialport,chardev=results,name=results",
	}
	args = slices.Concat(n.qemu, args, options)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+n.dir) // where the layer over the disk is
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// boot runs the node to its end and hands over its results, line by line. What the node says on its console is in the
// console file.
func (n *node) boot(ctx context.Context, each func(line string)) (err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", n.path("results.sock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	cmd := n.emulate(ctx, "-monitor", "none", "-serial", "file:"+n.console,
		"-chardev", "socket,id=results,path="+n.path("results.sock"))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	results := make(chan error, 1)
	go func() { results <- read(listener, each) }()
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("the node %s was ended: %w", n.release, ctx.Err())
	case err != nil:
		err = fmt.Errorf("qemu: %w: %s", err, strings.TrimSpace(said.String()))
	}
	if err != nil {
		_ = listener.Close() // for qemu may have ended before it connected
	}
	return errors.Join(err, <-results)
}

// read hands over the lines of the first connection, until its end.
func read(listener net.Listener, each func(line string)) error {
	conn, err := listener.Accept()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		each(strings.TrimSuffix(lines.Text(), "\r"))
	}
	return lines.Err()
}

// shell runs the node with its console on this process's terminal; Ctrl-A x ends it at once.
func (n *node) shell(ctx context.Context) error {
	cmd := n.emulate(ctx, "-chardev", "null,id=results", "-chardev", "stdio,id=console,mux=on,signal=off",
		"-serial", "chardev:console", "-mon", "chardev=console")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// lastWords is the end of what the node said on its console.
func (n *node) lastWords() string {
	raw, err := os.ReadFile(n.console)
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-4000):])
}
