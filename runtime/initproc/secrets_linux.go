package initproc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

const secretsFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// openSecrets makes the memory that the secrets will be in, which is as large as they are.
func (k *keeper) openSecrets() error {
	if len(k.request.Secrets) == 0 {
		return nil
	}
	if err := os.Mkdir(secretsDir, 0o755); err != nil {
		return fmt.Errorf("making a place for the secrets: %w", err)
	}
	if err := sys.Mount("tmpfs", secretsDir, "tmpfs", secretsFlags, fmt.Sprintf("mode=0755,size=%d", secretsSize(k.request.Secrets))); err != nil {
		return err
	}
	spec.SetSource(k.request.Spec.Spec, spec.SecretsDir, secretsDir)
	return nil
}

// secretsSize counts whole pages, as a tmpfs does.
func secretsSize(secrets []container.File) (size int) {
	page := os.Getpagesize()
	for _, s := range secrets {
		size += (len(s.Text) + page - 1) / page * page
	}
	return size
}

// writeSecrets gives them to the job's user, and makes them read-only whoever that is. The keeper does not need them any more.
func (k *keeper) writeSecrets(user rootfs.User) error {
	if len(k.request.Secrets) == 0 {
		return nil
	}
	for _, s := range k.request.Secrets {
		if err := k.writeSecret(s, user); err != nil {
			return fmt.Errorf("handing over the secret %s: %w", s.Name, err)
		}
		clear(s.Text)
	}
	k.request.Secrets = nil
	return sys.Mount("", secretsDir, "", unix.MS_REMOUNT|unix.MS_RDONLY|secretsFlags, "")
}

func (k *keeper) writeSecret(s container.File, user rootfs.User) error {
	path := filepath.Join(secretsDir, s.Name)
	fd, err := sys.CreateAt(unix.AT_FDCWD, path, 0o400)
	if err != nil {
		return err
	}
	err = errors.Join(sys.Chmod(fd, path, 0o400), sys.Write(fd, path, s.Text), sys.Close(fd))
	if err != nil || !k.mapped() { // there is one user, who is called something else inside
		return err
	}
	return sys.ChownAt(unix.AT_FDCWD, path, user.UID, user.GID)
}
