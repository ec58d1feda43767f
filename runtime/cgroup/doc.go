// Package cgroup holds a job to limits by control groups, in whichever way this host gives: a group made below or beside our
// own where that is ours to divide (cgroup v2, delegated; cgroup v1, as root), or a scope of the systemd manager.
//
// [Read] gathers facts, [Host.Decide] chooses a way by them and is pure, [Host.Arrange] goes it. What comes of it is a [Group],
// which says what it enforces and what it cannot, and whose directories others may read from until it is removed.
//
// A group is never made outside of the one that a batch scheduler has given (slurm.conf(5), ProctrackType): the job would
// escape its limits and its accounting.
package cgroup
