// What the two halves of the fake libnvidia-ml.so share. Types are laid out as NVML's API reference says.
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "state.h"

#define API __attribute__((visibility("default"))) int

// Of nvmlReturn_t.
enum {
	OK = 0, INVALID = 2, UNSUPPORTED = 3, DENIED = 4, NOT_FOUND = 6, TOO_SMALL = 7, NOT_LOADED = 9, LOST = 15,
};

// A device is a GPU, or an instance of one: number counts the instances from 0, and is -1 for the GPU itself.
struct device { int gpu, number; };
struct instance { int gpu, number, compute; };

extern struct device devices[MOST_GPUS];
extern struct device instances[MOST_GPUS][INSTANCES];

// nvml_enter is the way into each function: "hang NAME", "crash NAME" and "fail NAME CODE" of the state apply there.
int nvml_enter(const char *name);
// nvml_usable is what a device answers at all: lost, or not.
int nvml_usable(const struct device *device);
int nvml_mig(int gpu);

#define ENTER() do { int code = nvml_enter(__func__); if (code != OK) return code; } while (0)
#define ENTER_DEVICE(device) do { ENTER(); int code = nvml_usable(device); if (code != OK) return code; } while (0)
#define ONLY_GPU(device) do { if ((device)->number >= 0) return UNSUPPORTED; } while (0)

#define GPU_MEMORY (80LL << 30)
#define INSTANCE_MEMORY (10LL << 30)

#endif
