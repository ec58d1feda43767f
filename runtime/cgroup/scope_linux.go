package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Unit is a scope of a systemd manager's.
type Unit struct {
	Name string
	Bus  string // the path of the manager's socket
}

// noSuchUnit is what a manager calls a unit that it does not have (org.freedesktop.systemd1(5)).
const noSuchUnit = "org.freedesktop.systemd1.NoSuchUnit"

// StopScope has the manager end the scope of a run whose supervisor is dead. As a rule it has gone with its processes. But of one whose
// process was about to end when systemd took it in, systemd never hears that it is empty, and keeps it. A manager that is gone has taken its
// scopes along.
func StopScope(ctx context.Context, u Unit) error {
	if !strings.HasPrefix(u.Name, prefix) || !strings.HasSuffix(u.Name, ".scope") {
		return fmt.Errorf("%s is no scope of a job", u.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, managerPatience)
	defer cancel()
	conn, err := dial(ctx, u.Bus)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	if err == nil {
		_, err = conn.StopUnitContext(ctx, u.Name, "replace", nil) // it may take its time
		conn.Close()
	}
	var refused dbus.Error
	if errors.As(err, &refused) && refused.Name == noSuchUnit {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking systemd to stop %s: %w", u.Name, err)
	}
	return nil
}
