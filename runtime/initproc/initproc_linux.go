package initproc

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Wextra -Werror
#include "init.h"
#include "keeper.h"
*/
import "C"

import (
	"os"

	"github.com/opencontainers/runc/libcontainer"
	// Joins the namespaces of a container in a constructor, before Go starts threads; acts only when libcontainer asks.
	_ "github.com/opencontainers/runc/libcontainer/nsenter"

	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/idmap"
)

// libcontainer executes /proc/self/exe with this one argument as the first stage of a container.
const libcontainerArg = "init"

func init() {
	if C.coracle_keeper.pid != 0 {
		container.Adopt(int(C.coracle_keeper.pid), uintptr(C.coracle_keeper.socket), uintptr(C.coracle_keeper.said))
	}
	switch {
	case C.coracle_keeper.here != 0:
		os.Exit(keep())
	case len(os.Args) == 2 && os.Args[1] == libcontainerArg && os.Getenv("_LIBCONTAINER_INITPIPE") != "":
		libcontainer.Init() // does not return
	case len(os.Args) == 1 && os.Args[0] == container.KeeperArg:
		os.Exit(keep())
	case len(os.Args) > 1 && os.Args[0] == idmap.GateArg:
		os.Exit(idmap.Pass(os.Args))
	case len(os.Args) == 1 && os.Args[0] == idmap.WorkerArg:
		os.Exit(idmap.Serve(os.Stdin, os.Stdout))
	}
}

// init.h and wire.go state the same numbers twice; the program does not compile when they differ.
const (
	_ = -uint(C.KEEPER_SOCKET ^ container.KeeperSocket)
	_ = -uint(C.LAUNCHER_FD ^ container.LauncherFD)
	_ = -uint(C.sizeof_struct_report ^ container.ReportSize)
	_ = -uint(C.REPORT_STARTED ^ container.ReportStarted)
	_ = -uint(C.REPORT_FAILED ^ container.ReportFailed)
	_ = -uint(C.REPORT_ENDED ^ container.ReportEnded)
	_ = -uint(C.REPORT_FORKED ^ container.ReportForked)
	_ = -uint(C.REPORT_CLEARED ^ container.ReportCleared)
	_ = -uint(C.NAMESPACE_FD ^ 7) // container.Shared.join
	_ = -uint(C.STAGE_CONFIG ^ container.StageConfig)
	_ = -uint(C.STAGE_TERMINAL ^ container.StageTerminal)
	_ = -uint(C.STAGE_USER ^ container.StageUser)
	_ = -uint(C.STAGE_CAPABILITIES ^ container.StageCapabilities)
	_ = -uint(C.STAGE_SECCOMP ^ container.StageSeccomp)
	_ = -uint(C.STAGE_EXEC ^ container.StageExec)
	_ = -uint(C.STAGE_JOIN ^ container.StageJoin)
	_ = -uint(C.STAGE_DIRECTORY ^ container.StageDirectory)
	_ = -uint(C.STAGE_LIMITS ^ container.StageLimits)
	_ = -uint(C.sizeof_struct_limit ^ 24) // container.Rlimit
)
