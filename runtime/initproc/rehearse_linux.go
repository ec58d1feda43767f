package initproc

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// play is a request that nobody has made, with all that encoding/json has to study before it can read one.
const play = `{"id": "rehearsal", "spec": {"brief": {"version": "1.0.0", "cwd": "/", "no_new_privs": true, "propagation": "rprivate",
	"namespaces": ["pid", "mount", "uts", "cgroup"], "mounts": [{"destination": "L3Byb2M=", "type": "proc", "source": "cHJvYw=="}]}},
	"args": ["YQ=="], "env": ["YQ=="], "root": {}, "account": {}, "files": [{}], "filter": "AAAA", "terminal": {}}`

// rehearse goes once through what the keeper will have to do when it is asked, up to the container's first process. All of it costs
// about a millisecond more for the first time, of which the types of package encoding/json are the larger part, and memory that
// nobody has touched. The supervisor is still finding out what is to run.
func rehearse() {
	if err := perform(); err != nil {
		trace.Mark(trace.Keeper, fmt.Sprintf("rehearsal failed: %q", err))
		return
	}
	trace.Mark(trace.Keeper, trace.Rehearsed)
}

func perform() error {
	var k keeper
	if err := json.Unmarshal([]byte(play), &k.request); err != nil {
		return err
	}
	k.request.Spec.Root.Path = rootDir
	box, err := k.box(k.request.Spec.Spec, rootfs.User{})
	if err != nil {
		return err
	}
	if _, err := json.Marshal(box.Config()); err != nil { // what its first process is sent
		return err
	}
	if _, err := os.FindProcess(os.Getpid()); err != nil { // package os finds out about pidfds with a process of its own
		return err
	}
	return box.Destroy()
}
