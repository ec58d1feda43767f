package sched

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// The ports that steps meet at: below those that Linux gives to clients (ip_local_port_range, from 32768 on) and Slurm's srun
// takes for its own, above those of services that a site is likely to run.
const (
	firstPort = 15000
	portCount = 15013 // a prime
)

// Rendezvous is what torch.distributed (its env:// method) and those that follow it need to find each other: MASTER_ADDR,
// MASTER_PORT, RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE. Of the six it has those that the environment does not: whoever has
// set one of them means it. nil when the task is alone, and when the launcher does not say who the first node is.
func Rendezvous(environ []string) []string {
	t := Tasked(environ)
	if t.Alone() {
		return nil
	}
	values := [][2]string{
		{"RANK", strconv.Itoa(t.Rank)}, {"WORLD_SIZE", strconv.Itoa(t.Size)}, {"LOCAL_RANK", strconv.Itoa(t.LocalRank)},
	}
	if t.LocalSize > 0 {
		values = append(values, [2]string{"LOCAL_WORLD_SIZE", strconv.Itoa(t.LocalSize)})
	}
	if host := firstHost(environ, t); host != "" {
		values = append(values, [2]string{"MASTER_ADDR", host})
		if port := meetingPort(environ); port > 0 {
			values = append(values, [2]string{"MASTER_PORT", strconv.Itoa(port)})
		}
	}
	var set []string
	for _, v := range values {
		if _, there := lookUp(environ, v[0]); !there {
			set = append(set, v[0]+"="+v[1])
		}
	}
	return set
}

// firstHost is the node of rank 0; "" where nobody says. A step on one node meets on the loopback, which needs no name to resolve.
func firstHost(environ []string, t Task) string {
	if t.LocalSize == t.Size {
		return "127.0.0.1"
	}
	list := ""
	for _, name := range []string{"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"} {
		if list, _ = lookUp(environ, name); list != "" {
			break
		}
	}
	hosts, err := Hosts(list)
	if err != nil || len(hosts) == 0 {
		return ""
	}
	return hosts[0]
}

// meetingPort is one port for all tasks of a step that no other step of the job has. A port that Slurm has reserved for the step
// (MpiParams=ports= in slurm.conf) nobody has. Without one it follows from the ids of job and step: 15013 steps of a job that come
// after each other all differ, and jobs begin far apart. 0: there is no job id.
func meetingPort(environ []string) int {
	if reserved, _ := lookUp(environ, "SLURM_STEP_RESV_PORTS"); reserved != "" {
		first, _, _ := strings.Cut(reserved, "-")
		first, _, _ = strings.Cut(first, ",")
		if port := digits(first); 0 < port && port < 1<<16 {
			return port
		}
	}
	job := jobID(environ)
	if job == "" {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(job)) // never fails
	return firstPort + int((uint64(h.Sum32())+uint64(number(environ, "SLURM_STEP_ID")))%portCount)
}

// jobID is what names this batch job among those of its scheduler; "": there is none.
func jobID(environ []string) string {
	for _, s := range schedulers {
		if id, _ := lookUp(environ, s.variable); id != "" {
			return id
		}
	}
	return ""
}
