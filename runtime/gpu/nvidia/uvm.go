package nvidia

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// uvmPatience is how long loading a kernel module may take.
const uvmPatience = 10 * time.Second

// makeUVM does what the first CUDA program after a boot does and one in a container cannot: it has NVIDIA's setuid program load the
// module for unified memory and make its nodes.
func (s *session) makeUVM() {
	if isNode(s.place.device("nvidia-uvm")) {
		return
	}
	for dir := range strings.SplitSeq(s.place.searchPath(), ":") {
		path := filepath.Join(dir, "nvidia-modprobe")
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() || st.Mode()&os.ModeSetuid == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), uvmPatience)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, "-c", "0", "-u")
		cmd.Env = []string{"PATH=" + strings.Join(standardPath, ":")}
		out, err := cmd.CombinedOutput()
		// Whether the node is there afterwards is looked at by who needs it.
		s.Log.Infof("%s: %v %s", path, err, out)
		return
	}
}
