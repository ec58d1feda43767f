package record

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// roomName is a file of a running record that takes up room for the end of it. The job may fill the disk, or use up the quota or the inodes,
// and of such a job people want to read how it ended.
const roomName = "room"

// The room in bytes: for the result, which is hardly ever as long, and for what the job prints once the disk is full.
const resultRoom, lastWordsRoom = 32 << 10, 32 << 10

// holdRoom takes up the room in the directory of a record that is being made: all of it, or none.
func holdRoom(made string) (err error) {
	file, err := fsx.AppendFile(filepath.Join(made, roomName), 0o600)
	if err != nil {
		return err
	}
	const size = resultRoom + lastWordsRoom
	err = sys.Allocate(int(file.Fd()), file.Name(), 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		_, err = file.Write(make([]byte, size))
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// yieldRoom gives up the room for the last words, and reports whether there was any.
func yieldRoom(dir string) bool {
	return fsx.Truncate(filepath.Join(dir, roomName), resultRoom) == nil
}
