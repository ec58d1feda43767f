package location

import "github.com/coracle-run/coracle/internal/host"

// Pretend makes dir the place of /var/tmp, and free what any directory has of room, until restore is called.
func Pretend(dir string, free func(dir string) int64) (restore func()) {
	oldDir, oldStat := sharedTemp, statFilesystem
	sharedTemp = dir
	statFilesystem = func(dir string) (host.Filesystem, error) { return host.Filesystem{Dir: dir, Free: free(dir)}, nil }
	return func() { sharedTemp, statFilesystem = oldDir, oldStat }
}

// PretendHome makes dir the home directory that the system has for the caller, until restore is called.
func PretendHome(dir string) (restore func()) {
	old := ownHome
	ownHome = func() string { return dir }
	return func() { ownHome = old }
}

// Recall is the layer root that is remembered.
func Recall(data string) (string, bool) { return recall(data, nil) }
