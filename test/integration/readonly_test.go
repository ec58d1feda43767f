package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// writes tries all that a shell can to change something below /ro, and prints what worked. /rw is the same tree, a part of which the
// caller gave to be written.
const writes = `
try() { if sh -c "$2" 2>/dev/null; then echo "worked: $1"; fi; }
try write          'echo x >>/ro/file'
try create         ': >/ro/new'
try mkdir          'mkdir /ro/new'
try remove         'rm -f /ro/file && ! test -e /ro/file'
try rename         'mv /ro/file /ro/other'
try chmod          'chmod 777 /ro/file'
try touch          'touch -d 2001-01-01 /ro/file'
try below          'echo x >>/ro/sub/file'
try 'open again'   'exec 3</ro/file; echo x >>/proc/self/fd/3'
try 'root link'    'echo x >>/proc/self/root/ro/file'
try 'first process' 'echo x >>/proc/1/root/ro/file'
try 'cwd link'     'cd /ro && echo x >>/proc/self/cwd/file'
try 'hard link'    'ln /ro/file /rw/stolen && echo x >>/rw/stolen'
try 'link back'    'ln /rw/own /ro/planted'
try 'symlink'      'ln -s /ro/file /rw/link; echo x >>/rw/link'
try rename-in      'mv /rw/own /ro/own'
try remount        'mount -o remount,rw /ro'
try remount-bind   'mount -o remount,rw,bind /ro'
try remount-sub    'mount -o remount,rw,bind /ro/sub'
try bind           'mkdir -p /tmp/b && mount --bind /ro /tmp/b && echo x >>/tmp/b/file'
try unmount        'umount /ro'
try 'unmount lazily' 'umount -l /ro'
try userns         'unshare -Ur sh -c "echo x >>/ro/file"'
try 'userns remount' 'unshare -Urm sh -c "mount -o remount,rw,bind /ro && echo x >>/ro/file"'
try 'userns bind'  'unshare -Urm sh -c "mkdir -p /tmp/c && mount --bind /ro /tmp/c && mount -o remount,rw,bind /tmp/c && echo x >>/tmp/c/file"'
try 'userns umount' 'unshare -Urm sh -c "umount /ro && echo x >>/ro/file"'
echo done
`

// TestReadOnlyVolumesStayReadOnly has a job try every trick on a read-only volume of which a part lies in another one that it may
// write to. None works, and afterwards the host's files are as they were.
func TestReadOnlyVolumesStayReadOnly(t *testing.T) {
	b, ref := busybox(t)
	for name, options := range map[string][]string{
		"default":            nil,
		"user":               {"-u", "1000"},
		"root":               {"--userns", "root"},
		"unconfined":         {"--security-opt", "seccomp=unconfined"},
		"user, unconfined":   {"-u", "1000", "--security-opt", "seccomp=unconfined"},
		"new privileges":     {"--security-opt", "no-new-privileges=false"},
		"all but SYS_ADMIN":  {"--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"},
		"SYS_ADMIN":          {"--cap-add", "SYS_ADMIN"},
		"all":                {"--cap-add", "ALL", "--security-opt", "seccomp=unconfined"},
		"user, SYS_ADMIN":    {"-u", "1000", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"},
		"no init":            {"--init=false"},
		"below a writable":   {"-v", "./tree:/above", "-v", "./tree/ro:/above/ro:ro"},
		"writable in it":     {"-v", "./tree/rw:/ro/sub"},
		"writable by itself": {"--mount", "type=bind,src=tree/ro,dst=/again,readonly,bind-recursive=writable"},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t, b.wd = t, t.TempDir()
			b.file("tree/ro/file", "kept\n")
			b.file("tree/ro/sub/file", "kept\n")
			b.file("tree/rw/own", "mine\n")
			before := look(t, filepath.Join(b.wd, "tree/ro"))
			args := append([]string{"run", "-v", "./tree/ro:/ro:ro", "-v", "./tree/rw:/rw"}, options...)
			r := b.do(append(args, ref, "sh", "-c", writes)...)
			said := strings.Split(strings.TrimSpace(r.stdout), "\n")
			allowed := map[string]bool{}
			if name == "writable in it" {
				allowed["worked: below"] = true // /ro/sub is another volume here
			}
			for _, line := range said[:len(said)-1] {
				if !allowed[line] {
					t.Error(line)
				}
			}
			if r.code != 0 || said[len(said)-1] != "done" {
				t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
			}
			if after := look(t, filepath.Join(b.wd, "tree/ro")); after != before {
				t.Errorf("the host's files were changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestMountsBelowAVolumeAreRestrained: what is mounted below a volume is as read-only as the volume, and nosuid and nodev in any case,
// whether the kernel does that at once or it has to be done mount by mount; what was locked stays so.
func TestMountsBelowAVolumeAreRestrained(t *testing.T) {
	b, ref := busybox(t)
	const prepare = `cd tree && mkdir "a b" "a b/deep" plain && mount -t tmpfs none "a b" && mkdir "a b/deep" && mount -t tmpfs -o noexec none "a b/deep" &&
		mount -t tmpfs none plain && mount -t tmpfs none plain && cd .. && exec "$@"`
	const script = `for d in /ro /rw /top; do for m in "$d" "$d/a b" "$d/a b/deep" "$d/plain"; do
		if touch "$m/new" 2>/dev/null; then w=writable; else w=read-only; fi
		echo "$m $w $(while read -r _ _ _ _ where options _; do [ "$(printf %b "$where")" = "$m" ] && echo "$options"; done </proc/self/mountinfo | tail -n 1 | tr , '
' | grep -E '^(nosuid|nodev|noexec)$' | sort | tr '
' ' ')"
	done; done`
	var want strings.Builder
	for _, volume := range []struct{ name, top, below string }{{"/ro", "read-only", "read-only"}, {"/rw", "writable", "writable"}, {"/top", "read-only", "writable"}} {
		for place, how := range map[string]string{"": "nodev nosuid", "/a b": "nodev nosuid", "/a b/deep": "nodev noexec nosuid", "/plain": "nodev nosuid"} {
			mode := volume.below
			if place == "" {
				mode = volume.top
			}
			want.WriteString(volume.name + place + " " + mode + " " + how + "\n")
		}
	}
	for name, lack := range map[string]lacking{"at once": {}, "one by one": without(unix.SYS_MOUNT_SETATTR)} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t, b.wd = t, t.TempDir()
			b.dir("tree")
			j := lack.command(&b, "run", "-v", "./tree:/ro:ro", "-v", "./tree:/rw", "--mount", "type=bind,src=tree,dst=/top,readonly,bind-recursive=writable", ref, "sh", "-c", script)
			j.Args = append([]string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", prepare, "sh"}, j.Args...)
			j.Path = need.Tool(t, "unshare")
			if err := j.Start(); err != nil {
				t.Fatal(err)
			}
			r := b.wait(j)
			if got := sortedLines(r.stdout); r.code != 0 || got != sortedLines(want.String()) {
				t.Errorf("status %d: %s\n%s\nwant\n%s", r.code, r.stderr, got, sortedLines(want.String()))
			}
		})
	}
}

// sortedLines are the lines of a text in their order, without spaces around them.
func sortedLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// look is what there is to see of a tree: names, modes, dates and content.
func look(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		text.WriteString(strings.Join([]string{path, info.Mode().String(), info.ModTime().String(), string(content)}, " ") + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}
