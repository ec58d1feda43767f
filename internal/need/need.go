package need

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	// requireEnv lists, comma separated, the abilities that this machine promises; "all" promises every one.
	requireEnv = "TEST_REQUIRE"
	// skipsEnv names an existing file to which every skip is appended as "ability<TAB>test<TAB>reason".
	skipsEnv = "TEST_SKIPS"
)

// Missing ends the test because the named ability is absent: a failure where the machine promised it, else a skip.
// The functions of this package call it; a package with a need of its own may too.
func Missing(t testing.TB, ability, reason string) {
	t.Helper()
	if required(ability, os.Getenv(requireEnv)) {
		t.Fatalf("needs %s, which %s declares: %s", ability, requireEnv, reason)
	}
	if err := noteSkip(os.Getenv(skipsEnv), ability, t.Name(), reason); err != nil {
		t.Logf("the skip is missing from the list: %v", err)
	}
	t.Skipf("needs %s: %s", ability, reason)
}

// required reports whether the list of promised abilities names this one.
func required(ability, list string) bool {
	promised := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	return slices.Contains(promised, "all") || slices.Contains(promised, ability)
}

// noteSkip appends one line to the list of skips, or does nothing when path is empty. The file has to be there already:
// it may belong to another user, and creating files in a sticky directory on behalf of others is refused by the kernel
// (fs.protected_regular).
func noteSkip(path, ability, test, reason string) (err error) {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("noting a skip: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	_, err = fmt.Fprintf(f, "%s\t%s\t%s\n", ability, test, strings.ReplaceAll(reason, "\n", " "))
	return err
}
