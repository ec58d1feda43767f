package host

import (
	"fmt"
	"os"
)

// Missing is the error of a path with nothing behind it, which may be a link.
func Missing(path string) error {
	if to, err := os.Readlink(path); err == nil {
		return fmt.Errorf("%s is a link to %s, which does not exist on this host", path, to)
	}
	return fmt.Errorf("%s does not exist on this host", path)
}
