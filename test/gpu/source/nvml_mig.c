// The fake libnvidia-ml.so: GPUs in MIG mode, each with two instances 1g.10gb. Instance number N has the GPU instance N+1 and its
// compute instance 0.
#include "nvml.h"

static struct instance handles[MOST_GPUS][INSTANCES][2];

API nvmlDeviceGetMigMode(const struct device *device, unsigned *now, unsigned *next)
{
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	*now = *next = (unsigned)nvml_mig(device->gpu);
	return OK;
}

API nvmlDeviceGetMaxMigDeviceCount(const struct device *device, unsigned *count)
{
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	*count = 7;
	return OK;
}

API nvmlDeviceGetMigDeviceHandleByIndex(const struct device *device, unsigned index, struct device **out)
{
	ENTER_DEVICE(device);
	ONLY_GPU(device);
	if (!nvml_mig(device->gpu))
		return NOT_FOUND;
	if (index >= INSTANCES)
		return index < 7 ? NOT_FOUND : INVALID;
	*out = &instances[device->gpu][index];
	return OK;
}

API nvmlDeviceIsMigDeviceHandle(const struct device *device, unsigned *is) { ENTER_DEVICE(device); *is = device->number >= 0; return OK; }

API nvmlDeviceGetDeviceHandleFromMigDeviceHandle(const struct device *device, struct device **out)
{
	ENTER_DEVICE(device);
	if (device->number < 0)
		return INVALID;
	*out = &devices[device->gpu];
	return OK;
}

API nvmlDeviceGetGpuInstanceId(const struct device *device, unsigned *id)
{
	ENTER_DEVICE(device);
	if (device->number < 0)
		return INVALID;
	*id = (unsigned)device->number + 1;
	return OK;
}

API nvmlDeviceGetComputeInstanceId(const struct device *device, unsigned *id)
{
	ENTER_DEVICE(device);
	if (device->number < 0)
		return INVALID;
	*id = 0;
	return OK;
}

struct attributes { unsigned multiprocessors, engines[5], gpu_slices, compute_slices; unsigned long long megabytes; };

API nvmlDeviceGetAttributes_v2(const struct device *device, struct attributes *out)
{
	ENTER_DEVICE(device);
	if (device->number < 0)
		return UNSUPPORTED;
	*out = (struct attributes){ .multiprocessors = 16, .engines = { 1 }, .gpu_slices = 1, .compute_slices = 1, .megabytes = INSTANCE_MEMORY >> 20 };
	return OK;
}

API nvmlDeviceGetGpuInstanceById(const struct device *device, unsigned id, struct instance **out)
{
	ENTER_DEVICE(device);
	if (id < 1 || id > INSTANCES)
		return NOT_FOUND;
	*out = &handles[device->gpu][id - 1][0];
	**out = (struct instance){ device->gpu, (int)id - 1, 0 };
	return OK;
}

struct placement { unsigned start, size; };
struct gpu_instance { const struct device *device; unsigned id, profile; struct placement placement; };

API nvmlGpuInstanceGetInfo(const struct instance *instance, struct gpu_instance *out)
{
	ENTER();
	*out = (struct gpu_instance){ &devices[instance->gpu], (unsigned)instance->number + 1, 19, { (unsigned)instance->number, 1 } };
	return OK;
}

API nvmlGpuInstanceGetComputeInstanceById(const struct instance *instance, unsigned id, struct instance **out)
{
	ENTER();
	if (id != 0)
		return NOT_FOUND;
	*out = &handles[instance->gpu][instance->number][1];
	**out = (struct instance){ instance->gpu, instance->number, 1 };
	return OK;
}

struct compute_instance { const struct device *device; const struct instance *parent; unsigned id, profile; struct placement placement; };

API nvmlComputeInstanceGetInfo_v2(const struct instance *instance, struct compute_instance *out)
{
	ENTER();
	*out = (struct compute_instance){ &devices[instance->gpu], &handles[instance->gpu][instance->number][0], 0, 0, { 0, 1 } };
	return OK;
}

struct gpu_profile { unsigned id, p2p, slices, count, multiprocessors, engines[5]; unsigned long long megabytes; };

API nvmlDeviceGetGpuInstanceProfileInfo(const struct device *device, unsigned profile, struct gpu_profile *out)
{
	ENTER_DEVICE(device);
	if (profile != 0)
		return UNSUPPORTED;
	*out = (struct gpu_profile){ .id = 19, .slices = 1, .count = 7, .multiprocessors = 16, .megabytes = INSTANCE_MEMORY >> 20 };
	return OK;
}

struct compute_profile { unsigned id, slices, count, multiprocessors, engines[5]; };

API nvmlGpuInstanceGetComputeInstanceProfileInfo(const struct instance *instance, unsigned profile, unsigned engine, struct compute_profile *out)
{
	(void)instance;
	ENTER();
	if (profile != 0 || engine != 0)
		return UNSUPPORTED;
	*out = (struct compute_profile){ .id = 0, .slices = 1, .count = 1, .multiprocessors = 16 };
	return OK;
}

// GPM, which Hopper and later have. A sample is a point in time; the metrics between two are those of the state.
struct support { unsigned version, supported; };

API nvmlGpmQueryDeviceSupport(const struct device *device, struct support *out)
{
	ENTER_DEVICE(device);
	out->supported = (unsigned)state_word("gpm", -1, 0);
	return OK;
}

struct sample { int gpu; };

API nvmlGpmSampleAlloc(struct sample **out) { ENTER(); *out = calloc(1, sizeof **out); return OK; }
API nvmlGpmSampleFree(struct sample *sample) { ENTER(); free(sample); return OK; }
API nvmlGpmSampleGet(const struct device *device, struct sample *out) { ENTER_DEVICE(device); out->gpu = device->gpu; return OK; }

API nvmlGpmMigSampleGet(const struct device *device, unsigned instance, struct sample *out)
{
	(void)instance;
	ENTER_DEVICE(device);
	out->gpu = device->gpu;
	return OK;
}

struct metric { unsigned id; int code; double value; const char *names[3]; };
struct metrics { unsigned version, count; struct sample *first, *second; struct metric list[]; };

API nvmlGpmMetricsGet(struct metrics *out)
{
	ENTER();
	for (unsigned i = 0; i < out->count; i++) {
		struct metric *metric = &out->list[i];
		metric->code = OK;
		metric->value = (double)state_word("gpm-percent", (int)metric->id, 10);
	}
	return OK;
}
