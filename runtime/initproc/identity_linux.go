package initproc

import (
	"slices"

	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// user finds who the job is. With a map, that must be somebody who is in it.
func (k *keeper) user() (rootfs.User, error) {
	ids := k.request.IDs
	if ids.IsZero() {
		return rootfs.FindUser(rootDir, k.request.User, k.request.Account)
	}
	groups, err := rootfs.CheckUser(rootDir, k.request.User, ids)
	if err != nil {
		return rootfs.User{}, err
	}
	k.groups = groups
	return rootfs.FindUser(rootDir, k.request.User, k.request.Account)
}

// capabilities are what init needs: those that it leaves to the job, and some until the job has begun.
func (k *keeper) capabilities(user rootfs.User) []string {
	if k.fenced() { // whatever the job holds comes with its own user namespace, which as its owner init may enter
		if k.mapped() {
			return []string{"CAP_KILL", "CAP_SETPCAP"}
		}
		return nil
	}
	needed := k.held()
	if k.mapped() {
		// To become the job's user, to give it its streams, and to end processes of others.
		needed = append(needed, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_KILL")
	}
	if k.nested(user) {
		needed = []string{"CAP_SETFCAP"} // to map uid 0; whatever the job holds comes with its own user namespace
	} else if !k.request.Spec.Process.NoNewPrivileges {
		needed = append(needed, "CAP_SYS_ADMIN") // to load a filter
	}
	if len(needed) > 0 {
		needed = append(needed, "CAP_SETPCAP") // to give them up for good
	}
	return needed
}

// held are the capabilities of the job.
func (k *keeper) held() []string {
	if c := k.request.Spec.Process.Capabilities; c != nil {
		return slices.Clone(c.Bounding)
	}
	return nil
}

// left are the capabilities that init leaves to the job. What root has among several users is for root alone.
func (k *keeper) left(user rootfs.User) []string {
	held := k.held()
	if !k.mapped() || user.UID == 0 {
		return held
	}
	return slices.DeleteFunc(held, func(name string) bool { return slices.Contains(spec.RootOfMany, name) })
}

// mapped: the namespace has the ids of the image's users.
func (k *keeper) mapped() bool { return !k.request.IDs.IsZero() }

// nested: the job needs a namespace of its own for its ids.
func (k *keeper) nested(user rootfs.User) bool {
	return !k.mapped() && (user.UID != 0 || user.GID != 0)
}
