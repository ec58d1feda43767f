package sys

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	start, err := environStart()
	if err != nil {
		return err
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	at := start
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

// environStart is where in this process's memory its environment begins: env_start, field 50 of /proc/PID/stat (proc(5)).
func environStart() (int64, error) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, err
	}
	const envStart, afterName = 50, 3 // fields count from 1; the second is a name that may have anything in it
	_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) <= envStart-afterName {
		return 0, errors.New("/proc/self/stat has no field 50")
	}
	return strconv.ParseInt(fields[envStart-afterName], 10, 64)
}
