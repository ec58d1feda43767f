package main

import (
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
)

// mpiAuto is the value of --mpi for what the launcher offers.
const mpiAuto = "auto"

func mpiFlag() cli.Flag {
	return &cli.StringFlag{Name: "mpi", Value: mpiAuto, Usage: "Let the job take part in the launcher's MPI by this `WAY`: auto (what is offered, the default), pmix, pmi2 or none"}
}

// mpiOption reads it; "" is auto.
func mpiOption(c *cli.Context) (sched.MPI, error) {
	switch way := sched.MPI(c.String("mpi")); way {
	case mpiAuto:
		return "", nil
	case sched.PMIx, sched.PMI2, sched.NoMPI:
		return way, nil
	default:
		return "", usagef(jobCommand, "--mpi is %s, %s, %s or %s, not %q", mpiAuto, sched.PMIx, sched.PMI2, sched.NoMPI, string(way))
	}
}

// mpiText is by which way a job took part in its launcher's MPI.
func mpiText(m *record.MPI) string {
	if m == nil {
		return ""
	}
	return m.Way
}
