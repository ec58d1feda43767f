package probe_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/runtime/container"
	_ "github.com/coracle-run/coracle/runtime/initproc" // what these tests are when a container executes them again
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/seccomp"
	"github.com/coracle-run/coracle/runtime/spec"
)

// vessel is a running container that a test made by the library, without the command line.
type vessel struct {
	t   *testing.T
	box *container.Container
	in  *os.File // the job's input
	out *output

	once sync.Once
	exit container.Exit
}

// plan is a container that is not running yet.
type plan struct {
	options      spec.Options
	config       container.Config
	unconfined   bool
	tty          bool
	subordinates bool
	among        bool // the image's other users
	devices      spec.Devices
}

// change is one mode of a container.
type change func(*plan)

func as(user string) change { return func(p *plan) { p.config.User = user } }

func holding(capabilities ...string) change {
	return func(p *plan) { p.options.AddCapabilities = capabilities }
}

func unconfined(p *plan)    { p.unconfined = true }
func newPrivileges(p *plan) { p.options.NewPrivileges = true }
func readOnly(p *plan)      { p.options.ReadOnly = true }
func withoutInit(p *plan)   { p.config.NoInit = true }
func subordinates(p *plan)  { p.subordinates = true }
func onTerminal(p *plan)    { p.tty, p.options.TTY = true, true }

// among gives the container the image's other users.
func among(p *plan) { p.among, p.options.BaseCapabilities = true, spec.RootOfMany }

// launch starts a job in a container with busybox and the probe.
func launch(t *testing.T, args []string, changes ...change) *vessel {
	t.Helper()
	return draw(t, args, changes...).start(t)
}

// draw is a container as launch starts it.
func draw(t *testing.T, args []string, changes ...change) plan {
	t.Helper()
	static(t)
	need.Overlay(t)
	p := plan{options: spec.Options{Hostname: "vessel"}}
	p.options.Args = args
	for _, change := range changes {
		change(&p)
	}
	if p.among {
		p.config.IDs = need.SubIDs(t)
	}
	facts, err := host.Read()
	must(t, err)
	if p.subordinates {
		p.config.IDs = need.SubIDs(t)
	}
	image := ocispec.ImageConfig{Env: []string{"PATH=/bin", "OF_IMAGE=1"}}
	s, err := spec.New(image, p.options, spec.Host{CgroupV2: facts.CgroupV2, CgroupNamespaces: facts.CgroupNamespaces})
	must(t, err)
	spec.AddDevices(s, p.devices, nil)
	p.config.ID, p.config.Spec, p.config.Root, p.config.SetHome = "vessel", s, root(t), true
	if !p.unconfined {
		p.config.Filter, err = seccomp.For(s.Process.Capabilities.Bounding)
		must(t, err)
	}
	return p
}

func (p plan) start(t *testing.T) *vessel {
	t.Helper()
	v := &vessel{t: t}
	var given []*os.File
	if p.tty {
		p.config.Terminal = &container.Size{Rows: 24, Cols: 80}
	} else {
		v.in, v.out, given = streams(t)
		p.config.Stdin, p.config.Stdout, p.config.Stderr = given[0], given[1], given[1]
	}
	box, err := container.Prepare(p.config.IDs).Start(t.Context(), p.config)
	for _, file := range given {
		must(t, file.Close())
	}
	must(t, err)
	v.box = box
	if p.tty {
		v.in = box.Console()
		v.out = collect(box.Console())
	}
	t.Cleanup(func() {
		must(t, box.Kill())
		v.wait()
		must(t, box.Close())
		_ = v.in.Close() // some tests close it
	})
	return v
}

// wait waits for the end of the container.
func (v *vessel) wait() container.Exit {
	v.t.Helper()
	v.once.Do(func() {
		exit, err := v.box.Wait()
		must(v.t, err)
		v.exit = exit
	})
	return v.exit
}

// exec runs a further process to its end, with no input, and returns what it printed and how it ended.
func (v *vessel) exec(e container.Exec) (string, container.Exit) {
	v.t.Helper()
	text, exit, err := v.tryExec(v.t.Context(), e)
	if err != nil {
		v.t.Fatalf("exec %q: %v", e.Args, err)
	}
	return text, exit
}

func (v *vessel) tryExec(ctx context.Context, e container.Exec) (string, container.Exit, error) {
	p, in, out, err := v.begin(ctx, e)
	if err != nil {
		return "", container.Exit{}, err
	}
	if in != nil {
		if err := in.Close(); err != nil {
			return "", container.Exit{}, err
		}
	}
	exit, err := p.Wait()
	return out.String(), exit, err
}

// begin starts a further process, with streams unless it is to have a terminal.
func (v *vessel) begin(ctx context.Context, e container.Exec) (_ *container.Process, in *os.File, out *output, err error) {
	if e.Terminal == nil {
		var given []*os.File
		in, out, given = streams(v.t)
		e.Stdin, e.Stdout, e.Stderr = given[0], given[1], given[1]
		defer func() { err = errors.Join(err, given[0].Close(), given[1].Close()) }()
	}
	p, err := v.box.Exec(ctx, e)
	if err == nil && e.Terminal != nil {
		out = collect(p.Console())
	}
	return p, in, out, err
}

// streams are an input to be written to, an output that is collected, and the other ends.
func streams(t *testing.T) (in *os.File, out *output, given []*os.File) {
	t.Helper()
	inR, inW, err := os.Pipe()
	must(t, err)
	outR, outW, err := os.Pipe()
	must(t, err)
	return inW, collect(outR), []*os.File{inR, outW}
}

// output collects what is written to the other end of a pipe or terminal.
type output struct {
	mu   sync.Mutex
	text []byte
	more chan struct{} // has room for one: something has come
	end  chan struct{}
}

func collect(file *os.File) *output {
	o := &output{more: make(chan struct{}, 1), end: make(chan struct{})}
	go func() {
		defer close(o.end)
		buf := make([]byte, 4096)
		for {
			n, err := file.Read(buf)
			o.mu.Lock()
			o.text = append(o.text, buf[:n]...)
			o.mu.Unlock()
			select {
			case o.more <- struct{}{}:
			default:
			}
			if err != nil {
				_ = file.Close() // it has only been read
				return
			}
		}
	}()
	return o
}

// String is everything, once the last of those who write has ended.
func (o *output) String() string {
	<-o.end
	return string(o.text)
}

// await waits until the output holds a text, and returns what there is until then.
func (o *output) await(t *testing.T, text string) string {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		o.mu.Lock()
		all := string(o.text)
		o.mu.Unlock()
		if strings.Contains(all, text) {
			return all
		}
		select {
		case <-o.more:
		case <-o.end:
			t.Fatalf("the output ended without %q: %q", text, o.text)
		case <-limit:
			t.Fatalf("no %q in %q", text, all)
		}
	}
}

// root is a root file system of directories: busybox with the usual names, the probe, /etc/passwd.
func root(t *testing.T) rootfs.Root {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { // overlayfs leaves directories that cannot be entered, and so not be removed
		for _, left := range []string{"work/work", "work/work/incompat", "work/work/incompat/volatile"} {
			_ = os.Chmod(filepath.Join(dir, left), 0o700) // not all are there
		}
	})
	for _, sub := range []string{"layer/bin", "layer/etc", "layer/tmp", "layer/root", "layer/home/app", "upper", "work"} {
		must(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		need.Missing(t, "busybox", err.Error())
	}
	for name, text := range map[string]string{
		"bin/busybox": string(busybox),
		"probe":       text(t, build(t)),
		"etc/passwd":  "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
		"etc/group":   "root:x:0:\napp:x:1000:\n",
	} {
		must(t, need.WriteProgram(filepath.Join(dir, "layer", name), []byte(text)))
	}
	for _, name := range strings.Fields("sh cat sleep ln mv chmod printf echo env id kill mount umount ls rm mkfifo mkdir rmdir true pwd stty tty wc seq head readlink") {
		must(t, os.Symlink("busybox", filepath.Join(dir, "layer", "bin", name)))
	}
	return rootfs.Root{Layers: []string{filepath.Join(dir, "layer")}, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")}
}

func text(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	must(t, err)
	return string(raw)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
