package readme

import (
	"net/http"
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

func TestMain(m *testing.M) { os.Exit(need.Unprivileged(m, "../../README.md", "../../Makefile")) }

// buildCommands are the commands of the README's sh blocks, and what runs them.
var buildCommands = map[string]string{
	"git clone https://github.com/coracle-run/coracle && cd coracle": "CI starts from a clone",
	"make":              "make check builds the binary that this test runs",
	"make test":         "make check runs this test so",
	"make demo":         "CI runs it",
	"sudo make install": "TestInstall, elsewhere than below /usr/local",
}

// beside is the path of a file of the tree's root: beside the test below need.Unprivileged, else two levels up.
func beside(name string) string {
	if _, err := os.Stat(name); err == nil {
		return name
	}
	return filepath.Join("..", "..", name)
}

func readme(t *testing.T) []Block {
	t.Helper()
	raw, err := os.ReadFile(beside("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return Blocks(string(raw))
}

func TestBuildCommands(t *testing.T) {
	for _, b := range readme(t) {
		if b.Language != "sh" {
			continue
		}
		for i, line := range b.Lines {
			command, _, _ := strings.Cut(line, "#")
			if command = strings.TrimSpace(command); command == "" {
				continue
			}
			if _, known := buildCommands[command]; !known {
				t.Errorf("README.md:%d: nothing runs %q", b.Line+1+i, command)
			}
		}
	}
}

func TestInstall(t *testing.T) {
	makeTool := need.Tool(t, "make")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	binaries := []string{need.Binary(t), need.GPUHelper(t)}
	for _, binary := range binaries {
		if err := os.Symlink(binary, filepath.Join(dir, "bin", filepath.Base(binary))); err != nil {
			t.Fatal(err)
		}
	}
	makefile, err := filepath.Abs(beside("Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(makeTool, "-s", "-f", makefile, "install", "DESTDIR="+dir+"/dest")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, binary := range binaries {
		installed := filepath.Join(dir, "dest", "usr", "local", "bin", filepath.Base(binary))
		if out, err := exec.Command(installed, "version").CombinedOutput(); err != nil {
			t.Errorf("the installed binary: %v: %s", err, out)
		}
	}
}

func TestSessionOfREADME(t *testing.T) {
	session := Session(readme(t))
	if len(session) == 0 {
		t.Fatal("README.md has no commands")
	}
	need.Overlay(t)
	reg := fixture.Serve(t)
	publish(t, reg, session)
	reg.Intercept(members)
	home := t.TempDir()
	const mark = "-----end of command-----"
	cmd := exec.Command(need.Tool(t, "bash"))
	cmd.Dir = home
	cmd.Env = append(environment(t, home), fixture.ServeHub(t, reg).Env()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// From a file, so that no command can read the script as its input.
	script := filepath.Join(t.TempDir(), "session")
	if err := os.WriteFile(script, []byte(Script(session, mark)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(cmd.Args, script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the session: %v", err)
	}
	printed, status := Results(asAda(t, string(out), home), mark)
	for i, c := range session {
		if i >= len(status) {
			t.Fatalf("README.md:%d: the session ended before %q:\n%s", c.Line, c.Text, out)
		}
		shown := strings.Join(printed[i], "\n")
		if status[i] != "0" {
			t.Errorf("README.md:%d: %s: status %s\n%s", c.Line, c.Text, status[i], shown)
		} else if why := Match(c.Output, printed[i]); why != "" {
			t.Errorf("README.md:%d: %s: %s; it prints:\n%s", c.Line, c.Text, why, shown)
		}
	}
	if err := exec.Command("chmod", "-R", "u+rwX", home).Run(); err != nil {
		t.Error(err)
	}
}

// token is the password of the README's user at ghcr.io, in $TOKEN.
const token = "ada's token"

// members has ghcr.io ask who somebody is.
func members(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user, password, _ := req.BasicAuth(); req.Host == "ghcr.io" && (user != "ada" || password != token) {
			w.Header().Set("WWW-Authenticate", `Basic realm="members"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// environment is a newcomer's: nothing but a home, a token, and the binary on the PATH.
func environment(t *testing.T, home string) []string {
	t.Helper()
	return []string{
		"HOME=" + home,
		"USER=" + os.Getenv("USER"),
		"PATH=" + filepath.Dir(need.Binary(t)) + ":/usr/local/bin:/usr/bin:/bin",
		"XDG_RUNTIME_DIR=" + t.TempDir(),
		"LANG=C.UTF-8",
		"TOKEN=" + token,
		"CORACLE_NO_SETTLE=1", // the home goes with the test
	}
}

// asAda puts the README's user, home and machine in the place of the test's.
func asAda(t *testing.T, output, home string) string {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(home, "/home/ada", me.Username, "ada", host, "node1").Replace(output)
}
