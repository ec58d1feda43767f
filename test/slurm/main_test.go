// Package slurm_test runs jobs through a real Slurm: munged, slurmctld and the slurmds of two nodes, all on this machine and out of
// one temporary directory, started and stopped by the tests themselves. The daemons are root's, as they are on a cluster; whoever
// runs jobs is an ordinary user. `make test-slurm` asks for it; without that, and without root, the tests are skipped by name.
//
// Both nodes are this machine: they have one kernel, one network and one host name between them, and what the tests say of nodes is
// what Slurm tells its tasks.
package slurm_test

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	status := m.Run()
	if c, err := theCluster(); c != nil && err == nil {
		if err := c.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL: stopping the cluster:", err)
			status = 1
		}
	}
	os.Exit(status)
}
