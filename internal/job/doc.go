// Package job runs one job end to end: it gets the image, prepares the container, supervises it, and leaves the record.
//
// It is the only place that knows both the image side (oci) and the container side (runtime). What a run is made of has packages of its own,
// none of which knows this one: secret, device, limit and mpi say what a job gets, signals and supervise look after it, measure measures it,
// and cause judges why it ended.
package job
