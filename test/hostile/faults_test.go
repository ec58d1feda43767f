package hostile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/hostile"
)

// fault is something that a host lacks or breaks. It is done to one `coracle pull` of an honest image of two layers, 20 MiB
// when unpacked; where that fails, a pull without the fault must succeed right after it.
type fault struct {
	hostile.Case
	change func(b *box, l *launch)
	says   string // what the message says, when it is rejected
}

var faults = []fault{
	{
		Case:   hostile.Case{Name: "fault-nofile-24", What: "24 file descriptors (RLIMIT_NOFILE)", Source: "getrlimit(2), EMFILE", Outcome: hostile.Accept},
		change: func(_ *box, l *launch) { l.shell("ulimit -n 24") },
	},
	{
		Case:   hostile.Case{Name: "fault-nofile-14", What: "14 file descriptors", Source: "getrlimit(2), EMFILE", Outcome: hostile.Reject},
		change: func(_ *box, l *launch) { l.shell("ulimit -n 14") }, says: "too many open files",
	},
	{
		Case:   hostile.Case{Name: "fault-tmpfs-8m", What: "a store on a tmpfs of 8 MiB", Source: "tmpfs(5), ENOSPC", Outcome: hostile.Reject},
		change: func(b *box, l *launch) { l.Tmpfs, l.Size = b.path("store"), "8m" }, says: "space",
	},
	{
		Case:   hostile.Case{Name: "fault-tmpfs-100m", What: "a store on a tmpfs of 100 MiB, which is enough", Source: "tmpfs(5)", Outcome: hostile.Accept},
		change: func(b *box, l *launch) { l.Tmpfs, l.Size = b.path("store"), "100m" },
	},
	{
		Case:   hostile.Case{Name: "fault-inodes", What: "a store on a tmpfs with 40 inodes", Source: "tmpfs(5), ENOSPC", Outcome: hostile.Reject},
		change: func(b *box, l *launch) { l.Tmpfs, l.Size = b.path("store"), "100m,nr_inodes=40" }, says: "space",
	},
	{
		Case:   hostile.Case{Name: "fault-read-only", What: "a store on a read-only file system", Source: "mount(2), EROFS", Outcome: hostile.Reject},
		change: func(b *box, l *launch) { l.ReadOnly = b.path("store") }, says: "read-only file system",
	},
	{
		Case:   hostile.Case{Name: "fault-tmpdir-missing", What: "TMPDIR names a directory that is not there", Source: "environ(7)", Outcome: hostile.Accept},
		change: func(_ *box, l *launch) { l.set("TMPDIR", "/nonexistent/tmp") },
	},
	{
		Case:   hostile.Case{Name: "fault-home-unset", What: "no HOME, no XDG_RUNTIME_DIR, no PATH", Source: "environ(7); cron, systemd", Outcome: hostile.Accept},
		change: func(_ *box, l *launch) { l.set("HOME", ""); l.set("XDG_RUNTIME_DIR", ""); l.set("PATH", "") },
	},
	{
		Case: hostile.Case{Name: "fault-home-unset-no-root", What: "no HOME, no CORACLE_ROOT, and a user whom passwd(5) does not know", Source: "environ(7)", Outcome: hostile.Reject},
		change: func(b *box, l *launch) {
			l.set("HOME", "")
			l.set("CORACLE_ROOT", "")
			l.Argv = append([]string{need.Tool(b.t, "unshare"), "--user", "--map-user=54321"}, l.Argv...)
		}, says: "HOME",
	},
	{
		Case:   hostile.Case{Name: "fault-home-file", What: "HOME is a file", Source: "own", Outcome: hostile.Reject},
		change: func(b *box, l *launch) { l.set("HOME", b.path("above")); l.set("CORACLE_ROOT", "") }, says: "is no directory",
	},
	{
		Case:   hostile.Case{Name: "fault-cwd-removed", What: "the working directory is gone", Source: "getcwd(2)", Outcome: hostile.Accept},
		change: func(_ *box, l *launch) { l.shell("mkdir gone && cd gone && rmdir ../gone") },
	},
	{
		Case:   hostile.Case{Name: "fault-stdout-closed", What: "standard output is closed: no file may take its number and get what is printed", Source: "CVE-2002-0572 class", Outcome: hostile.Contain},
		change: func(_ *box, l *launch) { l.Close = []int{1} },
	},
	{
		Case:   hostile.Case{Name: "fault-stderr-closed", What: "standard error is closed", Source: "CVE-2002-0572 class", Outcome: hostile.Contain},
		change: func(_ *box, l *launch) { l.Close = []int{2} },
	},
	{
		Case:   hostile.Case{Name: "fault-all-closed", What: "standard input, output and error are closed", Source: "CVE-2002-0572 class", Outcome: hostile.Contain},
		change: func(_ *box, l *launch) { l.Close = []int{0, 1, 2} },
	},
	{
		Case:   hostile.Case{Name: "fault-stdout-full", What: "standard output is on a full disk: the result was not told, and that is a failure", Source: "full(4)", Outcome: hostile.Reject},
		change: func(_ *box, l *launch) { l.Full = true }, says: "no space left",
	},
	{
		Case:   hostile.Case{Name: "fault-clock-back", What: "everything in the store is from ten years ahead: the clock was put back", Source: "facts: clock +-10 years", Outcome: hostile.Accept},
		change: func(b *box, _ *launch) { b.date(10 * 365 * 24 * time.Hour) },
	},
	{
		Case:   hostile.Case{Name: "fault-clock-ahead", What: "everything in the store is ten years old: the clock was put ahead", Source: "facts: clock +-10 years", Outcome: hostile.Accept},
		change: func(b *box, _ *launch) { b.date(-10 * 365 * 24 * time.Hour) },
	},
	{
		Case:   hostile.Case{Name: "fault-umask-0777", What: "a umask of 0777: not even the owner may use what is made", Source: "umask(2)", Outcome: hostile.Reject},
		change: func(_ *box, l *launch) { l.shell("umask 0777") }, says: "permission denied",
	},
	{
		Case:   hostile.Case{Name: "fault-umask-0077", What: "a umask of 0077: the image's modes are the image's all the same", Source: "umask(2)", Outcome: hostile.Accept},
		change: func(_ *box, l *launch) { l.shell("umask 0077") },
	},
	{
		Case: hostile.Case{Name: "fault-umask-0", What: "a umask of 0: the store is nobody else's", Source: "umask(2)", Outcome: hostile.Accept},
		change: func(_ *box, l *launch) {
			l.shell("umask 0")
		},
	},
	{
		Case:   hostile.Case{Name: "fault-store-open", What: "the store may be written by everybody", Source: "facts: refuse any component writable by others", Outcome: hostile.Reject},
		change: func(b *box, _ *launch) { mustDo(b.t, os.Chmod(b.path("store"), 0o777)) }, says: "writ",
	},
	{
		Case:   hostile.Case{Name: "fault-locale", What: "LANG, LC_ALL and TZ of nonsense", Source: "locale(7)", Outcome: hostile.Accept},
		change: func(_ *box, l *launch) { l.set("LC_ALL", "\x1b[2J"); l.set("TZ", "../../etc/passwd") },
	},
}

// shell has a shell do something before it becomes the command.
func (l *launch) shell(script string) {
	l.Argv = append([]string{"/bin/sh", "-c", script + ` && exec "$@"`, "sh"}, l.Argv...)
}

// set changes a variable of the environment; "" takes it away.
func (l *launch) set(name, value string) {
	l.Env = slices.DeleteFunc(l.Env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	if value != "" {
		l.Env = append(l.Env, name+"="+value)
	}
}

// date changes the times of everything in the store, and takes them for what they were before.
func (b *box) date(by time.Duration) {
	b.t.Helper()
	when := time.Now().Add(by)
	mustDo(b.t, filepath.WalkDir(b.path("store"), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, when, when)
	}))
	b.before = b.canaries()
}

func TestFaults(t *testing.T) {
	reg := fixture.Serve(t)
	img := fixture.Image{Layers: []fixture.Layer{
		fixture.NewLayer(fixture.Gzip, dir("etc"), fixture.File("noise", strings.Repeat("coracle ", 20<<20/8), 0o644)),
		fixture.NewLayer(fixture.Gzip, hundred()...),
	}}
	reg.Push("fault:1", img)
	for _, c := range faults {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			l := b.command("pull", reg.Ref("fault:1"))
			c.change(b, &l)
			got := l.do(t)
			t.Logf("status %d: %s", got.Code, lastError(got.stderr))
			if c.Outcome == hostile.Reject {
				if !strings.Contains(lastError(got.stderr), c.says) {
					t.Errorf("the message lacks %q: %s", c.says, got.stderr)
				}
				b.wantStatus(got, 125, hostile.Budget{})
				mustDo(t, os.Chmod(b.path("store"), 0o700))
			} else {
				b.wantStatus(got, 0, hostile.Budget{})
			}
			b.wantStatus(b.run("pull", reg.Ref("fault:1")), 0, hostile.Budget{})
			b.check()
			if !t.Failed() {
				b.wantTree(img, hostile.Tree{"noise": "file 0644 of 20971520 bytes", "d/99": "file 0644 x", "etc": "dir 0755"})
			}
		})
	}
}

func dir(name string) fixture.Entry { return fixture.Dir(name, 0o755) }

func hundred() []fixture.Entry {
	all := []fixture.Entry{dir("d")}
	for i := range 100 {
		all = append(all, fixture.File("d/"+string(rune('0'+i/10))+string(rune('0'+i%10)), "x", 0o644))
	}
	return all
}
