package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Account is what a job's user is called inside where the image does not say.
type Account struct {
	User  string `json:"user,omitempty"` // "": job
	Group string `json:"group,omitempty"`
	Own   bool   `json:"own,omitempty"`  // also where the image calls that number otherwise; with a home directory, made when missing
	Home  bool   `json:"home,omitempty"` // who has no entry gets a home directory as well: without one, "/" is not writable for every user
}

// jobName is the name of users and groups that nobody has named.
const jobName = "job"

// isAccount tells the names that Debian's adduser lets an administrator use, [a-zA-Z_][a-zA-Z0-9_.-]{0,31}; among others they
// cannot break a line of passwd.
func isAccount(name string) bool {
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', c == '_':
		case i > 0 && ('0' <= c && c <= '9' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return 0 < len(name) && len(name) <= 32
}

// complete gives the user and the group of a job entries in the image's passwd and group files, where they lack them: programs ask
// for their own name (Python's getpass.getuser, ssh, git) and fail without. An image whose files are something else than files
// in /etc is left as it is.
func (a Account) complete(root *os.File, u User, passwd, group string) (User, error) {
	if a.Own || a.Home && u.UID != 0 && userName(passwd, u.UID) == "" {
		u.Home = "/home/" + a.name(a.User)
	}
	if there, err := makeHome(root, u.Home, u); err != nil {
		return u, err
	} else if !there {
		u.Home = "/"
	}
	if u.UID == 0 {
		a.User = "root"
	}
	if u.GID == 0 {
		a.Group = "root"
	}
	name := userName(passwd, u.UID)
	if name == "" || a.Own && name != a.name(a.User) {
		line := fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", free(a.name(a.User), u.UID, userNames(passwd)), u.UID, u.GID, u.Home)
		if err := prepend(root, "passwd", line, passwd); err != nil {
			return u, err
		}
	}
	name = groupName(group, u.GID)
	if name == "" || a.Own && name != a.name(a.Group) {
		line := fmt.Sprintf("%s:x:%d:\n", free(a.name(a.Group), u.GID, groupNames(group)), u.GID)
		return u, prepend(root, "group", line, group)
	}
	return u, nil
}

func (a Account) name(name string) string {
	if !isAccount(name) {
		return jobName
	}
	return name
}

// free is the name, or one made of it that nobody else has.
func free(name string, id uint32, taken map[string]uint32) string {
	if other, ok := taken[name]; ok && other != id {
		return fmt.Sprintf("%s-%d", name, id)
	}
	return name
}

func userName(passwd string, uid uint32) string {
	for _, u := range users(passwd) {
		if int64(u.Uid) == int64(uid) {
			return u.Name
		}
	}
	return ""
}

func groupName(group string, gid uint32) string {
	for _, g := range groupsOf(group) {
		if int64(g.Gid) == int64(gid) {
			return g.Name
		}
	}
	return ""
}

func userNames(passwd string) map[string]uint32 {
	names := map[string]uint32{}
	for _, u := range users(passwd) {
		names[u.Name] = uint32(u.Uid)
	}
	return names
}

func groupNames(group string) map[string]uint32 {
	names := map[string]uint32{}
	for _, g := range groupsOf(group) {
		names[g.Name] = uint32(g.Gid)
	}
	return names
}

// users are the entries of a passwd file, as far as it can be read.
func users(passwd string) []user.User {
	list, err := user.ParsePasswdFilter(strings.NewReader(passwd), func(user.User) bool { return true })
	if err != nil {
		return nil
	}
	return list
}

func groupsOf(group string) []user.Group {
	list, err := user.ParseGroupFilter(strings.NewReader(group), func(user.Group) bool { return true })
	if err != nil {
		return nil
	}
	return list
}

// openDir opens a directory of the root, made when it is missing; nil where the image has something else of that name.
func openDir(root *os.File, name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY
	fd, err := sys.OpenInRoot(int(root.Fd()), name, flags, 0)
	if errors.Is(err, unix.ENOENT) {
		if err = sys.MkdirAt(int(root.Fd()), name, 0o755); err == nil {
			fd, err = sys.OpenInRoot(int(root.Fd()), name, flags, 0)
		}
	}
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, fs.ErrExist): // a link that leads nowhere exists
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("opening /%s of the image: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// prepend puts a line before the text of a file in /etc: of several entries for one number the first one counts. The file is
// replaced, not written to, and only where it is a plain one or none.
func prepend(root *os.File, name, line, text string) (err error) {
	etc, err := openDir(root, "etc")
	if etc == nil {
		return err
	}
	defer etc.Close()
	dir := int(etc.Fd())
	st, err := sys.StatAt(dir, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	temp := "." + name + ".coracle"
	if err := sys.UnlinkAt(dir, temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fd, err := sys.CreateAt(dir, temp, 0o644)
	if err != nil {
		return fmt.Errorf("writing /etc/%s of the container: %w", name, err)
	}
	err = errors.Join(sys.Chmod(fd, temp, 0o644), sys.Write(fd, temp, []byte(line+text)), sys.Close(fd))
	if err == nil {
		err = sys.RenameAt(dir, temp, dir, name)
	}
	if err != nil {
		return fmt.Errorf("writing /etc/%s of the container: %w", name, err)
	}
	return nil
}
