package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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

// TestWhoMayMountIsTold: a job that the caller made root over its mounts can take back what the caller said of them, and the caller
// is told. Others cannot, and nothing is said.
func TestWhoMayMountIsTold(t *testing.T) {
	b, ref := busybox(t)
	b.file("data/file", "kept\n")
	for _, tc := range []struct {
		options []string
		told    bool
	}{
		{[]string{"-v", "./data:/data:ro", "--cap-add", "SYS_ADMIN"}, true},
		{[]string{"-v", "./data:/data:ro", "--cap-add", "SYS_ADMIN", "-u", "1000"}, false},
		{[]string{"-v", "./data:/data", "--cap-add", "SYS_ADMIN"}, false},
		{[]string{"-v", "./data:/data:ro"}, false},
	} {
		r := b.do(append(append([]string{"run"}, tc.options...), ref, "true")...)
		if told := strings.Contains(r.stderr, "SYS_ADMIN lets the job make its read-only volumes writable"); r.code != 0 || told != tc.told {
			t.Errorf("%q: status %d, told %t: %s", tc.options, r.code, told, r.stderr)
		}
	}
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
