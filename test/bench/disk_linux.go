package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// diskMeter counts the bytes that reached the disk below a directory, once what is dirty has been written. It is nil where
// the file system is not the benchmark's own: others write to it, too.
func diskMeter(dir string) func() (int64, error) {
	var st unix.Stat_t
	if os.Getenv(dirEnv) == "" || unix.Stat(dir, &st) != nil {
		return nil
	}
	counters := fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev))
	if _, err := writtenTo(counters); err != nil {
		return nil
	}
	return func() (int64, error) {
		if err := syncfs(dir); err != nil {
			return 0, err
		}
		return writtenTo(counters)
	}
}

func syncfs(dir string) (err error) {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", dir, err)
	}
	return nil
}

// writtenTo is what a block device's counters say: the seventh number is sectors of 512 bytes (Documentation/block/stat.rst).
func writtenTo(counters string) (int64, error) {
	raw, err := os.ReadFile(counters)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 7 {
		return 0, fmt.Errorf("%s holds %q", counters, raw)
	}
	sectors, err := strconv.ParseInt(fields[6], 10, 64)
	return sectors * 512, err
}
