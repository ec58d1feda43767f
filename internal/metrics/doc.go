// Package metrics measures a running job: what its processes take of the machine, and never what the machine does.
//
// A [Sampler] reads one source: the job's cgroup ([Cgroup]), or the processes of its pid namespace where it has none ([Tree]), its
// /dev/shm, its own network, its GPUs. A [Monitor] asks all of them once a second, keeps the peaks, and writes the mean and the
// greatest of every ten seconds as one line of JSON. Nothing is opened or read before the job runs.
//
// Every number says where it is from, see [Source]. Counters (CPU, bytes) grow from the job's start; gauges (memory, processes)
// are of a moment. A number that a source does not have is absent, and never 0.
//
// The package training, below, reads what a job itself says of its training.
package metrics
