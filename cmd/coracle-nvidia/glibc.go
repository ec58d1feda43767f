//go:build oldglibc

package main

// The C library of an older system than the one that this was built on is enough: glibc gave these functions new versions when it took
// libpthread and libdl into itself (2.32, 2.34), and has the old ones still. Calls go to functions of glibc.c, which name the old
// versions. On older systems the functions are in the two libraries, which are empty on newer ones.

/*
#cgo LDFLAGS: -Wl,--no-as-needed -l:libpthread.so.0 -l:libdl.so.2
#cgo LDFLAGS: -Wl,--wrap=__libc_start_main -Wl,--wrap=pthread_create -Wl,--wrap=pthread_key_create -Wl,--wrap=pthread_setspecific
#cgo LDFLAGS: -Wl,--wrap=pthread_sigmask -Wl,--wrap=pthread_getattr_np -Wl,--wrap=pthread_attr_getstack
#cgo LDFLAGS: -Wl,--wrap=pthread_attr_getstacksize
#cgo LDFLAGS: -Wl,--wrap=dlopen -Wl,--wrap=dlclose -Wl,--wrap=dlsym -Wl,--wrap=dlerror -Wl,--wrap=dlinfo
*/
import "C"
