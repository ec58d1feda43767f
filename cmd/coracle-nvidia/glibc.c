//go:build oldglibc

// See glibc.go.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

#if defined(__x86_64__)
#define OLD "GLIBC_2.2.5"
#define OLD_DLINFO "GLIBC_2.3.3"
#elif defined(__aarch64__)
#define OLD "GLIBC_2.17"
#define OLD_DLINFO OLD
#else
#error "the versions of this architecture's first glibc are not known here"
#endif

// OLDER declares old_NAME to be that version of NAME, and defines what the linker (--wrap) calls instead of NAME.
#define OLDER(version, result, name, parameters, arguments)            \
	__asm__(".symver old_" #name ", " #name "@" version);          \
	extern result old_##name parameters;                           \
	result __wrap_##name parameters;                               \
	result __wrap_##name parameters { return old_##name arguments; }

OLDER(OLD, int, pthread_create, (pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg), (thread, attr, start, arg))
OLDER(OLD, int, pthread_key_create, (pthread_key_t *key, void (*destroy)(void *)), (key, destroy))
OLDER(OLD, int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value))
OLDER(OLD, int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
OLDER(OLD, int, pthread_getattr_np, (pthread_t thread, pthread_attr_t *attr), (thread, attr))
OLDER(OLD, int, pthread_attr_getstack, (const pthread_attr_t *attr, void **address, size_t *size), (attr, address, size))
OLDER(OLD, int, pthread_attr_getstacksize, (const pthread_attr_t *attr, size_t *size), (attr, size))
OLDER(OLD, void *, dlopen, (const char *file, int mode), (file, mode))
OLDER(OLD, int, dlclose, (void *handle), (handle))
OLDER(OLD, void *, dlsym, (void *restrict handle, const char *restrict name), (handle, name))
OLDER(OLD, char *, dlerror, (void), ())
OLDER(OLD_DLINFO, int, dlinfo, (void *restrict handle, int request, void *restrict arg), (handle, request, arg))

// The start of a program passes no functions to be called first since 2.34; older versions leave out what is NULL.
typedef int main_function(int, char **, char **);
OLDER(OLD, int, __libc_start_main,
	(main_function *program, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end),
	(program, argc, argv, init, fini, rtld_fini, stack_end))
