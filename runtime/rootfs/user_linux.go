package rootfs

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
)

// ErrUser marks a user name or number that the image does not know or that cannot be one.
var ErrUser = errors.New("no such user in the image")

// User is who the job is, as the image names it.
type User struct {
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	Home string `json:"home"` // "/" when the image names none
}

// maxAccounts bounds what is read of an image's passwd and group files, in bytes.
const maxAccounts = 4 << 20

// FindUser resolves USER as an image's configuration and docker's --user write it: "", "name", "uid", "name:group",
// "uid:gid". Names are looked up in the root file system below dir, never following a link out of it; a missing passwd or
// group file is an empty one. Who has no name in the image gets that of an account.
func FindUser(dir, spec string, unnamed Account) (User, error) {
	return inRoot(dir, spec, unnamed.complete)
}

// LookUpUser is FindUser for a root file system that is in use, and changes nothing in it.
func LookUpUser(dir, spec string) (User, error) {
	return inRoot(dir, spec, func(_ *os.File, u User, _, _ string) (User, error) { return u, nil })
}

// inRoot looks a user up and hands the result on, with the files in which it was looked for.
func inRoot(dir, spec string, next func(root *os.File, u User, passwd, group string) (User, error)) (User, error) {
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return User{}, fmt.Errorf("opening the root file system: %w", err)
	}
	defer root.Close()
	passwd, err := readAccounts(root, "etc/passwd")
	if err != nil {
		return User{}, err
	}
	group, err := readAccounts(root, "etc/group")
	if err != nil {
		return User{}, err
	}
	u, err := findUser(spec, passwd, group)
	if err != nil {
		return User{}, err
	}
	return next(root, u, passwd, group)
}

// CheckUser resolves USER as FindUser does, for a user namespace with more ids than one: the user must have a number there.
// It returns the supplementary groups that the image gives to who is named without a group.
func CheckUser(dir, spec string, ids host.IDMap) ([]uint32, error) {
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the root file system: %w", err)
	}
	defer root.Close()
	passwd, err := readAccounts(root, "etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := readAccounts(root, "etc/group")
	if err != nil {
		return nil, err
	}
	return checkUser(spec, passwd, group, ids)
}

func checkUser(spec, passwd, group string, ids host.IDMap) (groups []uint32, err error) {
	found, err := lookUp(spec, passwd, group)
	if err != nil {
		return nil, err
	}
	if users := host.Span(ids.UIDs); uint32(found.Uid) >= users {
		return nil, &host.RangeError{What: fmt.Sprintf("user %q", spec), ID: uint32(found.Uid), Span: users, Kind: host.Users}
	}
	span := host.Span(ids.GIDs)
	for _, gid := range append([]int{found.Gid}, found.Sgids...) {
		if !validID(gid) || uint32(gid) >= span {
			return nil, &host.RangeError{What: fmt.Sprintf("a group of user %q", spec), ID: uint32(gid), Span: span, Kind: host.Groups}
		}
		if !slices.Contains(groups, uint32(gid)) {
			groups = append(groups, uint32(gid))
		}
		if len(groups) > maxGroups {
			return nil, fmt.Errorf("%w: %q is in more than %d groups", ErrUser, spec, maxGroups)
		}
	}
	return groups, nil
}

// maxGroups bounds the groups of one user, far below the kernel's 65536.
const maxGroups = 1024

// lookUp resolves USER to numbers that can be ids.
func lookUp(spec, passwd, group string) (*user.ExecUser, error) {
	if name, _, _ := strings.Cut(spec, ":"); name == "" && spec != "" {
		return nil, fmt.Errorf("%w: %q has no user", ErrUser, spec)
	}
	found, err := user.GetExecUser(spec, &user.ExecUser{Home: "/"}, strings.NewReader(passwd), strings.NewReader(group))
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrUser, spec, err)
	}
	if !validID(found.Uid) || !validID(found.Gid) {
		return nil, fmt.Errorf("%w: %q: ids go from 0 to %d", ErrUser, spec, uint32(math.MaxUint32-1))
	}
	return found, nil
}

func findUser(spec, passwd, group string) (User, error) {
	found, err := lookUp(spec, passwd, group)
	if err != nil {
		return User{}, err
	}
	home := found.Home
	if !strings.HasPrefix(home, "/") || strings.ContainsRune(home, 0) {
		home = "/"
	}
	return User{UID: uint32(found.Uid), GID: uint32(found.Gid), Home: home}, nil
}

// validID: the largest 32-bit number means "no id" to the kernel.
func validID(id int) bool { return id >= 0 && int64(id) < math.MaxUint32 }

// readAccounts reads a small regular file of the image. What an image puts in its place (a FIFO, a device, a link that leaves
// the root, a file without end) must neither block nor mislead the reader.
func readAccounts(root *os.File, name string) (string, error) {
	fd, err := sys.OpenInRoot(int(root.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("opening /%s of the image: %w", name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("reading /%s of the image: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("reading /%s of the image: it is not a regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxAccounts+1))
	if err != nil {
		return "", fmt.Errorf("reading /%s of the image: %w", name, err)
	}
	if len(text) > maxAccounts {
		return "", fmt.Errorf("reading /%s of the image: it is larger than %d bytes", name, maxAccounts)
	}
	return string(text), nil
}
