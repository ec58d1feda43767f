package probe_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// mode is one way to run a container. The first one's golden file is whole, the others say what differs from it.
type mode struct {
	name    string
	user    string // USER of the image
	options string
	needs   func(testing.TB) // skips where the machine cannot do it; may be nil
}

var modes = []mode{
	{name: "default"},
	{name: "user-1000", user: "1000"},
	{name: "root", user: "1000", options: "--userns root"},
	{name: "host-uid", options: "--userns host-uid"},
	{name: "tty", options: "-t"},
	{name: "tty-user-1000", user: "1000", options: "-t"},
	{name: "tty-host-uid", options: "-t --userns host-uid"},
	{name: "read-only", options: "--read-only"},
	{name: "read-only-user-1000", user: "1000", options: "--read-only"},
	{name: "cap-add-sys-admin", options: "--cap-add SYS_ADMIN"},
	{name: "cap-add-sys-admin-user-1000", user: "1000", options: "--cap-add SYS_ADMIN"},
	{name: "cap-add-all-network-none", options: "--cap-add ALL --network none"},
	{name: "cap-add-sys-admin-no-init", options: "--cap-add SYS_ADMIN --init=false"},
	{name: "cap-add-net-raw-kill", options: "--cap-add NET_RAW --cap-add KILL"},
	{name: "unconfined", options: "--security-opt seccomp=unconfined"},
	{name: "unconfined-user-1000", user: "1000", options: "--security-opt seccomp=unconfined"},
	{name: "new-privileges", options: "--security-opt no-new-privileges=false"},
	{name: "new-privileges-user-1000", user: "1000", options: "--security-opt no-new-privileges=false"},
	{name: "volume", options: "-v VOLUME:/volume"},
	{name: "volume-read-only", options: "-v VOLUME:/volume:ro"},
	{name: "tmpfs", options: "--mount type=tmpfs,target=/volume"},
	{name: "network-none", options: "--network none"},
	{name: "network-none-user-1000", user: "1000", options: "--network none"},
	{name: "network-private", options: "--network private", needs: need.HostTun},
	{name: "network-private-user-1000", user: "1000", options: "--network private", needs: need.HostTun},
	{name: "subuid", options: "--userns subuid", needs: subordinate},
	{name: "subuid-user-1000", user: "1000", options: "--userns subuid", needs: subordinate},
	{name: "subuid-cap-add-sys-admin", options: "--userns subuid --cap-add SYS_ADMIN", needs: subordinate},
	{name: "subuid-network-private-user-1000", user: "1000", options: "--userns subuid --network private", needs: func(t testing.TB) { subordinate(t); need.HostTun(t) }}, //nolint:thelper // one of many
	{name: "subuid-tty-user-1000", user: "1000", options: "-t --userns subuid", needs: subordinate},
}

func subordinate(t testing.TB) { need.SubIDs(t) } //nolint:thelper // one of many

// TestModes runs the probe in every mode and compares what it says with the mode's golden file.
func TestModes(t *testing.T) {
	need.Overlay(t)
	m := here(t)
	b := newBoat(t)
	var base report
	for i, mode := range modes {
		ran := t.Run(mode.name, func(t *testing.T) {
			if mode.needs != nil {
				mode.needs(t)
			}
			got := m.plain(b.probe(t, mode))
			if i == 0 {
				base = got
			}
			if *update {
				renew(t, m, base, got, mode.name)
				return
			}
			want := golden(t, modes[0].name)
			if i > 0 {
				var err error
				if want, err = want.apply(goldenText(t, mode.name)); err != nil {
					t.Fatalf("%s: %v", mode.name, err)
				}
			}
			if diff := m.differences(want, got); len(diff) > 0 {
				t.Errorf("inside of `coracle run %s` (USER %q) this is not as testdata/%s.golden has it:\n%s",
					mode.options, mode.user, mode.name, strings.Join(diff, "\n"))
			}
		})
		if i == 0 && !ran {
			t.Log("the default mode is not as it should be: what follows may come of that")
		}
	}
}

// renew writes a mode's golden file.
func renew(t *testing.T, m machine, base, got report, name string) {
	t.Helper()
	if name == modes[0].name {
		write(t, "testdata/"+name+".golden", got.format())
		return
	}
	write(t, "testdata/"+name+".golden", strings.Join(append(m.differences(base, got), ""), "\n"))
}

// boat is Coracle with a store that has the image, without and with a USER.
type boat struct {
	coracle, store, volume string
	refs                   map[string]string // by USER
	canary                 string            // name of an abstract socket that listens
}

func newBoat(t *testing.T) boat {
	t.Helper()
	b := boat{coracle: need.Binary(t), store: filepath.Join(t.TempDir(), "store"), volume: t.TempDir(), refs: map[string]string{}, canary: canary(t)}
	t.Cleanup(func() { // some of it belongs to subordinate ids
		if out, err := b.command("prune", "--all", "--force").CombinedOutput(); err != nil {
			t.Errorf("prune: %v: %s", err, out)
		}
	})
	reg := fixture.Serve(t)
	for _, user := range []string{"", "1000"} {
		img := image(t)
		img.Config.User = user
		name := "probe:user" + user
		reg.Push(name, img)
		b.refs[user] = reg.Ref(name)
		if out, err := b.command("pull", b.refs[user]).CombinedOutput(); err != nil {
			t.Fatalf("pull: %v: %s", err, out)
		}
	}
	return b
}

func (b boat) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.coracle, args...)
	cmd.Env = append(os.Environ(), "CORACLE_ROOT="+b.store)
	return cmd
}

func (b boat) probe(t *testing.T, m mode) report {
	t.Helper()
	args := []string{"run", "--pull", "never"}
	args = append(args, strings.Fields(strings.ReplaceAll(m.options, "VOLUME", b.volume))...)
	return run(t, b.command(append(args, b.refs[m.user], "/probe", b.canary)...))
}

// canary listens on an abstract socket, which belongs to a network namespace and not to a file system.
func canary(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("coracle-probe-%d-%s", os.Getpid(), t.Name())
	listener, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	return name
}
