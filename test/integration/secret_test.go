package integration_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// No file of this tree has them: it may lie in a directory that is looked through.
var (
	canary  = "CaNaRy-" + rand.Text()  // in secrets: to be found nowhere
	control = "cOnTrOl-" + rand.Text() // in a variable of the job: to be found where the canary is looked for
)

// TestSecretsAreNowhereElse looks for secrets in all that a run shows while it goes on and in all that it leaves: one that ends by
// itself, one that is ended, one whose supervisor is killed.
func TestSecretsAreNowhereElse(t *testing.T) {
	for _, way := range []struct {
		name    string
		options []string
		end     func(b *box, j *job)
	}{
		{"flat", nil, goOn},
		{"root, without init", []string{"--userns", "root", "--init=false"}, goOn},
		{"host-uid, read-only", []string{"--userns", "host-uid", "--read-only"}, goOn},
		{"another user, terminal", []string{"-u", "33:33", "-t"}, goOn},
		{"ended", []string{"--network", "none"}, func(b *box, j *job) { signalJob(b, j, os.Interrupt) }},
		{"supervisor killed", nil, func(b *box, j *job) { signalJob(b, j, os.Kill) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			began := time.Now()
			b, ref := busybox(t)
			b.dir("out")
			b.file("key", canary+"-file\n")
			args := append([]string{"run", "-v", "./out:/out", "-e", "CONTROL=" + control, "--secret", "id=var,env=SECRET_FROM", "--secret", "id=key,src=key"}, way.options...)
			cmd := b.command(append(args, ref, "sh", "-c", `
cat /run/secrets/var /run/secrets/key
[ "$(cat /run/secrets/var /run/secrets/key)" = "`+halves(canary+"-var")+halves(canary+"-file")+`" ] && touch /out/right
touch /out/up
while ! test -e /out/go; do sleep 0.05; done`)...)
			cmd.Env = append(cmd.Env, "SECRET_FROM="+canary+"-var")
			j := &job{Cmd: cmd}
			j.Stdout, j.Stderr = &j.stdout, &j.stderr
			if err := j.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the job", patience, func() error {
				_, err := os.Lstat(filepath.Join(b.wd, "out/up"))
				return err
			})
			if _, err := os.Lstat(filepath.Join(b.wd, "out/right")); err != nil {
				t.Error("the job's secrets are wrong")
			}
			if seen := processesWith(t, canary); len(seen) > 0 {
				t.Errorf("while it runs: %q", seen)
			}
			if seen := processesWith(t, control); len(seen) == 0 {
				t.Error("the job's environment was not looked through")
			}
			way.end(b, j)
			if err := os.Remove(filepath.Join(b.wd, "key")); err != nil {
				t.Fatal(err)
			}
			b.ok("runs") // closes the record of a killed one
			var ever time.Time
			for dir, since := range map[string]time.Time{b.root: ever, b.wd: ever, os.Getenv("HOME"): began, os.Getenv("XDG_RUNTIME_DIR"): began} {
				if seen := filesWith(t, dir, canary, since); len(seen) > 0 {
					t.Errorf("afterwards: %q", seen)
				}
			}
			if seen := filesWith(t, filepath.Join(b.root, "runs"), control, ever); len(seen) == 0 {
				t.Error("the record was not looked through")
			}
		})
	}
}

// halves is a text for a shell, which has it in two parts: the script itself is no leak.
func halves(text string) string { return text[:5] + `""` + text[5:] }

// goOn lets the job end by itself.
func goOn(b *box, j *job) {
	b.t.Helper()
	b.file("out/go", "")
	if r := b.wait(j); r.code != 0 {
		b.t.Errorf("status %d: %s", r.code, r.stderr)
	}
}

func signalJob(b *box, j *job, signal os.Signal) {
	b.t.Helper()
	if err := j.Process.Signal(signal); err != nil {
		b.t.Fatal(err)
	}
	b.wait(j)
}

// processesWith are the processes of this machine that show a text in their command lines, environments or names of mounts.
func processesWith(t *testing.T, text string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == os.Getpid() {
			continue
		}
		for _, name := range []string{"cmdline", "environ", "mountinfo", "comm"} {
			path := filepath.Join("/proc", e.Name(), name)
			content, err := os.ReadFile(path)
			if err == nil && bytes.Contains(content, []byte(text)) { // what cannot be read cannot be read by others of this user, either
				found = append(found, path+": "+strings.ReplaceAll(string(content), "\x00", " "))
			}
		}
	}
	return found
}

// filesWith are the files below a directory that have a text in their names or, of those written since some time, contents.
func filesWith(t *testing.T, dir, text string, since time.Time) (found []string) {
	t.Helper()
	if dir == "" {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.Contains(e.Name(), text) {
			found = append(found, path)
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(since.Add(-time.Second)) { // files' times are coarser
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) && !slices.Contains(found, path) {
			found = append(found, path)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
