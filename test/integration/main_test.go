// Package integration_test runs the real static binary as an ordinary user without subordinate ids: against this machine's
// kernel, a real registry (Debian's docker-registry) and a real machine-learning image.
package integration_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/mlimage"
)

// whyNoImage carries, from root's process to the ordinary user's, why the machine-learning image could not be built.
const whyNoImage = "CORACLE_TEST_WHY_NO_IMAGE"

func TestMain(m *testing.M) {
	if rules := os.Getenv(lackingEnv); rules != "" {
		fmt.Fprintln(os.Stderr, "integration: running on a lesser kernel:", obey(rules))
		os.Exit(1)
	}
	if os.Geteuid() == 0 {
		if _, err := mlimage.Small.Ensure(context.Background(), os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
			if err := os.Setenv(whyNoImage, err.Error()); err != nil {
				panic(err)
			}
		}
	}
	remove, err := buildLoad()
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration: building the loads:", err)
	}
	status := need.Unprivileged(suite{m})
	if remove != nil {
		remove()
	}
	os.Exit(status)
}

// suite ends what the tests share after the last of them.
type suite struct{ *testing.M }

func (s suite) Run() int {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // whoever started the tests may ignore it (nohup); what they start does not
	status := s.M.Run()
	endShared()
	return status
}

// tortured reports whether all rounds of the long tests are asked for (make torture), or a sample.
func tortured() bool { return os.Getenv("CORACLE_TEST_TORTURE") != "" }

// learningLayout is the OCI layout of the machine-learning image.
func learningLayout(t *testing.T) string {
	t.Helper()
	dir, err := mlimage.Small.Find()
	if err != nil {
		reason := err.Error()
		if why := os.Getenv(whyNoImage); why != "" {
			reason = why
		}
		need.Missing(t, "mlimage", reason)
	}
	return dir
}
