package proc

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// TestForgetEnv does it in a process that was given the variable, which this one was not.
func TestForgetEnv(t *testing.T) {
	const name, value, helper = "CORACLE_TEST_FORGET", "CaNaRy-forget", "CORACLE_TEST_FORGETTER"
	if os.Getenv(helper) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestForgetEnv$", "-test.v")
		cmd.Env = append(os.Environ(), helper+"=1", name+"X=kept", name+"="+value, "ANOTHER_ONE=kept "+value)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if os.Getenv(name) != value || !bytes.Contains(environ(t), []byte("\x00"+name+"="+value)) {
		t.Fatal("the variable is not there")
	}
	if err := ForgetEnv(name); err != nil {
		t.Fatal(err)
	}
	if v, ok := os.LookupEnv(name); ok {
		t.Errorf("it is still set: %q", v)
	}
	left := environ(t)
	if bytes.Contains(left, []byte(name+"="+value)) {
		t.Error("/proc/self/environ still has it")
	}
	for _, other := range []string{name + "X=kept\x00", "ANOTHER_ONE=kept " + value + "\x00"} {
		if !bytes.Contains(left, []byte(other)) {
			t.Errorf("%q is gone as well", other)
		}
	}
	child, err := exec.Command("env").Output()
	if err != nil || bytes.Contains(child, []byte(name+"=")) {
		t.Errorf("a child has inherited it: %v", err)
	}
	if err := ForgetEnv(name); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func environ(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}
