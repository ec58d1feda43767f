package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/test/fixture"
)

// TestPulledImageOutlivesARestart: once the disk has what a pull wrote, which nobody waited for, the image is trusted in
// another boot; before that it is not.
func TestPulledImageOutlivesARestart(t *testing.T) {
	reg := fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	ref := reg.Ref("busybox:1")
	b := newBox(t)
	adopt(t)
	t.Setenv("CORACLE_NO_SETTLE", "") // which the other tests set: their stores go at once
	b.ok("pull", ref)
	reg.Forget()
	waitFor(t, "the layers are settled", patience, func() error {
		marks, err := filepath.Glob(filepath.Join(b.root, "layers/sha256/*/*/synced"))
		if err == nil && len(marks) == 0 {
			err = fmt.Errorf("no layer is marked")
		}
		return err
	})
	restart(t, b)
	if got := b.ok("run", "--pull", "never", ref, "echo", "still here"); got != "still here" {
		t.Errorf("printed %q", got)
	}
	for _, mark := range globbed(t, b, "layers/sha256/*/*/synced") {
		if err := os.Remove(mark); err != nil {
			t.Fatal(err)
		}
	}
	if r := b.do("run", "--pull", "never", ref, "true"); r.code != 125 || !strings.Contains(r.stderr, "not stored") {
		t.Errorf("an image that may be damaged is used: status %d: %s", r.code, r.stderr)
	}
	nothingLeft(t, b)
}

// restart makes the store look as if this machine had been started anew since.
func restart(t *testing.T, b *box) {
	t.Helper()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range globbed(t, b, "layers/sha256/*/*/layer.json") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		other := bytes.ReplaceAll(text, bytes.TrimSpace(boot), []byte("00000000-0000-4000-8000-000000000000"))
		if bytes.Equal(other, text) {
			t.Fatalf("%s does not say which boot it is from", name)
		}
		if err := os.WriteFile(name, other, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func globbed(t *testing.T, b *box, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(b.root, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: nothing (%v)", pattern, err)
	}
	return names
}

// TestOneNameOneRun: of several runs that ask for one name at the same moment, in a store that has yet to pull the image,
// one gets it.
func TestOneNameOneRun(t *testing.T) {
	reg := fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	ref := reg.Ref("busybox:1")
	b := newBox(t)
	adopt(t)
	b.dir("out")
	const runs = 5
	ends := make(chan result, runs)
	for range runs {
		j := b.start("run", "--name", "only", "-v", b.wd+"/out:/out", ref, "sh", "-c", "while ! test -e /out/go; do sleep 0.05; done")
		go func() { ends <- b.wait(j) }()
	}
	ran, late := 0, time.After(patience/2)
	for ended := 0; ended < runs; {
		select {
		case r := <-ends:
			ended++
			if r.code == 0 {
				ran++
			} else if r.code != 125 || !strings.Contains(r.stderr, "name is in use") {
				t.Errorf("status %d: %s", r.code, r.stderr)
			}
		case <-late:
			t.Errorf("%d of %d runs have not been refused", runs-ended, runs)
			b.file("out/go", "")
		}
		if ended == runs-1 { // who has the name keeps it until all others have asked for it, however late they come to that
			b.file("out/go", "")
		}
	}
	if ran != 1 {
		t.Errorf("%d of %d runs had the name", ran, runs)
	}
	if r := b.do("run", "--name", "only", ref, "true"); r.code != 0 {
		t.Errorf("the name stays taken: %s", r.stderr)
	}
	nothingLeft(t, b)
}

// TestPlatformOfAStoredImage: a platform is compared by what it means.
func TestPlatformOfAStoredImage(t *testing.T) {
	b, ref := busybox(t)
	for _, same := range []string{"linux/" + runtime.GOARCH, runtime.GOARCH, "Linux/" + runtime.GOARCH} {
		b.ok("run", "--pull", "never", "--platform", same, ref, "true")
	}
	if r := b.do("run", "--pull", "never", "--platform", "linux/s390x", ref, "true"); r.code != 125 {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
	if r := b.do("run", "--pull", "never", "--platform", "vax", ref, "true"); r.code != 125 {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
}

// TestNohup: a signal that whoever started Coracle has switched off stays off.
func TestNohup(t *testing.T) {
	b, ref := busybox(t)
	b.dir("out")
	j := &job{Cmd: b.command("run", "-v", b.wd+"/out:/out", ref, "sh", "-c", ": >/out/up; sleep 1; echo done")}
	// By a shell: of a signal that it has ignored once, Go does not let go again, for this process and what later tests start.
	j.Path, j.Args = "/bin/sh", append([]string{"sh", "-c", `trap '' HUP; exec "$@"`, "sh", j.Path}, j.Args[1:]...)
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if err := j.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the job runs", patience, func() error {
		_, err := os.Stat(filepath.Join(b.wd, "out/up"))
		return err
	})
	if err := j.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if r := b.wait(j); r.code != 0 || strings.TrimSpace(r.stdout) != "done" {
		t.Errorf("status %d, %q: %s", r.code, r.stdout, r.stderr)
	}
}

// TestStalledReader: a job whose output nobody reads ends when it is asked to, and its record is written.
func TestStalledReader(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	j := &job{Cmd: b.command("run", "--name", "stalled", "--stop-timeout", "1", ref, "yes")}
	j.Stdout = w
	if err := errors.Join(j.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "more is printed than the pipe holds", patience, func() error {
		log, err := filepath.Glob(filepath.Join(b.root, "runs/*/output.log"))
		if err != nil || len(log) != 1 {
			return errors.Join(errors.New("no log yet"), err)
		}
		if info, err := os.Stat(log[0]); err != nil || info.Size() < 64<<10 {
			return errors.Join(errors.New("little in the log"), err)
		}
		return nil
	})
	j.signal(t, syscall.SIGTERM)
	if r := b.wait(j); r.code != 143 && r.code != 137 {
		t.Errorf("status %d", r.code)
	}
	if rec := b.record("stalled"); rec.State != "exited" || rec.Cause != "stopped" {
		t.Errorf("the record says %s, %s", rec.State, rec.Cause)
	}
	nothingLeft(t, b)
}

// TestVolumeThatCannotBeMounted: the error says which, on one line.
func TestVolumeThatCannotBeMounted(t *testing.T) {
	b, ref := busybox(t)
	b.dir("data")
	r := b.do("run", "-v", b.wd+"/data:/bin/busybox/below", ref, "true")
	if r.code != 125 || !strings.Contains(r.stderr, "cannot mount: ") || !strings.Contains(r.stderr, "/bin/busybox/below") {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
}
