package integration_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// shells are those that there is completion for: how one is started with a file of commands, after which Ctrl-T writes the line as it
// stands to $OUT and empties it.
var shells = []struct {
	name string
	args []string
	file string // of commands, in the home directory
	text string
}{
	{"bash", []string{"--noprofile", "-i"}, ".bashrc", `PS1='$ '
source <(coracle completion bash)
show() { printf '%s\n' "$READLINE_LINE" >>"$OUT"; READLINE_LINE= READLINE_POINT=0; }
bind -x '"\C-t": show'
bind 'set bell-style none'
echo RE''ADY
`},
	{"zsh", []string{"-d", "-i"}, ".zshrc", `PS1='$ '
autoload -Uz compinit && compinit -u -D
source <(coracle completion zsh)
show() { print -r -- "$BUFFER" >>$OUT; BUFFER= }
zle -N show && bindkey '^T' show
unsetopt beep
print RE''ADY
`},
	{"fish", []string{"-i"}, ".config/fish/config.fish", `function fish_prompt; echo '$ '; end
function fish_greeting; end
coracle completion fish | source
bind \ct 'commandline >>$OUT; commandline -r ""'
echo RE''ADY
`},
}

// TestShellsComplete has real shells complete lines: what stands there after Tab.
func TestShellsComplete(t *testing.T) {
	home := completionHome(t)
	for _, s := range shells {
		t.Run(s.name, func(t *testing.T) {
			path := need.Tool(t, s.name)
			out := filepath.Join(t.TempDir(), "lines")
			p := newTerminal(t, 24, 200)
			startShell(t, p, path, s.args, home, out, filepath.Join(home, s.file), s.text)
			p.shows("READY")
			for n, c := range []struct{ typed, want string }{
				{"coracle ver", "coracle version"},
				{"coracle run --netw", "coracle run --network"},
				{"coracle run --network pri", "coracle run --network private"},
				{"coracle run --network=pri", "coracle run --network=private"},
				{"coracle run -it --user", "coracle run -it --user"}, // and --userns
				{"coracle runs sh", "coracle runs show"},
				{"coracle runs show basel", "coracle runs show baseline"},
				{"coracle report 01K0000000A", "coracle report 01K0000000ABCDEFGHJKMNPQRS"},
				{"coracle volume rm resul", "coracle volume rm results"},
				{"coracle run -v resul", "coracle run -v results:"},
				{"coracle rmi ghcr.io/ada/to", "coracle rmi ghcr.io/ada/tools:1"},
				{"coracle rmi ghcr.io/ada/tools:", "coracle rmi ghcr.io/ada/tools:1"},
				{"coracle run --env-file set", "coracle run --env-file settings.env"},
				{"coracle run ghcr.io/ada/tools:1 cat set", "coracle run ghcr.io/ada/tools:1 cat settings.env"},
				{"coracle config get gpu.t", "coracle config get gpu.timeout"},
			} {
				p.keys(c.typed + "\t\x14")
				if got := strings.TrimRight(nthLine(t, out, n), " "); got != c.want {
					t.Errorf("%q and Tab: %q, want %q", c.typed, got, c.want)
				}
			}
		})
	}
}

// completionHome is a home directory with a run, a volume, an image and a file that can be completed.
func completionHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	run := filepath.Join(home, "store", "runs", "01K0000000ABCDEFGHJKMNPQRS")
	for path, text := range map[string]string{
		filepath.Join(run, "run.json"):      `{"schema": 1, "name": "baseline", "created": "2026-01-02T03:04:05Z", "image": {"ref": "docker.io/library/debian:12"}, "argv": ["true"]}`,
		filepath.Join(run, "result.json"):   `{"schema": 1, "finished": "2026-01-02T03:05:36Z", "exit_code": 0, "cause": "exited", "message": "it ended"}`,
		filepath.Join(home, "settings.env"): "A=1\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	reg := fixture.Serve(t)
	reg.Push("small:1", fixture.Image{Layers: []fixture.Layer{fixture.NewLayer(fixture.Gzip, fixture.File("small", "1\n", 0o644))}})
	for _, args := range [][]string{
		{"pull", "-q", reg.Ref("small:1")}, {"tag", reg.Ref("small:1"), "ghcr.io/ada/tools:1"}, {"rmi", reg.Ref("small:1")}, {"volume", "create", "results"},
	} {
		cmd := exec.Command(need.Binary(t), args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "CORACLE_ROOT="+filepath.Join(home, "store"), "CORACLE_NO_SETTLE=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	return home
}

func startShell(t *testing.T, p *terminal, path string, args []string, home, out, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	// fish reads the host's man pages in the background unless it has done so: it would write here beside the end of the test.
	if err := os.MkdirAll(filepath.Join(home, ".local", "share", "fish", "generated_completions"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = home
	cmd.Env = []string{
		"HOME=" + home, "ZDOTDIR=" + home, "OUT=" + out, "CORACLE_ROOT=" + filepath.Join(home, "store"), "TERM=xterm", "LC_ALL=C.UTF-8", "CORACLE_NO_SETTLE=1",
		"PATH=" + filepath.Dir(need.Binary(t)) + ":" + os.Getenv("PATH"),
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
}

// nthLine waits for a line of a file, the first being 0.
func nthLine(t *testing.T, path string, n int) (line string) {
	t.Helper()
	waitFor(t, fmt.Sprintf("line %d is written", n), patience, func() error {
		raw, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		lines := strings.SplitAfter(string(raw), "\n")
		if len(lines) <= n+1 {
			return fmt.Errorf("there are %q", lines)
		}
		line = strings.TrimSuffix(lines[n], "\n")
		return nil
	})
	return line
}
