package nvidia

import (
	"debug/elf"
	"path/filepath"

	"tags.cncf.io/container-device-interface/specs-go"
)

// folders32 are where distributions keep libraries for 32-bit programs.
var folders32 = []string{"/usr/lib/i386-linux-gnu", "/usr/lib/i386-linux-gnu/nvidia/current", "/usr/lib32", "/usr/lib"}

// libraries32 are the driver's libraries for 32-bit programs, of which NVIDIA's generator knows nothing.
func (s *session) libraries32() *specs.ContainerEdits {
	edits := &specs.ContainerEdits{}
	version, _, _ := s.versions()
	if version == "" {
		return edits
	}
	var folders []string
	for _, folder := range s.folders32() {
		found, _ := filepath.Glob(filepath.Join(folder, "lib*.so."+version))
		before := len(edits.Mounts)
		for _, path := range found {
			if is32(path) {
				edits.Mounts = append(edits.Mounts, &specs.Mount{
					HostPath: path, ContainerPath: s.inside(path), Options: []string{"ro", "nosuid", "nodev", "rbind", "rprivate"},
				})
			}
		}
		if len(edits.Mounts) > before {
			folders = append(folders, s.inside(folder))
		}
	}
	if len(folders) > 0 && findLdconfig() != "" {
		args := []string{filepath.Base(s.Self), "update-ldcache", "--ldconfig-path", findLdconfig()}
		for _, folder := range folders {
			args = append(args, "--folder", folder)
		}
		edits.Hooks = []*specs.Hook{{HookName: "createContainer", Args: args}}
	}
	return edits
}

func (s *session) folders32() []string {
	if s.place.own != "" {
		return []string{filepath.Join(s.place.own, "lib"), filepath.Join(s.place.own, "lib32")}
	}
	var folders []string
	for _, folder := range folders32 {
		folders = append(folders, filepath.Join(s.place.root, folder))
	}
	return folders
}

// inside is the path in the container of a file below the driver's root.
func (s *session) inside(path string) string {
	relative, err := filepath.Rel(s.place.root, path)
	if err != nil {
		return path
	}
	return filepath.Join("/", relative)
}

// is32 reports whether a file is a library for 32-bit programs.
func is32(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Class == elf.ELFCLASS32
}
