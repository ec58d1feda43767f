package gpu

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
)

// The images have the programs copy and list on their PATH. They are as small as what they stand for lets them be: what matters to
// a driver that comes from outside is the C library, where it looks for libraries, and what there is to rebuild its cache.

const imagePath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Debian is as Debian's images are: glibc, ldconfig, a shell, /lib a link into /usr.
func Debian(d Driver) (fixture.Image, error) {
	busybox, err := fixture.BusyboxEntries()
	if err != nil {
		return fixture.Image{}, err
	}
	glibc, err := glibc(d)
	if err != nil {
		return fixture.Image{}, err
	}
	ldconfig, err := hostFile("usr/sbin/ldconfig", "/sbin/ldconfig")
	if err != nil {
		return fixture.Image{}, err
	}
	own := []fixture.Entry{
		fixture.Dir("usr/sbin", 0o755), ldconfig, fixture.Symlink("sbin", "usr/sbin"),
		fixture.File("etc/debian_version", "12.0\n", 0o644),
		fixture.File("etc/os-release", "ID=debian\nVERSION_ID=12\n", 0o644),
		fixture.File("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n", 0o644),
		fixture.Dir("etc/ld.so.conf.d", 0o755),
		fixture.File("etc/ld.so.conf.d/libc.conf", "/usr/local/lib\n", 0o644),
	}
	return image("sh", busybox, glibc, own), nil
}

// Distroless has a C library, programs, and nothing to run them with: no shell, no ldconfig, no loader's cache.
func Distroless(d Driver) (fixture.Image, error) {
	glibc, err := glibc(d)
	if err != nil {
		return fixture.Image{}, err
	}
	own := []fixture.Entry{
		fixture.Dir("etc", 0o755), fixture.Dir("tmp", 0o1777),
		fixture.File("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n", 0o644),
		fixture.File("etc/os-release", "ID=debian\nNAME=\"Distroless\"\n", 0o644),
	}
	return image("copy", own, glibc), nil
}

// ErrNoMusl is returned where there is no musl to make an image of.
var ErrNoMusl = errors.New("no musl-gcc")

// Alpine is as Alpine's images are: musl, busybox, directories that are none of Debian's.
func Alpine(d Driver) (fixture.Image, error) {
	program := d.Path("copy-musl")
	if _, err := os.Stat(program); err != nil {
		return fixture.Image{}, fmt.Errorf("%w: Debian's package musl-tools has it: %w", ErrNoMusl, err)
	}
	busybox, err := fixture.BusyboxEntries()
	if err != nil {
		return fixture.Image{}, err
	}
	loader, err := interpreter(program)
	if err != nil {
		return fixture.Image{}, err
	}
	entries := []fixture.Entry{
		fixture.Dir("lib", 0o755), fixture.Dir("usr/bin", 0o755), fixture.Dir("usr/lib", 0o755),
		fixture.File("etc/alpine-release", "3.20.0\n", 0o644),
		fixture.File("etc/os-release", "ID=alpine\n", 0o644),
	}
	for to, from := range map[string]string{loader: loader, "/usr/bin/copy": program} {
		entry, err := hostFile(strings.TrimPrefix(to, "/"), from)
		if err != nil {
			return fixture.Image{}, err
		}
		entries = append(entries, entry)
	}
	return image("sh", busybox, entries), nil
}

func image(command string, parts ...[]fixture.Entry) fixture.Image {
	var im fixture.Image
	for _, entries := range parts {
		im.Layers = append(im.Layers, fixture.NewLayer(fixture.Gzip, entries...))
	}
	im.Config = ocispec.ImageConfig{Env: []string{imagePath}, Cmd: []string{command}}
	return im
}

// glibc is this system's C library with what loads it, below a /usr that has everything, and the programs.
func glibc(d Driver) ([]fixture.Entry, error) {
	libraries, err := SystemLibraries()
	if err != nil {
		return nil, err
	}
	loader, err := interpreter(d.Path("copy"))
	if err != nil {
		return nil, err
	}
	// The loader's name is below /lib or /lib64, which are links.
	files := map[string]string{"/usr" + loader: loader, "/usr/bin/copy": d.Path("copy"), "/usr/bin/list": d.Path("list")}
	for _, name := range []string{"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"} {
		path := filepath.Join(libraries, name)
		if _, err := os.Stat(path); err == nil {
			files[path] = path
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	entries := []fixture.Entry{
		fixture.Dir("usr", 0o755), fixture.Dir("usr/bin", 0o755), fixture.Dir("usr/lib", 0o755), fixture.Dir("usr/lib64", 0o755),
		fixture.Symlink("lib", "usr/lib"), fixture.Symlink("lib64", "usr/lib64"),
	}
	if dir := strings.TrimPrefix(libraries, "/"); dir != "usr/lib" && dir != "usr/lib64" {
		entries = append(entries, fixture.Dir(dir, 0o755))
	}
	for to, from := range files {
		entry, err := hostFile(strings.TrimPrefix(to, "/"), from)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func hostFile(name, from string) (fixture.Entry, error) {
	raw, err := os.ReadFile(from)
	return fixture.File(name, string(raw), 0o755), err
}

// interpreter is the loader that a program names.
func interpreter(path string) (string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, p.Filesz)
			if _, err := p.ReadAt(text, 0); err != nil {
				return "", fmt.Errorf("reading %s: %w", path, err)
			}
			return strings.TrimRight(string(text), "\x00"), nil
		}
	}
	return "", fmt.Errorf("reading %s: it names no loader", path)
}
