package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// process decides what runs, by docker's rules: arguments replace CMD and follow ENTRYPOINT; another entrypoint drops CMD.
func process(image ocispec.ImageConfig, o Process) Modifier {
	return func(s *specs.Spec) error {
		entrypoint, arguments := image.Entrypoint, image.Cmd
		if o.Entrypoint != nil {
			entrypoint, arguments = nil, nil
			if *o.Entrypoint != "" {
				entrypoint = []string{*o.Entrypoint}
			}
		}
		if len(o.Args) > 0 {
			arguments = o.Args
		}
		s.Process.Args = slices.Concat(entrypoint, arguments)
		if len(s.Process.Args) == 0 {
			return fmt.Errorf("%w: it names no command (no ENTRYPOINT, no CMD): give one after the image", ErrImage)
		}
		for _, arg := range s.Process.Args {
			if strings.ContainsRune(arg, 0) {
				return fmt.Errorf("%w: the command has an argument with a NUL byte: %q", ErrImage, arg)
			}
		}
		if o.Workdir != "" && !path.IsAbs(o.Workdir) {
			return fmt.Errorf("%w: the working directory must be an absolute path: %q", ErrOption, o.Workdir)
		}
		s.Process.Cwd = path.Join("/", image.WorkingDir)
		if o.Workdir != "" {
			s.Process.Cwd = path.Clean(o.Workdir)
		}
		s.Process.Terminal = o.TTY
		return nil
	}
}

// environment is hermetic: how many threads to use, the image's variables, those of the caller that a job needs, and what the user passed, in this
// order; of several with one name the last one counts.
func environment(image ocispec.ImageConfig, o Options) Modifier {
	return func(s *specs.Spec) error {
		env := []string{"PATH=" + defaultPath, "HOSTNAME=" + o.Hostname}
		if o.TTY {
			env = append(env, "TERM=xterm")
		}
		set := slices.Concat(image.Env, o.Inherited, o.Env)
		all := slices.Concat(env, threadVariables(o.Threads, set), set)
		seen := make(map[string]bool, len(all)) // an image may bring hundreds of thousands
		for _, v := range slices.Backward(all) {
			name, _, assigned := strings.Cut(v, "=")
			if !assigned || name == "" || seen[name] {
				continue // an image may hold what is no variable
			}
			if strings.ContainsRune(v, 0) {
				return fmt.Errorf("%w: variable %q has a NUL byte in its value", ErrImage, name)
			}
			seen[name] = true
			s.Process.Env = append(s.Process.Env, v)
		}
		slices.Reverse(s.Process.Env)
		return nil
	}
}

// HasHome reports whether anybody but the image's passwd file says what $HOME is.
func HasHome(env []string) bool {
	return slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "HOME=") })
}
