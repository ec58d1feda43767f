package nvidia

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
)

// compatFolder is where NVIDIA's images keep the libraries of a newer driver for CUDA programs.
const compatFolder = "usr/local/cuda/compat"

// compatConf comes before the loader's other directories: the loader's configuration is read in the order of names.
const compatConf = "etc/ld.so.conf.d/00-compat-forced.conf"

// ForceCompat puts the compatibility libraries of a container's image before the driver's own. An image without any is as it was.
func ForceCompat(rootfs string) (err error) {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	found, err := fs.Glob(root.FS(), path.Join(compatFolder, "libcuda.so.*"))
	if err != nil || len(found) == 0 {
		return err
	}
	if err := root.MkdirAll(path.Dir(compatConf), 0o755); err != nil {
		return err
	}
	return root.WriteFile(compatConf, []byte("/"+compatFolder+"\n"), 0o644)
}

// muslPath is what musl's loader searches unless a file says otherwise (musl's ldso/dynlink.c).
const muslPath = "/lib\n/usr/local/lib\n/usr/lib\n"

// KeepMuslPath writes that file of an Alpine image, when it has none, before the driver's directories are appended to it: as soon as it
// is there it is all that counts, and programs in /usr/local would not find their own libraries any more.
func KeepMuslPath(rootfs string) (err error) {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if _, err := root.Stat("etc/alpine-release"); err != nil {
		return nil // another distribution
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	f, err := root.OpenFile(fmt.Sprintf("etc/ld-musl-%s.path", arch), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	_, err = strings.NewReader(muslPath).WriteTo(f)
	return errors.Join(err, f.Close())
}
