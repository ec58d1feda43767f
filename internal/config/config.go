// Package config reads what a site and a user have set for good: [Site], and config.toml in the user's directory of configuration. Of a
// value that both have, the user's counts. Environment variables and options, which are the commands' own affair, count more.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/BurntSushi/toml"
)

// Site is the file of a site.
const Site = "/etc/coracle/config.toml"

// ErrConfig is wrapped by the errors of files that cannot be understood.
var ErrConfig = errors.New("bad configuration")

// Config is what is set. The zero value is nothing.
type Config struct {
	GPU GPU `toml:"gpu"`
}

// GPU is about the GPUs of a machine.
type GPU struct {
	DriverRoot string `toml:"driver_root"` // where NVIDIA's driver is, as --driver-root has it

	DriverRootFrom string `toml:"-"` // the file that says so
}

// Files are those of a site and of the caller, the more important last.
func Files() []string {
	files := []string{Site}
	if dir, err := os.UserConfigDir(); err == nil { // else the caller has none
		files = append(files, filepath.Join(dir, "coracle", "config.toml"))
	}
	return files
}

// Read reads some files, of which one that is not there sets nothing. A later one counts more. A key that is none is an error that wraps
// ErrConfig: what has no effect should not look as if it had.
func Read(files ...string) (Config, error) {
	var c Config
	for _, file := range files {
		before := c.GPU.DriverRoot
		c.GPU.DriverRoot = ""
		meta, err := toml.DecodeFile(file, &c)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return Config{}, fmt.Errorf("%w: %s: %w", ErrConfig, file, err)
		case len(meta.Undecoded()) > 0:
			return Config{}, fmt.Errorf("%w: %s: there is no key %s", ErrConfig, file, meta.Undecoded()[0])
		}
		switch root := c.GPU.DriverRoot; {
		case root == "":
			c.GPU.DriverRoot = before
		case !filepath.IsAbs(root):
			return Config{}, fmt.Errorf("%w: %s: driver_root %q is no absolute path", ErrConfig, file, root)
		default:
			c.GPU.DriverRootFrom = file
		}
	}
	return c, nil
}
