package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/runtime/gpu"
)

// output is what a command says on standard output, and its error.
func output(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	in, out := file(t, stdin), file(t, "")
	err := run(args, in, out, file(t, ""))
	raw, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(raw), err
}

// file is an open file with a text.
func file(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // it goes with its directory
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestByHand(t *testing.T) {
	for _, tc := range []struct{ command, want string }{
		{"version", fmt.Sprintf("protocol %d", gpu.Protocol)},
		{"--version", gpu.HelperName},
		{"help", "libexec/coracle"},
		{"-h", "Exit status"},
	} {
		if out, err := output(t, "", tc.command); err != nil || !strings.Contains(out, tc.want) {
			t.Errorf("%s: %q, %v", tc.command, out, err)
		}
	}
	if _, err := output(t, "", "row"); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "row") {
		t.Errorf("a command that there is not: %v", err)
	}
}

// TestServes asks the real program, with a driver root that has none: each line has its answer, nothing else is said, and it ends with
// its input.
func TestServes(t *testing.T) {
	helper := need.GPUHelper(t)
	cmd := exec.Command(helper)
	cmd.Env = []string{}
	request, err := json.Marshal(gpu.Request{Protocol: gpu.Protocol, Op: gpu.List, DriverRoot: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = strings.NewReader(string(request) + "\n" + `{"protocol":99}` + "\n")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil || errOut.Len() > 0 {
		t.Fatalf("%v: %s", err, &errOut)
	}
	for i, want := range []gpu.FailureKind{gpu.NoDriver, gpu.BadRequest} {
		line, err := out.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var r gpu.Reply
		if err := json.Unmarshal(line, &r); err != nil || r.Failure == nil || r.Failure.Kind != want {
			t.Errorf("answer %d: %s, %v", i, line, err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("more was said: %s", &out)
	}
}

// TestOutlivesSignals sends what a scheduler sends to a whole job step; the helper answers nonetheless, and ends with its input.
func TestOutlivesSignals(t *testing.T) {
	cmd := exec.Command(need.GPUHelper(t))
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(out)
	ask := func() {
		t.Helper()
		if _, err := io.WriteString(in, "{}\n"); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() {
			t.Fatalf("no answer: %v", answers.Err())
		}
	}
	ask()
	for _, s := range []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		ask()
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
}

// container is a root file system and a state that names it in one of the three ways.
func container(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "rootfs")
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestHookFindsRoot(t *testing.T) {
	for name, arrange := range map[string]func(root string) (state string, args []string){
		"argument": func(root string) (string, []string) { return "", []string{"--rootfs", root} },
		"state":    func(root string) (string, []string) { return fmt.Sprintf(`{"root":%q}`, root), nil },
		"bundle": func(root string) (string, []string) {
			write(t, filepath.Join(filepath.Dir(root), "config.json"), `{"root":{"path":"rootfs"}}`)
			return fmt.Sprintf(`{"bundle":%q}`, filepath.Dir(root)), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			root := container(t)
			st, args := arrange(root)
			args = append([]string{gpu.HookCommand}, append(args, "create-symlinks", "--link", "libcuda.so.1::/usr/lib/own/libcuda.so")...)
			if _, err := output(t, st, args...); err != nil {
				t.Fatal(err)
			}
			if target, err := os.Readlink(filepath.Join(root, "usr/lib/own/libcuda.so")); target != "libcuda.so.1" {
				t.Errorf("the link leads to %q, %v", target, err)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestHookErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	root := container(t)
	for _, tc := range []struct {
		name, state, want string
		args              []string
	}{
		{"unknown", "", "hook row: no such hook", []string{"--rootfs", root, "row"}},
		{"none", "", "none is named", []string{"--rootfs", root}},
		{"no state", "", "reading the container's state", []string{"create-symlinks"}},
		{"the host's root", `{"root":"/"}`, `"/" is none`, []string{"create-symlinks", "--link", "a::/b"}},
		{"no root", `{"bundle":"/nowhere"}`, "/nowhere/config.json", []string{"create-symlinks"}},
		{"wrong flag", "", "not defined", []string{"--rootfs", root, "create-symlinks", "--bogus"}},
		{"wrong link", "", "invalid symlink", []string{"--rootfs", root, "create-symlinks", "--link", "x"}},
		{"no such root", "", "no such file", []string{"--rootfs", root + "x", "force-cuda-compat"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := output(t, tc.state, append([]string{gpu.HookCommand}, tc.args...)...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// TestLinkStaysInside has an image whose directories lead out of it.
func TestLinkStaysInside(t *testing.T) {
	t.Chdir(t.TempDir())
	root, outside := container(t), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, "usr")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"create-symlinks", "--link", "libcuda.so.1::/usr/libcuda.so"},
		{"create-symlinks", "--link", "libcuda.so.1::/../../usr/libcuda.so"},
		{"force-cuda-compat"},
	} {
		// Whether it fails or makes the link inside is the same to the host.
		_, err := output(t, "", append([]string{gpu.HookCommand, "--rootfs", root}, args...)...)
		t.Logf("%v: %v", args, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside: %v, %v", entries, err)
	}
}

// TestLoaderCache runs the hook that makes the loader's cache as a container's hooks are run: in a user namespace of one user, with the
// root file system mounted, and an image's environment nowhere.
func TestLoaderCache(t *testing.T) {
	need.UserNS(t)
	helper := need.GPUHelper(t)
	unshare, ldconfig := need.Tool(t, "unshare"), need.Tool(t, "ldconfig")
	root := container(t)
	write(t, filepath.Join(root, "etc/alpine-release"), "3.22.0\n")
	write(t, filepath.Join(root, "usr/local/cuda/compat/libcuda.so.999.1.1"), "")
	for _, dir := range []string{"proc", "sys", "usr/lib/own"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	library := hostLibrary(t)
	if out, err := exec.Command("cp", library, filepath.Join(root, "usr/lib/own")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const script = `mount --make-rprivate / && mount --bind "$1" "$1" && cd "$1" && shift && "$0" __cdi-hook --rootfs "$PWD" force-cuda-compat &&
		exec "$0" __cdi-hook --rootfs "$PWD" update-ldcache --ldconfig-path "$1" --folder /usr/lib/own`
	cmd := exec.Command(unshare, "-Urm", "/bin/sh", "-c", script, helper, root, ldconfig)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list, err := exec.Command(ldconfig, "-p", "-C", filepath.Join(root, "etc/ld.so.cache")).Output()
	if want := "/usr/lib/own/" + filepath.Base(library); err != nil || !strings.Contains(string(list), want) {
		t.Errorf("the cache has no %s: %v: %s", want, err, list)
	}
	musl, err := filepath.Glob(filepath.Join(root, "etc/ld-musl-*.path"))
	if err != nil || len(musl) != 1 {
		t.Fatalf("musl's paths: %v, %v", musl, err)
	}
	raw, err := os.ReadFile(musl[0])
	if err != nil || !strings.HasPrefix(string(raw), "/lib\n/usr/local/lib\n/usr/lib\n") || !strings.Contains(string(raw), "\n/usr/lib/own\n") {
		t.Errorf("musl's paths: %q, %v", raw, err)
	}
	if raw, err := os.ReadFile(filepath.Join(root, "etc/ld.so.conf.d/00-compat-forced.conf")); string(raw) != "/usr/local/cuda/compat\n" {
		t.Errorf("compatibility: %q, %v", raw, err)
	}
}

// hostLibrary is a library of this machine whose file is called as programs ask for it.
func hostLibrary(t *testing.T) string {
	t.Helper()
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	for _, path := range []string{"/lib/" + machine + "-linux-gnu/libm.so.6", "/lib64/libm.so.6", "/usr/lib/libm.so.6"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	need.Missing(t, "libm", "there is no libm.so.6 of glibc")
	return ""
}
