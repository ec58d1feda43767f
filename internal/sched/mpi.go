package sched

import (
	"path"
	"slices"
	"strings"
)

// MPI is a way by which the processes of a parallel program learn of each other from their launcher.
type MPI string

// The ways. A launcher may offer several.
const (
	PMIx  MPI = "pmix" // a server of the launcher's on each node, by TCP or a socket of its own, and files in shared memory
	PMI2  MPI = "pmi2" // a connected socket that each process inherits; MPICH speaks PMI 1 over it
	NoMPI MPI = "none"
)

// PMIFD is the variable with the number of PMI2's inherited descriptor.
const PMIFD = "PMI_FD"

// Ways are those that a launcher offers to a process of its, the one that is meant first: Slurm says so (srun --mpi, which wins over
// what its step may have of a launcher further out).
func Ways(environ []string) (ways []MPI) {
	if value, _ := lookUp(environ, "PMIX_NAMESPACE"); value != "" && has(environ, "PMIX_RANK") && len(servers(environ)) > 0 {
		ways = append(ways, PMIx)
	}
	if has(environ, PMIFD) {
		ways = append(ways, PMI2)
	}
	if kind, _ := lookUp(environ, "SLURM_MPI_TYPE"); kind == string(PMI2) {
		slices.Reverse(ways)
	}
	return ways
}

// servers are the values of the variables that say where PMIx's server is: one for each generation of its clients.
func servers(environ []string) (uris []string) {
	for _, v := range environ {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "PMIX_SERVER_URI") && value != "" {
			uris = append(uris, value)
		}
	}
	return uris
}

// PMIxNeedsNetwork reports whether PMIx's server is reached by the network of this host.
func PMIxNeedsNetwork(environ []string) bool {
	return slices.ContainsFunc(servers(environ), func(uri string) bool { return strings.Contains(uri, ";tcp") })
}

// PMIxPlaces are the paths of directories, files and sockets by which PMIx's clients meet their server: where it keeps its sockets and
// its shared memory, and what the servers' addresses name ("pmix-server:42:/tmp/pmix-42", "file:/run/pmix.uri"). The directory of
// all servers of a node is /tmp on most systems, and no place of theirs: it is given by a pattern of what they put there.
func PMIxPlaces(environ []string) (paths []string) {
	add := func(p string) {
		if p = path.Clean(p); path.IsAbs(p) && !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if name == "PMIX_SYSTEM_TMPDIR" {
			add(value + "/pmix.sys.*")
		}
		if name == "PMIX_SERVER_TMPDIR" || strings.HasPrefix(name, "PMIX_DSTORE_") && strings.HasSuffix(name, "_PATH") {
			add(value)
		}
	}
	for _, uri := range servers(environ) {
		if at := strings.Index(uri, "/"); at >= 0 && !strings.HasPrefix(uri[at:], "//") {
			add(uri[at:])
		}
	}
	slices.Sort(paths)
	return paths
}

// OfMPI reports whether a variable is a launcher's word to the processes of a parallel program. PMIX_MCA_ are settings of the library.
func OfMPI(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return !strings.HasPrefix(name, "PMIX_MCA_") && slices.ContainsFunc([]string{"PMI_", "PMI2_", "PMIX_"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

// WithoutSharedMemory are settings of Open MPI and MPICH by which processes of one node that share neither /dev/shm nor pids do not
// try to reach each other by them; they end in a segmentation fault, or wait for ever. nil where no others are on the node.
func WithoutSharedMemory(environ []string) []string {
	if t := Tasked(environ); t.Alone() || t.LocalSize == 1 {
		return nil
	}
	return []string{"OMPI_MCA_btl=^vader", "MPIR_CVAR_NOLOCAL=1"}
}
