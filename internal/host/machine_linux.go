package host

import (
	"crypto/sha256"
	"encoding/hex"
	"os"

	"golang.org/x/sys/unix"
)

// machineFile holds what an installation is called for as long as it lasts (machine-id(5)).
const machineFile = "/etc/machine-id"

// machine tells the installation of this host from others, as a hash: machine-id(5) asks to keep the id itself to the host. "" is not known:
// there is none, or it does not last longer than a boot, as that of a node whose root is in memory, or of a container.
func machine(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // was read only
	var at unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &at) != nil || fleeting[at.Type] {
		return ""
	}
	var id [32]byte
	if n, err := f.Read(id[:]); err != nil || n < len(id) || !isMachineID(id[:]) {
		return ""
	}
	sum := sha256.Sum256(append([]byte("coracle owner "), id[:]...))
	return hex.EncodeToString(sum[:8])
}

// fleeting are file systems whose content is gone after a reboot, or is another container's.
var fleeting = map[int64]bool{unix.TMPFS_MAGIC: true, unix.RAMFS_MAGIC: true, unix.OVERLAYFS_SUPER_MAGIC: true}

// isMachineID: before its first boot is over an installation has none and says so in words.
func isMachineID(id []byte) bool {
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
