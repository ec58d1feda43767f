package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// ForgetEnv takes a variable out of this process's environment: of what its children inherit, and its value out of the memory
// that /proc/PID/environ shows, which stays as the process was given it otherwise (proc(5)). Copies that the process has made
// are its own matter.
func ForgetEnv(name string) error {
	if err := os.Unsetenv(name); err != nil {
		return err
	}
	if err := wipeEnv(name); err != nil {
		return fmt.Errorf("forgetting the variable %s: %w", name, err)
	}
	return nil
}

// wipeEnv writes zeros over the values that a variable has in the environment as it was given.
func wipeEnv(name string) (err error) {
	given, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return err
	}
	stat, err := self()
	if err != nil {
		return err
	}
	if stat.EnvStart == 0 {
		return errors.New("the kernel does not say where it is")
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	at := int64(stat.EnvStart)
	for entry := range bytes.SplitSeq(given, []byte{0}) {
		if value, ok := bytes.CutPrefix(entry, []byte(name+"=")); ok && len(value) > 0 {
			if _, err := memory.WriteAt(make([]byte, len(value)), at+int64(len(entry)-len(value))); err != nil {
				return err
			}
		}
		at += int64(len(entry)) + 1
	}
	return nil
}
