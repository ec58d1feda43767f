package metrics

import "testing"

func TestVictim(t *testing.T) {
	const entry = "6,4291,46604230735,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg="
	for _, c := range []struct{ entry, name string }{
		{entry + "/a/coracle-1,task=python3,pid=15370,uid=1000\n", "python3"},
		{entry + "/a/coracle-1/inner,task=a b,,pid=7,pid=15370,uid=0\n", "a b,,pid=7"},
		{entry + "/a/coracle-12,task=python3,pid=15370,uid=1000\n", ""},
		{entry + "/a,task=coracle-1,pid=15370,uid=1000\n", ""},
		{"6,4291,46604230735,-;Memory cgroup out of memory: Killed process 15370 (sh)\n", ""},
		{"6,1,2,-;oom-kill:", ""},
		{"", ""},
	} {
		if name, ok := victim(c.entry, "coracle-1"); name != c.name || ok != (c.name != "") {
			t.Errorf("%q: %q, %v", c.entry, name, ok)
		}
	}
}
