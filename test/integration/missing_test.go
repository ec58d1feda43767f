package integration_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestWhereThingsAreMissing pulls and runs, detached, too, where a node lacks what others have: it works and is on record, or one line says
// what it needs and another what to do.
func TestWhereThingsAreMissing(t *testing.T) {
	need.UserNS(t)
	img := fixture.Busybox(t)
	reg := fixture.Serve(t)
	reg.Push("busybox:1", img)
	const (
		works = `coracle pull -q $REF >/dev/null && coracle run -q -u 1000 -v ./out:/out $REF sh -c 'id -u; ls -ld /etc /bin | cut -c1-10; echo kept >/out/file; : >/tmp/x' &&
			coracle run -d $REF sh -c 'echo detached; sleep 300' >id && coracle exec $(cat id) echo inside && coracle stop -t 0 $(cat id) >/dev/null && coracle logs $(cat id) &&
			coracle runs --json | grep -c '"exit_code"' && cat out/file`
		shows = "1000\ndrwxr-xr-x\ndrwxr-xr-x\ninside\ndetached\n2\nkept\n"
	)
	// The tests' own directories may be in it.
	const readOnlyTmp = `mount --bind /tmp /tmp && mount --rbind "$CORACLE_ROOT" "$CORACLE_ROOT" && mount --bind "$PWD" "$PWD" && mount -o remount,bind,ro /tmp && cd "$PWD" && ! touch /tmp/x 2>/dev/null`
	for _, tc := range []struct {
		name   string
		change func(*exec.Cmd)
		script string
		code   int
		says   []string // of what does not work
	}{
		{"no runtime directory", env("XDG_RUNTIME_DIR"), works, 0, nil},
		{"a runtime directory that is gone", env("XDG_RUNTIME_DIR=/no/such"), works, 0, nil},
		{"no temporary directory", env("TMPDIR=/no/such"), works, 0, nil},
		{"a full temporary directory", inside(t, "mkdir tiny && mount -t tmpfs -o size=4k,nr_inodes=1 none tiny && export TMPDIR=$PWD/tiny", mounting...), works, 0, nil},
		{"/tmp cannot be written", inside(t, readOnlyTmp, mounting...), works, 0, nil},
		{"a strict umask", nil, "umask 077; " + works, 0, nil},
		{"a lax umask", nil, "umask 0; " + works, 0, nil},
		{"no home in the environment", inside(t, "STORE=$CORACLE_ROOT && mount --bind $STORE /root && unset HOME CORACLE_ROOT && export STORE", mounting...), works + " && ls $STORE/.local/share/coracle >/dev/null", 0, nil},
		{"nobody has a home", inside(t, "mount --bind /dev/null /etc/passwd && unset HOME CORACLE_ROOT", mounting...), "coracle pull $REF", 125,
			[]string{"neither CORACLE_ROOT, XDG_DATA_HOME nor HOME names a directory\n", "hint: name a directory for it with CORACLE_ROOT"}},
		{"a read-only home", inside(t, "mkdir home && mount -t tmpfs -o ro none home && export HOME=$PWD/home", mounting...), works, 0, nil},
		{"a read-only home, and no other place", inside(t, "mkdir home && mount -t tmpfs -o ro none home && export HOME=$PWD/home && unset CORACLE_ROOT", mounting...), "coracle pull $REF", 125,
			[]string{"home/.local: read-only file system\n", "hint: choose a directory that you may write to with CORACLE_ROOT"}},
		{"no passwd, no group", inside(t, "mount --bind /dev/null /etc/passwd && mount --bind /dev/null /etc/group", mounting...), works, 0, nil},
		{"an empty environment", nil, `exec env -i PATH=$PATH CORACLE_ROOT=$CORACLE_ROOT REF=$REF CORACLE_NO_SETTLE=1 sh -c '` + strings.ReplaceAll(works, "'", `'\''`) + "'", 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t)
			b.dir("out")
			j := &job{Cmd: b.command()}
			j.Args, j.Path = []string{"sh", "-c", tc.script}, "/bin/sh"
			j.Env = append(j.Env, "REF="+reg.Ref("busybox:1"))
			j.Stdout, j.Stderr = &j.stdout, &j.stderr
			if tc.change != nil {
				tc.change(j.Cmd)
			}
			if err := j.Start(); err != nil {
				t.Fatal(err)
			}
			r := b.wait(j)
			if tc.code == 0 && r.stdout != shows || r.code != tc.code {
				t.Errorf("status %d, want %d and %q: %q\n%s", r.code, tc.code, shows, r.stdout, r.stderr)
			}
			for _, text := range tc.says {
				if !strings.Contains(r.stderr, text) {
					t.Errorf("%q is not in:\n%s", text, r.stderr)
				}
			}
			if tc.code != 0 && strings.Count(r.stderr, "\n") != 2 {
				t.Errorf("it is not one line of error and one of hint:\n%s", r.stderr)
			}
		})
	}
}
