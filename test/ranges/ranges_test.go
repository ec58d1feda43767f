// Package ranges_test runs the real binary with lists of subordinate ids of the test's own: as root, and as an ordinary user. To put
// such lists in the place of the host's takes root, and a mount namespace.
package ranges_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// serving is an image with files of users with small and large ids.
func serving(t *testing.T) (ref string) {
	t.Helper()
	img := fixture.Busybox(t)
	img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip,
		fixture.File("shadow", "secret\n", 0o640).Own(0, 42),
		fixture.File("mine", "mine\n", 0o600).Own(150, 150),
		fixture.File("large", "large\n", 0o600).Own(999, 999)))
	reg := fixture.Serve(t)
	reg.Push("users:1", img)
	return reg.Ref("users:1")
}

const script = `stat -c '%u:%g %a %n' /shadow /mine /large; echo x >/out/made; chown 999:42 /out/made; cat /proc/self/uid_map | tr -s ' ' | wc -l; exit 9`

const want = "0:42 640 /shadow\n150:150 600 /mine\n999:999 600 /large\n"

// caller is who runs coracle, with files of its own.
type caller struct {
	name     string
	uid, gid int
	dir      string
}

func (c caller) command(t *testing.T, uids, gids string, args ...string) *exec.Cmd {
	t.Helper()
	lists := [2]string{filepath.Join(c.dir, "subuid"), filepath.Join(c.dir, "subgid")}
	for n, text := range []string{uids, gids} {
		if err := os.WriteFile(lists[n], []byte(strings.ReplaceAll(text, "NAME", c.name)), 0o644); err != nil { //nolint:gosec // newuidmap reads it for everybody
			t.Fatal(err)
		}
	}
	const prepare = `mount --bind "$1" /etc/subuid && mount --bind "$2" /etc/subgid && shift 2 && exec setpriv --reuid "$1" --regid "$2" --clear-groups "$3" "${@:4}"`
	line := append([]string{"--mount", "--propagation", "private", "bash", "-c", prepare, "bash", lists[0], lists[1],
		fmt.Sprint(c.uid), fmt.Sprint(c.gid), filepath.Join(c.dir, "coracle")}, args...)
	cmd := exec.Command(need.Tool(t, "unshare"), line...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "CORACLE_ROOT=" + filepath.Join(c.dir, "store"), "CORACLE_NO_SETTLE=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// newCaller has a directory that it owns, with the binary in it.
func newCaller(t *testing.T, name string) caller {
	t.Helper()
	account, err := user.Lookup(name)
	if err != nil {
		need.Missing(t, "user", err.Error())
	}
	dir, err := os.MkdirTemp("/var/tmp", "coracle-ranges-") //nolint:usetesting // a directory of the tests is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c := caller{name: name, dir: dir}
	raw, err := os.ReadFile(need.Binary(t))
	if err == nil {
		err = need.WriteProgram(filepath.Join(dir, "coracle"), raw)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "out"), 0o755)
	}
	if err == nil {
		_, err = fmt.Sscan(account.Uid+" "+account.Gid, &c.uid, &c.gid)
	}
	for _, path := range []string{dir, filepath.Join(dir, "out")} {
		if err == nil {
			err = os.Chown(path, c.uid, c.gid)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Missing(t, "root", "other lists of subordinate ids can be mounted by root alone")
	}
	for _, tool := range []string{"newuidmap", "setpriv", "bash"} {
		need.Tool(t, tool)
	}
}

// TestLists: one line or several, by name and by number, for root and for others: files belong to whom the image says, and on the
// host to the ids of the lists, in their order.
func TestLists(t *testing.T) {
	needRoot(t)
	ref := serving(t)
	for _, name := range []string{"root", need.User} {
		for _, tc := range []struct {
			lines         string
			uid999, gid42 uint32
			maps          int // lines of the namespace's map
		}{
			{"NAME:700000:65536\n", 700998, 700041, 2},
			{"# ours\nNAME:700000:100\nother:1:1\nUID:800000:100\nNAME:900000:65536\n", 900798, 700041, 4},
			{"NAME:700000:20\nNAME:700020:20\nNAME:700040:960\n", 700998, 700041, 0}, // what adjoins may become one
		} {
			t.Run(name+" "+strings.ReplaceAll(tc.lines, "\n", " "), func(t *testing.T) {
				c := newCaller(t, name)
				lines := strings.ReplaceAll(tc.lines, "UID", fmt.Sprint(c.uid))
				cmd := c.command(t, lines, lines, "run", "-q", "--userns", "subuid", "-v", "./out:/out", ref, "sh", "-c", script)
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				_ = cmd.Run() // its status is looked at
				maps, ok := strings.CutPrefix(stdout.String(), want)
				if code := cmd.ProcessState.ExitCode(); code != 9 || !ok || tc.maps > 0 && strings.TrimSpace(maps) != fmt.Sprint(tc.maps) {
					t.Errorf("status %d, %q: %s", code, &stdout, &stderr)
				}
				var st syscall.Stat_t
				if err := syscall.Stat(filepath.Join(c.dir, "out", "made"), &st); err != nil || st.Uid != tc.uid999 || st.Gid != tc.gid42 {
					t.Errorf("on the host it belongs to %d:%d, want %d:%d: %v", st.Uid, st.Gid, tc.uid999, tc.gid42, err)
				}
			})
		}
	}
}

// TestNoLine: who is in no list is told which line to ask for, root as everybody.
func TestNoLine(t *testing.T) {
	needRoot(t)
	ref := serving(t)
	for _, name := range []string{"root", need.User} {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, name)
			out, _ := c.command(t, "other:700000:65536\n", "NAME:700000:65536\n", "run", "-q", "--userns", "subuid", ref, "true").CombinedOutput()
			if text := string(out); !strings.Contains(text, "/etc/subuid") || !strings.Contains(text, "hint: ") || !strings.Contains(text, name) {
				t.Errorf("it says %s", text)
			}
		})
	}
}
