package need

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
)

// User is the ordinary user as whom tests run when root starts them. It has no subordinate ids; Ranged has.
const (
	User   = "coracle-test"
	Ranged = "coracle-ranged"
)

// Subordinate is Unprivileged with the user [Ranged].
func Subordinate(m interface{ Run() int }, extra ...string) int {
	return unprivileged(m, Ranged, extra)
}

// Unprivileged runs a package's tests as an ordinary user and returns the status for TestMain to exit with. Called by an ordinary
// user it is m.Run, and while fuzzing, which keeps what it finds beside the package; the binaries are in PATH there, too. Called by root
// it makes [User] when it is missing, copies the test binary, the coracle binaries, the package's testdata and the extra paths to a fresh
// directory that this user owns, and runs the test binary again there as this user: working directory, HOME, TMPDIR and XDG_RUNTIME_DIR
// are below the fresh directory, the environment holds nothing else of root's but PATH, the locale and the variables of tests
// (TEST_*, CORACLE_TEST_*, CORACLE_BIN). Extra paths are relative to the package and keep their base name. The directory is
// removed at the end.
func Unprivileged(m interface{ Run() int }, extra ...string) int { return unprivileged(m, User, extra) }

func unprivileged(m interface{ Run() int }, name string, extra []string) int {
	if os.Geteuid() != 0 || fuzzing() {
		if err := asStaged(); err != nil {
			_, _ = fmt.Fprintf(io.Writer(os.Stderr), "FAIL: the environment of the tests: %v\n", err)
			return 1
		}
		return m.Run()
	}
	status, err := runAsUser(name, extra)
	if err != nil {
		_, _ = fmt.Fprintf(io.Writer(os.Stderr), "FAIL: running the tests as user %s: %v\n", name, err)
		return 1
	}
	return status
}

// noSettle has a pull not wait for the disk behind its end: a store that goes with its test has nothing to wait for.
const noSettle = "CORACLE_NO_SETTLE"

// asStaged gives these tests what those of root are given of Coracle: its program is found by PATH, and leaves nothing behind itself.
func asStaged() error {
	if path, err := binaryPath(); err == nil { // else tests that need it are skipped
		if err := os.Setenv("PATH", filepath.Dir(path)+":"+os.Getenv("PATH")); err != nil {
			return err
		}
	}
	return os.Setenv(noSettle, "1")
}

func fuzzing() bool {
	flag.Parse()
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

func runAsUser(name string, extra []string) (status int, err error) {
	account, err := ensureUser(name)
	if err != nil {
		return 0, err
	}
	st, err := newStage(account, extra)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(st.dir)) }()

	cmd := exec.Command(st.path("test.bin"), testArgs(os.Args[1:])...)
	cmd.Dir = st.path("package")
	cmd.Env = st.environ(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(st.uid), Gid: uint32(st.gid), Groups: []uint32{sharedGroup}},
		Pdeathsig:  syscall.SIGKILL,
	}
	return wait(cmd)
}

// wait runs the command, passes on the signals with which `go test` ends a run, and returns its exit status.
func wait(cmd *exec.Cmd) (int, error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			// A terminal's Ctrl-C reaches the whole group; a second one does no harm.
			_ = cmd.Process.Signal(s)
		case err := <-done:
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				if code := exit.ExitCode(); code >= 0 {
					return code, nil
				}
				return 1, err
			}
			return 0, err
		}
	}
}

// testArgs leaves out the flags whose files only root can write; `go test` reads a missing test log as "do not cache".
func testArgs(args []string) []string {
	var kept []string
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch name {
		case "test.testlogfile", "test.gocoverdir", "test.coverprofile", "test.outputdir":
		default:
			kept = append(kept, arg)
		}
	}
	return kept
}

// Account is [User] or [Ranged], for a test of root's that starts things as somebody else. It is made when it is missing.
func Account(name string) (*user.User, error) { return ensureUser(name) }

// ensureUser looks [User] or [Ranged] up, making it when it is missing, and refuses the one that has subordinate ids.
func ensureUser(name string) (*user.User, error) {
	account, err := user.Lookup(name)
	if err != nil {
		account, err = addUser(name)
	}
	if err != nil {
		return nil, err
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if raw, err := os.ReadFile(file); name == User && err == nil && strings.Contains("\n"+string(raw), "\n"+User+":") {
			return nil, fmt.Errorf("%s lists %s: the tests run without subordinate ids", file, User)
		}
	}
	return account, nil
}

// addUser makes a user. Test packages run side by side: losing the race against another one is fine.
func addUser(name string) (*user.User, error) {
	tool, err := findTool("useradd")
	if err != nil {
		return nil, err
	}
	count := "0"
	if name == Ranged {
		count = "65536"
	}
	out, addErr := exec.Command(tool, "-m", "-s", "/bin/sh", "-K", "SUB_UID_COUNT="+count, "-K", "SUB_GID_COUNT="+count, name).CombinedOutput()
	account, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("making the user: %w: %s", errors.Join(addErr, err), strings.TrimSpace(string(out)))
	}
	return account, nil
}

// sharedGroup is a supplementary group of the ordinary user, which nobody else has.
const sharedGroup = 471147

// sharedEnv names a directory of root's that is open to sharedGroup alone, with a file "text" in it.
const sharedEnv = "CORACLE_TEST_SHARED"

// Shared needs a directory that is open to this user by nothing but a supplementary group. The file "text" in it says "shared".
func Shared(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(sharedEnv)
	if dir == "" {
		Missing(t, "shared", "only root can make a directory that is open by a group alone")
	}
	return dir
}

// share makes the directory of Shared.
func (s stage) share() error {
	dir := s.path("shared")
	return errors.Join(
		os.Mkdir(dir, 0o750), fsx.WriteFile(filepath.Join(dir, "text"), []byte("shared\n"), 0o640),
		os.Chown(filepath.Join(dir, "text"), 0, sharedGroup), os.Chown(dir, 0, sharedGroup),
	)
}

// stage is the fresh directory in which the tests run as the ordinary user:
// test.bin, bin/{coracle,coracle-nvidia}, package/{testdata,...}, home, run, tmp, shared.
type stage struct {
	dir      string
	name     string // of the user
	uid, gid int
}

func (s stage) path(elem ...string) string { return filepath.Join(append([]string{s.dir}, elem...)...) }

// newStage fills a stage below /var/tmp: on disk, because layers and uppers want user extended attributes, which tmpfs has
// only since Linux 6.6; and with a short path, because of the 108 bytes of a socket's address.
func newStage(account *user.User, extra []string) (_ stage, err error) {
	dir, err := os.MkdirTemp("/var/tmp", "coracle-test-")
	if err != nil {
		return stage{}, err
	}
	s := stage{dir: dir, name: account.Username}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return s, err
	}
	s.uid, s.gid = uid, gid
	if err := s.fill(extra); err != nil {
		return s, err
	}
	return s, errors.Join(s.own(), s.share(), s.makeTun())
}

func (s stage) fill(extra []string) error {
	for _, name := range []string{"bin", "package", "home", "run", "tmp"} {
		if err := os.Mkdir(s.path(name), 0o700); err != nil {
			return err
		}
	}
	if err := copyPath("/proc/self/exe", s.path("test.bin")); err != nil {
		return err
	}
	if binary, err := binaryPath(); err == nil {
		if err := copyPath(binary, s.path("bin", "coracle")); err != nil {
			return err
		}
		helper := filepath.Join(filepath.Dir(binary), helperName)
		if err := copyPath(helper, s.path("bin", helperName)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if _, err := os.Stat("testdata"); err == nil {
		extra = append([]string{"testdata"}, extra...)
	}
	for _, path := range extra {
		if err := copyPath(path, s.path("package", filepath.Base(path))); err != nil {
			return err
		}
	}
	return nil
}

// environ is the environment of the ordinary user's tests, made from root's.
func (s stage) environ(root []string) []string {
	env := []string{
		"HOME=" + s.path("home"),
		"USER=" + s.name,
		"LOGNAME=" + s.name,
		"TMPDIR=" + s.path("tmp"),
		"XDG_RUNTIME_DIR=" + s.path("run"),
		sharedEnv + "=" + s.path("shared"),
		tunEnv + "=" + s.path("tun"),
		noSettle + "=1",
		"PATH=" + s.path("bin") + ":/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
	}
	if _, err := os.Stat(s.path("bin", "coracle")); err == nil {
		env = append(env, binaryEnv+"="+s.path("bin", "coracle"))
	}
	for _, entry := range root {
		name, _, _ := strings.Cut(entry, "=")
		test := strings.HasPrefix(name, "TEST_") || strings.HasPrefix(name, "CORACLE_TEST_")
		if test || name == "LANG" || name == "LC_ALL" || name == "TZ" || name == "GOTRACEBACK" {
			env = append(env, entry)
		}
	}
	return env
}
