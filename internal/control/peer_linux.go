package control

import (
	"fmt"
	"os"
)

// userNamespace is the user namespace of this process. Whoever has it has shown to be in it, or outside: see the package.
func userNamespace() (*os.File, error) { return os.Open("/proc/self/ns/user") }

// checkOutside makes sure that a file is the user namespace of this process.
func checkOutside(file *os.File) error {
	own, err := userNamespace()
	if err != nil {
		return fmt.Errorf("looking at the user namespace: %w", err)
	}
	defer own.Close()
	want, err := own.Stat()
	if err != nil {
		return fmt.Errorf("looking at the user namespace: %w", err)
	}
	if got, err := file.Stat(); err != nil || !os.SameFile(got, want) {
		return errStranger
	}
	return nil
}
