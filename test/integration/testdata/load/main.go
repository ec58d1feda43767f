// A job of which it is known what it uses, by the name that is its argument. It says what the kernel accounts to it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// loads are the jobs, by name; what they return is what the record must say within 5 %.
var loads = map[string]func() map[string]float64{
	"memory": useMemory, "cpu": useCPU, "unclaimed": useUnclaimed, "write": writeFile, "processes": spawn, "shared": shareMemory,
	"child":      func() map[string]float64 { hold(); return nil },
	"child-cpu":  func() map[string]float64 { burn(300 * time.Millisecond); hold(); return nil },
	"child-long": func() map[string]float64 { burn(800 * time.Millisecond); hold(); return nil },
	"child-map":  mapShared,
}

func main() {
	if used := loads[os.Args[1]](); used != nil {
		text, err := json.Marshal(used)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(text))
	}
}

// hold keeps what is used until it has been measured: it says so by a file of its own, and waits for a lock that the test gives back then.
// Where nobody has made that lock it waits for five times the interval between two samples, of which a slow machine takes some late.
func hold() {
	file, err := os.Open("/sync/lock")
	if os.IsNotExist(err) {
		time.Sleep(5 * time.Second)
		return
	}
	if err == nil {
		err = os.WriteFile("/sync/holds."+strconv.Itoa(os.Getpid()), nil, 0o600)
	}
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_SH)
	}
	if err != nil {
		panic(err)
	}
}

// touched is memory that is really there.
func touched(size int) []byte {
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		panic(err)
	}
	touch(memory)
	return memory
}

func touch(memory []byte) {
	for at := 0; at < len(memory); at += os.Getpagesize() {
		memory[at] = 1
	}
}

const loadSize = 256 << 20

func useMemory() map[string]float64 {
	memory := touched(loadSize)
	hold()
	touch(memory)
	return map[string]float64{"peaks.memory_bytes": ofStatus("self", "VmHWM:"), "peaks.anon_shmem_bytes": ofStatus("self", "RssAnon:")}
}

// ofStatus is a size in /proc/PID/status.
func ofStatus(pid, name string) float64 { return ofFile("/proc/"+pid+"/status", name) * 1024 }

func ofFile(path, name string) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	for line := range bytes.Lines(text) {
		if fields := strings.Fields(string(line)); len(fields) > 1 && fields[0] == name {
			n, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				panic(err)
			}
			return n
		}
	}
	panic(path + " has no " + name)
}

// burn uses CPU time, as the kernel accounts for it.
func burn(much time.Duration) {
	var used unix.Rusage
	for sum := 0; used.Utime.Nano()+used.Stime.Nano() < int64(much); sum++ {
		if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
			panic(err)
		}
	}
}

func useCPU() map[string]float64 {
	child("child-cpu")
	burn(time.Second)
	return map[string]float64{"totals.cpu_seconds": used(unix.RUSAGE_SELF) + used(unix.RUSAGE_CHILDREN)}
}

// used is the CPU time of some processes.
func used(who int) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// useUnclaimed has children for which it does not wait: they are on nobody's account when they have ended.
func useUnclaimed() map[string]float64 {
	const children, each = 2, 0.8
	signal.Ignore(unix.SIGCHLD)
	for range children {
		if err := start("child-long").Start(); err != nil {
			panic(err)
		}
	}
	if _, err := unix.Wait4(-1, nil, 0, nil); err != unix.ECHILD { // which it says once the last of them has ended
		panic(err)
	}
	return map[string]float64{"totals.cpu_seconds": used(unix.RUSAGE_SELF) + used(unix.RUSAGE_CHILDREN) + children*each}
}

// start is another load as a process of its own.
func start(name string) *exec.Cmd {
	return exec.Command("/proc/self/exe", name)
}

func child(name string) {
	if err := start(name).Run(); err != nil {
		panic(err)
	}
}

func writeFile() map[string]float64 {
	file, err := os.Create("/written")
	if err != nil {
		panic(err)
	}
	part := bytes.Repeat([]byte("x"), 1<<20)
	for range 128 {
		if _, err := file.Write(part); err != nil {
			panic(err)
		}
	}
	return map[string]float64{
		"totals.file_write_bytes": ofFile("/proc/self/io", "wchar:"), "totals.write_bytes": ofFile("/proc/self/io", "write_bytes:"),
	}
}

func spawn() map[string]float64 {
	const processes = 40
	var commands []*exec.Cmd
	for range processes {
		cmd := start("child")
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		commands = append(commands, cmd)
	}
	for _, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			panic(err)
		}
	}
	return map[string]float64{"peaks.processes": processes + 1}
}

// shareMemory has one piece of memory in several processes: by its plain size it would be there five times.
func shareMemory() map[string]float64 {
	fd, err := unix.MemfdCreate("shared", 0)
	if err == nil {
		err = unix.Ftruncate(fd, loadSize)
	}
	if err != nil {
		panic(err)
	}
	file := os.NewFile(uintptr(fd), "shared")
	const processes = 4
	var children []*exec.Cmd
	for range processes {
		cmd := start("child-map")
		cmd.ExtraFiles = []*os.File{file}
		said, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			_, err = said.Read(make([]byte, 16))
		}
		if err != nil {
			panic(err)
		}
		children = append(children, cmd)
	}
	hold()
	hold() // without a lock, for twice as long
	sum := ofFile("/proc/self/smaps_rollup", "Pss:")
	for _, cmd := range children {
		sum += ofFile("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/smaps_rollup", "Pss:")
	}
	for _, cmd := range children {
		if err := cmd.Process.Kill(); err != nil {
			panic(err)
		}
		_ = cmd.Wait() // it was killed
	}
	return map[string]float64{"peaks.memory_bytes": sum * 1024}
}

// mapShared maps the memory that it is given as descriptor 3, and stays until it is killed.
func mapShared() map[string]float64 {
	memory, err := unix.Mmap(3, 0, loadSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	touch(memory)
	fmt.Println("mapped")
	time.Sleep(time.Hour)
	return nil
}
